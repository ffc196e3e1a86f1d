//! Sets of fields, as the API server records them in `managedFields`.
//!
//! Format: sigs.k8s.io/structured-merge-diff, `fieldpath/serialize.go` (`FieldsV1`). A key is `f:name` for a field,
//! `k:{…}` for the item of a list with these keys, `v:…` for the item of a set, `i:0` for the item at an index; `.` is
//! the field itself.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde_json::{Map, Value, json};

/// The field itself, next to fields in it.
const ITSELF: &str = ".";

/// A set of fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    /// Whether the field at this place is in the set, and not just fields in it.
    is_member: bool,
    inside: BTreeMap<String, FieldSet>,
}

impl FieldSet {
    /// The set that `fields`, a `fieldsV1`, describes.
    pub(crate) fn from_fields_v1(fields: &Value) -> Self {
        Self {
            is_member: false,
            ..Self::read(fields)
        }
    }

    fn read(fields: &Value) -> Self {
        let fields = fields.as_object();
        let inside = fields.into_iter().flatten();
        let inside: BTreeMap<_, _> = inside
            .filter(|(key, _)| *key != ITSELF)
            .map(|(key, fields)| (key.clone(), Self::read(fields)))
            .collect();
        Self {
            is_member: inside.is_empty() || fields.is_some_and(|map| map.contains_key(ITSELF)),
            inside,
        }
    }

    /// The set as `fieldsV1`.
    pub(crate) fn to_fields_v1(&self) -> Value {
        let inside = self.inside.iter();
        let mut fields: Map<_, _> = inside
            .map(|(key, fields)| (key.clone(), fields.to_fields_v1()))
            .collect();
        if self.is_member && !fields.is_empty() {
            fields.insert(ITSELF.to_owned(), json!({}));
        }
        fields.into()
    }

    /// The set of the field at `path`, such as `["f:spec", "f:replicas"]`, and of nothing else.
    pub(crate) fn of_path(path: &[&str]) -> Self {
        let mut set = Self {
            is_member: true,
            inside: BTreeMap::new(),
        };
        for key in path.iter().rev() {
            set = Self {
                is_member: false,
                inside: BTreeMap::from([((*key).to_owned(), set)]),
            };
        }
        set
    }

    /// The set of every field of `value`, as if it were applied at `path`. Lists are whole.
    pub(crate) fn of_value(path: &[&str], value: &Value) -> Self {
        let Some(map) = value.as_object().filter(|map| !map.is_empty()) else {
            return Self::of_path(path);
        };
        map.iter().fold(Self::default(), |set, (name, value)| {
            let key = format!("f:{name}");
            let path: Vec<_> = path.iter().copied().chain([key.as_str()]).collect();
            set.union(&Self::of_value(&path, value))
        })
    }

    /// The fields of `before` that have another value `now`, or none. The items of a list have the keys that `known` has
    /// for them; a list that is unknown there is one field.
    pub(crate) fn of_changes(before: &Value, now: &Value, known: &Self) -> Self {
        let nothing = Self::default();
        let inside = |key: &str, before: &Value, now: &Value| {
            let known = known.inside.get(key).unwrap_or(&nothing);
            (key.to_owned(), Self::of_changes(before, now, known))
        };
        let inside: Vec<_> = match before {
            _ if before == now => Vec::new(),
            Value::Object(fields) if !fields.is_empty() => {
                let fields = fields.iter();
                fields
                    .map(|(name, value)| inside(&format!("f:{name}"), value, &now[name]))
                    .collect()
            }
            Value::Array(list) if known.inside.keys().any(|key| key.starts_with("k:")) => {
                let items = list.iter().filter_map(|item| {
                    let mut keys = known.inside.keys().filter(|key| key.starts_with("k:"));
                    let key = keys.find(|key| is_of(key, 0, item))?;
                    Some(inside(key, item, member(now, key).unwrap_or(&Value::Null)))
                });
                items.collect()
            }
            _ => {
                return Self::of_path(&[]);
            }
        };
        let inside = inside.into_iter().filter(|(_, fields)| !fields.is_empty());
        Self {
            is_member: false,
            inside: inside.collect(),
        }
    }

