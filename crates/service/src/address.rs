//! Where a request comes from: behind which address, and which proxies are believed about it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::http::HeaderMap;

/// A range of addresses, such as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    address: u128,
    prefix: u32,
}

/// Whom limits by address count: an IPv4 address, or the first 64 bits of an IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressPrefix(pub u128);

impl AddressRange {
    /// Reads an address or a range; `None` when it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) =
            text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix =
            prefix.map_or(Some(bits), |prefix| prefix.parse().ok().filter(|prefix| *prefix <= bits))?;
        Some(Self { address: mapped(address), prefix: 128 - bits + prefix })
    }

    fn contains(self, address: IpAddr) -> bool {
        let differs = self.address ^ mapped(address);
        self.prefix == 0 || differs.leading_zeros() >= self.prefix
    }
}

impl AddressPrefix {
    /// Of the client of a request from `peer`: the last address in `X-Forwarded-For` that no trusted proxy vouches for.
    pub fn of(peer: Option<SocketAddr>, headers: &HeaderMap, trusted: &[AddressRange]) -> Self {
        let mut client = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip().to_canonical());
        let forwarded = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let hops: Vec<&str> = forwarded.flat_map(|value| value.split(',')).collect();
        for hop in hops.iter().rev() {
            if !trusted.iter().any(|range| range.contains(client)) {
                break;
            }
            match hop.trim().parse::<IpAddr>() {
                Ok(address) => client = address.to_canonical(),
                Err(_) => break,
            }
        }
        match client {
            IpAddr::V4(address) => Self(mapped(IpAddr::V4(address))),
            IpAddr::V6(address) => Self(address.to_bits() & !u128::from(u64::MAX)),
        }
    }
}

/// The address as 128 bits, IPv4 as `::ffff:a.b.c.d`.
fn mapped(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted = [AddressRange::parse("10.0.0.0/8").unwrap()];
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "6.6.6.6, 1.2.3.4, 10.9.9.9".parse().unwrap());
        let of = |peer: &str| AddressPrefix::of(Some(peer.parse().unwrap()), &headers, &trusted);
        let four = |address: &str| AddressPrefix(mapped(address.parse().unwrap()));
        assert_eq!(of("10.1.1.1:80"), four("1.2.3.4"));
        assert_eq!(of("9.9.9.9:80"), four("9.9.9.9"));
        assert_eq!(of("[2001:db8::1]:80"), of("[2001:db8::2]:80"));
        assert_ne!(of("[2001:db8::1]:80"), of("[2001:db8:0:1::1]:80"));
        for bad in ["10.0.0.0/33", "x", "10.0.0/8", "::/129", "1.2.3.4/-1"] {
            assert_eq!(AddressRange::parse(bad), None, "{bad}");
        }
    }
}
