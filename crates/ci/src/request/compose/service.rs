//! A service of a compose file as the step starts it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use actions_toolkit::{Log, Scope, Timeout, Value as _};
use docker::HealthCheck;
use serde_json::{Map, Value as Json};

use super::project::{Declared, Project};
use super::{Notes, names};
use crate::request::path::DockerfilePath;
use crate::request::services::{Condition, Service, ServiceBuild, ServiceImage};
use crate::request::words;

/// Files of one `env_file`, each of which is read.
const ENV_FILES: usize = 20;
/// What a container of the step never gets.
const REFUSED: &[(&str, &[&str])] = &[
    ("network_mode", &["host"]),
    ("pid", &["host"]),
    ("ipc", &["host"]),
    ("uts", &["host"]),
    ("cgroup", &["host"]),
];
/// Keys that are read elsewhere, or have nothing that a service could miss.
const READ: &[&str] = &[
    "build",
    "image",
    "depends_on",
    "profiles",
    "links",
    "environment",
    "env_file",
    "command",
    "entrypoint",
    "user",
    "working_dir",
    "hostname",
    "container_name",
    "networks",
    "ports",
    "expose",
    "healthcheck",
    "tmpfs",
    "volumes",
    "secrets",
    "configs",
];

/// Keys of `build` that are read, or do not change what a container of the image does.
const BUILD: &[&str] = &[
    "context",
    "dockerfile",
    "target",
    "args",
    "cache_from",
    "cache_to",
    "labels",
    "no_cache",
    "no_cache_filter",
    "platforms",
    "provenance",
    "pull",
    "sbom",
    "shm_size",
    "tags",
    "ulimits",
];

/// A service that another one needs.
#[derive(Debug)]
pub(super) struct Dependency {
    pub(super) name: String,
    pub(super) condition: Condition,
    pub(super) is_required: bool,
}

/// From what a service is built.
#[derive(Debug)]
pub(super) struct BuildFrom {
    pub(super) context: PathBuf,
    /// The same, with links resolved; `None` if it is not a directory of the workspace.
    resolved: Option<PathBuf>,
    pub(super) dockerfile: String,
    pub(super) target: Option<String>,
    args: Vec<(String, String)>,
    others: Vec<String>,
}

