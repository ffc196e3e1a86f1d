//! Whether kustomize would read only files of the checkout.
//!
//! kustomize fetches what looks like an address, over http or by git (kustomize/api/internal/loader/fileloader.go and
//! internal/git/repospec.go), and has no flag against it. So every reference is looked at before it starts.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::NAMES;

/// Bytes of the largest kustomization, or configuration of a generator, that is read.
const FILE: usize = limits::MIB;
/// Directories and files that are read.
const FILES: usize = 500;
/// Fields that refer to objects or to directories with a kustomization. Names are compared as Go does, in any case.
const MANIFESTS: &[&str] = &["resources", "components", "bases"];
/// Fields that refer to the configuration of plugins, or to directories with it.
const PLUGINS: &[&str] = &["generators", "transformers", "validators"];
/// Fields that refer to files that are read as they are.
const CONTENTS: &[&str] = &[
    "additionalvaluesfiles",
    "chart",
    "charthome",
    "configurations",
    "crds",
    "env",
    "envs",
    "files",
    "patchesjson6902",
    "patchesstrategicmerge",
    "path",
    "paths",
    "valuesfile",
];

/// Check the kustomization in `directory`, and every one that it builds on.
///
/// # Errors
/// With the reference that leads out of `root`, does not exist or can't be read.
pub(super) fn check(root: &Path, directory: &Path) -> Result<(), String> {
    let mut walk = Walk {
        root: root.canonicalize().map_err(|e| e.to_string())?,
        seen: HashSet::new(),
        pending: vec![(directory.to_owned(), Role::Manifests)],
    };
    while let Some((path, role)) = walk.pending.pop() {
        walk.path(&path, role)?;
    }
    Ok(())
}

/// The check of one file without the files that it refers to.
#[cfg(fuzzing)]
pub(crate) fn check_text(text: &str) {
    let root = Path::new("/nonexistent");
    let mut walk = Walk {
        root: root.to_owned(),
        seen: HashSet::new(),
        pending: Vec::new(),
    };
    let place = Place {
        path: root,
        directory: root,
        role: Role::Manifests,
    };
    let _ = walk.text(text, &place);
}

struct Walk {
    root: PathBuf,
    seen: HashSet<(PathBuf, Role)>,
    pending: Vec<(PathBuf, Role)>,
}

/// What a file or directory is referred to for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Role {
    /// Objects to deploy, in whose fields kustomize sees no references.
    Manifests,
    /// The configuration of generators and the like, whose fields may name further files.
    Plugins,
}

/// Where references are.
struct Place<'a> {
    path: &'a Path,
    directory: &'a Path,
    role: Role,
}

impl Walk {
    fn path(&mut self, path: &Path, role: Role) -> Result<(), String> {
        let real = path.canonicalize().map_err(|e| self.bad(path, &e))?;
        if !real.starts_with(&self.root) {
            return Err(self.bad(path, &"it is a link that leads out of the checkout"));
        }
        if !self.seen.insert((real, role)) {
            return Ok(());
        }
        if self.seen.len() > FILES {
            return Err(format!("it has more than {FILES} files"));
        }
        if !path.is_dir() {
            return match role {
                Role::Manifests => Ok(()),
                Role::Plugins => self.file(path, role),
            };
        }
        for name in NAMES {
            let file = path.join(name);
            if file.symlink_metadata().is_ok() {
                self.file(&file, role)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, role: Role) -> Result<(), String> {
        let text = limits::read_text(&self.root, path, FILE).map_err(|e| self.bad(path, &e))?;
        let directory = path.parent().unwrap_or(path);
        let place = Place {
            path,
            directory,
            role,
        };
        self.text(&text, &place)
    }

    fn text(&mut self, text: &str, place: &Place<'_>) -> Result<(), String> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|e| {
            let error = e.to_string();
            self.bad(place.path, &error.lines().next().unwrap_or_default())
        })?;
        let mut documents = documents.iter();
        documents.try_for_each(|document| self.value(document, place))
    }

    fn value(&mut self, value: &Value, place: &Place<'_>) -> Result<(), String> {
        match value {
            Value::Array(list) => {
                let mut list = list.iter();
                list.try_for_each(|value| self.value(value, place))
            }
            Value::Object(map) => map.iter().try_for_each(|(key, value)| {
                let key = key.to_ascii_lowercase();
                for reference in strings(value) {
                    if MANIFESTS.contains(&&*key) {
                        self.source(reference, place.role, place)?;
                    } else if PLUGINS.contains(&&*key) {
                        self.source(reference, Role::Plugins, place)?;
                    } else if CONTENTS.contains(&&*key) {
                        self.content(reference, place)?;
                    }
                }
                self.value(value, place)
            }),
            _ => Ok(()),
        }
    }

    fn source(&mut self, reference: &str, role: Role, place: &Place<'_>) -> Result<(), String> {
        // The configuration itself in place of a path.
        if reference.contains('\n') {
            return self.text(reference, place);
        }
        self.content(reference, place)?;
        let target = place.directory.join(reference);
        if !target.exists() {
            return Err(self.bad(place.path, &format!("`{reference}` does not exist")));
        }
        self.pending.push((target, role));
        Ok(())
    }

    fn content(&self, reference: &str, place: &Place<'_>) -> Result<(), String> {
        // A patch in place of a path.
        if reference.contains('\n') {
            return Ok(());
        }
        // `key=path` in the files of a generator.
        let file = reference
            .split_once('=')
            .map_or(reference, |(_, file)| file);
        if is_remote(reference) || is_remote(file) {
            let problem = format!("`{reference}` is not a path in the checkout");
            return Err(self.bad(place.path, &problem));
        }
        Ok(())
    }

