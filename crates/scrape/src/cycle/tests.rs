//! Tests of one target's scrapes against an in-memory store; no network, no time.

use super::*;
use crate::test_store::TestStore;
use std::collections::BTreeMap;
use tsdb_model::Labels;
use tsdb_model::relabel::{RelabelAction, RelabelConfig};
use tsdb_wire::negotiate::Format;

const T: i64 = 1_700_000_000_000;
const STEP: i64 = 15_000;

struct Bench {
    store: Arc<TestStore>,
    counters: Arc<Counters>,
    cycle: Cycle,
    rules: CycleRules,
    /// Number of the last scrape, from 0 on.
    scrape: i64,
}

fn rules() -> CycleRules {
    CycleRules {
        sample: SampleRules {
            target: Labels::from_pairs([("instance", "h:1"), ("job", "j")]),
            honor_labels: false,
            relabel: Vec::new(),
            legacy_names: false,
            label_limit: 0,
            label_name_length_limit: 0,
            label_value_length_limit: 0,
        },
        honor_timestamps: true,
        track_timestamps_staleness: false,
        sample_limit: 0,
    }
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut CycleRules)) -> Self {
        let mut rules = rules();
        change(&mut rules);
        let store = TestStore::new();
        let counters = Arc::new(Counters::default());
        let cycle = Cycle::new(
            store.clone(),
            counters.clone(),
            Arc::default(),
            Arc::new(rules.clone()),
        );
        Self {
            store,
            counters,
            cycle,
            rules,
            scrape: -1,
        }
    }

    fn now(&self) -> i64 {
        T + self.scrape * STEP
    }

    fn scrape_as(&mut self, text: &str, format: Format) -> Result<(), String> {
        self.scrape += 1;
        let page = Page {
            body: text.as_bytes().to_vec(),
            format,
        };
        self.cycle.run(Ok(page), self.now(), Instant::now())
    }

    fn scrape(&mut self, text: &str) -> Result<(), String> {
        self.scrape_as(text, Format::Text)
    }

    fn fail(&mut self) {
        self.scrape += 1;
        let failed = self
            .cycle
            .run(Err("down".into()), self.now(), Instant::now());
        assert_eq!(failed, Err("down".to_string()));
    }

    fn reconfigure(&mut self, change: impl FnOnce(&mut CycleRules)) {
        change(&mut self.rules);
        self.cycle.set_rules(&Arc::new(self.rules.clone()));
    }

    /// What the last scrape stored, the target's labels and the synthetic series left out.
    fn stored(&self) -> Vec<String> {
        let all = self.store.at(self.now());
        all.iter()
            .filter(|line| !line.contains("scrape_") && !line.contains("\"up\""))
            .map(|line| line.replace(r#", instance="h:1", job="j""#, ""))
            .map(|line| line.replace("__name__=", ""))
            .collect()
    }

    /// `up`, samples scraped, after relabelling, series added.
    fn report(&self) -> [String; 4] {
        let all = self.store.at(self.now());
        ["up", SYNTHETIC[2], SYNTHETIC[3], SYNTHETIC[4]].map(|name| {
            let start = format!(r#"{{__name__="{name}", instance="h:1", job="j"}} "#);
            let line = all.iter().find_map(|l| l.strip_prefix(&start));
            line.unwrap_or("none").to_string()
        })
    }
}

fn drop_names(regex: &str) -> Vec<RelabelConfig> {
    let mut rule = RelabelConfig {
        source_labels: vec!["__name__".to_string()],
        action: RelabelAction::Drop,
        ..RelabelConfig::default()
    };
    rule.set_regex(regex).unwrap();
    vec![rule]
}

#[test]
fn samples_and_synthetic_series() {
    let mut b = Bench::new();
    b.scrape("a 1\nb{x=\"y\"} 2.5\n").unwrap();
    assert_eq!(b.stored(), [r#"{"a"} 1"#, r#"{"b", x="y"} 2.5"#]);
    assert_eq!(b.report(), ["1", "2", "2", "2"]);
    let duration = r#"{__name__="scrape_duration_seconds", instance="h:1", job="j"}"#;
    assert_eq!(b.store.samples(duration).len(), 1);
    b.scrape("a 1\nb{x=\"y\"} 2.5\nc 3\n").unwrap();
    assert_eq!(b.report(), ["1", "3", "3", "1"]);
    b.scrape("").unwrap();
    assert_eq!(b.report(), ["1", "0", "0", "0"]);
}

#[test]
fn known_series_are_not_looked_up_again() {
    let mut b = Bench::new();
    b.scrape("a 1\nb 2\n").unwrap();
    let lookups = b.store.lookups();
    b.scrape("b 1\na 2\n").unwrap();
    assert_eq!(b.store.lookups(), lookups);
}

#[test]
fn series_that_is_gone_is_marked_once() {
    let mut b = Bench::new();
    b.scrape("a 1\nb 2\n").unwrap();
    b.scrape("b 3\n").unwrap();
    assert_eq!(b.stored(), [r#"{"a"} stale"#, r#"{"b"} 3"#]);
    b.scrape("b 3\n").unwrap();
    assert_eq!(b.stored(), [r#"{"b"} 3"#]);
    b.scrape("a 4\nb 3\n").unwrap();
    assert_eq!(b.stored(), [r#"{"a"} 4"#, r#"{"b"} 3"#]);
}

#[test]
fn failed_scrape_marks_all() {
    let mut b = Bench::new();
    b.scrape("a 1\nb 2\n").unwrap();
    b.fail();
    assert_eq!(b.stored(), [r#"{"a"} stale"#, r#"{"b"} stale"#]);
    assert_eq!(b.report(), ["0", "0", "0", "0"]);
    b.fail();
    assert_eq!(b.stored(), [""; 0]);
    b.scrape("a 1\n").unwrap();
    assert_eq!(b.stored(), [r#"{"a"} 1"#]);
}

#[test]
fn page_that_breaks_midway_stores_nothing_but_markers() {
    let mut b = Bench::new();
    b.scrape("a 1\nb 2\n").unwrap();
    let error = b.scrape("a 2\nnew 1\nb nonsense\n").unwrap_err();
    assert!(!error.is_empty());
    assert_eq!(b.stored(), [r#"{"a"} stale"#, r#"{"b"} stale"#]);
    assert_eq!(b.report(), ["0", "2", "2", "0"]);
    b.scrape("b 3\n").unwrap();
    assert_eq!(b.stored(), [r#"{"b"} 3"#]);
}

#[test]
fn exposed_timestamps() {
    let mut b = Bench::new();
    b.scrape(&format!("a 1 {}\nb 2\n", T - 5000)).unwrap();
    let a = r#"{__name__="a", instance="h:1", job="j"}"#;
    assert_eq!(b.store.samples(a), [(T - 5000, "1".to_string())]);
    b.scrape("").unwrap();
    assert_eq!(b.stored(), [r#"{"b"} stale"#]); // `a` is exempt

    let mut b = Bench::with(|r| r.track_timestamps_staleness = true);
    b.scrape(&format!("a 1 {}\n", T - 5000)).unwrap();
    b.scrape("").unwrap();
    assert_eq!(b.stored(), [r#"{"a"} stale"#]);

    let mut b = Bench::with(|r| r.honor_timestamps = false);
    b.scrape(&format!("a 1 {}\n", T - 5000)).unwrap();
    assert_eq!(b.stored(), [r#"{"a"} 1"#]);
    b.scrape("").unwrap();
    assert_eq!(b.stored(), [r#"{"a"} stale"#]);
}

#[test]
fn refused_samples_are_counted_and_the_scrape_stays_up() {
    let mut b = Bench::new();
    b.scrape("a 1\n").unwrap();
    let far = T + 2 * STEP + MAX_AHEAD_MS;
    let page = format!("a 2 {}\nb 1\nb 2\nc 1 {far}\nd 1 7\nd 1 8\ne 1\n", T - 1);
    b.scrape(&page).unwrap();
    assert_eq!(b.stored(), [r#"{"a"} stale"#, r#"{"b"} 1"#, r#"{"e"} 1"#]);
    let d = r#"{__name__="d", instance="h:1", job="j"}"#;
    assert_eq!(b.store.samples(d).len(), 2);
    let stats = b.counters.snapshot(BTreeMap::new());
    assert_eq!(stats.out_of_order, 1);
    assert_eq!(stats.duplicate_timestamp, 1);
    assert_eq!(stats.out_of_bounds, 1);
    assert_eq!(b.report()[..3], ["1", "7", "7"]);
}

#[test]
fn nan_is_never_taken_for_a_marker() {
    let mut b = Bench::new();
    b.scrape("a NaN\n").unwrap();
    assert_eq!(b.store.last_bits("a"), 0x7ff8_0000_0000_0001);
}

#[test]
fn honor_labels() {
    let page = "a{job=\"x\",instance=\"\"} 1\n";
    let mut b = Bench::new();
    b.scrape(page).unwrap();
    assert_eq!(b.stored(), [r#"{"a", exported_job="x"} 1"#]);
    let mut b = Bench::with(|r| r.sample.honor_labels = true);
    b.scrape(page).unwrap();
    assert_eq!(b.stored(), [r#"{"a", job="x"} 1"#]);
}

#[test]
fn metric_relabelling_drops_once_and_for_all() {
    let mut b = Bench::with(|r| r.sample.relabel = drop_names("b.*"));
    b.scrape("a 1\nb1 2\nb2 3\n").unwrap();
    assert_eq!(b.stored(), [r#"{"a"} 1"#]);
    assert_eq!(b.report(), ["1", "3", "1", "1"]);
    b.scrape("a 1\nb1 2\n").unwrap();
    assert_eq!(b.stored(), [r#"{"a"} 1"#]);
    assert_eq!(b.report(), ["1", "2", "1", "0"]);
}

#[test]
fn sample_limit() {
    let mut b = Bench::with(|r| r.sample_limit = 2);
    b.scrape("a 1\nb 1\n").unwrap();
    let series = b.store.series_count();
    let error = b.scrape("a 1\nb 1\nc 1\nd 1\n").unwrap_err();
    assert_eq!(error, "sample limit exceeded");
    assert_eq!(b.stored(), [r#"{"a"} stale"#, r#"{"b"} stale"#]);
    assert_eq!(b.report(), ["0", "4", "4", "0"]);
    assert_eq!(
        b.store.series_count(),
        series,
        "no series is made above the limit"
    );
    let stats = b.counters.snapshot(BTreeMap::new());
    assert_eq!(stats.exceeded_sample_limit, 1);
    // Markers do not count.
    b.scrape("a 1\nb 1\n").unwrap();
    b.scrape("c 1\nd 1\n").unwrap();
    assert_eq!(b.stored().len(), 4);
}

#[test]
fn dropped_samples_do_not_count_for_the_limit() {
    let mut b = Bench::with(|r| {
        r.sample.relabel = drop_names("b.*");
        r.sample_limit = 1;
    });
    b.scrape("a 1\nb1 2\nb2 3\n").unwrap();
}

#[test]
fn label_limits_and_names_fail_the_scrape() {
    let mut b = Bench::with(|r| r.sample.label_limit = 3);
    b.scrape("x1 1\n").unwrap();
    let error = b.scrape("x1 1\nx1{a=\"b\",c=\"d\"} 1\n").unwrap_err();
    let text = "label_limit exceeded (metric: x1, number of labels: 5, limit: 3)";
    assert_eq!(error, text);
    assert_eq!(b.stored(), [r#"{"x1"} stale"#]);
    let stats = b.counters.snapshot(BTreeMap::new());
    assert_eq!(stats.exceeded_label_limits, 1);
}

#[test]
fn handle_that_the_store_forgot_is_looked_up_again() {
    let mut b = Bench::new();
    b.scrape("a 1\nb 1\n").unwrap();
    b.store.forget_refs();
    b.scrape("a 2\nb 2\n").unwrap();
    assert_eq!(b.stored(), [r#"{"a"} 2"#, r#"{"b"} 2"#]);
    assert_eq!(b.report(), ["1", "2", "2", "0"]);
    b.scrape("a 3\n").unwrap();
    assert_eq!(b.stored(), [r#"{"a"} 3"#, r#"{"b"} stale"#]);
}

#[test]
fn failed_commit_fails_the_scrape_and_loses_no_marker() {
    let mut b = Bench::new();
    b.scrape("a 1\nb 1\n").unwrap();
    b.store.set_fail_commits(true);
    assert_eq!(b.scrape("b 2\n").unwrap_err(), "disk full");
    assert!(b.stored().is_empty());
    b.store.set_fail_commits(false);
    b.scrape("b 3\n").unwrap();
    assert_eq!(b.stored(), [r#"{"a"} stale"#, r#"{"b"} 3"#]);
}

#[test]
fn full_store_refuses_only_new_series() {
    let mut b = Bench::new();
    b.scrape("a 1\n").unwrap();
    b.store.set_series_limit(b.store.series_count() as u64);
    b.scrape("a 2\nb 1\n").unwrap();
    assert_eq!(b.stored(), [r#"{"a"} 2"#]);
    assert_eq!(b.report(), ["1", "2", "2", "0"]);
}

#[test]
fn end_of_the_target_marks_everything() {
    let mut b = Bench::new();
    b.scrape("a 1\n").unwrap();
    b.scrape += 1;
    b.cycle.end(b.now()).unwrap();
    let all = b.store.at(b.now());
    assert_eq!(all.len(), 1 + SYNTHETIC.len());
    assert!(all.iter().all(|l| l.ends_with(" stale")), "{all:?}");
}

#[test]
fn end_after_a_failed_scrape_marks_only_the_synthetic_series() {
    let mut b = Bench::new();
    b.scrape("a 1\n").unwrap();
    b.fail();
    b.scrape += 1;
    b.cycle.end(b.now()).unwrap();
    assert_eq!(b.store.at(b.now()).len(), SYNTHETIC.len());
}

#[test]
fn changed_rules_end_the_series_of_the_old_ones() {
    let mut b = Bench::new();
    b.scrape("a 1\nb 1\n").unwrap();
    let lookups = b.store.lookups();
    b.reconfigure(|r| r.sample_limit = 100);
    b.scrape("a 2\nb 2\n").unwrap();
    assert_eq!(
        b.store.lookups(),
        lookups,
        "the limit does not change what lines mean"
    );
    b.reconfigure(|r| r.sample.relabel = drop_names("b"));
    b.scrape("a 3\nb 3\n").unwrap();
    assert_eq!(b.stored(), [r#"{"a"} 3"#, r#"{"b"} stale"#]);
}

#[test]
fn metadata_reaches_the_store_when_it_changes() {
    let mut b = Bench::new();
    b.scrape("# HELP a first\n# TYPE a counter\na 1\n").unwrap();
    let a = b.store.metadata("a").unwrap();
    assert_eq!(
        (a.metric_type, a.help.as_str()),
        (MetricType::Counter, "first")
    );
    b.store.set_fail_commits(true);
    b.scrape("# HELP a second\n# TYPE a counter\na 1\n")
        .unwrap_err();
    b.store.set_fail_commits(false);
    b.scrape("# HELP a second\n# TYPE a counter\na 1\n")
        .unwrap();
    assert_eq!(b.store.metadata("a").unwrap().help, "second");
}

#[test]
fn exemplars() {
    let mut b = Bench::new();
    let long = "x".repeat(130);
    let page = format!(
        "# TYPE a counter\na_total 1 # {{trace_id=\"t1\"}} 0.5\n\
         a_total{{x=\"y\"}} 1 # {{trace_id=\"t2\"}} 0.5 {}\n\
         a_total{{x=\"z\"}} 1 # {{trace_id=\"{long}\"}} 0.5\n# EOF\n",
        T / 1000 - 1
    );
    b.scrape_as(&page, Format::OpenMetrics).unwrap();
    let wanted = [
        format!("{{trace_id=\"t1\"}} 0.5 {T}"),
        format!("{{trace_id=\"t2\"}} 0.5 {}", T - 1000),
    ];
    assert_eq!(b.store.exemplars(), wanted);
    // Shown again, they are not stored again.
    b.scrape_as(&page, Format::OpenMetrics).unwrap();
    assert_eq!(b.store.exemplars(), wanted);
    let page = page.replace("t1", "t3");
    b.store.set_fail_commits(true);
    b.scrape_as(&page, Format::OpenMetrics).unwrap_err();
    b.store.set_fail_commits(false);
    let broken = page.replace("# EOF", "# FOE");
    b.scrape_as(&broken, Format::OpenMetrics).unwrap_err();
    assert_eq!(b.store.exemplars().len(), 2);
    b.scrape_as(&page, Format::OpenMetrics).unwrap();
    let third = format!("{{trace_id=\"t3\"}} 0.5 {}", b.now());
    assert_eq!(b.store.exemplars()[2..], [third]);
}

#[test]
fn openmetrics_page_without_its_end_fails() {
    let mut b = Bench::new();
    let error = b.scrape_as("a 1\n", Format::OpenMetrics).unwrap_err();
    assert!(error.contains("data does not end with # EOF"), "{error}");
}

#[test]
fn same_text_under_another_type_is_another_series() {
    let mut b = Bench::new();
    b.scrape("h_bucket{le=\"1\"} 1\n").unwrap();
    assert_eq!(b.stored(), [r#"{"h_bucket", le="1"} 1"#]);
    b.scrape("# TYPE h histogram\nh_bucket{le=\"1\"} 1\n")
        .unwrap();
    let wanted = [
        r#"{"h_bucket", le="1"} stale"#,
        r#"{"h_bucket", le="1.0"} 1"#,
    ];
    assert_eq!(b.stored(), wanted);
    // Bounds of gauge histograms stay as they are exposed.
    b.scrape("# TYPE h gaugehistogram\nh_bucket{le=\"1\"} 1\n")
        .unwrap();
    let wanted = [
        r#"{"h_bucket", le="1"} 1"#,
        r#"{"h_bucket", le="1.0"} stale"#,
    ];
    assert_eq!(b.stored(), wanted);
}

#[test]
fn same_series_in_other_words_is_no_end() {
    let mut b = Bench::new();
    b.scrape("a{x=\"1\",y=\"2\"} 1\n").unwrap();
    b.scrape("a{y=\"2\",x=\"1\"} 2\n").unwrap();
    assert_eq!(b.stored(), [r#"{"a", x="1", y="2"} 2"#]);
    b.scrape("").unwrap();
    assert_eq!(b.stored(), [r#"{"a", x="1", y="2"} stale"#]);
}

#[test]
fn label_without_a_name_fails_the_scrape() {
    let mut b = Bench::new();
    let error = b.scrape("a{\"\"=\"b\"} 1\n").unwrap_err();
    assert!(
        error.starts_with("invalid metric name or label names: {"),
        "{error}"
    );
    assert_eq!(b.report(), ["0", "1", "0", "0"]);
}
