//! The changes that applying an object makes, for a reader.

use actions_toolkit::text::cut;
use serde_json::{Map, Value};

use super::{COUNTED_ANNOTATIONS, LAST_APPLIED};

/// A value is shown up to this many bytes: an image with its digest is shown whole.
const SHOWN: usize = 200;

/// Fields that the server writes by itself, and that are not part of the change.
const IGNORED: &[&str] = &[
    "status",
    "metadata.managedFields",
    "metadata.resourceVersion",
    "metadata.generation",
];
/// Annotations have this prefix; those that the controllers count, and kubectl's copy of the manifest, are ignored too.
const ANNOTATIONS: &str = "metadata.annotations.";

/// The fields that differ, one a line: `spec.replicas: 2 → 3`. The values of a Secret are not shown.
pub(crate) fn changes(before: &Value, after: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    let hidden = after["kind"] == "Secret";
    compare("", before, after, hidden, &mut lines);
    lines
}

/// The JSON merge patch (RFC 7396) that makes `after` of `before`.
pub(super) fn merge_patch(before: &Value, after: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        return after.clone();
    };
    let changed = new
        .iter()
        .filter(|(name, value)| old.get(*name) != Some(*value));
    let mut patch: Map<_, _> = changed
        .map(|(name, value)| {
            let value = old
                .get(name)
                .map_or_else(|| value.clone(), |old| merge_patch(old, value));
            (name.clone(), value)
        })
        .collect();
    let removed = old.keys().filter(|name| !new.contains_key(*name));
    patch.extend(removed.map(|name| (name.clone(), Value::Null)));
    patch.into()
}

fn is_ignored(path: &str) -> bool {
    let annotation = path.strip_prefix(ANNOTATIONS);
    let is_bookkeeping = |name| COUNTED_ANNOTATIONS.contains(&name) || name == LAST_APPLIED;
    IGNORED.contains(&path) || annotation.is_some_and(is_bookkeeping)
}

fn compare(path: &str, before: &Value, after: &Value, hidden: bool, lines: &mut Vec<String>) {
    if before == after || is_ignored(path) {
        return;
    }
    if let (Value::Object(old), Value::Object(new)) = (before, after) {
        let mut keys: Vec<_> = old.keys().chain(new.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            let dot = if path.is_empty() { "" } else { "." };
            let of = |map: &serde_json::Map<_, _>| map.get(key).cloned().unwrap_or_default();
            compare(
                &format!("{path}{dot}{key}"),
                &of(old),
                &of(new),
                hidden,
                lines,
            );
        }
        return;
    }
    if let (Some(old), Some(new)) = (by_name(before), by_name(after)) {
        let mut names: Vec<_> = old.iter().chain(&new).map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let of = |list: &[(&str, &Value)]| {
                let item = list.iter().find(|(other, _)| *other == name);
                item.map_or(Value::Null, |(_, value)| (*value).clone())
            };
            compare(
                &format!("{path}[{name}]"),
                &of(&old),
                &of(&new),
                hidden,
                lines,
            );
        }
        return;
    }
    lines.push(if hidden {
        format!("{path}: changed")
    } else {
        format!("{path}: {} → {}", shown(before), shown(after))
    });
}

// Kubernetes names the items of most of its lists; their order means nothing then.
fn by_name(list: &Value) -> Option<Vec<(&str, &Value)>> {
    let items = list.as_array()?.iter();
    items
        .map(|item| Some((item.get("name")?.as_str()?, item)))
        .collect()
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::Null => return "none".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let head = cut(&text, SHOWN);
    let rest = if head.len() < text.len() { "…" } else { "" };
    format!("{head}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_the_deployment_changes_is_listed() {
        let before = json!({
            "kind": "Deployment", "metadata": {"generation": 1, "resourceVersion": "7", "labels": {"a": "b"}, "annotations": {"deployment.kubernetes.io/revision": "1"}},
            "spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "side", "image": "s"}, {"name": "app", "image": "x@1"}]}}},
            "status": {"replicas": 2},
        });
        let after = json!({
            "kind": "Deployment", "metadata": {"generation": 2, "resourceVersion": "8", "annotations": {"deployment.kubernetes.io/revision": "2"}},
            "spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "app", "image": "x@2"}, {"name": "side", "image": "s"}]}}},
            "status": {"replicas": 3},
        });
        assert_eq!(
            changes(&before, &after),
            [
                r#"metadata.labels: {"a":"b"} → none"#,
                "spec.replicas: 2 → 3",
                "spec.template.spec.containers[app].image: x@1 → x@2",
            ]
        );
        assert_eq!(changes(&before, &before), Vec::<String>::new());
    }

    #[test]
    fn a_merge_patch_has_what_differs() {
        let before = json!({"a": 1, "b": {"c": 2, "d": 3}, "list": [1, 2], "same": {"x": 1}});
        let after = json!({"b": {"c": 2, "e": 4}, "list": [2], "same": {"x": 1}, "new": {"y": 1}});
        assert_eq!(
            merge_patch(&before, &after),
            json!({"a": null, "b": {"d": null, "e": 4}, "list": [2], "new": {"y": 1}})
        );
        assert_eq!(merge_patch(&before, &before), json!({}));
    }

    #[test]
    fn the_values_of_a_secret_are_hidden() {
        let secret = |value: &str| json!({"kind": "Secret", "data": {"password": value}});
        assert_eq!(
            changes(&secret("b2xk"), &secret("bmV3")),
            ["data.password: changed"]
        );
    }
}
