//! TLS and the guard, client and server of this crate against each other, with certificates made
//! on the spot.

use super::*;
use crate::client::{Client, ClientOptions, FetchError};
use crate::{Server, ServerOptions};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::net::SocketAddr;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tsdb_config::{HttpClientConfig, Source, TlsConfig, TlsVersion};

const TIMEOUT: Duration = Duration::from_secs(20);

#[expect(clippy::disallowed_methods, reason = "a test's own files")]
fn write(dir: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = dir.path().join(name);
    let fresh = dir.path().join("fresh");
    std::fs::write(&fresh, text).unwrap();
    std::fs::rename(fresh, &path).unwrap();
    path
}

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Certificate and key in PEM.
fn issued(by: &Issuer, names: &[&str]) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let names: Vec<_> = names.iter().map(|n| n.to_string()).collect();
    let params = CertificateParams::new(names).unwrap();
    let certificate = params.signed_by(&key, by).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// A server of the web configuration `yaml`, whose files are in `dir`.
async fn serve(dir: &TempDir, yaml: &str) -> SocketAddr {
    let path = write(dir, "web.yml", yaml);
    let options = ServerOptions {
        web: Some(WebAccess::load(path).unwrap()),
        header_timeout: Duration::from_millis(300),
        ..ServerOptions::default()
    };
    let server = Server::bind(&["127.0.0.1:0"], options).await.unwrap();
    let address = server.local_addrs()[0];
    let handler = async |_: Request| Response::new(Body::full("hello"));
    tokio::spawn(server.serve(Arc::new(handler), std::future::pending()));
    address
}

const TLS: &str = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n";

fn client(tls_config: TlsConfig) -> Client {
    Client::new(ClientOptions {
        http: HttpClientConfig {
            tls_config,
            ..HttpClientConfig::default()
        },
        ..ClientOptions::default()
    })
}

fn trusting(ca: &Issuer) -> TlsConfig {
    TlsConfig {
        ca: Some(Source::Inline(Secret::new(ca.pem()))),
        ..TlsConfig::default()
    }
}

async fn get(client: &Client, url: &str) -> Result<String, String> {
    let response = client.get(url, &[], TIMEOUT, 0).await;
    let response = response.and_then(|r| r.require_ok());
    match response {
        Ok(response) => Ok(String::from_utf8(response.body).unwrap()),
        Err(FetchError::Request { cause, .. }) => Err(cause),
        Err(other) => Err(other.to_string()),
    }
}

fn with_server_files(dir: &TempDir, ca: &Issuer, names: &[&str]) {
    let (certificate, key) = issued(ca, names);
    write(dir, "cert.pem", &certificate);
    write(dir, "key.pem", &key);
}

#[tokio::test]
async fn servers_are_verified() {
    let dir = TempDir::new().unwrap();
    let ca = authority();
    with_server_files(&dir, &ca, &["localhost", "db.example"]);
    let address = serve(&dir, TLS).await;
    let url = format!("https://localhost:{}/", address.port());
    assert_eq!(get(&client(trusting(&ca)), &url).await.unwrap(), "hello");

    let untrusted = "tls: failed to verify certificate: x509: ";
    let unknown = format!("{untrusted}certificate signed by unknown authority");
    assert_eq!(
        get(&client(trusting(&authority())), &url)
            .await
            .unwrap_err(),
        unknown
    );
    let other_name = format!("https://{address}/");
    let error = get(&client(trusting(&ca)), &other_name).await.unwrap_err();
    let valid_for =
        format!("{untrusted}certificate is valid for localhost, db.example, not 127.0.0.1");
    assert_eq!(error, valid_for);
    let named = TlsConfig {
        server_name: Some("db.example".into()),
        min_version: Some(TlsVersion::Tls13),
        ..trusting(&ca)
    };
    assert_eq!(get(&client(named), &other_name).await.unwrap(), "hello");
    let anyone = TlsConfig {
        insecure_skip_verify: true,
        max_version: Some(TlsVersion::Tls12),
        ..TlsConfig::default()
    };
    assert_eq!(get(&client(anyone), &other_name).await.unwrap(), "hello");
}

