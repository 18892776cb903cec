//! `udp_queues`: bytes in the receive and transmit queues of all UDP sockets.

use tsdb_model::MetricType;

use crate::collector::Context;
use crate::error::CollectError;
use crate::page::Page;

pub(crate) fn collect(context: &Context<'_>, page: &mut Page) -> Result<(), CollectError> {
    let mut by_ip = Vec::new();
    for (file, ip) in [("proc/net/udp", "v4"), ("proc/net/udp6", "v6")] {
        match context.tree.read(file) {
            Ok(text) => by_ip.push((ip, sums(file, &text)?)),
            Err(e) if e.is_no_data() => {}
            Err(e) => return Err(e),
        }
    }
    if by_ip.is_empty() {
        return Err(CollectError::NoData {
            what: "proc/net/udp".to_string(),
        });
    }
    page.family(
        "node_udp_queues",
        MetricType::Gauge,
        "Bytes queued in UDP sockets.",
    );
    for (ip, (transmit, receive)) in by_ip {
        page.sample(&[("ip", ip), ("queue", "rx")], receive as f64);
        page.sample(&[("ip", ip), ("queue", "tx")], transmit as f64);
    }
    Ok(())
}

/// Sums of the column `tx_queue:rx_queue` (hexadecimal, the fifth) over all sockets.
fn sums(file: &str, text: &str) -> Result<(u64, u64), CollectError> {
    let (mut transmit, mut receive) = (0_u64, 0_u64);
    for line in text.lines().skip(1) {
        let bad = || CollectError::parse(file, format_args!("cannot read {line:?}"));
        let queues = line
            .split_whitespace()
            .nth(4)
            .and_then(|word| word.split_once(':'));
        let (tx, rx) = queues.ok_or_else(bad)?;
        transmit = transmit.saturating_add(u64::from_str_radix(tx, 16).map_err(|_| bad())?);
        receive = receive.saturating_add(u64::from_str_radix(rx, 16).map_err(|_| bad())?);
    }
    Ok((transmit, receive))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_both_queues() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue\n   \
                    0: 0100007F:0035 00000000:0000 07 00000010:00000001 00:00000000\n   \
                    1: 0100007F:0036 00000000:0000 07 00000001:00000100 00:00000000\n";
        assert_eq!(sums("f", text).unwrap(), (17, 257));
        assert_eq!(sums("f", "").unwrap(), (0, 0));
        assert!(sums("f", "title\n 0: a b c\n").is_err());
        assert!(sums("f", "title\n 0: a b c 1:x\n").is_err());
    }
}
