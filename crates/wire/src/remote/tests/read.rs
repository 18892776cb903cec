//! Remote read.

use tsdb_model::{MatchOp, Matcher};

use super::super::encode::{OutgoingChunk, chunked_frames, read_request};
use super::super::proto::Reader;
use super::*;

#[test]
fn requests() {
    let matchers = vec![
        (MatchOp::Equal, "__name__", "up"),
        (MatchOp::NotRegex, "job", "a|b"),
    ];
    let message = read_request(
        &[(-5, 10, matchers)],
        &[ResponseType::StreamedXorChunks, ResponseType::Samples],
    );
    let request = ReadRequest::read(&compress(&message)).unwrap();
    let expected = ReadQuery {
        start_ms: -5,
        end_ms: 10,
        matchers: vec![
            Matcher::equal("__name__", "up"),
            Matcher::new(MatchOp::NotRegex, "job", "a|b").unwrap(),
        ],
    };
    assert_eq!(request.queries, [expected]);
    assert_eq!(request.response, ResponseType::StreamedXorChunks);
    // The first known type wins, none means samples, only unknown ones are an error.
    let types = |numbers: &[u64]| {
        let mut message = Message::new();
        for n in numbers {
            message.number(2, *n);
        }
        ReadRequest::read_plain(message.as_bytes()).map(|r| r.response)
    };
    assert_eq!(types(&[]), Ok(ResponseType::Samples));
    assert_eq!(types(&[7, 1, 0]), Ok(ResponseType::StreamedXorChunks));
    let error = types(&[7, 8]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "server does not support any of the requested response types: [7, 8]; supported: \
         [SAMPLES STREAMED_XOR_CHUNKS]"
    );
    let bad = read_request(&[(0, 1, vec![(MatchOp::Regex, "a", "(")])], &[]);
    assert!(matches!(
        ReadRequest::read_plain(&bad),
        Err(RemoteError::BadMatcher(_))
    ));
    let many = read_request(&vec![(0, 1, Vec::new()); 1001], &[]);
    assert_eq!(
        ReadRequest::read_plain(&many),
        Err(RemoteError::TooManyElements)
    );
}

#[test]
fn frames() {
    let name = labels(&[("__name__", "up")]);
    let data = [9; 100];
    let chunks: Vec<OutgoingChunk<'_>> = (0..3)
        .map(|i| OutgoingChunk {
            min_ms: i,
            max_ms: i + 1,
            encoding: 1,
            data: &data,
        })
        .collect();
    let mut out = Vec::new();
    chunked_frames(&mut out, &name, &chunks, 2, 300);
    let mut frames = 0;
    let mut seen = Vec::new();
    let mut rest = out.as_slice();
    while !rest.is_empty() {
        let mut reader = Reader::new(rest);
        let len = reader.varint().unwrap() as usize;
        let (head, tail) = rest.split_at(reader.position());
        assert!(head.len() <= 2);
        let (sum, tail) = tail.split_at(4);
        let (message, tail) = tail.split_at(len);
        assert_eq!(sum, crc32c::crc32c(message).to_be_bytes());
        let mut reader = Reader::new(message);
        let tag = reader.tag().unwrap().unwrap();
        let series = reader.part(tag, "series").unwrap();
        let tag = reader.tag().unwrap().unwrap();
        assert_eq!((tag.field, reader.number(tag, "index").unwrap()), (2, 2));
        let mut reader = Reader::of(message, series);
        let mut has_labels = false;
        while let Some(tag) = reader.tag().unwrap() {
            let part = reader.part(tag, "part").unwrap();
            if tag.field == 1 {
                has_labels = true;
                continue;
            }
            let mut chunk = Reader::of(message, part);
            let tag = chunk.tag().unwrap().unwrap();
            seen.push(chunk.number(tag, "min").unwrap());
        }
        assert!(has_labels);
        frames += 1;
        rest = tail;
    }
    assert_eq!((frames, seen), (2, vec![0, 1, 2]));
}
