//! `/api/v1/read`: remote read, as one message of samples or as a stream of chunks.

use http::StatusCode;
use tsdb_codec::XorAppender;
use tsdb_codec::histogram_chunk::{
    Appended, CounterResetHeader, ENCODING_FLOAT_HISTOGRAM, FloatHistogramAppender,
};
use tsdb_codec::xor::ENCODING_XOR;
use tsdb_model::{FloatHistogram, MatchOp, Matcher, SeriesData, StopToken};
use tsdb_net::server::Response;
use tsdb_wire::remote::encode::{Message, OutgoingChunk, chunked_frames, read_series};
use tsdb_wire::remote::{ReadQuery, ReadRequest, ResponseType, compress};

use crate::router::Call;
use crate::selected::Selected;
use crate::state::Running;
use crate::stream::{Out, Stopped, read_turn, streamed};

/// Samples of one answer that stands in memory, as in Prometheus.
const MAX_SAMPLES: usize = 50_000_000;

/// Bytes of such an answer before compression.
const MAX_SAMPLES_BYTES: usize = 256 << 20;

/// Longest frame of a stream, in bytes.
const MAX_FRAME_BYTES: usize = 1 << 20;

/// Samples of a chunk, as Prometheus cuts them.
const CHUNK_SAMPLES: u16 = 120;

const SAMPLES_TYPE: &str = "application/x-protobuf";
const STREAM_TYPE: &str = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";

/// Answers a read request.
pub(crate) async fn read(call: Call, running: Running) -> Response {
    let turn = match read_turn(&call.state).await {
        Ok(turn) => turn,
        Err(response) => return response,
    };
    streamed(turn, SAMPLES_TYPE, move |out| {
        let request =
            ReadRequest::read(&call.body).map_err(|e| Stopped::bad_request(e.to_string()))?;
        match request.response {
            ResponseType::Samples => samples(&call, &running, &request.queries, out),
            ResponseType::StreamedXorChunks => chunks(&call, &running, &request.queries, out),
        }
    })
    .await
}

/// Runs `each` for every series of a query.
fn for_each(
    call: &Call,
    running: &Running,
    query: &ReadQuery,
    stop: &StopToken,
    mut each: impl FnMut(&tsdb_model::Labels, &SeriesData) -> Result<(), Stopped>,
) -> Result<(), Stopped> {
    // A query without any matcher asks for nothing.
    if query.matchers.is_empty() || query.end_ms < query.start_ms {
        return Ok(());
    }
    let config = call.state.config();
    let external = &config.global.external_labels;
    let is_external = |m: &&Matcher| {
        m.op == MatchOp::Equal && external.get(&*m.name).is_some_and(|v| *v == *m.value)
    };
    // Our series do not have these labels, they get them on the way out.
    let own: Vec<Matcher> = query
        .matchers
        .iter()
        .filter(|m| !is_external(m))
        .cloned()
        .collect();
    let querier = running.querier_until(query.start_ms, query.end_ms, stop.clone())?;
    let mut selected = Selected::new(&*querier, (query.start_ms, query.end_ms), &[own])?;
    selected.add_labels(external.iter().map(|(n, v)| (n.as_str(), v.as_str())));
    let mut data = SeriesData::default();
    for place in 0..selected.len() {
        stop.check()?;
        selected.read(place, &mut data)?;
        if !data.values.is_empty() || !data.histograms.is_empty() {
            each(&selected.labels(place), &data)?;
        }
    }
    Ok(())
}

fn samples(
    call: &Call,
    running: &Running,
    queries: &[ReadQuery],
    out: &mut Out,
) -> Result<(), Stopped> {
    let stop = out.stop.clone();
    let mut response = Message::new();
    let mut count = 0;
    for query in queries {
        let mut result = Message::new();
        for_each(call, running, query, &stop, |labels, data| {
            count += data.values.len() + data.histograms.len();
            if count > MAX_SAMPLES {
                let text = format!("exceeded sample limit ({MAX_SAMPLES})");
                return Err(Stopped::bad_request(text));
            }
            let floats = data
                .times()
                .iter()
                .copied()
                .zip(data.values.iter().copied());
            let histograms = data
                .histograms
                .iter()
                .map(|h| (h.timestamp_ms, &*h.histogram));
            result.message(1, &read_series(labels, floats, histograms));
            if response.as_bytes().len() + result.as_bytes().len() > MAX_SAMPLES_BYTES {
                return Err(Stopped::bad_request(format!(
                    "the answer exceeds {MAX_SAMPLES_BYTES} bytes; accept STREAMED_XOR_CHUNKS"
                )));
            }
            Ok(())
        })?;
        response.message(1, &result);
    }
    out.encoding("snappy");
    out.buffer = compress(response.as_bytes());
    Ok(())
}

