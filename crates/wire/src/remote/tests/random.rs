//! Any bytes give an answer, and what is written is what is read.

use proptest::prelude::*;

use super::*;

fn anything(bytes: &[u8]) {
    let keys = KeyHasher::new();
    let mut request = WriteRequest::new();
    for version in [WriteVersion::V1, WriteVersion::V2] {
        let _ = request.read(version, bytes, &keys);
        if request.read_plain(version, bytes, &keys).is_ok() {
            for series in &request.series {
                let _ = request.labels(series);
                assert!(request.samples.get(series.samples.range()).is_some());
                assert!(request.histograms.get(series.histograms.range()).is_some());
                assert!(request.exemplars.get(series.exemplars.range()).is_some());
            }
            for exemplar in &request.exemplars {
                let _ = request.exemplar_labels(exemplar);
            }
            for m in &request.metadata {
                let _ = (request.text(m.family), request.text(m.help));
            }
        }
    }
    let _ = ReadRequest::read(bytes);
    let _ = ReadRequest::read_plain(bytes);
}

/// Bytes that look like messages: tags of known fields, small lengths.
fn nearly_a_message() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        (1_u8..17, 0_u8..6, 0_u8..40).prop_map(|(field, wire, len)| vec![field << 3 | wire, len]),
        proptest::collection::vec(any::<u8>(), 0..10),
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|p| p.concat())
}

fn small_labels() -> impl Strategy<Value = Labels> {
    proptest::collection::btree_map("[a-d]{1,2}|ü.", "[x-z]{0,3}", 0..6).prop_map(|map| {
        let name = [("__name__".to_string(), "m".to_string())];
        Labels::from_pairs(map.into_iter().chain(name))
    })
}

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        anything(&bytes);
    }

    #[test]
    fn nearly_messages(bytes in nearly_a_message()) {
        anything(&bytes);
    }

    #[test]
    fn damaged_requests(
        all in proptest::collection::vec(small_labels(), 1..4),
        at: prop::sample::Index,
        byte: u8,
        v2: bool,
    ) {
        let samples = [sample(1, 2.0)];
        let histograms = [(5, 6, HistogramValue::Int(Arc::new(int_histogram())))];
        let list: Vec<_> = all
            .iter()
            .map(|l| OutgoingSeries { histograms: &histograms, ..series(l, &samples) })
            .collect();
        let mut message = if v2 { write_v2(&list) } else { write_v1(&list, &[]) };
        anything(&message);
        let at = at.index(message.len());
        message[at] = byte;
        anything(&message);
        message.truncate(at);
        anything(&message);
    }

    #[test]
    fn round_trip(
        all in proptest::collection::vec(
            (small_labels(), proptest::collection::vec((any::<i64>(), any::<u64>()), 0..4)),
            0..8,
        ),
    ) {
        let samples: Vec<Vec<SampleEntry>> = all
            .iter()
            .map(|(_, s)| s.iter().map(|(t, v)| sample(*t, f64::from_bits(*v))).collect())
            .collect();
        let list: Vec<_> = all.iter().zip(&samples).map(|((l, _), s)| series(l, s)).collect();
        for (version, message) in [
            (WriteVersion::V1, write_v1(&list, &[])),
            (WriteVersion::V2, write_v2(&list)),
        ] {
            let request = read(version, &message).unwrap();
            prop_assert_eq!(request.series.len(), all.len());
            for (entry, (labels, samples)) in request.series.iter().zip(&all) {
                prop_assert_eq!(&request.labels(entry).unwrap(), labels);
                let got: Vec<(i64, u64)> = request.samples[entry.samples.range()]
                    .iter()
                    .map(|s| (s.timestamp_ms, s.value.to_bits()))
                    .collect();
                prop_assert_eq!(&got, samples);
            }
            // Equal labels have equal keys, others do not.
            for (a, (la, _)) in request.series.iter().zip(&all) {
                for (b, (lb, _)) in request.series.iter().zip(&all) {
                    prop_assert_eq!(a.key == b.key, la == lb);
                }
            }
        }
    }
}
