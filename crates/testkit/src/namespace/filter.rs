//! The packet filter of a namespace: it records the address and port of every connection and datagram that does not stay on the
//! loopback interface's own addresses.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::run;

/// A connection is recorded by its first packet, so that responses are not.
const RULES: &str = "
table inet record {
    set seen4 { type ipv4_addr . inet_service; flags dynamic; }
    set seen6 { type ipv6_addr . inet_service; flags dynamic; }
    chain out {
        type filter hook output priority 0;
        ip daddr != 127.0.0.0/8 tcp flags & (syn | ack) == syn update @seen4 { ip daddr . tcp dport }
        ip daddr != 127.0.0.0/8 meta l4proto udp update @seen4 { ip daddr . udp dport }
        ip6 daddr != ::1 tcp flags & (syn | ack) == syn update @seen6 { ip6 daddr . tcp dport }
        ip6 daddr != ::1 meta l4proto udp update @seen6 { ip6 daddr . udp dport }
    }
}
";
const SETS: [&str; 2] = ["seen4", "seen6"];

pub(super) fn install() {
    let mut nft = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("nft starts");
    let mut input = nft.stdin.take().expect("a pipe");
    input.write_all(RULES.as_bytes()).expect("nft reads");
    drop(input);
    assert!(nft.wait().expect("nft ends").success(), "nft failed");
}

/// Address and port of all that was recorded.
pub(super) fn seen() -> Vec<(String, u16)> {
    let of_set = |set: &str| {
        let text = run("nft", &["--json", "list", "set", "inet", "record", set]);
        let list: serde_json::Value = serde_json::from_slice(&text).expect("JSON of nft");
        let sets = list["nftables"].as_array().cloned().unwrap_or_default();
        let elements: Vec<_> = sets
            .iter()
            .filter_map(|entry| entry["set"]["elem"].as_array())
            .flatten()
            .map(|element| {
                let pair = &element["concat"];
                let port = pair[1].as_u64().and_then(|port| u16::try_from(port).ok());
                let address = pair[0].as_str().expect("an address").to_owned();
                (address, port.expect("a port"))
            })
            .collect();
        elements
    };
    SETS.iter().flat_map(|set| of_set(set)).collect()
}

pub(super) fn forget() {
    for set in SETS {
        run("nft", &["flush", "set", "inet", "record", set]);
    }
}
