//! Kinds of objects, with manifests and changes to choose from at random.

use serde_json::{Value, json};

#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Deployment,
    Service,
    ConfigMap,
    Ingress,
    Claim,
}

impl Kind {
    pub(super) const ALL: [Self; 5] = [
        Self::Deployment,
        Self::Service,
        Self::ConfigMap,
        Self::Ingress,
        Self::Claim,
    ];

    pub(super) fn resource(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::Service => "service",
            Self::ConfigMap => "configmap",
            Self::Ingress => "ingress",
            Self::Claim => "persistentvolumeclaim",
        }
    }

    // Each bit of `features` is something that a manifest may have or not.
    pub(super) fn manifest(self, name: &str, features: u16) -> Value {
        let has = |bit: u16| features & (1 << bit) != 0;
        let mut metadata = json!({"name": name});
        match features >> 14 {
            1 => metadata["labels"] = json!({"of": "us", "other": "us"}),
            2 => metadata["annotations"] = json!({}),
            3 => metadata["annotations"] = json!({"of": "us"}),
            _ => {}
        }
        let mut object = match self {
            Self::Deployment => deployment(has),
            Self::Service => service(has),
            Self::ConfigMap => {
                let keys = (0..5).filter(|bit| has(*bit));
                let data = keys.map(|bit| (format!("k{bit}"), json!(has(bit + 5).to_string())));
                json!({"apiVersion": "v1", "kind": "ConfigMap", "data": Value::Object(data.collect())})
            }
            Self::Ingress => {
                let backend = json!({"service": {"name": "x", "port": {"number": 80}}});
                let path =
                    |path: &str| json!({"path": path, "pathType": "Prefix", "backend": backend});
                let mut spec =
                    json!({"rules": [{"host": "a.example", "http": {"paths": [path("/")]}}]});
                if has(0) {
                    spec["rules"] = json!([{"http": {"paths": [path("/a"), path("/b")]}}]);
                }
                if has(1) {
                    spec["defaultBackend"] = backend.clone();
                }
                if has(2) {
                    spec["tls"] = json!([{"hosts": ["a.example"], "secretName": "tls"}]);
                }
                json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "spec": spec})
            }
            Self::Claim => {
                json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": {
                    "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
                }})
            }
        };
        object["metadata"] = metadata;
        object
    }

    // The arguments of kubectl that change `name`.
    pub(super) fn change(self, change: usize, name: &str) -> Vec<String> {
        let resource = self.resource();
        let arguments = match (self, change) {
            (_, 0) => format!("label {resource} {name} other=x --overwrite"),
            (_, 1) => format!("annotate {resource} {name} other=x of=x --overwrite"),
            (Self::Deployment, 2) => format!("scale deployment {name} --replicas=5"),
            (Self::Deployment, _) => {
                format!("set env deployment {name} --containers=app A=other C=other")
            }
            (Self::Service, _) => format!(
                "patch service {name} --type=merge --patch={{\"spec\":{{\"sessionAffinity\":\"ClientIP\"}}}}"
            ),
            (Self::ConfigMap, _) => format!(
                "patch configmap {name} --type=merge --patch={{\"data\":{{\"k1\":\"other\",\"k9\":\"other\"}}}}"
            ),
            (Self::Ingress | Self::Claim, _) => {
                format!("label {resource} {name} more=x --overwrite")
            }
        };
        arguments.split(' ').map(ToOwned::to_owned).collect()
    }
}

fn deployment(has: impl Fn(u16) -> bool) -> Value {
    let mut app = json!({"name": "app", "image": if has(0) { "x:1" } else { "x:2" }});
    let env: Vec<_> = ["A", "B", "C"]
        .iter()
        .zip([1, 2, 3])
        .filter(|(_, bit)| has(*bit))
        .map(|(name, _)| json!({"name": name, "value": if has(4) { "v" } else { "w" }}))
        .collect();
    if !env.is_empty() {
        app["env"] = env.into();
    }
    if has(5) {
        app["ports"] = json!([{"containerPort": 80}, {"containerPort": 81, "protocol": "UDP"}]);
    }
    if has(6) {
        app["readinessProbe"] = json!({"httpGet": {"path": "/", "port": 80}});
    }
    let mut pod = json!({"containers": [app]});
    if has(7) {
        let side = json!({"name": "a-side", "image": "side"});
        pod["containers"].as_array_mut().unwrap().insert(0, side);
    }
    if has(8) {
        pod["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
    }
    if has(9) {
        pod["terminationGracePeriodSeconds"] = json!(7);
    }
    // Paused: no pod is made.
    let mut spec = json!({
        "paused": true, "selector": {"matchLabels": {"app": "x"}},
        "template": {"metadata": {"labels": {"app": "x"}}, "spec": pod},
    });
    if has(10) {
        spec["replicas"] = json!(if has(11) { 2 } else { 3 });
    }
    if has(12) {
        spec["strategy"] = json!({"rollingUpdate": {"maxSurge": 2}});
    }
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec})
}

fn service(has: impl Fn(u16) -> bool) -> Value {
    let mut spec = json!({"selector": {"app": "x"}, "ports": [{"name": "http", "port": 80}]});
    if has(0) {
        spec["ports"] = json!([{"name": "alt", "port": 81}, {"name": "more", "port": 80, "targetPort": "http"}]);
    }
    match (has(1), has(2)) {
        (true, true) => spec["type"] = "NodePort".into(),
        (true, false) => spec["type"] = "ClusterIP".into(),
        (false, true) => {
            spec["type"] = "LoadBalancer".into();
            if has(3) {
                spec["externalTrafficPolicy"] = "Local".into();
            }
        }
        (false, false) => {}
    }
    if has(4) {
        spec["sessionAffinity"] = "ClientIP".into();
    }
    json!({"apiVersion": "v1", "kind": "Service", "spec": spec})
}
