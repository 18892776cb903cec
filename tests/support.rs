//! What the end-to-end tests share: a running server, a page server, and a small HTTP client.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a test waits for something that should happen soon.
const PATIENCE: Duration = Duration::from_secs(30);

/// The program under test.
pub(crate) fn tsdb() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tsdb"))
}

/// Repeats `probe` until it answers, and fails the test when it does not within half a minute.
pub(crate) fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        pause(Duration::from_millis(20));
    }
}

/// Lets other processes go on.
#[expect(
    clippy::disallowed_methods,
    reason = "another process has no clock we could move"
)]
pub(crate) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// A `tsdb serve` process; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub url: String,
    pub log: Arc<Mutex<String>>,
}

impl Server {
    /// Starts a server on a free port and waits until it is ready.
    pub(crate) fn start(dir: &Path, flags: &[&str]) -> Self {
        let mut server = Self::spawn(dir, flags);
        server.wait_ready();
        server
    }

    /// Starts a server without waiting.
    pub(crate) fn spawn(dir: &Path, flags: &[&str]) -> Self {
        Self::spawn_as(tsdb(), dir, flags)
    }

    /// Starts a server by another command, which ends in the name of the program.
    pub(crate) fn spawn_as(mut command: Command, dir: &Path, flags: &[&str]) -> Self {
        let port = free_port();
        let mut child = command
            .arg("serve")
            .arg(format!("--storage.tsdb.path={}", dir.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(flags)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let log = Arc::new(Mutex::new(String::new()));
        let mut stderr = child.stderr.take().unwrap();
        let sink = Arc::clone(&log);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = stderr.read(&mut buffer) {
                sink.lock()
                    .unwrap()
                    .push_str(&String::from_utf8_lossy(&buffer[..n]));
            }
        });
        Self {
            child,
            url: format!("http://127.0.0.1:{port}"),
            log,
        }
    }

    /// Waits until the server says that it is ready.
    pub(crate) fn wait_ready(&mut self) {
        wait_for("the server to be ready", || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!(
                    "the server ended with {status}:\n{}",
                    self.log.lock().unwrap()
                );
            }
            (http_get(&format!("{}/-/ready", self.url)).ok()?.status == 200).then_some(())
        });
    }

    /// `GET path`, whatever the status.
    pub(crate) fn get(&self, path: &str) -> Response {
        http_get(&format!("{}{path}", self.url)).expect("the server answers")
    }

    /// The `data` member of a successful API answer.
    pub(crate) fn data(&self, path: &str) -> Value {
        let response = self.get(path);
        let body: Value = serde_json::from_str(&response.body).expect(&response.body);
        assert_eq!(body["status"], "success", "{path}: {body}");
        body["data"].clone()
    }

    /// The result list of an instant query.
    pub(crate) fn query(&self, expr: &str) -> Vec<Value> {
        let data = self.data(&format!("/api/v1/query?query={}", escape(expr)));
        data["result"]
            .as_array()
            .cloned()
            .unwrap_or_else(|| vec![data["result"].clone()])
    }

    /// The value of an instant query with one result, or `None` when it is empty.
    pub(crate) fn value(&self, expr: &str) -> Option<f64> {
        let result = self.query(expr);
        assert!(result.len() <= 1, "{expr}: {result:?}");
        result
            .first()
            .map(|s| s["value"][1].as_str().unwrap().parse().unwrap())
    }

    /// Kills the process at once, as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits for the process to end; its exit code.
    pub(crate) fn wait_exit(&mut self) -> i32 {
        wait_for("the server to end", || self.child.try_wait().unwrap())
            .code()
            .unwrap_or(-1)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Now, in milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
    i64::try_from(now.as_millis()).unwrap()
}

/// A port nothing listens on at the moment.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub body: String,
}

pub(crate) fn http_get(url: &str) -> std::io::Result<Response> {
    http("GET", url, &[], "")
}

/// One request on a connection of its own.
pub(crate) fn http(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> std::io::Result<Response> {
    let rest = url.strip_prefix("http://").expect("an http URL");
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes())?;
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw)?;
    parse_response(&raw).ok_or_else(|| std::io::Error::other("not an HTTP answer"))
}

