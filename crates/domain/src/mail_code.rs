//! What a mail carries so that it can come back: the address of its bounces, and the link that ends promotions.
//!
//! Both hold a code that only this installation can make, so that nobody can bounce another's mail or withdraw
//! another's consent. Mail servers change the case of addresses, so these codes are hexadecimal.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use uuid::Uuid;

use crate::{DeliveryId, ReceiptKey, UserId};

/// Bytes of a code: 80 bits cannot be guessed over a network, and the address stays under 64 characters.
const CODE_BYTES: usize = 10;
/// What the local part of a bounce address begins with.
const BOUNCE: &str = "b+";

/// The local part of the address to which the mail of `delivery` returns when it cannot be delivered (VERP): 55
/// characters.
pub fn bounce_local(key: &ReceiptKey, delivery: DeliveryId) -> String {
    format!("{BOUNCE}{}.{}", delivery.0.simple(), code(key, "mail bounces", delivery.0.as_bytes()))
}

/// The delivery that an address (or its local part) made by [`bounce_local`] stands for; `None` for any other.
pub fn delivery_of_bounce(key: &ReceiptKey, address: &str) -> Option<DeliveryId> {
    let local = address.split('@').next()?.trim().to_ascii_lowercase();
    let (id, told) = local.strip_prefix(BOUNCE)?.split_once('.')?;
    let delivery = DeliveryId(Uuid::try_parse(id).ok()?);
    is_code(key, "mail bounces", delivery.0.as_bytes(), told).then_some(delivery)
}

/// What the link carries by which `user` ends promotional mail.
pub fn unsubscribe_token(key: &ReceiptKey, user: UserId) -> String {
    format!("{}.{}", user.0, code(key, "mail unsubscribe", &user.0.to_be_bytes()))
}

/// Whose link it is; `None` for a token that [`unsubscribe_token`] did not make.
pub fn user_of_unsubscribe(key: &ReceiptKey, token: &str) -> Option<UserId> {
    let (id, told) = token.split_once('.')?;
    let user: i64 = id.parse().ok()?;
    is_code(key, "mail unsubscribe", &user.to_be_bytes(), &told.to_ascii_lowercase()).then_some(UserId(user))
}

fn mac(key: &ReceiptKey, label: &str, data: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.derive(label)).expect("HMAC takes keys of any length");
    mac.update(data);
    mac
}

fn code(key: &ReceiptKey, label: &str, data: &[u8]) -> String {
    use std::fmt::Write as _;
    let bytes = mac(key, label, data).finalize().into_bytes();
    bytes[..CODE_BYTES].iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}

/// Compared in constant time.
fn is_code(key: &ReceiptKey, label: &str, data: &[u8], told: &str) -> bool {
    if told.len() != 2 * CODE_BYTES || !told.is_ascii() {
        return false;
    }
    let bytes: Option<Vec<u8>> =
        (0..CODE_BYTES).map(|index| u8::from_str_radix(&told[2 * index..2 * index + 2], 16).ok()).collect();
    bytes.is_some_and(|bytes| mac(key, label, data).verify_truncated_left(&bytes).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounce_finds_its_delivery_and_a_forged_one_none() {
        let key = ReceiptKey::new([1; 32]);
        let delivery = DeliveryId(Uuid::from_u128(7));
        let local = bounce_local(&key, delivery);
        assert!(
            local.len() == 55
                && local.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+.".contains(&byte))
        );
        for address in [local.clone(), format!("{local}@bounces.example"), local.to_uppercase()] {
            assert_eq!(delivery_of_bounce(&key, &address), Some(delivery), "{address}");
        }
        let another = bounce_local(&key, DeliveryId(Uuid::from_u128(8)));
        let forged = format!("{}{}", &local[..local.len() - 20], &another[another.len() - 20..]);
        for address in
            [forged.as_str(), "", "b+", "somebody@example.org", &local[1..], &format!("{local}0"), "b+7.é"]
        {
            assert_eq!(delivery_of_bounce(&key, address), None, "{address}");
        }
        assert_eq!(delivery_of_bounce(&ReceiptKey::new([2; 32]), &local), None);
    }

    #[test]
    fn an_unsubscribe_link_is_one_persons() {
        let key = ReceiptKey::new([1; 32]);
        let token = unsubscribe_token(&key, UserId(42));
        assert_eq!(user_of_unsubscribe(&key, &token), Some(UserId(42)));
        for forged in [token.replacen("42", "43", 1), String::new(), "42.".to_owned(), token[..9].to_owned()]
        {
            assert_eq!(user_of_unsubscribe(&key, &forged), None, "{forged}");
        }
    }
}
