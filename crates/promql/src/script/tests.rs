//! The runner has to notice what is wrong. Then: the scripts of this repository.

use std::path::{Path, PathBuf};

use super::*;

fn run(script: &str) -> Report {
    run_text("t.test", script, &mut || Box::new(MemoryStore::new()))
}

/// Runs evals over a few series.
fn run_over_data(evals: &str) -> Report {
    run(&format!(
        "load 1m\n  a{{x=\"1\"}} 0+1x10\n  a{{x=\"2\"}} 0+10x10\n  h {{{{count:3 buckets:[1 2]}}}}x10\n\n\
         {evals}"
    ))
}

fn passes(evals: &str) {
    let report = run_over_data(evals);
    assert!(
        report.is_success() && report.passed > 0,
        "{evals}\n{report:#?}"
    );
}

/// The only failure of the evals.
fn fails(evals: &str) -> String {
    let report = run_over_data(evals);
    assert_eq!(report.failed, 1, "{evals}\n{report:#?}");
    assert_eq!(report.failures.len(), 1);
    report.failures[0].message.clone()
}

#[test]
fn right_results_pass() {
    passes("eval instant at 5m a\n  a{x=\"1\"} 5\n  a{x=\"2\"} 50");
    passes("eval instant at 5m nothing");
    passes("eval instant at 5m 1 + 1\n  2");
    passes("eval instant at 5m \"x\"\n  expect string `x`");
    passes("eval instant at 5m h\n  h {{count:3 buckets:[1 2 0] n_buckets:[0]}}");
    passes("eval range from 4m to 12m step 2m a{x=\"1\"}\n  a{x=\"1\"} 4 6 8 10 10");
    passes(
        "eval instant at 2m a{x=\"1\"}[2m]\n  expect range vector from 1m to 2m step 1m\n  a{x=\"1\"} 1 2",
    );
    passes("eval instant at 5m sort_desc(a)\n  expect ordered\n  a{x=\"2\"} 50\n  a{x=\"1\"} 5");
}

#[test]
fn wrong_results_fail() {
    let message = fails("eval instant at 5m a\n  a{x=\"1\"} 5\n  a{x=\"2\"} 51");
    assert!(
        message.contains("51") && message.contains("50"),
        "{message}"
    );
    assert!(fails("eval instant at 5m a\n  a{x=\"1\"} 5").contains("unexpected"));
    assert!(fails("eval instant at 5m a").contains("unexpected"));
    assert!(fails("eval instant at 5m a{x=\"1\"}\n  a{x=\"1\"} 5\n  b 6").contains("missing"));
    assert!(fails("eval instant at 5m a{x=\"1\"}\n  {x=\"1\"} 5").contains("unexpected"));
    fails("eval instant at 5m 1 + 1\n  3");
    fails("eval instant at 5m 1 + 1\n  {} 2");
    fails("eval instant at 5m \"x\"\n  expect string \"y\"");
    fails("eval instant at 5m h\n  h 3");
    fails("eval instant at 5m h\n  h {{count:3 buckets:[1 3]}}");
    fails("eval instant at 5m sort_desc(a)\n  expect ordered\n  a{x=\"1\"} 5\n  a{x=\"2\"} 50");
}

#[test]
fn wrong_ranges_fail() {
    fails("eval range from 4m to 8m step 2m a{x=\"1\"}\n  a{x=\"1\"} 4 6");
    fails("eval range from 4m to 8m step 2m a{x=\"1\"}\n  a{x=\"1\"} 4 6 _");
    fails("eval range from 4m to 8m step 2m a{x=\"1\"}\n  a{x=\"1\"} 4 6 8 10");
    fails("eval range from 4m to 8m step 2m a{x=\"1\"}\n  a{x=\"1\"} 4 6 9");
    fails("eval range from 4m to 8m step 2m a{x=\"1\"}");
    fails(
        "eval instant at 2m a{x=\"1\"}[2m]\n  expect range vector from 1m to 2m step 1m\n  a{x=\"1\"} 1 3",
    );
    fails("eval instant at 2m a{x=\"1\"}[2m]");
}

