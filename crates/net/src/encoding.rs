//! Response compression by `Accept-Encoding`, chunk by chunk, so that streams stay streams.

use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue};
use hyper::body::{Body as HttpBody, Frame};

use crate::body::{Body, BodyError};
use crate::server::Response;

/// Answers known to be shorter are sent as they are: compressed they would hardly shrink or grow.
pub const MIN_COMPRESS_BYTES: u64 = 256;

/// Input compressed between two chances for other tasks to run.
const SLICE_BYTES: usize = 64 << 10;

/// A compression this server offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// RFC 1952.
    Gzip,
    /// A zlib stream (RFC 1950), which is what HTTP means by `deflate`.
    Deflate,
}

impl Encoding {
    /// Its name in `Content-Encoding`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }

    /// The first encoding in the client's list that is offered. Weights do not order the list,
    /// but `q=0` excludes; `*` is not taken for a wish.
    pub fn negotiate(headers: &HeaderMap) -> Option<Self> {
        let lists = headers.get_all(ACCEPT_ENCODING).iter();
        lists
            .filter_map(|list| list.to_str().ok())
            .flat_map(|list| list.split(','))
            .find_map(|item| {
                let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
                let weight = parameters.trim().strip_prefix("q=");
                if weight.is_some_and(|q| q.parse() == Ok(0.0)) {
                    return None;
                }
                let name = name.trim();
                [Self::Gzip, Self::Deflate]
                    .into_iter()
                    .find(|e| name.eq_ignore_ascii_case(e.as_str()))
            })
    }

    /// Compresses a response, unless it is encoded already, has no body, or is known to be
    /// shorter than [`MIN_COMPRESS_BYTES`]. Compressed chunks leave when enough has gathered, so
    /// this is not for event streams.
    pub fn apply(self, response: Response) -> Response {
        let small = response
            .body()
            .len()
            .is_some_and(|n| n < MIN_COMPRESS_BYTES);
        if small || response.headers().contains_key(CONTENT_ENCODING) {
            return response;
        }
        let (mut head, body) = response.into_parts();
        head.headers.remove(CONTENT_LENGTH);
        let value = HeaderValue::from_static(self.as_str());
        head.headers.insert(CONTENT_ENCODING, value);
        Response::from_parts(head, Body::encoded(EncodedBody::new(self, body)))
    }
}

enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Deflate(ZlibEncoder<Vec<u8>>),
}

/// A body that compresses another.
pub(crate) struct EncodedBody {
    source: Body,
    rest: Bytes,
    /// `None` after the last byte.
    encoder: Option<Encoder>,
}

