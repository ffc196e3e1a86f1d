//! What exposes the application, as it is in the cluster: where it responds, and where its health is queried.

use actions_toolkit::Log;
use http_client::Certificates;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::Ingress;
use serde_json::{Value, json};

use super::address::{self, Address, Choice, is_private, origin};
use super::endpoint::Endpoint;
use super::exposure::{Exposure, Services};
use super::gateway::{self, GATEWAY, GROUP, HttpRoute};
use super::ingress;
use super::progress::{State, wait};
use super::site::Site;
use crate::kubernetes::{Cluster, Object};
use crate::request::Request;

/// Where the application responds.
#[derive(Debug, Default)]
pub(super) struct Target {
    /// Of each IP family, or of each name.
    pub(super) addresses: Vec<Address>,
    /// Where its health is queried; none if it does not speak HTTP, or no health check is requested.
    pub(super) endpoints: Vec<Endpoint>,
    /// The same inside the cluster, if no address is reached from this machine.
    pub(super) inside: Option<Endpoint>,
}

impl Target {
    /// Wait until `exposure` has an address, and find the endpoints there.
    ///
    /// # Errors
    /// As [`wait`].
    pub(super) async fn find(
        log: &Log,
        request: &Request,
        cluster: &Cluster,
        exposure: Exposure<'_>,
        services: &Services<'_>,
    ) -> anyhow::Result<Self> {
        match exposure {
            Exposure::Balancer(service)
            | Exposure::Internal(service)
            | Exposure::NotHttp(service) => {
                let is_internal = matches!(exposure, Exposure::Internal(_));
                of_service(log, request, cluster, (service, services), is_internal).await
            }
            Exposure::Ingress(object) => {
                let state = async |live| ingress_state(live, object, services, request);
                of_site(log, request, cluster, object, services, state).await
            }
            Exposure::Route(object) => {
                let state =
                    async |live| route_state(live, cluster, object, services, request).await;
                of_site(log, request, cluster, object, services, state).await
            }
        }
    }
}

