//! Where an Ingress responds: the host of its rule, the scheme, and the addresses that its controller publishes.

use k8s_openapi::api::networking::v1::{Ingress, IngressBackend, IngressPortStatus, IngressSpec};

use super::exposure::Services;
use super::site::{PathKind, Rule, Site, covers, name_of, route};
use crate::kubernetes::DEFAULT_NAMESPACE;

/// Annotations by which a controller serves TLS without `spec.tls` (Application Gateway Ingress Controller).
const TLS_ANNOTATIONS: [&str; 2] = [
    "appgw.ingress.kubernetes.io/appgw-ssl-certificate",
    "appgw.ingress.kubernetes.io/appgw-ssl-profile",
];

/// Where `ingress`, in the cluster, leads `path` to one of `services`; `None` if it does not. Without addresses, its controller
/// has published none.
pub(super) fn site(ingress: &Ingress, services: &Services<'_>, path: &str) -> Option<Site> {
    let spec = ingress.spec.as_ref()?;
    let namespace = ingress.metadata.namespace.as_deref();
    let namespace = namespace.unwrap_or(DEFAULT_NAMESPACE);
    let is_own = |backend: &IngressBackend| {
        let service = backend.service.as_ref();
        service.is_some_and(|service| services.has(&service.name, namespace))
    };
    let by_rule = spec.rules.iter().flatten().find_map(|rule| {
        let paths = rule.http.as_ref().map(|http| http.paths.as_slice());
        let rules = paths.unwrap_or_default().iter().map(|path| {
            let text = path.path.as_deref().unwrap_or_default();
            let is_own = is_own(&path.backend);
            let kind = match path.path_type.as_str() {
                "Exact" => PathKind::Exact,
                "Prefix" => PathKind::Prefix,
                _ => return Rule::of_pattern(text, is_own),
            };
            let path = text.to_owned();
            Rule { path, kind, is_own }
        });
        let found = route(&rules.collect::<Vec<_>>(), path)?;
        Some((rule.host.clone().unwrap_or_default(), found))
    });
    let by_default = || {
        let backend = spec.default_backend.as_ref()?;
        is_own(backend).then(|| (String::new(), (String::new(), path.to_owned())))
    };
    let (host, (base, path)) = by_rule.or_else(by_default)?;
    let scheme = if has_tls(ingress, spec, &host) {
        "https"
    } else {
        "http"
    };
    let status = ingress.status.as_ref();
    let balancer = status.and_then(|status| status.load_balancer.as_ref());
    let published = balancer.and_then(|balancer| balancer.ingress.as_deref());
    let published = published.unwrap_or_default();
    let addresses = published.iter();
    let addresses = addresses.filter_map(|at| at.ip.clone().or_else(|| at.hostname.clone()));
    let ports = published.iter().flat_map(|at| at.ports.iter().flatten());
    Some(Site {
        host: name_of(&host),
        scheme,
        port: port(scheme, ports),
        base,
        path,
        addresses: addresses.collect(),
    })
}

fn has_tls(ingress: &Ingress, spec: &IngressSpec, host: &str) -> bool {
    let annotations = ingress.metadata.annotations.iter().flatten();
    let mut annotations = annotations.map(|(name, _)| name.as_str());
    spec.tls.iter().flatten().any(|tls| {
        let mut hosts = tls.hosts.iter().flatten().peekable();
        hosts.peek().is_none() || hosts.any(|covered| covers(covered, host))
    }) || annotations.any(|name| TLS_ANNOTATIONS.contains(&name))
}

// The scheme's own port, unless the controller publishes others.
fn port<'a>(scheme: &str, published: impl Iterator<Item = &'a IngressPortStatus>) -> i32 {
    let own = if scheme == "https" { 443 } else { 80 };
    let usable = published.filter(|port| port.protocol == "TCP" && port.error.is_none());
    let usable: Vec<_> = usable.map(|port| port.port).collect();
    match usable.first() {
        Some(first) if !usable.contains(&own) => *first,
        _ => own,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::address::Address;
    use super::*;

    fn found(annotations: &Value, spec: &Value, status: &Value) -> Option<Site> {
        let live = json!({"metadata": {"annotations": annotations}, "spec": spec, "status": {"loadBalancer": {"ingress": status}}});
        let ingress: Ingress = serde_json::from_value(live).unwrap();
        site(&ingress, &Services::default(), "/health")
    }

    fn rules(host: &str) -> Value {
        let backend = json!({"service": {"name": "app", "port": {"number": 80}}});
        json!([{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}])
    }

    #[test]
    fn the_url_has_the_host_and_the_scheme_of_the_rule() {
        let table = [
            (
                json!({"rules": rules("shop.example")}),
                "http://shop.example/health",
            ),
            (
                json!({"rules": rules("shop.example"), "tls": [{"hosts": ["shop.example"]}]}),
                "https://shop.example/health",
            ),
            (
                json!({"rules": rules("shop.example"), "tls": [{"hosts": ["other.example"]}]}),
                "http://shop.example/health",
            ),
            (
                json!({"rules": rules("*.shop.example"), "tls": [{"hosts": ["*.shop.example"]}]}),
                "https://seaworthy.shop.example/health",
            ),
            (
                json!({"rules": rules("shop.example"), "tls": [{"secretName": "x"}]}),
                "https://shop.example/health",
            ),
            (json!({"rules": rules("")}), "http://10.0.0.1/health"),
            (
                json!({"defaultBackend": {"service": {"name": "app"}}}),
                "http://10.0.0.1/health",
            ),
        ];
        for (spec, expected) in table {
            let site = found(&json!({}), &spec, &json!([{"ip": "10.0.0.1"}])).unwrap();
            assert_eq!(site.url("10.0.0.1"), expected, "{spec}");
            let url = expected.trim_end_matches("/health").to_owned();
            let host = "10.0.0.1".to_owned();
            assert_eq!(site.at("10.0.0.1"), Address { host, url });
        }
        let gateway = json!({"appgw.ingress.kubernetes.io/appgw-ssl-certificate": "x"});
        let site = found(&gateway, &json!({"rules": rules("x.example")}), &json!([])).unwrap();
        assert_eq!((site.scheme, site.addresses.len()), ("https", 0));
        assert_eq!(found(&json!({}), &json!({"rules": []}), &json!([])), None);
    }

    #[test]
    fn a_controller_may_publish_names_and_other_ports() {
        let table = [
            (
                json!([{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]),
                &["10.0.0.1", "fd00::1"][..],
                80,
            ),
            (
                json!([{"hostname": "lb.example", "ports": [{"port": 443, "protocol": "TCP"}, {"port": 80, "protocol": "TCP"}]}]),
                &["lb.example"],
                80,
            ),
            (
                json!([{"ip": "10.0.0.1", "ports": [{"port": 9, "protocol": "UDP"}, {"port": 8080, "protocol": "TCP"}]}]),
                &["10.0.0.1"],
                8080,
            ),
        ];
        for (status, addresses, port) in table {
            let site = found(&json!({}), &json!({"rules": rules("x.example")}), &status).unwrap();
            assert_eq!(
                (&site.addresses[..], site.port),
                (
                    &addresses
                        .iter()
                        .map(ToString::to_string)
                        .collect::<Vec<_>>()[..],
                    port
                )
            );
        }
    }
}
