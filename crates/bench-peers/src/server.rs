//! The three programs: how each is started, watched and stopped.

use std::collections::HashSet;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::client::Client;

/// A program under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Peer {
    /// Ours.
    Tsdb,
    /// The reference.
    Prometheus,
    /// VictoriaMetrics, single node.
    Victoria,
}

impl Peer {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Tsdb => "tsdb",
            Self::Prometheus => "Prometheus",
            Self::Victoria => "VictoriaMetrics",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Tsdb => "tsdb",
            Self::Prometheus => "prometheus",
            Self::Victoria => "victoria-metrics",
        }
    }

    /// Path of the readiness check.
    fn ready(self) -> &'static str {
        match self {
            Self::Victoria => "/health",
            _ => "/-/ready",
        }
    }
}

/// Where the programs are.
pub(crate) struct Programs {
    pub(crate) tsdb: PathBuf,
    /// Folder of the peers; `None`: found through PATH.
    pub(crate) peers: Option<PathBuf>,
}

impl Programs {
    fn path(&self, peer: Peer) -> PathBuf {
        match (peer, &self.peers) {
            (Peer::Tsdb, _) => self.tsdb.clone(),
            (_, Some(dir)) => dir.join(peer.program()),
            (_, None) => peer.program().into(),
        }
    }

    /// First line of `--version` that says something.
    pub(crate) fn version(&self, peer: Peer) -> String {
        let output = Command::new(self.path(peer)).arg("--version").output();
        let Ok(output) = output else {
            return "not found".to_owned();
        };
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let line = text.lines().map(str::trim).find(|l| !l.is_empty());
        line.unwrap_or("says no version").to_owned()
    }
}

/// A running program with a data directory of its own.
pub(crate) struct Server {
    pub(crate) peer: Peer,
    pub(crate) addr: SocketAddr,
    pub(crate) data: PathBuf,
    program: PathBuf,
    child: Child,
}

impl Server {
    /// Starts the program on a free port and waits until it is ready.
    pub(crate) fn start(programs: &Programs, peer: Peer, dir: &Path) -> Result<Self> {
        let data = dir.join(peer.program());
        std::fs::create_dir_all(&data)?;
        let addr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let program = programs.path(peer);
        let child = spawn(&program, peer, addr, &data)?;
        let mut server = Self {
            peer,
            addr,
            data,
            program,
            child,
        };
        server.wait_ready()?;
        Ok(server)
    }

    /// Starts again after `kill`, on the same port and directory. Does not wait.
    pub(crate) fn respawn(&mut self) -> Result<()> {
        self.child = spawn(&self.program, self.peer, self.addr, &self.data)?;
        Ok(())
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.addr)
    }

    pub(crate) fn wait_ready(&mut self) -> Result<()> {
        let from = Instant::now();
        loop {
            if let Ok(answer) = self.client().get(self.peer.ready())
                && answer.status == 200
            {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                let log = std::fs::read_to_string(self.data.with_extension("log"))?;
                bail!("{} ended with {status}: {log}", self.peer.title());
            }
            if from.elapsed() > Duration::from_mins(5) {
                bail!("{} is not ready after five minutes", self.peer.title());
            }
            pause(2);
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// User and system CPU time so far, in seconds; the kernel counts in steps of 10 ms.
    pub(crate) fn cpu(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        // The name in parentheses may hold anything, so count from the last one.
        let rest = stat.rsplit_once(')').context("bad /proc/PID/stat")?.1;
        let mut fields = rest.split_ascii_whitespace().skip(11);
        let mut next = || -> Result<f64> {
            Ok(fields
                .next()
                .context("short /proc/PID/stat")?
                .parse::<u64>()? as f64)
        };
        Ok((next()? + next()?) / rustix::param::clock_ticks_per_second() as f64)
    }

    /// Resident memory and its peak, in MiB.
    pub(crate) fn rss(&self) -> Result<(f64, f64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|l| l.strip_prefix(name));
            let kib = line.and_then(|l| l.split_ascii_whitespace().next()?.parse::<f64>().ok());
            kib.unwrap_or(f64::NAN) / 1024.0
        };
        Ok((field("VmRSS:"), field("VmHWM:")))
    }

    /// Bytes that the data directory takes, in whole blocks as `du` counts, hard links once.
    pub(crate) fn disk(&self) -> u64 {
        du(&self.data)
    }

    /// Waits until the program has been using less than 5 % of a core for three seconds.
    pub(crate) fn settle(&self, limit: Duration) -> Result<()> {
        let from = Instant::now();
        while from.elapsed() < limit {
            let before = self.cpu()?;
            pause(3000);
            if self.cpu()? - before < 0.15 {
                break;
            }
        }
        Ok(())
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

fn spawn(program: &Path, peer: Peer, addr: SocketAddr, data: &Path) -> Result<Child> {
    let config = data.with_extension("yml");
    write(&config, b"global:\n  scrape_interval: 15s\n")?;
    let mut command = Command::new(program);
    match peer {
        Peer::Tsdb => {
            command
                .arg("serve")
                .arg("--no-host-metrics")
                .arg("--log.level=warn");
        }
        Peer::Prometheus => {
            command.arg("--log.level=warn");
        }
        Peer::Victoria => {
            command
                .arg(format!("-storageDataPath={}", data.display()))
                .arg(format!("-httpListenAddr={addr}"))
                .arg("-loggerLevel=ERROR");
        }
    }
    if peer != Peer::Victoria {
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address={addr}"))
            .arg("--web.enable-remote-write-receiver")
            .arg("--web.enable-admin-api");
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "a log beside the data of a run that is thrown away"
    )]
    let log = std::fs::File::create(data.with_extension("log"))?;
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("can't start {}", program.display()))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a file of a run that is thrown away"
)]
fn write(path: &Path, text: &[u8]) -> Result<()> {
    std::fs::write(path, text).with_context(|| path.display().to_string())
}

/// Waits; what is waited for lives in another process and can't wake us.
pub(crate) fn pause(ms: u64) {
    #[expect(clippy::disallowed_methods, reason = "waits for other processes")]
    std::thread::sleep(Duration::from_millis(ms));
}

/// Bytes below `path`, in blocks of the disk, each file once.
pub(crate) fn du(path: &Path) -> u64 {
    let mut seen = HashSet::new();
    let mut open = vec![path.to_owned()];
    let mut bytes = 0;
    while let Some(dir) = open.pop() {
        // Files may go away while a program tidies up.
        let Ok(entries) = std::fs::read_dir(&dir) else {
            continue;
        };
        for entry in entries.flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() {
                open.push(entry.path());
            } else if seen.insert(meta.ino()) {
                bytes += meta.blocks() * 512;
            }
        }
    }
    bytes
}
