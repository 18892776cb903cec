//! The server's side: its certificate, and which clients it lets in.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tsdb_config::{ClientAuth, Source, TlsServerConfig};

use crate::files;
use crate::tls::{ALPN, is_pinned, pem, provider, roots, versions};

/// Makes the server's settings. The error texts are those of Prometheus's toolkit.
pub(crate) fn build(config: &TlsServerConfig) -> Result<ServerConfig, String> {
    let provider = with_cipher_suites(provider(), &config.cipher_suites)?;
    let chain = read("cert_file", &config.cert)?;
    let key = read("key_file", &config.key)?;
    let unfit = |e: String| format!("failed to load X509KeyPair: {e}");
    let chain = pem::certificates(&chain).map_err(unfit)?;
    let key = pem::key(&key).map_err(unfit)?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions(
            Some(config.min_version),
            Some(config.max_version),
        ))
        .map_err(|e| format!("tls: {e}"))?;
    let builder = match clients(config, provider)? {
        Some(clients) => builder.with_client_cert_verifier(clients),
        None => builder.with_no_client_auth(),
    };
    let built = builder.with_single_cert(chain, key);
    let mut server = built.map_err(|e| unfit(e.to_string()))?;
    server.alpn_protocols = vec![ALPN.to_vec()];
    Ok(server)
}

fn read(what: &str, source: &Source) -> Result<Vec<u8>, String> {
    files::read(source).map_err(|e| match source {
        Source::File(path) => format!("failed to read {what} ({}): {e}", path.display()),
        Source::Inline(_) => e,
    })
}

/// Keeps only the named suites of TLS 1.2; those of 1.3 cannot be chosen, as in Go.
fn with_cipher_suites(
    provider: Arc<CryptoProvider>,
    names: &[String],
) -> Result<Arc<CryptoProvider>, String> {
    if names.is_empty() {
        return Ok(provider);
    }
    let mut chosen = (*provider).clone();
    let name_of = |suite: &rustls::SupportedCipherSuite| suite.suite().as_str().unwrap_or("");
    let known = |name: &String| provider.cipher_suites.iter().any(|s| name_of(s) == name);
    if !names.iter().any(known) {
        return Err(format!("no cipher suite is supported of {names:?}"));
    }
    for name in names.iter().filter(|name| !known(name)) {
        tracing::warn!(name, "cipher suite not supported, left out");
    }
    chosen
        .cipher_suites
        .retain(|suite| suite.tls13().is_some() || names.iter().any(|n| n == name_of(suite)));
    Ok(Arc::new(chosen))
}

fn clients(
    config: &TlsServerConfig,
    provider: Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    let (verify, mandatory) = match config.client_auth {
        ClientAuth::None => return Ok(None),
        ClientAuth::Request => (false, false),
        ClientAuth::RequireAny => (false, true),
        ClientAuth::VerifyIfGiven => (true, false),
        ClientAuth::RequireAndVerify => (true, true),
    };
    let (inner, named) = match &config.client_ca {
        Some(ca) if verify => {
            let unusable = |e| format!("client_ca_file: {e}");
            let (store, named) = roots(&files::read(ca).map_err(unusable)?).map_err(unusable)?;
            let builder =
                WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider.clone());
            let built = builder.build().map_err(|e| unusable(e.to_string()))?;
            (Some(built), named)
        }
        _ => (None, Vec::new()),
    };
    Ok(Some(Arc::new(Clients {
        inner,
        named,
        mandatory,
        allowed_sans: config.client_allowed_sans.clone(),
        provider,
    })))
}

/// Which client certificates are good.
#[derive(Debug)]
struct Clients {
    /// Checks them against the authorities; any will do when absent.
    inner: Option<Arc<dyn ClientCertVerifier>>,
    named: Vec<CertificateDer<'static>>,
    mandatory: bool,
    allowed_sans: Vec<String>,
    provider: Arc<CryptoProvider>,
}

impl Clients {
    fn check_names(&self, certificate: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        if self.allowed_sans.is_empty() {
            return Ok(());
        }
        let parsed = webpki::EndEntityCert::try_from(certificate)
            .map_err(|_| rustls::Error::from(CertificateError::BadEncoding))?;
        let has = |allowed: &String| match allowed.parse::<IpAddr>() {
            Ok(address) => {
                let name = ServerName::IpAddress(address.into());
                parsed.verify_is_valid_for_subject_name(&name).is_ok()
            }
            Err(_) => {
                parsed.valid_dns_names().any(|name| name == allowed)
                    || parsed.valid_uri_names().any(|name| name == allowed)
            }
        };
        if self.allowed_sans.iter().any(has) {
            return Ok(());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }
}

impl ClientCertVerifier for Clients {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner
            .as_ref()
            .map_or(&[], |inner| inner.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if let Some(inner) = &self.inner {
            match inner.verify_client_cert(certificate, intermediates, now) {
                Err(e) if !is_pinned(&e, certificate, &self.named) => return Err(e),
                _ => {}
            }
        }
        self.check_names(certificate)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
