//! The code by which an app proves that it may confirm a delivery, without a session.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::DeliveryId;

/// Bytes of the code that are sent; 128 bits cannot be guessed.
const CODE_BYTES: usize = 16;

/// The secret that receipt codes are made with. Every process of an installation has the same.
#[derive(Clone)]
pub struct ReceiptKey(Vec<u8>);

impl ReceiptKey {
    /// Takes the secret: at least 32 bytes.
    ///
    /// # Panics
    /// When it is shorter; the configuration is checked before.
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        let secret = secret.into();
        assert!(secret.len() >= 32, "a receipt key has at least 32 bytes");
        Self(secret)
    }

    /// The code of `delivery`: 22 base64url characters.
    pub fn code(&self, delivery: DeliveryId) -> String {
        URL_SAFE_NO_PAD.encode(&self.mac(delivery).finalize().into_bytes()[..CODE_BYTES])
    }

    /// Whether `code` is the code of `delivery`, compared in constant time.
    pub fn verifies(&self, delivery: DeliveryId, code: &str) -> bool {
        URL_SAFE_NO_PAD.decode(code).is_ok_and(|bytes| {
            bytes.len() == CODE_BYTES && self.mac(delivery).verify_truncated_left(&bytes).is_ok()
        })
    }

    /// A key for another purpose, which tells nothing of this one: HMAC-SHA256 of `label`.
    pub fn derive(&self, label: &str) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(b"munadi derived key\0");
        mac.update(label.as_bytes());
        mac.finalize().into_bytes().into()
    }

    fn mac(&self, delivery: DeliveryId) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(b"munadi receipt\0");
        mac.update(delivery.0.as_bytes());
        mac
    }
}

impl std::fmt::Debug for ReceiptKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReceiptKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_code_opens_its_own_delivery_only() {
        let key = ReceiptKey::new([1; 32]);
        let (one, two) = (DeliveryId(Uuid::from_u128(1)), DeliveryId(Uuid::from_u128(2)));
        let code = key.code(one);
        assert!(key.verifies(one, &code) && !key.verifies(two, &code));
        assert!(!ReceiptKey::new([2; 32]).verifies(one, &code));
        assert_ne!(key.derive("a"), key.derive("b"));
        for forged in ["", "A", &code[1..], &format!("{code}A")] {
            assert!(!key.verifies(one, forged));
        }
    }
}
