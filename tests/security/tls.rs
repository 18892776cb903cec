//! A server with TLS and passwords, scraped by another.

use std::time::Duration;

use tempfile::TempDir;
use tsdb_config::{HttpClientConfig, Secret, Source, TlsConfig};
use tsdb_net::client::{Client, ClientOptions};

use super::{Authority, authority, issue, replace};
use crate::support::{Server, run, wait_for, write};

/// Asks with TLS; status and body.
struct Https {
    client: Client,
    runtime: tokio::runtime::Runtime,
}

impl Https {
    fn new(ca: &Authority) -> Self {
        let http = HttpClientConfig {
            tls_config: TlsConfig {
                ca: Some(Source::Inline(Secret::new(ca.pem()))),
                ..TlsConfig::default()
            },
            follow_redirects: false,
            ..HttpClientConfig::default()
        };
        Self {
            client: Client::new(ClientOptions {
                http,
                ..ClientOptions::default()
            }),
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap(),
        }
    }

    fn get(&self, url: &str) -> Result<(u16, String), String> {
        let asked = self.client.get(url, &[], Duration::from_secs(20), 0);
        let answer = self.runtime.block_on(asked).map_err(|e| e.to_string())?;
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        Ok((answer.status.as_u16(), body))
    }
}

/// `https://localhost:port` of a server.
fn https(server: &Server, user: &str) -> String {
    server
        .url
        .replace("http://127.0.0.1", &format!("https://{user}localhost"))
}

fn web_config(dir: &TempDir, more: &str) -> String {
    let hash = bcrypt::hash("secret", 4).unwrap();
    let yaml = format!(
        "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n{more}\
         basic_auth_users:\n  me: {hash}\n"
    );
    let path = write(&dir.path().join("web.yml"), &yaml);
    format!("--web.config.file={}", path.display())
}

#[test]
fn scraped_with_tls_and_a_password_through_renewals() {
    let dir = TempDir::new().unwrap();
    let (old, new) = (authority("old"), authority("new"));
    issue(&old, &["localhost"], dir.path(), "server");
    let secured = Server::spawn(&dir.path().join("a"), &[&web_config(&dir, "")]);
    let asking = Https::new(&old);
    let url = https(&secured, "me:secret@");
    wait_for("the server", || {
        let (status, _) = asking.get(&format!("{url}/-/ready")).ok()?;
        (status == 200).then_some(())
    });
    let stranger = https(&secured, "");
    for path in [
        "/",
        "/-/healthy",
        "/metrics",
        "/api/v1/query?query=1",
        "/nonsense",
    ] {
        let (status, body) = asking.get(&format!("{stranger}{path}")).unwrap();
        assert_eq!((status, body.as_str()), (401, "Unauthorized\n"), "{path}");
    }
    // It scrapes itself, although it was told no password.
    wait_for("the scrape of itself", || {
        let (_, body) = asking
            .get(&format!("{url}/api/v1/query?query=sum(up)"))
            .ok()?;
        body.contains("\"2\"]").then_some(())
    });
    let (_, shown) = asking.get(&format!("{url}/api/v1/status/config")).unwrap();
    assert!(
        shown.contains(r"credentials: \u003csecret\u003e"),
        "{shown}"
    );

    let ca = dir.path().join("ca.pem");
    let password = dir.path().join("password");
    replace(&ca, &old.pem());
    replace(&password, "secret\n");
    let port = secured.url.rsplit(':').next().unwrap();
    let config = write(
        &dir.path().join("scraper.yml"),
        &format!(
            "scrape_configs:\n- job_name: secured\n  scheme: https\n  scrape_interval: 200ms\n  \
             tls_config: {{ca_file: ca.pem}}\n  \
             basic_auth: {{username: me, password_file: password}}\n  \
             static_configs: [{{targets: ['localhost:{port}']}}]\n"
        ),
    );
    let flag = format!("--config.file={}", config.display());
    let scraper = Server::start(&dir.path().join("b"), &[&flag]);
    let up = || scraper.value("up{job=\"secured\"}");
    let last_error = || {
        let targets = scraper.data("/api/v1/targets");
        targets["activeTargets"][0]["lastError"]
            .as_str()
            .unwrap_or_default()
            .to_string()
    };
    wait_for("the scrape", || (up() == Some(1.0)).then_some(()));

    replace(&password, "wrong");
    // On a busy machine a scrape may time out before.
    wait_for("the wrong password", || {
        let refused = last_error() == "server returned HTTP status 401 Unauthorized";
        (refused && up() == Some(0.0)).then_some(())
    });
    replace(&password, "secret");
    wait_for("the right password", || (up() == Some(1.0)).then_some(()));

    // A new certificate: the scraper does not trust it until it is told.
    issue(&new, &["localhost"], dir.path(), "server");
    let renewed = Https::new(&new);
    wait_for("the new certificate", || {
        renewed.get(&format!("{url}/-/ready")).ok()
    });
    replace(&ca, &authority("none").pem());
    wait_for("distrust", || (up() == Some(0.0)).then_some(()));
    let error = last_error();
    assert!(
        error.ends_with("x509: certificate signed by unknown authority"),
        "{error}"
    );
    replace(&ca, &new.pem());
    wait_for("trust", || (up() == Some(1.0)).then_some(()));
    assert!(!secured.log.lock().unwrap().contains("secret"));
}

