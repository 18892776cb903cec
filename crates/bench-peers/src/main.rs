//! Sends the same data and the same questions to tsdb, Prometheus and VictoriaMetrics, each a
//! process of its own on this machine, and prints what each has needed as Markdown.
//!
//! `cargo run --release -p tsdb-bench-peers -- all --peers DIR`

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tables go to stdout and progress to stderr: that is what the program is for"
)]

mod body;
mod capture;
mod client;
mod compare;
mod disk;
mod engine;
mod fleet;
mod ingest;
mod load;
mod mixed;
mod queries;
mod query;
mod random;
mod restart;
mod server;
mod table;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::{Parser, ValueEnum};
use tsdb_model::{Clock as _, SystemClock};

use crate::load::Way;
use crate::server::{Peer, Programs, Server};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Writing: CPU, memory, latency, disk.
    Ingest,
    /// Writing, then CPU of each question and whether the answers agree.
    Query,
    /// Bytes on disk of captures and made-up hosts.
    Disk,
    /// kill -9 and start.
    Restart,
    /// Writing at a steady rate while clients ask.
    Mixed,
    /// The questions inside this process, without servers.
    Engine,
    /// Everything that needs servers.
    All,
}

#[derive(Debug, Parser)]
#[command(version, about, long_about = None)]
struct Args {
    /// What to measure
    #[arg(value_enum, default_value = "all")]
    what: What,
    /// Folder with the programs prometheus and victoria-metrics; else they are found through PATH
    #[arg(long, env = "PEERS")]
    peers: Option<PathBuf>,
    /// The program tsdb
    #[arg(long, default_value = "target/release/tsdb")]
    tsdb: PathBuf,
    /// Programs to run, in this order
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "tsdb,prometheus,victoria"
    )]
    only: Vec<Peer>,
    /// Active series; rounded up to whole hosts of 100
    #[arg(long, default_value_t = 50_000)]
    series: usize,
    /// Scrapes, 15 s apart; the last one is now
    #[arg(long, default_value_t = 240)]
    scrapes: usize,
    /// Least samples in a body
    #[arg(long, default_value_t = 5000)]
    batch: usize,
    /// Connections that write
    #[arg(long, default_value_t = 2)]
    connections: usize,
    /// New series for the cost of a new series; 0: none
    #[arg(long, default_value_t = 200_000)]
    new_series: usize,
    /// Times that each question is asked at least
    #[arg(long, default_value_t = 5)]
    repeat: usize,
    /// Seconds of the mixed load
    #[arg(long, default_value_t = 60)]
    seconds: usize,
    /// Folder with node_exporter.bin.zst and prometheus.bin.zst
    #[arg(long)]
    data: Option<PathBuf>,
    /// Where the data directories are made [default: the system's folder for temporary files]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Of the questions inside this process only those with this in their name
    #[arg(long)]
    question: Option<String>,
    /// Start of the random numbers
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// The data of a run.
struct Plan {
    targets: usize,
    scrapes: usize,
    start_ms: i64,
    seed: u64,
    way: Way,
    new_series: usize,
}

impl Plan {
    /// The time at which questions are asked: 15 s after the last scrape began.
    fn end_ms(&self) -> i64 {
        self.start_ms + self.scrapes as i64 * fleet::STEP_MS
    }
}

/// Tells the user what goes on.
fn note(text: &str) {
    eprintln!("{text}");
}

fn main() -> Result<()> {
    let args = Args::parse();
    if args.series == 0 || args.scrapes == 0 || args.connections == 0 || args.only.is_empty() {
        bail!("nothing to do");
    }
    let programs = Programs {
        tsdb: args.tsdb.clone(),
        peers: args.peers.clone(),
    };
    let temporary = match &args.dir {
        Some(dir) => tempfile::tempdir_in(dir),
        None => tempfile::tempdir(),
    }
    .context("no place for the data")?;
    let dir = temporary.path();
    // Late scrapes must not lie in the future.
    let now = SystemClock.now_ms() - 5_000;
    let end = now - now.rem_euclid(fleet::STEP_MS);
    let plan = Plan {
        targets: args.series.div_ceil(fleet::SERIES),
        scrapes: args.scrapes,
        start_ms: end - args.scrapes as i64 * fleet::STEP_MS,
        seed: args.seed,
        way: Way {
            connections: args.connections,
            batch: args.batch,
            rate: None,
        },
        new_series: args.new_series,
    };
    if args.what == What::Engine {
        // The same times in every run, so that the answers can be compared.
        let plan = Plan {
            start_ms: 1_780_000_000_000 - args.scrapes as i64 * fleet::STEP_MS,
            ..plan
        };
        return engine::run(dir, &plan, args.repeat, args.question.as_deref());
    }
    for peer in &args.only {
        println!("- {}: {}", peer.title(), programs.version(*peer));
    }
    let is = |what| args.what == what || args.what == What::All;
    if is(What::Ingest) || is(What::Query) {
        let mut servers = Vec::new();
        let mut done = Vec::new();
        for peer in &args.only {
            let server = Server::start(&programs, *peer, dir)?;
            note(&format!("{}: process {}", peer.title(), server.pid()));
            done.push(ingest::fill(&server, &plan)?);
            servers.push(server);
        }
        if is(What::Query) {
            let servers: Vec<&Server> = servers.iter().collect();
            query::run(&servers, &plan, args.repeat)?;
        }
        for (server, done) in servers.iter().zip(&mut done) {
            ingest::new_series(server, &plan, done)?;
        }
        ingest::print(&done, &plan);
    }
    if is(What::Disk) {
        disk::run(&programs, &args.only, dir, &plan, args.data.as_deref())?;
    }
    if is(What::Restart) {
        restart::run(&programs, &args.only, dir, &plan)?;
    }
    if is(What::Mixed) {
        mixed::run(&programs, &args.only, dir, &plan, args.seconds)?;
    }
    Ok(())
}
