//! `meminfo`: every line of /proc/meminfo, `Active(anon)` as `node_memory_Active_anon_bytes`.

use std::collections::BTreeMap;

use tsdb_model::MetricType;

use crate::collector::Context;
use crate::error::CollectError;
use crate::page::{Page, name_part};

const FILE: &str = "proc/meminfo";

pub(crate) fn collect(context: &Context<'_>, page: &mut Page) -> Result<(), CollectError> {
    for (field, value) in parse(&context.tree.read(FILE)?)? {
        page.family(
            &format!("node_memory_{field}"),
            MetricType::Gauge,
            &format!("Field {field} of /proc/meminfo."),
        );
        page.sample(&[], value);
    }
    Ok(())
}

/// Fields with the ending `_bytes` where the kernel gives a unit; page counts have none.
fn parse(text: &str) -> Result<BTreeMap<String, f64>, CollectError> {
    let mut fields = BTreeMap::new();
    for line in text.lines() {
        let bad = || CollectError::parse(FILE, format_args!("cannot read {line:?}"));
        let (name, rest) = line.split_once(':').ok_or_else(bad)?;
        let mut words = rest.split_whitespace();
        let value: u64 = words
            .next()
            .and_then(|word| word.parse().ok())
            .ok_or_else(bad)?;
        let mut field = name_part(&name.replace(')', ""));
        let value = match words.next() {
            None => value as f64,
            Some("kB") => {
                field.push_str("_bytes");
                value as f64 * 1024.0
            }
            Some(_) => return Err(bad()),
        };
        fields.insert(field, value);
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_units() {
        let text = "Active(anon):    12 kB\nHugePages_Total:       3\nCommitted_AS:  1 kB\n";
        let fields: Vec<_> = parse(text).unwrap().into_iter().collect();
        assert_eq!(
            fields,
            [
                ("Active_anon_bytes".to_string(), 12288.0),
                ("Committed_AS_bytes".to_string(), 1024.0),
                ("HugePages_Total".to_string(), 3.0),
            ]
        );
        for text in ["x\n", "x:\n", "x: 1 MB\n", "x: -1 kB\n"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
