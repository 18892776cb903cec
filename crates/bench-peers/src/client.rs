//! A blocking HTTP/1.1 client that keeps its connection; loopback only, so no TLS and no proxies.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// One connection to one server, opened when first needed and again when the server has closed it.
pub(crate) struct Client {
    addr: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
    head: Vec<u8>,
}

/// Status and body of an answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn new(addr: SocketAddr) -> Self {
        Self {
            addr,
            stream: None,
            head: Vec::new(),
        }
    }

    pub(crate) fn get(&mut self, path: &str) -> Result<Answer> {
        self.request("GET", path, &[], &[])
    }

    /// `GET` with a form in the query.
    pub(crate) fn get_form(&mut self, path: &str, form: &[(&str, String)]) -> Result<Answer> {
        self.get(&format!("{path}?{}", encode_form(form)))
    }

    /// `POST` with a form as the body, as Grafana asks.
    pub(crate) fn form(&mut self, path: &str, form: &[(&str, String)]) -> Result<Answer> {
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        self.request("POST", path, &headers, encode_form(form).as_bytes())
    }

    /// Sends a body of remote write 1.0.
    pub(crate) fn write(&mut self, path: &str, body: &[u8]) -> Result<Answer> {
        let headers = [
            ("Content-Type", "application/x-protobuf"),
            ("Content-Encoding", "snappy"),
            ("X-Prometheus-Remote-Write-Version", "0.1.0"),
        ];
        self.request("POST", path, &headers, body)
    }

    fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer> {
        // A kept connection may have been closed meanwhile: then once more on a new one.
        let kept = self.stream.is_some();
        match self.try_request(method, path, headers, body) {
            Ok(answer) => Ok(answer),
            Err(_) if kept => {
                self.stream = None;
                self.try_request(method, path, headers, body)
            }
            Err(e) => Err(e),
        }
        .inspect_err(|_| self.stream = None)
    }

    fn try_request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer> {
        if self.stream.is_none() {
            let stream = TcpStream::connect_timeout(&self.addr, Duration::from_secs(5))?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_mins(3)))?;
            self.stream = Some(BufReader::with_capacity(1 << 16, stream));
        }
        let stream = self.stream.as_mut().context("no connection")?;
        self.head.clear();
        write!(
            self.head,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n",
            self.addr,
            body.len()
        )?;
        for (name, value) in headers {
            write!(self.head, "{name}: {value}\r\n")?;
        }
        self.head.extend_from_slice(b"\r\n");
        stream.get_mut().write_all(&self.head)?;
        stream.get_mut().write_all(body)?;
        let (answer, keep) = read_answer(stream)?;
        if !keep {
            self.stream = None;
        }
        Ok(answer)
    }
}

fn encode_form(form: &[(&str, String)]) -> String {
    let mut out = String::new();
    for (name, value) in form {
        if !out.is_empty() {
            out.push('&');
        }
        for (i, part) in [*name, value].into_iter().enumerate() {
            if i == 1 {
                out.push('=');
            }
            for b in part.bytes() {
                if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
                    out.push(b as char);
                } else {
                    out.push('%');
                    out.push(char::from_digit(u32::from(b >> 4), 16).unwrap_or('0'));
                    out.push(char::from_digit(u32::from(b & 15), 16).unwrap_or('0'));
                }
            }
        }
    }
    out
}

/// Reads one answer; the second value says whether the connection stays open.
fn read_answer(stream: &mut BufReader<TcpStream>) -> Result<(Answer, bool)> {
    let mut line = String::new();
    let mut next = |stream: &mut BufReader<TcpStream>| -> Result<String> {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            bail!("connection closed");
        }
        Ok(line.trim_end().to_owned())
    };
    let first = next(stream)?;
    let status: u16 = first
        .split(' ')
        .nth(1)
        .and_then(|s| s.parse().ok())
        .with_context(|| format!("bad status line {first:?}"))?;
    let (mut length, mut chunked, mut keep) = (None, false, true);
    loop {
        let line = next(stream)?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = Some(value.parse::<usize>()?),
            "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
            "connection" => keep = !value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    let mut body = Vec::new();
    if chunked {
        loop {
            let size = usize::from_str_radix(next(stream)?.split(';').next().unwrap_or(""), 16)?;
            let start = body.len();
            body.resize(start + size, 0);
            stream.read_exact(&mut body[start..])?;
            next(stream)?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(n) = length {
        body.resize(n, 0);
        stream.read_exact(&mut body)?;
    } else if status != 204 && status != 304 {
        stream.read_to_end(&mut body)?;
        keep = false;
    }
    Ok((Answer { status, body }, keep))
}
