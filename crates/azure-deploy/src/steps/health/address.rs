//! Where a Service responds.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Service, ServicePort};
use serde_json::Value;

use crate::request::HealthPort;

/// The address of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// The IP address or host name.
    pub(crate) host: String,
    /// `http://…` or `https://…`, with the port if it is not the scheme's own, and the path that leads to the application;
    /// empty if it does not speak HTTP.
    pub(crate) url: String,
}

/// The first part of the names of ports, and of `appProtocol`, that are not for HTTP (conventional: `tcp-mqtt`, `kafka`).
const NOT_HTTP: &[&str] = &[
    "amqp",
    "amqps",
    "cassandra",
    "dns",
    "ftp",
    "grpc",
    "grpcs",
    "imap",
    "kafka",
    "ldap",
    "ldaps",
    "memcached",
    "mongo",
    "mongodb",
    "mqtt",
    "mqtts",
    "mssql",
    "mysql",
    "nats",
    "postgres",
    "postgresql",
    "redis",
    "rediss",
    "rtmp",
    "rtsp",
    "sctp",
    "sip",
    "smb",
    "smtp",
    "smtps",
    "ssh",
    "stun",
    "syslog",
    "tcp",
    "tls",
    "turn",
    "udp",
];
/// Ports of services that do not speak HTTP (iana.org/assignments/service-names-port-numbers), where a port has no name.
const NOT_HTTP_PORTS: &[i32] = &[
    21, 22, 25, 53, 110, 143, 389, 445, 465, 514, 587, 636, 993, 995, 1433, 1521, 1883, 3306, 3389,
    4222, 5432, 5671, 5672, 6379, 8883, 9042, 9092, 11211, 27017,
];

/// The port of a Service, and how it is queried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HttpPort {
    pub(super) scheme: &'static str,
    pub(super) port: i32,
}

/// The port of `service`, the value of a Service, at which the health is queried: the `wanted` one, else the one that most likely
/// speaks HTTP.
pub(super) fn port(service: &Value, wanted: Option<&HealthPort>) -> Option<HttpPort> {
    let ports = ports(service);
    let Some(wanted) = wanted else {
        return http_port(&ports);
    };
    let mut ports = ports.iter();
    let port = ports.find(|port| wanted.is(port.port, port.name.as_deref()))?;
    // A port alone shows whether it is one of HTTPS.
    let scheme = http_port(std::slice::from_ref(port)).map_or("http", |port| port.scheme);
    Some(HttpPort {
        scheme,
        port: port.port,
    })
}

// The port that most likely speaks HTTP: the first by `appProtocol` or name, or 80, or one of HTTPS, or just the first; `None`
// if each is known to speak something else. A certificate is rarely valid for an IP address, so HTTPS comes second.
fn http_port(ports: &[ServicePort]) -> Option<HttpPort> {
    let is = |port: &ServicePort, is_protocol: &dyn Fn(&str) -> bool| {
        match (&port.app_protocol, &port.name) {
            // `kubernetes.io/ws` (KEP 3726).
            (Some(protocol), _) => {
                let protocol = protocol.rsplit('/').next().unwrap_or_default();
                is_protocol(&protocol.to_ascii_lowercase())
            }
            // Conventional: `http-web`.
            (None, Some(name)) => name.split('-').next().is_some_and(is_protocol),
            (None, None) => false,
        }
    };
    let is_http = |protocol: &str| matches!(protocol, "http" | "ws" | "h2c" | "http2");
    let is_https = |protocol: &str| matches!(protocol, "https" | "wss");
    let is_other = |protocol: &str| NOT_HTTP.contains(&protocol);
    let is_unnamed = |port: &ServicePort| port.name.is_none() && port.app_protocol.is_none();
    let rank = |port: &ServicePort| match port {
        port if port.protocol.as_deref().is_some_and(|it| it != "TCP") => None,
        port if is(port, &is_http) => Some(0),
        port if is(port, &is_https) => Some(2),
        port if is(port, &is_other) => None,
        port if is_unnamed(port) && NOT_HTTP_PORTS.contains(&port.port) => None,
        port if port.app_protocol.is_some() => Some(4),
        port if port.port == 80 => Some(1),
        port if port.port == 443 => Some(2),
        _ => Some(3),
    };
    let ranked = ports
        .iter()
        .filter_map(|port| Some((rank(port)?, port.port)));
    let (rank, port) = ranked.min_by_key(|(rank, _)| *rank)?;
    let scheme = if rank == 2 { "https" } else { "http" };
    Some(HttpPort { scheme, port })
}

fn ports(service: &Value) -> Vec<ServicePort> {
    let ports = service["spec"]["ports"].clone();
    serde_json::from_value(ports).unwrap_or_default()
}

/// The IP addresses or host names of the load balancer of `service`, none while it has not got any. A balancer of two IP
/// families has one of each, of which a runner may reach only one.
pub(super) fn hosts(service: &Service) -> Vec<String> {
    let status = service.status.as_ref();
    let balancer = status.and_then(|status| status.load_balancer.as_ref());
    let ingresses = balancer.and_then(|balancer| balancer.ingress.as_deref());
    let hosts = ingresses.unwrap_or_default().iter();
    let hosts = hosts.filter_map(|at| at.ip.clone().or_else(|| at.hostname.clone()));
    hosts.collect()
}

