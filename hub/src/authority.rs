//! Who somebody is, by what they show: access tokens for connections, receipt codes for deliveries. Computation only.

use domain::{Claims, DeliveryId, Principal, ReceiptKey, Timestamp, Topic};
use service::token::{TokenError, TokenVerifier};

/// What tokens and codes are checked with.
#[derive(Debug, Clone)]
pub(crate) struct Authority {
    pub(crate) tokens: TokenVerifier,
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) receipt_key: ReceiptKey,
}

/// Somebody whose token was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Who.
    pub(crate) principal: Principal,
    /// Topics that the token subscribes to.
    pub(crate) topics: Vec<Topic>,
    /// When the token runs out.
    pub(crate) expires_at: Timestamp,
}

/// Why a token opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenRefused {
    /// It was genuine once; its holder fetches another.
    Expired,
    /// It is not genuine, not meant for us, or of nobody.
    Invalid,
}

impl Authority {
    /// Who shows `token`.
    ///
    /// # Errors
    /// [`TokenRefused`].
    pub(crate) fn identify(&self, token: &str, now: Timestamp) -> Result<Identity, TokenRefused> {
        let claims: Claims =
            self.tokens.verify(token, &self.issuer, &self.audience, now).map_err(|error| match error {
                TokenError::Expired => TokenRefused::Expired,
                TokenError::Malformed
                | TokenError::UnknownKey
                | TokenError::Signature
                | TokenError::NotYetValid
                | TokenError::Issuer
                | TokenError::Audience => TokenRefused::Invalid,
            })?;
        let principal = claims.principal().ok_or(TokenRefused::Invalid)?;
        let expires_at =
            claims.exp.checked_mul(1_000_000).and_then(|exp| Timestamp::from_microsecond(exp).ok());
        let expires_at = expires_at.ok_or(TokenRefused::Invalid)?;
        Ok(Identity { principal, topics: claims.topics, expires_at })
    }

    /// Whether `code` allows to confirm `delivery`.
    pub(crate) fn confirms(&self, delivery: DeliveryId, code: &str) -> bool {
        self.receipt_key.verifies(delivery, code)
    }
}
