//! Encrypting for one browser: RFC 8291 over `aes128gcm` of RFC 8188, in one record.

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use ring::rand::{SecureRandom, SystemRandom};

/// Bytes of the longest text: 4,096 that every push service takes, less header (86), tag (16) and delimiter (1).
pub(in crate::channels) const PLAIN_BYTES_MAX: usize = 3_993;
/// The record size that the header names; one record holds everything.
const RECORD_BYTES: u32 = 4_096;
/// Ends the last record.
const LAST_RECORD: u8 = 2;

/// The browser's key is no point of the curve, or the machine has no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key of the subscription cannot be used")]
pub(super) struct KeyUnusable;

/// So many bytes of key material.
#[derive(Clone, Copy)]
struct Bytes(usize);

impl KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

/// Encrypts `plain` for the browser with `key` and `secret`, with a key pair and a salt of its own.
///
/// # Errors
/// [`KeyUnusable`].
pub(super) fn encrypt(
    plain: &[u8],
    key: &[u8; 65],
    secret: &[u8; 16],
    random: &SystemRandom,
) -> Result<Vec<u8>, KeyUnusable> {
    let own = EphemeralPrivateKey::generate(&ECDH_P256, random).map_err(|_| KeyUnusable)?;
    let own_public = own.compute_public_key().map_err(|_| KeyUnusable)?;
    let mut salt = [0; 16];
    random.fill(&mut salt).map_err(|_| KeyUnusable)?;
    let theirs = UnparsedPublicKey::new(&ECDH_P256, key);
    let input = agree_ephemeral(own, &theirs, |shared| {
        let prk = Salt::new(HKDF_SHA256, secret).extract(shared);
        derive::<32>(&prk, &[b"WebPush: info\0", key, own_public.as_ref()])
    });
    let prk = Salt::new(HKDF_SHA256, &salt).extract(&input.map_err(|_| KeyUnusable)?);
    let content_key = derive::<16>(&prk, &[b"Content-Encoding: aes128gcm\0"]);
    let nonce = derive::<NONCE_LEN>(&prk, &[b"Content-Encoding: nonce\0"]);
    let sealing = UnboundKey::new(&AES_128_GCM, &content_key).expect("the key has its length");

    let mut record = plain.to_vec();
    record.push(LAST_RECORD);
    LessSafeKey::new(sealing)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut record)
        .expect("a record is far shorter than the cipher permits");
    let id = own_public.as_ref();
    let mut body = Vec::with_capacity(21 + id.len() + record.len());
    body.extend_from_slice(&salt);
    body.extend_from_slice(&RECORD_BYTES.to_be_bytes());
    body.push(u8::try_from(id.len()).expect("an uncompressed point has 65 bytes"));
    body.extend_from_slice(id);
    body.extend_from_slice(&record);
    Ok(body)
}

fn derive<const LENGTH: usize>(prk: &Prk, info: &[&[u8]]) -> [u8; LENGTH] {
    let mut derived = [0; LENGTH];
    let filled = prk.expand(info, Bytes(LENGTH)).and_then(|material| material.fill(&mut derived));
    filled.expect("HKDF gives up to 8,160 bytes");
    derived
}

#[cfg(test)]
mod tests {
    use p256::elliptic_curve::sec1::ToEncodedPoint as _;
    use proptest::prelude::*;

    use super::*;

    /// What `web-push-native`, which shares no code with ring, makes of it.
    fn decrypted(plain: &[u8]) -> (usize, Vec<u8>) {
        let browser = p256::SecretKey::random(&mut p256::elliptic_curve::rand_core::OsRng);
        let key = browser.public_key().to_encoded_point(false).as_bytes().try_into().unwrap();
        let secret = [7; 16];
        let body = encrypt(plain, &key, &secret, &SystemRandom::new()).unwrap();
        (body.len(), web_push_native::decrypt(body, &browser, &secret.into()).unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn another_library_decrypts_it(plain in prop::collection::vec(any::<u8>(), 1..PLAIN_BYTES_MAX)) {
            let (bytes, read) = decrypted(&plain);
            prop_assert_eq!(bytes, plain.len() + 103);
            prop_assert_eq!(read, plain);
        }
    }

    #[test]
    fn the_longest_text_fills_the_limit_of_push_services() {
        assert_eq!(decrypted(&[b'x'; PLAIN_BYTES_MAX]).0, 4_096);
    }

    #[test]
    fn a_key_that_is_no_point_is_refused() {
        let mut key = [0; 65];
        key[0] = 4;
        assert_eq!(encrypt(b"x", &key, &[0; 16], &SystemRandom::new()), Err(KeyUnusable));
    }
}
