//! Volumes, secrets and configs of a service: volumes of the run, and files of the workspace that are copied.

use actions_toolkit::WorkspacePath;
use serde_json::{Map, Value as Json};

use super::Notes;
use super::project::{Declared, Project};
use super::service::scalar;
use crate::request::services::{CopiedFile, FileSource, Service};

/// Where a secret is (docs.docker.com/reference/compose-file/services, `secrets`).
const SECRETS: &str = "/run/secrets";

/// What a line of `volumes` mounts.
enum Source {
    Tmpfs,
    /// `None` for an anonymous volume.
    Volume(Option<String>),
    /// A path on the host.
    Bind(String),
}

/// A line of `volumes`.
struct Mount {
    source: Source,
    target: String,
}

impl Source {
    // A path on the host starts with one of these; anything else is the name of a volume.
    fn named(source: Option<String>) -> Self {
        match source {
            Some(path) if path.starts_with(['.', '/', '~']) => Self::Bind(path),
            name => Self::Volume(name),
        }
    }
}

impl Mount {
    fn parse(value: &Json) -> Result<Self, String> {
        if let Json::Object(keys) = value {
            let text = |key: &str| keys.get(key).and_then(scalar);
            let target = text("target").ok_or("a line of `volumes` has no `target`")?;
            let kind = text("type").unwrap_or_default();
            if !matches!(kind.as_str(), "volume" | "bind" | "tmpfs" | "") {
                return Err(format!("`type: {kind}` in `volumes` is not supported"));
            }
            let source = text("source").or_else(|| text("src"));
            let source = match (kind.as_str(), Source::named(source)) {
                ("tmpfs", _) => Source::Tmpfs,
                // The long form may have a path without a dot.
                ("bind", Source::Volume(Some(path))) => Source::Bind(format!("./{path}")),
                (_, source) => source,
            };
            return Ok(Self { source, target });
        }
        let text = scalar(value).ok_or("`volumes` has an unknown form")?;
        let mut parts = text.splitn(3, ':');
        let (first, second) = (parts.next().unwrap_or_default(), parts.next());
        let (source, target) = match second {
            Some(target) => (Some(first.to_owned()), target),
            None => (None, first),
        };
        if !target.starts_with('/') {
            return Err(format!(
                "`{text}` in `volumes` has no absolute path in the container"
            ));
        }
        Ok(Self {
            source: Source::named(source),
            target: target.to_owned(),
        })
    }
}

impl Declared {
    fn volumes(&self) -> Result<Vec<Mount>, String> {
        match self.keys.get("volumes") {
            Some(Json::Array(list)) => list.iter().map(Mount::parse).collect(),
            Some(Json::Null) | None => Ok(Vec::new()),
            Some(_) => Err("`volumes` has an unknown form".to_owned()),
        }
    }

    /// What `service` gets: files of the workspace are copied, so that it changes none of them.
    pub(super) fn mounts(
        &self,
        service: &mut Service,
        project: &Project,
        notes: &mut Notes,
    ) -> Result<(), String> {
        for Mount { source, target } in self.volumes()? {
            match source {
                Source::Tmpfs => service.tmpfs.push(target),
                Source::Volume(name) => service.volumes.push((name, target)),
                Source::Bind(source) => match project.path(&source) {
                    Some(path) if path.absolute().exists() => {
                        path.existing().map_err(|e| e.0)?;
                        service.files.push(CopiedFile {
                            source: FileSource::Path(path),
                            target,
                        });
                    }
                    // A directory for data, which is not committed.
                    Some(_) => service.volumes.push((None, target)),
                    None => notes.warning(format!(
                        "`{}` does not get `{source}`, which is outside the workspace",
                        self.name
                    )),
                },
            }
        }
        self.granted("secrets", &project.secrets, project, service)?;
        self.granted("configs", &project.configs, project, service)
    }

    /// What the application gets: it is tested as it was built, with volumes where it writes.
    pub(super) fn mounts_of_application(
        &self,
        service: &mut Service,
        project: &Project,
        notes: &mut Notes,
    ) -> Result<(), String> {
        for Mount { source, target } in self.volumes()? {
            match source {
                Source::Tmpfs => service.tmpfs.push(target),
                Source::Volume(name) => service.volumes.push((name, target)),
                Source::Bind(source) => {
                    let exists = project
                        .path(&source)
                        .is_none_or(|path| path.absolute().exists());
                    if exists {
                        notes.info(format!(
                            "`{}`: `{source}` is not mounted at `{target}`, since the image is tested as it was built",
                            self.name
                        ));
                    } else {
                        service.volumes.push((None, target));
                    }
                }
            }
        }
        if self.has("secrets") {
            // The root file system may be read-only.
            service.volumes.push((None, SECRETS.to_owned()));
            self.granted("secrets", &project.secrets, project, service)?;
        }
        if self.has("configs") {
            notes.warning(format!("`{}` does not get its `configs`", self.name));
        }
        Ok(())
    }

    // Secrets or configs, which the file declares at its end.
    fn granted(
        &self,
        key: &str,
        declared: &Map<String, Json>,
        project: &Project,
        service: &mut Service,
    ) -> Result<(), String> {
        let Some(Json::Array(list)) = self.keys.get(key) else {
            return Ok(());
        };
        for value in list {
            let name = value
                .get("source")
                .and_then(scalar)
                .or_else(|| scalar(value));
            let name = name.ok_or_else(|| format!("`{key}` has an unknown form"))?;
            let target = value
                .get("target")
                .and_then(scalar)
                .unwrap_or_else(|| match key {
                    "configs" => format!("/{name}"),
                    _ => name.clone(),
                });
            let target = if target.starts_with('/') {
                target
            } else {
                format!("{SECRETS}/{target}")
            };
            let text = |source: &str| {
                declared
                    .get(&name)
                    .and_then(|from| from.get(source))
                    .and_then(scalar)
            };
            let source = if let Some(file) = text("file") {
                let path = project.path(&file).filter(|path| path.absolute().is_file());
                let path: Option<WorkspacePath> = path.filter(|path| path.existing().is_ok());
                FileSource::Path(path.ok_or_else(|| {
                    format!("`{file}` of the {key} `{name}` is not a file of the workspace")
                })?)
            } else if let Some(variable) = text("environment") {
                let value = project.variables.get(&variable);
                let value = value.ok_or_else(|| format!("the variable `{variable}` of the {key} `{name}` has no value; set it in `compose-env`"))?;
                project.count(value)?;
                FileSource::Content(value.clone())
            } else if let Some(content) = text("content") {
                project.count(&content)?;
                FileSource::Content(content)
            } else {
                return Err(format!(
                    "`{name}` in `{key}` has neither `file` nor `environment`"
                ));
            };
            service.files.push(CopiedFile { source, target });
        }
        Ok(())
    }
}
