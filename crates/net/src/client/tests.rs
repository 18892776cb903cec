//! The client against a server of this crate, and against raw sockets that misbehave.

use super::*;
use crate::{Body, Handler, Request, Server, ServerOptions};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const TIMEOUT: Duration = Duration::from_secs(20);

type Answer = crate::Response;

/// Serves until the test's runtime ends; gives back `http://127.0.0.1:port`.
async fn serve(handler: impl Handler) -> String {
    let server = Server::bind(&["127.0.0.1:0"], ServerOptions::default());
    let server = server.await.unwrap();
    let base = format!("http://{}", server.local_addrs()[0]);
    tokio::spawn(server.serve(Arc::new(handler), std::future::pending()));
    base
}

fn client() -> Client {
    Client::new(ClientOptions::default())
}

async fn get(url: &str) -> Result<Response, FetchError> {
    client().get(url, &[], TIMEOUT, 0).await
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn answer(status: u16, header: Option<(&str, &str)>, body: impl Into<Bytes>) -> Answer {
    let mut builder = http::Response::builder().status(status);
    if let Some((name, value)) = header {
        builder = builder.header(name, value);
    }
    builder.body(Body::full(body)).unwrap()
}

#[tokio::test]
async fn request_as_prometheus_sends_it() {
    let base = serve(async |request: Request| {
        let mut text = format!("{} {}\n", request.method(), request.uri());
        for (name, value) in request.headers() {
            writeln_to(&mut text, name.as_str(), value.to_str().unwrap());
        }
        answer(
            200,
            Some(("content-type", "text/plain; version=0.0.4")),
            text,
        )
    })
    .await;
    let headers = [("Accept", "text/plain".to_string())];
    let url = format!("{base}/metrics?a=b#fragment");
    let response = client().get(&url, &headers, TIMEOUT, 0).await.unwrap();
    assert_eq!(
        response.content_type.as_deref(),
        Some("text/plain; version=0.0.4")
    );
    let text = String::from_utf8(response.body).unwrap();
    let host = base.strip_prefix("http://").unwrap();
    for line in [
        "GET /metrics?a=b",
        "user-agent: tsdb",
        "accept-encoding: gzip",
        "accept: text/plain",
        &format!("host: {host}"),
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

fn writeln_to(text: &mut String, name: &str, value: &str) {
    use std::fmt::Write as _;
    writeln!(text, "{name}: {value}").unwrap();
}

#[tokio::test]
async fn gzip_is_undone_only_when_said() {
    let base = serve(async |request: Request| {
        let said = request.uri().path() == "/said";
        let header = said.then_some(("content-encoding", "gzip"));
        answer(200, header, gzip(b"hello"))
    })
    .await;
    let said = get(&format!("{base}/said")).await.unwrap();
    assert_eq!(said.body, b"hello");
    let unsaid = get(&format!("{base}/unsaid")).await.unwrap();
    assert_eq!(unsaid.body, gzip(b"hello"));
}

#[tokio::test]
async fn broken_gzip_is_an_error() {
    let base = serve(async |request: Request| {
        let whole = gzip(&b"hello".repeat(1000));
        let bytes = match request.uri().path() {
            "/cut" => whole[..whole.len() / 2].to_vec(),
            _ => b"no gzip at all".to_vec(),
        };
        answer(200, Some(("content-encoding", "gzip")), bytes)
    })
    .await;
    for path in ["/cut", "/no"] {
        let error = get(&format!("{base}{path}")).await.unwrap_err();
        assert!(error.to_string().starts_with("gzip: "), "{path}: {error}");
    }
}

#[tokio::test]
async fn body_limit_counts_decompressed_bytes() {
    let base = serve(async |request: Request| match request.uri().path() {
        "/bomb" => answer(
            200,
            Some(("content-encoding", "gzip")),
            gzip(&vec![b'x'; 10 << 20]),
        ),
        _ => answer(200, None, vec![b'x'; 1000]),
    })
    .await;
    let client = client();
    let plain = format!("{base}/plain");
    let limited = |url: String, limit| {
        let client = client.clone();
        async move { client.get(&url, &[], TIMEOUT, limit).await }
    };
    assert_eq!(limited(plain.clone(), 1001).await.unwrap().body.len(), 1000);
    assert_eq!(
        limited(plain, 1000).await.unwrap_err(),
        FetchError::TooLarge
    );
    let bomb = limited(format!("{base}/bomb"), 1 << 20).await.unwrap_err();
    assert_eq!(bomb.to_string(), "body size limit exceeded");
}

#[tokio::test]
async fn statuses() {
    let base = serve(async |_| answer(404, None, "nothing here")).await;
    let response = get(&base).await.unwrap();
    assert_eq!(response.body, b"nothing here");
    let error = response.require_ok().unwrap_err();
    assert_eq!(
        error.to_string(),
        "server returned HTTP status 404 Not Found"
    );
    // A server's own words, and no words at all.
    for (line, text) in [("404 Gone fishing", "404 Gone fishing"), ("599 ", "599")] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
            let answer = format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let response = get(&base).await.unwrap();
        assert_eq!(response.status_text, text);
        let error = response.require_ok().unwrap_err().to_string();
        assert_eq!(error, format!("server returned HTTP status {text}"));
    }
}

#[tokio::test]
async fn redirects_are_followed_ten_times() {
    let base = serve(async |request: Request| {
        let (method, path) = (request.method().to_string(), request.uri().path());
        match path.strip_prefix('/').and_then(|n| n.parse::<u32>().ok()) {
            Some(0) => answer(200, None, method),
            Some(n) => answer(302, Some(("location", &format!("/{}", n - 1))), ""),
            None => answer(307, Some(("location", "/0")), ""),
        }
    })
    .await;
    assert_eq!(get(&format!("{base}/10")).await.unwrap().body, b"GET");
    let error = get(&format!("{base}/11")).await.unwrap_err().to_string();
    assert_eq!(
        error,
        format!("Get \"{base}/0\": stopped after 10 redirects")
    );

    let client = client();
    for (path, method) in [("1", "GET"), ("keep", "POST")] {
        let url = format!("{base}/{path}");
        let posted = client.post_form(&url, &[], &[], TIMEOUT, 0).await;
        assert_eq!(posted.unwrap().body, method.as_bytes());
    }

    let stay = Client::new(ClientOptions {
        max_redirects: 0,
        ..ClientOptions::default()
    });
    let response = stay
        .get(&format!("{base}/1"), &[], TIMEOUT, 0)
        .await
        .unwrap();
    assert_eq!(response.status, 302);
}

#[tokio::test]
async fn forms_are_posted() {
    let base = serve(async |request: Request| {
        let content_type = request.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_string();
        let body = crate::server::read_body(request.into_body(), 1000, TIMEOUT).await;
        let text = String::from_utf8(body.unwrap().to_vec()).unwrap();
        answer(200, None, format!("{content_type} {text}"))
    })
    .await;
    let form = [("query", "a + b".to_string()), ("time", "1".to_string())];
    let response = client()
        .post_form(&base, &form, &[], TIMEOUT, 0)
        .await
        .unwrap();
    assert_eq!(
        String::from_utf8(response.body).unwrap(),
        "application/x-www-form-urlencoded query=a+%2B+b&time=1"
    );
}

#[tokio::test]
async fn refused_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://{address}/metrics");
    let error = get(&url).await.unwrap_err().to_string();
    assert_eq!(
        error,
        format!("Get \"{url}\": dial tcp {address}: connect: connection refused")
    );
    let error = get(&format!("https://me:secret@{address}/")).await;
    let error = error.unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "Get \"https://me:***@{address}/\": dial tcp {address}: connect: connection refused"
        )
    );
}

