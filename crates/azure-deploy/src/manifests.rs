//! Kubernetes manifests: read, checked, and with the image that is deployed.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::{Path, PathBuf};

use actions_toolkit::{BadInput, Workspace, WorkspacePath};
use serde_json::{Value, json};

use crate::kubernetes::{
    ApplySet, DEFAULT_NAMESPACE, Object, containers, containers_mut, text as text_of,
};
use crate::request::Rendered;

mod autoscaling;
mod configuration;
mod image_names;
mod preview;
mod pull_secret;
mod variables;
pub(crate) mod yaml;

pub(crate) use configuration::{Reading, Stale, is_read, stale};
pub(crate) use image_names::ImageNames;
pub(crate) use pull_secret::replaces_login;
pub(crate) use variables::{Facts, Variables};

/// Bytes of the largest file; the API server accepts objects of 3 MB.
const FILE: usize = 16 * limits::MIB;
/// Bytes of all files.
const FILES: usize = 32 * limits::MIB;

/// The objects to apply, in the order in which they are applied.
#[derive(Debug, Clone)]
pub(crate) struct Manifests(Vec<Object>);

/// The namespace of objects whose manifest has none.
#[derive(Debug, Default)]
pub(crate) struct Namespace {
    /// Of the input: an object with another one is rejected.
    pub(crate) input: Option<String>,
    /// Of the kubeconfig's context.
    pub(crate) context: Option<String>,
}

impl Manifests {
    /// Read files and directories (their `.yaml`, `.yml` and `.json` files, in the order of their names).
    /// What is `rendered` replaces its kustomization or chart. Objects without a namespace get
    /// `namespace`.
    pub(crate) fn read(
        workspace: &Workspace,
        paths: &[WorkspacePath],
        rendered: &[Rendered],
        namespace: &Namespace,
    ) -> Result<Self, BadInput> {
        let default = namespace.input.as_ref().or(namespace.context.as_ref());
        let bad = |problem: String| BadInput::new("manifests", problem);
        let (mut objects, mut size) = (Vec::new(), 0);
        let mut known = HashMap::new();
        for path in paths {
            let mut texts = Vec::new();
            if let Some(rendered) = rendered.iter().find(|r| r.path == *path) {
                texts.clone_from(&rendered.texts);
            } else {
                let unreadable = |name: &str, e| bad(format!("`{name}` cannot be read: {e}"));
                let files = files(&path.absolute());
                for file in files.map_err(|e| unreadable(path.relative(), e))? {
                    let name = workspace.relative(&file);
                    let name = name.unwrap_or_else(|| file.display().to_string());
                    let text = limits::read_text(workspace.root(), &file, FILE);
                    let text = text.map_err(|e| unreadable(&name, e))?;
                    size += text.len();
                    if size > FILES {
                        let problem = format!("the files are larger than {FILES} bytes together");
                        return Err(bad(problem));
                    }
                    texts.push((name, text));
                }
            }
            if texts.is_empty() {
                return Err(bad(nothing_in(path)));
            }
            for (name, text) in texts {
                let documents = parse(&text).map_err(|e| bad(invalid(&name, &text, &e)))?;
                // The documents of what kustomize renders are in no file; its name is that of the directory.
                let is_rendered =
                    rendered.iter().any(|r| r.path == *path) && name == path.relative();
                let several = !is_rendered && documents.iter().any(|document| document.number > 1);
                for Document { number, value } in documents {
                    let object = Object {
                        file: name.clone(),
                        document: several.then_some(number),
                        value,
                        default_namespace: default.cloned(),
                    };
                    let place = object.place();
                    check(&object, &place, namespace.input.as_deref()).map_err(bad)?;
                    let (group, kind, name, namespace) = object.identity();
                    let identity = [group, kind, name].map(ToOwned::to_owned);
                    let identity = (identity, namespace.map(ToOwned::to_owned));
                    if let Some(other) = known.insert(identity, place.clone()) {
                        let label = object.label();
                        return Err(bad(format!("`{label}` is in {other} and in {place}")));
                    }
                    objects.push(object);
                }
            }
        }
        objects.sort_by(Object::order);
        Ok(Self(objects))
    }

