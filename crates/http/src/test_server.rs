//! An [`Api`] over a store in a temporary directory, asked without a network.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt as _;
use tempfile::TempDir;
use tsdb::{Db, Exemplar, Labels, Metadata, MetricType, Options, WalSync};
use tsdb_config::Config;
use tsdb_model::ManualClock;
use tsdb_scrape::{ScrapeManager, ScrapeOptions};

use crate::{Api, ApiOptions, ApiState};

/// Time of the first sample, ms.
pub(crate) const T0: i64 = 1_700_000_000_000;

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// The `data` of a success.
    #[track_caller]
    pub(crate) fn data(&self) -> serde_json::Value {
        assert_eq!(self.status, 200, "{}", self.text());
        let mut json: serde_json::Value = serde_json::from_slice(&self.bytes).unwrap();
        assert_eq!(json["status"], "success");
        json["data"].take()
    }
}

/// A server without a network.
pub(crate) struct TestServer {
    pub(crate) api: Api,
    pub(crate) state: Arc<ApiState>,
    pub(crate) db: Option<Arc<Db>>,
    dir: Option<TempDir>,
}

impl TestServer {
    /// Without a store, as while the program starts.
    pub(crate) fn starting(options: ApiOptions) -> Self {
        let clock = Arc::new(ManualClock::new(T0 + 20_000));
        let state = ApiState::new(ApiOptions { clock, ..options }).unwrap();
        let api = Api::new(state.clone());
        Self {
            api,
            state,
            db: None,
            dir: None,
        }
    }

    /// With a store that holds `up` of two jobs and the counter `foo_total`.
    pub(crate) fn new() -> Self {
        Self::with(ApiOptions::default())
    }

    pub(crate) fn with(options: ApiOptions) -> Self {
        let mut server = Self::starting(options);
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            clock: server.state.options.clock.clone(),
            wal_sync: WalSync::Never,
            maintenance_interval_ms: 0,
            ..Options::default()
        };
        let db = Arc::new(Db::open(dir.path(), options).unwrap());
        fill(&db);
        server.state.start(db.clone(), None);
        server.db = Some(db);
        server.dir = Some(dir);
        server
    }

    /// As [`TestServer::new`], with the targets of a configuration. None of them is scraped.
    pub(crate) fn scraping(config: &str) -> Self {
        let mut server = Self::starting(ApiOptions::default());
        let with_store = Self::new();
        let db = with_store.db.clone().unwrap();
        let options = ScrapeOptions {
            clock: server.state.options.clock.clone(),
            ..ScrapeOptions::default()
        };
        let scrape = ScrapeManager::new(db.clone(), options);
        scrape.apply(&Config::parse(config, "test.yml").unwrap());
        server.state.start(db.clone(), Some(scrape));
        server.db = Some(db);
        server.dir = with_store.dir;
        server
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    /// Posts a form.
    pub(crate) async fn post(&self, path: &str, form: &str) -> Answer {
        let form_type = [("content-type", "application/x-www-form-urlencoded")];
        self.send(Method::POST, path, &form_type, form).await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let body = Bytes::from(body.to_string());
        self.send_bytes(method, path, headers, body).await
    }

    pub(crate) async fn send_bytes(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let response = self.api.answer(head, body).await;
        let (head, body) = response.into_parts();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            bytes: body.collect().await.unwrap().to_bytes(),
        }
    }
}

fn fill(db: &Db) {
    let mut appender = db.appender();
    for (name, labels, values) in [
        ("up", [("instance", "h:1"), ("job", "a")], [1.0, 1.0]),
        ("up", [("instance", "h:2"), ("job", "b")], [0.0, 1e-7]),
        ("foo_total", [("job", "a"), ("lab.el", "x")], [0.0, 10.0]),
    ] {
        let pairs = labels.into_iter().chain([("__name__", name)]);
        let series = appender.series(&Labels::from_pairs(pairs)).unwrap();
        for (i, value) in values.into_iter().enumerate() {
            appender
                .append(series, T0 + 15_000 * i as i64, value)
                .unwrap();
        }
        if name == "foo_total" {
            let exemplar = Exemplar {
                labels: Labels::from_pairs([("trace_id", "abc")]),
                value: 0.67,
                timestamp_ms: T0 + 1,
            };
            appender.append_exemplar(series, exemplar).unwrap();
        }
    }
    for (family, metric_type, help) in [
        ("foo", MetricType::Counter, "Foos."),
        ("up", MetricType::Gauge, "<Up>"),
    ] {
        let metadata = Metadata {
            metric_type,
            unit: String::new(),
            help: help.into(),
        };
        appender.update_metadata(family, metadata);
    }
    appender.commit().unwrap();
}