#[tokio::test]
async fn a_certificate_that_is_its_own_authority_can_be_named() {
    let dir = TempDir::new().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_string()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let own = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    write(&dir, "cert.pem", &own.pem());
    write(&dir, "key.pem", &own.key().serialize_pem());
    let address = serve(&dir, TLS).await;
    let url = format!("https://localhost:{}/", address.port());
    assert_eq!(get(&client(trusting(&own)), &url).await.unwrap(), "hello");
    let error = get(&client(trusting(&own)), &format!("https://{address}/")).await;
    assert!(error.unwrap_err().contains("not 127.0.0.1"));
    assert!(get(&client(trusting(&authority())), &url).await.is_err());
}

#[tokio::test]
async fn plain_and_tls_do_not_mix() {
    let dir = TempDir::new().unwrap();
    let ca = authority();
    with_server_files(&dir, &ca, &["localhost"]);
    let address = serve(&dir, TLS).await;
    let plain = format!("http://{address}/");
    let error = get(&client(TlsConfig::default()), &plain)
        .await
        .unwrap_err();
    assert_eq!(error, "server returned HTTP status 400 Bad Request");
    // And the other way round.
    let dir = TempDir::new().unwrap();
    let address = serve(&dir, "").await;
    let error = get(&client(trusting(&ca)), &format!("https://{address}/")).await;
    assert_eq!(
        error.unwrap_err(),
        "http: server gave HTTP response to HTTPS client"
    );
    // A handshake that is begun and left.
    let dir = TempDir::new().unwrap();
    with_server_files(&dir, &ca, &["localhost"]);
    let address = serve(&dir, TLS).await;
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(&[0x16, 3, 1]).await.unwrap();
    let mut rest = Vec::new();
    let cut = tokio::time::timeout(Duration::from_secs(10), slow.read_to_end(&mut rest)).await;
    assert!(cut.is_ok(), "a slow handshake is not waited for");
}

#[tokio::test]
async fn clients_are_verified() {
    let dir = TempDir::new().unwrap();
    let ca = authority();
    with_server_files(&dir, &ca, &["localhost"]);
    write(&dir, "ca.pem", &ca.pem());
    let yaml = format!(
        "{TLS}  client_ca_file: ca.pem\n  client_auth_type: RequireAndVerifyClientCert\n  \
         client_allowed_sans: [agent]\n"
    );
    let address = serve(&dir, &yaml).await;
    let url = format!("https://localhost:{}/", address.port());
    let inline = |text: &str| Some(Source::Inline(Secret::new(text)));
    let shown = |by: &Issuer, name: &str| {
        let (certificate, key) = issued(by, &[name]);
        client(TlsConfig {
            cert: inline(&certificate),
            key: inline(&key),
            ..trusting(&ca)
        })
    };
    assert_eq!(get(&shown(&ca, "agent"), &url).await.unwrap(), "hello");
    assert!(get(&shown(&ca, "other"), &url).await.is_err());
    assert!(get(&shown(&authority(), "agent"), &url).await.is_err());
    let error = get(&client(trusting(&ca)), &url).await.unwrap_err();
    assert_eq!(error, "remote error: tls: certificate required");
}

#[tokio::test]
async fn certificates_are_renewed_on_both_sides() {
    let dir = TempDir::new().unwrap();
    let (old, new) = (authority(), authority());
    with_server_files(&dir, &old, &["localhost"]);
    let ca = write(&dir, "ca.pem", &old.pem());
    let address = serve(&dir, TLS).await;
    let url = format!("https://localhost:{}/", address.port());
    let client = client(TlsConfig {
        ca: Some(Source::File(ca)),
        ..TlsConfig::default()
    });
    assert_eq!(get(&client, &url).await.unwrap(), "hello");

    // A certificate without its key: the old one stays.
    let (certificate, key) = issued(&new, &["localhost"]);
    write(&dir, "cert.pem", &certificate);
    tokio::time::sleep(LOOK_EVERY).await;
    write(&dir, "ca.pem", &format!("{}\n", old.pem()));
    assert_eq!(get(&client, &url).await.unwrap(), "hello");

    write(&dir, "key.pem", &key);
    tokio::time::sleep(LOOK_EVERY).await;
    write(&dir, "ca.pem", &new.pem());
    // The kept connection was made with the old authority and is not used any more.
    assert_eq!(get(&client, &url).await.unwrap(), "hello");
    write(&dir, "ca.pem", "nothing");
    let error = get(&client, &url).await.unwrap_err();
    assert!(
        error.starts_with("unable to use specified CA cert: file "),
        "{error}"
    );
    write(&dir, "ca.pem", &new.pem());
    assert_eq!(get(&client, &url).await.unwrap(), "hello");
}

