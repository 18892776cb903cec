//! Requests written by [`encode`](super::encode) and read again, and hostile ones.

mod random;
mod read;

use std::sync::Arc;

use tsdb_model::{
    CounterResetHint, Exemplar, FloatHistogram, Histogram, HistogramValue, Labels, Metadata,
    MetricType, Span,
};

use super::encode::{Message, OutgoingSeries, write_v1, write_v2};
use super::*;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied())
}

fn sample(timestamp_ms: i64, value: f64) -> SampleEntry {
    SampleEntry {
        timestamp_ms,
        start_timestamp_ms: 0,
        value,
    }
}

fn series<'a>(labels: &'a Labels, samples: &'a [SampleEntry]) -> OutgoingSeries<'a> {
    OutgoingSeries {
        labels,
        samples,
        histograms: &[],
        exemplars: &[],
        metadata: None,
    }
}

fn read(version: WriteVersion, message: &[u8]) -> Result<WriteRequest, RemoteError> {
    let mut request = WriteRequest::new();
    request.read(version, &compress(message), &KeyHasher::new())?;
    Ok(request)
}

fn int_histogram() -> Histogram {
    Histogram {
        reset_hint: CounterResetHint::NotReset,
        schema: 1,
        zero_threshold: 0.001,
        zero_count: 2,
        count: 9,
        sum: 18.4,
        positive_spans: vec![
            Span {
                offset: -1,
                length: 2,
            },
            Span {
                offset: 3,
                length: 1,
            },
        ],
        negative_spans: vec![Span {
            offset: 0,
            length: 1,
        }],
        positive_deltas: vec![1, 1, -1],
        negative_deltas: vec![3],
        custom_values: Vec::new(),
    }
}

#[test]
fn everything_comes_back_in_both_versions() {
    let (a, b) = (
        labels(&[("__name__", "a_total"), ("job", "x"), ("a.b", "ü")]),
        labels(&[("__name__", "h"), ("job", "x")]),
    );
    let samples = [
        SampleEntry {
            start_timestamp_ms: 500,
            ..sample(1000, 1.5)
        },
        sample(-3, f64::from_bits(tsdb_model::STALE_NAN_BITS)),
    ];
    let custom = Histogram {
        schema: -53,
        count: 3,
        sum: f64::NAN,
        positive_spans: vec![Span {
            offset: 0,
            length: 2,
        }],
        positive_deltas: vec![1, 1],
        custom_values: vec![0.5, 2.0],
        ..Histogram::default()
    };
    let float: FloatHistogram = int_histogram().to_float();
    let histograms = [
        (1, 7, HistogramValue::Int(Arc::new(int_histogram()))),
        (2, 0, HistogramValue::Int(Arc::new(custom))),
        (3, 0, HistogramValue::Float(Arc::new(float))),
    ];
    let exemplars = [Exemplar {
        labels: labels(&[("trace_id", "abc")]),
        value: 0.25,
        timestamp_ms: 999,
    }];
    let metadata = Metadata {
        metric_type: MetricType::Counter,
        unit: "seconds".into(),
        help: "Help.".into(),
    };
    let all = [
        OutgoingSeries {
            exemplars: &exemplars,
            metadata: Some(&metadata),
            ..series(&a, &samples)
        },
        OutgoingSeries {
            histograms: &histograms,
            ..series(&b, &[])
        },
    ];
    let v1 = write_v1(&all, &[("a".into(), metadata.clone())]);
    for (version, message) in [(WriteVersion::V1, v1), (WriteVersion::V2, write_v2(&all))] {
        let request = read(version, &message).unwrap();
        assert_eq!(request.body_bytes(), message.len());
        let [first, second] = request.series.as_slice() else {
            panic!("{:?}", request.series);
        };
        assert_eq!(request.labels(first).unwrap(), a);
        assert_eq!(request.labels(second).unwrap(), b);
        assert!(first.key.is_some() && first.key != second.key);
        let got: Vec<(i64, u64)> = request.samples[first.samples.range()]
            .iter()
            .map(|s| (s.timestamp_ms, s.value.to_bits()))
            .collect();
        let sent = samples.map(|s| (s.timestamp_ms, s.value.to_bits()));
        assert_eq!(got, sent);
        let starts: Vec<i64> = request
            .samples
            .iter()
            .map(|s| s.start_timestamp_ms)
            .chain(request.histograms.iter().map(|h| h.start_timestamp_ms))
            .collect();
        let expected = match version {
            WriteVersion::V1 => [0; 5],
            WriteVersion::V2 => [500, 0, 7, 0, 0],
        };
        assert_eq!(starts, expected);
        assert!(first.histograms.is_empty() && second.samples.is_empty());
        for (entry, (t, _, value)) in request.histograms[second.histograms.range()]
            .iter()
            .zip(&histograms)
        {
            assert_eq!(entry.timestamp_ms, *t);
            // NaN is not equal to itself.
            let (got, sent) = (format!("{:?}", entry.value), format!("{value:?}"));
            assert_eq!(got, format!("Ok({sent})"));
        }
        let [exemplar] = &request.exemplars[first.exemplars.range()] else {
            panic!("{:?}", request.exemplars);
        };
        assert_eq!((exemplar.value, exemplar.timestamp_ms), (0.25, 999));
        assert_eq!(
            request.exemplar_labels(exemplar).unwrap(),
            exemplars[0].labels
        );
        let [m] = request.metadata.as_slice() else {
            panic!("{:?}", request.metadata);
        };
        assert_eq!(m.metric_type, MetricType::Counter);
        assert_eq!(request.text(m.help), "Help.");
        assert_eq!(request.text(m.unit), "seconds");
        match version {
            WriteVersion::V1 => assert_eq!(request.text(m.family), "a"),
            WriteVersion::V2 => assert_eq!((first.metadata, second.metadata), (Some(0), None)),
        }
    }
}

