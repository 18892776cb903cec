//! Blocks of the real program: nothing that was acknowledged is lost when it is killed while it cuts
//! and merges them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use crate::support::{Server, http, now_ms, pause, wait_for, write};

const SERIES: usize = 40;

/// What was acknowledged, and what may be there besides: time to value.
#[derive(Default)]
struct Sent {
    acknowledged: BTreeMap<i64, u64>,
    unknown: BTreeMap<i64, u64>,
    number: u64,
    /// In time at even milliseconds, late at odd ones: no time comes twice.
    last: i64,
    last_late: i64,
}

impl Sent {
    /// Pushes a sample of every series; every fourth is some seconds late.
    fn push(&mut self, url: &str) {
        self.number += 1;
        let now = now_ms() / 2 * 2;
        let t = if self.number.is_multiple_of(4) {
            self.last_late = (now - 6001).max(self.last_late + 2);
            self.last_late
        } else {
            self.last = now.max(self.last + 2);
            self.last
        };
        let page: String = (0..SERIES)
            .map(|i| format!("pushed{{number=\"{i}\"}} {}.{i} {t}\n", self.number))
            .collect();
        let url = format!("{url}/api/v1/import");
        match http("POST", &url, &[("Content-Type", "text/plain")], &page) {
            Ok(answer) if answer.status == 204 => self.acknowledged.insert(t, self.number),
            _ => self.unknown.insert(t, self.number),
        };
    }

    /// Every acknowledged sample is there with its value, and nothing that was never sent.
    fn check(&self, server: &Server, round: usize) {
        let found = server.query("pushed[1h]");
        assert!(found.len() == SERIES || self.acknowledged.is_empty());
        for series in found {
            let number = series["metric"]["number"].as_str().unwrap();
            let mut left = self.acknowledged.clone();
            for point in series["values"].as_array().unwrap() {
                let t = (point[0].as_f64().unwrap() * 1000.0).round() as i64;
                let sent = left.remove(&t).or_else(|| self.unknown.get(&t).copied());
                let sent = sent.unwrap_or_else(|| panic!("round {round}: {t} was never sent"));
                let value = format!("{sent}.{number}").parse::<f64>().unwrap();
                assert_eq!(
                    point[1].as_str().unwrap().parse::<f64>().unwrap(),
                    value,
                    "round {round}: series {number} at {t}"
                );
            }
            assert!(
                left.is_empty(),
                "round {round}: {} acknowledged samples of series {number} are gone, first {:?}",
                left.len(),
                left.first_key_value()
            );
        }
    }
}

fn counter(server: &Server, name: &str) -> u64 {
    let page = server.get("/metrics").body;
    let line = page
        .lines()
        .find_map(|l| l.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap().parse::<f64>().unwrap() as u64
}

/// Files of the folder of blocks, unfinished ones left out.
fn block_files(data: &Path) -> usize {
    let folder = std::fs::read_dir(data.join("blocks")).unwrap();
    let names = folder.map(|e| e.unwrap().file_name().into_string().unwrap());
    names
        .filter(|n| Path::new(n).extension().is_some_and(|e| e == "block"))
        .count()
}

#[test]
fn nothing_acknowledged_is_lost_while_blocks_are_cut_and_merged() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let config = write(&dir.path().join("none.yml"), "scrape_configs: []\n");
    let config = format!("--config.file={}", config.display());
    // Blocks of a second, merged each twelve seconds.
    let flags = [config.as_str(), "--storage.tsdb.min-block-duration=1s"];
    let mut sent = Sent::default();
    let (mut compactions, mut blocks) = (0, 0);
    for round in 0..20 {
        let server = Server::start(&data, &flags);
        sent.check(&server, round);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    sent.push(&server.url);
                    pause(Duration::from_millis(5));
                }
            });
            // Any moment of a second, differently each round.
            pause(Duration::from_millis(1000 + round as u64 * 377 % 1000));
            compactions += counter(&server, "prometheus_tsdb_compactions_total");
            blocks = blocks.max(counter(&server, "prometheus_tsdb_blocks_loaded"));
            server.signal("KILL");
            stop.store(true, Ordering::Relaxed);
            sender.join().unwrap();
        });
        drop(server);
    }
    let server = Server::start(&data, &flags);
    sent.check(&server, 20);
    assert!(sent.acknowledged.len() > 500, "{}", sent.acknowledged.len());
    // Blocks were cut in nearly every round, and there were fewer in the end: merged ones.
    assert!(compactions >= 15, "{compactions}");
    assert!(blocks >= 5, "{blocks}");
    wait_for("the last merges", || {
        ((block_files(&data) as u64) < compactions).then_some(())
    });
    sent.check(&server, 21);
}
