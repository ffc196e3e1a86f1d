//! The owners of an object's fields: who applied or changed what, as `metadata.managedFields` records it
//! (kubernetes.io/docs/reference/using-api/server-side-apply).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::client::FIELD_MANAGER;
use super::fields::FieldSet;
use super::{Object, text};

/// The annotation of `kubectl apply` without `--server-side`, with what it applied.
pub(crate) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Who deploys manifests as a whole, as this action does, with its operation: `kubectl apply --server-side`, `kubectl create` and
/// `kubectl replace`, Helm 4, and Helm 3. Not who goes on to deploy, such as Argo CD: it would take its fields back.
const DEPLOYERS: &[(&str, &str)] = &[
    ("kubectl", "Apply"),
    ("kubectl-create", "Update"),
    ("kubectl-replace", "Update"),
    ("helm", "Apply"),
    ("helm", "Update"),
];
/// Who deploys what a repository has, again and again: the field managers of Argo CD (argo-cd, common/common.go,
/// `ArgoCDSSAManager`), and of Flux (fluxcd.io/flux/components/kustomize, and helm).
const CONTINUOUS: &[&str] = &[
    "argocd-application-controller",
    "argocd-controller",
    "helm-controller",
    "kustomize-controller",
];
/// The strategy of a workload: `rollingUpdate` is a default that the API server rejects with any other `type`.
const STRATEGIES: &[&str] = &["strategy", "updateStrategy"];
const ROLLING_UPDATE: &str = "RollingUpdate";

/// The entries of `metadata.managedFields`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Owners(Vec<Value>);

/// What taking over an object changes.
#[derive(Debug, PartialEq)]
pub(crate) struct TakeOver {
    /// The new entries.
    pub(crate) owners: Owners,
    /// The managers whose fields are taken over.
    pub(crate) from: BTreeSet<String>,
}

impl Owners {
    /// The owners of the fields of `live`.
    pub(crate) fn of(live: &Value) -> Self {
        let entries = live.pointer("/metadata/managedFields");
        Self(
            entries
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default(),
        )
    }

    /// The entries, as a change of the object sends them. An object whose fields have no owner has one empty entry: the
    /// API server takes an empty list for one that is left out.
    pub(crate) fn into_entries(self) -> Value {
        if self.0.is_empty() {
            return json!([{}]);
        }
        self.0.into()
    }

    /// The fields that this action applied.
    pub(crate) fn ours(&self) -> FieldSet {
        self.our_entry().map(fields).unwrap_or_default()
    }

    /// Whether this action applied the object.
    pub(crate) fn is_applied_by_us(&self) -> bool {
        self.our_entry().is_some()
    }

    /// The fields of all others.
    pub(crate) fn others(&self) -> FieldSet {
        let others = self.0.iter().filter(|entry| !is_ours(entry));
        others.fold(FieldSet::default(), |all, entry| all.union(&fields(entry)))
    }

    /// The owners of `before` that own nothing now: this action has taken over from them, or the object does not exist. As
    /// long as it `exists`, a part such as its scale has its own owners.
    pub(crate) fn gone_since(&self, before: &Self, exists: bool) -> Self {
        let is_here = |old: &Value| {
            let mut entries = self.0.iter();
            entries.any(|entry| {
                ["manager", "operation", "subresource"]
                    .iter()
                    .all(|field| entry[field] == old[field])
            })
        };
        let counts = |old: &Value| match text(old, "/subresource") {
            "" => true,
            part => !exists && part != "status",
        };
        let old = before.0.iter();
        let gone = old.filter(|old| !is_ours(old) && counts(old) && !is_here(old));
        Self(gone.cloned().collect())
    }

    /// The fields that this action applied, as `version` of the kind names them.
    pub(crate) fn ours_in(&self, version: &str) -> FieldSet {
        self.our_entry()
            .map_or_else(FieldSet::default, |entry| fields_in(entry, version))
    }