#[test]
fn keys_stand_for_labels() {
    let (a, b) = (
        labels(&[("__name__", "m"), ("a", "1")]),
        labels(&[("__name__", "m"), ("a", "2")]),
    );
    let one = [sample(1, 1.0)];
    let two = [sample(2, 5.0)];
    let keys = KeyHasher::new();
    let key_of = |version, message: &[u8], keys: &KeyHasher| {
        let mut request = WriteRequest::new();
        request.read_plain(version, message, keys).unwrap();
        request.series[0].key.unwrap()
    };
    for version in [WriteVersion::V1, WriteVersion::V2] {
        let write = |list: &[OutgoingSeries<'_>]| match version {
            WriteVersion::V1 => write_v1(list, &[]),
            WriteVersion::V2 => write_v2(list),
        };
        let first = key_of(version, &write(&[series(&a, &one)]), &keys);
        // Other samples, other symbols, the same labels.
        let again = write(&[series(&a, &two), series(&b, &one)]);
        assert_eq!(first, key_of(version, &again, &keys));
        assert_ne!(first, key_of(version, &write(&[series(&b, &one)]), &keys));
        assert_ne!(first, key_of(version, &again, &KeyHasher::new()));
    }
    // In 2.0 the numbers of the symbols do not matter.
    let behind = write_v2(&[series(&b, &one), series(&a, &one)]);
    let mut request = WriteRequest::new();
    request
        .read_plain(WriteVersion::V2, &behind, &keys)
        .unwrap();
    let alone = key_of(WriteVersion::V2, &write_v2(&[series(&a, &one)]), &keys);
    assert_eq!(request.series[1].key, Some(alone));
}

fn v1_series(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut series = Message::new();
    for (name, value) in pairs {
        let mut label = Message::new();
        label.bytes(1, name).bytes(2, value);
        series.message(1, &label);
    }
    let mut sample = Message::new();
    sample.double(1, 1.0).number(2, 5);
    series.message(2, &sample);
    let mut request = Message::new();
    request.message(1, &series);
    request.into_bytes()
}

