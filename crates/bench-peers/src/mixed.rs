//! Writing at a steady rate while dashboards ask.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::fleet::{Fleet, SERIES, STEP_MS};
use crate::load::{self, Sent, Way, quantile};
use crate::queries::{Ask, QUESTIONS};
use crate::random::Random;
use crate::server::{Peer, Programs, Server};
use crate::table::{Table, number};
use crate::{Plan, note};

/// Samples a second.
const RATE: f64 = 100_000.0;
const CLIENTS: u64 = 4;

/// Fills each program with part of the data, then writes the rest at the steady rate while four
/// clients ask questions about the newest hour.
pub(crate) fn run(
    programs: &Programs,
    peers: &[Peer],
    dir: &Path,
    plan: &Plan,
    seconds: usize,
) -> Result<()> {
    let paced = (seconds * RATE as usize / (plan.targets * SERIES)).clamp(1, plan.scrapes);
    let filled = plan.scrapes - paced;
    let mut table = Table::new(&[
        "program",
        "query p50, ms",
        "query p99, ms",
        "queries answered",
        "errors",
        "write p50, ms",
        "write p99, ms",
        "samples/s reached",
        "CPU s",
    ]);
    for peer in peers {
        note(&format!("{}: filling", peer.title()));
        let server = Server::start(programs, *peer, &dir.join("mixed"))?;
        let mut fleet = Fleet::new(plan.targets, plan.seed, plan.start_ms);
        load::send(&server, &mut fleet, 0..filled, plan.way)?;
        server.settle(Duration::from_secs(30))?;
        note(&format!("{}: writing and asking", peer.title()));
        let before = server.cpu()?;
        let stop = AtomicBool::new(false);
        let end_ms = AtomicI64::new(plan.start_ms + filled as i64 * STEP_MS);
        let begun = Instant::now();
        let (sent, clients) = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|n| {
                    let (server, stop, end_ms) = (&server, &stop, &end_ms);
                    scope.spawn(move || ask(server, plan.seed + n, stop, end_ms))
                })
                .collect();
            let sent = write(&server, &mut fleet, filled, plan, &end_ms);
            stop.store(true, Ordering::Relaxed);
            let clients: Vec<_> = clients.into_iter().filter_map(|c| c.join().ok()).collect();
            (sent, clients)
        });
        let (sent, wall) = (sent?, begun.elapsed());
        let mut times = Vec::new();
        let mut errors = 0;
        for (t, e) in clients {
            times.extend(t);
            errors += e;
        }
        table.row(vec![
            peer.title().to_owned(),
            number(quantile(&mut times, 0.5) / 1000.0),
            number(quantile(&mut times, 0.99) / 1000.0),
            times.len().to_string(),
            errors.to_string(),
            number(sent.quantile_ms(0.5)),
            number(sent.quantile_ms(0.99)),
            number(sent.samples as f64 / wall.as_secs_f64()),
            number(server.cpu()? - before),
        ]);
    }
    table.print(&format!(
        "Writing {RATE} samples/s with {CLIENTS} query clients for {seconds} s, after {filled} scrapes of {} series",
        plan.targets * SERIES
    ));
    Ok(())
}

/// Writes the rest scrape by scrape, so that the questions follow the newest sample.
fn write(
    server: &Server,
    fleet: &mut Fleet,
    from: usize,
    plan: &Plan,
    end_ms: &AtomicI64,
) -> Result<Sent> {
    let way = Way {
        rate: Some(RATE),
        ..plan.way
    };
    let mut all = Sent::default();
    for scrape in from..plan.scrapes {
        all.add(load::send(server, fleet, scrape..scrape + 1, way)?);
        let end = plan.start_ms + (scrape as i64 + 1) * STEP_MS;
        end_ms.store(end, Ordering::Relaxed);
    }
    Ok(all)
}

/// Asks random questions of the list without a pause; gives the times in microseconds and the
/// number of errors.
fn ask(server: &Server, seed: u64, stop: &AtomicBool, end_ms: &AtomicI64) -> (Vec<u32>, usize) {
    let questions: Vec<_> = QUESTIONS
        .iter()
        .filter(|q| matches!(q.ask, Ask::Instant | Ask::Range(..)))
        .collect();
    let mut random = Random::new(seed);
    let mut client = server.client();
    let (mut times, mut errors) = (Vec::new(), 0);
    while !stop.load(Ordering::Relaxed) {
        let question = questions[random.below(questions.len() as u64) as usize];
        let (path, form) = question.request(end_ms.load(Ordering::Relaxed));
        let from = Instant::now();
        match client.form(&path, &form) {
            Ok(answer) if answer.status == 200 => {
                times.push(u32::try_from(from.elapsed().as_micros()).unwrap_or(u32::MAX));
            }
            _ => errors += 1,
        }
    }
    (times, errors)
}
