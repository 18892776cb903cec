//! Tables and units for people.

use comfy_table::{CellAlignment, Table, presets};

use tsdb_http::json::rfc3339_ms;

/// A table; all columns but the first are right-aligned if they hold numbers only.
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return "(none)\n".to_string();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header);
    for row in rows {
        table.add_row(row.iter().map(|cell| visible(cell)));
    }
    for i in 0..header.len() {
        let is_number = |row: &Vec<String>| {
            let cell = row.get(i).map_or("", String::as_str);
            cell.is_empty() || cell.starts_with(|c: char| c.is_ascii_digit())
        };
        if rows.iter().all(is_number)
            && let Some(column) = table.column_mut(i)
        {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines = table.lines().map(|line| line.trim_end().to_string());
    let mut text: String = lines.collect::<Vec<_>>().join("\n");
    text.push('\n');
    text
}

/// Label values may hold anything; control characters are not for the terminal to act on.
fn visible(cell: &str) -> String {
    let mut out = String::with_capacity(cell.len());
    for c in cell.chars() {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// A time, or nothing for one that stands for "none".
pub(super) fn time(ms: i64) -> String {
    if (-62_135_596_800_000..=253_402_300_799_999).contains(&ms) {
        rfc3339_ms(ms)
    } else if ms == i64::MIN || ms == i64::MAX {
        String::new()
    } else {
        ms.to_string()
    }
}

/// Bytes in a unit that leaves three digits or so.
pub(super) fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" {
                format!("{bytes} B")
            } else {
                format!("{value:.1} {unit}")
            };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// Bytes per item.
pub(super) fn ratio(bytes: u64, items: u64) -> String {
    if items == 0 {
        String::new()
    } else {
        format!("{:.3}", bytes as f64 / items as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(u64::MAX), "16777216.0 TiB");
        assert_eq!(ratio(1, 0), "");
        assert_eq!(ratio(1, 3), "0.333");
        assert_eq!(time(i64::MAX), "");
        assert!(time(1_700_000_000_000).starts_with("2023-11-14T22:13:20"));
        assert_eq!(time(i64::MAX - 1), (i64::MAX - 1).to_string());
    }

    #[test]
    fn columns_of_numbers_stand_right() {
        let rows = [
            vec!["a".into(), "1".into()],
            vec!["b\u{1b}".into(), "222".into()],
        ];
        let text = table(&["NAME", "N"], &rows);
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[1].ends_with("   1") && lines[2].ends_with(" 222"),
            "{text}"
        );
        assert!(lines[2].contains("b\\u{1b}"), "{text}");
        assert_eq!(table(&["NAME"], &[]), "(none)\n");
    }
}
