//! Certificates and keys from PEM texts.

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// All certificates of a text, at least one.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(certificates) if certificates.is_empty() => {
            Err("failed to find any PEM data in certificate input".to_string())
        }
        Ok(certificates) => Ok(certificates),
        Err(e) => Err(format!("broken PEM data in certificate input: {e}")),
    }
}

/// The first private key of a text: PKCS #8, PKCS #1 or SEC 1.
pub(crate) fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    // The library's own error may quote the text, which is secret.
    PrivateKeyDer::from_pem_slice(pem)
        .map_err(|_| "failed to find any PEM data in key input".to_string())
}
