//! Trust: the system's authorities and, where configured, one more from a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls_platform_verifier::Verifier;

/// Why no TLS configuration could be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file of the extra authority cannot be read.
    #[error("cannot read the authority in {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// The file holds no certificate.
    #[error("{0} holds no certificate in PEM")]
    Empty(PathBuf),
    /// The system's authorities cannot be used.
    #[error("cannot set up the verification of certificates")]
    Verifier(#[source] rustls::Error),
}

/// A client side that trusts the system's authorities and those in `ca_file`, and offers `alpn`.
///
/// # Errors
/// [`TlsError`] when the file is unreadable or empty, or no authority is usable.
pub(super) fn client_config(
    ca_file: Option<&Path>,
    alpn: &[&[u8]],
) -> Result<rustls::ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let extra = ca_file.map(authorities).transpose()?.unwrap_or_default();
    let verifier =
        Verifier::new_with_extra_roots(extra, Arc::clone(&provider)).map_err(TlsError::Verifier)?;
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Verifier)?
        .dangerous() // the name of the method; the platform's verifier is a full one
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = |source| TlsError::Read { path: path.to_owned(), source };
    let found: Vec<_> =
        CertificateDer::pem_file_iter(path).map_err(read)?.collect::<Result<_, _>>().map_err(read)?;
    if found.is_empty() { Err(TlsError::Empty(path.to_owned())) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreadable_or_empty_authority_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let missing = client_config(Some(Path::new("/nowhere/ca.pem")), &[]).unwrap_err();
        assert!(missing.to_string().contains("/nowhere/ca.pem"));
        assert!(matches!(client_config(Some(file.path()), &[]), Err(TlsError::Empty(_))));
    }
}