#[tokio::test]
async fn timeouts_in_head_and_body() {
    let base = serve(async |request: Request| {
        if request.uri().path() == "/head" {
            std::future::pending::<()>().await;
        }
        let (sender, body) = Body::channel(1);
        sender.send("some").await.unwrap();
        tokio::spawn(async move { sender.closed().await });
        Answer::new(body)
    })
    .await;
    let short = Duration::from_millis(50);
    let url = format!("{base}/head");
    let error = client()
        .get(&url, &[], short, 0)
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(error, format!("Get \"{url}\": context deadline exceeded"));
    let error = client()
        .get(&base, &[], short, 0)
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(error, "context deadline exceeded");
}

#[tokio::test]
async fn connections_are_used_again() {
    let base = serve(async |request: Request| {
        let peer = request
            .extensions()
            .get::<crate::server::PeerAddr>()
            .unwrap()
            .0;
        answer(200, None, peer.to_string())
    })
    .await;
    let client = client();
    let first = client.get(&base, &[], TIMEOUT, 0).await.unwrap().body;
    let second = client.get(&base, &[], TIMEOUT, 0).await.unwrap().body;
    assert_eq!(first, second);
}

#[tokio::test]
async fn old_connections_are_dropped_for_other_hosts_too() {
    let bases = [
        serve(async |_| answer(200, None, "a")).await,
        serve(async |_| answer(200, None, "b")).await,
    ];
    let client = Client::new(ClientOptions {
        idle_timeout: Duration::from_millis(50),
        ..ClientOptions::default()
    });
    client.get(&bases[0], &[], TIMEOUT, 0).await.unwrap();
    assert_eq!(client.inner.kept.lock().unwrap().idle.len(), 1);
    tokio::time::sleep(Duration::from_millis(60)).await;
    client.get(&bases[1], &[], TIMEOUT, 0).await.unwrap();
    assert_eq!(client.inner.kept.lock().unwrap().idle.len(), 1);
}

