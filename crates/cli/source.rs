//! Where commands find data: a server, or a data directory that is asked through the same API
//! within this process.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use serde_json::Value as Json;
use tokio::runtime::Runtime;

use tsdb::{Db, Options};
use tsdb_http::{Api, ApiOptions, ApiState};
use tsdb_model::{Clock as _, SystemClock};
use tsdb_net::{Client, ClientOptions};

use crate::time::parse_time;

/// Which server or directory.
#[derive(Debug, Args)]
pub(crate) struct SourceArgs {
    /// Server to ask.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090")]
    pub(crate) url: String,

    /// Data directory to use instead of a server.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["url", "token_file"])]
    pub(crate) dir: Option<PathBuf>,

    /// File with a bearer token for the server.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

/// Which times.
#[derive(Debug, Args)]
pub(crate) struct TimesArgs {
    /// First time: Unix seconds, RFC 3339, `now`, or relative (`-1h`). The oldest sample when absent.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) start: Option<String>,

    /// Last time; the newest sample when absent.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) end: Option<String>,
}

impl TimesArgs {
    /// The parameters `start` and `end` of a request.
    pub(crate) fn parameters(&self) -> anyhow::Result<Vec<(&'static str, String)>> {
        let now = SystemClock.now_ms();
        let mut parameters = Vec::new();
        for (name, text) in [("start", &self.start), ("end", &self.end)] {
            if let Some(text) = text {
                let ms = parse_time(text, now)
                    .map_err(anyhow::Error::msg)
                    .with_context(|| format!("--{name}"))?;
                parameters.push((name, format!("{}", ms as f64 / 1000.0)));
            }
        }
        Ok(parameters)
    }
}

/// What a directory is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// A server may be using it.
    Read,
    /// No server may be using it.
    Write,
}

/// Longest time a server may take.
const TIMEOUT: Duration = Duration::from_mins(10);

/// The largest answer that is read from a server, in bytes.
const MAX_ANSWER_BYTES: u64 = 1 << 30;

/// A server or a directory.
pub(crate) struct Source {
    runtime: Runtime,
    kind: Kind,
}

