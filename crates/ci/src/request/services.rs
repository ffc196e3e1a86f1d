//! The input `services`: containers for the tests and the smoke test, declared as in a job of a workflow
//! (docs.github.com/actions/reference/workflows-and-actions/workflow-syntax, `jobs.<job_id>.services`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use actions_toolkit::{BadInput, Scope, Timeout, Value, WorkspacePath};
use docker::HealthCheck;
use oci::ImageRef;
use serde::Deserialize;
use serde_json::Value as Json;

use super::{words, yaml};
use crate::action::Inputs;

/// Services of one step.
const COUNT: usize = 20;
/// Options of `docker create` that are understood.
const OPTIONS: &str = "`--health-cmd`, `--health-interval`, `--health-retries`, `--health-start-period`, `--health-timeout`, `--no-healthcheck`, `--entrypoint`, `--env`, `--tmpfs`, `--user`";

/// A service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Service {
    /// The host name at which the others reach it.
    pub(crate) name: String,
    /// Further host names.
    pub(crate) aliases: Vec<String>,
    pub(crate) image: ServiceImage,
    /// As `NAME=value`.
    pub(crate) env: Vec<String>,
    /// A single empty text for none.
    pub(crate) entrypoint: Vec<String>,
    pub(crate) command: Vec<String>,
    pub(crate) working_dir: Option<String>,
    pub(crate) tmpfs: Vec<String>,
    pub(crate) user: Option<String>,
    /// Instead of the image's own.
    pub(crate) health: Option<HealthCheck>,
    /// What it listens on, as far as it is declared.
    pub(crate) ports: Vec<u16>,
    /// The name, `None` for an anonymous volume, and the directory in the container.
    pub(crate) volumes: Vec<(Option<String>, String)>,
    pub(crate) files: Vec<CopiedFile>,
    /// The services that it needs.
    pub(crate) after: Vec<(String, Condition)>,
}

/// Where the image of a service comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ServiceImage {
    /// From Docker, or from a registry.
    Named(ImageRef),
    /// From the checkout.
    Built(ServiceBuild),
}

impl Default for ServiceImage {
    fn default() -> Self {
        Self::Built(ServiceBuild::default())
    }
}

/// From what the image of a service is built.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ServiceBuild {
    pub(crate) context: PathBuf,
    /// In the context.
    pub(crate) dockerfile: String,
    pub(crate) target: Option<String>,
    pub(crate) args: Vec<(String, String)>,
}

/// A file or a directory that a container gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CopiedFile {
    pub(crate) source: FileSource,
    /// In the container.
    pub(crate) target: String,
}

/// What is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FileSource {
    Path(WorkspacePath),
    Content(String),
}

/// What another service waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    /// It is healthy, or runs.
    Ready,
    /// It has exited with 0.
    Completed,
}

/// `services`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Services(pub(crate) Vec<Service>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Declared {
    image: String,
    #[serde(default)]
    env: BTreeMap<String, Json>,
    /// Every port of a service is reachable at its name, so there is nothing to map.
    #[serde(default, rename = "ports")]
    _ports: Vec<Json>,
    /// Of its registry.
    #[serde(default)]
    credentials: Option<Json>,
    #[serde(default)]
    options: String,
    #[serde(default)]
    entrypoint: String,
    #[serde(default)]
    command: String,
}

impl Value for Services {
    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String> {
        let declared: BTreeMap<String, Declared> = yaml::read(text).map_err(|line| {
            format!("{line}; write each service as in a workflow: its name, and below it `image`, `env`, `ports`, `options`, `command` or `entrypoint`")
        })?;
        if declared.len() > COUNT {
            return Err(format!("{} services are more than {COUNT}", declared.len()));
        }
        let services = declared.into_iter().map(|(name, declared)| {
            service(&name, declared, scope).map_err(|problem| format!("`{name}`: {problem}"))
        });
        services.collect::<Result<_, _>>().map(Self)
    }

    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

/// Those of `services`, and those of `compose-file`.
pub(super) fn all(declared: Vec<Service>, compose: Vec<Service>) -> Result<Vec<Service>, BadInput> {
    let is_twice = |service: &&Service| compose.iter().any(|other| other.name == service.name);
    if let Some(service) = declared.iter().find(is_twice) {
        let problem = format!("`{}` is a service of `compose-file`, too", service.name);
        return Err(BadInput::new(Inputs::services, problem));
    }
    Ok(declared.into_iter().chain(compose).collect())
}

fn service(name: &str, declared: Declared, scope: &Scope<'_>) -> Result<Service, String> {
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 63 || !name.chars().all(is_host) {
        return Err("is not the name of a host".to_owned());
    }
    if declared.credentials.is_some() {
        return Err("`credentials` is not supported; add the login to `registries`".to_owned());
    }
    let image = declared.image.trim();
    let env = declared.env.into_iter().map(|(name, value)| match value {
        Json::String(text) => Ok(format!("{name}={text}")),
        Json::Number(_) | Json::Bool(_) => Ok(format!("{name}={value}")),
        Json::Null => Ok(format!("{name}=")),
        _ => Err(format!("`{name}` in `env` is not a text")),
    });
    let mut service = Service {
        name: name.to_owned(),
        image: ServiceImage::Named(image.parse().map_err(|e| format!("`{image}`: {e}"))?),
        env: env.collect::<Result<_, _>>()?,
        entrypoint: words::split(&declared.entrypoint)?,
        command: words::split(&declared.command)?,
        ..Service::default()
    };
    let mut options = words::split(&declared.options)?.into_iter();
    while let Some(option) = options.next() {
        let (option, value) = match option.split_once('=') {
            Some((option, value)) => (option.to_owned(), Some(value.to_owned())),
            None => (option, None),
        };
        if option == "--no-healthcheck" {
            service.health_mut().test = vec!["NONE".to_owned()];
            continue;
        }
        let value = value.or_else(|| options.next());
        let value = value.ok_or_else(|| format!("`{option}` in `options` has no value"))?;
        service.set(&option, value, scope)?;
    }
    Ok(service)
}

impl Service {
    fn health_mut(&mut self) -> &mut HealthCheck {
        self.health.get_or_insert_default()
    }