/// A server that answers one request per connection, says keep-alive, and closes nevertheless.
#[tokio::test]
async fn closed_kept_connection_is_replaced() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let served = Arc::new(AtomicUsize::new(0));
    let count = served.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 1024];
            let _ = stream.read(&mut buffer).await;
            count.fetch_add(1, Ordering::SeqCst);
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            stream.write_all(answer).await.unwrap();
        }
    });
    let client = client();
    for _ in 0..5 {
        let response = client.get(&base, &[], TIMEOUT, 0).await.unwrap();
        assert_eq!(response.body, b"ok");
    }
    assert_eq!(served.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn broken_answers() {
    for (raw, error) in [
        ("", "EOF"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
            "unexpected EOF",
        ),
        ("garbage\r\n\r\n", "invalid HTTP version parsed"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 1024];
            let _ = stream.read(&mut buffer).await;
            stream.write_all(raw.as_bytes()).await.unwrap();
        });
        let got = get(&base).await.unwrap_err().to_string();
        assert!(got.ends_with(error), "{raw:?}: {got}");
    }
}

/// Answers with the request head it got.
async fn echo(request: Request) -> Answer {
    let mut text = format!("{} {}\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        writeln_to(&mut text, name.as_str(), value.to_str().unwrap());
    }
    answer(200, None, text)
}

fn client_with(http: HttpClientConfig) -> Client {
    Client::new(ClientOptions {
        http,
        ..ClientOptions::default()
    })
}

fn inline(text: &str) -> tsdb_config::Source {
    tsdb_config::Source::Inline(tsdb_config::Secret::new(text))
}

async fn text(client: &Client, url: &str) -> String {
    let response = client.get(url, &[], TIMEOUT, 0).await.unwrap();
    String::from_utf8(response.body).unwrap()
}

