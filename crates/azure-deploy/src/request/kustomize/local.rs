//! Whether kustomize would read only files of the checkout.
//!
//! kustomize fetches what looks like an address, over http or by git (kustomize/api/internal/loader/fileloader.go and
//! internal/git/repospec.go), and has no flag against it. So every reference is looked at before it starts.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::NAMES;
use super::reference::{Reference, shown};
use crate::action::Inputs;
use crate::manifests::yaml;

/// Bytes of the largest kustomization, or configuration of a generator, that is read.
pub(super) const FILE: usize = limits::MIB;
/// Directories and files that are read.
const FILES: usize = 500;
/// Fields that refer to objects or to directories with a kustomization. Names are compared as Go does, in any case.
pub(super) const MANIFESTS: &[&str] = &["resources", "components", "bases"];
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

/// What a kustomization, and every one that it builds on, refers to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The directories in or below which kustomize reads files, relative to the root, with links resolved.
    pub(super) directories: BTreeSet<PathBuf>,
    /// The links on the way to them, relative to the root, the directory of each with links resolved.
    pub(super) links: BTreeSet<PathBuf>,
    /// The references to other machines that may be fetched, by their kustomization, relative to the root.
    pub(super) remote: BTreeMap<PathBuf, BTreeSet<String>>,
}

/// Where a kustomization is from.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// The checkout.
    Checkout {
        /// Whether references to other machines are fetched.
        is_fetched: bool,
        /// The URL of GitHub's web pages.
        server: String,
    },
    /// A repository that was fetched.
    Repository {
        /// Owner and name.
        name: String,
        /// The links that were not unpacked, relative to its root.
        links: Arc<BTreeSet<PathBuf>>,
    },
}

/// Check the kustomization in `directory`, and every one that it builds on. References to other machines are errors, but for those
/// of `resources` and the like if they are fetched.
///
/// # Errors
/// With the reference that leads out of `root`, does not exist or can't be read.
pub(super) fn check(root: &Path, directory: &Path, origin: Origin) -> Result<Found, String> {
    let mut walk = Walk {
        root: root.canonicalize().map_err(|e| e.to_string())?,
        origin,
        seen: HashSet::new(),
        pending: vec![(directory.to_owned(), Role::Manifests)],
        found: Found::default(),
    };
    while let Some((path, role)) = walk.pending.pop() {
        walk.path(&path, role)?;
    }
    Ok(walk.found)
}

/// The documents of `text`, with keys and numbers as kustomize reads them.
///
/// # Errors
/// When it is not YAML, with one line.
pub(super) fn documents(text: &str) -> Result<Vec<Value>, String> {
    yaml::documents(text).map_err(|e| {
        let error = e.to_string();
        error.lines().next().unwrap_or_default().to_owned()
    })
}

/// The check of one file without the files that it refers to.
#[cfg(fuzzing)]
pub(super) fn check_text(text: &str) {
    let root = Path::new("/nonexistent");
    let mut walk = Walk {
        root: root.to_owned(),
        origin: Origin::Checkout {
            is_fetched: false,
            server: "https://github.com".to_owned(),
        },
        seen: HashSet::new(),
        pending: Vec::new(),
        found: Found::default(),
    };
    let place = Place {
        path: root,
        directory: root,
        role: Role::Manifests,
        is_whole: true,
    };
    let _ = walk.text(text, &place);
}

struct Walk {
    root: PathBuf,
    origin: Origin,
    seen: HashSet<(PathBuf, Role)>,
    pending: Vec<(PathBuf, Role)>,
    found: Found,
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
#[derive(Clone, Copy)]
struct Place<'a> {
    path: &'a Path,
    directory: &'a Path,
    role: Role,
    /// Whether it is the whole of a file, and not a part of it.
    is_whole: bool,
}

impl Place<'_> {
    fn part(self) -> Self {
        Self {
            is_whole: false,
            ..self
        }
    }
}

impl Walk {
    fn path(&mut self, path: &Path, role: Role) -> Result<(), String> {
        let real = path.canonicalize().map_err(|e| self.bad(path, &e))?;
        if !real.starts_with(&self.root) {
            return Err(self.outside(path));
        }
        self.links(path);
        if !self.seen.insert((real.clone(), role)) {
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
        let inside = real.strip_prefix(&self.root).unwrap_or(&real);
        self.found.directories.insert(inside.to_owned());
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
            is_whole: true,
        };
        self.text(&text, &place)
    }

