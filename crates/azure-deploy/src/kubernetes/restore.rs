//! Restore an object to what it was before a deployment: the fields that the deployment changed, and their owners.
//! What others changed in the meantime, such as an autoscaler, stays.

use actions_toolkit::Log;
use serde_json::{Map, Value, json};

use super::diff::merge_patch;
use super::fields::FieldSet;
use super::{
    COUNTED_ANNOTATIONS, Cluster, Object, Owners, Rejected, is_conflict, is_invalid, text,
};

/// How often the owners are set again after a conflict with someone who changes the object at the same time.
const ATTEMPTS: usize = 5;
/// The fields of a Service's `spec` that the API server assigns.
const ASSIGNED: [&str; 5] = [
    "clusterIP",
    "clusterIPs",
    "ipFamilies",
    "ipFamilyPolicy",
    "healthCheckNodePort",
];

/// An object that was taken over.
pub(crate) struct Taken {
    pub(crate) object: Object,
    /// Its owners before that.
    pub(crate) before: Owners,
    /// Its owners after it.
    pub(crate) after: Owners,
    /// The managers that it was taken over from.
    pub(crate) from: Vec<String>,
}

impl Cluster {
    /// Restore `object` to its state `before`; returns its new state.
    ///
    /// # Errors
    /// When the API server rejects a request. Owners that cannot be restored are a warning: the object is as it was, and
    /// the next deployment may remove a field of another owner.
    pub(crate) async fn restore(
        &self,
        object: &Object,
        before: &Value,
        log: &Log,
    ) -> anyhow::Result<Value> {
        let now = self.get(object).await?;
        let version = |live: &Value| text(live, "/metadata/resourceVersion").to_owned();
        if let Some(now) = now.as_ref().filter(|now| version(now) == version(before)) {
            return Ok(now.clone());
        }
        let uid = |live: &Value| text(live, "/metadata/uid").to_owned();
        // To run the previous Job again is not a rollback.
        let is_before = |now: &Value| uid(now) == uid(before);
        if object.is_job() && !now.as_ref().is_some_and(is_before) {
            return Ok(now.unwrap_or_else(|| before.clone()));
        }
        let then = Owners::of(before);
        let owners = Owners::of(now.as_ref().unwrap_or(&Value::Null));
        let gone = owners.gone_since(&then, now.is_some());
        let touched = touched(object, &then, &owners, &gone);
        let others = then.others().difference(&gone.others());
        let more = match &now {
            Some(now) => consequences(before, now),
            None => assigned(object, before),
        };
        let all = touched.clone().union(&more);
        let exact = object.with(previous(object, before, &all, &others));
        if let Some(now) = &now {
            let cleared =
                |now: &Value| Some((Owners::of(now).take_over_defaults(&exact, now)?.owners, ()));
            self.change_owners(object, now, cleared).await?;
        }
        let (mut restored, fields) = match self.apply(&exact, false).await {
            // A port, for example, that another Service has got since.
            Err(e) if is_invalid(&e) => {
                if now.is_none() && !more.is_empty() {
                    log.warning(format!(
                        "{} gets another address than it had, since that is not free: {e:#}",
                        object.label()
                    ));
                }
                let previous = object.with(previous(object, before, &touched, &others));
                (self.apply(&previous, false).await?, touched)
            }
            // What was removed with another field may have had an owner.
            applied => (applied?, all),
        };
        let owners = |now: &Value| Some((Owners::of(now).restored(&then, &fields)?, ()));
        match self.change_owners(object, &restored, owners).await {
            Ok(Some((live, ()))) => restored = live,
            Ok(None) => {}
            Err(e) => log.warning(format!("{}: {e:#}", object.label())),
        }
        Ok(restored)
    }

