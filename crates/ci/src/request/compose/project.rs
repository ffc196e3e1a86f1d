//! The file, with the values of its variables, and the environment files next to it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Component, Path};

use actions_toolkit::{BadInput, Context, Workspace, WorkspacePath};
use serde_json::{Map, Value as Json};

use super::variables::{self, Unset, Variables};
use super::{COUNT, Notes, extends};
use crate::action::Inputs;
use crate::request::environment::EnvVar;
use crate::request::yaml;

/// Bytes of a compose file and of an environment file.
const SIZE: u64 = 1024 * 1024;
/// Bytes of all texts with their variables: a text of two bytes may refer to a variable of a megabyte, and a file has many of them.
pub(super) const TEXTS: usize = 32 * limits::MIB;
/// What the names of sample files end with, or start with: `.env.sample`, `.env-example`, `example.env`.
const SAMPLES: &[&str] = &[
    "example", "sample", "dist", "template", "default", "defaults",
];

/// A compose file.
pub(super) struct Project {
    pub(super) workspace: Workspace,
    /// Of the file, relative to the workspace: paths in it start there.
    directory: String,
    pub(super) variables: Variables,
    /// By name.
    pub(super) services: BTreeMap<String, Declared>,
    /// `secrets` and `configs` of the file.
    pub(super) secrets: Map<String, Json>,
    pub(super) configs: Map<String, Json>,
    /// What is left of [`TEXTS`].
    room: Cell<usize>,
}

/// A service as it is declared, with the values of its variables.
pub(super) struct Declared {
    pub(super) name: String,
    pub(super) keys: Map<String, Json>,
    pub(super) unset: Unset,
    /// Of a variable in it, or of what it extends.
    pub(super) problem: Option<String>,
}

impl Declared {
    pub(super) fn has(&self, key: &str) -> bool {
        self.keys.get(key).is_some_and(|value| match value {
            Json::Null => false,
            Json::Array(list) => !list.is_empty(),
            _ => true,
        })
    }

    /// Why it is not known from what it is made, if it extends what is not in the file.
    pub(super) fn unresolved(&self) -> Option<String> {
        let is_unknown = self.has("extends") && !self.has("build") && !self.has("image");
        let problem = self.problem.as_ref().filter(|_| is_unknown)?;
        Some(format!("`{}`: {problem}", self.name))
    }

    /// The same with its name in an error, and its variables without a value in `notes`.
    pub(super) fn in_notes<T>(
        &self,
        notes: &mut Notes,
        read: impl FnOnce(&mut Notes) -> Result<T, String>,
    ) -> Result<T, String> {
        notes.unset.extend(self.unset.iter().cloned());
        let value = match &self.problem {
            Some(problem) => Err(problem.clone()),
            None => read(notes),
        };
        value.map_err(|problem| format!("`{}`: {problem}", self.name))
    }
}

impl Project {
    pub(super) fn read(
        ctx: &Context,
        file: &WorkspacePath,
        given: &[EnvVar],
        notes: &mut Notes,
    ) -> Result<Self, BadInput> {
        let text = file.read(SIZE)?;
        let workspace = ctx.workspace()?;
        let bad = |problem: String| BadInput::new(Inputs::compose_file, problem);
        let directory = match file.relative().rsplit_once('/') {
            Some((directory, _)) => directory.to_owned(),
            None => String::new(),
        };
        let given = given.iter().map(EnvVar::pair);
        let given: Variables = given.map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        let project = Self::new(workspace, &directory);
        // What is set for the run counts before the file.
        let mut all = Variables::new();
        if let Some(pairs) = project
            .env_file((".env", false), &given, notes)
            .map_err(bad)?
        {
            all.extend(pairs);
        }
        all.extend(given);
        project.with_text(&text, all).map_err(bad)
    }

    // The file in `directory` of the workspace, before it is read.
    pub(super) fn new(workspace: Workspace, directory: &str) -> Self {
        Self {
            workspace,
            directory: directory.to_owned(),
            variables: Variables::new(),
            services: BTreeMap::new(),
            secrets: Map::new(),
            configs: Map::new(),
            room: Cell::new(TEXTS),
        }
    }

    /// Count `text`, a copy with variables.
    ///
    /// # Errors
    /// When there are too many.
    pub(super) fn count(&self, text: &str) -> Result<(), String> {
        take(&self.room, text.len())
    }

    pub(super) fn with_text(self, text: &str, variables: Variables) -> Result<Self, String> {
        let file: Json = yaml::read(text)?;
        let Json::Object(mut file) = file else {
            return Err("is not a compose file: it has no `services`".to_owned());
        };
        if file.contains_key("include") {
            return Err(
                "`include` is not supported; `docker compose config` writes one file with everything"
                    .to_owned(),
            );
        }
        let Some(Json::Object(declared)) = file.remove("services") else {
            return Err("is not a compose file: it has no `services`".to_owned());
        };
        if declared.len() > COUNT {
            return Err(format!("{} services are more than {COUNT}", declared.len()));
        }
        let mut services = BTreeMap::new();
        for (name, value) in declared {
            let (mut unset, mut problem) = (Unset::new(), None);
            let mut reader = Reader {
                variables: &variables,
                room: &self.room,
                unset: &mut unset,
                problem: &mut problem,
            };
            let Json::Object(keys) = reader.values(value) else {
                return Err(format!("`{name}`: is not a service"));
            };
            let service = Declared {
                name: name.clone(),
                keys,
                unset,
                problem,
            };
            services.insert(name, service);
        }
        extends::resolve(&mut services, &mut |bytes| take(&self.room, bytes));
        let mut named = |key: &str| match file.remove(key) {
            Some(value) => {
                let mut reader = Reader {
                    variables: &variables,
                    room: &self.room,
                    unset: &mut Unset::new(),
                    problem: &mut None,
                };
                match reader.values(value) {
                    Json::Object(map) => map,
                    _ => Map::new(),
                }
            }
            None => Map::new(),
        };
        let (secrets, configs) = (named("secrets"), named("configs"));
        Ok(Self {
            variables,
            services,
            secrets,
            configs,
            ..self
        })
    }

