//! Kubernetes manifests: read, checked, and given the image that is deployed.

use std::path::{Path, PathBuf};

use actions_toolkit::BadInput;
use container::ImageRef;
use serde_json::Value;

/// The objects to apply, in the order in which they are applied.
#[derive(Debug, Clone)]
pub(crate) struct Manifests(Vec<Object>);

/// One object.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    /// The file it came from, relative to the workspace.
    pub(crate) file: String,
    /// The object.
    pub(crate) value: Value,
}

impl Object {
    fn text(&self, pointer: &str) -> &str {
        self.value
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// `apps/v1`.
    pub(crate) fn api_version(&self) -> &str {
        self.text("/apiVersion")
    }

    /// `Deployment`.
    pub(crate) fn kind(&self) -> &str {
        self.text("/kind")
    }

    /// The object's name.
    pub(crate) fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// Its namespace, if it says one.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.value
            .pointer("/metadata/namespace")
            .and_then(Value::as_str)
    }

    /// `Deployment/flask-app`.
    pub(crate) fn label(&self) -> String {
        format!("{}/{}", self.kind(), self.name())
    }
}

// Namespaces first, and what others refer to before them; the order of the files otherwise.
fn rank(kind: &str) -> u8 {
    match kind {
        "Namespace" => 0,
        "CustomResourceDefinition" | "PriorityClass" | "StorageClass" => 1,
        "ServiceAccount" | "Role" | "RoleBinding" | "ClusterRole" | "ClusterRoleBinding" => 2,
        "ConfigMap" | "Secret" | "PersistentVolumeClaim" | "NetworkPolicy" => 3,
        "Service" => 4,
        _ => 5,
    }
}

impl Manifests {
    /// Read files and folders (their `.yaml`, `.yml` and `.json` files, in the order of their names).
    pub(crate) fn read(
        workspace: &Path,
        paths: &[PathBuf],
        namespace: Option<&str>,
    ) -> Result<Self, BadInput> {
        let bad = |problem: String| BadInput::of("manifests", problem);
        let mut objects = Vec::new();
        for path in paths {
            let shown = |path: &Path| {
                path.strip_prefix(workspace)
                    .unwrap_or(path)
                    .display()
                    .to_string()
            };
            let files =
                files(path).map_err(|e| bad(format!("`{}` can't be read: {e}", shown(path))))?;
            if files.is_empty() {
                return Err(bad(format!("there is no manifest in `{}`", shown(path))));
            }
            for file in files {
                let name = shown(&file);
                let text = std::fs::read_to_string(&file)
                    .map_err(|e| bad(format!("`{name}` can't be read: {e}")))?;
                let found: Vec<Value> = serde_saphyr::from_multiple(&text)
                    .map_err(|e| bad(format!("`{name}` is no YAML: {e}")))?;
                let found = found.into_iter().filter(|value| !value.is_null());
                objects.extend(found.map(|value| Object {
                    file: name.clone(),
                    value,
                }));
            }
        }
        for object in &mut objects {
            check(object, namespace).map_err(bad)?;
        }
        for (index, object) in objects.iter().enumerate() {
            let same = |other: &&Object| {
                (other.label(), other.namespace()) == (object.label(), object.namespace())
            };
            if let Some(twin) = objects[..index].iter().find(same) {
                return Err(bad(format!(
                    "`{}` is in `{}` and in `{}`",
                    object.label(),
                    twin.file,
                    object.file
                )));
            }
        }
        objects.sort_by_key(|object| rank(object.kind()));
        Ok(Self(objects))
    }

    /// The objects.
    pub(crate) fn objects(&self) -> &[Object] {
        &self.0
    }

    /// Every image that a container has.
    pub(crate) fn images(&self) -> Vec<String> {
        let mut found = Vec::new();
        for object in &self.0 {
            let mut value = object.value.clone();
            each_container(&mut value, &mut |container| {
                found.extend(container["image"].as_str().map(ToOwned::to_owned));
            });
        }
        found
    }

    /// The containers whose image has the repository of `image`, whatever its registry and tag.
    pub(crate) fn containers_of(&self, image: &ImageRef) -> Vec<String> {
        self.clone().with_image(image, "")
    }

