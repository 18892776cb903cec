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