    /// The fields of all others, as `version` of the kind names them.
    pub(crate) fn others_in(&self, version: &str) -> FieldSet {
        let others = self.0.iter().filter(|entry| !is_ours(entry));
        others.fold(FieldSet::default(), |all, entry| {
            all.union(&fields_in(entry, version))
        })
    }

    /// Who scaled the object: an autoscaler, or `kubectl scale`.
    pub(crate) fn scaled_by(&self) -> Option<&str> {
        let replicas = ["f:spec", "f:replicas"];
        let scaled = |entry: &&Value| {
            text(entry, "/subresource") == "scale" && fields(entry).contains(&replicas)
        };
        self.0.iter().find(scaled).map(manager)
    }

    /// Who else deploys the object again and again.
    pub(crate) fn continuously_applied_by(&self) -> Option<&str> {
        self.0
            .iter()
            .map(manager)
            .find(|by| CONTINUOUS.contains(by))
    }

    fn our_entry(&self) -> Option<&Value> {
        self.0.iter().find(|entry| is_ours(entry))
    }

    /// The owners after this action has taken over `live` from those who deployed it, so that applying `object` removes
    /// what its manifest no longer has; `None` if there is nothing to take over.
    ///
    /// `kubectl apply` without `--server-side` is replaced at any time, as kubectl's own `--server-side` replaces it
    /// (k8s.io/client-go/util/csaupgrade); another deployer when this action deploys the object for the first time. A
    /// namespace is shared: labels that another deployer sets stay.
    pub(crate) fn take_over(&self, object: &Object, live: &Value) -> Option<TakeOver> {
        let annotation = format!("f:{LAST_APPLIED}");
        let annotation = ["f:metadata", "f:annotations", &annotation];
        let clients: BTreeSet<_> = self
            .0
            .iter()
            .filter(|entry| operation(entry) == "Update" && fields(entry).contains(&annotation))
            .map(manager)
            .filter(|manager| !CONTINUOUS.contains(manager))
            .collect();
        let is_first = self.our_entry().is_none() && !object.is_namespace();
        self.replace(object, live, |entry| {
            let is_client = operation(entry) == "Update" && clients.contains(manager(entry));
            let by = (manager(entry), operation(entry));
            let is_deployer = is_first && DEPLOYERS.contains(&by);
            text(entry, "/subresource").is_empty() && (is_client || is_deployer)
        })
    }

    /// The owners after this action has taken over the defaults that `object` rejects, and nothing else.
    pub(crate) fn take_over_defaults(&self, object: &Object, live: &Value) -> Option<TakeOver> {
        self.replace(object, live, |_| false)
    }

    /// The fields that applying `object` removes once it was taken over, and those that stay. `planned` is what applying it makes of
    /// `live` before that. `None` if there is nothing to take over.
    pub(crate) fn removed_by_take_over(
        &self,
        object: &Object,
        live: &Value,
        planned: &Value,
    ) -> Option<(FieldSet, FieldSet)> {
        let version = object.api_version();
        let taken = self.take_over(object, live)?.owners;
        let kept = Self::of(planned).ours().union(&taken.others_in(version));
        Some((taken.ours_in(version).difference(&kept), kept))
    }

    fn replace(
        &self,
        object: &Object,
        live: &Value,
        is_replaced: impl Fn(&Value) -> bool,
    ) -> Option<TakeOver> {
        let (replaced, mut kept): (Vec<_>, Vec<_>) =
            self.0.iter().cloned().partition(|entry| is_replaced(entry));
        let ours = kept.iter().position(is_ours).map(|at| kept.remove(at));
        let defaults = defaults_to_clear(object, live, &self.ours());
        if replaced.is_empty() && defaults.is_empty() {
            return None;
        }
        let from = replaced.iter().map(|entry| manager(entry).to_owned());
        let from = from.collect();
        let first = ours.as_ref().or(replaced.first());
        let time = first.and_then(|entry| entry.get("time").cloned());
        let version = first.map_or(object.api_version(), |entry| text(entry, "/apiVersion"));
        // A set is of one version of the kind.
        let same_version = ours.iter().chain(&replaced);
        let same_version = same_version.filter(|entry| text(entry, "/apiVersion") == version);
        let all = same_version.fold(defaults.clone(), |all, entry| all.union(&fields(entry)));
        let mut entry = json!({
            "manager": FIELD_MANAGER, "operation": "Apply", "apiVersion": version,
            "fieldsType": "FieldsV1", "fieldsV1": all.to_fields_v1(),
        });
        if let Some(time) = time {
            entry["time"] = time;
        }
        let kept = kept.into_iter().filter_map(|mut entry| {
            let rest = fields(&entry).difference(&defaults);
            if rest.is_empty() {
                return None;
            }
            entry["fieldsV1"] = rest.to_fields_v1();
            Some(entry)
        });
        let owners = Self(std::iter::once(entry).chain(kept).collect());
        Some(TakeOver { owners, from })
    }

