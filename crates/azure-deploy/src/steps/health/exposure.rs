//! What exposes the application: a Service, an Ingress or a route of the Gateway API, as the manifests have it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::address::{self, Choice, HttpPort};
use crate::kubernetes::{Object, containers};
use crate::manifests::ImageNames;
use crate::request::HealthPort;

/// The group of the Gateway API.
const GATEWAY_API: &str = "gateway.networking.k8s.io/";
/// The annotations of a Service whose load balancer has an address in the cloud's virtual network only
/// (cloud-provider-azure.sigs.k8s.io/topics/loadbalancer, and those of EKS and GKE).
const INTERNAL: [(&str, &str); 4] = [
    (
        "service.beta.kubernetes.io/azure-load-balancer-internal",
        "true",
    ),
    (
        "service.beta.kubernetes.io/aws-load-balancer-internal",
        "true",
    ),
    (
        "service.beta.kubernetes.io/aws-load-balancer-scheme",
        "internal",
    ),
    ("networking.gke.io/load-balancer-type", "internal"),
];

/// What exposes the application.
#[derive(Debug, Clone, Copy)]
pub(super) enum Exposure<'a> {
    /// A Service with a load balancer.
    Balancer(&'a Object),
    /// The same with an address that only machines in its network reach.
    Internal(&'a Object),
    /// A Service with a load balancer that does not speak HTTP.
    NotHttp(&'a Object),
    /// An Ingress.
    Ingress(&'a Object),
    /// An `HTTPRoute`.
    Route(&'a Object),
}

/// Check that the health is queried at a Service with the port `wanted`.
///
/// # Errors
/// With the reason why it is not.
pub(crate) fn check_port(
    objects: &[Object],
    own: &ImageNames,
    wanted: &HealthPort,
) -> Result<(), String> {
    let services = Services::find(objects, own, Some(wanted));
    match Exposure::find(objects, &services) {
        Some(Exposure::Balancer(_) | Exposure::Internal(_)) => Ok(()),
        Some(Exposure::NotHttp(service)) => Err(format!(
            "`{}` does not have the port {wanted}",
            service.label()
        )),
        Some(Exposure::Ingress(object) | Exposure::Route(object)) => Err(format!(
            "the application is reached by `{}`, which has its port; leave it out, or set `health-url`",
            object.label()
        )),
        None => Err("the application has no Service of type LoadBalancer; leave it out, or set `health-url`".into()),
    }
}

/// The Services of the manifests that lead to the application.
#[derive(Debug, Default)]
pub(super) struct Services<'a> {
    all: Vec<&'a Object>,
    /// What runs the application.
    workloads: Vec<&'a Object>,
    /// The port at which the health is queried, if it is given.
    port: Option<&'a HealthPort>,
}

impl<'a> Services<'a> {
    /// Those among `objects` that select pods with a container of `own`; all of them if none does: the pods may be those of
    /// an operator. The health is queried at `port`, if it is given.
    pub(super) fn find(
        objects: &'a [Object],
        own: &ImageNames,
        port: Option<&'a HealthPort>,
    ) -> Self {
        let services = objects.iter().filter(|object| object.is_of("", "Service"));
        let services: Vec<_> = services.collect();
        let runs = |object: &&Object| {
            let containers = containers(&object.value);
            let mut images = containers.iter().filter_map(|c| c["image"].as_str());
            images.any(|image| own.is_of(image))
        };
        let workloads: Vec<_> = objects.iter().filter(runs).collect();
        let leads =
            |service: &&&Object| workloads.iter().any(|workload| selects(service, workload));
        let leading: Vec<_> = services.iter().filter(leads).copied().collect();
        let all = if leading.is_empty() {
            services
        } else {
            leading
        };
        Self {
            all,
            workloads,
            port,
        }
    }

    /// The port of `service` at which the health is queried; `None` if none may speak HTTP.
    pub(super) fn port(&self, service: &Object) -> Option<HttpPort> {
        Some(self.choice(service)?.port)
    }

    /// The same, with how it was chosen.
    pub(super) fn choice(&self, service: &Object) -> Option<Choice> {
        let selected = self.workloads.iter().filter(|o| selects(service, o));
        let containers = selected.flat_map(|workload| containers(&workload.value));
        let ports = containers.filter_map(|container| container["ports"].as_array());
        let named = ports.flatten().filter_map(|port| {
            let number = i32::try_from(port["containerPort"].as_i64()?).ok()?;
            Some((number, port["name"].as_str()?.to_owned()))
        });
        let named: Vec<(i32, String)> = named.collect();
        address::choice(&service.value, self.port, &named)
    }

    /// Why there is no request to those that no load balancer has, and that nothing else can lead to; the end of a sentence.
    pub(super) fn unreachable(&self) -> String {
        let reasons = self.all.iter().filter_map(|service| {
            let label = service.label();
            if service.text("/spec/type") == "ExternalName" {
                let name = service.text("/spec/externalName");
                Some(format!("{label} is a name for `{name}` (`ExternalName`), which this deployment does not change"))
            } else if service.text("/spec/clusterIP") == "None" {
                Some(format!("{label} is headless (`clusterIP: None`), so it has no address"))
            } else if lacks_selector(service) {
                Some(format!("{label} has no selector, so it leads to no pod of the manifests"))
            } else {
                None
            }
        });
        let reasons: Vec<_> = reasons.collect();
        if reasons.is_empty() {
            return String::new();
        }
        format!(" ({})", reasons.join("; "))
    }

    /// Whether the Service `name` in `namespace` is one of them. What the manifests do not have may be.
    pub(super) fn has(&self, name: &str, namespace: &str) -> bool {
        self.all.is_empty() || self.get(name, namespace).is_some()
    }

    /// The first one.
    pub(super) fn first(&self) -> Option<&'a Object> {
        self.all.first().copied()
    }

    fn get(&self, name: &str, namespace: &str) -> Option<&'a Object> {
        let mut services = self.all.iter().copied();
        services
            .find(|service| service.name() == name && service.namespace_or_default() == namespace)
    }
}

impl<'a> Exposure<'a> {
    /// What exposes the `services` of the application among `objects`. A load balancer that is reached from anywhere comes
    /// first, and one that does not speak HTTP after everything that does. The load balancer of another application counts
    /// only where nothing else is found.
    pub(super) fn find(objects: &'a [Object], services: &Services<'a>) -> Option<Self> {
        let balancers = objects.iter().filter(|object| {
            object.is_of("", "Service") && object.text("/spec/type") == "LoadBalancer"
        });
        let is_own =
            |service: &&Object| services.has(service.name(), service.namespace_or_default());
        let (own, others): (Vec<_>, Vec<_>) = balancers.partition(is_own);
        let public = |balancers: &[&'a Object]| {
            let mut balancers = balancers
                .iter()
                .filter(|service| services.port(service).is_some());
            balancers.find(|service| !is_internal(service)).copied()
        };
        let internal = |balancers: &[&'a Object]| {
            let mut balancers = balancers.iter();
            balancers
                .find(|service| services.port(service).is_some())
                .copied()
        };
        let route = || {
            let mut routes = objects.iter().filter(|object| is_route(object));
            routes.find(|route| leads(route, "backendRefs", services))
        };
        let ingress = || {
            let mut ingresses = objects.iter().filter(|object| is_ingress(object));
            ingresses.find(|ingress| leads(ingress, "service", services))
        };
        public(&own)
            .map(Self::Balancer)
            .or_else(|| route().map(Self::Route))
            .or_else(|| ingress().map(Self::Ingress))
            .or_else(|| internal(&own).map(Self::Internal))
            .or_else(|| own.first().copied().map(Self::NotHttp))
            .or_else(|| public(&others).map(Self::Balancer))
            .or_else(|| internal(&others).map(Self::Internal))
            .or_else(|| others.first().copied().map(Self::NotHttp))
    }

    /// The object.
    pub(super) fn object(self) -> &'a Object {
        match self {
            Self::Balancer(object)
            | Self::Internal(object)
            | Self::NotHttp(object)
            | Self::Ingress(object)
            | Self::Route(object) => object,
        }
    }

    /// The workloads of the application that `objects` expose, and that nothing queried leads to, each with what exposes it. The
    /// health of one is known by its rollout only.
    pub(super) fn unqueried(self, objects: &[Object], services: &Services<'_>) -> Vec<String> {
        let queried = self.workloads(objects);
        let is_queried = |workload: &Object| queried.iter().any(|other| other.is_same(workload));
        let is_own = |workload: &Object| {
            let mut own = services.workloads.iter();
            own.any(|other| other.is_same(workload))
        };
        let others = objects.iter().filter(|o| !o.is_same(self.object()));
        let mut unqueried: Vec<String> = Vec::new();
        for other in others.filter_map(Exposure::of) {
            let label = other.object().label();
            let workloads = other.workloads(objects).into_iter();
            let workloads = workloads.filter(|o| is_own(o) && !is_queried(o));
            unqueried.extend(workloads.map(|o| format!("{} by {label}", o.label())));
        }
        unqueried.sort();
        unqueried.dedup();
        unqueried
    }

    /// Whether pods that the manifests do not name respond there: the Service has no selector.
    pub(super) fn lacks_selector(self) -> bool {
        let object = self.object();
        object.kind() == "Service" && lacks_selector(object)
    }

    // What `object` is, if it exposes something.
    fn of(object: &'a Object) -> Option<Self> {
        if object.is_of("", "Service") && object.text("/spec/type") == "LoadBalancer" {
            return Some(Self::Balancer(object));
        }
        if is_ingress(object) {
            return Some(Self::Ingress(object));
        }
        is_route(object).then_some(Self::Route(object))
    }

    /// The workloads among `objects` that it leads to, and nothing else does: at the address of something else they may be public.
    pub(super) fn only_workloads(self, objects: &[Object]) -> Vec<Object> {
        let others = objects.iter().filter(|o| !o.is_same(self.object()));
        let others = others.filter_map(Exposure::of);
        let others: Vec<_> = others.flat_map(|other| other.workloads(objects)).collect();
        let mut workloads = self.workloads(objects);
        workloads.retain(|workload| !others.iter().any(|other| other.is_same(workload)));
        workloads
    }

    /// The workloads among `objects` that it leads to.
    pub(super) fn workloads(self, objects: &[Object]) -> Vec<Object> {
        let leads_to = |service: &&Object| {
            let only = || Services {
                all: vec![*service],
                ..Services::default()
            };
            match self {
                Self::Balancer(own) | Self::Internal(own) | Self::NotHttp(own) => {
                    own.is_same(service)
                }
                Self::Ingress(object) => leads(object, "service", &only()),
                Self::Route(object) => leads(object, "backendRefs", &only()),
            }
        };
        let services = objects.iter().filter(|object| object.is_of("", "Service"));
        let services: Vec<_> = services.filter(leads_to).collect();
        let is_selected =
            |object: &&Object| services.iter().any(|service| selects(service, object));
        objects.iter().filter(is_selected).cloned().collect()
    }
}