#[test]
fn client_certificates_and_a_path_of_its_own() {
    let dir = TempDir::new().unwrap();
    let ca = authority("ca");
    issue(&ca, &["localhost"], dir.path(), "server");
    issue(&ca, &["agent"], dir.path(), "agent");
    write(&dir.path().join("ca.pem"), &ca.pem());
    let more = "  client_ca_file: ca.pem\n  client_auth_type: RequireAndVerifyClientCert\n";
    let flags = [
        web_config(&dir, more),
        "--web.external-url=https://metrics.example/tsdb/".to_string(),
    ];
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let secured = Server::spawn(&dir.path().join("a"), &flags);
    let mut http = HttpClientConfig {
        tls_config: TlsConfig {
            ca: Some(Source::File(dir.path().join("ca.pem"))),
            ..TlsConfig::default()
        },
        follow_redirects: false,
        ..HttpClientConfig::default()
    };
    let mut asking = Https::new(&ca);
    let url = https(&secured, "me:secret@");
    let error = wait_for("the listener", || {
        let error = asking.get(&format!("{url}/")).unwrap_err();
        (!error.contains("refused")).then_some(error)
    });
    assert!(
        error.ends_with("remote error: tls: certificate required"),
        "{error}"
    );
    http.tls_config.cert = Some(Source::File(dir.path().join("agent.pem")));
    http.tls_config.key = Some(Source::File(dir.path().join("agent.key")));
    asking.client = Client::new(ClientOptions {
        http,
        ..ClientOptions::default()
    });
    wait_for("the server", || {
        let (status, _) = asking.get(&format!("{url}/tsdb/-/ready")).ok()?;
        (status == 200).then_some(())
    });
    for (path, status) in [
        ("/", 302),
        ("/tsdb", 302),
        ("/-/ready", 404),
        ("/tsdbx", 404),
    ] {
        assert_eq!(
            asking.get(&format!("{url}{path}")).unwrap().0,
            status,
            "{path}"
        );
    }
    let (_, body) = asking
        .get(&format!("{url}/tsdb/api/v1/query?query=1"))
        .unwrap();
    assert!(body.contains("\"success\""), "{body}");
    // Not its own certificate, but its own path and token: refused for want of a certificate.
    assert!(
        secured
            .log
            .lock()
            .unwrap()
            .contains("no client certificate")
    );
}

#[test]
fn what_cannot_be_used_stops_the_start() {
    let dir = TempDir::new().unwrap();
    let data = format!("--storage.tsdb.path={}", dir.path().join("d").display());
    let serve = |flag: &str| {
        let output = run(&["serve", &data, "--web.listen-address=127.0.0.1:0", flag]);
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), log)
    };
    let web = web_config(&dir, "");
    let (code, log) = serve(&web);
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("failed to read cert_file ("), "{log}");
    let config = write(
        &dir.path().join("p.yml"),
        "scrape_configs:\n- job_name: a\n  authorization:\n    credentials_file: none\n",
    );
    let (code, log) = serve(&format!("--config.file={}", config.display()));
    assert_eq!(code, Some(2), "{log}");
    let want = "p.yml:4:23: scrape_configs[0].authorization.credentials_file: unable to read \
                authorization credentials: unable to read file ";
    assert!(log.contains(want), "{log}");
    let (code, log) = serve("--no-such-flag");
    assert_eq!(code, Some(1), "{log}");
}

#[test]
fn flags_of_prometheus_without_effect() {
    let dir = TempDir::new().unwrap();
    let flags = [
        "--web.console.templates=/etc/prometheus/consoles",
        "--storage.tsdb.wal-compression",
        "--web.enable-remote-write-receiver",
        "--web.enable-lifecycle",
        "--no-web.enable-lifecycle",
    ];
    let server = Server::start(&dir.path().join("d"), &flags);
    let shown = server.data("/api/v1/status/flags");
    assert_eq!(shown["web.console.templates"], "/etc/prometheus/consoles");
    assert_eq!(shown["web.enable-lifecycle"], "false");
    assert_eq!(shown["web.max-connections"], "512");
    let log = server.log.lock().unwrap();
    assert!(log.contains("web.console.templates"), "{log}");
}