    /// The owners of a restored object, which has `self` now: of the fields `touched` those that it had `before`, of all
    /// others those of now. `None` if that is so already.
    pub(crate) fn restored(&self, before: &Self, touched: &FieldSet) -> Option<Self> {
        let mut entries: Vec<_> = self.0.iter().filter(|e| !is_ours(e)).cloned().collect();
        for old in before.0.iter().filter(|entry| !is_ours(entry)) {
            let lost = fields(old).intersection(touched);
            if lost.is_empty() {
                continue;
            }
            if let Some(entry) = entries.iter_mut().find(|entry| is_same(entry, old)) {
                entry["fieldsV1"] = fields(entry).union(&lost).to_fields_v1();
            } else {
                let mut entry = old.clone();
                entry["fieldsV1"] = lost.to_fields_v1();
                entries.push(entry);
            }
        }
        entries.extend(before.our_entry().cloned());
        let restored = Self(entries);
        (!restored.is_same(self)).then_some(restored)
    }

    /// Whether the same owners have the same fields.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.by_owner() == other.by_owner()
    }

    /// Without the times, in the order of the owners.
    pub(super) fn by_owner(&self) -> BTreeSet<String> {
        let without_time = self.0.iter().map(|entry| {
            let mut entry = entry.clone();
            entry["fieldsV1"] = fields(&entry).to_fields_v1();
            if let Some(entry) = entry.as_object_mut() {
                entry.remove("time");
            }
            entry.to_string()
        });
        without_time.collect()
    }
}

fn manager(entry: &Value) -> &str {
    text(entry, "/manager")
}

fn operation(entry: &Value) -> &str {
    text(entry, "/operation")
}

fn fields(entry: &Value) -> FieldSet {
    FieldSet::from_fields_v1(&entry["fieldsV1"])
}

// The fields of `entry`. Those of another version than `version` may have other names there, but for the metadata.
fn fields_in(entry: &Value, version: &str) -> FieldSet {
    if text(entry, "/apiVersion") == version {
        return fields(entry);
    }
    let metadata =
        json!({"f:metadata": entry["fieldsV1"]["f:metadata"], "f:spec": {}, "f:data": {}});
    FieldSet::from_fields_v1(&metadata)
}

fn is_ours(entry: &Value) -> bool {
    manager(entry) == FIELD_MANAGER
        && operation(entry) == "Apply"
        && text(entry, "/subresource").is_empty()
}

fn is_same(one: &Value, other: &Value) -> bool {
    ["manager", "operation", "apiVersion", "subresource"]
        .iter()
        .all(|field| one[field] == other[field])
}

/// `object` that clears the defaults of `live` that it rejects, as taking over does; `None` if it rejects none.
pub(super) fn clearing_defaults(object: &Object, live: &Value) -> Option<Object> {
    let mut value = object.value.clone();
    let mut rejected = STRATEGIES
        .iter()
        .filter(|strategy| rejects_default(object, live, strategy))
        .peekable();
    rejected.peek()?;
    for strategy in rejected {
        value["spec"][strategy]["rollingUpdate"] = Value::Null;
    }
    Some(object.with(value))
}

