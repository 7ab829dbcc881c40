//! Who calls, by what they may do.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use domain::{Permission, Principal};

use crate::app::App;
use crate::code::Code;
use crate::error::ApiError;
use crate::gate::Identity;
use crate::limits::Key;

/// Somebody with a good token, or nobody in particular. A bad token is refused all the same.
#[derive(Debug, Clone)]
pub(crate) struct MaybeCaller(pub(crate) Option<Principal>);

/// Somebody with a good token.
#[derive(Debug, Clone)]
pub(crate) struct Caller(pub(crate) Principal);

/// The address that a request counts for; takes no notice of tokens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AddressOf(pub(crate) Key);

impl MaybeCaller {
    /// Whether there is somebody, and they have `permission`.
    pub(crate) fn may(&self, permission: Permission) -> bool {
        self.0.as_ref().is_some_and(|principal| principal.may(permission))
    }
}

impl FromRequestParts<App> for MaybeCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        let identity = parts.extensions.get::<Identity>().expect("the gate identifies every request");
        identity.principal.clone().map(Self).map_err(ApiError::new)
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let MaybeCaller(principal) = MaybeCaller::from_request_parts(parts, app).await?;
        principal.map(Self).ok_or_else(|| ApiError::new(Code::TokenMissing))
    }
}

impl FromRequestParts<App> for AddressOf {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Infallible> {
        let identity = parts.extensions.get::<Identity>().expect("the gate identifies every request");
        Ok(Self(identity.address))
    }
}

/// Declares extractors of callers who have a permission.
macro_rules! permitted {
    ($($(#[$doc:meta])* $name:ident = $permission:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub(crate) struct $name(pub(crate) Principal);

        impl FromRequestParts<App> for $name {
            type Rejection = ApiError;

            async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
                let Caller(principal) = Caller::from_request_parts(parts, app).await?;
                if principal.may(Permission::$permission) {
                    Ok(Self(principal))
                } else {
                    Err(ApiError::new(Code::Forbidden))
                }
            }
        }
    )+};
}

permitted! {
    /// Who may change the programme.
    Editor = EditProgramme;
    /// Who may announce.
    Announcer = Announce;
    /// Who may use an account of their own.
    Member = UseOwnAccount;
    /// Who may make users.
    Admin = ManageUsers;
}