fn chunks(
    call: &Call,
    running: &Running,
    queries: &[ReadQuery],
    out: &mut Out,
) -> Result<(), Stopped> {
    out.content_type(STREAM_TYPE);
    let stop = out.stop.clone();
    for (number, query) in queries.iter().enumerate() {
        for_each(call, running, query, &stop, |labels, data| {
            let cut = Cutter::cut(data)
                .map_err(|text| Stopped::Refused(StatusCode::INTERNAL_SERVER_ERROR, text))?;
            let outgoing: Vec<OutgoingChunk<'_>> = cut.iter().map(Chunk::outgoing).collect();
            chunked_frames(&mut out.buffer, labels, &outgoing, number, MAX_FRAME_BYTES);
            out.checkpoint()
        })?;
    }
    Ok(())
}

/// A finished chunk.
struct Chunk {
    min_ms: i64,
    max_ms: i64,
    encoding: u8,
    data: Vec<u8>,
}

impl Chunk {
    fn outgoing(&self) -> OutgoingChunk<'_> {
        OutgoingChunk {
            min_ms: self.min_ms,
            max_ms: self.max_ms,
            encoding: self.encoding,
            data: &self.data,
        }
    }
}

/// The chunk being filled.
enum Filling {
    Nothing,
    Floats(XorAppender),
    Histograms(FloatHistogramAppender),
}

/// Cuts the samples of a series into chunks, in the order of time.
struct Cutter {
    filling: Filling,
    min_ms: i64,
    max_ms: i64,
    chunks: Vec<Chunk>,
}

impl Cutter {
    fn cut(data: &SeriesData) -> Result<Vec<Chunk>, String> {
        let mut cutter = Self {
            filling: Filling::Nothing,
            min_ms: 0,
            max_ms: 0,
            chunks: Vec::new(),
        };
        let mut histograms = data.histograms.iter().peekable();
        for (t, v) in data.times().iter().zip(&data.values) {
            while let Some(h) = histograms.next_if(|h| h.timestamp_ms < *t) {
                cutter.histogram(h.timestamp_ms, &h.histogram)?;
            }
            cutter.float(*t, *v)?;
        }
        for h in histograms {
            cutter.histogram(h.timestamp_ms, &h.histogram)?;
        }
        cutter.finish();
        Ok(cutter.chunks)
    }

    fn finish(&mut self) {
        let (encoding, data) = match std::mem::replace(&mut self.filling, Filling::Nothing) {
            Filling::Nothing => return,
            Filling::Floats(chunk) => (ENCODING_XOR, chunk.into_bytes()),
            Filling::Histograms(chunk) => (ENCODING_FLOAT_HISTOGRAM, chunk.into_bytes()),
        };
        self.chunks.push(Chunk {
            min_ms: self.min_ms,
            max_ms: self.max_ms,
            encoding,
            data,
        });
    }

    fn float(&mut self, t: i64, v: f64) -> Result<(), String> {
        match &self.filling {
            Filling::Floats(chunk) if chunk.count() < CHUNK_SAMPLES => {}
            _ => {
                self.finish();
                self.min_ms = t;
                self.filling = Filling::Floats(XorAppender::new());
            }
        }
        self.max_ms = t;
        if let Filling::Floats(chunk) = &mut self.filling {
            chunk.append(t, v).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    fn histogram(&mut self, t: i64, h: &FloatHistogram) -> Result<(), String> {
        let error = |e: tsdb_codec::histogram_chunk::HistogramChunkError| e.to_string();
        let mut header = CounterResetHeader::Unknown;
        if let Filling::Histograms(chunk) = &mut self.filling
            && chunk.count() < CHUNK_SAMPLES
        {
            match chunk.append(None, t, h).map_err(error)? {
                Appended::Added | Appended::Recoded => {
                    self.max_ms = t;
                    return Ok(());
                }
                Appended::Cut(of_next) => header = of_next,
            }
        }
        self.finish();
        let mut chunk = FloatHistogramAppender::with_header(header);
        chunk.append(None, t, h).map_err(error)?;
        (self.min_ms, self.max_ms) = (t, t);
        self.filling = Filling::Histograms(chunk);
        Ok(())
    }
}
