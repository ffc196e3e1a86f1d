//! Can we reach a container from where we are?

use std::net::{IpAddr, Ipv4Addr};

/// Whether `address` is on a network that this process has an interface in. Bridge networks of the
/// Docker are kept apart from each other, so a way through a gateway does not count.
pub(crate) fn is_near(address: IpAddr) -> bool {
    let IpAddr::V4(address) = address else {
        return true;
    };
    // Without the table there is nothing to judge by: the connection itself will show.
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
    fn only_a_network_of_our_own_is_near() {
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