    fn text(&mut self, text: &str, place: &Place<'_>) -> Result<(), String> {
        let documents = documents(text).map_err(|e| self.bad(place.path, &e))?;
        let mut documents = documents.iter();
        documents.try_for_each(|document| self.value(document, place))
    }

    fn value(&mut self, value: &Value, place: &Place<'_>) -> Result<(), String> {
        match value {
            Value::Array(list) => {
                let (mut list, part) = (list.iter(), place.part());
                list.try_for_each(|value| self.value(value, &part))
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
                self.value(value, &place.part())
            }),
            _ => Ok(()),
        }
    }

    fn source(&mut self, reference: &str, role: Role, place: &Place<'_>) -> Result<(), String> {
        // The configuration itself in place of a path.
        if reference.contains('\n') {
            return self.text(reference, &place.part());
        }
        if place.is_whole && role == Role::Manifests && is_remote(reference) {
            return self.remote(reference, place);
        }
        self.content(reference, place)?;
        let target = place.directory.join(reference);
        if !target.exists() {
            let problem = if self.is_left_out(&target) {
                "is a link in the repository, and links are not unpacked"
            } else {
                "does not exist"
            };
            return Err(self.bad(place.path, &format!("`{reference}` {problem}")));
        }
        self.pending.push((target, role));
        Ok(())
    }

    fn remote(&mut self, reference: &str, place: &Place<'_>) -> Result<(), String> {
        if let Origin::Checkout {
            is_fetched: false,
            server,
        } = &self.origin
        {
            let hint = if Reference::is_fetchable(reference, server) {
                format!("; set `{}: true` to fetch it", Inputs::remote_bases)
            } else {
                String::new()
            };
            let reference = shown(reference);
            let problem = format!("`{reference}` is not a path in the checkout{hint}");
            return Err(self.bad(place.path, &problem));
        }
        let directory = place.directory.canonicalize();
        let directory = directory.map_err(|e| self.bad(place.path, &e))?;
        let inside = directory.strip_prefix(&self.root).unwrap_or(&directory);
        let file = inside.join(place.path.file_name().unwrap_or_default());
        let references = self.found.remote.entry(file).or_default();
        references.insert(reference.to_owned());
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
            let place_of = match &self.origin {
                Origin::Checkout { .. } => "the checkout",
                Origin::Repository { .. } => "the repository",
            };
            let problem = format!("`{}` is not a path in {place_of}", shown(reference));
            return Err(self.bad(place.path, &problem));
        }
        Ok(())
    }

    // Record the links on the way to `path`, which exists.
    fn links(&mut self, path: &Path) {
        let mut path = path.to_owned();
        // As many as Linux follows.
        for _ in 0..40 {
            let Some((link, target)) = first_link(&path) else {
                return;
            };
            if let Ok(inside) = link.strip_prefix(&self.root) {
                self.found.links.insert(inside.to_owned());
            }
            path = target;
        }
    }

    // Whether `target`, which does not exist, is one of the links of a repository, or behind one.
    fn is_left_out(&self, target: &Path) -> bool {
        let Origin::Repository { links, .. } = &self.origin else {
            return false;
        };
        steps(target).any(|(path, _)| {
            let inside = path.strip_prefix(&self.root);
            inside.is_ok_and(|inside| links.contains(inside))
        })
    }

    fn outside(&self, path: &Path) -> String {
        match &self.origin {
            Origin::Checkout { .. } => {
                self.bad(path, &"it is a link that leads out of the checkout")
            }
            Origin::Repository { name, .. } => {
                self.bad(path, &format!("it leads out of the repository `{name}`"))
            }
        }
    }

    fn bad(&self, path: &Path, problem: &dyn std::fmt::Display) -> String {
        let shown = path.strip_prefix(&self.root).unwrap_or(path);
        format!("`{}`: {problem}", shown.display())
    }
}

// The first link on the way to `path`, and the path with the target of the link in its place.
fn first_link(path: &Path) -> Option<(PathBuf, PathBuf)> {
    steps(path).find_map(|(link, rest)| {
        let target = link.read_link().ok()?;
        let directory = link.parent().unwrap_or(&link);
        let target = directory.join(target).join(rest);
        Some((link, target))
    })
}

