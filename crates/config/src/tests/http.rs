//! The HTTP client of a job, and what a [`Loader`] adds.

use std::path::Path;

use super::bad::error;
use super::*;

#[test]
fn everything_of_a_client() {
    let http = job("  authorization: {type: ' Token ', credentials: s3cret}
  tls_config:
    ca_file: ca.pem
    cert: CERT
    key_file: /etc/key.pem
    server_name: db
    insecure_skip_verify: true
    min_version: TLS12
    max_version: TLS13
  follow_redirects: false
  proxy_url: http://me:pw@proxy:3128
  http_headers:
    X-Scope: {values: [a, b], secrets: [t], files: [token]}
")
    .http_client;
    let auth = http.authorization.clone().unwrap();
    assert_eq!(auth.kind, "Token");
    assert_eq!(
        auth.credentials,
        Some(Source::Inline(Secret::new("s3cret")))
    );
    assert_eq!(http.tls_config.ca, Some(Source::File("ca.pem".into())));
    assert_eq!(http.tls_config.max_version, Some(TlsVersion::Tls13));
    assert!(!http.follow_redirects && http.tls_config.insecure_skip_verify);
    assert_eq!(http.http_headers["X-Scope"].values, ["a", "b"]);
    assert!(!format!("{http:?}").contains("s3cret"));

    let old = job("  bearer_token_file: t\n").http_client;
    let auth = old.authorization.unwrap();
    assert_eq!(auth.kind, "Bearer");
    assert_eq!(auth.credentials, Some(Source::File("t".into())));
}

#[test]
fn secrets_are_not_printed() {
    let config = parse(
        "scrape_configs:\n- job_name: a\n  basic_auth: {username: me, password: s3cret}\n  \
         tls_config: {cert: CERT, key: s3cret}\n  proxy_url: http://u:s3cret@p:1/\n  \
         http_headers: {A: {secrets: [s3cret]}, B: {}}\n\
         - job_name: b\n  authorization: {credentials: s3cret}\n",
    );
    let yaml = config.to_yaml();
    assert!(!yaml.contains("s3cret"), "{yaml}");
    for line in [
        "    username: me\n    password: <secret>\n",
        "    key: <secret>\n",
        "  proxy_url: http://u:xxxxx@p:1/\n",
        "  http_headers:\n    A:\n      secrets:\n      - <secret>\n    B: {}\n",
        "    type: Bearer\n    credentials: <secret>\n",
    ] {
        assert!(yaml.contains(line), "{line}{yaml}");
    }
    parse(&yaml);
}

#[test]
fn bad_clients() {
    for (want, lines) in [
        (
            "basic_auth: at most one of basic_auth, oauth2, bearer_token & bearer_token_file must \
             be configured",
            "bearer_token: x\n  basic_auth: {username: a}",
        ),
        (
            "bearer_token_file: at most one of bearer_token & bearer_token_file must be configured",
            "bearer_token: x\n  bearer_token_file: y",
        ),
        (
            "authorization: authorization is not compatible with bearer_token & bearer_token_file",
            "bearer_token: x\n  authorization: {credentials: a}",
        ),
        (
            "authorization: at most one of basic_auth, oauth2 & authorization must be configured",
            "basic_auth: {username: a}\n  authorization: {credentials: a}",
        ),
        (
            "authorization.type: authorization type cannot be set to \"basic\", use \
             \"basic_auth\" instead",
            "authorization: {type: Basic}",
        ),
        (
            "authorization.credentials_file: at most one of authorization credentials & \
             credentials_file must be configured",
            "authorization: {credentials: a, credentials_file: b}",
        ),
        (
            "basic_auth.password_file: at most one of basic_auth password, password_file & \
             password_ref must be configured",
            "basic_auth: {username: a, password: b, password_file: c}",
        ),
        (
            "tls_config: exactly one of key or key_file must be configured when a client \
             certificate is configured",
            "tls_config: {cert_file: a}",
        ),
        (
            "tls_config: exactly one of cert or cert_file must be configured when a client key is \
             configured",
            "tls_config: {key: a}",
        ),
        (
            "tls_config.min_version: unknown TLS version: 1.2",
            "tls_config: {min_version: 1.2}",
        ),
        (
            "tls_config.max_version: tls_config.max_version must be greater than or equal to \
             tls_config.min_version if both are specified",
            "tls_config: {min_version: TLS13, max_version: TLS12}",
        ),
        (
            "tls_config: field ca_ref not found",
            "tls_config: {ca_ref: x}",
        ),
        (
            "http_headers: setting header \"User-Agent\" is not allowed",
            "http_headers: {user-agent: {values: [x]}}",
        ),
        (
            "proxy_url: not supported: the proxy must be given as http://host:port",
            "proxy_url: socks5://x",
        ),
    ] {
        let got = error(&format!("scrape_configs:\n- job_name: a\n  {lines}\n"));
        let want = format!(": scrape_configs[0].{want}");
        assert!(got.ends_with(&want), "{lines}\nwant {want}\ngot  {got}");
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's own files")]
fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

#[test]
fn files_are_seen_from_the_configuration_and_checked_with_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.yml");
    write(
        &path,
        "scrape_configs:\n- job_name: a\n  tls_config:\n    ca_file: ca.pem\n",
    );
    let config = Config::load(&path).unwrap();
    let ca = &config.scrape_configs[0].http_client.tls_config.ca;
    assert_eq!(*ca, Some(Source::File(dir.path().join("ca.pem"))));
    let check = |_: &HttpClientConfig| {
        Err(ClientProblem {
            field: "tls_config.ca_file".to_string(),
            reason: "no such file".to_string(),
        })
    };
    let loader = Loader {
        check: Some(&check),
        ..Loader::default()
    };
    let error = loader.load(&path).unwrap_err().to_string();
    let want = "p.yml:4:14: scrape_configs[0].tls_config.ca_file: no such file";
    assert!(error.ends_with(want), "{error}");
}

#[test]
fn jobs_of_other_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.yml");
    write(
        &path,
        "global: {scrape_interval: 7s}\nscrape_config_files: [jobs/*.yml]\n\
         scrape_configs: [{job_name: a}]\n",
    );
    std::fs::create_dir(dir.path().join("jobs")).unwrap();
    let more = |name: &str, job: &str| {
        let text = format!("scrape_configs:\n- {{job_name: {job}, bearer_token_file: t}}\n");
        write(&dir.path().join("jobs").join(name), &text);
    };
    more("y.yml", "c");
    more("x.yml", "b");
    more("z.txt", "d");
    let config = Config::load(&path).unwrap();
    let names: Vec<_> = config
        .scrape_configs
        .iter()
        .map(|j| j.job_name.as_str())
        .collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(config.scrape_configs[2].scrape_interval_ms, 7_000);
    let auth = config.scrape_configs[1]
        .http_client
        .authorization
        .clone()
        .unwrap();
    assert_eq!(
        auth.credentials,
        Some(Source::File(dir.path().join("jobs/t")))
    );
    more("y.yml", "a");
    let error = Config::load(&path).unwrap_err().to_string();
    let want = "y.yml:2:14: scrape_configs[0].job_name: found multiple scrape configs with job \
                name \"a\"";
    assert!(error.ends_with(want), "{error}");
}

#[test]
fn variables_are_expanded_on_demand() {
    let env = |name: &str| match name {
        "LIMIT" => Some("7".to_string()),
        "HOST" => Some("box: [x]".to_string()),
        _ => None,
    };
    let yaml = "global:\n  sample_limit: '${LIMIT}'\n  external_labels: {a: '${NONE}x'}\n\
                scrape_configs:\n- job_name: '${HOST}'\n  sample_limit: ${LIMIT}\n  \
                relabel_configs: [{regex: '(?P<g>.*)', replacement: '$1-${1}-$${g}', target_label: x}]\n";
    let loader = Loader {
        expand_env: true,
        ..Loader::default()
    };
    let read = |yaml: &str| loader.read_text(yaml, "p.yml", &loader.context(&env, Path::new("")));
    let quoted = read(yaml).unwrap_err().to_string();
    assert!(
        quoted.contains("global.sample_limit: expected a number"),
        "{quoted}"
    );
    let config = read(&yaml.replace("'${LIMIT}'", "${LIMIT}")).unwrap();
    assert_eq!(config.global.sample_limit, 7);
    assert_eq!(config.global.external_labels["a"], "x");
    let job = &config.scrape_configs[0];
    assert_eq!(job.job_name, "box: [x]");
    assert_eq!(job.relabel_configs[0].replacement, "$1-${1}-${g}");
    let error = read("scrape_configs: [{job_name: '${NONE}'}]")
        .unwrap_err()
        .to_string();
    let want = "p.yml:1:29: scrape_configs.job_name: the environment has no variable \"NONE\"";
    assert!(error.starts_with(want), "{error}");
    // Without the option everything stays as it is.
    assert_eq!(
        parse("scrape_configs: [{job_name: '${X}'}]").scrape_configs[0].job_name,
        "${X}"
    );
}

#[test]
fn target_groups_of_files() {
    let dir = tempfile::tempdir().unwrap();
    let read = |name: &str, text: &str| {
        let path = dir.path().join(name);
        write(&path, text);
        load_target_groups(&path).map_err(|e| e.to_string())
    };
    let json =
        "[\n\t{\"targets\": [\"a:1\", \"b:2\"], \"labels\": {\"x\": \"y\"}}, {\"targets\": []}]";
    let yaml = "- targets: ['a:1', 'b:2']\n  labels: {x: y}\n- targets: []\n";
    let groups = read("t.json", json).unwrap();
    assert_eq!(groups[0].targets, ["a:1", "b:2"]);
    assert_eq!(groups[0].labels["x"], "y");
    assert_eq!(read("t.yml", yaml).unwrap(), groups);
    assert_eq!(read("t.yaml", "").unwrap(), []);
    let error = read("t.json", "[{\"target\": []}]").unwrap_err();
    assert!(
        error.contains("t.json:1:10: unknown field `target`"),
        "{error}"
    );
    let error = read("t.yml", "- targets: x\n").unwrap_err();
    assert!(
        error.ends_with("t.yml:1:12: [0].targets: expected a list, got \"x\""),
        "{error}"
    );
    assert!(read("t.json", "").is_err() && read("t.yml", "-\n").is_err());

    let job = job("  file_sd_configs: [{files: [a/*.json, b.yml]}]\n");
    let config = &job.file_sd_configs[0];
    assert_eq!(
        (config.files.len(), config.refresh_interval_ms),
        (2, 300_000)
    );
    let config = parse(
        "scrape_configs: [{job_name: a, file_sd_configs: [{files: [x.yml], refresh_interval: 1m}]}]",
    );
    assert_eq!(parse(&config.to_yaml()), config);
}
