//! What systemd is told (`Type=notify`, `WatchdogSec=`): ready, reloading, stopping, alive. Nothing
//! happens where there is no systemd.

use std::ffi::OsString;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tracing::warn;

/// The socket that systemd listens on.
#[derive(Debug, Default)]
pub(crate) struct Notify {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notify {
    /// Of the environment: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`.
    pub(crate) fn from_env() -> Self {
        let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
        let number = |name: &str| var(name)?.to_str()?.parse::<u64>().ok();
        let mine = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let usec = number("WATCHDOG_USEC").filter(|usec| mine && *usec > 0);
        let socket = var("NOTIFY_SOCKET").and_then(|path| match open(&path) {
            Ok(socket) => Some(socket),
            Err(error) => {
                warn!(%error, "systemd cannot be notified");
                None
            }
        });
        Self {
            watchdog: usec.filter(|_| socket.is_some()).map(Duration::from_micros),
            socket,
        }
    }

    /// Everything works.
    pub(crate) fn ready(&self) {
        self.send("READY=1\n");
    }

    /// The configuration is read again; [`Notify::ready`] says that this is over.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let usec = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={usec}\n"));
    }

    /// The end has begun.
    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1\n");
    }

    /// Still at work.
    pub(crate) fn alive(&self) {
        self.send("WATCHDOG=1\n");
    }

    /// How often to say [`Notify::alive`]; never when nobody asked for it.
    pub(crate) fn alive_every(&self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / 3)
    }

    fn send(&self, text: &str) {
        if let Some((socket, address)) = &self.socket
            && let Err(error) = socket.send_to_addr(text.as_bytes(), address)
        {
            warn!(%error, "systemd not notified");
        }
    }
}

/// A path, or with `@` in front a name without a file.
fn open(path: &OsString) -> std::io::Result<(UnixDatagram, SocketAddr)> {
    let address = match path.as_bytes().strip_prefix(b"@") {
        #[cfg(target_os = "linux")]
        Some(name) => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(path)?,
    };
    let socket = UnixDatagram::unbound()?;
    // A full socket is no reason to stand still.
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        let notify = Notify {
            socket: Some(open(&path.into_os_string()).unwrap()),
            watchdog: Some(Duration::from_secs(3)),
        };
        notify.reloading();
        notify.ready();
        notify.alive();
        notify.stopping();
        let mut heard = String::new();
        let mut buffer = [0; 100];
        for _ in 0..4 {
            let n = listener.recv(&mut buffer).unwrap();
            heard += std::str::from_utf8(&buffer[..n]).unwrap();
        }
        assert!(heard.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{heard}");
        assert!(
            heard.ends_with("\nREADY=1\nWATCHDOG=1\nSTOPPING=1\n"),
            "{heard}"
        );
        assert_eq!(notify.alive_every(), Some(Duration::from_secs(1)));
        Notify::default().ready();
    }
}
