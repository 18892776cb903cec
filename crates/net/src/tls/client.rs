//! The client's side: whom it trusts and who it says it is.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::TlsConnector;
use tsdb_config::{ClientProblem, Source, TlsConfig};

use crate::files::{self, Stamp};
use crate::tls::{ALPN, is_pinned, pem, provider, roots, versions};

/// The TLS settings of a client, renewed when a file behind them changes.
#[derive(Debug)]
pub(crate) struct ClientTls {
    config: TlsConfig,
    files: Vec<PathBuf>,
    current: Mutex<Option<Current>>,
}

#[derive(Debug)]
struct Current {
    stamps: Vec<Option<Stamp>>,
    generation: u64,
    rustls: Arc<ClientConfig>,
}

impl ClientTls {
    pub(crate) fn new(config: TlsConfig) -> Self {
        let sources = [&config.ca, &config.cert, &config.key];
        let files = sources.into_iter().flatten().filter_map(files::path_of);
        Self {
            files: files.map(PathBuf::from).collect(),
            config,
            current: Mutex::new(None),
        }
    }

    /// Which state of the files is in force; changes with them. 0 before the first connection.
    pub(crate) fn generation(&self) -> u64 {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let known = current.as_mut().map_or(0, |c| c.generation);
        match &*current {
            Some(c) if c.stamps != files::stamps(&self.files) => known + 1,
            _ => known,
        }
    }

    /// What connects, and the generation it belongs to.
    pub(crate) fn connector(&self) -> Result<(TlsConnector, u64), String> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = files::stamps(&self.files);
        if let Some(current) = &*current
            && current.stamps == stamps
        {
            return Ok((current.rustls.clone().into(), current.generation));
        }
        let rustls = Arc::new(build(&self.config).map_err(|e| e.reason)?);
        let generation = current.as_ref().map_or(0, |c| c.generation) + 1;
        *current = Some(Current {
            stamps,
            generation,
            rustls: rustls.clone(),
        });
        Ok((rustls.into(), generation))
    }

    /// The name the server must prove.
    pub(crate) fn server_name(&self, host: &str) -> Result<ServerName<'static>, String> {
        let name = self.config.server_name.as_deref().unwrap_or(host);
        ServerName::try_from(name.to_string())
            .map_err(|_| format!("tls: {name:?} is not a host name"))
    }
}

/// Makes a client's settings; the problem names the field below `tls_config`.
pub(crate) fn build(config: &TlsConfig) -> Result<ClientConfig, ClientProblem> {
    let problem = |name: &str, source: &Source, reason: String| {
        let suffix = files::path_of(source).map_or("", |_| "_file");
        ClientProblem {
            field: format!("tls_config.{name}{suffix}"),
            reason,
        }
    };
    let whole = |reason: String| ClientProblem {
        field: "tls_config".to_string(),
        reason,
    };
    let provider = provider();
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions(config.min_version, config.max_version))
        .map_err(|e| whole(e.to_string()))?;
    let (store, named) = match &config.ca {
        Some(ca) => {
            let pem = files::read(ca)
                .map_err(|e| problem("ca", ca, format!("unable to read CA cert: {e}")))?;
            let (store, named) = roots(&pem).map_err(|e| {
                let text = match ca {
                    Source::File(path) => format!("file {}: {e}", path.display()),
                    Source::Inline(_) => e,
                };
                problem("ca", ca, format!("unable to use specified CA cert: {text}"))
            })?;
            (Arc::new(store), named)
        }
        None => (system_roots(), Vec::new()),
    };
    let verifier: Arc<dyn ServerCertVerifier> = if config.insecure_skip_verify {
        Arc::new(Anyone(provider))
    } else {
        if store.is_empty() {
            return Err(whole(
                "the system has no certificate authorities, name some with ca_file".to_string(),
            ));
        }
        let inner = WebPkiServerVerifier::builder_with_provider(store, provider).build();
        Arc::new(Trusted {
            inner: inner.map_err(|e| whole(e.to_string()))?,
            named,
        })
    };
    let builder = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut client = match (&config.cert, &config.key) {
        (Some(cert), Some(key)) => {
            let chain = files::read(cert)
                .map_err(|e| problem("cert", cert, format!("unable to read client cert: {e}")))?;
            let chain = pem::certificates(&chain)
                .map_err(|e| problem("cert", cert, format!("unable to use client cert: {e}")))?;
            let secret = files::read(key)
                .map_err(|e| problem("key", key, format!("unable to read client key: {e}")))?;
            let secret = pem::key(&secret)
                .map_err(|e| problem("key", key, format!("unable to use client key: {e}")))?;
            builder.with_client_auth_cert(chain, secret).map_err(|e| {
                let reason = format!("client certificate and key do not fit: {e}");
                problem("key", key, reason)
            })?
        }
        _ => builder.with_no_client_auth(),
    };
    client.alpn_protocols = vec![ALPN.to_vec()];
    Ok(client)
}

/// The authorities the system trusts, read once.
fn system_roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let read = || {
        let found = rustls_native_certs::load_native_certs();
        for error in found.errors {
            tracing::warn!(%error, "certificate authorities of the system");
        }
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(found.certs);
        Arc::new(store)
    };
    ROOTS.get_or_init(read).clone()
}

/// Trusts what the authorities vouch for, and the very certificates named in the configuration.
#[derive(Debug)]
struct Trusted {
    inner: Arc<WebPkiServerVerifier>,
    named: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Trusted {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self
            .inner
            .verify_server_cert(certificate, intermediates, name, ocsp, now);
        match verified {
            Err(error) if is_pinned(&error, certificate, &self.named) => {
                let parsed = ParsedCertificate::try_from(certificate)?;
                rustls::client::verify_server_name(&parsed, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// `insecure_skip_verify`: whoever answers is taken for the right one. The signature is still
/// checked, so that the other side at least has the key of what it shows.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
