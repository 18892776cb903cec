//! TLS for both sides: what rustls is told, and its errors in Go's words.

pub(crate) mod client;
pub(crate) mod pem;
pub(crate) mod server;

use std::error::Error as StdError;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::{CertificateError, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::CertificateDer;
use tsdb_config::TlsVersion;

/// HTTP/1.1 is all that is spoken.
const ALPN: &[u8] = b"http/1.1";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Versions from `min` to `max`; those before 1.2 are not spoken.
fn versions(
    min: Option<TlsVersion>,
    max: Option<TlsVersion>,
) -> Vec<&'static SupportedProtocolVersion> {
    let all = [
        (TlsVersion::Tls13, &rustls::version::TLS13),
        (TlsVersion::Tls12, &rustls::version::TLS12),
    ];
    all.into_iter()
        .filter(|(v, _)| min.is_none_or(|min| *v >= min) && max.is_none_or(|max| *v <= max))
        .map(|(_, version)| version)
        .collect()
}

/// The authorities of a PEM text.
fn roots(pem: &[u8]) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), String> {
    let certificates = pem::certificates(pem)?;
    let mut store = RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(certificates.iter().cloned());
    if added == 0 {
        return Err("no certificate in it can be used".to_string());
    }
    Ok((store, certificates))
}

/// True when all that is wrong with `certificate` is that it is an authority itself, and it is
/// one of those named in the configuration. That is what `openssl req -x509` makes: one
/// certificate that is the server's own and its own authority. The dates were checked before.
fn is_pinned(
    error: &rustls::Error,
    certificate: &CertificateDer<'_>,
    named: &[CertificateDer<'static>],
) -> bool {
    let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = error else {
        return false;
    };
    let cause = other.0.downcast_ref::<webpki::Error>();
    cause == Some(&webpki::Error::CaUsedAsEndEntity) && named.contains(certificate)
}

/// What went wrong, in the words of Go's TLS library where it has some.
pub(crate) fn describe(error: &rustls::Error) -> String {
    use rustls::AlertDescription as Alert;
    let untrusted = |why: &str| format!("tls: failed to verify certificate: x509: {why}");
    match error {
        rustls::Error::InvalidCertificate(cause) => match cause {
            // The second: an authority of the same name, but another one.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                untrusted("certificate signed by unknown authority")
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => {
                untrusted("certificate has expired or is not yet valid")
            }
            CertificateError::NotValidForNameContext {
                expected,
                presented,
            } => {
                let name = expected.to_str();
                let names: Vec<_> = presented.iter().map(|name| bare_name(name)).collect();
                untrusted(&match names.as_slice() {
                    [] => format!(
                        "certificate is not valid for any names, but wanted to match {name}"
                    ),
                    names => format!("certificate is valid for {}, not {name}", names.join(", ")),
                })
            }
            other => untrusted(&other.to_string()),
        },
        rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => {
            "http: server gave HTTP response to HTTPS client".to_string()
        }
        rustls::Error::AlertReceived(alert) => {
            let text = match alert {
                Alert::BadCertificate => "bad certificate",
                Alert::CertificateRequired => "certificate required",
                Alert::UnknownCA => "unknown certificate authority",
                Alert::CertificateExpired => "expired certificate",
                Alert::HandshakeFailure => "handshake failure",
                Alert::ProtocolVersion => "protocol version not supported",
                Alert::InternalError => "internal error",
                other => return format!("remote error: tls: {other:?}"),
            };
            format!("remote error: tls: {text}")
        }
        other => format!("tls: {other}"),
    }
}

/// `DnsName("x")` as `x`.
fn bare_name(name: &str) -> &str {
    name.split('"').nth(1).unwrap_or(name)
}

/// The TLS error inside an I/O error.
pub(crate) fn inside(error: &std::io::Error) -> Option<&rustls::Error> {
    let inner: &(dyn StdError + Send + Sync + 'static) = error.get_ref()?;
    inner.downcast_ref()
}
