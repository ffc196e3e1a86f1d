//! What belongs to one deployment, as kubectl's `ApplySet` records it: a parent object with the kinds and namespaces, and a label
//! on each member (kubernetes/enhancements, KEP-3659).

use std::collections::BTreeSet;

use anyhow::Context as _;
use base64::Engine as _;
use futures_util::future::try_join_all;
use kube::api::{Api, DynamicObject, ListParams};
use kube::discovery::Scope;
use oci::Digest;
use serde_json::{Value, json};

use super::deployed::member;
use super::{Cluster, Object, set, text};

/// The label of the parent, with the set's ID.
const ID: &str = "applyset.kubernetes.io/id";
/// The label of the members, with the set's ID.
const PART_OF: &str = "applyset.kubernetes.io/part-of";
/// The annotation of the parent that keeps other tools from changing the set.
const TOOLING: &str = "applyset.kubernetes.io/tooling";
/// The annotations of the parent: where members may be.
const GROUP_KINDS: &str = "applyset.kubernetes.io/contains-group-kinds";
const NAMESPACES: &str = "applyset.kubernetes.io/additional-namespaces";
const OUR_TOOLING: &str = "seaworthy/v1";
/// Members of these kinds have data, or other objects, that would be lost with them: they are never members.
const KEPT: &[(&str, &str)] = &[
    ("", "Namespace"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("", "PersistentVolume"),
    ("", "PersistentVolumeClaim"),
];
/// The annotation of an object of a Helm chart that is kept when the chart no longer has it, with the value `keep`
/// (helm.sh/docs, "Chart development tips and tricks").
const RESOURCE_POLICY: &str = "helm.sh/resource-policy";
/// The longest part of the parent's name that is the application's.
const NAME: usize = 40;
const HASH_DIGITS: usize = 8;
/// The most members of one kind that are read.
const MEMBERS: u32 = 500;

/// The set of a deployment.
#[derive(Debug, Clone)]
pub(crate) struct ApplySet {
    name: String,
    namespace: String,
}

impl ApplySet {
    /// The set of what deploys `repository`, and is `distinguished` from other sets of it in `namespace`.
    pub(crate) fn new(repository: &str, distinguished: &str, namespace: &str) -> Self {
        let hash = Digest::sha256(format!("{repository}\n{distinguished}").as_bytes());
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let name = repository.chars().take(NAME);
        let name: String = name.map(|c| if is_allowed(c) { c } else { '-' }).collect();
        Self {
            name: format!("seaworthy-{name}-{}", &hash.hex()[..HASH_DIGITS]),
            namespace: namespace.to_owned(),
        }
    }

    // kubectl, `ApplySet.ID`.
    fn id(&self) -> String {
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let parts = format!("{}.{}.ConfigMap.", self.name, self.namespace);
        let hash = Digest::sha256(parts.as_bytes());
        let digits = hash.hex().as_bytes().chunks(2);
        let digit = |hex: &[u8]| {
            let hex = std::str::from_utf8(hex).unwrap_or_default();
            u8::from_str_radix(hex, 16).unwrap_or_default()
        };
        let bytes: Vec<_> = digits.map(digit).collect();
        format!("applyset-{}-v1", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Whether `object` is removed with the rest of the set.
    fn may_have(object: &Object) -> bool {
        let policy = &object.value["metadata"]["annotations"][RESOURCE_POLICY];
        !KEPT.contains(&(object.group(), object.kind())) && policy != "keep"
    }

    /// Make `objects` members, and return the parent of exactly these.
    pub(crate) fn adopt(&self, objects: &mut [Object]) -> Object {
        for object in objects.iter_mut().filter(|object| Self::may_have(object)) {
            set(
                &mut object.value,
                &["metadata", "labels", PART_OF],
                self.id().into(),
            );
        }
        self.parent_of(objects, None)
    }

    /// The parent of `objects`, and of what its state `live` names.
    pub(crate) fn parent_of(&self, objects: &[Object], live: Option<&Value>) -> Object {
        let members = objects
            .iter()
            .filter(|object| Self::may_have(object) && !is_parent(object));
        let (mut kinds, mut namespaces): (BTreeSet<_>, BTreeSet<_>) = members
            .map(|object| {
                let kind = match object.group() {
                    "" => object.kind().to_owned(),
                    group => format!("{}.{group}", object.kind()),
                };
                (kind, object.namespace_or_default().to_owned())
            })
            .unzip();
        if let Some(live) = live {
            kinds.extend(listed(live, GROUP_KINDS));
            namespaces.extend(listed(live, NAMESPACES));
        }
        namespaces.remove(&self.namespace);
        let joined = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>().join(",");
        Object {
            file: "input `prune`".to_owned(),
            document: None,
            value: json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "labels": {ID: self.id()},
                "annotations": {TOOLING: OUR_TOOLING, GROUP_KINDS: joined(kinds), NAMESPACES: joined(namespaces)},
            }}),
            default_namespace: None,
        }
    }
}

