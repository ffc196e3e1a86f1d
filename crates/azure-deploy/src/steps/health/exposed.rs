//! Whether the application was reached at a public address.

use std::net::IpAddr;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;

use super::address::is_private;
use crate::kubernetes::Object;

/// Timeout of looking up a host name.
const LOOKUP: Duration = Duration::from_secs(5);

/// The workloads that were reached at an address.
pub(crate) struct Exposed {
    /// Whether machines outside of private networks reach it.
    pub(crate) is_public: bool,
    pub(crate) workloads: Vec<Object>,
}

impl Exposed {
    /// Whether an application with `addresses` that was reached at `host`, or only inside the cluster, is exposed to the internet; `None`
    /// where that is unknown: a host name cannot be looked up, or it was reached elsewhere than at its public address.
    pub(super) async fn is_public(host: Option<&str>, addresses: &[&str]) -> Option<bool> {
        if let Some(host) = host
            && is_public(host).await?
        {
            return Some(true);
        }
        for address in addresses {
            if is_public(address).await? {
                return None;
            }
        }
        Some(false)
    }
}

// A load balancer may have a host name, which shows only by its addresses whether it is internal.
async fn is_public(host: &str) -> Option<bool> {
    if let Ok(ip) = host.trim_matches(['[', ']']).parse() {
        return Some(is_public_ip(ip));
    }
    let found = timeout(LOOKUP, lookup_host((host, 0))).await.ok()?.ok()?;
    Some(found.map(|address| address.ip()).any(is_public_ip))
}

fn is_public_ip(ip: IpAddr) -> bool {
    let is_link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !(is_link_local || ip.is_loopback() || ip.is_unspecified() || is_private(&ip.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_is_public_unless_it_is_of_a_network_or_a_machine() {
        let table = [
            ("203.0.113.7", Some(true)),
            ("[2001:db8::7]", Some(true)),
            ("10.77.1.10", Some(false)),
            ("100.64.0.1", Some(false)),
            ("fd00::7", Some(false)),
            ("169.254.1.1", Some(false)),
            ("fe80::1", Some(false)),
            ("127.0.0.1", Some(false)),
            ("localhost", Some(false)),
        ];
        for (host, expected) in table {
            assert_eq!(is_public(host).await, expected, "{host}");
        }
    }

    #[tokio::test]
    async fn what_has_a_public_address_is_not_internal_where_it_was_reached_elsewhere() {
        let (public, private) = ("203.0.113.7", "10.77.1.10");
        let table = [
            (Some(public), &[private, public][..], Some(true)),
            (Some(private), &[private], Some(false)),
            (Some(private), &[private, public], None),
            (None, &[private], Some(false)),
            (None, &[public], None),
        ];
        for (host, addresses, expected) in table {
            let is_public = Exposed::is_public(host, addresses).await;
            assert_eq!(is_public, expected, "{host:?} {addresses:?}");
        }
    }
}
