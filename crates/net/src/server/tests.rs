//! The server against raw sockets.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    done: JoinHandle<()>,
}

async fn start(options: ServerOptions, handler: impl Handler) -> Running {
    let server = Server::bind(&["127.0.0.1:0"], options).await.unwrap();
    let address = server.local_addrs()[0];
    let (stop, stopped) = oneshot::channel();
    let shutdown = async {
        let _ = stopped.await;
    };
    let done = tokio::spawn(server.serve(Arc::new(handler), shutdown));
    Running {
        address,
        stop,
        done,
    }
}

async fn send(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

async fn read_to_end(mut stream: TcpStream) -> String {
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text).await;
    text
}

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const GET_CLOSE: &str = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

fn ok(text: &str) -> Response {
    Response::new(Body::full(text.to_string()))
}

#[tokio::test]
async fn answers_and_keeps_alive() {
    let running = start(ServerOptions::default(), async |_| ok("hello")).await;
    let mut stream = send(running.address, GET).await;
    let mut buffer = [0; 1024];
    let n = stream.read(&mut buffer).await.unwrap();
    assert!(String::from_utf8_lossy(&buffer[..n]).ends_with("hello"));
    stream.write_all(GET_CLOSE.as_bytes()).await.unwrap();
    assert!(read_to_end(stream).await.ends_with("hello"));
}

#[tokio::test]
async fn slow_head_is_cut_off_but_slow_answer_is_not() {
    let options = ServerOptions {
        header_timeout: Duration::from_millis(50),
        idle_timeout: Duration::from_mins(1),
        ..ServerOptions::default()
    };
    let running = start(options, async |_| {
        tokio::time::sleep(Duration::from_millis(150)).await;
        ok("late")
    })
    .await;
    let half = send(running.address, "GET / HTTP/1.1\r\nHost:").await;
    assert_eq!(read_to_end(half).await, "");
    let whole = send(running.address, GET_CLOSE).await;
    assert!(read_to_end(whole).await.ends_with("late"));
}

#[tokio::test]
async fn idle_connection_is_closed() {
    let options = ServerOptions {
        header_timeout: Duration::from_millis(10),
        idle_timeout: Duration::from_millis(50),
        ..ServerOptions::default()
    };
    let running = start(options, async |_| ok("x")).await;
    let stream = send(running.address, GET).await;
    assert!(read_to_end(stream).await.ends_with('x'));
}

#[tokio::test]
async fn long_head_is_refused() {
    let options = ServerOptions {
        max_header_bytes: 8 << 10,
        ..ServerOptions::default()
    };
    let running = start(options, async |_| ok("x")).await;
    let head = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(20 << 10));
    let text = read_to_end(send(running.address, &head).await).await;
    assert!(
        text.is_empty() || text.starts_with("HTTP/1.1 431"),
        "{text}"
    );
}

