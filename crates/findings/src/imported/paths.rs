//! Paths in a SARIF file: GitHub shows an alert on a file of the repository only if its path is relative to it.

use std::cell::Cell;
use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::uri;

/// Bases that are relative to another one, to which another one is relative, and so on.
const DEPTH: usize = 8;
/// Bases of one analysis; scanners have a handful.
const BASES: usize = 1000;
/// Bytes of a path, as Linux has it (`PATH_MAX`): a longer one is not that of a file.
const PATH: usize = 4096;
/// Bytes of all paths that locations get from a base or from `artifacts`: a location that refers to one is a few bytes itself.
const ADDED: usize = 64 * limits::MIB;

/// How paths of one analysis become relative to the workspace.
pub(super) struct Paths<'a> {
    /// The URI of each `uriBaseId`.
    bases: HashMap<String, String>,
    /// The paths of `artifacts`, to which a location may refer by its index.
    artifacts: Vec<String>,
    roots: &'a [String],
    /// What is left of [`ADDED`].
    room: Cell<usize>,
}

impl<'a> Paths<'a> {
    pub(super) fn new(run: &Map<String, Value>, roots: &'a [String]) -> Self {
        let bases = run.get("originalUriBaseIds").and_then(Value::as_object);
        let bases = bases.into_iter().flatten();
        let bases: Vec<_> = bases.take(BASES).collect();
        let mut paths = Self {
            bases: HashMap::new(),
            artifacts: Vec::new(),
            roots,
            room: Cell::new(ADDED),
        };
        // A base may come before the one that it is relative to.
        for _ in 0..DEPTH.min(bases.len()) {
            for (name, base) in &bases {
                if let Some(uri) = base["uri"].as_str() {
                    let uri = paths.absolute(uri, base["uriBaseId"].as_str());
                    // Those that are relative to each other would grow without end.
                    if uri.len() <= PATH {
                        paths.bases.insert((*name).clone(), uri);
                    }
                }
            }
        }
        let artifacts = run.get("artifacts").and_then(Value::as_array);
        let artifacts = artifacts.into_iter().flatten();
        paths.artifacts = artifacts
            .map(|artifact| paths.path(&artifact["location"]).unwrap_or_default())
            .collect();
        paths
    }

    /// The path of an `artifactLocation`, relative to the workspace; `None` if it names none, or one that is too long.
    pub(super) fn path(&self, location: &Value) -> Option<String> {
        let uri = location["uri"].as_str();
        let path = if let Some(uri) = uri.filter(|uri| uri.len() <= PATH) {
            self.relative(&self.absolute(uri, location["uriBaseId"].as_str()))
        } else if uri.is_some() {
            return None;
        } else {
            let index = usize::try_from(location["index"].as_u64()?).ok()?;
            self.artifacts.get(index)?.clone()
        };
        let added = path.len().saturating_sub(uri.map_or(0, str::len));
        self.room.set(self.room.get().checked_sub(added)?);
        Some(path).filter(|path| !path.is_empty())
    }

    /// Make the `artifactLocation` relative to the workspace; whether that changed it.
    pub(super) fn rewrite(&self, location: &mut Value) -> bool {
        let Some(path) = self.path(location) else {
            // A directory above, or nothing at all.
            if let Some(location) = location.as_object_mut() {
                location.remove("uri");
            }
            return false;
        };
        let path = uri(&path);
        let is_changed = location["uri"] != *path;
        location["uri"] = path.into();
        if let Some(location) = location.as_object_mut() {
            location.remove("uriBaseId");
        }
        is_changed
    }

    fn absolute(&self, uri: &str, base: Option<&str>) -> String {
        let base = base.and_then(|base| self.bases.get(base));
        match base {
            Some(base) if scheme(uri).is_none() && !uri.starts_with('/') => {
                format!("{}/{uri}", base.trim_end_matches('/'))
            }
            _ => uri.to_owned(),
        }
    }

    fn relative(&self, uri: &str) -> String {
        let path = match scheme(uri) {
            Some(scheme) => {
                let rest = &uri[scheme.len() + 1..];
                match rest.strip_prefix("//") {
                    // `file://host/path`: the host is not part of the path; of anything else, it is.
                    Some(rest) if scheme.eq_ignore_ascii_case("file") => {
                        &rest[rest.find('/').unwrap_or(rest.len())..]
                    }
                    Some(rest) => rest,
                    None => rest,
                }
            }
            None => uri,
        };
        let path = decode(path).replace('\\', "/");
        let parts = parts(&path);
        if !path.starts_with('/') {
            return parts.join("/");
        }
        let inside = |root: &String| {
            let root = self::parts(root);
            (!root.is_empty()).then_some(())?;
            parts.strip_prefix(&root[..]).map(|inside| inside.join("/"))
        };
        let inside = self.roots.iter().find_map(inside);
        inside.unwrap_or_else(|| parts.join("/"))
    }
}

