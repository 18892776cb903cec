//! Against the real tools: `prometheus` and `promtool` in the folder that `PEERS` names. Without it
//! these tests do nothing and say so.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;
use tsdb_codec::histogram_chunk::{
    Appended, ChunkAppender, ChunkIter, ENCODING_HISTOGRAM, FloatState, IntegerState, SampleState,
};
use tsdb_codec::xor::ENCODING_XOR;
use tsdb_codec::{XorAppender, XorIter};
use tsdb_model::{FloatHistogram, Histogram, HistogramValue, Labels, Span, format_float, is_stale};

use super::exchange::{T0, assert_same, exported, histogram, imported, labels, sample_series};
use super::memory::{MemDir, MemStore, Series};
use super::remote_write;
use crate::dir::{Dir, StdDir};
use crate::prom_block::chunk_file::ChunkReader;
use crate::prom_block::*;

/// The tool `name`, if there are tools.
fn tool(name: &str) -> Option<PathBuf> {
    let tool = std::env::var_os("PEERS").map(|folder| Path::new(&folder).join(name));
    if tool.is_none() {
        println!("skipped: PEERS does not name a folder with {name}");
    }
    tool
}

fn write_file(folder: &Path, name: &str, bytes: &[u8]) {
    StdDir::new(folder)
        .create(name)
        .unwrap()
        .append(bytes)
        .unwrap();
}

