//! Whole pages of real exporters, held against a count that knows nothing of the parsers.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tsdb_wire::openmetrics::OpenMetricsParser;
use tsdb_wire::text::{Entry, TextParser};

// The one list of pages, which the tests of whole scrapes use, too.
#[path = "../../../tests/scrape/pages.rs"]
mod pages;

use pages::pages;

/// What a page has, as far as splitting lines tells.
#[derive(Debug, Default, PartialEq)]
struct Counts {
    samples: usize,
    names: BTreeSet<String>,
    help: usize,
    types: BTreeSet<String>,
    units: usize,
    exemplars: usize,
    labels: usize,
}

fn naive(page: &str) -> Counts {
    let mut counts = Counts::default();
    for line in page.lines().filter(|l| !l.is_empty() && *l != "# EOF") {
        if line.starts_with("# HELP ") {
            counts.help += 1;
        } else if line.starts_with("# UNIT ") {
            counts.units += 1;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let family = rest.rsplit_once(' ').unwrap().0;
            counts.types.insert(family.trim_matches('"').to_string());
        } else {
            counts.samples += 1;
            counts.exemplars += usize::from(line.contains(" # {"));
            let series = line.split(" # {").next().unwrap();
            let name = match series.strip_prefix("{\"") {
                Some(quoted) => quoted.split('"').next().unwrap(),
                None => series.split(['{', ' ']).next().unwrap(),
            };
            counts.names.insert(name.to_string());
            // No value in these pages has `="` in it.
            counts.labels += series.matches("=\"").count();
        }
    }
    counts
}

fn parsed(name: &str, page: &str) -> Counts {
    let mut counts = Counts::default();
    let open = page.ends_with("# EOF\n");
    let mut text = TextParser::new(page.as_bytes());
    let mut open_metrics = OpenMetricsParser::new(page.as_bytes());
    loop {
        let entry = if open {
            open_metrics.next()
        } else {
            text.next()
        };
        match entry.unwrap_or_else(|e| panic!("{name}: {e}")) {
            None => return counts,
            Some(Entry::Help { .. }) => counts.help += 1,
            Some(Entry::Unit { .. }) => counts.units += 1,
            Some(Entry::Type { family, .. }) => {
                counts.types.insert(family.into_owned());
            }
            Some(Entry::Series(line)) => {
                counts.samples += 1;
                counts.exemplars += usize::from(line.exemplar.is_some());
                let mut labels = Vec::new();
                line.labels(&mut labels).unwrap();
                assert_eq!(labels[0].0, "__name__");
                counts.names.insert(labels[0].1.to_string());
                counts.labels += labels.len() - 1;
            }
        }
    }
}

#[test]
fn every_line_of_every_page_is_read() {
    for (name, page) in pages() {
        let counts = parsed(&name, &page);
        assert!(counts.samples > 50, "{name}: {counts:?}");
        assert_eq!(counts, naive(&page), "{name}");
    }
}

/// The peers' `promtool`, where somebody has put it.
fn promtool() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(std::env::var_os("TSDB_PEERS").map(|dir| Path::new(&dir).join("usr/bin")));
    folders
        .into_iter()
        .map(|folder| folder.join("promtool"))
        .find(|program| program.is_file())
}

#[test]
fn promtool_takes_the_text_pages() {
    let Some(promtool) = promtool() else {
        return; // not on this machine
    };
    for (name, page) in pages().iter().filter(|(_, p)| !p.ends_with("# EOF\n")) {
        let mut child = Command::new(&promtool)
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(page.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        // 3: it can be read, but does not follow all conventions.
        assert!(
            matches!(output.status.code(), Some(0 | 3)),
            "{name}: {errors}"
        );
    }
}
