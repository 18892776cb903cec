//! Blocks of the real program: nothing that was acknowledged is lost when it is killed while it cuts
//! and merges them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use crate::support::{Server, http, now_ms, pause, stdout, wait_for, write};

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

#[test]
fn a_directory_can_be_looked_into_beside_its_server_and_after_its_death() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let config = write(&dir.path().join("none.yml"), "scrape_configs: []\n");
    let config = format!("--config.file={}", config.display());
    let server = Server::start(&data, &[&config, "--storage.tsdb.min-block-duration=1s"]);
    let start = now_ms() / 1000 * 1000 - 10_000;
    let url = format!("{}/api/v1/import", server.url);
    for t in (start..start + 8000).step_by(100) {
        let page: String = (0..SERIES)
            .map(|i| format!("kept{{number=\"{i}\",job=\"j\"}} {}.{i} {t}\n", t % 997))
            .collect();
        let headers = [("Content-Type", "text/plain")];
        assert_eq!(http("POST", &url, &headers, &page).unwrap().status, 204);
    }
    let data = data.to_str().unwrap();
    let json = |what: &str| -> serde_json::Value {
        let text = stdout(&["inspect", what, data, "--format=json"]);
        serde_json::from_str(&text).unwrap()
    };
    let in_blocks = || -> u64 {
        let blocks = json("blocks");
        let used = blocks.as_array().unwrap().iter();
        let used = used.filter(|b| b["state"] == "used");
        used.map(|b| b["samples"].as_u64().unwrap()).sum()
    };
    // Not their number: merges make it smaller again.
    let enough = 5 * 10 * SERIES as u64;
    wait_for("the blocks", || (in_blocks() >= enough).then_some(()));
    let check = || {
        assert!(in_blocks() >= enough);
        let segments = json("wal");
        assert!(!segments.as_array().unwrap().is_empty());
        assert!(json("head")["series"].as_u64().unwrap() <= SERIES as u64);
        let usage = json("cardinality");
        assert_eq!(usage["series"], SERIES);
        assert_eq!(usage["metrics"][0]["name"], "kept");
        assert_eq!(usage["targets"][0]["job"], "j");
        let verified = json("verify");
        assert_eq!(verified["problems"], serde_json::json!([]));
        let lines = stdout(&["inspect", "dump", data, "--match", "kept{number=\"7\"}"]);
        assert_eq!(lines.lines().count(), 80, "{lines}");
        let first = format!(
            "{{__name__=\"kept\", job=\"j\", number=\"7\"}} {}.7 {start}",
            start % 997
        );
        assert_eq!(lines.lines().next(), Some(first.as_str()));
        for what in ["blocks", "wal", "head", "cardinality", "verify"] {
            assert!(
                stdout(&["inspect", what, data]).lines().count() > 0,
                "{what}"
            );
        }
    };
    check();
    // What was dumped can be imported again: everything is there already.
    let lines = stdout(&["inspect", "dump", data, "--format=json"]);
    let headers = [("Content-Type", "application/json")];
    assert_eq!(http("POST", &url, &headers, &lines).unwrap().status, 204);
    server.kill();
    check();

    // A flipped bit in each file is found, named and told by the exit code.
    for folder in ["blocks", "wal"] {
        let entries = std::fs::read_dir(Path::new(data).join(folder)).unwrap();
        let mut files: Vec<_> = entries.map(|e| e.unwrap().path()).collect();
        files.sort();
        let file = &files[0];
        let sound = std::fs::read(file).unwrap();
        let mut damaged = sound.clone();
        damaged[sound.len() / 2] ^= 4;
        put(file, &damaged);
        let output = crate::support::run(&["inspect", "verify", data]);
        put(file, &sound);
        assert_eq!(output.status.code(), Some(3));
        let text = String::from_utf8(output.stdout).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(text.contains(&format!("{folder}/{name}, byte ")), "{text}");
    }
    stdout(&["inspect", "verify", data]);
    let nothing = crate::support::run(&["inspect", "blocks", dir.path().to_str().unwrap()]);
    assert_eq!(nothing.status.code(), Some(1));
}

#[expect(clippy::disallowed_methods, reason = "damages a file on purpose")]
fn put(file: &Path, bytes: &[u8]) {
    std::fs::write(file, bytes).unwrap();
}
