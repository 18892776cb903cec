//! Disks that are full or cannot be written: a small one in a mount namespace of its own, where
//! the system lets us have one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::{Server, http, tsdb, wait_for, write};

/// A disk of a few MiB in memory. Programs see it when they are started by [`Self::command`]; it is
/// gone with the process that holds it.
struct SmallDisk {
    holder: Child,
    /// Where it is, for programs inside.
    path: PathBuf,
    _folder: TempDir,
}

impl SmallDisk {
    /// `None`, and a word about it, when the system does not let us.
    #[expect(clippy::print_stdout, reason = "says that the test is skipped")]
    fn new(options: &str) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let path = folder.path().to_path_buf();
        let script = "mount -t tmpfs -o \"$1\" tmpfs \"$0\" && echo ready && exec cat";
        let holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
            .arg(&path)
            .arg(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let ready = holder.and_then(|mut holder| {
            let mut word = [0; 6];
            let mut out = holder.stdout.take().unwrap();
            std::io::Read::read_exact(&mut out, &mut word).map(|()| holder)
        });
        let Ok(holder) = ready else {
            println!("skipped: no mount namespace can be made here");
            return None;
        };
        let disk = Self {
            holder,
            path,
            _folder: folder,
        };
        let entered = disk.command("true").status();
        if !entered.is_ok_and(|status| status.success()) {
            println!("skipped: the mount namespace cannot be entered");
            return None;
        }
        Some(disk)
    }

