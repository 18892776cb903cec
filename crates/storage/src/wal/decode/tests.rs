use proptest::prelude::*;
use tsdb_model::CounterResetHint;

use super::super::chain::{Row, Work};
use super::super::encode::CommitEncoder;
use super::super::frame::{FRAME_BYTES, parse_frame, record_crc};
use super::super::group_reader::{GroupAt, Payload};
use super::super::groups::{Groups, Item};
use super::super::v1_writer;
use super::*;
use tsdb_model::SeriesRef;

fn float(t: i64, start: i64, v: f64) -> StoredSample {
    StoredSample {
        t,
        start,
        value: SampleValue::Float(v),
    }
}

/// The example of docs/format/wal.md.
#[test]
fn known_bytes() {
    let mut groups = Groups::default();
    let labels = Labels::from_pairs([("__name__", "x")]);
    assert_eq!(groups.assign([&labels].into_iter()), [0]);
    let mut encoder = CommitEncoder::new(1);
    encoder.definition(0, &labels);
    let mut items = [Item {
        id: 0,
        t: 1000,
        start: 0,
        bits: 1.0f64.to_bits(),
    }];
    encoder.floats(&mut groups, &mut items);
    let bytes = encoder.finish(7, 48).unwrap();
    let mut payload = b"\x03\x01\x00\x01\x11\x01\x01\x00\x00\x08__name__\x00\x00\x01x".to_vec();
    payload.extend([2, 9, 0, 0, 6, 0x50, 0xd0, 0x0f, 0, 0, 2]);
    let mut want = vec![0xf5, 0x52, 0x65, 0x63, 0x21, 0, 0, 0];
    want.extend(record_crc(7, 48, &payload).to_le_bytes());
    want.extend(payload);
    assert_eq!(bytes, want);
}

/// All payloads in `bytes`.
fn payloads(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let (length, _) = parse_frame(bytes).unwrap();
        let (payload, rest) = bytes[FRAME_BYTES..].split_at(length);
        out.push(payload);
        bytes = rest;
    }
    out
}

/// All commits of version 1 that stand in `bytes`, as one.
fn decode_v1(bytes: &[u8]) -> LogCommit {
    let mut commit = LogCommit::default();
    for payload in payloads(bytes) {
        let (_, kind, entries) = part_v1(payload).unwrap();
        entries_v1(kind, entries, &mut commit).unwrap();
    }
    commit
}

fn some_histograms() -> [HistogramValue; 3] {
    let spans = vec![Span {
        offset: -3,
        length: 2,
    }];
    let int = Histogram {
        reset_hint: CounterResetHint::Gauge,
        schema: -4,
        zero_threshold: 0.25,
        zero_count: 3,
        count: 10,
        sum: -1.5,
        positive_spans: spans.clone(),
        negative_spans: spans.clone(),
        positive_deltas: vec![2, -1],
        negative_deltas: vec![1, 2],
        custom_values: Vec::new(),
    };
    let custom = FloatHistogram {
        schema: -53,
        count: 1.5,
        sum: 2.0,
        positive_spans: vec![Span {
            offset: 0,
            length: 2,
        }],
        positive_buckets: vec![0.5, 1.0],
        custom_values: vec![1.0, 2.0],
        ..FloatHistogram::default()
    };
    [
        HistogramValue::Int(Arc::new(int.clone())),
        HistogramValue::Float(Arc::new(int.to_float())),
        HistogramValue::Float(Arc::new(custom)),
    ]
}

#[test]
fn histograms_come_back() {
    let values = some_histograms();
    let mut v1 = v1_writer::CommitEncoder::new(9);
    let mut v2 = CommitEncoder::new(9);
    for (t, h) in (0..).zip(&values) {
        let value = SampleValue::Histogram(h.clone());
        v1.sample(
            3,
            &StoredSample {
                t,
                start: -5,
                value,
            },
        );
        v2.histogram(3, t, -5, h);
    }
    let mut commit = LogCommit::default();
    let bytes = v2.finish(1, 0).unwrap();
    for payload in payloads(&bytes) {
        let (found, rest) = part(payload).unwrap();
        assert_eq!((found.first, found.last, found.seq), (true, true, 9));
        sections(payload, rest, &mut commit, &mut Vec::new()).unwrap();
    }
    for commit in [decode_v1(&v1.finish(1, 0)), commit] {
        for (i, (id, sample)) in commit.samples.iter().enumerate() {
            assert_eq!((*id, sample.t, sample.start), (3, i as i64, -5));
            let SampleValue::Histogram(h) = &sample.value else {
                panic!("{sample:?}")
            };
            assert_eq!(*h, values[i]);
        }
        assert_eq!(commit.samples.len(), 3);
    }
}

/// Labels of a series by number: some have a job.
fn labels(number: u16) -> Labels {
    let job = format!("j{}", number % 3);
    let job = if number.is_multiple_of(2) { "" } else { &job };
    Labels::from_pairs([("__name__", number.to_string().as_str()), ("job", job)])
}

