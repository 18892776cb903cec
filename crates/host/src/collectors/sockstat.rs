//! `sockstat`: sockets in use and their memory by protocol, from /proc/net/sockstat{,6}.

use std::collections::BTreeMap;

use tsdb_model::MetricType;

use crate::collector::Context;
use crate::error::CollectError;
use crate::page::{Page, name_part};

pub(crate) fn collect(context: &Context<'_>, page: &mut Page) -> Result<(), CollectError> {
    let mut fields = BTreeMap::new();
    let mut found = false;
    // Either is missing if its IP version is disabled.
    for file in ["proc/net/sockstat", "proc/net/sockstat6"] {
        match context.tree.read(file) {
            Ok(text) => {
                parse(file, &text, procfs::page_size(), &mut fields)?;
                found = true;
            }
            Err(e) if e.is_no_data() => {}
            Err(e) => return Err(e),
        }
    }
    if !found {
        return Err(CollectError::NoData {
            what: "proc/net/sockstat".to_string(),
        });
    }
    for ((protocol, field), value) in fields {
        let help = if protocol == "sockets" {
            "Sockets in use.".to_string()
        } else {
            format!("{protocol} sockets, field {field}.")
        };
        let family = format!(
            "node_sockstat_{}_{}",
            name_part(&protocol),
            name_part(&field)
        );
        page.family(&family, MetricType::Gauge, &help);
        page.sample(&[], value);
    }
    Ok(())
}

/// Lines like `TCP: inuse 4 orphan 0 mem 185`; `mem` counts pages and is given in bytes as well.
fn parse(
    file: &str,
    text: &str,
    page_bytes: u64,
    fields: &mut BTreeMap<(String, String), f64>,
) -> Result<(), CollectError> {
    for line in text.lines() {
        let bad = || CollectError::parse(file, format_args!("cannot read {line:?}"));
        let (protocol, rest) = line.split_once(':').ok_or_else(bad)?;
        let mut words = rest.split_whitespace();
        while let Some(field) = words.next() {
            let value: u64 = words
                .next()
                .and_then(|word| word.parse().ok())
                .ok_or_else(bad)?;
            if field == "mem" {
                let bytes = value as f64 * page_bytes as f64;
                fields.insert((protocol.to_string(), "mem_bytes".to_string()), bytes);
            }
            fields.insert((protocol.to_string(), field.to_string()), value as f64);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_also_bytes() {
        let mut fields = BTreeMap::new();
        parse(
            "f",
            "sockets: used 16\nUDP: inuse 0 mem 2\n",
            4096,
            &mut fields,
        )
        .unwrap();
        let at = |protocol: &str, field: &str| fields[&(protocol.to_string(), field.to_string())];
        assert_eq!(at("sockets", "used"), 16.0);
        assert_eq!(at("UDP", "mem"), 2.0);
        assert_eq!(at("UDP", "mem_bytes"), 8192.0);
        for text in ["x", "UDP: inuse", "UDP: inuse x"] {
            assert!(
                parse("f", text, 4096, &mut BTreeMap::new()).is_err(),
                "{text}"
            );
        }
    }
}
