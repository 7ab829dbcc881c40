//! Where requests of ours may go when somebody else chose the address: only to public hosts, by rules that the
//! operator wrote (OWASP, *Server-Side Request Forgery Prevention*).
//!
//! A name is checked twice: against the list of hosts before anything happens, and by the addresses that it resolves
//! to when a connection is made, so that a name which begins to point inside is of no use.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// A host (`web.push.apple.com`), or all below one (`*.notify.windows.com`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPattern {
    name: String,
    below: bool,
}

/// A text that is no host pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is neither a host nor *. before one")]
pub struct HostPatternError(String);

impl FromStr for HostPattern {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, HostPatternError> {
        let (below, name) = text.strip_prefix("*.").map_or((false, text), |name| (true, name));
        let permitted =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
        let is_host = !name.is_empty() && name.len() <= 253 && name.bytes().all(permitted);
        // `*.com` would be as good as no list at all
        if !is_host || (below && !name.contains('.')) {
            return Err(HostPatternError(text.to_owned()));
        }
        Ok(Self { name: name.to_owned(), below })
    }
}

impl HostPattern {
    /// Whether `host` is meant; `host` is in lower case, as in a parsed URL.
    pub fn matches(&self, host: &str) -> bool {
        if !self.below {
            return host == self.name;
        }
        host.strip_suffix(&self.name).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
    }
}

/// Why a URL is not called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It cannot be read, or is not `https`, or names a user.
    #[error("is no https URL of a host")]
    Malformed,
    /// Its host is on no list.
    #[error("is of a host that is not permitted")]
    Host,
    /// It names an address or a port, which only rehearsals may.
    #[error("names an address or a port")]
    Address,
}

/// Whether addresses inside of a network may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inside {
    /// Never: names that resolve to one are refused, and so are URLs with an address or a port.
    Refused,
    /// For rehearsals with stand-ins on this machine.
    Permitted,
}

/// Reads a URL that somebody else gave; gives it and the pattern among `hosts` that permits it (its index).
///
/// # Errors
/// [`UrlError`].
pub fn permitted_url(text: &str, hosts: &[HostPattern], inside: Inside) -> Result<(Url, usize), UrlError> {
    let url = public_url(text, inside)?;
    let host = url.host_str().ok_or(UrlError::Malformed)?;
    let pattern = hosts.iter().position(|pattern| pattern.matches(host)).ok_or(UrlError::Host)?;
    Ok((url, pattern))
}

/// Reads a URL that somebody else gave, of any public host.
///
/// # Errors
/// [`UrlError`].
pub fn public_url(text: &str, inside: Inside) -> Result<Url, UrlError> {
    let url = Url::parse(text).map_err(|_| UrlError::Malformed)?;
    let has_user = !url.username().is_empty() || url.password().is_some();
    let host = url.host_str().filter(|_| url.scheme() == "https" && !has_user).ok_or(UrlError::Malformed)?;
    let is_address = host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok();
    if inside == Inside::Refused && (is_address || url.port().is_some()) {
        return Err(UrlError::Address);
    }
    Ok(url)
}

/// Whether `address` is one of the public internet: neither private nor local, shared, reserved or a tunnel to such.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// IANA, *IPv4 Special-Purpose Address Registry*.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let reserved = a == 0 || a >= 240 || (a == 192 && b == 0 && c == 0) || (a == 198 && (b == 18 || b == 19));
    !(shared
        || reserved
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation())
}

/// Global unicast is `2000::/3`; inside of it are documentation, Teredo and 6to4, which carry other addresses.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let is_global = first & 0xe000 == 0x2000;
    let special =
        first == 0x2002 || (first == 0x2001 && (second < 0x0200 || second == 0x0db8)) || first == 0x3fff;
    is_global && !special
}

/// Resolves names by the system, and leaves out every address that is not public.
#[derive(Debug, Clone, Copy, Default)]
pub struct PublicResolver;

/// A name that resolves to no public address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name resolves to no public address")]
pub struct NoPublicAddress;

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(NoPublicAddress.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Makes a client that connects to public addresses only, unless `inside` is permitted.
pub fn guard(builder: reqwest::ClientBuilder, inside: Inside) -> reqwest::ClientBuilder {
    let builder = builder.redirect(reqwest::redirect::Policy::none()).no_proxy();
    match inside {
        Inside::Refused => builder.dns_resolver(Arc::new(PublicResolver)),
        Inside::Permitted => builder,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_a_host_or_all_below_it() {
        let pattern = |text: &str| text.parse::<HostPattern>().unwrap();
        assert!(pattern("web.push.apple.com").matches("web.push.apple.com"));
        for host in ["push.apple.com", "aweb.push.apple.com", "web.push.apple.com.evil.example"] {
            assert!(!pattern("web.push.apple.com").matches(host), "{host}");
        }
        assert!(pattern("*.notify.windows.com").matches("wns2-par02p.notify.windows.com"));
        for host in ["notify.windows.com", ".notify.windows.com", "evilnotify.windows.com"] {
            assert!(!pattern("*.notify.windows.com").matches(host), "{host}");
        }
        for text in ["", "*", "*.", "*.com", "a b", "*.a.*", "HOST.example"] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_url_that_leads_inside_is_refused() {
        let hosts = ["fcm.googleapis.com".parse().unwrap(), "127.0.0.1".parse().unwrap()];
        let permitted = |text: &str, inside| permitted_url(text, &hosts, inside).map(|(_, index)| index);
        assert_eq!(permitted("https://fcm.googleapis.com/fcm/send/x", Inside::Refused), Ok(0));
        assert_eq!(permitted("https://127.0.0.1:8443/x", Inside::Permitted), Ok(1));
        for (text, error) in [
            ("http://fcm.googleapis.com/x", UrlError::Malformed),
            ("https://user@fcm.googleapis.com/x", UrlError::Malformed),
            ("https://", UrlError::Malformed),
            ("https://evil.example/x", UrlError::Host),
            ("https://fcm.googleapis.com.evil.example/", UrlError::Host),
            ("https://fcm.googleapis.com:6379/", UrlError::Address),
            ("https://127.0.0.1/x", UrlError::Address),
            ("https://2130706433/x", UrlError::Address),
            ("https://0x7f.1/x", UrlError::Address),
            ("https://[::1]/x", UrlError::Address),
        ] {
            assert_eq!(permitted(text, Inside::Refused), Err(error), "{text}");
        }
    }

    #[test]
    fn only_addresses_of_the_internet_are_public() {
        for address in ["8.8.8.8", "142.250.1.1", "2a00:1450::1", "2606:4700::1111", "::ffff:8.8.8.8"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "198.18.0.1",
            "192.0.0.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::1",
            "::",
            "fc00::1",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "fec0::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[tokio::test]
    async fn a_name_that_points_inside_is_not_called() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = guard(reqwest::Client::builder(), Inside::Refused).build().unwrap();
        let cause = client.get("https://localhost/").send().await.unwrap_err();
        let mut source = std::error::Error::source(&cause);
        let mut refused = false;
        while let Some(error) = source {
            refused |= error.is::<NoPublicAddress>();
            source = error.source();
        }
        assert!(refused && cause.is_connect(), "{cause:?}");
    }
}