async fn of_service(
    log: &Log,
    request: &Request,
    cluster: &Cluster,
    (service, services): (&Object, &Services<'_>),
    is_internal: bool,
) -> anyhow::Result<Target> {
    let timeout = request.timeouts.address;
    let hosts = wait(cluster, service, timeout, log, async || {
        let live = cluster.get(service).await?;
        let live: Option<Service> = live.map(|live| service.read(live)).transpose()?;
        let hosts = live.as_ref().map(address::hosts).unwrap_or_default();
        Ok(match hosts[..] {
            [] => State::Waiting(String::new()),
            _ => State::Ready(hosts),
        })
    });
    let hosts = hosts.await?;
    let choice = services.choice(service);
    if let Some(choice) = choice.as_ref().filter(|_| request.health_path.is_some()) {
        log_choice(log, service, choice);
    }
    let port = choice.map(|choice| choice.port);
    let addresses = hosts.into_iter().map(|host| {
        let url = port.map(|port| origin(port.scheme, &host, port.port));
        let url = url.unwrap_or_default();
        Address { host, url }
    });
    let addresses: Vec<_> = addresses.collect();
    let (mut endpoints, mut inside) = (Vec::new(), None);
    if let (Some(port), Some(path)) = (port, &request.health_path) {
        let in_cluster = Endpoint::in_cluster(service, port, path);
        // Not every cloud has an annotation for it: a class or a pool of addresses may be private.
        if is_internal {
            endpoints.push(in_cluster);
        } else if addresses.iter().all(|address| is_private(&address.host)) {
            inside = Some(in_cluster);
        }
        for address in &addresses {
            let url = format!("{}{path}", address.url);
            endpoints.push(Endpoint::at_url(url, request.health_certificates)?);
        }
    }
    Ok(Target {
        addresses,
        endpoints,
        inside,
    })
}

fn log_choice(log: &Log, service: &Object, choice: &Choice) {
    let Some(why) = &choice.why else { return };
    let label = service.label();
    if choice.is_ambiguous {
        log.warning(format!(
            "{label}: {why}; set `health-port` to choose one, or name the one that speaks HTTP `http`"
        ));
    } else {
        log.info(format!("{label}: {why}"));
    }
}

async fn of_site(
    log: &Log,
    request: &Request,
    cluster: &Cluster,
    object: &Object,
    services: &Services<'_>,
    state_of: impl AsyncFn(Value) -> anyhow::Result<State<Site>>,
) -> anyhow::Result<Target> {
    let state = async || match cluster.get(object).await? {
        Some(live) => state_of(live).await,
        None => Ok(State::Rejected(format!("{} was deleted", object.label()))),
    };
    let site = if request.health_path.is_some() {
        wait(cluster, object, request.timeouts.address, log, state).await?
    } else if let Ok(State::Ready(site)) = state().await {
        site
    } else {
        // The address is for the outputs alone.
        return Ok(Target::default());
    };
    let addresses = site.addresses.iter().map(|address| site.at(address));
    let addresses = addresses.collect();
    let Some(path) = &request.health_path else {
        return Ok(Target {
            addresses,
            ..Target::default()
        });
    };
    let certificates: Certificates = request.health_certificates;
    let endpoints = Endpoint::at_site(&site, certificates)?;
    let is_private = site.addresses.iter().all(|address| is_private(address));
    let service = services.first().filter(|_| is_private);
    let inside = service.and_then(|service| {
        let port = services.port(service)?;
        Some(Endpoint::in_cluster(service, port, path))
    });
    Ok(Target {
        addresses,
        endpoints,
        inside,
    })
}

fn ingress_state(
    live: Value,
    object: &Object,
    services: &Services<'_>,
    request: &Request,
) -> anyhow::Result<State<Site>> {
    let live: Ingress = object.read(live)?;
    let path = request.health_path.as_deref().unwrap_or("/");
    let label = object.label();
    let Some(site) = ingress::site(&live, services, path) else {
        let problem = format!("{label}: no rule leads to the application");
        return Ok(State::Rejected(problem));
    };
    if !site.addresses.is_empty() {
        return Ok(State::Ready(site));
    }
    let class = live.spec.as_ref();
    let class = class.and_then(|spec| spec.ingress_class_name.as_deref());
    let class = class.map_or(String::new(), |class| format!(" for its class `{class}`"));
    Ok(State::Waiting(format!(
        "no ingress controller has published one; check that one runs{class}, or set `health-url`"
    )))
}

async fn route_state(
    live: Value,
    cluster: &Cluster,
    object: &Object,
    services: &Services<'_>,
    request: &Request,
) -> anyhow::Result<State<Site>> {
    let live: HttpRoute = object.read(live)?;
    let path = request.health_path.as_deref().unwrap_or("/");
    let own = object.namespace_or_default();
    let label = object.label();
    let mut states = Vec::new();
    let parents = live.spec.parent_refs.iter();
    for parent in parents.filter(|parent| parent.is_gateway()) {
        let namespace = parent.namespace(own);
        let Some(gateway) = gateway_of(cluster, &parent.name, namespace).await? else {
            let problem = format!("{label}: there is no Gateway `{namespace}/{}`", parent.name);
            states.push(State::Rejected(problem));
            continue;
        };
        match gateway::state(&live, parent, &gateway, services, path) {
            ready @ State::Ready(_) => return Ok(ready),
            state => states.push(state),
        }
    }
    // One that may still be ready is the more useful one.
    states.sort_by_key(|state| matches!(state, State::Rejected(_)));
    let none = || State::Rejected(format!("{label} has no Gateway among its `parentRefs`"));
    Ok(states.into_iter().next().unwrap_or_else(none))
}

async fn gateway_of(
    cluster: &Cluster,
    name: &str,
    namespace: &str,
) -> anyhow::Result<Option<gateway::Gateway>> {
    let Some((kind, _)) = cluster.kind(GROUP, GATEWAY).await? else {
        return Ok(None);
    };
    let gateway = Object {
        file: String::new(),
        document: None,
        value: json!({
            "apiVersion": kind.api_version, "kind": GATEWAY,
            "metadata": {"name": name, "namespace": namespace},
        }),
        default_namespace: None,
    };
    let live = cluster.get(&gateway).await?;
    live.map(|live| gateway.read(live)).transpose()
}
