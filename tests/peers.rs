//! Random queries against a real Prometheus over the same samples. Runs where `PEERS` names a folder
//! with the `prometheus` binary, and says so where it does not.
//!
//! `PEERS=DIR QUERIES=20000 SEED=7 cargo test --release --test integration peers -- --nocapture`

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Pages, Server, escape, free_port, http, http_get, wait_for, write};

mod api;
mod generate;
mod node;
mod openapi;
mod promtool;

use generate::{Generator, exposition};

/// A real Prometheus; killed when dropped.
struct Prometheus {
    child: Child,
    url: String,
}

impl Prometheus {
    fn start(binary: &Path, dir: &Path, config: &Path) -> Self {
        let port = free_port();
        let child = Command::new(binary)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--enable-feature=promql-experimental-functions,exemplar-storage")
            .args(["--web.enable-admin-api", "--web.enable-lifecycle"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus starts");
        let url = format!("http://127.0.0.1:{port}");
        wait_for("prometheus", || {
            (http_get(&format!("{url}/-/ready")).ok()?.status == 200).then_some(())
        });
        Self { child, url }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn env_number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(default)
}

fn ask(url: &str, path: &str) -> (u16, Value) {
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let (path, body) = path.split_once('?').unwrap();
    let r = http("POST", &format!("{url}{path}"), &form, body).expect("an answer");
    (
        r.status,
        serde_json::from_str(&r.body).unwrap_or(Value::String(r.body)),
    )
}

/// Results with series as keys, so that the order of instant vectors does not matter.
fn normal(data: &Value) -> BTreeMap<String, &Value> {
    let mut out = BTreeMap::new();
    match data["result"].as_array() {
        Some(list) if list.iter().all(Value::is_object) => {
            for series in list {
                out.insert(series["metric"].to_string(), series);
            }
        }
        _ => drop(out.insert(String::new(), data)),
    }
    out
}

#[derive(PartialEq, PartialOrd, Clone, Copy, Debug)]
enum Difference {
    None,
    /// Largest relative difference of two numbers.
    Rounding(f64),
    Other,
}

fn compare(a: &Value, b: &Value) -> Difference {
    if a == b {
        return Difference::None;
    }
    match (a, b) {
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            worst(x.iter().zip(y).map(|(x, y)| compare(x, y)))
        }
        (Value::Object(x), Value::Object(y)) if x.len() == y.len() => worst(
            x.iter()
                .map(|(k, v)| y.get(k).map_or(Difference::Other, |w| compare(v, w))),
        ),
        (Value::Number(x), Value::Number(y)) if x.as_f64() == y.as_f64() => Difference::None,
        (Value::String(x), Value::String(y)) => match (x.parse::<f64>(), y.parse::<f64>()) {
            (Ok(x), Ok(y)) if x.is_finite() && y.is_finite() => {
                Difference::Rounding((x - y).abs() / x.abs().max(y.abs()).max(f64::MIN_POSITIVE))
            }
            _ => Difference::Other,
        },
        _ => Difference::Other,
    }
}

fn worst(all: impl Iterator<Item = Difference>) -> Difference {
    all.fold(Difference::None, |a, b| if b > a { b } else { a })
}

/// What differs between two answers, if anything but rounding does.
fn difference(ours: &(u16, Value), theirs: &(u16, Value)) -> Result<f64, String> {
    if ours.0 != theirs.0 {
        return Err(format!("status {} instead of {}", ours.0, theirs.0));
    }
    if ours.0 != 200 {
        let same = ours.1["errorType"] == theirs.1["errorType"];
        let texts = (ours.1["error"].as_str(), theirs.1["error"].as_str());
        // Which of several duplicates is named first depends on the order of series.
        let order_free = |t: Option<&str>| {
            t.map(|t| t.split_once(": [").map_or(t, |(head, _)| head).to_string())
        };
        return if same && order_free(texts.0) == order_free(texts.1) {
            Ok(0.0)
        } else {
            Err("another error".into())
        };
    }
    let (a, b) = (&ours.1["data"], &theirs.1["data"]);
    if a["resultType"] != b["resultType"] {
        return Err("another result type".into());
    }
    let (x, y) = (normal(a), normal(b));
    if x.keys().ne(y.keys()) {
        return Err(format!(
            "{} series instead of {}, or others",
            x.len(),
            y.len()
        ));
    }
    let rounding = match worst(x.iter().map(|(k, v)| compare(v, y[k]))) {
        Difference::None => 0.0,
        Difference::Rounding(d) if d <= 1e-12 => d,
        Difference::Rounding(d) => return Err(format!("values differ by {d:e}")),
        Difference::Other => return Err("other values".into()),
    };
    for notes in ["warnings", "infos"] {
        let sorted = |v: &Value| {
            let mut list: Vec<String> = v[notes]
                .as_array()
                .into_iter()
                .flatten()
                .map(Value::to_string)
                .collect();
            list.sort();
            list
        };
        if sorted(&ours.1) != sorted(&theirs.1) {
            return Err(format!("other {notes}"));
        }
    }
    Ok(rounding)
}

#[test]
fn random_queries_answer_as_prometheus_does() {
    let Some(peers) = std::env::var_os("PEERS") else {
        println!("skipped: PEERS does not name a folder with the prometheus binary");
        return;
    };
    let binary = Path::new(&peers).join("prometheus");
    let queries = env_number("QUERIES", 2000);
    let seed = env_number("SEED", 1);
    let pages = Pages::start();
    let now = i64::try_from(
        std::time::UNIX_EPOCH
            .elapsed()
            .expect("after 1970")
            .as_millis(),
    )
    .unwrap();
    // Half an hour of history in one page, at explicit times.
    let end = now / 60_000 * 60_000;
    let start = end - 1_800_000;
    pages.set("/metrics", &exposition(start, end));
    let dir = TempDir::new().unwrap();
    let yaml = format!(
        "scrape_configs:\n  - job_name: fuzz\n    scrape_interval: 1h\n    scrape_timeout: 30s\n    \
         honor_labels: true\n    static_configs:\n      - targets: ['{}']\n",
        pages.address
    );
    let config = write(&dir.path().join("prometheus.yml"), &yaml);
    let theirs = {
        // Prometheus scrapes at an offset within the interval: start with a short one.
        let fast = yaml.replace("1h", "2s").replace("30s", "2s");
        let file = write(&dir.path().join("fast.yml"), &fast);
        Prometheus::start(&binary, &dir.path().join("theirs"), &file)
    };
    let ours = Server::start(
        &dir.path().join("ours"),
        &[
            &format!("--config.file={}", config.display()),
            "--enable-feature=promql-experimental-functions",
        ],
    );
    let everything = format!(
        "/api/v1/query?query={}&time={}",
        escape("count({a!=\"\"})"),
        end / 1000
    );
    for url in [&ours.url, &theirs.url] {
        wait_for("the samples", || {
            let (status, answer) = ask(url, &everything);
            (status == 200 && answer["data"]["result"][0].is_object()).then_some(())
        });
    }

    let mut generator = Generator::new(seed);
    let (mut same, mut rounded, mut failed) = (0_u64, 0_u64, 0_u64);
    let mut failures: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for _ in 0..queries {
        let query = generator.query();
        let path = generator.request(&query, start, end);
        let (a, b) = (ask(&ours.url, &path), ask(&theirs.url, &path));
        match difference(&a, &b) {
            Ok(0.0) => same += 1,
            Ok(_) => rounded += 1,
            Err(why) => {
                failed += 1;
                let short = |v: &Value| v.to_string().chars().take(600).collect::<String>();
                failures.entry(why).or_default().push(format!(
                    "{query}\n    {path}\n    ours:   {}\n    theirs: {}",
                    short(&a.1),
                    short(&b.1)
                ));
            }
        }
    }
    for (why, cases) in &failures {
        println!("-- {why}: {} queries", cases.len());
        let mut shortest: Vec<_> = cases.iter().collect();
        shortest.sort_by_key(|c| c.find('\n'));
        for case in shortest.iter().take(6) {
            println!("  {case}");
        }
    }
    println!("{same} the same, {rounded} within 1e-12, {failed} different");
    assert_eq!(failed, 0, "of {queries} queries with seed {seed}");
}
