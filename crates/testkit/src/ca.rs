//! A certificate authority made at start: the stand-ins speak real TLS, and clients trust this one by file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// Names and addresses that every certificate of the authority is good for.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// A certificate authority that nobody trusts unless told to.
pub struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pem: String,
}

impl Ca {
    /// A new authority with a new key.
    pub fn generate() -> Self {
        let key = KeyPair::generate().expect("ring makes P-256 keys");
        let mut params = CertificateParams::new(Vec::new()).expect("no names, none malformed");
        params.distinguished_name.push(DnType::CommonName, "Munadi test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let issuer = CertifiedIssuer::self_signed(params, key).expect("the parameters are complete");
        let pem = issuer.pem();
        Self { issuer, pem }
    }

    /// The authority's certificate in PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Writes the authority's certificate into `folder` as `ca.pem`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        let path = folder.join("ca.pem");
        std::fs::write(&path, &self.pem).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// A certificate for servers on this machine and its key, both in PEM.
    pub fn issue(&self) -> (String, String) {
        let (certificate, key) = self.certify();
        (certificate.pem(), key.serialize_pem())
    }

    fn certify(&self) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().expect("ring makes P-256 keys");
        let names: Vec<String> = NAMES.iter().map(ToString::to_string).collect();
        let certificate = CertificateParams::new(names)
            .and_then(|params| params.signed_by(&key, &self.issuer))
            .expect("the names are valid");
        (certificate, key)
    }

    /// The TLS side of a server on this machine that offers `alpn` (none: no ALPN at all).
    pub fn server_config(&self, alpn: &[&[u8]]) -> Arc<rustls::ServerConfig> {
        let (certificate, key) = self.certify();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring supports the default versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("the key belongs to the certificate");
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }
}
