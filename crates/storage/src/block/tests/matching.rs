use proptest::prelude::*;
use tsdb_model::{MatchOp, Matcher};

use super::given::labels;
use super::*;

fn matcher() -> impl Strategy<Value = Matcher> {
    let name = prop_oneof![
        Just("__name__"),
        Just("job"),
        Just("instance"),
        Just("code"),
        Just("le"),
        Just("zone"),
        Just("Zulu"),
        Just("pod"),
        Just("dc"),
        Just("missing"),
    ];
    let value = prop_oneof![
        Just(""),
        Just("up"),
        Just("a_total"),
        Just("node"),
        Just("host1:9100"),
        Just("dc0"),
        Just("7"),
        Just("+Inf"),
        Just("web-"),
        Just(".*"),
        Just(".+"),
        Just("a.*|up"),
        Just("node|api|nix"),
        Just("[0-9]"),
        Just("host[12]:.*"),
        Just("(|api)"),
        Just("web-[a-c].*"),
        Just("1.*"),
    ];
    let op = prop_oneof![
        Just(MatchOp::Equal),
        Just(MatchOp::NotEqual),
        Just(MatchOp::Regex),
        Just(MatchOp::NotRegex),
    ];
    (op, name, value).prop_filter_map("patterns", |(op, name, value)| {
        Matcher::new(op, name, value).ok()
    })
}

fn sample() -> SeriesColumns {
    SeriesColumns {
        times: Arc::new(vec![5]),
        values: vec![1.0],
        ..SeriesColumns::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 60 } else { 2000 }))]

    #[test]
    fn as_brute_force(
        sets in proptest::collection::btree_set(labels(), 0..120),
        queries in proptest::collection::vec(proptest::collection::vec(matcher(), 0..4), 30),
    ) {
        let sets: Vec<Labels> = sets.into_iter().filter(|s| !s.is_empty()).collect();
        let (_, dir) = memory();
        let series: Vec<_> = sets.iter().map(|s| (s.clone(), sample())).collect();
        let block = write(&dir, &new_block(), &series);
        block.verify().unwrap();
        for matchers in &queries {
            let pass = |l: &Labels| matchers.iter().all(|m| m.matches(l.value(&m.name)));
            let want: Vec<u32> = (0..sets.len() as u32).filter(|i| pass(&sets[*i as usize])).collect();
            prop_assert_eq!(block.select(matchers).unwrap(), want, "{:?}", matchers);
        }
        let names: std::collections::BTreeSet<String> =
            sets.iter().flat_map(|s| s.iter().map(|l| l.name.to_string()).collect::<Vec<_>>()).collect();
        prop_assert_eq!(block.label_names().unwrap(), names.iter().cloned().collect::<Vec<_>>());
        for name in &names {
            let values: std::collections::BTreeSet<String> =
                sets.iter().filter_map(|s| s.get(name).map(String::from)).collect();
            prop_assert_eq!(block.label_values(name).unwrap(), values.into_iter().collect::<Vec<_>>());
        }
        prop_assert!(block.label_values("missing").unwrap().is_empty());
    }
}

/// Pods that come and go, one target: every label of its own.
#[test]
fn many_locals_and_many_targets() {
    for targets in [false, true] {
        let mut sets = std::collections::BTreeSet::new();
        for i in 0..3000u32 {
            let pod = format!("web-{:05x}", i.wrapping_mul(2654435761) >> 12);
            let instance = if targets {
                format!("h{}", i % 700)
            } else {
                "ksm:8080".into()
            };
            for name in ["kube_pod_info", "kube_pod_status"] {
                sets.insert(Labels::from_pairs([
                    ("__name__", name),
                    ("job", "ksm"),
                    ("instance", &instance),
                    ("pod", &pod),
                    ("uid", &format!("{i:x}")),
                ]));
            }
        }
        let sets: Vec<Labels> = sets.into_iter().collect();
        let (_, dir) = memory();
        let series: Vec<_> = sets.iter().map(|s| (s.clone(), sample())).collect();
        let block = write(&dir, &new_block(), &series);
        block.verify().unwrap();
        for (op, name, value) in [
            (MatchOp::Equal, "__name__", "kube_pod_info"),
            (MatchOp::Regex, "pod", "web-0[0-3].*"),
            (MatchOp::NotRegex, "pod", "web-.*"),
            (MatchOp::Equal, "instance", "h9"),
            (MatchOp::Equal, "uid", "77"),
            (MatchOp::NotEqual, "job", "ksm"),
        ] {
            let m = Matcher::new(op, name, value).unwrap();
            let want: Vec<u32> = (0..sets.len() as u32)
                .filter(|i| m.matches(sets[*i as usize].value(name)))
                .collect();
            assert_eq!(
                block.select(std::slice::from_ref(&m)).unwrap(),
                want,
                "{m:?}"
            );
        }
        let many: Vec<Matcher> = (0..200)
            .map(|i| Matcher::new(MatchOp::NotEqual, "uid", format!("{i:x}")).unwrap())
            .collect();
        assert_eq!(block.select(&many).unwrap().len(), sets.len() - 400);
    }
}