    /// The keys of all items of every list whose items have another order `now` than `before`, or not all of them: applied
    /// together they get their order back.
    pub(crate) fn of_order(before: &Value, now: &Value, known: &Self) -> Self {
        let mut set = Self::default();
        if before == now {
            return set;
        }
        for (key, known) in &known.inside {
            let (Some(before), Some(now)) = (member(before, key), member(now, key)) else {
                continue;
            };
            set.inside
                .insert(key.clone(), Self::of_order(before, now, known));
        }
        if let (Value::Array(before), Value::Array(now)) = (before, now) {
            let keys = |list: &[Value]| -> Vec<String> {
                let of = |item| {
                    known
                        .inside
                        .keys()
                        .find(|key| key.starts_with("k:") && is_of(key, 0, item))
                };
                list.iter().filter_map(of).cloned().collect()
            };
            let (before, mut now) = (keys(before), keys(now));
            now.retain(|key| before.contains(key));
            for key in before.iter().filter(|_| before != now) {
                let names = key
                    .strip_prefix("k:")
                    .map(serde_json::from_str::<Map<_, _>>);
                let names = names.and_then(Result::ok).unwrap_or_default();
                let fields = names
                    .keys()
                    .map(|name| Self::of_path(&[&format!("f:{name}")]));
                let item = set.inside.entry(key.clone()).or_default();
                *item = fields.fold(std::mem::take(item), |item, field| item.union(&field));
                item.is_member = true;
            }
        }
        set.inside.retain(|_, fields| !fields.is_empty());
        set
    }

    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        !self.is_member && self.inside.is_empty()
    }

    /// Whether the field at `path` itself is in it.
    pub(crate) fn contains(&self, path: &[&str]) -> bool {
        match path {
            [] => self.is_member,
            [key, rest @ ..] => self.inside.get(*key).is_some_and(|set| set.contains(rest)),
        }
    }

    /// The fields of both.
    pub(crate) fn union(mut self, other: &Self) -> Self {
        self.is_member |= other.is_member;
        for (key, fields) in &other.inside {
            match self.inside.entry(key.clone()) {
                Entry::Occupied(mut entry) => {
                    let union = std::mem::take(entry.get_mut()).union(fields);
                    entry.insert(union);
                }
                Entry::Vacant(entry) => {
                    entry.insert(fields.clone());
                }
            }
        }
        self
    }

    /// The fields that are in both.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        self.filtered(other, |ours, theirs| ours && theirs)
    }

    /// The fields that `other` has not.
    pub(crate) fn difference(&self, other: &Self) -> Self {
        self.filtered(other, |ours, theirs| ours && !theirs)
    }

    fn filtered(&self, other: &Self, is_kept: fn(bool, bool) -> bool) -> Self {
        let nothing = Self::default();
        let inside = self.inside.iter().map(|(key, fields)| {
            let others = other.inside.get(key).unwrap_or(&nothing);
            (key.clone(), fields.filtered(others, is_kept))
        });
        Self {
            is_member: is_kept(self.is_member, other.is_member),
            inside: inside.filter(|(_, fields)| !fields.is_empty()).collect(),
        }
    }

    /// `value` without the fields of the set. One in which there is something of `kept` stays, without the rest.
    pub(crate) fn remove_from(&self, value: &Value, kept: &Self) -> Value {
        let nothing = Self::default();
        let rest = |key: &str, value: &Value| {
            let Some(removed) = self.inside.get(key) else {
                return Some(value.clone());
            };
            let kept = kept.inside.get(key).unwrap_or(&nothing);
            let is_removed = removed.is_member && kept.is_empty();
            (!is_removed).then(|| removed.remove_from(value, kept))
        };
        match value {
            Value::Object(map) => map
                .iter()
                .filter_map(|(name, value)| {
                    Some((name.clone(), rest(&format!("f:{name}"), value)?))
                })
                .collect(),
            Value::Array(list) => {
                let items = list.iter().enumerate();
                items
                    .filter_map(|(index, item)| {
                        let mut keys = self.inside.keys();
                        match keys.find(|key| is_of(key, index, item)) {
                            Some(key) => rest(key, item),
                            None => Some(item.clone()),
                        }
                    })
                    .collect()
            }
            _ => value.clone(),
        }
    }

    /// The fields of `value` that are in the set, without those in them that are in `others`; `None` if there are none.
    /// The items of a list keep its order.
    pub(crate) fn extract(&self, value: &Value, others: &Self) -> Option<Value> {
        if self.inside.is_empty() {
            return Some(without(value, others));
        }
        let nothing = Self::default();
        let inside = |key: &str, value: &Value| {
            let fields = self.inside.get(key)?;
            fields.extract(value, others.inside.get(key).unwrap_or(&nothing))
        };
        match value {
            Value::Object(map) => {
                let fields = map.iter();
                let fields: Map<_, _> = fields
                    .filter_map(|(name, value)| {
                        Some((name.clone(), inside(&format!("f:{name}"), value)?))
                    })
                    .collect();
                (self.is_member || !fields.is_empty()).then(|| fields.into())
            }
            Value::Array(list) => {
                let items = list.iter().enumerate().filter_map(|(index, item)| {
                    let key = self.inside.keys().find(|key| is_of(key, index, item))?;
                    let mut extracted = inside(key, item)?;
                    // An item is identified by its keys, whoever owns them.
                    let keys = key.strip_prefix("k:").and_then(|keys| {
                        let keys: Value = serde_json::from_str(keys).ok()?;
                        keys.as_object().cloned()
                    });
                    if let (Some(fields), Some(keys)) = (extracted.as_object_mut(), keys) {
                        fields.extend(keys);
                    }
                    Some(extracted)
                });
                let items: Vec<_> = items.collect();
                (self.is_member || !items.is_empty()).then(|| items.into())
            }
            _ => Some(value.clone()),
        }
    }
}