    fn set(&mut self, option: &str, value: String, scope: &Scope<'_>) -> Result<(), String> {
        let time = |value: &str| {
            let time = Timeout::parse(value, scope).map(|time| time.0);
            time.map_err(|e| format!("`{option}` in `options`: {e}"))
        };
        match option {
            "--health-cmd" => self.health_mut().test = vec!["CMD-SHELL".to_owned(), value],
            "--health-interval" => self.health_mut().interval = Some(time(&value)?),
            "--health-timeout" => self.health_mut().timeout = Some(time(&value)?),
            "--health-start-period" => self.health_mut().start_period = Some(time(&value)?),
            "--health-retries" => {
                let retries = value.parse();
                let invalid = |e| format!("`{option}` in `options`: `{value}`: {e}");
                self.health_mut().retries = Some(retries.map_err(invalid)?);
            }
            "--env" | "-e" if value.contains('=') => self.env.push(value),
            "--entrypoint" => self.entrypoint = vec![value],
            "--tmpfs" => self.tmpfs.push(value),
            "--user" | "-u" => self.user = Some(value),
            _ => {
                return Err(format!(
                    "`{option}` in `options` is not supported; supported are {OPTIONS}"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use actions_toolkit::{Log, Workspace};

    use super::*;

    fn parse(text: &str) -> Result<Vec<Service>, String> {
        let (log, workspace) = (Log::sink(), Workspace::new("."));
        Services::parse(text, &Scope::new(&log, &workspace)).map(|services| services.0)
    }

    #[test]
    fn services_are_those_of_a_workflow() {
        // As GitHub's guide for PostgreSQL has it.
        let text = "postgres:\n  image: postgres:17\n  env:\n    POSTGRES_PASSWORD: postgres\n    PORT: 5432\n    EMPTY:\n    FLAG: yes\n  ports:\n    - 5432:5432\n  \
                    options: >-\n    --health-cmd pg_isready\n    --health-interval 10s\n    --health-timeout=5s\n    --health-retries 5\n\
                    cache:\n  image: redis\n  command: redis-server --save ''\n";
        let [cache, postgres] = &parse(text).unwrap()[..] else {
            panic!("two services");
        };
        assert_eq!(cache.name, "cache");
        assert_eq!(cache.command, ["redis-server", "--save", ""]);
        assert_eq!((&cache.health, cache.env.len()), (&None, 0));
        let image = ServiceImage::Named("postgres:17".parse().unwrap());
        assert_eq!(postgres.image, image);
        let env = [
            "EMPTY=",
            "FLAG=yes",
            "PORT=5432",
            "POSTGRES_PASSWORD=postgres",
        ];
        assert_eq!(postgres.env, env);
        let health = HealthCheck {
            test: vec!["CMD-SHELL".into(), "pg_isready".into()],
            interval: Some(Duration::from_secs(10)),
            timeout: Some(Duration::from_secs(5)),
            retries: Some(5),
            start_period: None,
        };
        assert_eq!(postgres.health, Some(health));
    }

    #[test]
    fn what_is_not_supported_is_named() {
        let table = [
            ("db:\n  image: A B", "`db`: `A B`: "),
            ("'a b':\n  image: x", "`a b`: is not the name of a host"),
            ("db:\n  image: x\n  volumes: [a:/b]", ""),
            (
                "db:\n  image: x\n  credentials: {username: a, password: b}",
                "`db`: `credentials` is not supported; add the login to `registries`",
            ),
            ("db: postgres", ""),
            ("- db", ""),
            (
                "db:\n  image: x\n  env:\n    A: [1]",
                "`db`: `A` in `env` is not a text",
            ),
            (
                "db:\n  image: x\n  options: --privileged x",
                "`db`: `--privileged` in `options` is not supported; supported are `--health-cmd`",
            ),
            (
                "db:\n  image: x\n  options: --health-retries",
                "`db`: `--health-retries` in `options` has no value",
            ),
            (
                "db:\n  image: x\n  options: --health-interval soon",
                "`db`: `--health-interval` in `options`: invalid duration `soon`",
            ),
            (
                "db:\n  image: x\n  options: --health-cmd 'a",
                "`db`: the quotes of `--health-cmd 'a` are not closed",
            ),
        ];
        for (text, problem) in table {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(problem), "{text}: {error}");
        }
        let error = parse("db:\n  image: x\n  volumes: [a:/b]").unwrap_err();
        assert!(
            error.contains("volumes") && error.contains("as in a workflow"),
            "{error}"
        );
    }
}