/// Whether `object` is the parent of a set.
pub(crate) fn is_parent(object: &Object) -> bool {
    object.value["metadata"]["labels"][ID].is_string()
}

/// Whether `live`, the state of an object, belongs to a set, or is the parent of one.
pub(super) fn is_of_set(live: &Value) -> bool {
    let labels = &live["metadata"]["labels"];
    labels[ID].is_string() || labels[PART_OF].is_string()
}

fn listed(parent: &Value, annotation: &str) -> Vec<String> {
    let list = parent["metadata"]["annotations"][annotation].as_str();
    let items = list.into_iter().flat_map(|list| list.split(','));
    items
        .filter(|item| !item.is_empty())
        .map(ToOwned::to_owned)
        .collect()
}

impl Cluster {
    /// The members of `set`, whose parent was `live` before this deployment, that are not among `objects`: each with its
    /// state.
    ///
    /// # Errors
    /// When the API server rejects a request.
    pub(crate) async fn left_over(
        &self,
        set: &ApplySet,
        live: &Value,
        objects: &[Object],
    ) -> anyhow::Result<Vec<(Object, Value)>> {
        let selector = format!("{PART_OF}={}", set.id());
        let params = ListParams::default().labels(&selector).limit(MEMBERS);
        let mut namespaces = listed(live, NAMESPACES);
        namespaces.push(set.namespace.clone());
        let lists = listed(live, GROUP_KINDS).into_iter().map(async |kind| {
            let (kind, group) = kind.split_once('.').unwrap_or((&kind, ""));
            // What the cluster no longer serves has no objects.
            let Some((resource, scope)) = self.kind(group, kind).await? else {
                return Ok(Vec::new());
            };
            let apis: Vec<Api<DynamicObject>> = match scope {
                Scope::Cluster => vec![Api::all_with(self.client.clone(), &resource)],
                Scope::Namespaced => {
                    let of = |n: &String| Api::namespaced_with(self.client.clone(), n, &resource);
                    namespaces.iter().map(of).collect()
                }
            };
            let lists = apis.iter().map(|api| self.response(api.list(&params)));
            let lists = try_join_all(lists).await.with_context(|| {
                format!(
                    "failed to list {}, of which objects of the last deployment may be left; `prune` requires the right to",
                    resource.plural
                )
            })?;
            let items = lists.into_iter().flat_map(|list| list.items);
            let items = items.map(|item| Ok(member(&resource, serde_json::to_value(item)?)));
            items.collect::<anyhow::Result<Vec<_>>>()
        });
        let members = try_join_all(lists).await?.into_iter().flatten();
        let members = members.filter(|(member, live)| {
            let is_terminating = !text(live, "/metadata/deletionTimestamp").is_empty();
            !is_terminating && !objects.iter().any(|object| is_listed_as(object, member))
        });
        Ok(members
            .filter(|(member, live)| ApplySet::may_have(&member.with(live.clone())))
            .collect())
    }
}

