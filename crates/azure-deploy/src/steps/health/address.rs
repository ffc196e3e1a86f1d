//! Where a Service responds.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
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

/// First parts of the names of ports that are for people or programs, where the name says no protocol.
const APPLICATION: &[&str] = &[
    "api", "app", "backend", "frontend", "public", "server", "service", "site", "ui", "web", "www",
];
/// Parts of the names of ports that speak HTTP, and not to those who use the application: what watches and what administers it.
const MONITORING: &[&str] = &[
    "actuator",
    "admin",
    "debug",
    "health",
    "healthz",
    "jaeger",
    "live",
    "liveness",
    "management",
    "metric",
    "metrics",
    "mgmt",
    "monitoring",
    "otel",
    "otlp",
    "pprof",
    "probe",
    "probes",
    "prom",
    "prometheus",
    "readiness",
    "statsd",
    "telemetry",
    "tracing",
    "zipkin",
];
/// The port of HTTPS, where a port has no name that says otherwise.
const TLS_PORT: i32 = 443;

/// The port of a Service, and how it is queried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HttpPort {
    pub(super) scheme: &'static str,
    pub(super) port: i32,
}

/// How a port was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) port: HttpPort,
    /// Why this one of several, for the log; `None` where there was nothing to choose.
    pub(super) why: Option<String>,
    /// Whether another one is as good.
    pub(super) is_ambiguous: bool,
}

/// How likely the application responds by HTTP at a port, the likeliest first. A certificate is rarely valid for an IP address, so
/// HTTPS comes late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Its name, or `appProtocol`, is a protocol of HTTP.
    Http,
    /// Its name begins with one, as `http-web` does.
    HttpOfName,
    /// It is 80.
    Usual,
    /// Its name is that of an application.
    Application,
    /// It speaks HTTPS.
    Https,
    /// Nothing is known of it.
    Unknown,
    /// Its number, or `appProtocol`, is that of something else; its name is not.
    Unlikely,
    /// It is for monitoring or administration.
    Monitoring,
}

impl Rank {
    // Why a port of this rank comes before others.
    fn reason(self) -> &'static str {
        match self {
            Self::Http | Self::HttpOfName => "its name or `appProtocol` is HTTP",
            Self::Usual => "80 is the port of HTTP",
            Self::Application => "its name is that of an application",
            Self::Https => "it speaks HTTPS",
            Self::Unknown => "the others are for something else",
            Self::Unlikely | Self::Monitoring => "no other one is likelier",
        }
    }
}

/// The port of `service`, the value of a Service, at which the health is queried: the `wanted` one, else the one that most likely
/// speaks HTTP. `containers` has the ports of its pods: their numbers and names.
pub(super) fn choice(
    service: &Value,
    wanted: Option<&HealthPort>,
    containers: &[(i32, String)],
) -> Option<Choice> {
    let ports = ports(service);
    if let Some(wanted) = wanted {
        let mut ports = ports.iter();
        let port = ports.find(|port| wanted.is(port.port, port.name.as_deref()))?;
        return Some(Choice {
            port: HttpPort {
                scheme: scheme(port, containers),
                port: port.port,
            },
            why: None,
            is_ambiguous: false,
        });
    }
    let ranked = ports.iter();
    let mut ranked: Vec<_> = ranked
        .filter_map(|port| Some((rank(port, containers)?, port)))
        .collect();
    // It keeps the order of those with the same rank.
    ranked.sort_by_key(|(rank, _)| *rank);
    let (best, port) = *ranked.first()?;
    let is_as_good = |(rank, _): &&(Rank, &ServicePort)| *rank == best;
    let is_ambiguous = ranked.iter().filter(is_as_good).count() > 1;
    let why = (ports.len() > 1).then(|| {
        let all: Vec<_> = ports.iter().map(shown).collect();
        let reason = if is_ambiguous {
            "it is the first of those that may speak HTTP"
        } else {
            best.reason()
        };
        format!(
            "of its ports {}, {} is queried: {reason}",
            all.join(", "),
            shown(port)
        )
    });
    Some(Choice {
        port: HttpPort {
            scheme: scheme(port, containers),
            port: port.port,
        },
        why,
        is_ambiguous,
    })
}

// `http` (80).
fn shown(port: &ServicePort) -> String {
    match &port.name {
        Some(name) => format!("`{name}` ({})", port.port),
        None => port.port.to_string(),
    }
}