    fn bad(&self, path: &Path, problem: &dyn std::fmt::Display) -> String {
        let shown = path.strip_prefix(&self.root).unwrap_or(path);
        format!("`{}`: {problem}", shown.display())
    }
}

fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

// An address has a scheme, a user, a query, or the name of a host that kustomize knows. The path of a file may be called so
// too; then it has to be renamed.
fn is_remote(reference: &str) -> bool {
    let lower = reference.to_ascii_lowercase();
    reference.contains([':', '@', '?']) || lower.starts_with("github.com") || lower.contains("//")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(files: &[(&str, &str)]) -> Result<(), String> {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        check(directory.path(), &directory.path().join("deploy"))
    }

    const MAIN: &str = "deploy/kustomization.yaml";

    #[test]
    fn local_references_are_accepted() {
        let kustomization = "resources: [app.yaml, ../base]\ncomponents: [../part]\nimages: [{name: a, newName: 'ghcr.io/b:1'}]\n\
            commonAnnotations: {page: 'https://example.com'}\nconfigMapGenerator: [{name: c, literals: ['url=https://example.com'], files: [key=a.txt]}]\n\
            patches: [{path: p.yaml}, {patch: \"- op: add\\n  path: /a:b\\n\"}]\n";
        let files = [
            (MAIN, kustomization),
            (
                "deploy/app.yaml",
                "kind: Service\nspec: {url: 'https://a', path: '/a?b:c', files: ['http://a']}\n",
            ),
            (
                "base/kustomization.yml",
                "resources: [../deploy/app.yaml]\n",
            ),
            (
                "part/Kustomization",
                "kind: Component\nresources: [../base]\n",
            ),
        ];
        assert_eq!(checked(&files), Ok(()));
    }

    #[test]
    fn references_to_other_machines_are_rejected() {
        let remote = [
            "https://example.com/app.yaml",
            "http://127.0.0.1:80/app.yaml",
            "HTTPS://example.com/app.yaml",
            "github.com/owner/repository",
            "github.com/owner/repository//base?ref=main",
            "git@example.com:owner/repository",
            "git::https://example.com/x.git",
            "ssh://example.com/x",
            "file:///etc",
            "example.com/x.git?ref=1",
        ];
        let fields = [
            "resources: ['{}']",
            "Resources: ['{}']",
            "bases: ['{}']",
            "components: ['{}']",
            "generators: ['{}']",
            "transformers: ['{}']",
            "validators: ['{}']",
            "crds: ['{}']",
            "configurations: ['{}']",
            "openapi: {path: '{}'}",
            "replacements: [{path: '{}'}]",
            "patches: [{path: '{}'}]",
            "patchesStrategicMerge: ['{}']",
            "patchesJson6902: [{path: '{}'}]",
            "configMapGenerator: [{files: ['a={}']}]",
            "secretGenerator: [{envs: ['{}']}]",
            "generators: [\"kind: ConfigMapGenerator\\nfiles: ['{}']\\n\"]",
            "x: &x ['{}']\nresources: *x",
        ];
        for reference in remote {
            for field in fields {
                let text = field.replace("{}", reference);
                let error = checked(&[(MAIN, &text)]).unwrap_err();
                let end = "is not a path in the checkout";
                assert!(
                    error.starts_with("`deploy/kustomization.yaml`: ") && error.ends_with(end),
                    "{text}: {error}"
                );
            }
        }
    }

    #[test]
    fn what_a_reference_leads_to_is_checked_as_well() {
        let remote = "resources: ['https://example.com/a.yaml']\n";
        let generator = "kind: ConfigMapGenerator\nfiles: ['https://example.com/a']\n";
        let tables: [&[(&str, &str)]; 5] = [
            &[
                (MAIN, "resources: [../base]"),
                ("base/kustomization.yaml", remote),
            ],
            &[
                (MAIN, "components: [../a]"),
                ("a/kustomization.yaml", "bases: [../b]"),
                ("b/Kustomization", remote),
            ],
            &[(MAIN, "generators: [g.yaml]"), ("deploy/g.yaml", generator)],
            &[(MAIN, ""), ("deploy/kustomization.yml", remote)],
            // Objects of such a directory are configuration.
            &[
                (MAIN, "generators: [../gen]"),
                ("gen/kustomization.yaml", "resources: [g.yaml]"),
                ("gen/g.yaml", generator),
            ],
        ];
        for files in tables {
            let error = checked(files).unwrap_err();
            assert!(
                error.contains("is not a path in the checkout"),
                "{files:?}: {error}"
            );
        }
    }

    #[test]
    fn a_checkout_that_cannot_be_checked_is_rejected() {
        let table = [
            (
                "resources: [absent.yaml]",
                "`deploy/kustomization.yaml`: `absent.yaml` does not exist",
            ),
            ("resources: [", "`deploy/kustomization.yaml`: "),
            ("resources: [.]", ""),
        ];
        for (text, start) in table {
            let result = checked(&[(MAIN, text)]);
            let error = result.err().unwrap_or_default();
            assert!(error.starts_with(start), "{text}: {error}");
        }
        let directory = tempfile::tempdir().unwrap();
        let deploy = directory.path().join("root/deploy");
        std::fs::create_dir_all(&deploy).unwrap();
        std::fs::write(directory.path().join("secret"), "a: b").unwrap();
        std::os::unix::fs::symlink("../../secret", deploy.join("a.yaml")).unwrap();
        std::fs::write(deploy.join("kustomization.yaml"), "resources: [a.yaml]").unwrap();
        let error = check(&directory.path().join("root"), &deploy).unwrap_err();
        assert!(error.contains("leads out"), "{error}");
    }
}