#[test]
fn labels_are_sorted_and_checked() {
    let check = |pairs: &[(&[u8], &[u8])]| {
        let request = read(WriteVersion::V1, &v1_series(pairs)).unwrap();
        request
            .labels(&request.series[0])
            .map(|l| l.to_string())
            .map_err(|e| e.to_string())
    };
    assert_eq!(
        check(&[(b"b", b"2"), (b"empty", b""), (b"__name__", b"m")]),
        Ok(r#"{__name__="m", b="2"}"#.into())
    );
    let long = vec![b'x'; 1 << 20];
    for (pairs, error) in [
        (
            &[(&b"job"[..], &b"rw"[..])][..],
            r#"invalid metric name or labels, got {job="rw"}"#,
        ),
        (&[], "invalid metric name or labels, got {}"),
        (
            &[(b"__name__", b"m"), (b"", b"x")],
            r#"invalid metric name or labels, got {""="x", __name__="m"}"#,
        ),
        (
            &[(b"__name__", b"m"), (b"a", b"\xff")],
            "invalid metric name or labels, got {__name__=\"m\", a=\"\u{fffd}\"}",
        ),
        (
            &[(b"__name__", b"m"), (b"a", b"1"), (b"a", b"2")],
            r#"invalid labels for series, labels {__name__="m", a="1", a="2"}, duplicated label a"#,
        ),
        (
            &[(b"__name__", b"m"), (b"a", long.as_slice())],
            "label set of 1048586 bytes is too large",
        ),
    ] {
        assert_eq!(check(pairs), Err(error.to_string()));
    }
}

#[test]
fn labels_that_do_not_stand_together_have_no_key() {
    let mut name = Message::new();
    name.bytes(1, b"__name__").bytes(2, b"m");
    let mut label = Message::new();
    label.bytes(1, b"a").bytes(2, b"1");
    let mut sample = Message::new();
    sample.double(1, 1.0).number(2, 5);
    let mut series = Message::new();
    series
        .message(1, &name)
        .message(2, &sample)
        .message(1, &label);
    let mut message = Message::new();
    message.message(1, &series);
    let request = read(WriteVersion::V1, message.as_bytes()).unwrap();
    assert_eq!(request.series[0].key, None);
    let expected = labels(&[("__name__", "m"), ("a", "1")]);
    assert_eq!(request.labels(&request.series[0]).unwrap(), expected);
    // A label that is no message is told apart from one without text.
    let mut broken = Message::new();
    broken.message(1, &name).bytes(1, b"\x0a\x09a");
    let mut message = Message::new();
    message.message(1, &broken);
    let request = read(WriteVersion::V1, message.as_bytes()).unwrap();
    let error = request.labels(&request.series[0]).unwrap_err();
    assert_eq!(error.to_string(), "invalid labels: unexpected EOF");
}

#[test]
fn references_are_checked() {
    let with = |symbols: &[&str], refs: &[u64]| {
        let mut series = Message::new();
        series.numbers(1, refs.iter().copied());
        let mut request = Message::new();
        request.message(5, &series);
        for symbol in symbols {
            request.bytes(4, symbol.as_bytes());
        }
        read(WriteVersion::V2, request.as_bytes()).map(|r| r.labels(&r.series[0]).unwrap())
    };
    assert_eq!(
        with(&["", "__name__", "m"], &[1, 2]),
        Ok(labels(&[("__name__", "m")]))
    );
    for (symbols, refs, error) in [
        (
            &["", "a"][..],
            &[1, 1, 1][..],
            "invalid labelRefs length 3: must be even",
        ),
        (
            &["", "a"],
            &[1, 2],
            "labelRefs 2 (index 1) is outside of symbols array (size 2)",
        ),
        (
            &["a"],
            &[0, 0],
            "invalid symbols: the first one must be an empty string",
        ),
    ] {
        assert_eq!(with(symbols, refs).unwrap_err().to_string(), error);
    }
}

#[test]
fn fields_may_come_unpacked_unknown_or_wrong() {
    let mut series = Message::new();
    series.number(1, 1).number(1, 2);
    series.bytes(99, b"new").double(98, 1.0).number(97, 1 << 63);
    let mut request = Message::new();
    request.bytes(4, b"").bytes(4, b"__name__").bytes(4, b"m");
    request.message(5, &series);
    let request = read(WriteVersion::V2, request.as_bytes()).unwrap();
    assert_eq!(
        request.labels(&request.series[0]).unwrap(),
        labels(&[("__name__", "m")])
    );
    for (bytes, error) in [
        (&b"\x0a\x05\x0a"[..], "unexpected EOF"),
        (b"\x0a", "unexpected EOF"),
        (b"\x00\x01", "proto: illegal tag"),
        (b"\x7b\x01", "proto: illegal wireType 3"),
        (
            b"\x08\x01",
            "proto: wrong wireType = 0 for field Timeseries",
        ),
        (
            b"\x88\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            "proto: integer overflow",
        ),
    ] {
        let error_of = |v| read(v, bytes).unwrap_err().to_string();
        assert_eq!(error_of(WriteVersion::V1), error, "{bytes:?}");
    }
}

#[test]
fn blocks_are_bounded() {
    let mut out = Vec::new();
    assert_eq!(
        decompress(b"nonsense", 1000, &mut out),
        Err(RemoteError::Snappy)
    );
    assert_eq!(decompress(b"", 100, &mut out), Err(RemoteError::Snappy));
    let block = compress(&[7; 1000]);
    decompress(&block, 1000, &mut out).unwrap();
    assert_eq!(out, [7; 1000]);
    let error = decompress(&block, 999, &mut out).unwrap_err().to_string();
    assert_eq!(
        error,
        "snappy: decoded block is too large: 1000 bytes, the limit is 999"
    );
    // Declares 32 MiB, holds nothing: no memory is taken for it.
    let lie = [0x80, 0x80, 0x80, 0x10, 0x00, b'x'];
    let mut out = Vec::new();
    assert!(decompress(&lie, MAX_DECOMPRESSED_BYTES, &mut out).is_err());
    assert_eq!(out.capacity(), 0);
    // Millions of empty elements.
    for (version, element) in [(WriteVersion::V1, [0x0a, 0]), (WriteVersion::V2, [0x2a, 0])] {
        let bomb = element.repeat(8 << 20);
        assert_eq!(
            read(version, &bomb).unwrap_err(),
            RemoteError::TooManyElements
        );
    }
    let mut request = WriteRequest::new();
    let series = v1_series(&[(b"__name__", b"m")]);
    request
        .read_plain(WriteVersion::V1, &series.repeat(500_000), &KeyHasher::new())
        .unwrap();
    request
        .read_plain(WriteVersion::V1, &series, &KeyHasher::new())
        .unwrap();
    assert!(request.body.capacity() <= 4 << 20);
}

#[test]
fn histograms_are_checked_and_made_coarser() {
    let one = |h: HistogramValue| {
        let name = labels(&[("__name__", "h")]);
        let message = write_v1(
            &[OutgoingSeries {
                histograms: &[(1, 0, h)],
                ..series(&name, &[])
            }],
            &[],
        );
        let request = read(WriteVersion::V1, &message).unwrap();
        request.histograms[0].value.clone()
    };
    let fine = Histogram {
        schema: 9,
        ..int_histogram()
    };
    let Ok(HistogramValue::Int(coarse)) = one(HistogramValue::Int(Arc::new(fine.clone()))) else {
        panic!("an integer histogram");
    };
    let mut expected = fine.to_float();
    expected.reduce_resolution(8).unwrap();
    let mut got = coarse.to_float();
    got.compact(0);
    expected.compact(0);
    assert_eq!(got, expected);
    let float = HistogramValue::Float(Arc::new(fine.to_float()));
    let Ok(HistogramValue::Float(coarse)) = one(float) else {
        panic!("a float histogram");
    };
    assert_eq!(coarse.schema, 8);
    for (change, error) in [
        (
            Histogram {
                schema: 53,
                ..int_histogram()
            },
            "got schema 53",
        ),
        (
            Histogram {
                schema: -5,
                ..int_histogram()
            },
            "got schema -5",
        ),
        (
            Histogram {
                count: 8,
                ..int_histogram()
            },
            "should equal the number of observations",
        ),
        (
            Histogram {
                schema: 20,
                positive_spans: vec![Span {
                    offset: 0,
                    length: u32::MAX,
                }],
                ..int_histogram()
            },
            "spans need 4294967295 buckets",
        ),
    ] {
        let got = one(HistogramValue::Int(Arc::new(change)))
            .unwrap_err()
            .to_string();
        assert!(got.contains(error), "{got}");
    }
}
