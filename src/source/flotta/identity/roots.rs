//! `CA_ROOT`: whom to believe that a server is the server.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Certificate, pem};
use crate::model::time::Wall;

/// The roots of `CA_ROOT`: one file, with one or several.
#[derive(Clone, Debug)]
pub struct Roots {
    file: PathBuf,
    certificates: Vec<Certificate>,
    store: Arc<RootCertStore>,
}

impl Roots {
    /// Reads the file.
    ///
    /// # Errors
    /// A sentence: what is wrong with it, what would be right.
    pub fn read(path: &Path) -> Result<Roots, String> {
        let place = format!("CA_ROOT {}", path.display());
        let (mut store, mut certificates) = (RootCertStore::empty(), Vec::new());
        for (at, der) in pem::certificates(&place, &pem::file(path, "CA_ROOT")?)?.into_iter().enumerate() {
            let nth = format!("{place}: certificate {}", at + 1);
            let certificate = Certificate::read(&der).map_err(|why| format!("{nth} {why}"))?;
            if !may_sign(&der) {
                return Err(format!(
                    "{nth} ({}) is not that of a CA; CA_ROOT needs the CA that signed the server's certificate",
                    certificate.subject
                ));
            }
            store.add(der).map_err(|why| format!("{nth} cannot be used: {why}"))?;
            certificates.push(certificate);
        }
        Ok(Roots { file: path.to_path_buf(), certificates, store: Arc::new(store) })
    }

    /// Which file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What is in it.
    #[must_use]
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// The earliest NotBefore of them: it is not earlier than this. (Not the latest: in a bundle the next CA may not have
    /// begun yet.)
    #[must_use]
    pub fn not_before(&self) -> Option<Wall> {
        self.certificates.iter().map(|certificate| certificate.not_before).min()
    }

    /// For TLS.
    pub(crate) fn store(&self) -> Arc<RootCertStore> {
        self.store.clone()
    }
}

/// What says of itself that it is no CA is none; what says nothing is one if it signed itself (old tools make such ones).
fn may_sign(der: &[u8]) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return false };
    match certificate.basic_constraints() {
        Ok(Some(constraints)) => constraints.value.ca,
        Ok(None) => certificate.subject() == certificate.issuer(),
        Err(_) => false,
    }
}
