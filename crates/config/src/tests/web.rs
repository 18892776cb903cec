//! The web configuration.

use std::path::Path;

use super::*;

const HASH: &str = "$2b$04$abcdefghijklmnopqrstuvABCDEFGHIJKLMNOPQRSTUVWXYZ01234";

fn read(yaml: &str) -> Result<WebConfig, String> {
    WebConfig::parse(yaml, "web.yml", Path::new("/etc/t")).map_err(|e| e.to_string())
}

#[test]
fn everything_of_a_web_configuration() {
    assert_eq!(read("").unwrap(), WebConfig::default());
    let config = read(&format!(
        "tls_server_config:\n  cert_file: cert.pem\n  key_file: /k.pem\n  client_ca_file: ca.pem\n  \
         client_auth_type: RequireAndVerifyClientCert\n  client_allowed_sans: [a]\n  \
         min_version: TLS13\n  prefer_server_cipher_suites: true\n  curve_preferences: [X25519]\n\
         http_server_config:\n  http2: false\n  headers: {{x-frame-options: deny}}\n\
         basic_auth_users: {{me: {HASH}}}\n"
    ))
    .unwrap();
    let tls = config.tls.clone().unwrap();
    assert_eq!(tls.cert, Source::File("/etc/t/cert.pem".into()));
    assert_eq!(tls.client_auth, ClientAuth::RequireAndVerify);
    assert_eq!(
        (tls.min_version, tls.max_version),
        (TlsVersion::Tls13, TlsVersion::Tls13)
    );
    assert_eq!(config.files().len(), 3);
    assert_eq!(config.headers["X-Frame-Options"], "deny");
    assert_eq!(config.users["me"].expose(), HASH);
    assert!(!format!("{config:?}").contains("$2b$"));
}

#[test]
fn bad_web_configurations() {
    for (want, yaml) in [
        ("1:1: field foo not found", "foo: 1"),
        (
            "1:20: tls_server_config: missing one of key or key_file",
            "tls_server_config: {cert_file: a}",
        ),
        (
            "1:20: tls_server_config: missing one of cert or cert_file",
            "tls_server_config: {key_file: a}",
        ),
        (
            "1:64: tls_server_config.client_auth_type: invalid ClientAuth: x",
            "tls_server_config: {cert_file: a, key_file: b,client_auth_type: x}",
        ),
        (
            "1:20: tls_server_config: client CA's have been configured without a Client Auth Policy",
            "tls_server_config: {cert_file: a, key_file: b, client_ca_file: c}",
        ),
        (
            "1:23: basic_auth_users.me: not a bcrypt hash",
            "basic_auth_users: {me: secret}",
        ),
        (
            "1:32: http_server_config.headers: HTTP header \"Server\" can not be configured",
            "http_server_config: {headers: {Server: x}}",
        ),
        (
            "1:16: bearer_tokens[0]: exactly one of token, token_file & token_sha256 must be configured",
            "bearer_tokens: [{name: a}]",
        ),
        (
            "1:33: bearer_tokens[0].token: a token needs at least 16 characters",
            "bearer_tokens: [{name: a, token: short}]",
        ),
        (
            "1:50: bearer_tokens[0].matchers[0]: \"team\" is not a matcher such as team=\"a\"",
            "bearer_tokens: [{name: a, token_file: f, matchers: [team]}]",
        ),
        (
            "1:50: bearer_tokens[0].access[0]: expected read, write or admin, got \"all\"",
            "bearer_tokens: [{name: a, token_file: f, access: [all]}]",
        ),
        (
            "1:1: rate_limit: not supported yet",
            "rate_limit: {burst: 1}",
        ),
    ] {
        let error = read(yaml).unwrap_err();
        let error = error.strip_prefix("web.yml:").unwrap();
        assert!(
            error == want
                || error.ends_with(want.split_once(": ").unwrap().1) && !want.starts_with("1:1:"),
            "{yaml}\nwant {want}\ngot  {error}"
        );
    }
    let scarce =
        "tls_server_config: {cert_file: a, key_file: b, client_auth_type: VerifyClientCertIfGiven}";
    assert!(
        read(scarce)
            .unwrap_err()
            .contains("client_ca_file is needed")
    );
}

#[test]
fn tokens() {
    let hash = "ab".repeat(32);
    let yaml = format!(
        "bearer_tokens:\n- {{name: a, token: 0123456789abcdef, access: [read, admin]}}\n\
         - {{name: b, token_file: b.token, matchers: ['team=\"x y\"', env=~a|b, 'zone!=z']}}\n\
         - {{name: c, token_sha256: {hash}}}\n"
    );
    let config = read(&yaml).unwrap();
    let [a, b, c] = config.tokens.as_slice() else {
        panic!("{config:?}")
    };
    assert_eq!((a.read, a.write, a.admin), (true, false, true));
    assert_eq!((b.read, b.write, b.admin), (true, true, false));
    let shown: Vec<_> = b.matchers.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["team=\"x y\"", "env=~\"a|b\"", "zone!=\"z\""]);
    assert_eq!(c.token, TokenSource::Sha256([0xab; 32]));
    assert_eq!(config.files(), [Path::new("/etc/t/b.token")]);
    assert!(!format!("{config:?}").contains("0123456789abcdef"));
}
