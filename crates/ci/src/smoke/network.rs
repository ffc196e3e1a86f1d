//! Whether this process can reach a container, and through which network.

use std::net::{IpAddr, Ipv4Addr};

use docker::{Container, ContainerSpec, ImageInfo, netns};

use crate::job::Job;

/// Start a container of `image`, and return it with an address at which it is reachable.
///
/// The container joins the default bridge network, which is reachable from the host and from its containers there. If
/// this process runs in a container of another network (a job with services), the container shares that network.
pub(super) async fn start(
    job: &Job<'_>,
    image: &ImageInfo,
    spec: fn(image: &ImageInfo, run: &str, network: &str) -> ContainerSpec,
) -> anyhow::Result<(Container, IpAddr)> {
    let (docker, run) = (job.docker, job.run);
    let container = docker.start(&spec(image, run, "bridge")).await?;
    // A container that exited at once has no address; the reason is determined later.
    let Ok(address) = container.ip().await else {
        return Ok((container, Ipv4Addr::LOCALHOST.into()));
    };
    match netns::self_container_id() {
        Some(id) if !is_directly_reachable(address) => {
            container.remove().await;
            let network = format!("container:{id}");
            let container = docker.start(&spec(image, run, &network)).await?;
            Ok((container, Ipv4Addr::LOCALHOST.into()))
        }
        _ => Ok((container, address)),
    }
}

/// Whether this process has an interface in the network of `address`. Docker isolates its bridge networks from each
/// other, so a route through a gateway does not count.
fn is_directly_reachable(address: IpAddr) -> bool {
    let IpAddr::V4(address) = address else {
        return true;
    };
    // Without the table, the connection shows it.
    std::fs::read_to_string("/proc/net/route")
        .map_or(true, |table| has_direct_route(&table, address))
}

// Columns: Iface Destination Gateway Flags RefCnt Use Metric Mask …; addresses are the hex digits of
// a word in the machine's byte order (proc(5)).
fn has_direct_route(table: &str, address: Ipv4Addr) -> bool {
    let address = u32::from_ne_bytes(address.octets());
    table.lines().skip(1).any(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let number = |at: usize| {
            columns
                .get(at)
                .and_then(|c| u32::from_str_radix(c, 16).ok())
        };
        let (Some(network), Some(0), Some(mask)) = (number(1), number(2), number(7)) else {
            return false;
        };
        mask != 0 && address & mask == network
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_address_of_an_own_network_is_directly_reachable() {
        let hex = |a, b, c, d| format!("{:08X}", u32::from_ne_bytes([a, b, c, d]));
        let table = format!(
            "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n\
             eth0\t{zero}\t{gateway}\t0003\t0\t0\t0\t{zero}\n\
             eth0\t{network}\t{zero}\t0001\t0\t0\t0\t{mask}\n",
            zero = hex(0, 0, 0, 0),
            gateway = hex(172, 18, 0, 1),
            network = hex(172, 18, 0, 0),
            mask = hex(255, 255, 0, 0),
        );
        assert!(has_direct_route(&table, Ipv4Addr::new(172, 18, 3, 4)));
        assert!(!has_direct_route(&table, Ipv4Addr::new(172, 17, 0, 2)));
        assert!(!has_direct_route("", Ipv4Addr::LOCALHOST));
    }
}
