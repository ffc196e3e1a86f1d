//! How the text of an input becomes a value, by the type of its field.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::time::Duration;

use super::duration;
use crate::{Log, Secret, Workspace, WorkspacePath};

/// What a value may need in addition to its text.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    log: &'a Log,
    workspace: &'a Workspace,
    input: &'static str,
    is_default: bool,
}

impl<'a> Scope<'a> {
    /// Secrets are masked in `log`, paths are those of `workspace`.
    pub fn new(log: &'a Log, workspace: &'a Workspace) -> Self {
        Self {
            log,
            workspace,
            input: "",
            is_default: false,
        }
    }

    /// Whether the text is the declared default, and not a value that was given.
    pub fn is_default(&self) -> bool {
        self.is_default
    }

    pub(super) fn at(self, input: &'static str, is_default: bool) -> Self {
        Self {
            input,
            is_default,
            ..self
        }
    }
}

/// A type that an input can have.
pub trait Value: Sized {
    /// Whether the input is masked before anything else happens.
    const SECRET: bool = false;
    /// A default that only the runner can resolve; `Some("")` for a type that needs to know whether a value was given.
    const WORKFLOW_DEFAULT: Option<&'static str> = None;
    /// Every text that is allowed, if they can be listed.
    const CHOICES: &'static [&'static str] = &[];

    /// Parse `text`, which has no blanks around it and is not empty.
    ///
    /// # Errors
    /// With what is wrong and what would be right; the name of the input is added.
    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String>;

    /// The value of an input that is absent and has no default; an input without one is required.
    fn absent() -> Option<Self> {
        None
    }
}

/// The message for a `text` that is not one of `choices`.
pub fn invalid_choice(text: &str, choices: &[&str]) -> String {
    let choices: Vec<_> = choices.iter().map(|choice| format!("`{choice}`")).collect();
    format!(
        "invalid value `{text}`; expected one of {}",
        choices.join(", ")
    )
}

fn from_str<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|e| format!("`{text}`: {e}"))
}

// As YAML 1.2 spells them.
impl Value for bool {
    const CHOICES: &'static [&'static str] = &["true", "false"];

    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        match text {
            "true" | "True" | "TRUE" => Ok(true),
            "false" | "False" | "FALSE" => Ok(false),
            _ => Err(invalid_choice(text, Self::CHOICES)),
        }
    }
}

impl Value for String {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

/// A value of a type of another crate, by its [`FromStr`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed<T>(pub T);

impl<T: FromStr<Err: fmt::Display>> Value for Parsed<T> {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        from_str(text).map(Self)
    }
}

impl<T> Deref for Parsed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// How long something may take: `90s`, `5m`, `1h30m`, or a bare number of seconds; at most what a job can last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeout(pub Duration);

impl Value for Timeout {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        duration::timeout(text).map(Self)
    }
}

/// How old something may be, in the same form, of any length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Age(pub Duration);

impl Value for Age {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        duration::age(text).map(Self)
    }
}

impl Value for Secret {
    const SECRET: bool = true;

    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String> {
        Ok(Self::new(text, scope.log))
    }
}

/// A token for GitHub's API; in a workflow, the run's own by default.
#[derive(Debug, Clone)]
pub struct GitHubToken(pub Secret);

impl Value for GitHubToken {
    const SECRET: bool = true;
    const WORKFLOW_DEFAULT: Option<&'static str> = Some("${{ github.token }}");

    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String> {
        Secret::parse(text, scope).map(Self)
    }
}

impl Value for WorkspacePath {
    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String> {
        scope.workspace.path(scope.input, text)
    }
}

impl<T: Value> Value for Option<T> {
    const SECRET: bool = T::SECRET;
    const WORKFLOW_DEFAULT: Option<&'static str> = T::WORKFLOW_DEFAULT;

    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String> {
        T::parse(text, scope).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

/// One per line; blank lines are ignored.
impl<T: Value> Value for Vec<T> {
    const SECRET: bool = T::SECRET;

    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String> {
        parts(text.split('\n'), scope)
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

/// Separated by commas, or one per line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T>(pub Vec<T>);

impl<T: Value> Value for List<T> {
    const SECRET: bool = T::SECRET;

    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String> {
        parts(text.split([',', '\n']), scope).map(Self)
    }

    fn absent() -> Option<Self> {
        Some(Self(Vec::new()))
    }
}

fn parts<'a, T: Value>(
    parts: impl Iterator<Item = &'a str>,
    scope: &Scope<'_>,
) -> Result<Vec<T>, String> {
    parts
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| T::parse(part, scope))
        .collect()
}

/// A value, or `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrNone<T>(pub Option<T>);

impl<T: Value> Value for OrNone<T> {
    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        let value = T::parse(text, scope).map_err(|problem| match T::CHOICES {
            [] => problem,
            choices => invalid_choice(text, &[choices, &["none"]].concat()),
        })?;
        Ok(Self(Some(value)))
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {
        $(impl Value for $number {
            fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
                from_str(text)
            }
        })*
    };
}

numbers!(u16, u32, u64, usize, f64, std::num::NonZeroU16);
