//! `extends`: a service has what another one of the file has (docs.docker.com/reference/compose-file/services, `extends`), and how
//! two values become one (docs.docker.com/reference/compose-file/merge).

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::project::Declared;
use super::service::scalar;

/// Services that extend each other in a row.
const DEPTH: usize = 20;
/// Keys with lists that are added up; each other value replaces that of the base.
const LISTS: &[&str] = &[
    "args",
    "configs",
    "env_file",
    "environment",
    "expose",
    "labels",
    "links",
    "ports",
    "profiles",
    "secrets",
    "tmpfs",
    "volumes",
];

/// Takes the bytes of a copy from what is left of the file's limit.
type Count<'a> = dyn FnMut(usize) -> Result<(), String> + 'a;

/// Give each service what it extends. What is unavailable is the problem of that service, if it is used.
pub(super) fn resolve(services: &mut BTreeMap<String, Declared>, count: &mut Count<'_>) {
    let names: Vec<_> = services.keys().cloned().collect();
    for name in names {
        if let Err(problem) = extend(services, &name, 0, count)
            && let Some(service) = services.get_mut(&name)
        {
            service.problem.get_or_insert(problem);
        }
    }
}

fn extend(
    services: &mut BTreeMap<String, Declared>,
    name: &str,
    depth: usize,
    count: &mut Count<'_>,
) -> Result<(), String> {
    let own = services.get(name);
    let Some(value) = own.and_then(|service| service.keys.get("extends")) else {
        return Ok(());
    };
    if value.get("file").is_some() {
        return Err(
            "`extends` from another file is not supported; `docker compose config` writes the whole service"
                .to_owned(),
        );
    }
    let base = value.get("service").and_then(scalar);
    let base = base.or_else(|| scalar(value));
    let base = base.ok_or("`extends` has an unknown form")?;
    if depth >= DEPTH {
        return Err(format!("`extends` leads from `{base}` to itself"));
    }
    extend(services, &base, depth + 1, count)?;
    let Some(from) = services.get(&base) else {
        return Err(format!(
            "`extends` names `{base}`, which is not a service of the file"
        ));
    };
    count(
        from.keys
            .iter()
            .map(|(key, value)| key.len() + size(value))
            .sum(),
    )?;
    let (keys, unset, problem) = (from.keys.clone(), from.unset.clone(), from.problem.clone());
    let Some(own) = services.get_mut(name) else {
        return Ok(());
    };
    own.keys.remove("extends");
    let declared = std::mem::take(&mut own.keys);
    own.keys = merged_maps(keys, declared);
    own.unset.extend(unset);
    own.problem = own.problem.take().or(problem);
    Ok(())
}

fn size(value: &Json) -> usize {
    match value {
        Json::String(text) => text.len(),
        Json::Array(list) => list.iter().map(size).sum(),
        Json::Object(map) => map.iter().map(|(key, value)| key.len() + size(value)).sum(),
        Json::Null | Json::Bool(_) | Json::Number(_) => 8,
    }
}

fn merged_maps(base: Map<String, Json>, own: Map<String, Json>) -> Map<String, Json> {
    let mut all = base;
    for (key, value) in own {
        let value = match all.remove(&key) {
            Some(base) => merged(&key, base, value),
            None => value,
        };
        all.insert(key, value);
    }
    all
}

fn merged(key: &str, base: Json, own: Json) -> Json {
    match (long(key, base), long(key, own)) {
        (base, Json::Null) => base,
        (Json::Object(base), Json::Object(own)) => Json::Object(merged_maps(base, own)),
        (base, own) if is_list(key, &base, &own) => {
            let own = items(own);
            let mut all = items(base);
            all.retain(|value| {
                let is_again = |other: &Json| {
                    other == value || key == "volumes" && target(other) == target(value)
                };
                !own.iter().any(is_again)
            });
            all.extend(own);
            Json::Array(all)
        }
        (_, own) => own,
    }
}

// A variable in `environment` may have the name of such a key.
fn is_list(key: &str, base: &Json, own: &Json) -> bool {
    let has_list = base.is_array() || own.is_array() || matches!(key, "env_file" | "tmpfs");
    has_list && LISTS.contains(&key)
}

// The long form of what has a short one.
fn long(key: &str, value: Json) -> Json {
    match (key, value) {
        ("build", Json::String(context)) => {
            let keys = [("context".to_owned(), Json::String(context))];
            Json::Object(keys.into_iter().collect())
        }
        ("depends_on", Json::Array(names)) => {
            let names = names.iter().filter_map(scalar);
            Json::Object(names.map(|name| (name, Json::Object(Map::new()))).collect())
        }
        (_, value) => value,
    }
}

// The values of a list; `NAME=value` of a map.
fn items(value: Json) -> Vec<Json> {
    match value {
        Json::Array(list) => list,
        Json::Object(map) => {
            let pairs = map.into_iter().map(|(name, value)| match scalar(&value) {
                Some(value) => format!("{name}={value}"),
                None => name,
            });
            pairs.map(Json::String).collect()
        }
        Json::Null => Vec::new(),
        value => vec![value],
    }
}

// Where a line of `volumes` is in the container.
fn target(value: &Json) -> Option<String> {
    if let Some(target) = value.get("target") {
        return scalar(target);
    }
    let text = scalar(value)?;
    let mut parts = text.split(':');
    let first = parts.next().unwrap_or_default();
    Some(parts.next().unwrap_or(first).to_owned())
}