#[test]
fn hints_count_only_when_written() {
    passes("eval instant at 5m h\n  h {{count:3 buckets:[1 2] counter_reset_hint:not_reset}}");
    fails("eval instant at 5m h\n  h {{count:3 buckets:[1 2] counter_reset_hint:gauge}}");
    fails("eval instant at 5m h\n  h {{count:3 buckets:[1 2] counter_reset_hint:unknown}}");
}

const FAILING: &str = "eval instant at 5m a{x=\"1\"} + on() a\n";

#[test]
fn failures_are_expected_or_not() {
    passes(&format!("{FAILING}  expect fail"));
    passes(&format!(
        "{FAILING}  expect fail regex: many-to.*(many|one)"
    ));
    passes("eval_fail instant at 5m a{x=\"1\"} + on() a\n  expected_fail_regexp duplicate");
    assert!(fails(FAILING).contains("the query failed"));
    assert!(fails(&format!("{FAILING}  expect fail msg: something")).contains("something"));
    fails(&format!("{FAILING}  expect fail regex: ^duplicate series$"));
    assert!(fails("eval instant at 5m a\n  expect fail").contains("expected the query to fail"));
}

#[test]
fn notes_are_expected_or_not() {
    let quantile = "eval instant at 5m quantile(2, a)\n  {} Inf\n";
    let text = "PromQL warning: quantile value should be between 0 and 1, got 2";
    passes(quantile);
    passes(&format!("{quantile}  expect warn\n  expect no_info"));
    passes(&format!("{quantile}  expect warn msg: {text} (1:10)"));
    passes(&format!(
        "{quantile}  expect warn regex: got 2 \\([0-9]+:[0-9]+\\)$"
    ));
    fails(&format!("{quantile}  expect warn msg: {text}"));
    fails(&format!("{quantile}  expect no_warn"));
    fails(&format!("{quantile}  expect info"));
    // Each line needs a note, each note a line.
    fails(&format!(
        "{quantile}  expect warn\n  expect warn msg: other"
    ));
    fails(&format!("{quantile}  expect warn regex: got 3"));
    fails("eval_warn instant at 5m a{x=\"1\"}\n  a{x=\"1\"} 5");
    passes("eval_warn instant at 5m quantile(2, a)\n  {} Inf");
}

#[test]
fn loads_add_up_until_clear() {
    let report = run(
        "load 1m\n a 1\n\nload 1m\n b 2\n\neval instant at 0 {__name__=~\".+\"}\n a 1\n b 2\n\n\
                      clear\n\neval instant at 0 a\n\nload 1m\n a 3\n\neval instant at 0 a\n a 3",
    );
    assert_eq!((report.passed, report.failed), (3, 0), "{report:#?}");
}

#[test]
fn a_failed_load_fails_what_follows() {
    let loads = "load 1m\n a 1 2\n\nload 1m\n a 2 3\n\n";
    let report = run(&format!(
        "{loads}eval instant at 0 b\n\nclear\n\neval instant at 0 b"
    ));
    assert_eq!((report.passed, report.failed), (1, 1));
    assert!(
        report.failures[0].message.contains("line 4: load failed"),
        "{report:?}"
    );
    let report = run(loads);
    assert_eq!((report.passed, report.failed), (0, 1));
}

#[test]
fn classic_histograms_are_converted() {
    let script = |count: u32, expected: &str| {
        run(&format!(
            "load_with_nhcb 1m\n  h_bucket{{le=\"1\",x=\"y\"}} 2\n  h_bucket{{le=\"+Inf\",x=\"y\"}} 5\n  \
             h_bucket{{le=\"?\",x=\"y\"}} 9\n  h_count{{x=\"y\"}} {count}\n  h_sum{{x=\"y\"}} 7\n\n\
             eval instant at 0 h\n  h{{x=\"y\"}} {expected}\n\n\
             eval instant at 0 h_count\n  h_count{{x=\"y\"}} {count}"
        ))
    };
    let expected = "{{schema:-53 sum:7 count:5 custom_values:[1] buckets:[2 3]}}";
    assert_eq!(script(5, expected).passed, 2, "{:#?}", script(5, expected));
    assert_eq!(
        script(
            5,
            "{{schema:-53 sum:7 count:5 custom_values:[2] buckets:[2 3]}}"
        )
        .failed,
        1
    );
    assert_eq!(script(6, expected).failed, 2);
}

