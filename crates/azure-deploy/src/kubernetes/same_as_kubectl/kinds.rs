//! Kinds of objects, with manifests and changes to choose from at random.

use serde_json::{Value, json};

#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Deployment,
    Service,
    ConfigMap,
    Ingress,
    Claim,
    StatefulSet,
    CronJob,
    Budget,
    Autoscaler,
    Job,
}

impl Kind {
    pub(super) const ALL: [Self; 10] = [
        Self::Deployment,
        Self::Service,
        Self::ConfigMap,
        Self::Ingress,
        Self::Claim,
        Self::StatefulSet,
        Self::CronJob,
        Self::Budget,
        Self::Autoscaler,
        Self::Job,
    ];

    pub(super) fn resource(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::Service => "service",
            Self::ConfigMap => "configmap",
            Self::Ingress => "ingress",
            Self::Claim => "persistentvolumeclaim",
            Self::StatefulSet => "statefulset",
            Self::CronJob => "cronjob",
            Self::Budget => "poddisruptionbudget",
            Self::Autoscaler => "horizontalpodautoscaler.v2.autoscaling",
            Self::Job => "job",
        }
    }

    // Whether a manifest has one of two fields, and the API server rejects both: what one manager applied excludes what
    // another one does.
    pub(super) fn has_alternatives(self) -> bool {
        matches!(self, Self::Budget)
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
        if matches!(self, Self::Job) {
            // Without any, the API server defaults them to those of the template, which have the UID
            // (kubernetes/pkg/apis/batch/v1/defaults.go).
            metadata["labels"]["job"] = json!("x");
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
            Self::StatefulSet => stateful_set(has),
            Self::CronJob => cron_job(has),
            Self::Budget => budget(has),
            Self::Autoscaler => autoscaler(has),
            Self::Job => job(has),
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
            (Self::StatefulSet, 2) => format!("scale statefulset {name} --replicas=0"),
            (Self::StatefulSet, _) => {
                format!("set env statefulset {name} --containers=app A=other C=other")
            }
            (Self::CronJob, _) => format!(
                "patch cronjob {name} --type=merge --patch={{\"spec\":{{\"successfulJobsHistoryLimit\":1}}}}"
            ),
            (Self::Autoscaler, _) => format!(
                "patch {resource} {name} --type=merge --patch={{\"spec\":{{\"maxReplicas\":9}}}}"
            ),
            (Self::Job, _) => {
                format!("patch job {name} --type=merge --patch={{\"spec\":{{\"backoffLimit\":1}}}}")
            }
            (Self::Ingress | Self::Claim | Self::Budget, _) => {
                format!("label {resource} {name} more=x --overwrite")
            }
        };
        arguments.split(' ').map(ToOwned::to_owned).collect()
    }
}

// The containers that `has` by its bits up to 8.
fn pod(has: impl Fn(u16) -> bool) -> Value {
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
    pod
}

fn deployment(has: impl Fn(u16) -> bool) -> Value {
    let mut pod = pod(&has);
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

fn stateful_set(has: impl Fn(u16) -> bool) -> Value {
    // Without replicas no pod is made, whatever others scale.
    let mut spec = json!({
        "replicas": 0, "serviceName": "x", "selector": {"matchLabels": {"app": "x"}},
        "template": {"metadata": {"labels": {"app": "x"}}, "spec": pod(&has)},
    });
    if has(9) {
        spec["updateStrategy"] = json!({"rollingUpdate": {"partition": 1}});
    }
    if has(10) {
        spec["minReadySeconds"] = json!(3);
    }
    if has(11) {
        spec["persistentVolumeClaimRetentionPolicy"] = json!({"whenDeleted": "Delete"});
    }
    json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "spec": spec})
}

fn cron_job(has: impl Fn(u16) -> bool) -> Value {
    let mut pod = pod(&has);
    pod["restartPolicy"] = if has(9) { "Never" } else { "OnFailure" }.into();
    let mut job = json!({"template": {"spec": pod}});
    if has(10) {
        job["backoffLimit"] = json!(2);
    }
    let mut spec = json!({"schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": {"spec": job}});
    if has(11) {
        spec["concurrencyPolicy"] = "Forbid".into();
    }
    if has(12) {
        spec["timeZone"] = "Etc/UTC".into();
    }
    json!({"apiVersion": "batch/v1", "kind": "CronJob", "spec": spec})
}

// Suspended: no pod is made. The template is always the same, since it cannot be changed.
fn job(has: impl Fn(u16) -> bool) -> Value {
    let pod = json!({"restartPolicy": "Never", "containers": [{"name": "app", "image": "x"}]});
    let mut spec = json!({"suspend": true, "template": {"spec": pod}});
    if has(0) {
        spec["backoffLimit"] = json!(if has(1) { 2 } else { 3 });
    }
    if has(2) {
        spec["activeDeadlineSeconds"] = json!(60);
    }
    if has(3) {
        spec["ttlSecondsAfterFinished"] = json!(60);
    }
    json!({"apiVersion": "batch/v1", "kind": "Job", "spec": spec})
}

// Of two fields an object has one.
fn budget(has: impl Fn(u16) -> bool) -> Value {
    let mut spec = json!({"selector": {"matchLabels": {"app": if has(1) { "x" } else { "y" }}}});
    let field = if has(0) {
        "minAvailable"
    } else {
        "maxUnavailable"
    };
    spec[field] = if has(2) { json!(1) } else { json!("50%") };
    json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "spec": spec})
}

fn autoscaler(has: impl Fn(u16) -> bool) -> Value {
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "absent"});
    let mut spec = json!({"scaleTargetRef": target, "maxReplicas": if has(0) { 4 } else { 5 }});
    if has(1) {
        spec["minReplicas"] = json!(2);
    }
    let metric = |name: &str| json!({"type": "Resource", "resource": {"name": name, "target": {"type": "Utilization", "averageUtilization": 70}}});
    match (has(2), has(3)) {
        (true, true) => spec["metrics"] = json!([metric("cpu"), metric("memory")]),
        (true, false) => spec["metrics"] = json!([metric("memory")]),
        _ => {}
    }
    if has(4) {
        spec["behavior"] = json!({"scaleDown": {"stabilizationWindowSeconds": 60}});
    }
    json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "spec": spec})
}
