//! Bytes on disk: captures of real exporters and made-up hosts, after merging.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::fleet::{Fleet, STEP_MS};
use crate::load::{self, Sent, Way};
use crate::server::{Peer, Programs, Server, du};
use crate::table::{Table, number, ratio};
use crate::{Plan, capture, note};

/// Where samples come from.
enum Set {
    /// File and number of scrapes.
    Capture(PathBuf, usize),
    /// Number of hosts and of scrapes.
    Hosts(usize, usize),
}

struct Used {
    peer: Peer,
    sent: Sent,
    /// The data directory at rest: for VictoriaMetrics after merging its parts.
    directory: u64,
    /// Blocks only, the head written out by a snapshot; for VictoriaMetrics parts and index.
    merged: Option<u64>,
    cpu: f64,
}

impl Used {
    fn per_sample(&self) -> f64 {
        self.directory as f64 / self.sent.samples as f64
    }
}

/// Writes each data set to each program, alone in a new directory.
pub(crate) fn run(
    programs: &Programs,
    peers: &[Peer],
    dir: &Path,
    plan: &Plan,
    captures: Option<&Path>,
) -> Result<()> {
    let mut sets: Vec<(String, Set)> = Vec::new();
    for name in ["node_exporter", "prometheus"] {
        let file = captures.map(|d| d.join(format!("{name}.bin.zst")));
        match file {
            Some(file) if file.exists() => {
                let scrapes = capture::count(&file)?;
                sets.push((format!("{name} capture"), Set::Capture(file, scrapes)));
            }
            _ => note(&format!("no capture of {name}: left out")),
        }
    }
    sets.push(("made-up hosts, 5 x 24 h".to_owned(), Set::Hosts(5, 5760)));
    let mut table = Table::new(&[
        "data",
        "program",
        "tsdb / this, directory",
        "B/sample, directory at rest",
        "B/sample, blocks or merged parts",
        "samples",
        "refused",
        "CPU s per million samples",
    ]);
    for (number_of_set, (title, set)) in sets.iter().enumerate() {
        let mut all = Vec::new();
        for peer in peers {
            note(&format!("{}: {title}", peer.title()));
            let dir = dir.join(format!("disk{number_of_set}"));
            let server = Server::start(programs, *peer, &dir)?;
            all.push(set.measure(&server, plan)?);
        }
        let ours = all.iter().find(|u| u.peer == Peer::Tsdb);
        for used in &all {
            let samples = used.sent.samples as f64;
            let merged = used.merged.map_or(f64::NAN, |m| m as f64 / samples);
            let ours = ours.map_or(f64::NAN, Used::per_sample);
            table.row(vec![
                title.clone(),
                used.peer.title().to_owned(),
                ratio(ours, used.per_sample()),
                number(used.per_sample()),
                number(merged),
                used.sent.samples.to_string(),
                used.sent.refused.to_string(),
                number(used.cpu / samples * 1e6),
            ]);
        }
    }
    table.print("Bytes on disk, everything included");
    Ok(())
}

impl Set {
    fn measure(&self, server: &Server, plan: &Plan) -> Result<Used> {
        let before = server.cpu()?;
        let sent = match self {
            Self::Capture(file, scrapes) => {
                let start = plan.end_ms() - *scrapes as i64 * STEP_MS;
                capture::replay(server, file, start, plan.way.batch)?
            }
            Self::Hosts(targets, scrapes) => {
                let start = plan.end_ms() - *scrapes as i64 * STEP_MS;
                let mut fleet = Fleet::new(*targets, plan.seed, start);
                let way = Way {
                    connections: 1,
                    ..plan.way
                };
                load::send(server, &mut fleet, 0..*scrapes, way)?
            }
        };
        let cpu = server.cpu()? - before;
        if let Some(refusal) = &sent.refusal {
            note(refusal);
        }
        server.settle(Duration::from_secs(40))?;
        let (directory, merged) = merge(server)?;
        Ok(Used {
            peer: server.peer,
            sent,
            directory,
            merged,
            cpu,
        })
    }
}

/// Brings the data into its final form; gives the bytes of the directory and of blocks alone.
fn merge(server: &Server) -> Result<(u64, Option<u64>)> {
    let mut client = server.client();
    if server.peer == Peer::Victoria {
        client.get("/internal/force_flush")?;
        client.get("/internal/force_merge")?;
        server.settle(Duration::from_secs(40))?;
        let parts = du(&server.data.join("data")) + du(&server.data.join("indexdb"));
        return Ok((server.disk(), Some(parts)));
    }
    let directory = server.disk();
    let answer = client.form("/api/v1/admin/tsdb/snapshot", &[])?;
    if answer.status != 200 {
        return Ok((directory, None));
    }
    let answer: serde_json::Value = serde_json::from_slice(&answer.body)?;
    let name = answer["data"]["name"]
        .as_str()
        .context("no name of a snapshot")?;
    let blocks = du(&server.data.join("snapshots").join(name));
    Ok((directory, Some(blocks)))
}