#[test]
fn start_timestamps_are_loaded() {
    let script = |st: &str| {
        run(&format!(
            "load 1m\n  a@st {st}\n  a 5 6\n\neval instant at 1m resets(a[2m])\n  {{}} 1"
        ))
    };
    assert_eq!(script("_ -30s").failed, 0, "{:#?}", script("_ -30s"));
    assert_eq!(script("_ _").failed, 1);
    assert_eq!(
        script("_").failures[0].message,
        "1 start timestamps for 2 samples"
    );
}

#[test]
fn comments_and_numbers_end_blocks() {
    // The comment leaves nothing below the eval; what follows it is no statement.
    let report = run("eval instant at 0 1\n# note\n  1\n");
    assert_eq!(report.failures[0].line, 3);
    let report = run("eval instant at 0 1\n  1\nEVAL instant at 0 2\n  2\n");
    assert_eq!((report.passed, report.failed), (2, 0), "{report:#?}");
}

#[test]
fn files_that_are_no_scripts() {
    let bad = [
        ("evil\n", 1),
        ("\nload\n a 1\n", 2),
        ("load 1x\n a 1\n", 1),
        ("load_more 1m\n a 1\n", 1),
        ("load 1m\n a{ 1\n", 2),
        ("load 1m\n a NaNx3\n", 2),
        ("load 1m\n a@st 1s\n b 1\n", 3),
        ("load 1m\n a@st 1s\n", 2),
        ("eval instant at 0 sum(\n", 1),
        ("eval instant at 0 a[5m] + 1\n", 1),
        ("eval instant a\n", 1),
        ("eval instant at 0 a\n a 1 2\n", 1),
        ("eval instant at 0 a\n a\n", 1),
        ("eval instant at 0 a\n expect nothing\n", 2),
        ("eval instant at 0 a\n expect warn\n expect no_warn\n", 1),
        ("eval instant at 0 a\n expect fail\n expect fail\n", 3),
        ("eval instant at 0 a\n expect fail regex: a(b\n", 2),
        ("eval instant at 0 a\n expect string x\n", 2),
        ("eval instant at 0 a\n a 1\n 5\n", 1),
        ("eval range from 0 to 1m step 1m a\n expect ordered\n", 1),
        ("eval_some instant at 0 a\n", 1),
    ];
    for (script, line) in bad {
        let error = Script::parse("t.test", script).expect_err(script);
        assert_eq!(error.line, line, "{script}\n{error}");
        assert!(error.to_string().starts_with(&format!("t.test:{line}: ")));
    }
    let report = run("eval instant at 0 1\n  1\n\neval instant at 0 (\n");
    assert_eq!((report.passed, report.failed), (0, 2));
    assert_eq!(run("evil").failed, 1);
}

#[test]
fn failures_are_readable() {
    let report = run_over_data("eval instant at 5m a{x=\"1\"}\n  a{x=\"1\"} 6");
    assert_eq!(
        report.failures[0].to_string(),
        "t.test:6: a{x=\"1\"}\n    expected {__name__=\"a\", x=\"1\"} 6\n         \
         got {__name__=\"a\", x=\"1\"} 5"
    );
}

fn scripts(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path());
    let mut files: Vec<_> = entries
        .filter(|f| f.extension().is_some_and(|e| e == "test"))
        .collect();
    files.sort();
    files
}

#[test]
fn scripts_of_the_repository_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/promql");
    let files = scripts(&folder);
    assert!(!files.is_empty());
    let mut total = Report::default();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file.file_name().unwrap().to_string_lossy();
        total.merge(run_text(&name, &text, &mut || Box::new(MemoryStore::new())));
    }
    let failures: Vec<_> = total.failures.iter().map(ToString::to_string).collect();
    assert!(total.is_success(), "{}", failures.join("\n\n"));
    assert!(total.passed > 50);
}
