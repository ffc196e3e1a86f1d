//! Manifests for the namespace of a preview.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Manifests;
use crate::kubernetes::{Object, text};
use crate::request::Preview;

impl Manifests {
    /// Move every object into the namespace of `preview`, and every host name of an Ingress or a route below its name: those
    /// of the manifests may be in use. Returns a line for each host name.
    ///
    /// # Errors
    /// When the objects are for several namespaces.
    pub(crate) fn move_to(&mut self, preview: &Preview) -> Result<Vec<String>, String> {
        let own = self.0.iter().map(|o| text(&o.value, "/metadata/namespace"));
        let mut from: BTreeSet<_> = own.filter(|name| !name.is_empty()).collect();
        let namespaces = self.0.iter().filter(|object| object.is_namespace());
        from.extend(namespaces.map(Object::name));
        let from: Vec<_> = from.into_iter().map(ToOwned::to_owned).collect();
        if from.len() > 1 {
            return Err(format!(
                "the manifests are for several namespaces (`{}`), and a preview has one",
                from.join("`, `")
            ));
        }
        let (namespaces, objects): (Vec<_>, Vec<_>) =
            self.0.drain(..).partition(Object::is_namespace);
        let base = namespaces.into_iter().next().map(|object| object.value);
        let mut lines = Vec::new();
        for mut object in objects {
            if let Some(metadata) = object.value["metadata"].as_object_mut() {
                metadata.remove("namespace");
            }
            object.default_namespace = Some(preview.namespace.clone());
            let label = object.label();
            let subjects = object.value.get_mut("subjects");
            for subject in subjects.into_iter().flat_map(list_mut) {
                if from.iter().any(|from| subject["namespace"] == **from) {
                    subject["namespace"] = preview.namespace.clone().into();
                }
            }
            for host in hosts_mut(&mut object) {
                if let Some(text) = host.as_str() {
                    let moved = below(text, &preview.name);
                    lines.push(format!("{label} gets the host name {moved}"));
                    *host = moved.into();
                }
            }
            self.0.push(object);
        }
        self.add(preview.namespace_object(base));
        lines.sort();
        lines.dedup();
        Ok(lines)
    }
}

// `pr-7.shop.example` of `shop.example`, `*.pr-7.shop.example` of `*.shop.example`.
fn below(host: &str, name: &str) -> String {
    match host.strip_prefix("*.") {
        Some(rest) => format!("*.{name}.{rest}"),
        None => format!("{name}.{host}"),
    }
}

fn list_mut(value: &mut Value) -> impl Iterator<Item = &mut Value> {
    value.as_array_mut().into_iter().flatten()
}

fn hosts_mut(object: &mut Object) -> Vec<&mut Value> {
    let is_ingress = object.is_of("networking.k8s.io", "Ingress");
    let is_route = object.group() == "gateway.networking.k8s.io"
        && matches!(object.kind(), "HTTPRoute" | "GRPCRoute" | "TLSRoute");
    let Some(spec) = object.value.get_mut("spec").and_then(Value::as_object_mut) else {
        return Vec::new();
    };
    let mut hosts = Vec::new();
    for (field, value) in spec {
        match &**field {
            "rules" if is_ingress => {
                hosts.extend(list_mut(value).filter_map(|rule| rule.get_mut("host")));
            }
            "tls" if is_ingress => {
                let lists = list_mut(value).filter_map(|tls| tls.get_mut("hosts"));
                hosts.extend(lists.flat_map(list_mut));
            }
            "hostnames" if is_route => hosts.extend(list_mut(value)),
            _ => {}
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn preview() -> Preview {
        Preview::of_test("pr-7", "shop-pr-7")
    }

    fn moved(values: Vec<Value>) -> Result<(Manifests, Vec<String>), String> {
        let objects = values.into_iter().map(|value| Object::of_test(value, None));
        let mut manifests = Manifests(objects.collect());
        let lines = manifests.move_to(&preview())?;
        Ok((manifests, lines))
    }

    #[test]
    fn objects_and_host_names_become_the_previews() {
        let (manifests, lines) = moved(vec![
            json!({"kind": "Namespace", "metadata": {"name": "shop", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}),
            json!({"kind": "RoleBinding", "metadata": {"name": "x", "namespace": "shop"}, "subjects": [
                {"kind": "ServiceAccount", "name": "a", "namespace": "shop"}, {"kind": "ServiceAccount", "name": "b", "namespace": "other"},
            ]}),
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "x", "namespace": "shop"}, "spec": {
                "rules": [{"host": "shop.example"}, {"http": {}}], "tls": [{"hosts": ["shop.example", "*.shop.example"]}],
            }}),
            json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "y"}, "spec": {"hostnames": ["shop.example"]}}),
        ])
        .unwrap();
        assert_eq!(
            lines,
            [
                "HTTPRoute/y gets the host name pr-7.shop.example",
                "Ingress/x gets the host name *.pr-7.shop.example",
                "Ingress/x gets the host name pr-7.shop.example",
            ]
        );
        let find = |kind: &str| {
            let mut objects = manifests.objects().iter();
            objects.find(|object| object.kind() == kind).unwrap()
        };
        let namespace = find("Namespace");
        assert_eq!(namespace.name(), "shop-pr-7");
        let labels = &namespace.value["metadata"]["labels"];
        assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
        assert_eq!(labels["seaworthy/preview"], "pr-7");
        let subjects = &find("RoleBinding").value["subjects"];
        assert_eq!(subjects[0]["namespace"], "shop-pr-7");
        assert_eq!(subjects[1]["namespace"], "other");
        // No field is added.
        assert_eq!(
            find("HTTPRoute").value,
            json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "y"}, "spec": {"hostnames": ["pr-7.shop.example"]}})
        );
        for kind in ["RoleBinding", "Ingress", "HTTPRoute"] {
            assert_eq!(find(kind).namespace(), Some("shop-pr-7"));
        }
    }

    #[test]
    fn several_namespaces_are_not_one_preview() {
        let error = moved(vec![
            json!({"kind": "ConfigMap", "metadata": {"name": "x", "namespace": "a"}}),
            json!({"kind": "ConfigMap", "metadata": {"name": "x", "namespace": "b"}}),
        ]);
        assert_eq!(
            error.map(|_| ()).unwrap_err(),
            "the manifests are for several namespaces (`a`, `b`), and a preview has one"
        );
    }
}
