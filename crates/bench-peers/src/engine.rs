//! The same questions inside this process, without a server between: CPU of evaluating and of
//! rendering each, with one thread and with all, and a fingerprint of the answer that must not
//! change from one build to the next.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use rustix::time::{ClockId, clock_gettime};
use tsdb::{
    Db, Engine, EngineOptions, Labels, ManualClock, Matcher, Options, QueryOptions, SelectHints,
    SeriesRef, WalSync,
};
use tsdb_http::json::{data_json, write_labels};

use crate::fleet::{Fleet, SERIES};
use crate::queries::{Ask, QUESTIONS, Question};
use crate::table::{Table, number, ratio};
use crate::{Plan, note};

/// CPU seconds of this process.
fn cpu() -> f64 {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}

/// Resident memory now and at its peak, MiB.
fn rss() -> (f64, f64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(name));
        let kib = line.and_then(|l| l.split_ascii_whitespace().next()?.parse::<f64>().ok());
        kib.unwrap_or(f64::NAN) / 1024.0
    };
    (field("VmRSS:"), field("VmHWM:"))
}

/// Labels as `fleet` encodes them: a field of one length byte with two fields of the same kind.
fn labels(mut encoded: &[u8]) -> Result<Labels> {
    let mut pairs = Vec::new();
    let mut field = |n: usize| -> Result<String> {
        let (head, rest) = encoded.split_at_checked(n).context("short label")?;
        let len = usize::from(*head.last().context("short label")?);
        let (text, rest) = rest.split_at_checked(len).context("short label")?;
        encoded = rest;
        Ok(String::from_utf8(text.to_vec())?)
    };
    while let Ok(name) = field(4) {
        pairs.push((name, field(2)?));
    }
    Ok(Labels::from_pairs(pairs))
}

fn fill(db: &Db, plan: &Plan) -> Result<()> {
    let mut fleet = Fleet::new(plan.targets, plan.seed, plan.start_ms);
    // By address: the labels of a target lie one behind the other.
    let mut refs: HashMap<usize, SeriesRef> = HashMap::new();
    for scrape in 0..plan.scrapes {
        for target in &mut fleet.targets {
            let mut appender = db.appender();
            let mut failed = None;
            target.scrape(scrape, plan.start_ms, |encoded, t, v| {
                let place = encoded.as_ptr() as usize;
                let result = match refs.get(&place) {
                    Some(series) => appender.append(*series, t, v),
                    None => labels(encoded)
                        .map_err(|_| tsdb::AppendError::NoLabels)
                        .and_then(|l| appender.series(&l))
                        .and_then(|series| {
                            refs.insert(place, series);
                            appender.append(series, t, v)
                        }),
                };
                failed = failed.or(result.err());
            });
            if let Some(e) = failed {
                return Err(e.into());
            }
            appender.commit()?;
        }
        if scrape % 240 == 239 {
            db.maintain()?;
        }
    }
    Ok(())
}

/// One answer as text.
fn answer(db: &Db, engine: &Engine, question: &Question, end: i64) -> Result<Answer> {
    let options = QueryOptions::default();
    let before = cpu();
    let from = Instant::now();
    let (text, evaluated) = match question.ask {
        Ask::Instant => {
            let out = engine.instant(db, question.expr, end, &options)?;
            let evaluated = cpu();
            (data_json(&out), evaluated)
        }
        Ask::Range(hours, step) => {
            let start = end - i64::from(hours) * 3_600_000;
            let step = i64::from(step) * 1000;
            let out = engine.range(db, question.expr, start, end, step, &options)?;
            let evaluated = cpu();
            (data_json(&out), evaluated)
        }
        Ask::Meta(path) => {
            let matchers = if question.expr.is_empty() {
                Vec::new()
            } else {
                selector(engine, question.expr)?
            };
            let from = end - 3_600_000;
            let text = meta(db, path, &matchers, (from, end))?;
            (text, cpu())
        }
    };
    Ok(Answer {
        eval: (evaluated - before) * 1000.0,
        render: (cpu() - evaluated) * 1000.0,
        wall: from.elapsed().as_secs_f64() * 1000.0,
        text,
    })
}

struct Answer {
    eval: f64,
    render: f64,
    wall: f64,
    text: String,
}