impl EncodedBody {
    fn new(encoding: Encoding, source: Body) -> Self {
        // The fastest level: answers are JSON or text, which shrinks well at any level.
        let level = Compression::fast();
        let encoder = match encoding {
            Encoding::Gzip => Encoder::Gzip(GzEncoder::new(Vec::new(), level)),
            Encoding::Deflate => Encoder::Deflate(ZlibEncoder::new(Vec::new(), level)),
        };
        Self {
            source,
            rest: Bytes::new(),
            encoder: Some(encoder),
        }
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        while let Some(encoder) = &mut self.encoder {
            if self.rest.is_empty() {
                match ready!(Pin::new(&mut self.source).poll_frame(cx)) {
                    Some(Ok(frame)) => self.rest = frame.into_data().unwrap_or_default(),
                    Some(Err(error)) => {
                        self.encoder = None;
                        return Poll::Ready(Some(Err(error)));
                    }
                    None => {
                        let last = match self.encoder.take() {
                            Some(Encoder::Gzip(encoder)) => encoder.finish(),
                            Some(Encoder::Deflate(encoder)) => encoder.finish(),
                            None => return Poll::Ready(None),
                        };
                        let frame = last.map(|bytes| Frame::data(bytes.into()));
                        return Poll::Ready(Some(frame.map_err(BodyError::Encode)));
                    }
                }
            }
            let slice = self.rest.split_to(self.rest.len().min(SLICE_BYTES));
            let output = match encoder {
                Encoder::Gzip(encoder) => encoder.write_all(&slice).map(|()| encoder.get_mut()),
                Encoder::Deflate(encoder) => encoder.write_all(&slice).map(|()| encoder.get_mut()),
            };
            match output {
                Ok(output) if output.len() >= SLICE_BYTES / 8 => {
                    let bytes = std::mem::take(output);
                    return Poll::Ready(Some(Ok(Frame::data(bytes.into()))));
                }
                Ok(_) => {}
                Err(error) => {
                    self.encoder = None;
                    return Poll::Ready(Some(Err(error.into())));
                }
            }
        }
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::{GzDecoder, ZlibDecoder};
    use http_body_util::BodyExt;
    use std::io::Read;

    fn negotiate(list: &str) -> Option<Encoding> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_str(list).unwrap());
        Encoding::negotiate(&headers)
    }

    #[test]
    fn first_supported_wins() {
        assert_eq!(negotiate("gzip"), Some(Encoding::Gzip));
        assert_eq!(negotiate("br, deflate, gzip"), Some(Encoding::Deflate));
        assert_eq!(negotiate("GZIP;q=0.5"), Some(Encoding::Gzip));
        assert_eq!(negotiate("gzip;q=0, deflate"), Some(Encoding::Deflate));
        for none in ["", "*", "br, zstd", "identity", "gzip;q=0", "xgzip"] {
            assert_eq!(negotiate(none), None, "{none}");
        }
        assert_eq!(Encoding::negotiate(&HeaderMap::new()), None);
    }

    async fn encoded(encoding: Encoding, body: Body) -> (HeaderMap, Vec<u8>) {
        let response = encoding.apply(Response::new(body));
        let headers = response.headers().clone();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (headers, bytes.to_vec())
    }

    #[tokio::test]
    async fn round_trips_full_and_streamed() {
        let numbers: Vec<String> = (0..200_000).map(|i| i.to_string()).collect();
        let text = numbers.join(",");
        let (headers, bytes) = encoded(Encoding::Gzip, Body::full(text.clone())).await;
        assert_eq!(headers[CONTENT_ENCODING], "gzip");
        assert!(bytes.len() < text.len() * 2 / 3);
        let mut back = String::new();
        GzDecoder::new(bytes.as_slice())
            .read_to_string(&mut back)
            .unwrap();
        assert!(back == text);

        let (sender, body) = Body::channel(2);
        let sent = text.clone();
        tokio::spawn(async move {
            for chunk in sent.as_bytes().chunks(1000) {
                sender.send(chunk.to_vec()).await.unwrap();
            }
            sender.finish();
        });
        let (headers, bytes) = encoded(Encoding::Deflate, body).await;
        assert_eq!(headers[CONTENT_ENCODING], "deflate");
        let mut back = String::new();
        ZlibDecoder::new(bytes.as_slice())
            .read_to_string(&mut back)
            .unwrap();
        assert!(back == text);
    }

    #[tokio::test]
    async fn small_or_encoded_answers_are_left_alone() {
        let (headers, bytes) = encoded(Encoding::Gzip, Body::full("small")).await;
        assert!(headers.is_empty() && bytes == b"small");
        let mut response = Response::new(Body::full("x".repeat(1000)));
        let value = HeaderValue::from_static("br");
        response.headers_mut().insert(CONTENT_ENCODING, value);
        let response = Encoding::Gzip.apply(response);
        assert_eq!(response.headers()[CONTENT_ENCODING], "br");
        assert_eq!(response.body().len(), Some(1000));
    }

    #[tokio::test]
    async fn broken_off_source_breaks_off_the_encoded_body() {
        let (sender, body) = Body::channel(1);
        sender.send("half").await.unwrap();
        drop(sender);
        let response = Encoding::Gzip.apply(Response::new(body));
        assert!(response.into_body().collect().await.is_err());
    }
}