impl Declared {
    fn object(&self, key: &str) -> Result<Option<&Map<String, Json>>, String> {
        match self.keys.get(key) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Object(map)) => Ok(Some(map)),
            Some(_) => Err(format!("`{}`: `{key}` has an unknown form", self.name)),
        }
    }

    fn text(&self, key: &str) -> Option<String> {
        self.keys.get(key).and_then(scalar)
    }

    /// What it needs: `depends_on`, and what `links` names.
    pub(super) fn dependencies(&self) -> Vec<Dependency> {
        let mut all: Vec<Dependency> = Vec::new();
        let mut add = |name: &str, condition: Option<&str>, is_required| {
            let condition = match condition {
                Some("service_completed_successfully") => Condition::Completed,
                _ => Condition::Ready,
            };
            let name = name.to_owned();
            all.push(Dependency {
                name,
                condition,
                is_required,
            });
        };
        match self.keys.get("depends_on") {
            Some(Json::Object(map)) => {
                for (name, how) in map {
                    let condition = how.get("condition").and_then(Json::as_str);
                    let is_required = how.get("required").and_then(boolean);
                    add(name, condition, is_required.unwrap_or(true));
                }
            }
            Some(value) => list(value).iter().for_each(|name| add(name, None, true)),
            None => {}
        }
        for (name, _) in self.links() {
            if !all.iter().any(|known| known.name == name) {
                all.push(Dependency {
                    name,
                    condition: Condition::Ready,
                    is_required: true,
                });
            }
        }
        all
    }

    /// Other services, and the names that they have here.
    pub(super) fn links(&self) -> Vec<(String, String)> {
        let links = self.keys.get("links").map(list).unwrap_or_default();
        let pairs = links
            .iter()
            .map(|link| link.split_once(':').unwrap_or((link, link)));
        let own = |(service, alias): (&str, &str)| (service.to_owned(), alias.to_owned());
        pairs.map(own).collect()
    }

    /// `None` if it has an image.
    pub(super) fn build(&self, project: &Project) -> Result<Option<BuildFrom>, String> {
        let own = Map::new();
        let (context, keys) = match self.keys.get("build") {
            None | Some(Json::Null) => return Ok(None),
            Some(Json::Object(keys)) => (keys.get("context").and_then(scalar), keys),
            Some(value) => (scalar(value), &own),
        };
        let context = context.unwrap_or_else(|| ".".to_owned());
        let dockerfile = keys.get("dockerfile").and_then(scalar);
        let dockerfile = dockerfile.unwrap_or_else(|| "Dockerfile".to_owned());
        // Its text in the file is no other service's Dockerfile.
        let dockerfile = Some(dockerfile).filter(|_| !keys.contains_key("dockerfile_inline"));
        let at = |problem: String| format!("`{}`: {problem}", self.name);
        let args = keys.get("args").map(|args| pairs(args, "args", project));
        let others = keys.keys().filter(|key| !BUILD.contains(&key.as_str()));
        let Some(directory) = project.path(&context) else {
            // Only the build of a service that is started has to be possible.
            return Ok(Some(BuildFrom {
                context: PathBuf::from(context),
                resolved: None,
                dockerfile: String::new(),
                target: None,
                args: Vec::new(),
                others: Vec::new(),
            }));
        };
        let dockerfile = dockerfile
            .and_then(|path| DockerfilePath::new("dockerfile", &path, &directory).ok())
            .map(|path| path.in_context);
        Ok(Some(BuildFrom {
            context: directory.absolute(),
            resolved: directory.directory().ok(),
            dockerfile: dockerfile.unwrap_or_default(),
            target: keys
                .get("target")
                .and_then(scalar)
                .filter(|target| !target.is_empty()),
            args: args.transpose().map_err(at)?.unwrap_or_default(),
            others: others.cloned().collect(),
        }))
    }

    /// A service to start.
    pub(super) fn service(&self, project: &Project, notes: &mut Notes) -> Result<Service, String> {
        if self.keys.get("privileged").and_then(boolean) == Some(true) {
            return Err("`privileged: true` is not permitted in a service of the step".to_owned());
        }
        for (key, values) in REFUSED {
            let value = self
                .text(key)
                .filter(|value| values.contains(&value.as_str()));
            if let Some(value) = value {
                return Err(format!(
                    "`{key}: {value}` is not permitted in a service of the step"
                ));
            }
        }
        let image = if let Some(from) = self.build(project)? {
            ServiceImage::Built(built(from)?)
        } else {
            let image = self
                .text("image")
                .ok_or("has neither `image` nor `build`")?;
            let image = image.trim();
            ServiceImage::Named(image.parse().map_err(|e| format!("`{image}`: {e}"))?)
        };
        let mut service = self.common(image, project, notes)?;
        self.mounts(&mut service, project, notes)?;
        self.name_the_rest(notes, &[]);
        Ok(service)
    }

    /// The service that the step builds: its image is the step's.
    pub(super) fn application(
        &self,
        project: &Project,
        notes: &mut Notes,
    ) -> Result<Service, String> {
        let image = ServiceImage::Built(ServiceBuild::default());
        let mut service = self.common(image, project, notes)?;
        self.mounts_of_application(&mut service, project, notes)?;
        let build = self.object("build").ok().flatten();
        if build.is_some_and(|build| build.contains_key("args")) {
            notes.info(format!(
                "`{}`: `args` of its `build` are not used; the step has `build-args`",
                self.name
            ));
        }
        self.name_the_rest(notes, &["deploy", "mem_limit"]);
        Ok(service)
    }

    fn common(
        &self,
        image: ServiceImage,
        project: &Project,
        notes: &mut Notes,
    ) -> Result<Service, String> {
        let command = self
            .keys
            .get("command")
            .map(|value| split("command", value))
            .transpose()?;
        let entrypoint = self
            .keys
            .get("entrypoint")
            .map(|value| split("entrypoint", value))
            .transpose()?;
        // An empty one removes the image's.
        let entrypoint = match (entrypoint, self.keys.get("entrypoint")) {
            (Some(words), Some(value)) if words.is_empty() && !value.is_null() => {
                vec![String::new()]
            }
            (words, _) => words.unwrap_or_default(),
        };
        let after = self.dependencies().into_iter();
        let tmpfs = self.keys.get("tmpfs").map(list).unwrap_or_default();
        let tmpfs = tmpfs
            .iter()
            .map(|path| path.split(':').next().unwrap_or_default().to_owned());
        let mut aliases: Vec<_> = ["hostname", "container_name"]
            .iter()
            .filter_map(|key| self.text(key))
            .collect();
        if let Some(Json::Object(networks)) = self.keys.get("networks") {
            let of_networks = networks
                .values()
                .filter_map(|network| network.get("aliases"));
            aliases.extend(of_networks.flat_map(list));
        }
        Ok(Service {
            name: self.name.clone(),
            image,
            env: self.environment(project, notes)?,
            entrypoint,
            command: command.unwrap_or_default(),
            tmpfs: tmpfs.collect(),
            user: self.text("user"),
            health: self.health(project)?,
            aliases,
            working_dir: self.text("working_dir"),
            ports: self.ports()?,
            after: after
                .map(|dependency| (dependency.name, dependency.condition))
                .collect(),
            ..Service::default()
        })
    }

    // `env_file`, and then `environment`.
    fn environment(&self, project: &Project, notes: &mut Notes) -> Result<Vec<String>, String> {
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        let files = match self.keys.get("env_file") {
            Some(Json::Array(list)) => list.clone(),
            Some(Json::Null) | None => Vec::new(),
            Some(value) => vec![value.clone()],
        };
        if files.len() > ENV_FILES {
            return Err(format!("has more than {ENV_FILES} files in `env_file`"));
        }
        for file in files {
            let required = file.get("required").and_then(boolean).unwrap_or(true);
            let path = file.get("path").and_then(scalar).or_else(|| scalar(&file));
            let path = path.ok_or("`env_file` has an unknown form")?;
            let is_raw = file.get("format").and_then(Json::as_str) == Some("raw");
            match project.env_file((&path, is_raw), &project.variables, notes)? {
                Some(pairs) => {
                    for (_, value) in &pairs {
                        project.count(value)?;
                    }
                    all.extend(pairs);
                }
                None if required => {
                    return Err(format!(
                        "its `env_file` `{path}` is not in the checkout, nor is a sample of it; write it in an earlier step"
                    ));
                }
                None => {}
            }
        }
        if let Some(value) = self.keys.get("environment") {
            all.extend(pairs(value, "environment", project)?);
        }
        Ok(all
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect())
    }

    // What it listens on, of TCP; the container's side.
    fn ports(&self) -> Result<Vec<u16>, String> {
        let mut ports = Vec::new();
        for key in ["ports", "expose"] {
            let Some(Json::Array(list)) = self.keys.get(key) else {
                continue;
            };
            for value in list {
                let target = value.get("target").and_then(scalar);
                let text = target.or_else(|| scalar(value));
                let text = text.ok_or_else(|| format!("`{key}` has an unknown form"))?;
                let protocol = value.get("protocol").and_then(Json::as_str);
                let (port, protocol) = match text.split_once('/') {
                    Some((port, protocol)) => (port, Some(protocol)),
                    None => (text.as_str(), protocol),
                };
                let port = port.rsplit(':').next().unwrap_or_default();
                if protocol.is_some_and(|protocol| protocol != "tcp") || port.contains('-') {
                    continue;
                }
                let port = port
                    .parse()
                    .map_err(|e| format!("`{text}` in `{key}`: {e}"))?;
                if !ports.contains(&port) {
                    ports.push(port);
                }
            }
        }
        Ok(ports)
    }

    fn health(&self, project: &Project) -> Result<Option<HealthCheck>, String> {
        let Some(keys) = self.object("healthcheck")? else {
            return Ok(None);
        };
        let disabled = keys.get("disable").and_then(boolean).unwrap_or(false);
        let command = match keys.get("test") {
            _ if disabled => vec!["NONE".to_owned()],
            Some(Json::String(line)) => vec!["CMD-SHELL".to_owned(), line.clone()],
            Some(words) => list(words),
            None => Vec::new(),
        };
        let log = Log::sink();
        let scope = Scope::new(&log, &project.workspace);
        let time = |key: &str| match keys.get(key).and_then(scalar) {
            None => Ok(None),
            // Compose writes none as zero.
            Some(text) if is_zero(&text) => Ok(None),
            Some(text) => match Timeout::parse(&text, &scope) {
                Ok(time) => Ok(Some(time.0)),
                Err(e) => Err(format!("`{key}` of `healthcheck`: {e}")),
            },
        };
        let retries = keys.get("retries").and_then(scalar);
        let retries = retries.map(|text| {
            text.parse()
                .map_err(|e| format!("`retries` of `healthcheck`: `{text}`: {e}"))
        });
        Ok(Some(HealthCheck {
            test: command,
            interval: time("interval")?,
            timeout: time("timeout")?,
            start_period: time("start_period")?,
            retries: retries.transpose()?,
        }))
    }

    fn name_the_rest(&self, notes: &mut Notes, also: &[&str]) {
        let is_read = |key: &str| READ.contains(&key) && !also.contains(&key);
        let rest: Vec<_> = self
            .keys
            .keys()
            .filter(|key| !is_read(key) && !key.starts_with("x-"))
            .collect();
        if !rest.is_empty() {
            notes.info(format!(
                "`{}`: without effect here: {}",
                self.name,
                names(&rest)
            ));
        }
    }
}