/// Whether `member`, as it was read, is `object` of the manifests. One of a kind without namespaces may have a default all the
/// same; another version of the kind is the same object.
pub(crate) fn is_listed_as(object: &Object, member: &Object) -> bool {
    let namespace = object.namespace_or_default();
    object.label() == member.label()
        && object.group() == member.group()
        && member.namespace().is_none_or(|own| own == namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(api_version: &str, kind: &str, namespace: Option<&str>) -> Object {
        Object::of_test(
            json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}}),
            namespace,
        )
    }

    // KEP-3659: `applyset-<base64url(sha256(<name>.<namespace>.<kind>.<group>))>-v1`, without padding.
    #[test]
    fn a_set_has_the_id_that_kubectl_gives_it() {
        let set = ApplySet {
            name: "seaworthy-web-abc".into(),
            namespace: "shop".into(),
        };
        assert_eq!(
            set.id(),
            "applyset-uFrUx-0XAzji8ie8R2wfOw5V4-eh6JMUopdbi7jMLt8-v1"
        );
    }

    #[test]
    fn members_have_a_label_and_the_parent_names_where_they_are() {
        let set = ApplySet::new("team/Web_app", "octo/web k8s", "shop");
        let mut objects = [
            object("apps/v1", "Deployment", Some("shop")),
            object("v1", "Service", Some("other")),
            object("v1", "Namespace", None),
            object("v1", "PersistentVolumeClaim", Some("shop")),
        ];
        let parent = set.adopt(&mut objects);
        let labels = objects
            .each_ref()
            .map(|o| o.value["metadata"]["labels"][PART_OF].clone());
        assert_eq!(
            labels,
            [json!(set.id()), json!(set.id()), Value::Null, Value::Null]
        );
        assert!(is_parent(&parent));
        let annotations = |parent: &Object| {
            let of = |name: &str| parent.value["metadata"]["annotations"][name].clone();
            [of(GROUP_KINDS), of(NAMESPACES), of(TOOLING)]
        };
        assert_eq!(
            annotations(&parent),
            ["Deployment.apps,Service", "other", "seaworthy/v1"]
        );
        let live = json!({"metadata": {"annotations": {GROUP_KINDS: "CronJob.batch,Service", NAMESPACES: "shop,old"}}});
        let union = set.parent_of(&objects, Some(&live));
        assert_eq!(
            annotations(&union),
            [
                "CronJob.batch,Deployment.apps,Service",
                "old,other",
                "seaworthy/v1"
            ]
        );
        assert_eq!(
            (union.label(), union.namespace()),
            (parent.label(), Some("shop"))
        );
        assert!(
            union.name().starts_with("seaworthy-team--eb-app-"),
            "{}",
            union.name()
        );
    }

    #[test]
    fn what_the_manifests_have_is_not_left_over() {
        let live = |api_version: &str, kind: &str, namespace: Option<&str>| {
            let mut live = object(api_version, kind, None);
            if let Some(namespace) = namespace {
                live.value["metadata"]["namespace"] = namespace.into();
            }
            live
        };
        let role = object("rbac.authorization.k8s.io/v1", "ClusterRole", Some("web"));
        let job = object("batch/v1", "CronJob", Some("web"));
        let plain = object("v1", "ConfigMap", None);
        let table = [
            (
                &role,
                live("rbac.authorization.k8s.io/v1", "ClusterRole", None),
                true,
            ),
            (&job, live("batch/v1beta1", "CronJob", Some("web")), true),
            (&job, live("batch/v1", "CronJob", Some("old")), false),
            (
                &job,
                live("other.example/v1", "CronJob", Some("web")),
                false,
            ),
            (&plain, live("v1", "ConfigMap", Some("default")), true),
            (&plain, live("v1", "ConfigMap", Some("web")), false),
        ];
        for (manifest, member, expected) in table {
            assert_eq!(is_listed_as(manifest, &member), expected, "{member:?}");
        }
    }

    #[test]
    fn deployments_of_one_image_in_one_namespace_have_sets_of_their_own() {
        let name = |repository, distinguished| ApplySet::new(repository, distinguished, "n").name;
        assert_ne!(name("web", "octo/web k8s"), name("web", "octo/web worker"));
        assert_ne!(name("web", "octo/web k8s"), name("api", "octo/web k8s"));
        assert_eq!(name("web", "octo/web k8s"), name("web", "octo/web k8s"));
        assert!(name(&"x".repeat(300), "").len() <= 63);
    }
}
