use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tsdb_net::server::{Server, ServerOptions};

use crate::ApiOptions;
use crate::test_server::TestServer;

/// Sends bytes over a connection of its own and reads until the server closes it.
async fn exchange(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn over_a_real_connection() {
    let api = TestServer::starting(ApiOptions::default()).api;
    let server = Server::bind(&["127.0.0.1:0"], ServerOptions::default())
        .await
        .unwrap();
    let address = server.local_addrs()[0];
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(Arc::new(api), async {
        let _ = stopped.await;
    }));

    let rest = "Host: x\r\nConnection: close\r\n";
    let answer = exchange(address, &format!("GET /-/healthy HTTP/1.1\r\n{rest}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.ends_with("\r\n\r\nPrometheus Server is Healthy.\n"),
        "{answer}"
    );

    let answer = exchange(address, &format!("HEAD /-/healthy HTTP/1.1\r\n{rest}\r\n")).await;
    assert!(
        answer.contains("content-length: 30\r\n") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );

    // Clients write selectors unescaped.
    let request = format!("GET /api/v1/series?match[]=up{{job=~'a|b'}} HTTP/1.1\r\n{rest}\r\n");
    let answer = exchange(address, &request).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");

    let length = 33 << 20;
    let request = format!("POST /api/v1/query HTTP/1.1\r\n{rest}Content-Length: {length}\r\n\r\n");
    let answer = exchange(address, &request).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let text = r#"{"status":"error","errorType":"bad_data","error":"request body too large: the limit is 33554432 bytes"}"#;
    assert!(answer.ends_with(text), "{answer}");

    stop.send(()).unwrap();
    serving.await.unwrap();
}
