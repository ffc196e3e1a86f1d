//! A snapshot of the process environment, so that everything that reads it is a pure function.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Environment variables as they were when the process started.
#[derive(Debug, Clone, Default)]
pub struct Env(BTreeMap<String, String>);

impl Env {
    /// The environment of this process; variables that are not UTF-8 are left out.
    pub fn of_process() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
        )
    }

    /// An environment of the given pairs.
    pub fn from_pairs<N: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }

    /// The value of `name`; an empty value counts as absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Every variable, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The directory for files that a step needs only while it runs: `RUNNER_TEMP`, or the system's.
    pub fn temp_dir(&self) -> PathBuf {
        match self.get("RUNNER_TEMP").map(PathBuf::from) {
            Some(path) if path.is_dir() => path,
            _ => std::env::temp_dir(),
        }
    }

    /// Whether the process is a step of a workflow (`GITHUB_ACTIONS` is `true`).
    pub fn on_runner(&self) -> bool {
        self.get("GITHUB_ACTIONS") == Some("true")
    }
}