    /// The objects, in the order in which they are applied.
    pub(crate) fn objects(&self) -> &[Object] {
        &self.0
    }

    /// Make the objects a set, whose parent is one of them from now on. It is in the namespace of the first object that runs
    /// an image of `names`, and `distinguished` from other sets there.
    pub(crate) fn make_set(&mut self, names: &ImageNames, distinguished: &str) -> ApplySet {
        let runs = |object: &&Object| {
            let containers = containers(&object.value);
            let mut images = containers.iter().filter_map(|c| c["image"].as_str());
            images.any(|image| names.is_of(image))
        };
        let first = self.0.iter().find(runs).and_then(Object::namespace);
        let set = ApplySet::new(
            names.repository(),
            distinguished,
            first.unwrap_or(DEFAULT_NAMESPACE),
        );
        let parent = set.adopt(&mut self.0);
        self.add(parent);
        set
    }

    /// Add the namespaces that objects are for.
    pub(crate) fn add_namespaces(&mut self) {
        let used: BTreeSet<_> = self.0.iter().filter_map(Object::namespace).collect();
        let is_listed = |name: &str| {
            let mut namespaces = self.0.iter().filter(|object| object.is_namespace());
            namespaces.any(|namespace| namespace.name() == name)
        };
        let missing = used.into_iter().filter(|name| !is_listed(name));
        let missing: Vec<_> = missing
            .map(|name| Object {
                file: "input `create-namespace`".to_owned(),
                document: None,
                value: json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}),
                default_namespace: None,
            })
            .collect();
        for namespace in missing {
            self.add(namespace);
        }
    }

    /// Add `object` where it belongs in the order; it replaces the same object.
    pub(crate) fn add(&mut self, object: Object) {
        self.0.retain(|other| !other.is_same(&object));
        self.0.push(object);
        self.0.sort_by(Object::order);
    }

    /// Every image of a container.
    pub(crate) fn images(&self) -> Vec<&str> {
        let containers = self.0.iter().flat_map(|object| containers(&object.value));
        let mut images: Vec<_> = containers.filter_map(|c| c["image"].as_str()).collect();
        images.sort_unstable();
        images.dedup();
        images
    }

    /// Whether a container has an image of `names`.
    pub(crate) fn name(&self, names: &ImageNames) -> bool {
        self.images().into_iter().any(|image| names.is_of(image))
    }

    /// Give every container of an image of `names` the image `pinned`; returns these containers.
    pub(crate) fn with_image(&mut self, names: &ImageNames, pinned: &str) -> Vec<String> {
        let mut changed = Vec::new();
        for object in &mut self.0 {
            let label = object.label();
            for container in containers_mut(&mut object.value) {
                if container["image"]
                    .as_str()
                    .is_some_and(|image| names.is_of(image))
                {
                    let name = container["name"].as_str().unwrap_or_default();
                    changed.push(format!("{label} `{name}`"));
                    container["image"] = pinned.into();
                }
            }
        }
        changed
    }

    /// Set `variables` in every container of an image of `names`; they replace those of the same name.
    pub(crate) fn set_variables(&mut self, names: &ImageNames, variables: &Variables) {
        let objects = self.0.iter_mut();
        let containers = objects.flat_map(|object| containers_mut(&mut object.value));
        for container in containers {
            if container["image"]
                .as_str()
                .is_some_and(|image| names.is_of(image))
            {
                variables.set_in(container);
            }
        }
    }
}

// `1e3` as the integer 1000, as kubectl sends it: the API server takes no `1000.0` for an integer.
fn with_integers(value: Value) -> Value {
    /// Integers are exact in a `f64` up to here.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) if number.is_f64() => match number.as_f64() {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "an integer within the bounds"
            )]
            Some(float) if float.fract() == 0.0 && float.abs() <= EXACT => (float as i64).into(),
            _ => number.into(),
        },
        Value::Array(items) => items.into_iter().map(with_integers).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter();
            fields
                .map(|(name, value)| (name, with_integers(value)))
                .collect()
        }
        other => other,
    }
}