// `C:` is a drive and not a scheme.
fn scheme(uri: &str) -> Option<&str> {
    let (scheme, _) = uri.split_once(':')?;
    let is_scheme = scheme.len() > 1
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    is_scheme.then_some(scheme)
}

// Without `.`, `..`, empty parts and a drive.
fn parts(path: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part.to_owned()),
        }
    }
    let is_drive = |part: &String| {
        let bytes = part.as_bytes();
        bytes.len() == 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':'
    };
    if parts.first().is_some_and(is_drive) {
        parts.remove(0);
    }
    parts
}

// Not every scanner encodes its paths: what is not an encoded byte stays as it is.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).filter(|_| *byte == b'%');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let digits = digits.filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            decoded.push(byte);
            at += 3;
        } else {
            decoded.push(*byte);
            at += 1;
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_become_relative_to_the_workspace() {
        let run = json!({
            "originalUriBaseIds": {
                "SRC": {"uri": "app/", "uriBaseId": "ROOT"},
                "ROOT": {"uri": "file:///home/runner/work/app/app/"},
                "IMAGE": {"uri": "file:///"},
            },
            "artifacts": [{"location": {"uri": "./a.py"}}],
        });
        let roots = [
            "/github/workspace".to_owned(),
            "/home/runner/work/app/app".to_owned(),
        ];
        let paths = Paths::new(run.as_object().unwrap(), &roots);
        let table = [
            (json!({"uri": "src/x.py"}), "src/x.py"),
            (json!({"uri": "./src/../x.py"}), "x.py"),
            (json!({"uri": "../../x.py"}), "x.py"),
            (json!({"uri": "/github/workspace/src/x.py"}), "src/x.py"),
            (
                json!({"uri": "file:///home/runner/work/app/app/a%20b.py"}),
                "a%20b.py",
            ),
            (json!({"uri": "x.py", "uriBaseId": "SRC"}), "app/x.py"),
            (json!({"uri": "x.py", "uriBaseId": "ROOT"}), "x.py"),
            (json!({"uri": "x.py", "uriBaseId": "UNKNOWN"}), "x.py"),
            (
                json!({"uri": "usr/lib/x", "uriBaseId": "IMAGE"}),
                "usr/lib/x",
            ),
            // Not below the workspace, though its name starts alike.
            (
                json!({"uri": "/github/workspace2/x"}),
                "github/workspace2/x",
            ),
            (json!({"uri": "/etc/passwd"}), "etc/passwd"),
            (json!({"uri": "C:\\src\\x.cs"}), "src/x.cs"),
            (json!({"uri": "file:///C:/src/x.cs"}), "src/x.cs"),
            (json!({"uri": "https://example.com/x"}), "example.com/x"),
            (json!({"uri": "100%zz.txt"}), "100%25zz.txt"),
            (json!({"index": 0}), "a.py"),
        ];
        for (location, expected) in table {
            let mut changed = location.clone();
            paths.rewrite(&mut changed);
            assert_eq!(changed["uri"], expected, "{location}");
            assert_eq!(changed.get("uriBaseId"), None);
        }
        for location in [
            json!({}),
            json!({"index": 7}),
            json!({"uri": ""}),
            json!(null),
        ] {
            assert_eq!(paths.path(&location), None, "{location}");
        }
    }

    #[test]
    fn bases_and_artifacts_do_not_fill_the_memory() {
        let base = |at: usize| {
            let uri = json!({"uri": "a/".repeat(500), "uriBaseId": format!("B{at}")});
            (format!("B{}", at + 1), uri)
        };
        let bases: Map<_, _> = (0..2000).map(base).collect();
        let path = "a".repeat(PATH);
        let run = json!({
            "originalUriBaseIds": bases,
            "artifacts": [{"location": {"uri": path}}, {"location": {"uri": format!("{path}a")}}],
        });
        let paths = Paths::new(run.as_object().unwrap(), &[]);
        let length = |(name, uri): (&String, &String)| name.len() + uri.len();
        assert!(paths.bases.iter().map(length).sum::<usize>() < 8 * limits::MIB);
        assert_eq!(paths.path(&json!({"index": 1})), None);
        let found = (0..100_000).map_while(|_| paths.path(&json!({"index": 0})));
        assert_eq!(found.count(), ADDED / PATH);
        // One that says itself where it is needs no room.
        assert_eq!(paths.path(&json!({"uri": "b.py"})).as_deref(), Some("b.py"));
    }

    proptest! {
        #[test]
        fn no_path_leaves_the_workspace(text in "(file:///|/|[.]{2}/|%2e%2e/|[a-z]:|x|\\\\){0,12}") {
            let paths = Paths::new(&Map::new(), &[]);
            let mut location = json!({"uri": text});
            paths.rewrite(&mut location);
            let uri = location["uri"].as_str().unwrap_or_default();
            prop_assert!(!uri.split('/').any(|part| part == ".."), "{uri}");
            prop_assert!(!uri.starts_with('/'), "{uri}");
        }
    }
}