    /// Give every container of that repository the image `pinned`; returns what was changed.
    pub(crate) fn with_image(&mut self, image: &ImageRef, pinned: &str) -> Vec<String> {
        let mut changed = Vec::new();
        for object in &mut self.0 {
            let label = object.label();
            each_container(&mut object.value, &mut |container| {
                let of = container["image"]
                    .as_str()
                    .and_then(|text| text.parse::<ImageRef>().ok());
                if of.is_some_and(|of| of.repository() == image.repository()) {
                    changed.push(format!(
                        "{label} {}",
                        container["name"].as_str().unwrap_or_default()
                    ));
                    container["image"] = pinned.into();
                }
            });
        }
        changed
    }
}

fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        if path.is_file()
            && path
                .extension()
                .is_some_and(|e| e == "yaml" || e == "yml" || e == "json")
        {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn check(object: &mut Object, namespace: Option<&str>) -> Result<(), String> {
    for (pointer, field) in [
        ("/apiVersion", "apiVersion"),
        ("/kind", "kind"),
        ("/metadata/name", "metadata.name"),
    ] {
        if object.text(pointer).is_empty() {
            return Err(format!("an object in `{}` has no `{field}`", object.file));
        }
    }
    match (object.namespace(), namespace) {
        (Some(own), Some(given)) if own != given => Err(format!(
            "`{}` in `{}` is for the namespace `{own}`, but the input `namespace` is `{given}`",
            object.label(),
            object.file
        )),
        (None, Some(given)) if object.kind() != "Namespace" => {
            object.value["metadata"]["namespace"] = given.into();
            Ok(())
        }
        _ => Ok(()),
    }
}

// Containers stand in a pod's spec, wherever that is: in a template, in a job's template.
fn each_container(value: &mut Value, visit: &mut impl FnMut(&mut Value)) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map.iter_mut() {
                if matches!(
                    key.as_str(),
                    "containers" | "initContainers" | "ephemeralContainers"
                ) {
                    inner
                        .as_array_mut()
                        .into_iter()
                        .flatten()
                        .for_each(&mut *visit);
                } else {
                    each_container(inner, visit);
                }
            }
        }
        Value::Array(list) => list
            .iter_mut()
            .for_each(|inner| each_container(inner, visit)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, namespace: Option<&str>) -> Result<Manifests, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("app.yaml"), text).unwrap();
        Manifests::read(folder.path(), &[folder.path().to_owned()], namespace)
            .map_err(|e| e.to_string())
    }

    const CRON: &str = "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: tidy}\nspec:\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          initContainers: [{name: wait, image: 'localhost:5077/a:1'}]\n          containers: [{name: main, image: 'localhost:5077/b:1'}]\n";

    #[test]
    fn images_are_found_in_every_kind_of_pod_by_their_repository() {
        let mut manifests = read(CRON, None).unwrap();
        let image: ImageRef = "a:2".parse().unwrap();
        assert_eq!(
            manifests.with_image(&image, "drydock.azurecr.io/a@sha256:0"),
            ["CronJob/tidy wait"]
        );
        let mut images = manifests.images();
        images.sort();
        assert_eq!(
            images,
            ["drydock.azurecr.io/a@sha256:0", "localhost:5077/b:1"]
        );
    }

    #[test]
    fn namespaces_come_first() {
        let both = format!("{CRON}---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: web}}\n");
        let manifests = read(&both, None).unwrap();
        assert_eq!(
            manifests
                .objects()
                .iter()
                .map(Object::label)
                .collect::<Vec<_>>(),
            ["Namespace/web", "CronJob/tidy"]
        );
    }

    #[test]
    fn mistakes_name_the_file() {
        let table = [
            ("a: [", None, "input `manifests`: `app.yaml` is no YAML"),
            (
                "kind: Service\nmetadata: {name: x}",
                None,
                "input `manifests`: an object in `app.yaml` has no `apiVersion`",
            ),
            (
                "apiVersion: v1\nkind: Service\nmetadata: {name: x, namespace: a}",
                Some("b"),
                "input `manifests`: `Service/x` in `app.yaml` is for the namespace `a`, but the input `namespace` is `b`",
            ),
            (
                "apiVersion: v1\nkind: Service\nmetadata: {name: x}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: x}",
                None,
                "input `manifests`: `Service/x` is in `app.yaml` and in `app.yaml`",
            ),
        ];
        for (text, namespace, message) in table {
            let error = read(text, namespace).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
