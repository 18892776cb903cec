//! Remote read requests.

use tsdb_model::{MatchOp, Matcher};

use super::proto::{Part, Reader};
use super::{RemoteError, snappy};

/// Most bytes of a read request after decompression.
const MAX_REQUEST_BYTES: usize = 4 << 20;

/// Most queries of a request, and most matchers of all its queries.
const MAX_QUERIES: usize = 1000;
const MAX_MATCHERS: usize = 10_000;

/// How the answer is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseType {
    /// One compressed message with all samples.
    Samples,
    /// A stream of frames with chunks.
    StreamedXorChunks,
}

/// One selection of a read request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadQuery {
    /// First time wanted, milliseconds, inclusive.
    pub start_ms: i64,
    /// Last time wanted, milliseconds, inclusive.
    pub end_ms: i64,
    /// What selects the series.
    pub matchers: Vec<Matcher>,
}

/// A read request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRequest {
    /// Its queries.
    pub queries: Vec<ReadQuery>,
    /// The first kind of answer that the client accepts and that there is.
    pub response: ResponseType,
}

impl ReadRequest {
    /// Reads a compressed request.
    pub fn read(block: &[u8]) -> Result<Self, RemoteError> {
        let mut body = Vec::new();
        snappy::decompress(block, MAX_REQUEST_BYTES, &mut body)?;
        Self::read_plain(&body)
    }

    /// Reads a request that is not compressed.
    pub fn read_plain(body: &[u8]) -> Result<Self, RemoteError> {
        let mut queries = Vec::new();
        let mut accepted: Vec<u64> = Vec::new();
        let mut matchers = 0;
        let mut reader = Reader::new(body);
        while let Some(tag) = reader.tag()? {
            match tag.field {
                1 => {
                    if queries.len() == MAX_QUERIES {
                        return Err(RemoteError::TooManyElements);
                    }
                    let part = reader.part(tag, "Queries")?;
                    queries.push(query(body, part, &mut matchers)?);
                }
                2 => reader.numbers(tag, "AcceptedResponseTypes", |v| {
                    if accepted.len() < MAX_QUERIES {
                        accepted.push(v);
                    }
                    Ok(())
                })?,
                _ => reader.skip(tag)?,
            }
        }
        let known = accepted.iter().find_map(|number| match number {
            0 => Some(ResponseType::Samples),
            1 => Some(ResponseType::StreamedXorChunks),
            _ => None,
        });
        let response = match known {
            Some(response) => response,
            None if accepted.is_empty() => ResponseType::Samples,
            None => return Err(RemoteError::NoResponseType(accepted)),
        };
        Ok(Self { queries, response })
    }
}

fn query(body: &[u8], part: Part, count: &mut usize) -> Result<ReadQuery, RemoteError> {
    let mut query = ReadQuery {
        start_ms: 0,
        end_ms: 0,
        matchers: Vec::new(),
    };
    let mut reader = Reader::of(body, part);
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => query.start_ms = reader.number(tag, "StartTimestampMs")? as i64,
            2 => query.end_ms = reader.number(tag, "EndTimestampMs")? as i64,
            3 => {
                *count += 1;
                if *count > MAX_MATCHERS {
                    return Err(RemoteError::TooManyElements);
                }
                let part = reader.part(tag, "Matchers")?;
                query.matchers.push(matcher(body, part)?);
            }
            // The hints do not change what is answered.
            _ => reader.skip(tag)?,
        }
    }
    Ok(query)
}

fn matcher(body: &[u8], part: Part) -> Result<Matcher, RemoteError> {
    let (mut kind, mut name, mut value) = (0, Part::default(), Part::default());
    let mut reader = Reader::of(body, part);
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => kind = reader.number(tag, "Type")?,
            2 => name = reader.part(tag, "Name")?,
            3 => value = reader.part(tag, "Value")?,
            _ => reader.skip(tag)?,
        }
    }
    let op = match kind {
        0 => MatchOp::Equal,
        1 => MatchOp::NotEqual,
        2 => MatchOp::Regex,
        3 => MatchOp::NotRegex,
        _ => return Err(RemoteError::BadMatcher("invalid matcher type".into())),
    };
    let text = |part: Part, field| {
        std::str::from_utf8(part.of(body)).map_err(|_| RemoteError::InvalidUtf8(field))
    };
    Matcher::new(op, text(name, "Name")?, text(value, "Value")?)
        .map_err(|e| RemoteError::BadMatcher(e.to_string()))
}
