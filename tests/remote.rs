//! Pushing to the real program and reading back from it: with a sender of our own, and with
//! Prometheus, vmagent and promtool where `PEERS` names a folder with their binaries.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use tsdb_model::Labels;
use tsdb_wire::remote::encode::{OutgoingSeries, write_v1, write_v2};
use tsdb_wire::remote::{SampleEntry, WriteVersion, compress};

mod peers;
mod sender;

/// An answer whose body may be any bytes.
#[derive(Debug)]
struct Raw {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Raw {
    fn header(&self, name: &str) -> &str {
        let of = |line: &'_ str| -> Option<usize> {
            let (n, _) = line.split_once(": ")?;
            n.eq_ignore_ascii_case(name).then_some(n.len() + 2)
        };
        let found = self.head.lines().find_map(|l| Some(&l[of(l)?..]));
        found.unwrap_or("")
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Posts bytes on a connection of its own.
fn post(url: &str, headers: &[(&str, &str)], body: &[u8]) -> Raw {
    let rest = url.strip_prefix("http://").expect("an http URL");
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let mut stream = TcpStream::connect(host).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let mut head = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("Content-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw).unwrap();
    let end = raw.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(raw[..end].to_vec()).unwrap();
    Raw {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head,
        body: raw[end + 4..].to_vec(),
    }
}

/// Now, in milliseconds since the Unix epoch.
fn now_ms() -> i64 {
    let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
    i64::try_from(now.as_millis()).unwrap()
}

/// Labels of the series number `i`.
fn series_labels(i: usize) -> Labels {
    let number = i.to_string();
    Labels::from_pairs([
        ("__name__", "pushed"),
        ("instance", "host:1"),
        ("job", "push"),
        ("number", &number),
    ])
}

/// A compressed request with one sample for each of the series.
fn request(version: WriteVersion, labels: &[Labels], t_ms: i64, value: f64) -> Vec<u8> {
    let samples = [SampleEntry {
        timestamp_ms: t_ms,
        start_timestamp_ms: 0,
        value,
    }];
    let series: Vec<OutgoingSeries<'_>> = labels
        .iter()
        .map(|labels| OutgoingSeries {
            labels,
            samples: &samples,
            histograms: &[],
            exemplars: &[],
            metadata: None,
        })
        .collect();
    compress(&match version {
        WriteVersion::V1 => write_v1(&series, &[]),
        WriteVersion::V2 => write_v2(&series),
    })
}

fn push(url: &str, version: WriteVersion, body: &[u8]) -> Raw {
    let content_type = format!("application/x-protobuf;proto={}", version.message());
    let headers = [
        ("Content-Type", content_type.as_str()),
        ("Content-Encoding", "snappy"),
        ("X-Prometheus-Remote-Write-Version", "2.0.0"),
    ];
    post(&format!("{url}/api/v1/write"), &headers, body)
}