/// A document of a file, or an item of its list.
#[derive(Debug)]
pub(crate) struct Document {
    /// Of the document, counted from 1.
    number: usize,
    pub(crate) value: Value,
}

// Why a file is not YAML, with the document and the line.
fn invalid(name: &str, text: &str, problem: &str) -> String {
    if text.contains("{{") {
        return format!(
            "`{name}` is a template (`{{{{ … }}}}`), and not YAML; name its chart, the directory with `Chart.yaml`, or render it in an earlier step: {problem}"
        );
    }
    let mut words = problem.split_whitespace();
    let line = words
        .find(|word| *word == "line")
        .and_then(|_| words.next());
    let line: Option<usize> = line.and_then(|line| line.trim_end_matches(':').parse().ok());
    let before = text.lines().take(line.unwrap_or_default()).enumerate();
    // The first one may begin a document that is the first.
    let separators = before.filter(|(at, line)| *at > 0 && line.trim_end() == "---");
    match separators.count() {
        0 => format!("invalid YAML in `{name}`: {problem}"),
        count => format!(
            "invalid YAML in `{name}`, document {}: {problem}",
            count + 1
        ),
    }
}

// Every document, and the items of a `List`, as kubectl reads it.
pub(crate) fn parse(text: &str) -> Result<Vec<Document>, String> {
    let documents = yaml::documents(text).map_err(|e| {
        // The following lines are a drawing for a terminal.
        let error = e.to_string();
        let line = error.lines().next().unwrap_or_default();
        line.trim_start_matches("error: ").to_owned()
    })?;
    let mut objects = Vec::new();
    let documents = documents.into_iter().map(with_integers).zip(1..);
    let mut documents: VecDeque<_> = documents.collect();
    while let Some((mut document, number)) = documents.pop_front() {
        let is_list = text_of(&document, "/kind").ends_with("List");
        let items = document.get_mut("items").and_then(Value::as_array_mut);
        match items.filter(|_| is_list) {
            Some(items) => items
                .drain(..)
                .rev()
                .for_each(|item| documents.push_front((item, number))),
            None => objects.push(Document {
                number,
                value: document,
            }),
        }
    }
    objects.retain(|document| !document.value.is_null());
    Ok(objects)
}

// Why there is no manifest in a directory.
fn nothing_in(path: &WorkspacePath) -> String {
    let shown = path.relative();
    format!("no manifests in `{shown}`; directories in it are not read: name them, one per line")
}

fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        if path.is_file() && is_manifest(&path) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Whether the name of `path` is that of a manifest.
pub(crate) fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    extension == "yaml" || extension == "yml" || extension == "json"
}

// `place` is the document and the file.
fn check(object: &Object, place: &str, namespace: Option<&str>) -> Result<(), String> {
    if !object.value.is_object() {
        return Err(format!("{place} is not an object of Kubernetes"));
    }
    if object.api_version().starts_with("kustomize.config.k8s.io/") {
        return Err(format!(
            "{place} is a kustomization; name its directory, which is rendered by kustomize"
        ));
    }
    for (pointer, field) in [
        ("/apiVersion", "apiVersion"),
        ("/kind", "kind"),
        ("/metadata/name", "metadata.name"),
    ] {
        if field == "metadata.name" && !object.text("/metadata/generateName").is_empty() {
            return Err(format!(
                "an object of the kind `{}` in {place} has a `metadata.generateName`, which makes another object each time; give it a `metadata.name`",
                object.kind()
            ));
        }
        if object.text(pointer).is_empty() {
            let kind = match object.kind() {
                "" => String::new(),
                kind => format!(" of the kind `{kind}`"),
            };
            return Err(format!("an object{kind} in {place} has no `{field}`"));
        }
    }
    match (object.namespace(), namespace) {
        (Some(own), Some(namespace)) if own != namespace => Err(format!(
            "`{}` in {place} is for the namespace `{own}`, but the input `namespace` is `{namespace}`",
            object.label(),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
