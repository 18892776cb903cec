//! `netstat`: protocol counters from /proc/net/{netstat,snmp,snmp6}, those the node exporter shows
//! by default.

use std::collections::BTreeMap;

use tsdb_model::MetricType;

use crate::collector::Context;
use crate::error::CollectError;
use crate::page::{Page, name_part};

pub(crate) fn collect(context: &Context<'_>, page: &mut Page) -> Result<(), CollectError> {
    let mut fields = BTreeMap::new();
    for file in ["proc/net/netstat", "proc/net/snmp"] {
        parse_pairs(file, &context.tree.read(file)?, &mut fields)?;
    }
    // Missing when IPv6 is disabled.
    match context.tree.read("proc/net/snmp6") {
        Ok(text) => parse_snmp6(&text, &mut fields),
        Err(e) if e.is_no_data() => {}
        Err(e) => return Err(e),
    }
    for ((protocol, field), value) in fields {
        page.family(
            &format!(
                "node_netstat_{}_{}",
                name_part(&protocol),
                name_part(&field)
            ),
            MetricType::Unknown,
            &format!("Statistic {protocol}{field}."),
        );
        page.sample(&[], value);
    }
    Ok(())
}

type Fields = BTreeMap<(String, String), f64>;

/// Lines in pairs: `Proto: name name ..`, then `Proto: value value ..`.
fn parse_pairs(file: &str, text: &str, fields: &mut Fields) -> Result<(), CollectError> {
    let mut lines = text.lines();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let bad = || CollectError::parse(file, format_args!("cannot read {values:?}"));
        let (protocol, names) = names.split_once(':').ok_or_else(bad)?;
        let values = values
            .strip_prefix(protocol)
            .and_then(|rest| rest.strip_prefix(':'));
        let values = values.ok_or_else(bad)?;
        for (name, value) in names.split_whitespace().zip(values.split_whitespace()) {
            if shown(protocol, name) {
                let value: f64 = value.parse().map_err(|_| bad())?;
                fields.insert((protocol.to_string(), name.to_string()), value);
            }
        }
    }
    Ok(())
}

/// Lines like `Ip6InReceives   12`, where the protocol ends with the first `6`.
fn parse_snmp6(text: &str, fields: &mut Fields) {
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(key), Some(value)) = (words.next(), words.next()) else {
            continue;
        };
        let (Some(six), Ok(value)) = (key.find('6'), value.parse()) else {
            continue;
        };
        let (protocol, field) = key.split_at(six + 1);
        if shown(protocol, field) {
            fields.insert((protocol.to_string(), field.to_string()), value);
        }
    }
}

/// The node exporter's default choice of fields.
fn shown(protocol: &str, field: &str) -> bool {
    if matches!(field, "InErrors" | "InErrs") {
        return true;
    }
    match protocol {
        "Ip" => field == "Forwarding",
        "Ip6" | "IpExt" => matches!(field, "InOctets" | "OutOctets"),
        "Icmp" | "Icmp6" => matches!(field, "InMsgs" | "OutMsgs"),
        "TcpExt" => {
            field.starts_with("Listen")
                || field.starts_with("Syncookies")
                || matches!(
                    field,
                    "TCPSynRetrans" | "TCPTimeouts" | "TCPOFOQueue" | "TCPRcvQDrop"
                )
        }
        "Tcp" => matches!(
            field,
            "ActiveOpens"
                | "InSegs"
                | "OutSegs"
                | "OutRsts"
                | "PassiveOpens"
                | "RetransSegs"
                | "CurrEstab"
        ),
        "Udp" | "Udp6" => matches!(
            field,
            "InDatagrams" | "OutDatagrams" | "NoPorts" | "RcvbufErrors" | "SndbufErrors"
        ),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_fields() {
        for (protocol, field) in [
            ("UdpLite", "InErrors"),
            ("Tcp", "InErrs"),
            ("Ip", "Forwarding"),
            ("IpExt", "OutOctets"),
            ("Icmp6", "InMsgs"),
            ("TcpExt", "ListenDrops"),
            ("Udp6", "NoPorts"),
        ] {
            assert!(shown(protocol, field), "{protocol}_{field}");
        }
        for (protocol, field) in [
            ("Ip", "InOctets"),
            ("UdpLite", "InDatagrams"),
            ("Tcp", "MaxConn"),
            ("TcpExt", "TCPSynRetransX"),
            ("IcmpMsg", "InType3"),
        ] {
            assert!(!shown(protocol, field), "{protocol}_{field}");
        }
    }

    #[test]
    fn pairs_that_do_not_match_are_errors() {
        let mut fields = Fields::new();
        parse_pairs("f", "Tcp: MaxConn InErrs\nTcp: -1 7\n", &mut fields).unwrap();
        assert_eq!(fields.len(), 1);
        assert_eq!(fields[&("Tcp".to_string(), "InErrs".to_string())], 7.0);
        assert!(parse_pairs("f", "Tcp: InErrs\nUdp: 7\n", &mut fields).is_err());
        assert!(parse_pairs("f", "Tcp: InErrs\nTcp: x\n", &mut fields).is_err());
        assert!(parse_pairs("f", "x\ny\n", &mut fields).is_err());
    }
}