// The steps of the way to `path`: each with what follows it. What is before a `..` is not a link.
fn steps(path: &Path) -> impl Iterator<Item = (PathBuf, &Path)> {
    let mut parts = path.components();
    let mut step = PathBuf::new();
    std::iter::from_fn(move || {
        match parts.next()? {
            Component::ParentDir => {
                step.pop();
            }
            part => step.push(part),
        }
        Some((step.clone(), parts.as_path()))
    })
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

    fn checkout(is_fetched: bool) -> Origin {
        Origin::Checkout {
            is_fetched,
            server: "https://github.com".into(),
        }
    }

    fn checked(files: &[(&str, &str)]) -> Result<(), String> {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let deploy = directory.path().join("deploy");
        check(directory.path(), &deploy, checkout(false)).map(drop)
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
        let fetched = &remote[..5];
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
                let is_base = ["resources: [", "Resources", "bases", "components", "x:"];
                let is_base = is_base.into_iter().any(|start| text.starts_with(start));
                let end = if is_base && fetched.contains(&reference) {
                    "is not a path in the checkout; set `remote-bases: true` to fetch it"
                } else {
                    "is not a path in the checkout"
                };
                assert!(
                    error.starts_with("`deploy/kustomization.yaml`: ") && error.ends_with(end),
                    "{text}: {error}"
                );
            }
        }
    }

    #[test]
    fn only_references_to_bases_are_fetched() {
        let remote = "github.com/octo-org/base//deploy?ref=v1";
        let found = |text: &str| {
            let directory = tempfile::tempdir().unwrap();
            let deploy = directory.path().join("deploy");
            std::fs::create_dir_all(deploy.join("part")).unwrap();
            std::fs::write(deploy.join("kustomization.yaml"), text).unwrap();
            let part = format!("components: ['{remote}']\n");
            std::fs::write(deploy.join("part/Kustomization"), part).unwrap();
            check(directory.path(), &deploy, checkout(true))
        };
        let references = |files: &[&str]| {
            let references = files.iter().map(|file| {
                let file = PathBuf::from(file);
                (file, BTreeSet::from([remote.to_owned()]))
            });
            references.collect::<BTreeMap<_, _>>()
        };
        let whole = found(&format!("resources: [part, '{remote}']\n")).unwrap();
        assert_eq!(
            whole.remote,
            references(&["deploy/kustomization.yaml", "deploy/part/Kustomization"])
        );
        let directories = ["deploy", "deploy/part"].map(PathBuf::from);
        assert_eq!(whole.directories, BTreeSet::from(directories));
        for text in [
            "crds: ['{}']",
            "generators: ['{}']",
            "a: {resources: ['{}']}",
        ] {
            let error = found(&text.replace("{}", remote)).unwrap_err();
            assert!(error.ends_with("is not a path in the checkout"), "{error}");
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
        let root = directory.path().join("root");
        let error = check(&root, &deploy, checkout(true)).unwrap_err();
        assert!(error.ends_with("leads out of the checkout"), "{error}");
        let repository = Origin::Repository {
            name: "octo-org/base".into(),
            links: Arc::default(),
        };
        let error = check(&root, &deploy, repository).unwrap_err();
        assert!(
            error.ends_with("leads out of the repository `octo-org/base`"),
            "{error}"
        );
    }

    #[test]
    fn links_that_were_left_out_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let deploy = directory.path().join("deploy");
        std::fs::create_dir(&deploy).unwrap();
        let table = [
            ("../current", "is a link in the repository"),
            ("../current/part", "is a link in the repository"),
            ("a.yaml", "is a link in the repository"),
            ("../other", "does not exist"),
        ];
        for (reference, expected) in table {
            let text = format!("resources: ['{reference}']\n");
            std::fs::write(deploy.join("kustomization.yaml"), text).unwrap();
            let links = ["current", "deploy/a.yaml"].map(PathBuf::from);
            let origin = Origin::Repository {
                name: "octo-org/base".into(),
                links: Arc::new(links.into()),
            };
            let error = check(directory.path(), &deploy, origin).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn links_on_the_way_are_recorded() {
        use std::os::unix::fs::symlink;

        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        for path in ["deploy", "bases/v2/part"] {
            std::fs::create_dir_all(root.join(path)).unwrap();
            std::fs::write(root.join(path).join("kustomization.yaml"), "").unwrap();
        }
        symlink("v2", root.join("bases/current")).unwrap();
        symlink(root.join("bases/current"), root.join("bases/newest")).unwrap();
        let text = "resources: [../bases/newest/part]\n";
        std::fs::write(root.join("deploy/kustomization.yaml"), text).unwrap();
        let found = check(&root, &root.join("deploy"), checkout(true)).unwrap();
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<BTreeSet<_>>();
        assert_eq!(found.links, paths(&["bases/current", "bases/newest"]));
        assert_eq!(found.directories, paths(&["bases/v2/part", "deploy"]));
    }
}
