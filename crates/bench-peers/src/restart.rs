//! `kill -9` right after the last answer: how long until ready, and what is lost.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::fleet::{self, Fleet};
use crate::load;
use crate::server::{Peer, Programs, Server, pause};
use crate::table::{Table, number};
use crate::{Plan, note};

/// Fills, kills and starts each program.
pub(crate) fn run(programs: &Programs, peers: &[Peer], dir: &Path, plan: &Plan) -> Result<()> {
    let mut table = Table::new(&[
        "program",
        "ready after, s",
        "all series answered after, s",
        "CPU s of the start",
        "acknowledged samples",
        "of them lost",
    ]);
    for peer in peers {
        note(&format!("{}: filling", peer.title()));
        let mut server = Server::start(programs, *peer, &dir.join("restart"))?;
        let mut fleet = Fleet::new(plan.targets, plan.seed, plan.start_ms);
        let sent = load::send(&server, &mut fleet, 0..plan.scrapes, plan.way)?;
        server.kill()?;
        note(&format!("{}: killed, starting", peer.title()));
        let from = Instant::now();
        server.respawn()?;
        server.wait_ready()?;
        let ready = from.elapsed();
        let mut answered = f64::NAN;
        while from.elapsed().as_secs() < 60 {
            let v = value(&server, "count(node_boot_time_seconds)", plan.end_ms())?;
            if v as usize == plan.targets {
                answered = from.elapsed().as_secs_f64();
                break;
            }
            pause(5);
        }
        let cpu = server.cpu()?;
        let acknowledged = sent.samples - sent.markers;
        let held = held(&server, plan)?;
        table.row(vec![
            peer.title().to_owned(),
            number(ready.as_secs_f64()),
            number(answered),
            number(cpu),
            acknowledged.to_string(),
            (acknowledged as i64 - held as i64).to_string(),
        ]);
    }
    table.print(&format!(
        "kill -9 and start, {} series x {} scrapes",
        plan.targets * fleet::SERIES,
        plan.scrapes
    ));
    Ok(())
}

/// Waits until a program shows what it has been sent. VictoriaMetrics holds new samples back for
/// some seconds and would answer the first questions with nothing, at no cost; it also writes its
/// parts out a few seconds later.
pub(crate) fn wait_visible(server: &Server, plan: &Plan) -> Result<()> {
    if server.peer == Peer::Victoria {
        server.client().get("/internal/force_flush")?;
        pause(8000);
    }
    for _ in 0..100 {
        let v = value(server, "count(node_boot_time_seconds)", plan.end_ms())?;
        if v as usize == plan.targets {
            return Ok(());
        }
        pause(200);
    }
    bail!("{} doesn't show what it was sent", server.peer.title())
}

/// Samples that a program can still show, staleness markers not counted.
fn held(server: &Server, plan: &Plan) -> Result<u64> {
    let mut all = 0.0;
    // A scrape may be late by two seconds, and a range leaves out its left end.
    let end = plan.end_ms() + 5000;
    let range = (end - plan.start_ms) / 1000 + 1;
    for name in fleet::names() {
        all += value(
            server,
            &format!("sum(count_over_time({name}[{range}s]))"),
            end,
        )?;
    }
    Ok(all as u64)
}

/// The one number that a query gives, 0 for an empty answer.
fn value(server: &Server, query: &str, at_ms: i64) -> Result<f64> {
    let mut form = vec![
        ("query", query.to_owned()),
        ("time", (at_ms / 1000).to_string()),
    ];
    if server.peer == Peer::Victoria {
        form.push(("nocache", "1".to_owned()));
    }
    let answer = server.client().form("/api/v1/query", &form)?;
    if answer.status != 200 {
        bail!("{query}: {}", String::from_utf8_lossy(&answer.body));
    }
    let answer: Value = serde_json::from_slice(&answer.body)?;
    let result = answer["data"]["result"].as_array().context("no result")?;
    match result.first() {
        Some(first) => Ok(first["value"][1].as_str().context("no value")?.parse()?),
        None => Ok(0.0),
    }
}