    /// Take over `object` from who deployed it before this action, so that what its manifest no longer has is removed
    /// when it is applied.
    ///
    /// # Errors
    /// When the API server rejects a request.
    pub(crate) async fn take_over(
        &self,
        object: &Object,
        live: Option<&Value>,
    ) -> anyhow::Result<Option<Taken>> {
        let Some(live) = live else { return Ok(None) };
        let taken = |now: &Value| {
            let before = Owners::of(now);
            let taken = before.take_over(object, now)?;
            Some((taken.owners, (before, taken.from)))
        };
        let changed = self.change_owners(object, live, taken).await?;
        Ok(changed.map(|(live, (before, from))| Taken {
            object: object.clone(),
            before,
            after: Owners::of(&live),
            from: from.into_iter().collect(),
        }))
    }

    /// What applying `object` would make of its state `live` if it was taken over first, and `planned` without that. Nothing is
    /// changed.
    pub(crate) async fn planned_with_take_over(
        &self,
        object: &Object,
        live: &Value,
        planned: Value,
    ) -> anyhow::Result<Value> {
        let owners = Owners::of(live);
        let Some((removed, kept)) = owners.removed_by_take_over(object, live, &planned) else {
            return Ok(planned);
        };
        let rest = removed.remove_from(&planned, &kept);
        let patch = merge_patch(&without_bookkeeping(live), &without_bookkeeping(&rest));
        match self.dry_run_patch(object, &patch).await {
            // The defaults of what is removed are unknown then.
            Err(e) if e.is::<Rejected>() => Ok(rest),
            patched => patched,
        }
    }

    // Set the owners that `wanted` decides for the state of `object`, which is `live`: after a conflict with someone who
    // changes it at the same time, as its controller does, for the state that it has then. Returns the new state.
    async fn change_owners<T>(
        &self,
        object: &Object,
        live: &Value,
        wanted: impl Fn(&Value) -> Option<(Owners, T)>,
    ) -> anyhow::Result<Option<(Value, T)>> {
        let mut newer = None;
        for attempt in 1.. {
            let now = newer.as_ref().unwrap_or(live);
            let Some((owners, decided)) = wanted(now) else {
                break;
            };
            match self.set_owners(object, now, owners).await {
                Ok(changed) => return Ok(Some((changed, decided))),
                Err(e) if attempt < ATTEMPTS && is_conflict(&e) => {
                    newer = self.get(object).await?;
                    if newer.is_none() {
                        break;
                    }
                }
                Err(e) => return Err(e),
            }
        }
        Ok(None)
    }
}

// What a change of the object cannot set.
fn without_bookkeeping(live: &Value) -> Value {
    let mut value = live.clone();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = value["metadata"].as_object_mut() {
        for field in ["managedFields", "resourceVersion", "generation"] {
            metadata.remove(field);
        }
    }
    value
}

// The fields without an owner that are not what they were, since the API server sets or clears them when another field
// changes; and the order of lists.
fn consequences(before: &Value, now: &Value) -> FieldSet {
    let (then, others) = (Owners::of(before), Owners::of(now).others());
    let known = then.ours().union(&then.others());
    let body = |value: &Value| {
        let mut body = value.clone();
        if let Some(fields) = body.as_object_mut() {
            fields.retain(|name, _| !matches!(&**name, "metadata" | "status"));
        }
        body
    };
    let (before, now) = (body(before), body(now));
    let changed = FieldSet::of_changes(&before, &now, &known).difference(&others);
    changed.union(&FieldSet::of_order(&before, &now, &known))
}

// What the API server assigned to a Service that is gone: its addresses and ports, by which others may reach it.
fn assigned(object: &Object, before: &Value) -> FieldSet {
    let spec = &before["spec"];
    let is_there = |field: &&str| !spec[*field].is_null();
    let fields = ASSIGNED.into_iter().filter(is_there);
    let mut fields: Map<_, _> = fields
        .map(|field| (format!("f:{field}"), json!({})))
        .collect();
    let ports = spec["ports"].as_array().into_iter().flatten();
    let ports = ports.filter(|port| !port["nodePort"].is_null());
    let ports: Map<_, _> = ports
        .map(|port| {
            let key = json!({"port": port["port"], "protocol": port["protocol"]});
            (format!("k:{key}"), json!({"f:nodePort": {}}))
        })
        .collect();
    if !ports.is_empty() {
        fields.insert("f:ports".to_owned(), ports.into());
    }
    if fields.is_empty() || !object.is_of("", "Service") {
        return FieldSet::default();
    }
    FieldSet::from_fields_v1(&json!({"f:spec": fields}))
}