/// The start of a URL: `http://[fd00::1]:8080`.
pub(super) fn origin(scheme: &str, host: &str, port: i32) -> String {
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    match (scheme, port) {
        ("http", 80) | ("https", 443) => format!("{scheme}://{host}"),
        (scheme, port) => format!("{scheme}://{host}:{port}"),
    }
}

/// Whether `host` is an IP address of a private network (RFC 1918, RFC 4193, RFC 6598), which a machine outside does not reach.
pub(super) fn is_private(host: &str) -> bool {
    match host.parse() {
        Ok(IpAddr::V4(ip)) => {
            let [first, second, ..] = ip.octets();
            ip.is_private() || (first == 100 && (64..128).contains(&second))
        }
        Ok(IpAddr::V6(ip)) => ip.is_unique_local(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_port_that_speaks_http_is_requested() {
        let table = [
            (
                json!([{"port": 9090, "name": "metrics"}, {"port": 80, "name": "http"}]),
                Some(("http", 80)),
            ),
            (
                json!([{"port": 9090, "name": "metrics"}, {"port": 8080, "name": "http-web"}]),
                Some(("http", 8080)),
            ),
            (
                json!([{"port": 443, "name": "https"}, {"port": 80, "name": "http"}]),
                Some(("http", 80)),
            ),
            (json!([{"port": 443}, {"port": 80}]), Some(("http", 80))),
            (
                json!([{"port": 1883, "appProtocol": "mqtt"}, {"port": 8000}]),
                Some(("http", 8000)),
            ),
            (
                json!([{"port": 80, "appProtocol": "mqtt"}, {"port": 443}]),
                Some(("https", 443)),
            ),
            (
                json!([{"port": 443, "protocol": "UDP", "name": "http"}, {"port": 8443, "name": "https"}]),
                Some(("https", 8443)),
            ),
            (
                json!([{"port": 9000}, {"port": 9001}]),
                Some(("http", 9000)),
            ),
            (
                json!([{"port": 9000, "appProtocol": "kubernetes.io/ws"}]),
                Some(("http", 9000)),
            ),
            (json!([{"port": 1883, "name": "web"}]), Some(("http", 1883))),
            (json!([{"port": 1883}]), None),
            (json!([{"port": 9000, "name": "mqtt"}]), None),
            (json!([{"port": 9000, "name": "tcp-broker"}]), None),
            (json!([{"port": 9000, "appProtocol": "REDIS"}]), None),
            (json!([{"port": 53, "protocol": "UDP"}]), None),
            (json!([]), None),
        ];
        for (ports, expected) in table {
            let found = port(&json!({"spec": {"ports": ports}}), None);
            let found = found.map(|found| (found.scheme, found.port));
            assert_eq!(found, expected, "{ports}");
        }
    }

    #[test]
    fn a_port_that_is_given_is_requested_whatever_it_speaks() {
        let service = json!({"spec": {"ports": [
            {"port": 80, "name": "http"}, {"port": 8443, "name": "https-admin"}, {"port": 6379, "name": "redis"}, {"port": 443},
        ]}});
        let named = |name: &str| HealthPort::Name(name.to_owned());
        for (wanted, expected) in [
            (named("http"), Some(("http", 80))),
            (named("https-admin"), Some(("https", 8443))),
            (HealthPort::Number(6379), Some(("http", 6379))),
            (HealthPort::Number(443), Some(("https", 443))),
            (HealthPort::Number(81), None),
            (named("metrics"), None),
        ] {
            let found = port(&service, Some(&wanted));
            let found = found.map(|found| (found.scheme, found.port));
            assert_eq!(found, expected, "{wanted}");
        }
    }

    #[test]
    fn a_balancer_has_names_or_addresses_of_both_families() {
        for (ingress, expected) in [
            (json!([{"ip": "10.77.1.10"}]), &["10.77.1.10"][..]),
            (json!([{"hostname": "x.example"}]), &["x.example"]),
            (
                json!([{"ip": "fd00::1"}, {"ip": "10.77.1.10"}]),
                &["fd00::1", "10.77.1.10"],
            ),
            (json!([]), &[]),
        ] {
            let live = json!({"status": {"loadBalancer": {"ingress": ingress}}});
            let service: Service = serde_json::from_value(live).unwrap();
            assert_eq!(hosts(&service), expected);
        }
    }

    #[test]
    fn a_url_has_a_port_if_it_is_not_the_schemes_own() {
        let table = [
            (("http", "x.example", 80), "http://x.example"),
            (("https", "x.example", 443), "https://x.example"),
            (("https", "x.example", 80), "https://x.example:80"),
            (("http", "fd00::1", 8080), "http://[fd00::1]:8080"),
        ];
        for ((scheme, host, port), expected) in table {
            assert_eq!(origin(scheme, host, port), expected);
        }
    }

    #[test]
    fn addresses_of_private_networks_are_known() {
        for host in [
            "10.0.0.1",
            "172.16.0.4",
            "192.168.1.1",
            "100.64.0.1",
            "fd00::1",
        ] {
            assert!(is_private(host), "{host}");
        }
        for host in [
            "20.1.2.3",
            "100.128.0.1",
            "127.0.0.1",
            "2001:db8::1",
            "x.example",
        ] {
            assert!(!is_private(host), "{host}");
        }
    }
}