/// Runs a tool to its end; gives what it printed.
fn run(tool: &Path, args: &[&str]) -> String {
    let output = Command::new(tool).args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{args:?}: {}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// A running Prometheus, killed when dropped.
struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(tool: &Path, data: &Path, config: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        write_file(config, "prometheus.yml", b"global: {}\n");
        let child = Command::new(tool)
            .arg(format!(
                "--config.file={}",
                config.join("prometheus.yml").display()
            ))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args([
                "--storage.tsdb.retention.time=100y",
                "--web.enable-admin-api",
            ])
            .args([
                "--web.enable-remote-write-receiver",
                "--enable-feature=native-histograms",
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self { child, port };
        for _ in 0..300 {
            assert!(
                server.child.try_wait().unwrap().is_none(),
                "Prometheus stopped"
            );
            if server
                .request("GET", "/-/ready", &[], &[])
                .is_some_and(|(code, _)| code == 200)
            {
                return server;
            }
            #[expect(clippy::disallowed_methods, reason = "another process is waited for")]
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("Prometheus did not become ready");
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &[u8],
    ) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let lines = headers.concat();
        let head = format!(
            "{method} {path} HTTP/1.0\r\nContent-Length: {}\r\n{lines}\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_string()))
    }

    /// All samples in five hours until `t_ms`, as the HTTP API gives them.
    fn samples(&self, t_ms: i64) -> Json {
        let form = format!(
            "query=%7B__name__%3D~%22.%2B%22%7D%5B6h%5D&time={}",
            t_ms as f64 / 1e3
        );
        let headers = ["Content-Type: application/x-www-form-urlencoded\r\n"];
        let (code, body) = self
            .request("POST", "/api/v1/query", &headers, form.as_bytes())
            .unwrap();
        assert_eq!(code, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }
}

/// The usual series, and a counter that resets and loses buckets.
fn server_series() -> Series {
    let mut series = sample_series();
    let resetting = labels(&[("__name__", "latency"), ("kind", "resetting")]);
    let sample = |i: i64| {
        let h = HistogramValue::Int(histogram(i * 7 % 60).into());
        (T0 + i * 15_000, SampleValue::Histogram(h))
    };
    series.insert(resetting, (0..300).map(sample).collect());
    // New buckets now and then, also while an empty one is missing, which comes and goes. (Two
    // separate empty ones missing at once are a mistake of 3.5.3, prometheus#16893.)
    let growing = |i: i64| {
        let length = 2 + (i + 19) / 20;
        let mut spans = vec![Span {
            offset: 1,
            length: length as u32,
        }];
        let mut counts = vec![i; length as usize];
        if i % 2 == 0 {
            spans = vec![
                Span {
                    offset: -3,
                    length: 1,
                },
                Span {
                    offset: 3,
                    ..spans[0]
                },
            ];
            counts.insert(0, 0);
        }
        FloatHistogram {
            schema: 1,
            count: counts.iter().sum::<i64>() as f64,
            sum: i as f64 / 3.0,
            positive_spans: spans,
            positive_buckets: counts.into_iter().map(|c| c as f64).collect(),
            ..FloatHistogram::default()
        }
    };
    let integer = |h: &FloatHistogram| {
        let counts = h.positive_buckets.iter().map(|c| *c as i64);
        let before = std::iter::once(0).chain(counts.clone());
        HistogramValue::Int(Arc::new(Histogram {
            schema: h.schema,
            count: h.count as u64,
            sum: h.sum,
            positive_spans: h.positive_spans.clone(),
            positive_deltas: counts.zip(before).map(|(c, b)| c - b).collect(),
            ..Histogram::default()
        }))
    };
    for kind in ["growing integer", "growing float"] {
        let samples = (0..200).map(|i| {
            let mut h = growing(i);
            let value = if kind.ends_with("integer") {
                integer(&h)
            } else {
                h.count += 0.25;
                h.positive_buckets.iter_mut().for_each(|c| *c *= 1.125);
                HistogramValue::Float(Arc::new(h))
            };
            (T0 + i * 15_000, SampleValue::Histogram(value))
        });
        series.insert(
            labels(&[("__name__", "latency"), ("kind", kind)]),
            samples.collect(),
        );
    }
    series
}

/// Appends the samples that a server was fed as they came, cut where the server cut: headers and
/// bytes must be the server's. Counts chunks, and those written anew on the way.
fn append_again(dir: &dyn Dir, series: &Series) -> [u64; 2] {
    let mut before: BTreeMap<Labels, Before> = BTreeMap::new();
    let mut counts = [0; 2];
    for (folder, _) in list_blocks(dir).unwrap() {
        let mut block = BlockReader::open(dir, &folder).unwrap();
        let mut chunks = ChunkReader::new(dir, &folder);
        let mut data = Vec::new();
        for i in 0..block.series_count() {
            let entry = block.series(i).unwrap();
            for chunk in &entry.chunks {
                let encoding = chunks.read(chunk.reference, &mut data).unwrap();
                let fed = series[&entry.labels].range(chunk.min_time_ms..=chunk.max_time_ms);
                let fed = fed.filter_map(|(t, v)| match v {
                    SampleValue::Float(_) => None,
                    SampleValue::Histogram(h) => Some((*t, h.clone())),
                });
                let before = before.entry(entry.labels.clone()).or_default();
                let last = series[&entry.labels].last_key_value().map(|(t, _)| *t);
                let gauge = data[2] >> 6 == 3;
                let open = last == Some(chunk.max_time_ms) && !gauge;
                let recoded = match encoding {
                    ENCODING_XOR => {
                        *before = Before::default();
                        continue;
                    }
                    ENCODING_HISTOGRAM => {
                        let fed = fed.map(|(t, h)| match h {
                            HistogramValue::Int(h) => (t, (*h).clone()),
                            HistogramValue::Float(_) => panic!("integer"),
                        });
                        append_chunk(&mut before.integers, fed.collect(), &data, open)
                    }
                    _ => {
                        let fed = fed.map(|(t, h)| match h {
                            HistogramValue::Float(h) => (t, (*h).clone()),
                            HistogramValue::Int(_) => panic!("float"),
                        });
                        append_chunk(&mut before.floats, fed.collect(), &data, open)
                    }
                };
                counts[0] += 1;
                counts[1] += u64::from(recoded);
            }
        }
    }
    counts
}

/// The chunk before in a series.
#[derive(Default)]
struct Before {
    integers: Option<ChunkAppender<IntegerState>>,
    floats: Option<ChunkAppender<FloatState>>,
}

/// Appends the samples of one chunk; true if it was written anew on the way.
fn append_chunk<S: SampleState>(
    before: &mut Option<ChunkAppender<S>>,
    samples: Vec<(i64, S::Histogram)>,
    want: &[u8],
    open: bool,
) -> bool {
    let mut chunk = ChunkAppender::<S>::new();
    let (t, first) = &samples[0];
    if let Some(mut before) = before.take() {
        let full = before.clone();
        match before.append(None, *t, first).unwrap() {
            Appended::Cut(header) => {
                chunk = ChunkAppender::with_header(header);
                chunk.append(None, *t, first).unwrap();
            }
            Appended::Added | Appended::Recoded => {
                chunk.append(Some(&full), *t, first).unwrap();
            }
        }
    } else {
        chunk.append(None, *t, first).unwrap();
    }
    let mut recoded = false;
    for (t, h) in &samples[1..] {
        match chunk.append(None, *t, h).unwrap() {
            Appended::Cut(_) => panic!("cut at {t}"),
            Appended::Recoded => recoded = true,
            Appended::Added => {}
        }
    }
    let mut bytes = chunk.bytes().to_vec();
    if open {
        bytes[2] = 0; // a snapshot copies the open chunk without looking at the one before
    }
    assert_eq!(bytes, want);
    *before = Some(chunk);
    recoded
}

/// The blocks in testdata, which are such a server's, are read in every run of the tests.
#[test]
fn kept_blocks_of_a_server() {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/prometheus-blocks/server-3.5.3");
    let dir = MemDir::load(&StdDir::new(folder)).unwrap();
    let (back, done) = imported(&dir).unwrap();
    assert_eq!((done.blocks, done.samples, done.rejected), (3, 4100, 0));
    assert_same(&back, &server_series());
    let again = append_again(&dir, &server_series());
    assert!(again[0] == 108 && again[1] > 3, "{again:?}");
    assert_eq!(recode_all(&dir), [17, 92, 16]);
    // What is exported from them holds the same.
    let (again, _) = exported(back);
    assert_same(&imported(&again).unwrap().0, &server_series());
}

fn end_of(series: &Series) -> i64 {
    series
        .values()
        .filter_map(|s| s.keys().last())
        .copied()
        .max()
        .unwrap()
}

/// What the HTTP API says of a sample; nothing of staleness markers.
fn api_value(value: &SampleValue) -> Option<Json> {
    let h: FloatHistogram = match value {
        SampleValue::Float(v) if is_stale(*v) => return None,
        SampleValue::Float(v) => return Some(format_float(*v).into()),
        SampleValue::Histogram(HistogramValue::Int(h)) => h.to_float(),
        SampleValue::Histogram(HistogramValue::Float(h)) => (**h).clone(),
    };
    if is_stale(h.sum) {
        return None;
    }
    let buckets: Vec<Json> = h
        .api_buckets()
        .iter()
        .map(|b| {
            serde_json::json!([
                b.boundaries(),
                format_float(b.lower),
                format_float(b.upper),
                format_float(b.count)
            ])
        })
        .collect();
    let mut object =
        serde_json::json!({"count": format_float(h.count), "sum": format_float(h.sum)});
    if !buckets.is_empty() {
        object["buckets"] = buckets.into();
    }
    Some(object)
}

type Answer = BTreeMap<Labels, BTreeMap<i64, Json>>;

fn expected(series: &Series) -> Answer {
    let samples = |s: &BTreeMap<i64, SampleValue>| {
        s.iter()
            .filter_map(|(t, v)| Some((*t, api_value(v)?)))
            .collect()
    };
    series
        .iter()
        .map(|(l, s)| (l.clone(), samples(s)))
        .collect()
}

fn answered(json: &Json) -> Answer {
    let mut answer = Answer::new();
    for series in json["data"]["result"].as_array().unwrap() {
        let metric = series["metric"].as_object().unwrap();
        let labels = Labels::from_pairs(metric.iter().map(|(n, v)| (n, v.as_str().unwrap())));
        let samples = answer.entry(labels).or_default();
        for key in ["values", "histograms"] {
            for pair in series[key].as_array().into_iter().flatten() {
                let t = (pair[0].as_f64().unwrap() * 1000.0).round() as i64;
                samples.insert(t, pair[1].clone());
            }
        }
    }
    answer
}

fn assert_same_answer(got: &Answer, want: &Answer) {
    assert_eq!(
        got.keys().collect::<Vec<_>>(),
        want.keys().collect::<Vec<_>>()
    );
    for (labels, samples) in want {
        let got = &got[labels];
        assert_eq!(got.len(), samples.len(), "{labels}");
        for (t, value) in samples {
            assert_eq!(got.get(t), Some(value), "{labels} at {t}");
        }
    }
}

#[test]
fn blocks_of_promtool_are_read() {
    let Some(promtool) = tool("promtool") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut series = Series::new();
    let mut text = String::from("# TYPE a gauge\n");
    for job in ["x", "y\\\"z", "größe"] {
        let labels = labels(&[("__name__", "a"), ("job", &job.replace("\\\"", "\""))]);
        for i in 0..1000 {
            let (t, v) = (1_700_000_000_000 + i * 15_000, i as f64 / 7.0 - 20.0);
            writeln!(text, "a{{job=\"{job}\"}} {v} {}", t as f64 / 1e3).unwrap();
            series
                .entry(labels.clone())
                .or_default()
                .insert(t, SampleValue::Float(v));
        }
    }
    text += "# EOF\n";
    write_file(folder.path(), "input", text.as_bytes());
    let path = |name| folder.path().join(name).display().to_string();
    let args = [
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        &path("input"),
        &path("out"),
    ];
    run(&promtool, &args);
    let dir = StdDir::new(folder.path().join("out"));
    let blocks = list_blocks(&dir).unwrap();
    assert_eq!(blocks.len(), 3);
    let (back, done) = imported(&dir).unwrap();
    assert_eq!(done.samples, 3000);
    assert_same(&back, &series);
    // The chunks themselves are ours to the bit.
    assert_eq!(
        recode_all(&dir),
        [blocks.iter().map(|b| b.1.stats.chunks).sum(), 0, 0]
    );
}

#[test]
fn promtool_reads_exported_blocks() {
    let Some(promtool) = tool("promtool") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let dir = StdDir::new(folder.path());
    let series = sample_series();
    let store = MemStore::new(series.clone());
    let metas = export(&store, &[], i64::MIN, i64::MAX, &dir, &mut |_| {}).unwrap();
    dir.create_dir("wal").unwrap(); // promtool wants one
    let path = folder.path().display().to_string();

    let listed = run(&promtool, &["tsdb", "list", &path]);
    for meta in &metas {
        assert!(listed.contains(&meta.ulid.to_string()), "{listed}");
        let analysis = run(
            &promtool,
            &["tsdb", "analyze", &path, &meta.ulid.to_string()],
        );
        assert!(
            analysis.contains(&format!("Total Series: {}\n", meta.stats.series)),
            "{analysis}"
        );
    }

    // Its dump loses histograms where they follow floats or start a chunk (it walks over all
    // floats, then all float histograms, then all integer ones), so floats are compared by value
    // and the series of histograms by name.
    let dump = run(&promtool, &["tsdb", "dump", &path]);
    let has_histograms =
        |s: &BTreeMap<i64, SampleValue>| s.values().any(|v| matches!(v, SampleValue::Histogram(_)));
    for (labels, samples) in &series {
        let prefix = format!("{labels} ");
        let lines: Vec<&str> = dump
            .lines()
            .filter_map(|l| l.strip_prefix(&prefix))
            .collect();
        if has_histograms(samples) {
            assert!(lines.len() > 90, "{labels}: {}", lines.len());
            continue;
        }
        let got: Vec<(i64, u64)> = lines
            .iter()
            .map(|line| {
                let (v, t) = line.split_once(' ').unwrap();
                (
                    t.parse().unwrap(),
                    tsdb_model::parse_float(v).unwrap().to_bits(),
                )
            })
            .collect();
        let bits = |v: &SampleValue| match v {
            // All NaNs are printed alike.
            SampleValue::Float(v) if v.is_nan() => tsdb_model::float::NORMAL_NAN_BITS,
            SampleValue::Float(v) => v.to_bits(),
            SampleValue::Histogram(_) => 0,
        };
        let want: Vec<(i64, u64)> = samples.iter().map(|(t, v)| (*t, bits(v))).collect();
        assert_eq!(got, want, "{labels}");
    }
}

#[test]
fn prometheus_answers_from_exported_blocks() {
    let Some(prometheus) = tool("prometheus") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let config = tempfile::tempdir().unwrap();
    let series = sample_series();
    let store = MemStore::new(series.clone());
    let dir = StdDir::new(folder.path());
    export(&store, &[], i64::MIN, i64::MAX, &dir, &mut |_| {}).unwrap();
    let server = Server::start(&prometheus, folder.path(), config.path());
    let answer = answered(&server.samples(end_of(&series)));
    assert_same_answer(&answer, &expected(&series));

    // What is deleted there is deleted here.
    let (from, to) = (T0 / 1000 + 600, T0 / 1000 + 1200);
    let path = format!(
        "/api/v1/admin/tsdb/delete_series?match[]=latency&match[]=odd&start={from}&end={to}"
    );
    let (code, body) = server.request("POST", &path, &[], &[]).unwrap();
    assert_eq!(code, 204, "{body}");
    let after = answered(&server.samples(end_of(&series)));
    drop(server);
    let (back, done) = imported(&dir).unwrap();
    assert!(done.samples < 3400);
    assert_same_answer(&expected(&back), &after);
}

#[test]
fn blocks_of_a_server_are_read_and_written_alike() {
    let Some(prometheus) = tool("prometheus") else {
        return;
    };
    let keep = std::env::var_os("PEERS_KEEP").map(PathBuf::from);
    let folder = tempfile::tempdir().unwrap();
    let config = tempfile::tempdir().unwrap();
    let data = keep.unwrap_or_else(|| folder.path().to_path_buf());
    let series = server_series();
    let server = Server::start(&prometheus, &data, config.path());
    // In order of time, as a server expects it.
    let mut all: Vec<(&Labels, i64, &SampleValue)> = series
        .iter()
        .flat_map(|(l, s)| s.iter().map(move |(t, v)| (l, *t, v)))
        .collect();
    all.sort_by_key(|(_, t, _)| *t);
    let headers = [
        "Content-Type: application/x-protobuf\r\n",
        "Content-Encoding: snappy\r\n",
        "X-Prometheus-Remote-Write-Version: 0.1.0\r\n",
    ];
    // A request must not change between floats and histograms of one series, which "mixed" does
    // every 50 samples.
    for part in all.chunk_by(|a, b| (a.1 - T0) / 750_000 == (b.1 - T0) / 750_000) {
        let body = remote_write::body(part);
        let answer = server
            .request("POST", "/api/v1/write", &headers, &body)
            .unwrap();
        assert_eq!(answer.0, 204, "{}", answer.1);
    }
    let end = end_of(&series);
    let before = answered(&server.samples(end));
    assert_same_answer(&before, &expected(&series));
    let (code, body) = server
        .request("POST", "/api/v1/admin/tsdb/snapshot", &[], &[])
        .unwrap();
    assert_eq!(code, 200, "{body}");
    let body: Json = serde_json::from_str(&body).unwrap();
    let snapshot = data
        .join("snapshots")
        .join(body["data"]["name"].as_str().unwrap());
    drop(server);

    let dir = StdDir::new(&snapshot);
    let (back, done) = imported(&dir).unwrap();
    assert_eq!(done.samples as usize, all.len());
    assert_same(&back, &series);
    let again = append_again(&dir, &series);
    assert!(again[1] > 3, "{again:?}");
    let counts = recode_all(&dir);
    println!("chunks written alike: {counts:?} of floats, integer and float histograms");
    assert!(counts.iter().all(|n| *n > 3), "{counts:?}");

    // Once more through our blocks and a fresh server.
    let (out, config) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = MemStore::new(back);
    export(
        &store,
        &[],
        i64::MIN,
        i64::MAX,
        &StdDir::new(out.path()),
        &mut |_| {},
    )
    .unwrap();
    let server = Server::start(&prometheus, out.path(), config.path());
    assert_same_answer(&answered(&server.samples(end)), &before);
}

/// Decodes every chunk and encodes it again: the bytes must be the same. Counts chunks by encoding.
pub(super) fn recode_all(dir: &dyn Dir) -> [u64; 3] {
    let mut counts = [0; 3];
    for (folder, _) in list_blocks(dir).unwrap() {
        let mut block = BlockReader::open(dir, &folder).unwrap();
        let mut chunks = ChunkReader::new(dir, &folder);
        let mut data = Vec::new();
        for i in 0..block.series_count() {
            let entry = block.series(i).unwrap();
            for chunk in &entry.chunks {
                let encoding = chunks.read(chunk.reference, &mut data).unwrap();
                let again = match encoding {
                    ENCODING_XOR => {
                        let mut again = XorAppender::new();
                        for sample in XorIter::new(&data).unwrap() {
                            let (t, v) = sample.unwrap();
                            again.append(t, v).unwrap();
                        }
                        again.into_bytes()
                    }
                    ENCODING_HISTOGRAM => recode::<IntegerState>(&data),
                    _ => recode::<FloatState>(&data),
                };
                assert_eq!(again, data, "{} {chunk:?}", entry.labels);
                counts[usize::from(encoding) - 1] += 1;
            }
        }
    }
    counts
}

fn recode<S: SampleState>(data: &[u8]) -> Vec<u8> {
    let iter = ChunkIter::<S>::new(data).unwrap();
    let mut again = ChunkAppender::<S>::with_header(iter.header());
    for sample in iter {
        let (t, h) = sample.unwrap();
        assert_eq!(again.append(None, t, &h), Ok(Appended::Added));
    }
    again.into_bytes()
}