// The fields that this action applied, before or since, and those of the owners that are `gone`. What somebody else owns now is
// not theirs any more.
fn touched(object: &Object, then: &Owners, now: &Owners, gone: &Owners) -> FieldSet {
    let version = object.api_version();
    let gone = gone.others_in(version).difference(&now.others());
    then.ours_in(version).union(&gone).union(&now.ours())
}

// The fields `touched` of the object as it was `before`, without those of `others`, in the form that can be applied.
fn previous(object: &Object, before: &Value, touched: &FieldSet, others: &FieldSet) -> Value {
    let fields = touched.extract(before, others);
    let mut previous = fields.filter(Value::is_object).unwrap_or_else(|| json!({}));
    for field in ["apiVersion", "kind"] {
        previous[field] = object.value[field].clone();
    }
    if let Some(fields) = previous.as_object_mut() {
        fields.remove("status");
    }
    for field in ["name", "namespace"] {
        if let Some(value) = object.value["metadata"].get(field) {
            previous["metadata"][field] = value.clone();
        }
    }
    let annotations = previous.pointer_mut("/metadata/annotations");
    if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
        for counted in COUNTED_ANNOTATIONS {
            annotations.remove(counted);
        }
    }
    previous
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::Mutex;

    use axum::body::Body;
    use axum::response::Response;
    use testkit::{Recorder, Seen};

    /// An API server with one Deployment, whose controller writes before each change of the owners for the first time.
    struct Busy {
        live: Value,
        version: u32,
        interrupted: usize,
    }

    impl Busy {
        fn respond(&mut self, seen: &Seen) -> Response {
            let conflict = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Conflict", "code": 409,
                "message": "the object has been modified"});
            let (method, path) = seen.line.split_once(' ').unwrap();
            let sent: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
            let (code, body) = match (method, path) {
                ("GET", "/apis/apps/v1") => {
                    let kind = json!({"name": "deployments", "singularName": "deployment", "namespaced": true, "kind": "Deployment",
                        "verbs": ["get", "patch"]});
                    let list = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "apps/v1", "resources": [kind]});
                    (200, list)
                }
                ("PATCH", path) if !path.contains("force=true") => {
                    let of = text(&sent, "/metadata/resourceVersion").to_owned();
                    self.version += u32::from(self.interrupted.is_multiple_of(2));
                    self.interrupted += 1;
                    self.live["metadata"]["resourceVersion"] = self.version.to_string().into();
                    if of == self.version.to_string() {
                        self.live["metadata"]["managedFields"] =
                            sent["metadata"]["managedFields"].clone();
                        (200, self.live.clone())
                    } else {
                        (409, conflict)
                    }
                }
                _ => (200, self.live.clone()),
            };
            let response = Response::builder().status(code);
            let response = response.header("content-type", "application/json");
            response.body(Body::from(body.to_string())).unwrap()
        }
    }

    #[tokio::test]
    async fn a_controller_that_writes_at_the_same_time_does_not_stop_a_rollback() {
        let mut before = live(3, &json!({"f:spec": {"f:paused": {}}}));
        before["spec"]["strategy"] = json!({"type": "Recreate"});
        before["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:strategy"] =
            json!({"f:type": {}});
        let mut now = live(3, &json!({"f:spec": {"f:paused": {}, "f:replicas": {}}}));
        now["metadata"]["resourceVersion"] = "20".into();
        now["metadata"]["managedFields"]
            .as_array_mut()
            .unwrap()
            .pop();
        now["spec"]["strategy"] =
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}});
        let server = Mutex::new(Busy {
            live: now,
            version: 20,
            interrupted: 0,
        });
        let server = Recorder::start(move |seen| server.lock().unwrap().respond(seen));
        let server = server.await.unwrap();
        let object = Object::of_test(
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x", "namespace": "n"}}),
            None,
        );
        let uri = format!("http://{}", server.host()).parse().unwrap();
        let log = Log::sink();
        let cluster = Cluster::connect(kube::Config::new(uri), None, &log).unwrap();
        cluster
            .discover_kinds(std::slice::from_ref(&object))
            .await
            .unwrap();
        let restored = cluster.restore(&object, &before, &log).await.unwrap();
        let (owners, then) = (Owners::of(&restored), Owners::of(&before));
        assert_eq!(
            (owners.ours(), owners.others()),
            (then.ours(), then.others())
        );
        let conflicts = server.seen();
        let changes = conflicts
            .iter()
            .filter(|seen| seen.line.starts_with("PATCH"));
        // Two changes of the owners, each tried twice, and the object itself.
        assert_eq!(changes.count(), 5);
    }

    fn live(replicas: u8, ours: &Value) -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": "x", "uid": "u", "resourceVersion": "7", "generation": 3,
                "annotations": {"deployment.kubernetes.io/revision": "3", "a": "b"},
                "managedFields": [
                    {"manager": "seaworthy", "operation": "Apply", "apiVersion": "apps/v1", "fieldsV1": ours},
                    {"manager": "hpa", "operation": "Update", "apiVersion": "apps/v1", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
                ],
            },
            "spec": {"replicas": replicas, "paused": true, "progressDeadlineSeconds": 600}, "status": {"replicas": 2},
        })
    }

    #[test]
    fn a_service_that_is_gone_gets_its_addresses_back() {
        let value = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "namespace": "n"}});
        let object = Object::of_test(value, None);
        let ours = json!({"f:spec": {"f:type": {}, "f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}}});
        let before = json!({
            "metadata": {"name": "x", "managedFields": [
                {"manager": "seaworthy", "operation": "Apply", "apiVersion": "v1", "fieldsV1": ours},
            ]},
            "spec": {
                "type": "NodePort", "clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7"], "sessionAffinity": "None",
                "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80, "nodePort": 30080}],
            },
        });
        let (then, nothing) = (Owners::of(&before), FieldSet::default());
        let set = then.ours().union(&assigned(&object, &before));
        let restored = previous(&object, &before, &set, &nothing);
        assert_eq!(
            restored["spec"],
            json!({
                "type": "NodePort", "clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7"],
                "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}],
            })
        );
        let external = json!({"spec": {"type": "ExternalName"}});
        assert!(assigned(&object, &external).is_empty());
        let other = object.with(json!({"apiVersion": "apps/v1", "kind": "Deployment"}));
        assert!(assigned(&other, &before).is_empty());
    }

    #[test]
    fn what_the_deployment_touched_is_restored_and_defaults_and_autoscaled_fields_are_not_applied()
    {
        let object = Object::of_test(
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x", "namespace": "n"}}),
            None,
        );
        let ours = json!({"f:metadata": {"f:annotations": {}}, "f:spec": {"f:paused": {}}});
        let before = live(3, &ours);
        let (then, no_owners) = (Owners::of(&before), Owners::of(&Value::Null));
        let others = then.others();
        let now = |replicas: u8, ours: &Value| Owners::of(&live(replicas, ours));
        let header = json!({"name": "x", "namespace": "n", "annotations": {"a": "b"}});
        let expected = |spec: Value| json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": header, "spec": spec});

        let set = touched(&object, &then, &now(5, &ours), &no_owners);
        assert_eq!(
            previous(&object, &before, &set, &others),
            expected(json!({"paused": true}))
        );
        // The deployment took the replicas from their owner.
        let took = json!({"f:spec": {"f:replicas": {}, "f:minReadySeconds": {}}});
        let set = touched(&object, &then, &now(1, &took), &no_owners);
        assert_eq!(
            previous(&object, &before, &set, &others),
            expected(json!({"paused": true, "replicas": 3}))
        );
    }
}
