//! Whether this process can reach a container, and through which network.

use std::net::{IpAddr, Ipv4Addr};

use docker::{Container, ContainerSpec, netns};

use crate::job::Job;

/// Start the container of `spec`, and return it with an address at which it is reachable.
///
/// The container joins the default bridge network, which is reachable from the host and from its containers there. If
/// this process runs in a container of another network (a job with services), the container shares that network. With
/// `services`, the network of the services of the step, it joins that one first, and others until it is reachable.
pub(super) async fn start(
    job: &Job<'_>,
    spec: ContainerSpec,
    services: Option<String>,
) -> anyhow::Result<(Container, IpAddr)> {
    let docker = job.docker;
    let of = |network: &str| ContainerSpec {
        network: Some(network.to_owned()),
        ..spec.clone()
    };
    if let Some(network) = services {
        let container = docker.start(&of(&network)).await?;
        let address = join(job, &container).await;
        return Ok((container, address));
    }
    let container = docker.start(&of("bridge")).await?;
    // A container that exited at once has no address; the reason is determined later.
    let Ok(address) = container.ip().await else {
        return Ok((container, Ipv4Addr::LOCALHOST.into()));
    };
    match netns::self_container_id() {
        Some(id) if !is_directly_reachable(address) => {
            container.remove().await;
            let container = docker.start(&of(&format!("container:{id}"))).await?;
            Ok((container, Ipv4Addr::LOCALHOST.into()))
        }
        _ => Ok((container, address)),
    }
}

// Join networks of this process until one of the container's addresses is reachable.
async fn join(job: &Job<'_>, container: &Container) -> IpAddr {
    let mut networks = vec!["bridge".to_owned()];
    if let Some(id) = netns::self_container_id() {
        networks.extend(job.docker.networks_of(&id).await.unwrap_or_default());
    }
    let mut networks = networks.iter();
    loop {
        let addresses = container.addresses().await.unwrap_or_default();
        let reachable = addresses
            .iter()
            .find(|address| is_directly_reachable(**address));
        if let Some(address) = reachable {
            return *address;
        }
        let Some(network) = networks.next() else {
            let first = addresses.first().copied();
            return first.unwrap_or_else(|| Ipv4Addr::LOCALHOST.into());
        };
        // One that can't be joined is of no use; the connection shows it.
        let _ = job
            .docker
            .connect_network(network, &container.id, None)
            .await;
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