/// Those of the workloads `own` that a URL of the application leads to: what `objects` expose, or else the only one with a Service,
/// or the only one at all. Which of several it is, is unknown, and so is whether a private URL is the only one of what they expose.
pub(super) fn behind_url(objects: &[Object], own: &[&Object], is_public: bool) -> Vec<Object> {
    let exposed = objects.iter().filter_map(Exposure::of);
    let exposed: Vec<_> = exposed.flat_map(|e| e.workloads(objects)).collect();
    let services = objects.iter().filter(|object| object.is_of("", "Service"));
    let services: Vec<_> = services.collect();
    let is_exposed = |workload: &&&Object| exposed.iter().any(|other| other.is_same(workload));
    let is_selected =
        |workload: &&&Object| services.iter().any(|service| selects(service, workload));
    if own.iter().any(|workload| is_exposed(&workload)) {
        let exposed = own.iter().filter(is_exposed).filter(|_| is_public);
        return exposed.copied().cloned().collect();
    }
    let selected: Vec<_> = own.iter().filter(is_selected).copied().collect();
    let candidates = if selected.is_empty() {
        own.to_vec()
    } else {
        selected
    };
    match candidates[..] {
        [one] => vec![one.clone()],
        _ => Vec::new(),
    }
}

fn is_internal(service: &Object) -> bool {
    let annotations = &service.value["metadata"]["annotations"];
    INTERNAL.iter().any(|(name, value)| {
        let actual = annotations[*name].as_str();
        actual.is_some_and(|actual| actual.eq_ignore_ascii_case(value))
    })
}

