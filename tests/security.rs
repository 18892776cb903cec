//! Who may come in, and who cannot do harm: TLS, passwords, hostile clients, broken files.

mod check;
mod hostile;
mod reload;
mod requests;
mod tls;
mod tokens;

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::support::write;

/// An authority made for one test.
pub(crate) type Authority = CertifiedIssuer<'static, KeyPair>;

pub(crate) fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let names = &mut params.distinguished_name;
    names.push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Replaces a file at once, as careful tools do.
pub(crate) fn replace(path: &Path, text: &str) {
    let fresh = write(&path.with_extension("fresh"), text);
    move_file(&fresh, path);
}

#[expect(clippy::disallowed_methods, reason = "a test's own files")]
fn move_file(from: &Path, to: &Path) {
    std::fs::rename(from, to).unwrap();
}

/// Writes a certificate for `names` and its key as `{stem}.pem` and `{stem}.key`.
pub(crate) fn issue(by: &Authority, names: &[&str], dir: &Path, stem: &str) -> (PathBuf, PathBuf) {
    let key = KeyPair::generate().unwrap();
    let names: Vec<_> = names.iter().map(|name| name.to_string()).collect();
    let params = CertificateParams::new(names).unwrap();
    let certificate = params.signed_by(&key, by).unwrap();
    let files = (
        dir.join(format!("{stem}.pem")),
        dir.join(format!("{stem}.key")),
    );
    // The key first: for a moment it does not fit, and the server keeps what it had.
    replace(&files.1, &key.serialize_pem());
    replace(&files.0, &certificate.pem());
    files
}