fn selector(engine: &Engine, expr: &str) -> Result<Vec<Matcher>> {
    match engine.parse(expr)? {
        tsdb::promql::ast::Expr::Vector(selector) => Ok(selector.matchers),
        _ => anyhow::bail!("not a selector: {expr}"),
    }
}

/// What the endpoints for labels and series read.
fn meta(db: &Db, path: &str, matchers: &[Matcher], (from, to): (i64, i64)) -> Result<String> {
    let querier = db.querier(from, to)?;
    let texts = match path {
        "labels" => querier.label_names(matchers, 0)?,
        "series" => {
            let hints = SelectHints {
                start_ms: from,
                end_ms: to,
                step_ms: 0,
                range_ms: 0,
                limit: 0,
                labels_only: true,
            };
            let set = querier.select(&hints, matchers)?;
            let mut all: Vec<Labels> = (0..set.len()).map(|i| set.labels(i)).collect();
            all.sort_unstable();
            let mut out = String::new();
            for labels in &all {
                write_labels(&mut out, labels);
                out.push(',');
            }
            return Ok(out);
        }
        other => {
            let name = other.split('/').nth(1).unwrap_or_default();
            querier.label_values(name, matchers, 0)?
        }
    };
    Ok(texts.join(","))
}

fn fingerprint(text: &str) -> String {
    // Lines of a list may come in any order where Prometheus leaves it open.
    let mut sum = 0u64;
    for part in text.split("},{") {
        let mut hasher = DefaultHasher::new();
        hasher.write(part.as_bytes());
        sum = sum.wrapping_add(hasher.finish());
    }
    format!("{:08x}", sum >> 32)
}

/// Fills a store and asks it.
pub(crate) fn run(dir: &Path, plan: &Plan, times: usize, only: Option<&str>) -> Result<()> {
    let end = plan.end_ms();
    let options = Options {
        wal_sync: WalSync::Never,
        clock: Arc::new(ManualClock::new(end)),
        maintenance_interval_ms: 0,
        ..Options::default()
    };
    let db = Db::open(dir.join("engine"), options)?;
    let from = (cpu(), Instant::now());
    fill(&db, plan)?;
    let stats = db.stats();
    note(&format!(
        "filled in {:.1} CPU s, {:.1} s; {stats:?}",
        cpu() - from.0,
        from.1.elapsed().as_secs_f64()
    ));
    let engine = |threads| {
        Engine::new(EngineOptions {
            threads,
            ..EngineOptions::default()
        })
    };
    let (one, all) = (engine(1), engine(0));
    let mut table = Table::new(&[
        "question",
        "once",
        "eval",
        "render",
        "wall",
        "wall, all",
        "speedup",
        "bytes",
        "answer",
    ]);
    let mut sums = [0.0; 5];
    let idle = rss().0;
    for question in QUESTIONS {
        if only.is_some_and(|o| !question.name.contains(o)) {
            continue;
        }
        let first = answer(&db, &one, question, end)?;
        let mut best = [f64::INFINITY; 4];
        let begin = Instant::now();
        let mut done = 0;
        while done < times || (begin.elapsed().as_secs_f64() < 0.2 && done < 20 * times) {
            done += 1;
            let a = answer(&db, &one, question, end)?;
            let b = answer(&db, &all, question, end)?;
            anyhow::ensure!(
                fingerprint(&a.text) == fingerprint(&b.text),
                "{}: another answer with more threads",
                question.name
            );
            for (best, now) in best.iter_mut().zip([a.eval, a.render, a.wall, b.wall]) {
                *best = best.min(now);
            }
        }
        let once = first.eval + first.render;
        let [eval, render, wall, wall_all] = best;
        for (sum, v) in sums.iter_mut().zip([once, eval, render, wall, wall_all]) {
            *sum += v;
        }
        table.row(vec![
            question.name.to_owned(),
            number(once),
            number(eval),
            number(render),
            number(wall),
            number(wall_all),
            ratio(wall, wall_all),
            first.text.len().to_string(),
            fingerprint(&first.text),
        ]);
    }
    let mut row = vec!["**sum**".to_owned()];
    row.extend(sums.iter().map(|v| number(*v)));
    table.row(row);
    table.print(&format!(
        "In this process, ms, {} series x {} scrapes",
        plan.targets * SERIES,
        plan.scrapes
    ));
    let (now, peak) = rss();
    println!("\nMemory, MiB: {idle:.0} when filled, {now:.0} afterwards, peak {peak:.0}");
    db.close()?;
    Ok(())
}