// The field of `value`, or the item of this list, that `key` identifies.
fn member<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(fields) => fields.get(key.strip_prefix("f:")?),
        Value::Array(list) => {
            let mut items = list.iter().enumerate();
            items
                .find(|(index, item)| is_of(key, *index, item))
                .map(|(_, item)| item)
        }
        _ => None,
    }
}

// Whether `item`, at `index` of its list, is the one that `key` identifies.
fn is_of(key: &str, index: usize, item: &Value) -> bool {
    let Some((kind, identity)) = key.split_once(':') else {
        return false;
    };
    let Ok(identity) = serde_json::from_str::<Value>(identity) else {
        return false;
    };
    match (kind, &identity) {
        ("k", Value::Object(keys)) => keys
            .iter()
            .all(|(name, value)| item.get(name) == Some(value)),
        ("v", _) => *item == identity,
        ("i", _) => identity == index,
        _ => false,
    }
}

// `value` without what is in `others`.
fn without(value: &Value, others: &FieldSet) -> Value {
    let is_others = |key: &str| others.inside.get(key);
    match value {
        Value::Object(map) => map
            .iter()
            .filter_map(|(name, value)| match is_others(&format!("f:{name}")) {
                Some(others) if others.inside.is_empty() => None,
                Some(others) => Some((name.clone(), without(value, others))),
                None => Some((name.clone(), value.clone())),
            })
            .collect(),
        Value::Array(list) => {
            let items = list.iter().enumerate();
            items
                .filter(|(index, item)| {
                    let mut keys = others.inside.keys();
                    !keys.any(|key| is_of(key, *index, item))
                })
                .map(|(_, item)| item.clone())
                .collect()
        }
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(fields: &Value) -> FieldSet {
        FieldSet::from_fields_v1(fields)
    }

    fn of_a_deployment() -> FieldSet {
        set(&json!({
            "f:metadata": {"f:labels": {"f:app": {}}, "f:finalizers": {".": {}, "v:\"a/b\"": {}}},
            "f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"app\"}": {
                ".": {}, "f:image": {}, "f:name": {},
                "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}},
            }}}}},
        }))
    }

    #[test]
    fn a_set_is_written_as_it_was_read() {
        for fields in [
            json!({}),
            json!({"f:data": {".": {}, "f:a": {}}}),
            of_a_deployment().to_fields_v1(),
        ] {
            assert_eq!(set(&fields).to_fields_v1(), fields);
        }
    }

    #[test]
    fn the_fields_of_an_owner_are_extracted_and_no_others() {
        let live = json!({
            "metadata": {"name": "x", "labels": {"app": "x", "by": "other"}, "finalizers": ["other", "a/b"]},
            "spec": {"replicas": 3, "template": {"spec": {"dnsPolicy": "ClusterFirst", "containers": [
                {"name": "injected", "image": "proxy"},
                {"name": "app", "image": "app:1", "imagePullPolicy": "Always", "ports": [
                    {"containerPort": 81, "protocol": "TCP"}, {"containerPort": 80, "protocol": "TCP", "name": "web"},
                ]},
            ]}}},
        });
        let extracted = of_a_deployment().extract(&live, &FieldSet::default());
        assert_eq!(
            extracted.unwrap(),
            json!({
                "metadata": {"labels": {"app": "x"}, "finalizers": ["a/b"]},
                "spec": {"template": {"spec": {"containers": [
                    {"name": "app", "image": "app:1", "ports": [{"containerPort": 80, "protocol": "TCP"}]},
                ]}}},
            })
        );
        assert_eq!(
            of_a_deployment().extract(&json!({}), &set(&json!({}))),
            None
        );
    }

    #[test]
    fn fields_are_removed_but_for_those_in_which_something_is_kept() {
        let live = json!({
            "metadata": {"labels": {"app": "x", "old": "y"}},
            "spec": {"replicas": 3, "containers": [
                {"name": "app", "image": "app:1", "imagePullPolicy": "Always", "env": [{"name": "OLD", "value": "1"}]},
                {"name": "sidecar", "image": "proxy:1", "imagePullPolicy": "Always"},
            ]},
        });
        let item = |fields: Value| {
            let mut item = fields;
            item["."] = json!({});
            item
        };
        let removed = set(&json!({
            "f:metadata": {"f:labels": {".": {}, "f:old": {}}},
            "f:spec": {"f:replicas": {}, "f:containers": {
                "k:{\"name\":\"app\"}": {"f:env": item(json!({"k:{\"name\":\"OLD\"}": item(json!({"f:value": {}}))}))},
                "k:{\"name\":\"sidecar\"}": item(json!({"f:image": {}})),
            }},
        }));
        let kept = set(&json!({
            "f:metadata": {"f:labels": {"f:app": {}}},
            "f:spec": {"f:containers": {"k:{\"name\":\"app\"}": item(json!({"f:image": {}}))}},
        }));
        assert_eq!(
            removed.remove_from(&live, &kept),
            json!({
                "metadata": {"labels": {"app": "x"}},
                "spec": {"containers": [{"name": "app", "image": "app:1", "imagePullPolicy": "Always"}]},
            })
        );
    }

    // `annotations: {}` in a manifest makes the whole map the owner's; the annotations in it are not.
    #[test]
    fn what_others_own_in_a_field_is_not_extracted() {
        let ours = set(&json!({"f:annotations": {}, "f:items": {}}));
        let others = set(&json!({"f:annotations": {"f:revision": {}}, "f:items": {"v:1": {}}}));
        let live = json!({"annotations": {"revision": "7", "free": "x"}, "items": [1, 2]});
        assert_eq!(
            ours.extract(&live, &others).unwrap(),
            json!({"annotations": {"free": "x"}, "items": [2]})
        );
    }

    #[test]
    fn sets_have_the_usual_operations() {
        let one = set(&json!({"f:a": {".": {}, "f:b": {}}, "f:c": {}}));
        let other = set(&json!({"f:a": {"f:b": {}, "f:d": {}}}));
        let table = [
            (
                one.clone().union(&other),
                json!({"f:a": {".": {}, "f:b": {}, "f:d": {}}, "f:c": {}}),
            ),
            (one.intersection(&other), json!({"f:a": {"f:b": {}}})),
            (one.difference(&other), json!({"f:a": {}, "f:c": {}})),
            (other.difference(&one), json!({"f:a": {"f:d": {}}})),
        ];
        for (set, expected) in table {
            assert_eq!(set.to_fields_v1(), expected);
        }
        let before = json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30001}, {"port": 81}], "ips": [1, 2]});
        let now = json!({"type": "ClusterIP", "ports": [{"port": 81}, {"port": 80}], "ips": [1]});
        let known = set(&json!({"f:ports": {"k:{\"port\":80}": {}, "k:{\"port\":81}": {}}}));
        assert_eq!(
            FieldSet::of_changes(&before, &now, &known).to_fields_v1(),
            json!({"f:type": {}, "f:ips": {}, "f:ports": {"k:{\"port\":80}": {"f:nodePort": {}}}})
        );
        assert_eq!(
            FieldSet::of_order(&before, &now, &known).extract(&before, &set(&json!({}))),
            Some(json!({"ports": [{"port": 80}, {"port": 81}]}))
        );
        let one_less = json!({"ports": [{"port": 81}]});
        assert!(!FieldSet::of_order(&before, &one_less, &known).is_empty());
        assert!(FieldSet::of_order(&one_less, &before, &known).is_empty());
        assert!(one.contains(&["f:a"]) && !other.contains(&["f:a"]));
        assert!(one.difference(&one).is_empty());
        assert_eq!(
            FieldSet::of_value(&["f:x"], &json!({"a": {"b": 1}, "c": []})).to_fields_v1(),
            json!({"f:x": {"f:a": {"f:b": {}}, "f:c": {}}})
        );
    }
}
