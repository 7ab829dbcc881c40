//! The keys of an installation: what access tokens are signed with, and what receipt codes are made with.
//!
//! One process makes its own, in its data directory. Several processes need the same, so they are given as files.

use std::path::{Path, PathBuf};

use anyhow::Context;
use domain::ReceiptKey;
use secrecy::ExposeSecret;
use serde::Deserialize;
use service::config::{read_pem, read_secret};
use service::{Faults, TokenSigner, TokenVerifier};

use crate::data_dir::DataDir;
use crate::roles::Role;

/// Name of the signing key in the data directory.
const SIGNING_KEY: &str = "signing-key.pem";
/// Name of the receipt key in the data directory.
const RECEIPT_KEY: &str = "receipt.key";
/// Bytes of a receipt key at least.
const RECEIPT_KEY_BYTES_MIN: usize = 32;

/// Keys and names: `[auth]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Name of this installation in its access tokens (`iss`). 1 to 200 characters. Changing it ends every session.
    pub(crate) issuer: String,
    /// What the access tokens open (`aud`). 1 to 200 characters. Changing it ends every session.
    pub(crate) audience: String,
    /// File with the Ed25519 private key (PKCS#8 PEM) that access tokens are signed with. None: `signing-key.pem` in
    /// the data directory, made at the first start. Needed by `--role api`.
    pub(crate) signing_key_file: Option<PathBuf>,
    /// Files with Ed25519 public keys (SPKI PEM) that are believed besides the signing key's own: needed by
    /// `--role hub`, and by everybody while keys are exchanged.
    pub(crate) verify_key_files: Vec<PathBuf>,
    /// File with the secret that receipt codes are made with, at least 32 bytes. None: `receipt.key` in the data
    /// directory, made at the first start. The same everywhere; needed by `--role api`, `hub` and `workers`.
    pub(crate) receipt_key_file: Option<PathBuf>,
}

/// The keys that a process has.
#[derive(Debug)]
pub(crate) struct Keys {
    /// Signs access tokens; only who answers HTTP needs it.
    pub(crate) signer: Option<TokenSigner>,
    /// Verifies access tokens.
    pub(crate) verifier: TokenVerifier,
    /// Makes and verifies receipt codes.
    pub(crate) receipt: ReceiptKey,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            issuer: "munadi".to_owned(),
            audience: "festival".to_owned(),
            signing_key_file: None,
            verify_key_files: Vec::new(),
            receipt_key_file: None,
        }
    }
}

impl Config {
    /// Notes what is wrong, files included.
    pub(crate) fn check(&self, role: Role, faults: &mut Faults) {
        faults.range("issuer", self.issuer.len(), 1..=200);
        faults.range("audience", self.audience.len(), 1..=200);
        if let Some(path) = &self.signing_key_file
            && let Some(pem) = read_pem("signing_key_file", path, faults)
            && let Err(error) = TokenSigner::from_pem(pem.expose_secret())
        {
            faults.add("signing_key_file", format!("{}: {error}", path.display()));
        }
        for path in &self.verify_key_files {
            if let Some(pem) = read_pem("verify_key_files", path, faults)
                && let Err(error) = TokenVerifier::from_public_pem(&[pem.expose_secret()])
            {
                faults.add("verify_key_files", format!("{}: {error}", path.display()));
            }
        }
        if let Some(path) = &self.receipt_key_file
            && let Some(secret) = read_secret("receipt_key_file", path, faults)
            && secret.expose_secret().len() < RECEIPT_KEY_BYTES_MIN
        {
            let found = format!("{} has less than {RECEIPT_KEY_BYTES_MIN} bytes", path.display());
            faults.add("receipt_key_file", found);
        }
        self.check_role(role, faults);
    }

    fn check_role(&self, role: Role, faults: &mut Faults) {
        const WHY: &str = "the processes of a split installation share their keys";
        if !role.is_split() {
            return;
        }
        if role.has_api() && self.signing_key_file.is_none() {
            faults.add("signing_key_file", format!("is needed by --role api: {WHY}"));
        }
        if role.has_hub() && self.signing_key_file.is_none() && self.verify_key_files.is_empty() {
            faults.add("verify_key_files", format!("must not be empty for --role hub: {WHY}"));
        }
        if self.receipt_key_file.is_none() {
            faults.add("receipt_key_file", format!("is needed: {WHY}"));
        }
    }
}

impl Keys {
    /// The configured keys; what is not configured comes from `data_dir`, and is made there at the first start.
    ///
    /// # Errors
    /// When a file cannot be read or written, or holds something else.
    pub(crate) fn load(config: &Config, role: Role, data_dir: &DataDir) -> anyhow::Result<Self> {
        let signer = match &config.signing_key_file {
            Some(path) => Some(signer(path)?),
            None if role.is_split() => None,
            None => Some(signer(&data_dir.secret(SIGNING_KEY, TokenSigner::generate_pem)?)?),
        };
        let mut pems = Vec::new();
        for path in &config.verify_key_files {
            pems.push(read(path)?);
        }
        let mut verifier = TokenVerifier::from_public_pem(&pems)?;
        if let Some(signer) = &signer {
            verifier = signer.verifier().and(&verifier);
        }
        let receipt = match &config.receipt_key_file {
            Some(path) => read(path)?,
            None => read(&data_dir.secret(RECEIPT_KEY, new_receipt_key)?)?,
        };
        let receipt = receipt.trim_end_matches(['\r', '\n']);
        anyhow::ensure!(receipt.len() >= RECEIPT_KEY_BYTES_MIN, "the receipt key is too short");
        Ok(Self { signer, verifier, receipt: ReceiptKey::new(receipt) })
    }
}

fn signer(path: &Path) -> anyhow::Result<TokenSigner> {
    TokenSigner::from_pem(&read(path)?).with_context(|| path.display().to_string())
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// 32 random bytes, written as text.
fn new_receipt_key() -> String {
    format!("{:032x}{:032x}\n", rand::random::<u128>(), rand::random::<u128>())
}
