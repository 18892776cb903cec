//! Sending: scrapes of many targets over a few connections.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tsdb_model::is_stale;

use crate::body::Body;
use crate::client::Client;
use crate::fleet::{Fleet, Target};
use crate::server::{Server, pause};

/// What was sent and how long the answers took.
#[derive(Default)]
pub(crate) struct Sent {
    /// Samples answered with a 2xx.
    pub(crate) samples: u64,
    /// Of those, staleness markers.
    pub(crate) markers: u64,
    /// Samples answered with a 4xx.
    pub(crate) refused: u64,
    /// Requests that had to be sent again (429, 5xx).
    pub(crate) again: u64,
    /// The first refusal's text.
    pub(crate) refusal: Option<String>,
    /// Time to the answer of each request, in microseconds.
    pub(crate) times: Vec<u32>,
    pub(crate) wall: Duration,
}

impl Sent {
    pub(crate) fn add(&mut self, other: Self) {
        self.samples += other.samples;
        self.markers += other.markers;
        self.refused += other.refused;
        self.again += other.again;
        self.refusal = self.refusal.take().or(other.refusal);
        self.times.extend(other.times);
    }

    /// The time that a share `q` of the requests stayed below, in milliseconds.
    pub(crate) fn quantile_ms(&self, q: f64) -> f64 {
        quantile(&mut self.times.clone(), q) / 1000.0
    }
}

/// The value below which a share `q` lies.
pub(crate) fn quantile(values: &mut [u32], q: f64) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    values.sort_unstable();
    let at = ((values.len() - 1) as f64 * q).round() as usize;
    f64::from(values[at])
}

/// How to send.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    pub(crate) connections: usize,
    /// Least samples in a body.
    pub(crate) batch: usize,
    /// Most samples a second over all connections.
    pub(crate) rate: Option<f64>,
}

/// One connection that fills bodies and sends them.
pub(crate) struct Sender {
    client: Client,
    body: Body,
    batch: usize,
    markers: u64,
    pub(crate) sent: Sent,
}

impl Sender {
    pub(crate) fn new(server: &Server, batch: usize) -> Self {
        Self {
            client: server.client(),
            body: Body::new(),
            batch,
            markers: 0,
            sent: Sent::default(),
        }
    }

    pub(crate) fn push(&mut self, labels: &[u8], t: i64, v: f64) {
        self.body.push(labels, t, v);
        self.markers += u64::from(is_stale(v));
    }

    /// Sends what has come together if it fills a body.
    pub(crate) fn send_full(&mut self) -> Result<()> {
        if self.body.samples() >= self.batch {
            self.send()?;
        }
        Ok(())
    }

    /// Sends what has come together.
    pub(crate) fn send(&mut self) -> Result<()> {
        let samples = self.body.samples() as u64;
        if samples == 0 {
            return Ok(());
        }
        let bytes = self.body.finish()?;
        let markers = std::mem::take(&mut self.markers);
        let mut attempt = 0;
        loop {
            let from = Instant::now();
            let answer = self.client.write("/api/v1/write", bytes)?;
            let micros = from.elapsed().as_micros();
            self.sent
                .times
                .push(u32::try_from(micros).unwrap_or(u32::MAX));
            match answer.status {
                200..=299 => {
                    self.sent.samples += samples;
                    self.sent.markers += markers;
                    return Ok(());
                }
                429 | 500..=599 if attempt < 100 => {
                    self.sent.again += 1;
                    attempt += 1;
                    pause(100);
                }
                status => {
                    self.sent.refused += samples;
                    if self.sent.refusal.is_none() {
                        let text = String::from_utf8_lossy(&answer.body);
                        let text: String = text.chars().take(300).collect();
                        self.sent.refusal = Some(format!("{status}: {text}"));
                    }
                    return Ok(());
                }
            }
        }
    }
}

/// Sends scrapes `from..to` of all targets. The connections stay within 20 scrapes of each other.
pub(crate) fn send(
    server: &Server,
    fleet: &mut Fleet,
    scrapes: std::ops::Range<usize>,
    way: Way,
) -> Result<Sent> {
    let start_ms = fleet.start_ms;
    let share = fleet.targets.len().div_ceil(way.connections).max(1);
    let parts: Vec<&mut [Target]> = fleet.targets.chunks_mut(share).collect();
    let meeting = Barrier::new(parts.len());
    let rate = way.rate.map(|r| r / parts.len() as f64);
    let begun = Instant::now();
    let results: Vec<Result<Sent>> = std::thread::scope(|scope| {
        let threads: Vec<_> = parts
            .into_iter()
            .map(|targets| {
                let (scrapes, meeting) = (scrapes.clone(), &meeting);
                scope.spawn(move || {
                    let mut sender = Sender::new(server, way.batch);
                    let mut result = Ok(());
                    let mut pushed = 0u64;
                    for scrape in scrapes {
                        for target in &mut *targets {
                            if result.is_err() {
                                break;
                            }
                            target.scrape(scrape, start_ms, |labels, t, v| {
                                sender.push(labels, t, v);
                                pushed += 1;
                            });
                            result = sender.send_full();
                            if let Some(rate) = rate {
                                let due = Duration::from_secs_f64(pushed as f64 / rate);
                                let ahead = due.saturating_sub(begun.elapsed());
                                pause(ahead.as_millis() as u64);
                            }
                        }
                        // A thread that failed still comes to the meetings, or the others hang.
                        if scrape % 20 == 19 {
                            meeting.wait();
                        }
                    }
                    result.and_then(|()| sender.send())?;
                    Ok(sender.sent)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|t| t.join().map_err(|_| anyhow::anyhow!("a sender panicked"))?)
            .collect()
    });
    let mut sent = Sent::default();
    for result in results {
        sent.add(result.with_context(|| format!("writing to {}", server.peer.title()))?);
    }
    sent.wall = begun.elapsed();
    Ok(sent)
}