/// Reads the records of one commit as a store does, into groups.
fn index(
    bytes: &[u8],
    commit: u64,
    groups: &mut std::collections::BTreeMap<u32, GroupAt>,
    all: &mut Vec<Payload>,
    known: &mut Vec<(u64, Labels)>,
) {
    for payload in payloads(bytes) {
        let (found, rest) = part(payload).unwrap();
        assert_eq!(found.seq, commit);
        let (mut entries, mut pieces) = (LogCommit::default(), Vec::new());
        sections(payload, rest, &mut entries, &mut pieces).unwrap();
        for (id, labels) in entries.definitions {
            let group = groups.entry((id >> 16) as u32).or_default();
            assert!(group.define(id as u16, SeriesRef(id)));
            known.push((id, labels));
        }
        for piece in pieces {
            let group = groups.entry(piece.group).or_default();
            group.push(piece.number, all.len(), piece.range.start, piece.range.end);
        }
        all.push(Payload {
            bytes: payload.to_vec(),
            commit,
            whole: true,
        });
    }
}

type Commit = std::collections::BTreeMap<(u16, i64), (u64, u8)>;

fn commits() -> impl Strategy<Value = Vec<Commit>> {
    let bits = prop_oneof![
        4 => (0..5u8).prop_map(|v| f64::from(v).to_bits()),
        1 => Just(tsdb_model::STALE_NAN_BITS),
        1 => any::<u64>(),
    ];
    let of_many =
        proptest::collection::btree_map(((0..200u16), (0..3i64)), (bits.clone(), 0..2u8), 1..300);
    let of_few = proptest::collection::btree_map(((0..3u16), (0..2000i64)), (bits, 0..2u8), 1..100);
    proptest::collection::vec(prop_oneof![of_many, of_few], 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn commits_come_back(commits in commits()) {
        let mut groups = Groups::default();
        let mut numbers = std::collections::BTreeMap::new();
        let (mut read, mut all, mut known) = Default::default();
        for (seq, commit) in (1..).zip(&commits) {
            let fresh: std::collections::BTreeSet<u16> =
                commit.keys().map(|k| k.0).filter(|s| !numbers.contains_key(s)).collect();
            let of_fresh: Vec<Labels> = fresh.iter().map(|s| labels(*s)).collect();
            let mut encoder = CommitEncoder::new(seq);
            let ids = groups.assign(of_fresh.iter());
            let mut defined: Vec<_> = ids.iter().zip(&of_fresh).collect();
            defined.sort_by_key(|d| d.0);
            for (id, labels) in defined {
                encoder.definition(*id, labels);
            }
            numbers.extend(fresh.into_iter().zip(ids));
            let mut items: Vec<Item> = commit.iter().map(|((series, t), (bits, start))| Item {
                id: numbers[series],
                t: *t + seq as i64 * 15_000,
                start: i64::from(*start) * 7,
                bits: *bits,
            }).collect();
            encoder.floats(&mut groups, &mut items);
            let bytes = encoder.finish(5, 100).unwrap();
            index(&bytes, seq, &mut read, &mut all, &mut known);
        }
        for (id, of_id) in &known {
            let series = numbers.iter().find(|n| n.1 == id).unwrap();
            prop_assert_eq!(of_id, &labels(*series.0));
        }
        let mut got = std::collections::BTreeMap::new();
        for group in read.values() {
            prop_assert_eq!(group.lost(), 0);
            let tally = group.decode(&all, |_| false, |window| {
                assert!(window.singles.is_empty());
                for (series, column) in window.columns {
                    let mut start = 0;
                    let mut starts = column.starts.iter().peekable();
                    for (row, (t, v)) in column.samples.iter().enumerate() {
                        while let Some(change) = starts.next_if(|s| s.0 == row) {
                            start = change.1;
                        }
                        assert_eq!(got.insert((series.0, *t), (v.to_bits(), start)), None);
                    }
                }
            });
            prop_assert_eq!((tally.lost, tally.malformed, tally.orphans), (0, 0, 0));
        }
        let want: std::collections::BTreeMap<_, _> = (1..).zip(&commits).flat_map(|(seq, commit)| {
            let numbers = &numbers;
            commit.iter().map(move |((series, t), (bits, start))| {
                ((numbers[series], t + seq * 15_000), (*bits, i64::from(*start) * 7))
            })
        }).collect();
        prop_assert_eq!(got, want);
    }

    #[test]
    fn floats_of_version_1_come_back(samples: Vec<(u64, i64, i64, u64)>) {
        let mut encoder = v1_writer::CommitEncoder::new(3);
        for (id, t, start, bits) in &samples {
            encoder.sample(*id, &float(*t, *start, f64::from_bits(*bits)));
        }
        let commit = decode_v1(&encoder.finish(0, 0));
        let got: Vec<_> = commit.samples.iter().map(|(id, s)| {
            let SampleValue::Float(v) = s.value else { unreachable!() };
            (*id, s.t, s.start, v.to_bits())
        }).collect();
        prop_assert_eq!(got, samples);
    }

    #[test]
    fn any_payload_does_no_harm(kind in 0..7u8, bytes: Vec<u8>) {
        let mut commit = LogCommit::default();
        let _ = part_v1(&bytes);
        let _ = entries_v1(kind, &bytes, &mut commit);
        prop_assert!(commit.samples.len() + commit.definitions.len() <= bytes.len());
        let mut commit = LogCommit::default();
        let mut section = vec![kind, bytes.len() as u8];
        section.extend(&bytes);
        let mut pieces = Vec::new();
        if sections(&section, &section, &mut commit, &mut pieces).is_ok() {
            for piece in pieces {
                let content = &section[piece.range];
                let mut rows: Vec<Row> = Vec::new();
                let mut chain = super::super::chain::Chain::default();
                let _ = chain.take(content, &mut Work::default(), |row| rows.push(row));
            }
        }
        prop_assert!(commit.samples.len() + commit.definitions.len() <= bytes.len());
    }
}
