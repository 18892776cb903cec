//! Writing: CPU, memory, latency and disk of the same samples by remote write.

use std::time::Duration;

use anyhow::Result;

use crate::fleet::{self, Fleet, SERIES};
use crate::load::{self, Sender, Sent};
use crate::restart;
use crate::server::{Peer, Server};
use crate::table::{Table, number, ratio};
use crate::{Plan, note};

/// What writing has cost one program.
pub(crate) struct Ingested {
    peer: Peer,
    sent: Sent,
    /// CPU seconds until the last answer.
    cpu: f64,
    /// CPU seconds until the program had come to rest.
    cpu_settled: f64,
    /// Memory before the first sample.
    idle: f64,
    rss: f64,
    peak: f64,
    rss_settled: f64,
    disk: u64,
    /// Microseconds of CPU for each series never seen before, with one sample.
    new_series: f64,
}

/// Sends the plan's samples to one program and waits until it rests.
pub(crate) fn fill(server: &Server, plan: &Plan) -> Result<Ingested> {
    note(&format!("{}: writing", server.peer.title()));
    let mut fleet = Fleet::new(plan.targets, plan.seed, plan.start_ms);
    let (idle, _) = server.rss()?;
    let before = server.cpu()?;
    let sent = load::send(server, &mut fleet, 0..plan.scrapes, plan.way)?;
    let cpu = server.cpu()? - before;
    let (rss, _) = server.rss()?;
    restart::wait_visible(server, plan)?;
    server.settle(Duration::from_mins(1))?;
    let (rss_settled, peak) = server.rss()?;
    if let Some(refusal) = &sent.refusal {
        note(&format!(
            "{}: {} samples refused, first: {refusal}",
            server.peer.title(),
            sent.refused
        ));
    }
    Ok(Ingested {
        peer: server.peer,
        sent,
        cpu,
        cpu_settled: server.cpu()? - before,
        idle,
        rss,
        peak,
        rss_settled,
        disk: server.disk(),
        new_series: f64::NAN,
    })
}

/// Sends one sample each of series never seen before.
pub(crate) fn new_series(server: &Server, plan: &Plan, done: &mut Ingested) -> Result<()> {
    if plan.new_series == 0 {
        return Ok(());
    }
    note(&format!("{}: new series", server.peer.title()));
    let start = plan.end_ms() - fleet::STEP_MS;
    let targets = plan.new_series.div_ceil(SERIES);
    let mut sender = Sender::new(server, plan.way.batch);
    let before = server.cpu()?;
    fleet::strangers(targets, plan.seed + 1, start, |mut target| {
        target.scrape(0, start, |l, t, v| sender.push(l, t, v));
        sender.send_full()
    })?;
    sender.send()?;
    let cpu = server.cpu()? - before;
    done.new_series = cpu * 1e6 / sender.sent.samples as f64;
    Ok(())
}

/// The table of all programs.
pub(crate) fn print(all: &[Ingested], plan: &Plan) {
    let ours = all.iter().position(|i| i.peer == Peer::Tsdb);
    let others: Vec<usize> = (0..all.len())
        .filter(|i| ours.is_some_and(|o| o != *i))
        .collect();
    let titles: Vec<String> = others
        .iter()
        .map(|i| format!("tsdb / {}", all[*i].peer.title()))
        .collect();
    let mut head = vec![""];
    head.extend(titles.iter().map(String::as_str));
    head.extend(all.iter().map(|i| i.peer.title()));
    let mut table = Table::new(&head);
    let mut row = |name: &str, value: &dyn Fn(&Ingested) -> f64| {
        let values: Vec<f64> = all.iter().map(value).collect();
        let mut cells = vec![name.to_owned()];
        if let Some(ours) = ours {
            cells.extend(others.iter().map(|i| ratio(values[ours], values[*i])));
        }
        cells.extend(values.iter().map(|v| number(*v)));
        table.row(cells);
    };
    let millions = |i: &Ingested| i.sent.samples as f64 / 1e6;
    row("CPU s per million samples, to the last answer", &|i| {
        i.cpu / millions(i)
    });
    row("the same, until at rest", &|i| i.cpu_settled / millions(i));
    row("CPU us per new series", &|i| i.new_series);
    row("RSS when started, MiB", &|i| i.idle);
    row("RSS after the last answer, MiB", &|i| i.rss);
    row("RSS at rest, MiB", &|i| i.rss_settled);
    row("peak RSS, MiB", &|i| i.peak);
    row("write p50, ms", &|i| i.sent.quantile_ms(0.5));
    row("write p99, ms", &|i| i.sent.quantile_ms(0.99));
    row(
        "million samples/s (wall; the sender has the same cores)",
        &|i| millions(i) / i.sent.wall.as_secs_f64(),
    );
    row("bytes on disk per sample, at rest", &|i| {
        i.disk as f64 / i.sent.samples as f64
    });
    row("samples stored, million", &millions);
    row("samples refused", &|i| i.sent.refused as f64);
    row("requests sent again", &|i| i.sent.again as f64);
    table.print(&format!(
        "Ingest: {} series x {} scrapes, bodies of {} samples, {} connections",
        plan.targets * SERIES,
        plan.scrapes,
        plan.way.batch,
        plan.way.connections
    ));
}