enum Kind {
    Server {
        client: Client,
        base: String,
        headers: Vec<(&'static str, String)>,
    },
    Directory {
        api: Api,
        db: Arc<Db>,
    },
}

/// A request: where to, and with what.
pub(crate) enum Ask<'a> {
    Get(&'a str),
    Form(&'a str, &'a [(&'a str, String)]),
    /// With a body and headers that describe it.
    Body(&'a str, Vec<u8>, &'a [(&'static str, String)]),
}

impl Ask<'_> {
    fn path(&self) -> &str {
        match self {
            Self::Get(path) | Self::Form(path, _) | Self::Body(path, ..) => path,
        }
    }
}

/// Takes an answer piece by piece.
pub(crate) type Out<'a> = &'a mut dyn FnMut(&[u8]) -> io::Result<()>;

impl Source {
    pub(crate) fn open(args: &SourceArgs, access: Access) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let kind = match &args.dir {
            None => {
                let base = if args.url.contains("://") {
                    args.url.clone()
                } else {
                    format!("http://{}", args.url)
                };
                let headers = credentials(args.token_file.as_deref())?;
                Kind::Server {
                    client: Client::new(ClientOptions::default()),
                    base: base.trim_end_matches('/').to_string(),
                    headers,
                }
            }
            Some(dir) => {
                let db = Arc::new(match access {
                    Access::Read => Db::open_read_only(dir, Options::default())?,
                    // How long data is kept is the server's to decide.
                    Access::Write => Db::open(
                        dir,
                        Options {
                            retention_ms: 0,
                            ..Options::default()
                        },
                    )?,
                });
                let state = ApiState::new(ApiOptions {
                    data_dir: dir.clone(),
                    ..ApiOptions::default()
                })?;
                state.start(Arc::clone(&db), None);
                let api = Api::new(state);
                Kind::Directory { api, db }
            }
        };
        Ok(Self { runtime, kind })
    }

    /// The store, when this is a directory.
    pub(crate) fn db(&self) -> Option<&Db> {
        match &self.kind {
            Kind::Server { .. } => None,
            Kind::Directory { db, .. } => Some(db),
        }
    }

    /// Asks and hands the answer on; an error when the status is none of success.
    pub(crate) fn ask(&self, ask: Ask<'_>, out: Out<'_>) -> anyhow::Result<()> {
        match &self.kind {
            Kind::Server {
                client,
                base,
                headers,
            } => {
                let url = format!("{base}{}", ask.path());
                let answer = match ask {
                    Ask::Get(_) => {
                        let ask = client.get(&url, headers, TIMEOUT, MAX_ANSWER_BYTES);
                        self.runtime.block_on(ask)
                    }
                    Ask::Form(_, form) => {
                        let ask = client.post_form(&url, form, headers, TIMEOUT, MAX_ANSWER_BYTES);
                        self.runtime.block_on(ask)
                    }
                    Ask::Body(_, content, more) => {
                        let headers = [headers.as_slice(), more].concat();
                        let ask = client.post(&url, content, &headers, TIMEOUT, MAX_ANSWER_BYTES);
                        self.runtime.block_on(ask)
                    }
                };
                let answer = answer.with_context(|| {
                    format!(
                        "no answer from {base} (is `tsdb serve` running? --url or --dir say where)"
                    )
                })?;
                if !answer.status.is_success() {
                    bail!("{}", error_text(&answer.status_text, &answer.body));
                }
                Ok(out(&answer.body)?)
            }
            Kind::Directory { api, .. } => {
                let mut request = Request::builder().method(Method::POST).uri(ask.path());
                let bytes = match ask {
                    Ask::Get(_) => {
                        request = request.method(Method::GET);
                        Vec::new()
                    }
                    Ask::Body(_, content, headers) => {
                        for (name, value) in headers {
                            request = request.header(*name, value);
                        }
                        content
                    }
                    Ask::Form(_, form) => {
                        let form_type = "application/x-www-form-urlencoded";
                        request = request.header("content-type", form_type);
                        let pairs = form.iter().map(|(k, v)| (*k, v.as_str()));
                        tsdb_net::url::encode_query(pairs).into_bytes()
                    }
                };
                let (head, ()) = request.body(())?.into_parts();
                self.runtime.block_on(async {
                    let (head, mut body) = api.answer(head, bytes.into()).await.into_parts();
                    let mut failed = Vec::new();
                    while let Some(frame) = body.frame().await {
                        if let Some(data) = frame?.data_ref() {
                            if head.status.is_success() {
                                out(data)?;
                            } else {
                                failed.extend_from_slice(data);
                            }
                        }
                    }
                    if !head.status.is_success() {
                        bail!("{}", error_text(head.status.as_str(), &failed));
                    }
                    Ok(())
                })
            }
        }
    }

    /// Asks with a form and gives the member `data` of the answer.
    pub(crate) fn data(&self, path: &str, form: &[(&str, String)]) -> anyhow::Result<Json> {
        self.json(Ask::Form(path, form))
    }

    /// The same for a path that takes no forms.
    pub(crate) fn get(&self, path: &str) -> anyhow::Result<Json> {
        self.json(Ask::Get(path))
    }

    fn json(&self, ask: Ask<'_>) -> anyhow::Result<Json> {
        let mut body = Vec::new();
        self.ask(ask, &mut |bytes| {
            body.extend_from_slice(bytes);
            Ok(())
        })?;
        let mut answer: Json = serde_json::from_slice(&body).context("the answer is no JSON")?;
        Ok(answer["data"].take())
    }

    /// Makes everything safe that was written to a directory.
    pub(crate) fn close(self) -> anyhow::Result<()> {
        match self.kind {
            Kind::Server { .. } => Ok(()),
            Kind::Directory { db, .. } => Ok(db.close()?),
        }
    }
}

/// Headers with the token of a file.
pub(crate) fn credentials(file: Option<&Path>) -> anyhow::Result<Vec<(&'static str, String)>> {
    let Some(path) = file else {
        return Ok(Vec::new());
    };
    let token = tsdb_config::read_file(path, 1 << 16)
        .with_context(|| format!("--token-file {}", path.display()))?;
    let token = String::from_utf8_lossy(token.trim_ascii()).into_owned();
    Ok(vec![("authorization", format!("Bearer {token}"))])
}

/// What an answer says about its failure: the error of the API, or the first lines of a text.
fn error_text(status: &str, body: &[u8]) -> String {
    if let Ok(json) = serde_json::from_slice::<Json>(body)
        && let Some(error) = json["error"].as_str()
    {
        return error.to_string();
    }
    let text = String::from_utf8_lossy(&body[..body.len().min(4000)]);
    match text.trim() {
        "" => format!("the server answered {status}"),
        text => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_failure_says() {
        assert_eq!(
            error_text("400", br#"{"error":"no match[]"}"#),
            "no match[]"
        );
        assert_eq!(error_text("400", b"out of bounds\n"), "out of bounds");
        assert_eq!(
            error_text("502 Bad Gateway", b""),
            "the server answered 502 Bad Gateway"
        );
    }
}