fn built(build: BuildFrom) -> Result<ServiceBuild, String> {
    // A link would bring everything that this step can read into an image, and the Dockerfile is a stranger's.
    let Some(context) = build.resolved else {
        return Err(format!(
            "its build context `{}` is not a directory of the workspace",
            build.context.display()
        ));
    };
    if !build.others.is_empty() {
        return Err(format!(
            "{} of its `build` is not supported",
            names(&build.others)
        ));
    }
    let is_outside = build.dockerfile.starts_with("../");
    if is_outside || limits::open(&context, build.dockerfile.as_ref()).is_err() {
        return Err(format!(
            "its Dockerfile is not in the build context (`{}`)",
            build.dockerfile
        ));
    }
    Ok(ServiceBuild {
        context,
        dockerfile: build.dockerfile,
        target: build.target,
        args: build.args,
    })
}

fn is_zero(text: &str) -> bool {
    text.contains('0')
        && text
            .chars()
            .all(|c| matches!(c, '0' | '.') || c.is_ascii_alphabetic())
}

pub(super) fn scalar(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(_) | Json::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

// Compose has these forms where it expects a boolean (github.com/compose-spec/compose-go, interpolation.go).
fn boolean(value: &Json) -> Option<bool> {
    match scalar(value)?.to_lowercase().as_str() {
        "true" | "yes" | "y" | "on" => Some(true),
        "false" | "no" | "n" | "off" => Some(false),
        _ => None,
    }
}

pub(super) fn list(value: &Json) -> Vec<String> {
    match value {
        Json::Array(list) => list.iter().filter_map(scalar).collect(),
        value => scalar(value).into_iter().collect(),
    }
}

fn split(key: &str, value: &Json) -> Result<Vec<String>, String> {
    match value {
        Json::String(text) => words::split(text),
        Json::Array(_) => Ok(list(value)),
        Json::Null => Ok(Vec::new()),
        _ => Err(format!("`{key}` has an unknown form")),
    }
}

// `NAME: value` or `NAME=value`; what has no value has that of the variable, if there is one.
fn pairs(value: &Json, key: &str, project: &Project) -> Result<Vec<(String, String)>, String> {
    let unknown = || format!("`{key}` has an unknown form");
    let mut all = Vec::new();
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value.or_else(|| project.variables.get(name).cloned()) {
            project.count(&value)?;
            all.push((name.to_owned(), value));
        }
        Ok::<_, String>(())
    };
    match value {
        Json::Object(map) => {
            for (name, value) in map {
                let text = scalar(value);
                if text.is_none() && !value.is_null() {
                    return Err(format!("`{name}` in `{key}` is not a text"));
                }
                add(name, text)?;
            }
        }
        Json::Array(lines) => {
            for line in lines {
                let line = scalar(line).ok_or_else(unknown)?;
                match line.split_once('=') {
                    Some((name, value)) => add(name, Some(value.to_owned()))?,
                    None => add(&line, None)?,
                }
            }
        }
        Json::Null => {}
        _ => return Err(unknown()),
    }
    Ok(all)
}
