//! Cursors of lists: opaque, versioned, sealed with a MAC, and bound to the list's filter and order.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use utoipa::IntoParams;

use crate::code::Code;
use crate::error::ApiError;
use crate::fault::{Fault, Rule};

/// Form of the cursors that are made now.
const VERSION: u8 = 1;
/// Bytes of the MAC that are kept.
const MAC_BYTES: usize = 16;
/// Items of a page when the client does not say.
pub(crate) const LIMIT_DEFAULT: u32 = 50;
/// Most items of a page.
pub(crate) const LIMIT_MAX: u32 = 200;

/// Makes and reads cursors. Every API process of an installation has the same key.
#[derive(Clone)]
pub(crate) struct Cursors([u8; 32]);

/// `?limit=&cursor=`: which page of a list, as it is written.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// Items of a page: 1 to 200.
    #[param(default = 50, minimum = 1, maximum = 200)]
    pub(crate) limit: Option<u32>,
    /// `meta.next_cursor` of the page before.
    pub(crate) cursor: Option<String>,
}

/// Which page of a list a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageRequest<K> {
    /// Items at most.
    pub(crate) limit: u32,
    /// The sort key of the last item of the page before.
    pub(crate) after: Option<K>,
    scope: String,
}

/// A page that was read.
#[derive(Debug)]
pub(crate) struct Page<T> {
    /// Its items.
    pub(crate) items: Vec<T>,
    /// Where the next page begins, when there is one.
    pub(crate) next_cursor: Option<String>,
}

impl Cursors {
    /// With a key of 32 bytes.
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// What a list request with `limit` and `cursor` asks for. `scope` names the list, its order and its filter
    /// (anything that serialises): a cursor is good for that scope only.
    ///
    /// # Errors
    /// [`Code::InvalidQuery`] for a limit out of range, [`Code::InvalidCursor`] for a cursor of another list.
    pub(crate) fn request<K: DeserializeOwned>(
        &self,
        limit: Option<u32>,
        cursor: Option<&str>,
        scope: &impl Serialize,
    ) -> Result<PageRequest<K>, ApiError> {
        let limit = limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            let rule = Rule::Range("1".to_owned(), LIMIT_MAX.to_string());
            return Err(
                ApiError::new(Code::InvalidQuery).faults(vec![Fault { pointer: "/limit".to_owned(), rule }])
            );
        }
        let scope = serde_json::to_string(scope).map_err(ApiError::internal)?;
        let after = match cursor {
            None => None,
            Some(text) => Some(self.open(&scope, text).ok_or_else(|| ApiError::new(Code::InvalidCursor))?),
        };
        Ok(PageRequest { limit, after, scope })
    }

    /// Makes the page of `rows`, of which one more than the limit was asked for; `key` is the sort key of a row.
    ///
    /// # Errors
    /// [`Code::Internal`] when a key cannot be written as JSON.
    pub(crate) fn page<T, K: Serialize>(
        &self,
        request: &PageRequest<K>,
        mut rows: Vec<T>,
        key: impl FnOnce(&T) -> K,
    ) -> Result<Page<T>, ApiError> {
        let limit = request.limit as usize;
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = match rows.last().filter(|_| has_more) {
            Some(last) => Some(self.seal(&request.scope, &key(last))?),
            None => None,
        };
        Ok(Page { items: rows, next_cursor })
    }

    fn seal(&self, scope: &str, key: &impl Serialize) -> Result<String, ApiError> {
        let mut bytes = vec![VERSION];
        serde_json::to_writer(&mut bytes, key).map_err(ApiError::internal)?;
        let mac = self.mac(scope, &bytes).finalize().into_bytes();
        bytes.extend_from_slice(&mac[..MAC_BYTES]);
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    fn open<K: DeserializeOwned>(&self, scope: &str, text: &str) -> Option<K> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (sealed, mac) = bytes.split_at_checked(bytes.len().checked_sub(MAC_BYTES)?)?;
        self.mac(scope, sealed).verify_truncated_left(mac).ok()?;
        let (version, key) = sealed.split_first()?;
        (*version == VERSION).then(|| serde_json::from_slice(key).ok())?
    }

    fn mac(&self, scope: &str, sealed: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(scope.as_bytes());
        mac.update(&[0]);
        mac.update(sealed);
        mac
    }
}

impl std::fmt::Debug for Cursors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cursors(…)")
    }
}

impl<T> Page<T> {
    /// The same page with other items.
    pub(crate) fn map<U>(self, make: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(make).collect(), next_cursor: self.next_cursor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_own_list_only() {
        let cursors = Cursors::new([7; 32]);
        let request = cursors.request::<(i64, i64)>(Some(2), None, &("events", "live")).unwrap();
        let page = cursors.page(&request, vec![(1, 1), (2, 2), (3, 3)], |row| *row).unwrap();
        assert_eq!(page.items, [(1, 1), (2, 2)]);
        let cursor = page.next_cursor.unwrap();
        let next = cursors.request::<(i64, i64)>(None, Some(&cursor), &("events", "live")).unwrap();
        assert_eq!((next.after, next.limit), (Some((2, 2)), LIMIT_DEFAULT));

        let refused = |cursors: &Cursors, cursor: &str, scope: (&str, &str)| {
            cursors.request::<(i64, i64)>(None, Some(cursor), &scope).unwrap_err().code()
        };
        assert_eq!(refused(&cursors, &cursor, ("events", "draft")), Code::InvalidCursor);
        assert_eq!(refused(&Cursors::new([8; 32]), &cursor, ("events", "live")), Code::InvalidCursor);
        for forged in ["", "A", "not base64!", &cursor[1..], &format!("{cursor}AA")] {
            assert_eq!(refused(&cursors, forged, ("events", "live")), Code::InvalidCursor, "{forged}");
        }
        for limit in [0, 201, u32::MAX] {
            assert_eq!(
                cursors.request::<i64>(Some(limit), None, &"x").unwrap_err().code(),
                Code::InvalidQuery
            );
        }
    }

    #[test]
    fn the_last_page_has_no_cursor() {
        let cursors = Cursors::new([7; 32]);
        let request = cursors.request::<i64>(Some(2), None, &"x").unwrap();
        assert_eq!(cursors.page(&request, vec![1, 2], |row| *row).unwrap().next_cursor, None);
    }
}
