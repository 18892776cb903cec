//! Captures of real exporters: pages with the time of their scrape, replayed on 15 s steps.

use std::collections::{HashMap, HashSet};
use std::io::{BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use tsdb_model::stale_nan;
use tsdb_wire::text::{Entry, TextParser};

use crate::body::encode_labels;
use crate::fleet::STEP_MS;
use crate::load::{Sender, Sent};
use crate::server::Server;

/// Largest page that is believed.
const MAX_PAGE: u32 = 64 << 20;

/// Pages of a capture, read through the `zstd` program.
struct Pages {
    child: Child,
    input: BufReader<ChildStdout>,
}

impl Pages {
    fn open(file: &Path) -> Result<Self> {
        let mut child = Command::new("zstd")
            .args(["-dcq", "--long=27"])
            .arg(file)
            .stdout(Stdio::piped())
            .spawn()
            .context("can't start zstd")?;
        let input = child.stdout.take().context("no output of zstd")?;
        Ok(Self {
            child,
            input: BufReader::new(input),
        })
    }

    fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let mut head = [0u8; 12];
        match self.input.read_exact(&mut head) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                let status = self.child.wait()?;
                if !status.success() {
                    bail!("zstd ended with {status}");
                }
                return Ok(None);
            }
            Err(e) => return Err(e.into()),
        }
        let length = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
        if length > MAX_PAGE {
            bail!("a page of {length} bytes");
        }
        let mut page = vec![0; length as usize];
        self.input.read_exact(&mut page)?;
        Ok(Some(page))
    }
}

/// Scrapes in a capture.
pub(crate) fn count(file: &Path) -> Result<usize> {
    let mut pages = Pages::open(file)?;
    let mut n = 0;
    while pages.next()?.is_some() {
        n += 1;
    }
    Ok(n)
}

/// Sends a capture, scrape number x 15 s after `start_ms`. A series that is absent from a scrape
/// gets a staleness marker there.
pub(crate) fn replay(server: &Server, file: &Path, start_ms: i64, batch: usize) -> Result<Sent> {
    let mut pages = Pages::open(file)?;
    let mut sender = Sender::new(server, batch);
    let mut known: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
    let mut present: HashSet<Vec<u8>> = HashSet::new();
    let mut t = start_ms;
    while let Some(page) = pages.next()? {
        let mut now = HashSet::with_capacity(present.len());
        let mut parser = TextParser::new(&page);
        while let Some(entry) = parser.next()? {
            let Entry::Series(line) = entry else { continue };
            let key = line.text.to_vec();
            if !known.contains_key(&key) {
                let mut labels = Vec::new();
                line.labels(&mut labels)?;
                labels.push(("instance".into(), "captured:9100".into()));
                labels.push(("job".into(), "capture".into()));
                labels.retain(|(_, v)| !v.is_empty());
                labels.sort_unstable();
                let mut encoded = Vec::new();
                encode_labels(labels.iter().map(|(n, v)| (&**n, &**v)), &mut encoded);
                known.insert(key.clone(), encoded);
            }
            sender.push(&known[&key], t, line.value);
            present.remove(&key);
            now.insert(key);
        }
        for gone in &present {
            sender.push(&known[gone], t, stale_nan());
        }
        present = now;
        sender.send_full()?;
        t += STEP_MS;
    }
    sender.send()?;
    Ok(sender.sent)
}
