//! Request bodies of any length, handed from the connection to a thread that reads them.

use std::io::{self, BufRead, BufReader, Read};

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use tokio::sync::mpsc;
use tsdb_net::server::{ReadBodyError, RequestBody, next_chunk};

/// Chunks that wait for the reader; then the client waits.
const WAITING: usize = 4;

/// Bytes gathered before a line is looked for.
const BUFFER_BYTES: usize = 64 << 10;

type Chunk = Result<Bytes, ReadBodyError>;

/// The reading end. Blocks while the client is slow.
pub(super) struct Upload {
    chunks: mpsc::Receiver<Chunk>,
    now: Bytes,
}

impl Upload {
    /// A body that comes over a connection. What is sent after the reader is dropped is not read.
    pub(super) fn of(mut body: RequestBody) -> Self {
        let (sender, chunks) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            loop {
                let chunk = match next_chunk(&mut body).await {
                    Ok(Some(chunk)) => Ok(chunk),
                    Ok(None) => break,
                    Err(e) => Err(e),
                };
                let ends = chunk.is_err();
                if sender.send(chunk).await.is_err() || ends {
                    break;
                }
            }
        });
        let now = Bytes::new();
        Self { chunks, now }
    }

    /// A body that is there already.
    pub(super) fn whole(body: Bytes) -> Self {
        let (_, chunks) = mpsc::channel(1);
        Self { chunks, now: body }
    }

    /// The body as it was before compression; `None` for an encoding that is not known.
    pub(super) fn decoded(self, encoding: &str) -> Option<Box<dyn BufRead + Send>> {
        let plain = BufReader::with_capacity(BUFFER_BYTES, self);
        match encoding {
            "" | "identity" => Some(Box::new(plain)),
            "gzip" | "x-gzip" => {
                let decoder = MultiGzDecoder::new(plain);
                Some(Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder)))
            }
            _ => None,
        }
    }
}

impl Read for Upload {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.now.is_empty() {
            match self.chunks.blocking_recv() {
                Some(Ok(chunk)) => self.now = chunk,
                Some(Err(e)) => return Err(io::Error::other(e)),
                None => return Ok(0),
            }
        }
        let n = into.len().min(self.now.len());
        let taken = self.now.split_to(n);
        if let Some(into) = into.get_mut(..n) {
            into.copy_from_slice(&taken);
        }
        Ok(n)
    }
}

/// Reads up to the next line break, which is left out. `None` at the end, an error when there are
/// more than `max` bytes.
pub(super) fn next_line(
    from: &mut impl BufRead,
    max: usize,
    line: &mut Vec<u8>,
) -> io::Result<Option<()>> {
    line.clear();
    let mut limited = from.take(max as u64 + 1);
    if limited.read_until(b'\n', line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() > max {
        return Err(io::Error::other(format!("a line of more than {max} bytes")));
    }
    Ok(Some(()))
}

/// Reads all there is, an error when there are more than `max` bytes.
pub(super) fn read_all(from: impl Read, max: usize) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    from.take(max as u64 + 1).read_to_end(&mut all)?;
    if all.len() > max {
        let text = format!("a page of more than {max} bytes; JSON lines may be of any length");
        return Err(io::Error::other(text));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn lines(body: &[u8], encoding: &str, max: usize) -> io::Result<Vec<String>> {
        let upload = Upload::whole(Bytes::copy_from_slice(body));
        let mut from = upload.decoded(encoding).unwrap();
        let (mut line, mut all) = (Vec::new(), Vec::new());
        while next_line(&mut from, max, &mut line)?.is_some() {
            all.push(String::from_utf8_lossy(&line).into_owned());
        }
        Ok(all)
    }

    #[test]
    fn lines_of_plain_and_compressed_bodies() {
        let body = b"one\n\ntwo\nrest";
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(body).unwrap();
        let gzip = gzip.finish().unwrap();
        let expected = ["one", "", "two", "rest"];
        assert_eq!(lines(body, "", 4).unwrap(), expected);
        assert_eq!(lines(&gzip, "gzip", 4).unwrap(), expected);
        assert!(lines(&gzip, "", 4).is_err());
        assert!(lines(body, "gzip", 4).is_err());
        assert!(Upload::whole(Bytes::new()).decoded("br").is_none());
    }

    #[test]
    fn long_lines_and_pages_are_errors() {
        assert_eq!(lines(b"four\n", "", 4).unwrap(), ["four"]);
        assert!(lines(b"fives\n", "", 4).is_err());
        assert_eq!(read_all(&b"four"[..], 4).unwrap(), b"four");
        assert!(read_all(&b"fives"[..], 4).is_err());
    }
}
