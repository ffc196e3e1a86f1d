//! Where a Service responds.

use k8s_openapi::api::core::v1::{Service, ServicePort};

/// The address of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// The IP address or host name.
    pub(crate) host: String,
    /// `http://…` or `https://…`, with the port if it is not the scheme's own.
    pub(crate) url: String,
}

// The port that most likely speaks HTTP: the first by `appProtocol` or name, or 80, or one of HTTPS, or just the first. A
// certificate is rarely valid for an IP address, so HTTPS comes second.
fn http_port(ports: &[ServicePort]) -> (&'static str, i32) {
    let is = |port: &ServicePort, scheme: &str| match (&port.app_protocol, &port.name) {
        (Some(protocol), _) => protocol.eq_ignore_ascii_case(scheme),
        // Conventional: `http-web`.
        (None, Some(name)) => name.split('-').next() == Some(scheme),
        (None, None) => false,
    };
    let rank = |port: &ServicePort| match port {
        port if port.protocol.as_deref().is_some_and(|it| it != "TCP") => 5,
        port if is(port, "http") => 0,
        port if is(port, "https") => 2,
        port if port.app_protocol.is_some() => 4,
        port if port.port == 80 => 1,
        port if port.port == 443 => 2,
        _ => 3,
    };
    let port = ports.iter().min_by_key(|port| rank(port));
    port.map_or(("http", 80), |port| {
        let is_https = rank(port) == 2;
        (if is_https { "https" } else { "http" }, port.port)
    })
}

/// The addresses of the load balancer of `service`, none while it has not got any. A balancer of two IP families has one
/// of each, of which a runner may reach only one.
pub(super) fn addresses(service: &Service) -> Vec<Address> {
    let status = service.status.as_ref();
    let balancer = status.and_then(|status| status.load_balancer.as_ref());
    let ingresses = balancer.and_then(|balancer| balancer.ingress.as_deref());
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref());
    let (scheme, port) = http_port(ports.unwrap_or_default());
    let hosts = ingresses.unwrap_or_default().iter();
    let hosts = hosts.filter_map(|at| at.ip.clone().or_else(|| at.hostname.clone()));
    hosts.map(|host| address(host, scheme, port)).collect()
}

fn address(host: String, scheme: &str, port: i32) -> Address {
    let bracketed = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.clone()
    };
    let url = match (scheme, port) {
        ("http", 80) | ("https", 443) => format!("{scheme}://{bracketed}"),
        (scheme, port) => format!("{scheme}://{bracketed}:{port}"),
    };
    Address { host, url }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_port_that_speaks_http_is_requested() {
        let table = [
            (
                json!([{"port": 9090, "name": "metrics"}, {"port": 80, "name": "http"}]),
                ("http", 80),
            ),
            (
                json!([{"port": 9090, "name": "metrics"}, {"port": 8080, "name": "http-web"}]),
                ("http", 8080),
            ),
            (
                json!([{"port": 443, "name": "https"}, {"port": 80, "name": "http"}]),
                ("http", 80),
            ),
            (json!([{"port": 443}, {"port": 80}]), ("http", 80)),
            (
                json!([{"port": 1883, "appProtocol": "mqtt"}, {"port": 8000}]),
                ("http", 8000),
            ),
            (
                json!([{"port": 80, "appProtocol": "mqtt"}, {"port": 443}]),
                ("https", 443),
            ),
            (
                json!([{"port": 443, "protocol": "UDP", "name": "http"}, {"port": 8443, "name": "https"}]),
                ("https", 8443),
            ),
            (json!([{"port": 9000}, {"port": 9001}]), ("http", 9000)),
            (json!([]), ("http", 80)),
        ];
        for (ports, expected) in table {
            let read: Vec<ServicePort> = serde_json::from_value(ports.clone()).unwrap();
            assert_eq!(http_port(&read), expected, "{ports}");
        }
    }

    #[test]
    fn addresses_are_names_or_of_both_families_and_have_a_port() {
        let service = |ingress: Value, port: u64| {
            let live = json!({"spec": {"ports": [{"port": port}]}, "status": {"loadBalancer": {"ingress": ingress}}});
            serde_json::from_value::<Service>(live).unwrap()
        };
        for (ingress, port, expected) in [
            (
                json!([{"ip": "10.77.1.10"}]),
                80,
                &["http://10.77.1.10"][..],
            ),
            (
                json!([{"hostname": "x.example"}]),
                8080,
                &["http://x.example:8080"],
            ),
            (
                json!([{"ip": "fd00::1"}, {"ip": "10.77.1.10"}]),
                80,
                &["http://[fd00::1]", "http://10.77.1.10"],
            ),
            (json!([]), 80, &[]),
        ] {
            let urls: Vec<_> = addresses(&service(ingress, port))
                .into_iter()
                .map(|at| at.url)
                .collect();
            assert_eq!(urls, expected);
        }
    }
}
