use serde_json::json;

use super::*;

fn condition(kind: &str, status: &str, reason: &str, generation: i64) -> Value {
    json!({
        "type": kind, "status": status, "reason": reason, "message": "text", "observedGeneration": generation,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    })
}

fn fine(kinds: [&str; 2]) -> Value {
    kinds.map(|kind| condition(kind, "True", kind, 2)).into()
}

fn http_route() -> Value {
    json!({
        "metadata": {"name": "app", "namespace": "web", "generation": 2},
        "spec": {
            "parentRefs": [{"name": "edge"}],
            "hostnames": ["shop.example"],
            "rules": [{"backendRefs": [{"name": "app", "port": 80}]}],
        },
        "status": {"parents": [{
            "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge", "namespace": "web"},
            "conditions": fine(["Accepted", "ResolvedRefs"]),
        }]},
    })
}

fn gateway() -> Value {
    json!({
        "metadata": {"name": "edge", "namespace": "web", "generation": 2},
        "spec": {"listeners": [
            {"name": "http", "port": 80, "protocol": "HTTP"},
            {"name": "https", "port": 8443, "protocol": "HTTPS", "hostname": "*.example"},
            {"name": "pass", "port": 9443, "protocol": "TLS"},
        ]},
        "status": {
            "conditions": fine(["Accepted", "Programmed"]),
            "addresses": [{"type": "IPAddress", "value": "10.0.0.1"}],
            "listeners": [{"name": "https", "conditions": fine(["ResolvedRefs", "Programmed"])}],
        },
    })
}

fn judge(http_route: &Value, gateway: &Value) -> State<Site> {
    let http_route: HttpRoute = serde_json::from_value(http_route.clone()).unwrap();
    let gateway: Gateway = serde_json::from_value(gateway.clone()).unwrap();
    let parent = http_route.spec.parent_refs[0].clone();
    state(
        &http_route,
        &parent,
        &gateway,
        &Services::default(),
        "/health",
    )
}

fn url(http_route: &Value, gateway: &Value) -> String {
    match judge(http_route, gateway) {
        State::Ready(site) => site.url("10.0.0.1"),
        state => panic!("{state:?}"),
    }
}

// `value` with `new` at `pointer`.
fn with(mut value: Value, pointer: &str, new: Value) -> Value {
    *value.pointer_mut(pointer).unwrap() = new;
    value
}

#[test]
fn host_and_port_are_those_of_the_listener() {
    assert_eq!(
        url(&http_route(), &gateway()),
        "https://shop.example:8443/health"
    );
    let at = |parent: Value| with(http_route(), "/spec/parentRefs/0", parent.clone());
    let at = |parent: Value| with(at(parent.clone()), "/status/parents/0/parentRef", parent);
    let plain = json!({"name": "edge", "sectionName": "http"});
    assert_eq!(url(&at(plain), &gateway()), "http://shop.example/health");
    let hostnames = |names: Value| with(http_route(), "/spec/hostnames", names);
    for (names, expected) in [
        (json!([]), "https://seaworthy.example:8443/health"),
        (
            json!(["*.shop.example"]),
            "https://seaworthy.shop.example:8443/health",
        ),
        (
            json!(["x.other", "y.example"]),
            "https://y.example:8443/health",
        ),
        (json!(["x.other"]), "http://x.other/health"),
    ] {
        assert_eq!(
            url(&hostnames(names.clone()), &gateway()),
            expected,
            "{names}"
        );
    }
    let matches = json!([{"backendRefs": [{"name": "app"}], "matches": [
        {"headers": [{"name": "x", "value": "y"}]}, {"path": {"type": "PathPrefix", "value": "/shop"}},
    ]}]);
    let below = with(http_route(), "/spec/rules", matches);
    assert_eq!(
        url(&below, &gateway()),
        "https://shop.example:8443/shop/health"
    );
}

#[test]
fn what_is_missing_is_waited_for_and_what_is_rejected_is_named() {
    let route_condition = |at: usize, condition: Value| {
        let pointer = format!("/status/parents/0/conditions/{at}");
        (with(http_route(), &pointer, condition), gateway())
    };
    let gateway_with = |pointer: &str, new: Value| (http_route(), with(gateway(), pointer, new));
    let waiting = |text: &str| State::Waiting(text.to_owned());
    let rejected = |text: &str| State::Rejected(text.to_owned());
    let table = [
        (
            route_condition(
                0,
                condition("Accepted", "False", "NotAllowedByListeners", 2),
            ),
            rejected(
                "HTTPRoute/app at Gateway/edge: `Accepted` is False (NotAllowedByListeners): text",
            ),
        ),
        (
            route_condition(1, condition("ResolvedRefs", "False", "BackendNotFound", 2)),
            rejected(
                "HTTPRoute/app at Gateway/edge: `ResolvedRefs` is False (BackendNotFound): text",
            ),
        ),
        (
            // Of the version before.
            route_condition(
                0,
                condition("Accepted", "False", "NotAllowedByListeners", 1),
            ),
            waiting("HTTPRoute/app at Gateway/edge: no `Accepted` condition yet"),
        ),
        (
            (with(http_route(), "/status/parents", json!([])), gateway()),
            waiting("HTTPRoute/app at Gateway/edge: no `Accepted` condition yet"),
        ),
        (
            gateway_with(
                "/status/conditions/1",
                condition("Programmed", "False", "AddressNotAssigned", 2),
            ),
            waiting("Gateway/edge: `Programmed` is False (AddressNotAssigned): text"),
        ),
        (
            gateway_with(
                "/status/conditions/1",
                condition("Programmed", "False", "Invalid", 2),
            ),
            rejected("Gateway/edge: `Programmed` is False (Invalid): text"),
        ),
        (
            gateway_with(
                "/status/conditions/0",
                condition("Accepted", "Unknown", "Pending", 2),
            ),
            waiting("Gateway/edge: `Accepted` is Unknown (Pending): text"),
        ),
        (
            gateway_with(
                "/status/listeners/0/conditions/0",
                condition("ResolvedRefs", "False", "InvalidCertificateRef", 2),
            ),
            waiting(
                "listener `https` of Gateway/edge: `ResolvedRefs` is False (InvalidCertificateRef): text",
            ),
        ),
        (
            gateway_with("/status/addresses", json!([])),
            waiting("Gateway/edge has no address"),
        ),
        (
            gateway_with("/spec/listeners", json!([])),
            rejected(
                "HTTPRoute/app at Gateway/edge: no listener for HTTP or HTTPS has a hostname of the route",
            ),
        ),
        (
            (with(http_route(), "/spec/rules", json!([])), gateway()),
            rejected(
                "HTTPRoute/app at Gateway/edge: no rule leads to the application by its path alone",
            ),
        ),
    ];
    for ((http_route, gateway), expected) in table {
        assert_eq!(judge(&http_route, &gateway), expected);
    }
}

#[test]
fn a_parent_may_be_something_else_than_a_gateway() {
    let parent = |value: Value| serde_json::from_value::<ParentRef>(value).unwrap();
    assert!(parent(json!({"name": "x"})).is_gateway());
    assert!(!parent(json!({"name": "x", "kind": "Service", "group": ""})).is_gateway());
}