// What says which protocol a port speaks: `appProtocol`, else its name, or else that of the port of the container that it leads to.
fn label<'a>(port: &'a ServicePort, containers: &'a [(i32, String)]) -> Option<Label<'a>> {
    if let Some(protocol) = &port.app_protocol {
        // `kubernetes.io/ws` (KEP 3726).
        let protocol = protocol.rsplit('/').next().unwrap_or_default();
        return Some(Label::Protocol(protocol));
    }
    let target = match &port.target_port {
        Some(IntOrString::String(name)) => Some(name.as_str()),
        Some(IntOrString::Int(number)) => name_of(*number, containers),
        None => name_of(port.port, containers),
    };
    let own = port.name.as_deref();
    // A name that says nothing, such as `main`, is not the last word.
    let says = |name: &&str| parts(name).any(is_known);
    own.filter(says)
        .or_else(|| target.filter(says))
        .or(own)
        .or(target)
        .map(Label::Name)
}

fn name_of(number: i32, containers: &[(i32, String)]) -> Option<&str> {
    let mut containers = containers.iter();
    let found = containers.find(|(own, _)| *own == number)?;
    Some(&found.1)
}

fn parts(name: &str) -> impl Iterator<Item = &str> {
    name.split('-')
}

fn is_http(protocol: &str) -> bool {
    matches!(protocol, "http" | "ws" | "h2c" | "http2")
}

fn is_https(protocol: &str) -> bool {
    matches!(protocol, "https" | "wss")
}

fn is_known(part: &str) -> bool {
    let is_listed = [NOT_HTTP, APPLICATION, MONITORING]
        .iter()
        .any(|list| list.contains(&part));
    is_listed || is_http(part) || is_https(part)
}

