//! Markdown tables.

/// Rows of cells.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        Self {
            rows: vec![head.iter().map(|c| (*c).to_owned()).collect()],
        }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(crate) fn print(&self, title: &str) {
        println!("\n### {title}\n");
        for (i, row) in self.rows.iter().enumerate() {
            println!("| {} |", row.join(" | "));
            if i == 0 {
                println!("{}|", "|---".repeat(row.len()));
            }
        }
    }
}

/// A number with about three digits that count.
pub(crate) fn number(v: f64) -> String {
    match v.abs() {
        _ if v.is_nan() => "-".to_owned(),
        a if a >= 100.0 => format!("{v:.0}"),
        a if a >= 10.0 => format!("{v:.1}"),
        a if a >= 0.1 || a == 0.0 => format!("{v:.2}"),
        _ => format!("{v:.3}"),
    }
}

/// `a / b`, or nothing where there is nothing to divide by.
pub(crate) fn ratio(a: f64, b: f64) -> String {
    if b > 0.0 && a.is_finite() && b.is_finite() {
        number(a / b)
    } else {
        "-".to_owned()
    }
}
