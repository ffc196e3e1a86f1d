//! Where a route of the Gateway API responds: what the route and its Gateway have in their status, and the host and the port
//! of the listener (gateway-api.sigs.k8s.io/reference/spec).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use serde::Deserialize;
use serde_json::Value;

use super::exposure::Services;
use super::progress::State;
use super::site::{PathKind, Rule, Site, covers, name_of, route};
use crate::kubernetes::DEFAULT_NAMESPACE;

/// The group of the Gateway API.
pub(super) const GROUP: &str = "gateway.networking.k8s.io";
/// The kind of a parent that is not named.
pub(super) const GATEWAY: &str = "Gateway";
/// Reasons of a condition that changes by itself: the controller has not finished.
const TRANSIENT: [&str; 5] = [
    "Pending",
    "AddressNotAssigned",
    "NoResources",
    "Unknown",
    "NotReconciled",
];

/// An `HTTPRoute`, as far as it is read.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct HttpRoute {
    pub(super) metadata: ObjectMeta,
    pub(super) spec: RouteSpec,
    status: RouteStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RouteSpec {
    pub(super) parent_refs: Vec<ParentRef>,
    hostnames: Vec<String>,
    rules: Vec<RouteRule>,
}

/// A parent of a route.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ParentRef {
    group: Option<String>,
    kind: Option<String>,
    namespace: Option<String>,
    pub(super) name: String,
    section_name: Option<String>,
    port: Option<i32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RouteRule {
    matches: Vec<RouteMatch>,
    backend_refs: Vec<BackendRef>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RouteMatch {
    path: Option<PathMatch>,
    method: Option<String>,
    headers: Vec<Value>,
    query_params: Vec<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PathMatch {
    #[serde(rename = "type")]
    kind: Option<String>,
    value: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct BackendRef {
    kind: Option<String>,
    name: String,
    namespace: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RouteStatus {
    parents: Vec<ParentStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ParentStatus {
    parent_ref: ParentRef,
    conditions: Vec<Condition>,
}

/// A `Gateway`, as far as it is read.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Gateway {
    metadata: ObjectMeta,
    spec: GatewaySpec,
    status: GatewayStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct GatewaySpec {
    listeners: Vec<Listener>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Listener {
    name: String,
    hostname: Option<String>,
    port: i32,
    protocol: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct GatewayStatus {
    addresses: Vec<GatewayAddress>,
    conditions: Vec<Condition>,
    listeners: Vec<ListenerStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct GatewayAddress {
    value: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ListenerStatus {
    name: String,
    conditions: Vec<Condition>,
}

impl ParentRef {
    /// Whether it is a Gateway: a route of a service mesh has a Service as its parent.
    pub(super) fn is_gateway(&self) -> bool {
        self.kind.as_deref().unwrap_or(GATEWAY) == GATEWAY
            && self.group.as_deref().unwrap_or(GROUP) == GROUP
    }

    /// The namespace of the Gateway, for a route in `own`.
    pub(super) fn namespace<'a>(&'a self, own: &'a str) -> &'a str {
        self.namespace.as_deref().unwrap_or(own)
    }

    // Whether both are the same parent, for a route in `own`: a controller may write the defaults out.
    fn is_same(&self, other: &Self, own: &str) -> bool {
        self.name == other.name
            && self.namespace(own) == other.namespace(own)
            && (&self.section_name, self.port) == (&other.section_name, other.port)
            && self.is_gateway() == other.is_gateway()
    }
}

/// How far `route` is at its `parent`, which is `gateway`, for `path` to one of `services`.
pub(super) fn state(
    http_route: &HttpRoute,
    parent: &ParentRef,
    gateway: &Gateway,
    services: &Services<'_>,
    path: &str,
) -> State<Site> {
    let own = http_route.metadata.namespace.as_deref();
    let own = own.unwrap_or(DEFAULT_NAMESPACE);
    let name = format!("Gateway/{}", parent.name);
    let route_name = http_route.metadata.name.as_deref().unwrap_or_default();
    let at = format!("HTTPRoute/{route_name} at {name}");
    let generation = gateway.metadata.generation;
    for kind in ["Accepted", "Programmed"] {
        let condition = find(&gateway.status.conditions, kind, generation);
        if let Some(state) = problem(&name, kind, condition, kind == "Programmed") {
            return state;
        }
    }
    let mut statuses = http_route.status.parents.iter();
    let status = statuses.find(|status| status.parent_ref.is_same(parent, own));
    let conditions = status.map_or(&[][..], |status| &status.conditions);
    let generation = http_route.metadata.generation;
    for kind in ["Accepted", "ResolvedRefs"] {
        let condition = find(conditions, kind, generation);
        if let Some(state) = problem(&at, kind, condition, false) {
            return state;
        }
    }
    let Some((listener, host)) = listener(http_route, parent, gateway) else {
        return State::Rejected(format!(
            "{at}: no listener for HTTP or HTTPS has a hostname of the route"
        ));
    };
    let mut statuses = gateway.status.listeners.iter();
    if let Some(status) = statuses.find(|status| status.name == listener.name) {
        let generation = gateway.metadata.generation;
        let label = format!("listener `{}` of {name}", listener.name);
        for kind in ["ResolvedRefs", "Programmed"] {
            let condition = find(&status.conditions, kind, generation);
            let problem = condition.and_then(|found| problem(&label, kind, Some(found), true));
            if let Some(state) = problem {
                return state;
            }
        }
    }
    let Some((base, path)) = http_route.path(services, own, path) else {
        return State::Rejected(format!(
            "{at}: no rule leads to the application by its path alone"
        ));
    };
    let addresses = gateway.status.addresses.iter().map(|at| at.value.clone());
    let addresses: Vec<_> = addresses.filter(|address| !address.is_empty()).collect();
    if addresses.is_empty() {
        return State::Waiting(format!("{name} has no address"));
    }
    State::Ready(Site {
        host,
        scheme: match listener.protocol.as_str() {
            "HTTPS" => "https",
            _ => "http",
        },
        port: listener.port,
        base,
        path,
        addresses,
    })
}

impl HttpRoute {
    // Matches by header or query parameter are not those of a health check.
    fn path(&self, services: &Services<'_>, own: &str, path: &str) -> Option<(String, String)> {
        let mut rules = Vec::new();
        for rule in &self.spec.rules {
            let is_own = rule.backend_refs.iter().any(|backend| {
                let namespace = backend.namespace.as_deref().unwrap_or(own);
                backend.kind.as_deref().unwrap_or("Service") == "Service"
                    && services.has(&backend.name, namespace)
            });
            let any = [RouteMatch::default()];
            let matches = match &rule.matches[..] {
                [] => &any[..],
                matches => matches,
            };
            for matched in matches {
                let is_get = matched
                    .method
                    .as_deref()
                    .is_none_or(|method| method == "GET");
                if !is_get || !matched.headers.is_empty() || !matched.query_params.is_empty() {
                    continue;
                }
                let path = matched.path.as_ref();
                let value = path.and_then(|path| path.value.as_deref()).unwrap_or("/");
                let kind = path.and_then(|path| path.kind.as_deref());
                let kind = match kind.unwrap_or("PathPrefix") {
                    "Exact" => PathKind::Exact,
                    "PathPrefix" => PathKind::Prefix,
                    _ => {
                        rules.push(Rule::of_pattern(value, is_own));
                        continue;
                    }
                };
                let path = value.to_owned();
                rules.push(Rule { path, kind, is_own });
            }
        }
        route(&rules, path)
    }
}

// The listener of `gateway` that `parent` means, HTTPS before HTTP, and the host name there.
fn listener(
    http_route: &HttpRoute,
    parent: &ParentRef,
    gateway: &Gateway,
) -> Option<(Listener, Option<String>)> {
    let is_meant = |listener: &&Listener| {
        let name = parent.section_name.as_ref();
        name.is_none_or(|name| *name == listener.name)
            && parent.port.is_none_or(|port| port == listener.port)
            && matches!(listener.protocol.as_str(), "HTTP" | "HTTPS")
    };
    let meant = gateway.spec.listeners.iter().filter(is_meant);
    let hosted = meant.filter_map(|listener| {
        let own = listener.hostname.as_deref().unwrap_or_default();
        let host = host(&http_route.spec.hostnames, own)?;
        Some((listener.clone(), name_of(host)))
    });
    hosted.min_by_key(|(listener, _)| listener.protocol != "HTTPS")
}

// The host name that a route with `hostnames` has at a listener with the hostname `own`, the more specific of both; `None`
// if they have nothing in common.
fn host<'a>(hostnames: &'a [String], own: &'a str) -> Option<&'a str> {
    if hostnames.is_empty() {
        return Some(own);
    }
    let mut hostnames = hostnames.iter().map(String::as_str);
    hostnames.find_map(|hostname| {
        if own.is_empty() || covers(own, hostname) {
            Some(hostname)
        } else {
            covers(hostname, own).then_some(own)
        }
    })
}

// The condition `kind`, if it is about this `generation`.
fn find<'a>(
    conditions: &'a [Condition],
    kind: &str,
    generation: Option<i64>,
) -> Option<&'a Condition> {
    let condition = conditions
        .iter()
        .find(|condition| condition.type_ == kind)?;
    let observed = condition.observed_generation;
    // Optional: a controller may leave it out.
    (observed.is_none() || observed >= generation).then_some(condition)
}

// Why `subject` is not ready by its condition `kind`; `None` if it is.
fn problem(
    subject: &str,
    kind: &str,
    condition: Option<&Condition>,
    may_change: bool,
) -> Option<State<Site>> {
    let Some(condition) = condition else {
        return Some(State::Waiting(format!(
            "{subject}: no `{kind}` condition yet"
        )));
    };
    if condition.status == "True" {
        return None;
    }
    let (reason, message) = (&condition.reason, condition.message.trim());
    let message = match message {
        "" => format!("{subject}: `{kind}` is {} ({reason})", condition.status),
        message => format!(
            "{subject}: `{kind}` is {} ({reason}): {message}",
            condition.status
        ),
    };
    let is_transient = condition.status != "False" || TRANSIENT.contains(&reason.as_str());
    Some(if is_transient || (may_change && reason != "Invalid") {
        State::Waiting(message)
    } else {
        State::Rejected(message)
    })
}

#[cfg(test)]
mod tests;