fn is_ingress(object: &Object) -> bool {
    object.is_of("networking.k8s.io", "Ingress")
}

fn is_route(object: &Object) -> bool {
    object.kind() == "HTTPRoute" && object.api_version().starts_with(GATEWAY_API)
}

// Whether the endpoints of `service` are not the pods that it selects.
fn lacks_selector(service: &Object) -> bool {
    let selector = service.value["spec"]["selector"].as_object();
    selector.is_none_or(serde_json::Map::is_empty)
}

// Whether `service` selects the pods of `workload`.
fn selects(service: &Object, workload: &Object) -> bool {
    let selector = service.value["spec"]["selector"].as_object();
    let labels = match workload.kind() {
        "Pod" => &workload.value["metadata"]["labels"],
        _ => &workload.value["spec"]["template"]["metadata"]["labels"],
    };
    service.namespace_or_default() == workload.namespace_or_default()
        && selector.is_some_and(|s| !s.is_empty() && s.iter().all(|(k, v)| labels[k] == *v))
}

// Whether a backend in the field `backends` of `object`, at any depth, is one of `services`.
fn leads(object: &Object, backends: &str, services: &Services<'_>) -> bool {
    let mut names = BTreeSet::new();
    collect(&object.value["spec"], backends, &mut names);
    let own = object.namespace_or_default();
    names.iter().any(|(name, namespace)| {
        let namespace = namespace.as_deref().unwrap_or(own);
        services.has(name, namespace)
    })
}