#[tokio::test]
async fn client_that_leaves_stops_the_handler() {
    let started = Arc::new(Notify::new());
    let dropped = Arc::new(Notify::new());
    struct Signal(Arc<Notify>);
    impl Drop for Signal {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let (s, d) = (started.clone(), dropped.clone());
    let running = start(ServerOptions::default(), move |_| {
        let (started, signal) = (s.clone(), Signal(d.clone()));
        async move {
            let _signal = signal;
            started.notify_one();
            std::future::pending().await
        }
    })
    .await;
    let stream = send(running.address, GET).await;
    started.notified().await;
    drop(stream);
    dropped.notified().await;
}

#[tokio::test]
async fn unfinished_body_is_visible_to_the_client() {
    let running = start(ServerOptions::default(), async |request: Request| {
        let (sender, body) = Body::channel(4);
        sender.send("part").await.unwrap();
        if request.uri().path() == "/whole" {
            sender.finish();
        }
        Response::new(body)
    })
    .await;
    for (path, whole) in [("/whole", true), ("/broken", false)] {
        let request = GET_CLOSE.replace("GET /", &format!("GET {path}"));
        let text = read_to_end(send(running.address, &request).await).await;
        assert_eq!(text.ends_with("part\r\n0\r\n\r\n"), whole, "{text}");
    }
}

#[tokio::test]
async fn graceful_stop_finishes_answers_and_closes_idle_connections() {
    let release = Arc::new(Notify::new());
    let started = Arc::new(Notify::new());
    let (r, s) = (release.clone(), started.clone());
    let running = start(ServerOptions::default(), move |request: Request| {
        let (release, started) = (r.clone(), s.clone());
        async move {
            if request.uri().path() == "/slow" {
                started.notify_one();
                release.notified().await;
            }
            ok("done")
        }
    })
    .await;
    let mut idle = send(running.address, GET).await;
    let mut buffer = [0; 1024];
    assert!(idle.read(&mut buffer).await.unwrap() > 0);
    let half = send(running.address, "GET / HT").await;
    let untouched = TcpStream::connect(running.address).await.unwrap();
    let slow = send(running.address, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    started.notified().await;

    running.stop.send(()).unwrap();
    assert_eq!(read_to_end(idle).await, "");
    assert_eq!(read_to_end(half).await, "");
    assert_eq!(read_to_end(untouched).await, "");
    release.notify_one();
    assert!(read_to_end(slow).await.ends_with("done"));
    running.done.await.unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn stop_cuts_answers_that_take_too_long() {
    let options = ServerOptions {
        stop_timeout: Duration::from_millis(50),
        ..ServerOptions::default()
    };
    let started = Arc::new(Notify::new());
    let s = started.clone();
    let running = start(options, move |_| {
        s.notify_one();
        std::future::pending()
    })
    .await;
    let stream = send(running.address, GET).await;
    started.notified().await;
    running.stop.send(()).unwrap();
    running.done.await.unwrap();
    assert_eq!(read_to_end(stream).await, "");
}

#[tokio::test]
async fn idle_connections_make_room_and_working_ones_do_not() {
    let options = ServerOptions {
        max_connections: 2,
        ..ServerOptions::default()
    };
    let (started, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (s, r) = (started.clone(), release.clone());
    let running = start(options, move |request: Request| {
        let (started, release) = (s.clone(), r.clone());
        async move {
            if request.uri().path() == "/slow" {
                started.notify_one();
                release.notified().await;
            }
            ok("x")
        }
    })
    .await;
    let slow = send(running.address, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    started.notified().await;
    let mut idle = send(running.address, GET).await;
    let mut buffer = [0; 1024];
    assert!(idle.read(&mut buffer).await.unwrap() > 0);

    let third = send(running.address, GET_CLOSE).await;
    assert!(read_to_end(third).await.ends_with('x'));
    assert_eq!(read_to_end(idle).await, "");

    let second = send(running.address, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    started.notified().await;
    let refused = read_to_end(send(running.address, GET).await).await;
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert!(refused.contains("\r\nRetry-After: 5\r\n"), "{refused}");
    release.notify_waiters();
    running.stop.send(()).unwrap();
    for stream in [slow, second] {
        assert!(read_to_end(stream).await.ends_with('x'));
    }
}

#[tokio::test]
async fn bodies_of_all_requests_together_are_limited() {
    let options = ServerOptions {
        max_body_bytes: 10,
        ..ServerOptions::default()
    };
    let (read, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (n, r) = (read.clone(), release.clone());
    let running = start(options, move |request: Request| {
        let (read, release) = (n.clone(), r.clone());
        async move {
            let keep = request.uri().path() == "/keep";
            match read_body(request.into_body(), 100, Duration::from_secs(5)).await {
                Ok(bytes) if keep => {
                    read.notify_one();
                    release.notified().await;
                    ok(&String::from_utf8_lossy(&bytes))
                }
                Ok(bytes) => ok(&String::from_utf8_lossy(&bytes)),
                Err(error) => ok(&error.to_string()),
            }
        }
    })
    .await;
    let post = |path: &str, body: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let kept = send(running.address, &post("/keep", "123456")).await;
    read.notified().await;
    let busy = send(running.address, &post("/", "12345")).await;
    assert!(
        read_to_end(busy)
            .await
            .ends_with("too many request bodies at the same time")
    );
    let small = send(running.address, &post("/", "1234")).await;
    assert!(read_to_end(small).await.ends_with("1234"));
    release.notify_one();
    assert!(read_to_end(kept).await.ends_with("123456"));
    let after = send(running.address, &post("/", "1234567890")).await;
    assert!(read_to_end(after).await.ends_with("1234567890"));
}

#[tokio::test]
async fn client_that_does_not_read_is_cut_off() {
    let options = ServerOptions {
        write_timeout: Duration::from_millis(50),
        ..ServerOptions::default()
    };
    let gone = Arc::new(Notify::new());
    let g = gone.clone();
    let running = start(options, move |_| {
        let gone = g.clone();
        async move {
            let (sender, body) = Body::channel(1);
            tokio::spawn(async move {
                while sender.send(vec![0; 1 << 20]).await.is_ok() {}
                gone.notify_one();
            });
            Response::new(body)
        }
    })
    .await;
    let _stream = send(running.address, GET).await;
    gone.notified().await;
}

#[tokio::test]
async fn panicking_handler_closes_only_its_connection() {
    let calls = Arc::new(AtomicUsize::new(0));
    let c = calls.clone();
    let running = start(ServerOptions::default(), move |_| {
        let first = c.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            assert!(!first, "as the test wants it");
            ok("fine")
        }
    })
    .await;
    assert_eq!(read_to_end(send(running.address, GET).await).await, "");
    let second = read_to_end(send(running.address, GET_CLOSE).await).await;
    assert!(second.ends_with("fine"));
}

#[tokio::test]
async fn request_bodies_are_limited() {
    let running = start(
        ServerOptions::default(),
        async |request: Request| match read_body(request.into_body(), 4, Duration::from_millis(50))
            .await
        {
            Ok(bytes) => ok(&String::from_utf8_lossy(&bytes)),
            Err(error) => ok(&error.to_string()),
        },
    )
    .await;
    let too_large = "request body too large: the limit is 4 bytes";
    for (head_and_body, answer) in [
        ("Content-Length: 4\r\n\r\nabcd", "abcd"),
        ("Content-Length: 5\r\n\r\nabcde", too_large),
        ("Content-Length: 99999999999\r\n\r\n", too_large),
        (
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            too_large,
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "abc",
        ),
        (
            "Content-Length: 4\r\n\r\nab",
            "the request body did not come in time",
        ),
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head_and_body}");
        let text = read_to_end(send(running.address, &request).await).await;
        assert!(text.ends_with(answer), "{head_and_body}: {text}");
    }
}

#[tokio::test]
async fn addresses_that_cannot_be_bound() {
    let first = Server::bind(&[":0", "127.0.0.1:0"], ServerOptions::default());
    let first = first.await.unwrap();
    assert_eq!(first.local_addrs().len(), 2);
    let taken = first.local_addrs()[1].to_string();
    let error = Server::bind(&[&taken], ServerOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), format!("listen tcp {taken}"));
    assert!(
        Server::bind(&["nonsense"], ServerOptions::default())
            .await
            .is_err()
    );
}
