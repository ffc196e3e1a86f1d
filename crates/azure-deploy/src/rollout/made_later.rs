//! What a controller may make only after the manifests are applied: a Secret of a `Certificate`, an `ExternalSecret`, a
//! `SealedSecret`. A pod that needs it waits, and then starts.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::kubernetes::Object;

/// Kubernetes' own API groups without a dot; the others end with `.k8s.io`.
const OWN_GROUPS: &[&str] = &["", "apps", "autoscaling", "batch", "policy"];

/// The names that objects of other systems among `objects` have or mention: Secrets and `ConfigMap`s of these names may be made
/// by their controllers.
pub(super) fn made_later(objects: &[Object]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for object in objects.iter().filter(|object| is_foreign(object)) {
        names.insert(object.name().to_owned());
        add_texts(&object.value["spec"], &mut names);
    }
    names
}

fn is_foreign(object: &Object) -> bool {
    let group = object.group();
    !OWN_GROUPS.contains(&group) && !group.ends_with(".k8s.io")
}

fn add_texts(value: &Value, texts: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            texts.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| add_texts(item, texts)),
        Value::Object(fields) => fields.values().for_each(|field| add_texts(field, texts)),
        _ => {}
    }
}

/// The name of the object that a `message` of the kubelet says does not exist: `secret "tls" not found`.
pub(super) fn absent_name(message: &str) -> Option<&str> {
    let (before, _) = message.split_once("\" not found")?;
    Some(before.rsplit_once('"')?.1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_controller_may_make_what_its_object_names() {
        let object = |version: &str, kind: &str, spec: Value| {
            let value = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "shop"}, "spec": spec});
            Object::of_test(value, None)
        };
        let tls = json!({"secretName": "shop-tls", "issuerRef": {"name": "letsencrypt"}});
        let certificate = object("cert-manager.io/v1", "Certificate", tls.clone());
        let made = made_later(&[certificate]);
        assert!(["shop", "shop-tls"].iter().all(|name| made.contains(*name)));
        let own = [
            object("v1", "Service", tls.clone()),
            object("apps/v1", "Deployment", tls.clone()),
            object("networking.k8s.io/v1", "NetworkPolicy", tls),
        ];
        assert_eq!(made_later(&own), BTreeSet::new());
    }

    #[test]
    fn the_kubelet_names_what_is_absent() {
        let mount = r#"MountVolume.SetUp failed for volume "v" : secret "shop-tls" not found"#;
        assert_eq!(absent_name(mount), Some("shop-tls"));
        assert_eq!(absent_name(r#"configmap "web" not found"#), Some("web"));
        assert_eq!(absent_name("references non-existent config key: a"), None);
    }
}