fn collect(value: &Value, backends: &str, names: &mut BTreeSet<(String, Option<String>)>) {
    match value {
        Value::Object(fields) => {
            for (field, inner) in fields {
                let found = match inner {
                    Value::Array(items) => items.iter().collect(),
                    other => vec![other],
                };
                for backend in found {
                    if field == backends
                        && let Some(text) = backend["name"].as_str()
                    {
                        let namespace = backend["namespace"].as_str().map(ToOwned::to_owned);
                        names.insert((text.to_owned(), namespace));
                    }
                }
                collect(inner, backends, names);
            }
        }
        Value::Array(items) => {
            for item in items {
                collect(item, backends, names);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(kind: &str, name: &str, spec: &Value) -> Object {
        let version = match kind {
            "HTTPRoute" => "gateway.networking.k8s.io/v1",
            "Ingress" => "networking.k8s.io/v1",
            "Deployment" => "apps/v1",
            _ => "v1",
        };
        let value =
            json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec});
        Object::of_test(value, None)
    }

    fn workload(name: &str, image: &str) -> Object {
        let template = json!({"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"image": image}]}});
        object("Deployment", name, &json!({"template": template}))
    }

    fn service(name: &str, app: &str, kind: &str, ports: &Value) -> Object {
        let spec = json!({"type": kind, "selector": {"app": app}, "ports": ports});
        object("Service", name, &spec)
    }

    fn ingress(name: &str, service: &str) -> Object {
        let backend = json!({"service": {"name": service, "port": {"number": 80}}});
        let rules =
            json!([{"host": "x.example", "http": {"paths": [{"path": "/", "backend": backend}]}}]);
        object("Ingress", name, &json!({"rules": rules}))
    }

    fn route(name: &str, service: &str) -> Object {
        let rules = json!([{"backendRefs": [{"name": service, "port": 80}]}]);
        object("HTTPRoute", name, &json!({"rules": rules}))
    }

    fn internal(mut service: Object) -> Object {
        service.value["metadata"]["annotations"] =
            json!({"service.beta.kubernetes.io/azure-load-balancer-internal": "true"});
        service
    }

    #[test]
    fn a_port_must_be_one_of_the_service_that_is_queried() {
        let service = |name: &str, kind: &str, port: u16| {
            let spec = json!({"type": kind, "selector": {"app": "app"}, "ports": [{"port": port}]});
            object("Service", name, &spec)
        };
        let template = json!({"metadata": {"labels": {"app": "app"}}, "spec": {"containers": [{"image": "app"}]}});
        let workload = object("Deployment", "app", &json!({"template": template}));
        let objects = [
            workload,
            service("web", "LoadBalancer", 80),
            service("metrics", "ClusterIP", 9090),
        ];
        let checked = |port: u16| {
            check_port(
                &objects,
                &ImageNames::of_test("app"),
                &HealthPort::Number(port),
            )
        };
        assert_eq!(checked(80), Ok(()));
        assert_eq!(
            checked(9090).unwrap_err(),
            "`Service/web` does not have the port 9090"
        );
    }

    #[test]
    fn what_is_exposed_and_not_queried_is_named() {
        let http = || json!([{"port": 80}]);
        let objects = [
            workload("app", "app:1"),
            workload("worker", "app:1"),
            workload("grafana", "grafana/grafana:1"),
            service("app", "app", "LoadBalancer", &http()),
            service("worker", "worker", "LoadBalancer", &http()),
            service("grafana", "grafana", "LoadBalancer", &http()),
            service("inner", "app", "ClusterIP", &http()),
            ingress("web", "inner"),
        ];
        let services = Services::find(&objects, &ImageNames::of_test("app"), None);
        let exposure = Exposure::find(&objects, &services).unwrap();
        assert_eq!(exposure.object().label(), "Service/app");
        assert_eq!(
            exposure.unqueried(&objects, &services),
            ["Deployment/worker by Service/worker"]
        );
    }

    #[test]
    fn the_ports_of_the_containers_tell_what_a_service_leads_to() {
        let mut app = workload("app", "app:1");
        let ports = json!([{"containerPort": 7001, "name": "metrics"}, {"containerPort": 7002, "name": "http"}]);
        app.value["spec"]["template"]["spec"]["containers"][0]["ports"] = ports;
        let ports = json!([{"port": 1, "name": "a", "targetPort": 7001}, {"port": 2, "name": "b", "targetPort": 7002}]);
        let objects = [app, service("app", "app", "LoadBalancer", &ports)];
        let services = Services::find(&objects, &ImageNames::of_test("app"), None);
        let port = services.port(&objects[1]).map(|port| port.port);
        assert_eq!(port, Some(2));
    }

    #[test]
    fn a_service_without_pods_of_the_manifests_is_named() {
        let service = |name: &str, spec: Value| object("Service", name, &spec);
        let selector = json!({"app": "app"});
        let objects = [
            service("set", json!({"clusterIP": "None", "selector": selector})),
            service(
                "db",
                json!({"type": "ExternalName", "externalName": "db.example"}),
            ),
            service("manual", json!({})),
            service("app", json!({"selector": selector})),
        ];
        let services = Services::find(&objects, &ImageNames::of_test("app"), None);
        assert_eq!(
            services.unreachable(),
            " (Service/set is headless (`clusterIP: None`), so it has no address; Service/db is a name for `db.example` (`ExternalName`), which this deployment does not change; Service/manual has no selector, so it leads to no pod of the manifests)"
        );
        assert!(Exposure::Balancer(&objects[2]).lacks_selector());
        assert!(!Exposure::Balancer(&objects[3]).lacks_selector());
    }

    fn found(objects: &[Object]) -> String {
        let own = ImageNames::of_test("app");
        let services = Services::find(objects, &own, None);
        let found = Exposure::find(objects, &services);
        found.map_or(String::new(), |found| {
            let variant = format!("{found:?}");
            let variant = variant.split('(').next().unwrap_or_default();
            format!("{variant} {}", found.object().label())
        })
    }

    #[test]
    fn a_load_balancer_comes_before_a_route_and_a_route_before_an_ingress() {
        let http = || json!([{"port": 80}]);
        let app = workload("app", "app:1");
        let cluster = service("app", "app", "ClusterIP", &http());
        let balancer = service("public", "app", "LoadBalancer", &http());
        let mqtt = service(
            "mqtt",
            "app",
            "LoadBalancer",
            &json!([{"name": "mqtt", "port": 1883}]),
        );
        let mut objects = vec![app, cluster.clone(), mqtt];
        assert_eq!(found(&objects), "NotHttp Service/mqtt");
        objects.push(internal(service("inside", "app", "LoadBalancer", &http())));
        assert_eq!(found(&objects), "Internal Service/inside");
        objects.push(ingress("web", "app"));
        assert_eq!(found(&objects), "Ingress Ingress/web");
        objects.push(route("web", "app"));
        assert_eq!(found(&objects), "Route HTTPRoute/web");
        objects.push(balancer);
        assert_eq!(found(&objects), "Balancer Service/public");
        assert_eq!(found(&[cluster]), "");
    }

    #[test]
    fn the_workloads_behind_it_are_those_of_its_services() {
        let http = || json!([{"port": 80}]);
        let objects = [
            workload("app", "app:1"),
            workload("worker", "app:1"),
            service("app", "app", "LoadBalancer", &http()),
            service("worker", "worker", "ClusterIP", &http()),
            ingress("web", "worker"),
            route("web", "app"),
        ];
        let [.., balancer, worker, ingress, route] = &objects;
        for (exposure, expected) in [
            (Exposure::Balancer(balancer), "app"),
            (Exposure::Internal(worker), "worker"),
            (Exposure::Ingress(ingress), "worker"),
            (Exposure::Route(route), "app"),
        ] {
            let workloads = exposure.workloads(&objects);
            let names: Vec<_> = workloads.iter().map(Object::name).collect();
            assert_eq!(names, [expected], "{exposure:?}");
        }
    }

    #[test]
    fn a_workload_that_something_else_exposes_too_may_be_public() {
        let http = || json!([{"port": 80}]);
        let mut objects = vec![
            workload("app", "app:1"),
            service("app", "app", "LoadBalancer", &http()),
        ];
        let only = |objects: &[Object]| Exposure::Balancer(&objects[1]).only_workloads(objects);
        assert_eq!(only(&objects).len(), 1);
        objects.push(ingress("web", "app"));
        assert!(only(&objects).is_empty());
    }

    #[test]
    fn a_url_is_of_what_the_manifests_expose_or_of_the_only_workload() {
        let http = || json!([{"port": 80}]);
        let names = |objects: &[Object]| {
            let own: Vec<_> = objects
                .iter()
                .filter(|o| o.kind() == "Deployment")
                .collect();
            let workloads = behind_url(objects, &own, true);
            let names = workloads.iter().map(|o| o.name().to_owned());
            names.collect::<Vec<_>>()
        };
        let mut objects = vec![workload("app", "app:1")];
        assert_eq!(names(&objects), ["app"]);
        objects.push(workload("worker", "app:1"));
        assert_eq!(names(&objects), Vec::<String>::new());
        objects.push(service("app", "app", "ClusterIP", &http()));
        assert_eq!(names(&objects), ["app"]);
        objects.push(service("worker", "worker", "ClusterIP", &http()));
        assert_eq!(names(&objects), Vec::<String>::new());
        objects.push(ingress("web", "app"));
        assert_eq!(names(&objects), ["app"]);
        let own: Vec<_> = objects
            .iter()
            .filter(|o| o.kind() == "Deployment")
            .collect();
        assert!(behind_url(&objects, &own, false).is_empty());
    }

    #[test]
    fn what_leads_to_another_application_exposes_the_other_one() {
        let http = || json!([{"port": 80}]);
        let objects = [
            workload("grafana", "grafana/grafana:1"),
            service("grafana", "grafana", "ClusterIP", &http()),
            ingress("grafana", "grafana"),
            route("grafana", "grafana"),
            workload("app", "app:1"),
            service("app", "app", "ClusterIP", &http()),
            ingress("app", "app"),
        ];
        assert_eq!(found(&objects), "Ingress Ingress/app");
        assert_eq!(found(&objects[..6]), "");
        // Nothing is known of a Service that the manifests do not have.
        assert_eq!(found(&[ingress("app", "elsewhere")]), "Ingress Ingress/app");
        let balancers = [
            service("grafana", "grafana", "LoadBalancer", &http()),
            service("app", "app", "LoadBalancer", &http()),
            workload("app", "app:1"),
        ];
        assert_eq!(found(&balancers), "Balancer Service/app");
        let with_ingress = [
            balancers.to_vec(),
            vec![
                service("web", "app", "ClusterIP", &http()),
                ingress("web", "web"),
            ],
        ];
        let mut own_ingress = with_ingress.concat();
        own_ingress.retain(|object| object.label() != "Service/app");
        assert_eq!(found(&own_ingress), "Ingress Ingress/web");
        // As it always was: the only one counts.
        assert_eq!(
            found(&[balancers[0].clone(), balancers[2].clone()]),
            "Balancer Service/grafana"
        );
    }
}