fn parse_response(raw: &[u8]) -> Option<Response> {
    let end = raw.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&raw[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: HashMap<String, String> = lines
        .filter_map(|l| l.split_once(": "))
        .map(|(n, v)| (n.to_ascii_lowercase(), v.to_string()))
        .collect();
    let mut body = raw[end + 4..].to_vec();
    if headers
        .get("transfer-encoding")
        .is_some_and(|e| e == "chunked")
    {
        body = unchunk(&body)?;
    }
    if headers.get("content-encoding").is_some_and(|e| e == "gzip") {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&body[..])
            .read_to_end(&mut plain)
            .ok()?;
        body = plain;
    }
    Some(Response {
        status,
        headers,
        body: String::from_utf8(body).ok()?,
    })
}

fn unchunk(mut raw: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let end = raw.windows(2).position(|w| w == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&raw[..end]).ok()?, 16).ok()?;
        if size == 0 {
            return Some(out);
        }
        out.extend_from_slice(raw.get(end + 2..end + 2 + size)?);
        raw = raw.get(end + 4 + size..)?;
    }
}

/// Percent-encodes a text for a URL.
pub(crate) fn escape(text: &str) -> String {
    text.bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) {
                (b as char).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

/// Serves exporter pages that tests can change; counts requests.
pub(crate) struct Pages {
    pub address: String,
    by_path: Arc<Mutex<HashMap<String, Page>>>,
    pub requests: Arc<Mutex<Vec<String>>>,
}

/// One page. The body may contain `{COUNTER}`, which is replaced by the number of the request.
#[derive(Clone)]
struct Page {
    status: u16,
    content_type: String,
    body: String,
    served: u64,
}

impl Pages {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let pages = Arc::new(Mutex::new(HashMap::<String, Page>::new()));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (shared, seen) = (Arc::clone(&pages), Arc::clone(&requests));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, seen) = (Arc::clone(&shared), Arc::clone(&seen));
                std::thread::spawn(move || serve_pages(stream, &shared, &seen));
            }
        });
        Self {
            address,
            by_path: pages,
            requests,
        }
    }

    /// Puts a text-format page at `path`.
    pub(crate) fn set(&self, path: &str, body: &str) {
        self.set_full(path, 200, "text/plain; version=0.0.4", body);
    }

    pub(crate) fn set_full(&self, path: &str, status: u16, content_type: &str, body: &str) {
        let page = Page {
            status,
            content_type: content_type.to_string(),
            body: body.to_string(),
            served: 0,
        };
        self.by_path.lock().unwrap().insert(path.to_string(), page);
    }
}

fn serve_pages(
    mut stream: TcpStream,
    pages: &Mutex<HashMap<String, Page>>,
    requests: &Mutex<Vec<String>>,
) {
    let mut buffer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") else {
            match stream.read(&mut chunk) {
                Ok(n @ 1..) => buffer.extend_from_slice(&chunk[..n]),
                _ => return,
            }
            continue;
        };
        let head = String::from_utf8_lossy(&buffer[..end]).to_string();
        buffer.drain(..end + 4);
        let path = head.split(' ').nth(1).unwrap_or("/").to_string();
        requests.lock().unwrap().push(head);
        let page = {
            let mut pages = pages.lock().unwrap();
            pages.get_mut(path.split('?').next().unwrap()).map(|page| {
                page.served += 1;
                page.clone()
            })
        };
        let page = page.unwrap_or(Page {
            status: 404,
            content_type: "text/plain".into(),
            body: "no such page\n".into(),
            served: 0,
        });
        let body = page.body.replace("{COUNTER}", &page.served.to_string());
        let answer = format!(
            "HTTP/1.1 {} X\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n{body}",
            page.status,
            page.content_type,
            body.len()
        );
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// Writes a configuration that scrapes `targets`, given as `(job, address, path)`, each
/// `interval`.
pub(crate) fn write_config(dir: &Path, interval: &str, targets: &[(&str, &str, &str)]) -> PathBuf {
    let mut yaml = format!(
        "global:\n  scrape_interval: {interval}\n  scrape_timeout: {interval}\nscrape_configs:\n"
    );
    for (job, address, path) in targets {
        yaml += &format!(
            "  - job_name: {job}\n    metrics_path: {path}\n    static_configs:\n      \
             - targets: ['{address}']\n"
        );
    }
    write(&dir.join("prometheus.yml"), &yaml)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test's own file, not the store's"
)]
pub(crate) fn write(path: &Path, text: &str) -> PathBuf {
    std::fs::write(path, text).unwrap();
    path.to_path_buf()
}

/// Runs `tsdb` with arguments to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    tsdb().args(args).output().expect("the program runs")
}

/// Standard output of a run that must succeed.
pub(crate) fn stdout(args: &[&str]) -> String {
    let output = run(args);
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
