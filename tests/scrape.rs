//! Scraping with the real program: pages of real exporters compared value by value, and what
//! happens to series, scrapes and targets that go wrong or go away.

mod ends;
mod exporters;
mod exposed;
mod failures;
mod labels;
mod pages;

use std::collections::BTreeMap;

use tempfile::TempDir;

use crate::support::{Server, write};

type LabelMap = BTreeMap<String, String>;

/// A server with the configuration `yaml`, and where that is.
struct Setup {
    dir: TempDir,
    server: Server,
}

impl Setup {
    fn new(yaml: &str) -> Self {
        let dir = TempDir::new().unwrap();
        write(&dir.path().join("prometheus.yml"), yaml);
        let server = serve(&dir);
        Self { dir, server }
    }

    fn reload(&self, yaml: &str) {
        write(&self.dir.path().join("prometheus.yml"), yaml);
        self.server.signal("HUP");
    }
}

fn serve(dir: &TempDir) -> Server {
    let config = dir.path().join("prometheus.yml");
    let flag = format!("--config.file={}", config.display());
    Server::start(&dir.path().join("data"), &[&flag])
}

/// `lastError` of the only target of a job; `None` before its first scrape.
fn last_error(server: &Server, job: &str) -> Option<String> {
    let targets = server.data("/api/v1/targets?state=active");
    let mut targets = targets["activeTargets"].as_array().unwrap().iter();
    let target = targets.find(|t| t["scrapePool"] == job)?;
    let error = target["lastError"].as_str().unwrap().to_string();
    (target["health"] != "unknown").then_some(error)
}