    /// The path that the file has for `text`, relative to the workspace; `None` if it is outside.
    pub(super) fn path(&self, text: &str) -> Option<WorkspacePath> {
        let mut parts: Vec<&str> = self
            .directory
            .split('/')
            .filter(|part| !part.is_empty())
            .collect();
        for part in Path::new(text).components() {
            match part {
                Component::CurDir => {}
                Component::ParentDir => {
                    parts.pop()?;
                }
                Component::Normal(part) => parts.push(part.to_str()?),
                Component::RootDir | Component::Prefix(_) => return None,
            }
        }
        self.workspace
            .path(Inputs::compose_file, &parts.join("/"))
            .ok()
    }

    /// The variables of the environment file `text`, or of the sample next to it; `None` if there is neither. One that is raw is
    /// read as it is, without quotes and variables.
    pub(super) fn env_file(
        &self,
        (text, is_raw): (&str, bool),
        variables: &Variables,
        notes: &mut Notes,
    ) -> Result<Option<Vec<(String, String)>>, String> {
        let outside = || format!("the environment file `{text}` is outside the workspace");
        let path = self.path(text).ok_or_else(outside)?;
        let content = if path.absolute().symlink_metadata().is_ok() {
            path.read(SIZE).map_err(|e| e.0)?
        } else if let Some(sample) = self.sample(&path) {
            notes.warning(format!(
                "`{text}` is not in the checkout; `{}` is used in its place",
                sample.relative()
            ));
            sample.read(SIZE).map_err(|e| e.0)?
        } else {
            return Ok(None);
        };
        let pairs = if is_raw {
            variables::raw_env_file(&content, variables)
        } else {
            variables::env_file(&content, variables, &mut notes.unset)
        };
        let pairs = pairs.map_err(|problem| format!("`{text}`: {problem}"))?;
        Ok(Some(pairs))
    }

    // Environment files are rarely committed, and samples of them often.
    fn sample(&self, path: &WorkspacePath) -> Option<WorkspacePath> {
        let relative = Path::new(path.relative());
        let name = relative.file_name()?.to_str()?;
        let bare = name.trim_start_matches('.');
        let after = SAMPLES.iter().flat_map(|sample| {
            ['.', '-', '_'].map(|separator| format!("{name}{separator}{sample}"))
        });
        let others = SAMPLES.iter().flat_map(|sample| {
            [
                format!("{bare}.{sample}"),
                format!("{sample}.{bare}"),
                format!(".{sample}.{bare}"),
            ]
        });
        after.chain(others).find_map(|name| {
            let relative = relative.with_file_name(name);
            let path = self
                .workspace
                .path(Inputs::compose_file, relative.to_str()?)
                .ok()?;
            path.absolute().is_file().then_some(path)
        })
    }

    /// Whether the service starts without being needed.
    pub(super) fn is_active(&self, service: &Declared) -> bool {
        let Some(Json::Array(profiles)) = service.keys.get("profiles") else {
            return true;
        };
        let active = self.variables.get("COMPOSE_PROFILES");
        let active: Vec<_> = active
            .iter()
            .flat_map(|names| names.split(','))
            .map(str::trim)
            .collect();
        profiles.is_empty()
            || active.contains(&"*")
            || profiles
                .iter()
                .filter_map(Json::as_str)
                .any(|name| active.contains(&name))
    }
}

// Take `bytes` out of `room`, of which nothing is left if there are not as many.
fn take(room: &Cell<usize>, bytes: usize) -> Result<(), String> {
    let left = room.get().checked_sub(bytes);
    room.set(left.unwrap_or_default());
    match left {
        Some(_) => Ok(()),
        None => Err(format!(
            "the file has more than {} MiB with its variables",
            TEXTS / limits::MIB
        )),
    }
}

/// Puts the values of variables into texts.
struct Reader<'a> {
    variables: &'a Variables,
    room: &'a Cell<usize>,
    unset: &'a mut Unset,
    /// The first one.
    problem: &'a mut Option<String>,
}

impl Reader<'_> {
    // The texts in `value` with their variables; keys have none.
    fn values(&mut self, value: Json) -> Json {
        match value {
            Json::String(text) => {
                let value = self.text(&text);
                Json::String(value.unwrap_or_else(|e| {
                    self.problem.get_or_insert(e);
                    text
                }))
            }
            Json::Array(list) => {
                let list = list.into_iter().map(|value| self.values(value));
                Json::Array(list.collect())
            }
            Json::Object(map) => {
                let map = map.into_iter();
                let map = map.map(|(key, value)| (key, self.values(value)));
                Json::Object(map.collect())
            }
            other => other,
        }
    }

    fn text(&mut self, text: &str) -> Result<String, String> {
        // Once nothing is left, no text is put together.
        take(self.room, text.len())?;
        let value = variables::interpolate(text, self.variables, self.unset)?;
        take(self.room, value.len())?;
        Ok(value)
    }
}