#[tokio::test]
async fn users_are_asked_for_their_password_everywhere() {
    let dir = TempDir::new().unwrap();
    let hash = bcrypt::hash("pässword", 4).unwrap();
    let yaml = format!(
        "basic_auth_users: {{me: {hash}}}\nhttp_server_config: {{headers: {{X-Frame-Options: deny}}}}\n"
    );
    let address = serve(&dir, &yaml).await;
    let client = Client::new(ClientOptions::default());
    for path in ["/", "/-/healthy", "/metrics"] {
        let url = format!("http://{address}{path}");
        let response = client.get(&url, &[], TIMEOUT, 0).await.unwrap();
        assert_eq!(response.status, StatusCode::UNAUTHORIZED);
        assert_eq!(response.headers[WWW_AUTHENTICATE], "Basic");
        assert_eq!(response.headers["x-frame-options"], "deny");
        assert_eq!(response.body, b"Unauthorized\n");
    }
    let user = |name: &str, password: &str| format!("http://{name}:{password}@{address}/");
    let ok = client
        .get(&user("me", "p%C3%A4ssword"), &[], TIMEOUT, 0)
        .await
        .unwrap();
    assert_eq!(
        (ok.status, ok.body.as_slice()),
        (StatusCode::OK, &b"hello"[..])
    );
    assert_eq!(ok.headers["x-frame-options"], "deny");
    for (name, password) in [("me", "wrong"), ("you", "p%C3%A4ssword"), ("", "")] {
        let refused = client
            .get(&user(name, password), &[], TIMEOUT, 0)
            .await
            .unwrap();
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    }
    // Another password takes effect without a restart.
    let hash = bcrypt::hash("next", 4).unwrap();
    write(
        &dir,
        "web.yml",
        &format!("basic_auth_users: {{me: {hash}}}"),
    );
    tokio::time::sleep(LOOK_EVERY).await;
    let ok = client
        .get(&user("me", "next"), &[], TIMEOUT, 0)
        .await
        .unwrap();
    assert_eq!(ok.status, StatusCode::OK);
    let old = client
        .get(&user("me", "p%C3%A4ssword"), &[], TIMEOUT, 0)
        .await
        .unwrap();
    assert_eq!(old.status, StatusCode::UNAUTHORIZED);
    // A broken file changes nothing.
    write(&dir, "web.yml", "basic_auth_users: [");
    tokio::time::sleep(LOOK_EVERY).await;
    let ok = client
        .get(&user("me", "next"), &[], TIMEOUT, 0)
        .await
        .unwrap();
    assert_eq!(ok.status, StatusCode::OK);
}

#[test]
fn unusable_web_configurations() {
    let dir = TempDir::new().unwrap();
    let ca = authority();
    let path = write(&dir, "web.yml", TLS);
    let error = check(&path).unwrap_err().to_string();
    assert!(error.contains("failed to read cert_file ("), "{error}");
    with_server_files(&dir, &ca, &["localhost"]);
    check(&path).unwrap();
    let (_, other_key) = issued(&ca, &["localhost"]);
    write(&dir, "key.pem", &other_key);
    let error = check(&path).unwrap_err().to_string();
    assert!(error.contains("failed to load X509KeyPair: "), "{error}");
    with_server_files(&dir, &ca, &["localhost"]);
    write(&dir, "web.yml", &format!("{TLS}  cipher_suites: [NONE]\n"));
    assert!(
        check(&path)
            .unwrap_err()
            .to_string()
            .contains("no cipher suite")
    );
    let suites = format!("{TLS}  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\n");
    write(&dir, "web.yml", &suites);
    check(&path).unwrap();
}
