//! The provider token: one ES256 JWT for the whole process, renewed in time and never too often.

use std::sync::Mutex;
use std::time::Duration;

use domain::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rand::Rng as _;
use serde::Serialize;

/// Apple refuses to see a new token more often than this.
pub(super) const RENEW_MIN: Duration = Duration::from_mins(20);

/// When a token is renewed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Renewal {
    /// Age at which a token is replaced.
    pub(super) after: Duration,
    /// At most this much is taken off, at random, so that many processes do not renew at once.
    pub(super) jitter: Duration,
}

/// Makes and keeps the provider token.
pub(super) struct TokenSource {
    key: EncodingKey,
    key_id: String,
    team_id: String,
    renewal: Renewal,
    current: Mutex<Option<Current>>,
}

/// A token and its times.
#[derive(Debug, Clone)]
struct Current {
    jwt: String,
    made_at: Timestamp,
    renew_at: Timestamp,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    iat: i64,
}

/// What became of the wish for another token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Renewed {
    /// There is a newer one than the one that was refused.
    Yes,
    /// The refused one is too young: the clock or the key is wrong.
    TooYoung,
}

impl TokenSource {
    /// Takes the key from a `.p8` file's text.
    ///
    /// # Errors
    /// When the text is no P-256 key in PKCS#8 PEM.
    pub(super) fn new(
        pem: &str,
        key_id: &str,
        team_id: &str,
        renewal: Renewal,
    ) -> Result<Self, jsonwebtoken::errors::Error> {
        let source = Self {
            key: EncodingKey::from_ec_pem(pem.as_bytes())?,
            key_id: key_id.to_owned(),
            team_id: team_id.to_owned(),
            renewal,
            current: Mutex::new(None),
        };
        source.sign(Timestamp::from_microsecond(0).expect("1970 is a year"))?; // a key that cannot sign shows now
        Ok(source)
    }

    /// The token to use at `now`. Signing takes microseconds, so the lock makes it single-flight.
    pub(super) fn token(&self, now: Timestamp) -> String {
        let mut current = self.current.lock().expect("no holder of this lock panics");
        match &*current {
            Some(token) if now < token.renew_at && now >= token.made_at => token.jwt.clone(),
            _ => current.insert(self.make(now)).jwt.clone(),
        }
    }

    /// Replaces `refused`, which the provider calls expired, unless it is young or was replaced already.
    pub(super) fn renew(&self, refused: &str, now: Timestamp) -> Renewed {
        let mut current = self.current.lock().expect("no holder of this lock panics");
        match &*current {
            Some(token) if token.jwt == refused && now.since(token.made_at) < RENEW_MIN => Renewed::TooYoung,
            Some(token) if token.jwt != refused => Renewed::Yes,
            _ => {
                *current = Some(self.make(now));
                Renewed::Yes
            }
        }
    }

    fn make(&self, now: Timestamp) -> Current {
        let jwt = self.sign(now).expect("the key has signed before");
        let jitter = self.renewal.jitter.mul_f64(rand::rng().random_range(0.0..=1.0));
        Current { jwt, made_at: now, renew_at: now + self.renewal.after.saturating_sub(jitter) }
    }

    fn sign(&self, now: Timestamp) -> Result<String, jsonwebtoken::errors::Error> {
        let mut header = Header::new(Algorithm::ES256);
        header.typ = None;
        header.kid = Some(self.key_id.clone());
        jsonwebtoken::encode(&header, &Claims { iss: &self.team_id, iat: now.as_second() }, &self.key)
    }
}

#[cfg(test)]
mod tests {
    use p256::pkcs8::{EncodePrivateKey as _, LineEnding};

    use super::*;

    fn source() -> TokenSource {
        let key = p256::SecretKey::random(&mut p256::elliptic_curve::rand_core::OsRng);
        let pem = key.to_pkcs8_pem(LineEnding::LF).unwrap();
        let renewal = Renewal { after: Duration::from_mins(40), jitter: Duration::from_mins(5) };
        TokenSource::new(&pem, "KEYID00001", "TEAMID0001", renewal).unwrap()
    }

    fn at(minutes: u64) -> Timestamp {
        "2026-07-15T20:00:00Z".parse::<Timestamp>().unwrap() + Duration::from_mins(minutes)
    }

    #[test]
    fn a_token_serves_for_35_minutes_and_no_longer_than_40() {
        let source = source();
        let first = source.token(at(0));
        assert_eq!(source.token(at(34)), first);
        let second = source.token(at(41));
        assert_ne!(second, first);
        assert_eq!(source.token(at(60)), second);
    }

    #[test]
    fn a_young_token_is_not_replaced_and_an_old_one_once() {
        let source = source();
        let first = source.token(at(0));
        assert_eq!(source.renew(&first, at(19)), Renewed::TooYoung);
        assert_eq!(source.renew(&first, at(21)), Renewed::Yes);
        let second = source.token(at(21));
        assert_ne!(second, first);
        assert_eq!(source.renew(&first, at(22)), Renewed::Yes);
        assert_eq!(source.token(at(22)), second, "a second complaint about the first token changes nothing");
    }

    #[test]
    fn a_key_that_is_none_is_refused() {
        assert!(
            TokenSource::new("rubbish", "k", "t", Renewal { after: RENEW_MIN, jitter: RENEW_MIN }).is_err()
        );
    }
}