#[tokio::test]
async fn credentials_and_headers() {
    let base = serve(echo).await;
    let client = client_with(HttpClientConfig {
        basic_auth: Some(tsdb_config::BasicAuth {
            username: inline("me"),
            password: inline("secret"),
        }),
        http_headers: [(
            "X-Scope".to_string(),
            tsdb_config::HeaderValues {
                values: vec!["a".into(), "b".into()],
                ..Default::default()
            },
        )]
        .into(),
        ..HttpClientConfig::default()
    });
    let seen = text(&client, &base).await;
    assert!(
        seen.contains("authorization: Basic bWU6c2VjcmV0\n"),
        "{seen}"
    );
    assert!(seen.contains("x-scope: a\nx-scope: b\n"), "{seen}");

    let client = client_with(HttpClientConfig {
        authorization: Some(tsdb_config::Authorization {
            kind: "Token".into(),
            credentials: Some(tsdb_config::Source::File("/does/not/exist".into())),
        }),
        ..HttpClientConfig::default()
    });
    let error = client
        .get(&base, &[], TIMEOUT, 0)
        .await
        .unwrap_err()
        .to_string();
    let why = "unable to read authorization credentials: unable to read file /does/not/exist: \
               open /does/not/exist: no such file or directory";
    assert!(error.ends_with(why), "{error}");
}

#[tokio::test]
async fn credentials_stay_with_their_host() {
    let other = serve(echo).await;
    let to = other.replace("127.0.0.1", "localhost");
    let base = serve(move |request: Request| {
        let to = to.clone();
        async move {
            match request.uri().path() {
                "/other" => answer(302, Some(("location", &to)), ""),
                "/own" => answer(302, Some(("location", "/echo")), ""),
                _ => echo(request).await,
            }
        }
    })
    .await;
    let client = client_with(HttpClientConfig {
        authorization: Some(tsdb_config::Authorization {
            kind: "Bearer".into(),
            credentials: Some(inline("secret")),
        }),
        ..HttpClientConfig::default()
    });
    let own = text(&client, &format!("{base}/own")).await;
    assert!(own.starts_with("GET /echo\n") && own.contains("authorization: Bearer secret\n"));
    let other = text(&client, &format!("{base}/other")).await;
    assert!(
        other.starts_with("GET /\n") && !other.contains("authorization"),
        "{other}"
    );

    let stays = client_with(HttpClientConfig {
        follow_redirects: false,
        ..HttpClientConfig::default()
    });
    let answer = stays
        .get(&format!("{base}/own"), &[], TIMEOUT, 0)
        .await
        .unwrap();
    assert_eq!(answer.status, StatusCode::FOUND);
}

#[tokio::test]
async fn proxies() {
    let proxy = serve(async |request: Request| {
        if request.method() == Method::CONNECT {
            return answer(407, None, "");
        }
        echo(request).await
    })
    .await;
    let client = client_with(HttpClientConfig {
        proxy_url: Some(tsdb_config::Secret::new(proxy.replace("//", "//u:p@"))),
        ..HttpClientConfig::default()
    });
    let seen = text(&client, "http://far.example:81/x?y=1").await;
    assert!(
        seen.starts_with("GET http://far.example:81/x?y=1\n"),
        "{seen}"
    );
    assert!(seen.contains("proxy-authorization: Basic dTpw\n"), "{seen}");
    assert!(seen.contains("host: far.example:81\n"), "{seen}");
    let error = client
        .get("https://far.example/", &[], TIMEOUT, 0)
        .await
        .unwrap_err();
    let want = "Get \"https://far.example/\": Proxy Authentication Required";
    assert_eq!(error.to_string(), want);
}

#[tokio::test]
async fn a_tunnel_leads_to_the_host() {
    // What comes after the proxy's answer belongs to the host: here it does not speak TLS.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let accepted = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 1024];
        let n = stream.read(&mut head).await.unwrap();
        let answer = b"HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
        String::from_utf8_lossy(&head[..n]).into_owned()
    });
    let client = client_with(HttpClientConfig {
        proxy_url: Some(tsdb_config::Secret::new(proxy)),
        tls_config: tsdb_config::TlsConfig {
            insecure_skip_verify: true,
            ..Default::default()
        },
        ..HttpClientConfig::default()
    });
    let error = client
        .get("https://far.example/", &[], TIMEOUT, 0)
        .await
        .unwrap_err();
    let want = "http: server gave HTTP response to HTTPS client";
    assert!(error.to_string().ends_with(want), "{error}");
    let head = accepted.await.unwrap();
    assert!(head.starts_with("CONNECT far.example:443 HTTP/1.1\r\nHost: far.example:443\r\n"));
}