enum Label<'a> {
    Protocol(&'a str),
    Name(&'a str),
}

// How likely the application responds at `port`; `None` if it is known to speak something else.
fn rank(port: &ServicePort, containers: &[(i32, String)]) -> Option<Rank> {
    if port.protocol.as_deref().is_some_and(|it| it != "TCP") {
        return None;
    }
    let is_watched = |name: &str| parts(name).any(|part| MONITORING.contains(&part));
    if port.name.as_deref().is_some_and(is_watched) {
        return Some(Rank::Monitoring);
    }
    let by_number = match port.port {
        80 => Rank::Usual,
        TLS_PORT | 8443 => Rank::Https,
        number if NOT_HTTP_PORTS.contains(&number) => Rank::Unlikely,
        _ => Rank::Unknown,
    };
    match label(port, containers) {
        Some(Label::Protocol(protocol)) => match &*protocol.to_ascii_lowercase() {
            protocol if is_http(protocol) => Some(Rank::Http),
            protocol if is_https(protocol) => Some(Rank::Https),
            protocol if NOT_HTTP.contains(&protocol) => None,
            _ => Some(Rank::Unlikely),
        },
        Some(Label::Name(name)) => {
            // Conventional: `http-web`.
            let first = parts(name).next().unwrap_or_default();
            if is_watched(name) {
                Some(Rank::Monitoring)
            } else if is_http(name) {
                Some(Rank::Http)
            } else if is_https(first) || parts(name).any(is_https) {
                Some(Rank::Https)
            } else if is_http(first) {
                Some(Rank::HttpOfName)
            } else if NOT_HTTP.contains(&first) {
                // The container's name for a port may order them, but rules none out.
                let is_own = port.name.as_deref() == Some(name);
                match by_number {
                    _ if is_own => None,
                    Rank::Unlikely => None,
                    Rank::Usual => Some(Rank::Usual),
                    _ => Some(Rank::Unlikely),
                }
            } else if APPLICATION.contains(&first)
                && !matches!(by_number, Rank::Usual | Rank::Https)
            {
                Some(Rank::Application)
            } else {
                Some(by_number)
            }
        }
        None => (by_number != Rank::Unlikely).then_some(by_number),
    }
}

// Whether `port` is one of TLS: by what names it, else by its number.
fn scheme(port: &ServicePort, containers: &[(i32, String)]) -> &'static str {
    let is_tls = match label(port, containers) {
        Some(Label::Protocol(protocol)) => is_https(&protocol.to_ascii_lowercase()),
        Some(Label::Name(name)) if parts(name).any(is_https) => true,
        Some(Label::Name(name)) if parts(name).any(is_http) => false,
        // At 8443 many a proxy speaks plain HTTP: its name says otherwise.
        _ => port.port == TLS_PORT,
    };
    if is_tls { "https" } else { "http" }
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
                json!([{"port": 9090, "name": "metrics"}, {"port": 8080, "name": "web"}]),
                Some(("http", 8080)),
            ),
            (
                json!([{"port": 9090, "name": "http-metrics"}, {"port": 8080, "name": "main"}]),
                Some(("http", 8080)),
            ),
            (
                json!([{"port": 9090, "name": "metrics", "appProtocol": "http"}, {"port": 8080, "name": "app"}]),
                Some(("http", 8080)),
            ),
            (
                json!([{"port": 5432, "name": "db"}, {"port": 9000, "name": "main"}]),
                Some(("http", 9000)),
            ),
            // What the container calls it rules nothing out, unless the number agrees.
            (
                json!([{"port": 80, "targetPort": "tcp"}]),
                Some(("http", 80)),
            ),
            (json!([{"port": 6379, "targetPort": "redis"}]), None),
            (
                json!([{"port": 8443, "name": "secure"}, {"port": 8080, "name": "app"}]),
                Some(("http", 8080)),
            ),
            (
                json!([{"port": 8443, "name": "web-https"}, {"port": 9000, "name": "main"}]),
                Some(("https", 8443)),
            ),
            (
                json!([{"port": 7000, "name": "a", "targetPort": "admin"}, {"port": 7001, "name": "b", "targetPort": "http"}]),
                Some(("http", 7001)),
            ),
            (
                json!([{"port": 443, "name": "a", "targetPort": "http"}, {"port": 7000, "name": "b"}]),
                Some(("http", 443)),
            ),
            // The only one is queried, whatever it is for.
            (
                json!([{"port": 9090, "name": "metrics"}]),
                Some(("http", 9090)),
            ),
            (json!([{"port": 443, "name": "app"}]), Some(("https", 443))),
            (json!([{"port": 8443}]), Some(("http", 8443))),
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
            let found = choice(&json!({"spec": {"ports": ports}}), None, &[]);
            let found = found.map(|found| (found.port.scheme, found.port.port));
            assert_eq!(found, expected, "{ports}");
        }
    }

    #[test]
    fn the_name_of_the_containers_port_counts_where_the_services_own_says_nothing() {
        let ports = json!([{"port": 1, "name": "one", "targetPort": 9090}, {"port": 2, "name": "two", "targetPort": 8080}, {"port": 3, "name": "three"}]);
        let service = json!({"spec": {"ports": ports}});
        let names = |names: &[(i32, &str)]| {
            let names = names.iter().map(|(port, name)| (*port, (*name).to_owned()));
            let names: Vec<_> = names.collect();
            choice(&service, None, &names).map(|choice| choice.port.port)
        };
        assert_eq!(names(&[]), Some(1));
        assert_eq!(names(&[(9090, "metrics"), (8080, "http")]), Some(2));
        assert_eq!(
            names(&[(9090, "metrics"), (8080, "grpc"), (3, "web")]),
            Some(3)
        );
    }

    #[test]
    fn which_port_was_chosen_is_explained() {
        let why = |ports: Value| {
            let choice = choice(&json!({"spec": {"ports": ports}}), None, &[]).unwrap();
            (choice.is_ambiguous, choice.why)
        };
        assert_eq!(
            why(json!([{"port": 9090, "name": "metrics"}, {"port": 8080, "name": "web"}])),
            (
                false,
                Some("of its ports `metrics` (9090), `web` (8080), `web` (8080) is queried: its name is that of an application".to_owned())
            )
        );
        assert_eq!(
            why(json!([{"port": 7000, "name": "one"}, {"port": 7001, "name": "two"}])),
            (
                true,
                Some("of its ports `one` (7000), `two` (7001), `one` (7000) is queried: it is the first of those that may speak HTTP".to_owned())
            )
        );
        assert_eq!(why(json!([{"port": 7000}])), (false, None));
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
            let found = choice(&service, Some(&wanted), &[]);
            let found = found.map(|found| (found.port.scheme, found.port.port));
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