// Whether `object` has another `strategy` than the default, and not what belongs to the one of `live`.
fn rejects_default(object: &Object, live: &Value, strategy: &str) -> bool {
    let (own, live) = (&object.value["spec"][strategy], &live["spec"][strategy]);
    let kind = own["type"].as_str().unwrap_or(ROLLING_UPDATE);
    kind != ROLLING_UPDATE && own["rollingUpdate"].is_null() && !live["rollingUpdate"].is_null()
}

// `rollingUpdate` of `live`, which `object` with another strategy would keep: unless it is owned, applying does not
// remove a default.
fn defaults_to_clear(object: &Object, live: &Value, ours: &FieldSet) -> FieldSet {
    let mut set = FieldSet::default();
    for strategy in STRATEGIES {
        if !rejects_default(object, live, strategy) {
            continue;
        }
        let rolling = &live["spec"][strategy]["rollingUpdate"];
        let strategy = format!("f:{strategy}");
        let path = ["f:spec", &strategy, "f:rollingUpdate"];
        let defaults = FieldSet::of_value(&path, rolling).union(&FieldSet::of_path(&path));
        set = set.union(&defaults.difference(ours));
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(manager: &str, operation: &str, fields: &Value) -> Value {
        json!({"manager": manager, "operation": operation, "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": fields})
    }

    fn live(entries: &[Value]) -> Value {
        json!({"metadata": {"managedFields": entries}, "spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}})
    }

    fn deployment(spec: &Value) -> Object {
        Object::of_test(
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": spec}),
            None,
        )
    }

    fn take_over(object: &Object, entries: &[Value]) -> Option<(Vec<Value>, Vec<String>)> {
        let live = live(entries);
        let taken = Owners::of(&live).take_over(object, &live)?;
        Some((taken.owners.0, taken.from.into_iter().collect()))
    }

    fn client_side() -> Value {
        let annotation = format!("f:{LAST_APPLIED}");
        entry(
            "kubectl-client-side-apply",
            "Update",
            &json!({"f:metadata": {"f:annotations": {annotation: {}}}, "f:spec": {"f:replicas": {}}}),
        )
    }

    #[test]
    fn what_client_side_apply_owns_is_taken_over_at_any_time() {
        let object = deployment(&json!({}));
        let status = entry("kubelet", "Update", &json!({"f:status": {}}));
        let mut ours = client_side();
        ours["manager"] = "seaworthy".into();
        ours["operation"] = "Apply".into();
        let (taken, from) = take_over(&object, &[client_side(), status.clone()]).unwrap();
        assert_eq!(taken, [ours.clone(), status]);
        assert_eq!(from, ["kubectl-client-side-apply"]);

        let before = entry("seaworthy", "Apply", &json!({"f:spec": {"f:paused": {}}}));
        let (taken, _) = take_over(&object, &[before, client_side()]).unwrap();
        ours["fieldsV1"]["f:spec"]["f:paused"] = json!({});
        assert_eq!(taken, [ours]);
    }

    #[test]
    fn another_deployer_is_replaced_the_first_time_and_who_only_changed_something_never() {
        let object = deployment(&json!({}));
        let fields = json!({"f:spec": {"f:replicas": {}}});
        let ours = entry("seaworthy", "Apply", &json!({"f:spec": {"f:paused": {}}}));
        let mut namespace = object.clone();
        namespace.value["apiVersion"] = "v1".into();
        namespace.value["kind"] = "Namespace".into();
        for (manager, operation, is_taken) in [
            ("helm", "Update", true),
            ("helm", "Apply", true),
            ("kubectl", "Apply", true),
            ("kubectl", "Update", false),
            ("kubectl-scale", "Update", false),
            ("kubectl-create", "Update", true),
            ("argocd-controller", "Apply", false),
            ("terraform", "Apply", false),
        ] {
            let other = entry(manager, operation, &fields);
            let taken = take_over(&object, std::slice::from_ref(&other));
            assert_eq!(taken.is_some(), is_taken, "{manager} {operation}");
            assert_eq!(take_over(&object, &[ours.clone(), other.clone()]), None);
            assert_eq!(take_over(&namespace, &[other]), None);
        }
    }

    #[test]
    fn what_taking_over_removes_is_known_before_it() {
        let object = deployment(&json!({}));
        let annotation = format!("f:{LAST_APPLIED}");
        let before = live(&[
            entry(
                "kubectl-client-side-apply",
                "Update",
                &json!({"f:metadata": {"f:annotations": {annotation.as_str(): {}}}, "f:spec": {"f:replicas": {}, "f:paused": {}}}),
            ),
            entry("hpa", "Update", &json!({"f:spec": {"f:replicas": {}}})),
        ]);
        let ours = json!({"f:spec": {"f:minReadySeconds": {}}});
        let planned = live(&[entry("seaworthy", "Apply", &ours)]);
        let owners = Owners::of(&before);
        let (removed, _) = owners
            .removed_by_take_over(&object, &before, &planned)
            .unwrap();
        assert_eq!(
            removed.to_fields_v1(),
            json!({"f:metadata": {"f:annotations": {annotation: {}}}, "f:spec": {"f:paused": {}}})
        );
        assert_eq!(
            Owners::of(&planned).removed_by_take_over(&object, &planned, &planned),
            None
        );
        let recreate = deployment(&json!({"strategy": {"type": "Recreate"}}));
        let cleared = clearing_defaults(&recreate, &before).unwrap();
        assert_eq!(
            cleared.value["spec"]["strategy"],
            json!({"type": "Recreate", "rollingUpdate": null})
        );
        assert!(clearing_defaults(&object, &before).is_none());
    }

    #[test]
    fn another_strategy_clears_the_default_of_the_first() {
        let recreate = deployment(&json!({"strategy": {"type": "Recreate"}}));
        let ours = entry("seaworthy", "Apply", &json!({"f:spec": {"f:paused": {}}}));
        let (taken, from) = take_over(&recreate, std::slice::from_ref(&ours)).unwrap();
        assert_eq!(
            taken[0]["fieldsV1"],
            json!({"f:spec": {"f:paused": {}, "f:strategy": {"f:rollingUpdate": {".": {}, "f:maxSurge": {}}}}})
        );
        assert!(from.is_empty());
        // It is ours already, or it stays.
        assert_eq!(take_over(&recreate, &taken), None);
        for spec in [
            json!({}),
            json!({"strategy": {"type": "RollingUpdate"}}),
            json!({"strategy": {"type": "Recreate", "rollingUpdate": {}}}),
        ] {
            assert_eq!(
                take_over(&deployment(&spec), std::slice::from_ref(&ours)),
                None
            );
        }
    }

    #[test]
    fn every_field_goes_back_to_its_owner() {
        let old = json!({"f:spec": {"f:paused": {}}});
        let before = Owners(vec![
            entry("seaworthy", "Apply", &old),
            entry(
                "hpa",
                "Update",
                &json!({"f:spec": {"f:replicas": {}, "f:minReadySeconds": {}}}),
            ),
            entry(
                "edit",
                "Update",
                &json!({"f:spec": {"f:revisionHistoryLimit": {}}}),
            ),
        ]);
        let touched =
            json!({"f:spec": {"f:paused": {}, "f:replicas": {}, "f:revisionHistoryLimit": {}}});
        let later = entry(
            "later",
            "Update",
            &json!({"f:spec": {"f:progressDeadlineSeconds": {}}}),
        );
        let now = Owners(vec![
            entry("seaworthy", "Apply", &touched),
            entry(
                "hpa",
                "Update",
                &json!({"f:spec": {"f:minReadySeconds": {}}}),
            ),
            later.clone(),
        ]);
        let touched = FieldSet::from_fields_v1(&touched);
        let restored = now.restored(&before, &touched).unwrap();
        let mut expected = before.clone();
        expected.0.push(later);
        assert_eq!(restored.by_owner(), expected.by_owner());
        assert_eq!(restored.restored(&before, &touched), None);
    }
}