    /// A command that sees the disk.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--user", "--mount", "--preserve-credentials", "--target"])
            .arg(self.holder.id().to_string())
            .arg(program);
        command
    }

    fn run(&self, program: &str, args: &[&str]) -> bool {
        let mut command = self.command(program);
        let status = command.args(args).stderr(Stdio::null()).status();
        status.unwrap().success()
    }

    /// The program under test, on this disk.
    fn server(&self, flags: &[&str]) -> Server {
        let program = tsdb().get_program().to_str().unwrap().to_string();
        Server::spawn_as(self.command(&program), &self.path.join("data"), flags)
    }

    /// Takes all space that is left.
    fn fill(&self) {
        let file = self.path.join("filler");
        let to = format!("of={}", file.display());
        assert!(!self.run("dd", &["if=/dev/zero", &to, "bs=4096", "status=none"]));
    }

    fn free(&self) {
        let file = self.path.join("filler");
        assert!(self.run("rm", &[file.to_str().unwrap()]));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// A page with `count` samples at `t`.
fn page(t: i64, count: usize) -> String {
    (0..count)
        .map(|i| format!("kept{{number=\"{i}\"}} {t} {t}\n"))
        .collect()
}

fn push(server: &Server, t: i64, count: usize) -> (u16, String) {
    let url = format!("{}/api/v1/import", server.url);
    let answer = http(
        "POST",
        &url,
        &[("Content-Type", "text/plain")],
        &page(t, count),
    )
    .unwrap();
    (answer.status, answer.body)
}

/// Times at which there are samples, and how many.
fn shown(server: &Server, now: i64) -> BTreeMap<i64, usize> {
    let path = format!("/api/v1/query?query=kept[1h]&time={}", now / 1000 + 1);
    let mut shown = BTreeMap::new();
    for series in server.data(&path)["result"].as_array().unwrap() {
        for point in series["values"].as_array().unwrap() {
            let t = (point[0].as_f64().unwrap() * 1000.0).round() as i64;
            assert_eq!(point[1].as_str().unwrap(), t.to_string());
            *shown.entry(t).or_default() += 1;
        }
    }
    shown
}

fn metric(server: &Server, name: &str) -> f64 {
    let page = server.get("/metrics").body;
    let line = page
        .lines()
        .find_map(|l| l.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
}

fn logged(server: &Server, text: &str) -> usize {
    server.log.lock().unwrap().matches(text).count()
}

fn no_targets(dir: &Path) -> String {
    let file = write(&dir.join("none.yml"), "scrape_configs: []\n");
    format!("--config.file={}", file.display())
}

#[test]
fn a_full_disk_refuses_writes_and_nothing_else() {
    const SERIES: usize = 200;
    let Some(disk) = SmallDisk::new("size=3m") else {
        return;
    };
    let own = TempDir::new().unwrap();
    let flags = [no_targets(own.path())];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut server = disk.server(&flags);
    server.wait_ready();
    let mut t = crate::support::now_ms() - 600_000;
    let mut kept = BTreeMap::new();
    let mut accept = |server: &Server, t: &mut i64| {
        *t += 1000;
        let (status, body) = push(server, *t, SERIES);
        if status == 204 {
            kept.insert(*t, SERIES);
            return None;
        }
        Some((status, body))
    };
    for _ in 0..5 {
        assert_eq!(accept(&server, &mut t), None);
    }
    disk.fill();
    // What is left of the last page of the file may take one more.
    let (mut refused, mut tries) = (0, 0);
    while refused < 6 {
        if let Some((status, body)) = accept(&server, &mut t) {
            assert!((500..600).contains(&status), "{status} {body}");
            assert!(body.contains("No space left on device"), "{body}");
            refused += 1;
        }
        tries += 1;
        assert!(tries < 100, "it is never full");
    }
    assert_eq!(metric(&server, "tsdb_wal_failing"), 1.0);
    assert!(metric(&server, "prometheus_tsdb_wal_writes_failed_total") >= 6.0);
    wait_for("a line in the log", || {
        (logged(&server, "writing the log failed") > 0).then_some(())
    });
    assert_eq!(logged(&server, "writing the log failed"), 1, "told once");
    // A query sees what was acknowledged and nothing that was refused.
    let found = shown(&server, t);
    server.signal("TERM");
    assert_eq!(server.wait_exit(), 0, "{}", server.log.lock().unwrap());

    // It starts while the disk is full, and goes on when there is space again.
    let mut server = disk.server(&flags);
    server.wait_ready();
    assert_eq!(shown(&server, t), found);
    let (status, body) = accept(&server, &mut t).expect("still full");
    assert!(
        status >= 500 && body.contains("No space left"),
        "{status} {body}"
    );
    disk.free();
    assert_eq!(accept(&server, &mut t), None);
    assert_eq!(metric(&server, "tsdb_wal_failing"), 0.0);
    wait_for("the good news in the log", || {
        (logged(&server, "writing the log works again") == 1).then_some(())
    });
    assert_eq!(accept(&server, &mut t), None);
    server.kill();
    let mut server = disk.server(&flags);
    server.wait_ready();
    assert_eq!(shown(&server, t), kept);
    assert!(found.iter().all(|(t, n)| kept.get(t) == Some(n)));
}

#[test]
fn blocks_wait_for_space() {
    let Some(disk) = SmallDisk::new("size=8m") else {
        return;
    };
    let own = TempDir::new().unwrap();
    let config = no_targets(own.path());
    let flags = [config.as_str(), "--storage.tsdb.min-block-duration=4s"];
    let mut server = disk.server(&flags);
    server.wait_ready();
    let start = crate::support::now_ms() / 4000 * 4000 - 60_000;
    // Nothing can be cut yet: all is in one range.
    for t in start..start + 3 {
        assert_eq!(push(&server, t, 5000).0, 204);
    }
    disk.fill();
    // A small commit that fits into the last page of the log lets a range be complete.
    let mut t = start + 20_000;
    while push(&server, t, 1).0 != 204 {
        // Not even that: some room for it.
        disk.free();
        assert_eq!(push(&server, t, 1).0, 204);
        disk.fill();
        t += 1;
    }
    wait_for("a cut that fails", || {
        (metric(&server, "prometheus_tsdb_compactions_failed_total") > 0.0).then_some(())
    });
    assert_eq!(shown(&server, t).values().sum::<usize>(), 15_001);
    disk.free();
    wait_for("a block", || {
        (metric(&server, "prometheus_tsdb_blocks_loaded") > 0.0).then_some(())
    });
    assert_eq!(shown(&server, t).values().sum::<usize>(), 15_001);
}

#[test]
fn a_disk_that_cannot_be_written_is_an_error_and_can_be_read() {
    let Some(disk) = SmallDisk::new("size=8m") else {
        return;
    };
    let own = TempDir::new().unwrap();
    let config = no_targets(own.path());
    let mut server = disk.server(&[&config]);
    server.wait_ready();
    let t = crate::support::now_ms() - 10_000;
    assert_eq!(push(&server, t, 3).0, 204);
    server.signal("TERM");
    assert_eq!(server.wait_exit(), 0);
    let path = disk.path.to_str().unwrap();
    assert!(disk.run("mount", &["-o", "remount,ro", path]));
    let mut server = disk.server(&[&config]);
    assert_eq!(server.wait_exit(), 1);
    wait_for("the reason in the log", || {
        (logged(&server, "Read-only file system") > 0).then_some(())
    });
    assert_eq!(logged(&server, "panicked"), 0);
    let program = tsdb().get_program().to_str().unwrap().to_string();
    let data = disk.path.join("data");
    let output = disk
        .command(&program)
        .args(["query", "--format=csv", "count(kept)", "--dir"])
        .arg(&data)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(",3"), "{text}");
}
