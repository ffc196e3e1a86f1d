//! The inputs of a step: the command line first, then `INPUT_*`, then the declared default.
//!
//! An action declares them with [`inputs!`](crate::inputs!) and reads them, typed, with
//! [`Context::read`](crate::Context::read).

mod declare;
mod duration;
mod value;

use std::collections::{BTreeMap, BTreeSet};

use crate::command_line::CommandLine;
use crate::{Action, BadInput, Env, Input, Log};

pub use declare::{InputSet, kebab_case};
pub use value::{Age, GitHubToken, List, OrNone, Parsed, Scope, Timeout, Value, invalid_choice};

/// The variable of the input `name` as a shell can set it, which knows no `-` in a name.
pub(crate) fn variable_of_a_shell(name: &str) -> String {
    variable(name).replace('-', "_")
}

/// The texts of a step's inputs, whose names the action declares.
#[derive(Debug)]
pub struct Inputs {
    declared: Vec<Input>,
    values: BTreeMap<&'static str, String>,
    /// Those that were not given.
    defaults: BTreeSet<&'static str>,
}

// `INPUT_` names: spaces become `_`, hyphens stay, upper case (`Runner.Worker/Handlers/Handler.cs`).
fn variable(name: &str) -> String {
    format!("INPUT_{}", name.replace(' ', "_").to_uppercase())
}

impl Inputs {
    /// Read the inputs of `action` from command-line `args` (without the program's name) and `env`.
    ///
    /// # Errors
    /// [`BadInput`] on an input that the action does not have, an option without a value, or an option that prints something instead of a run.
    pub fn read(action: &'static Action, args: &[String], env: &Env) -> Result<Self, BadInput> {
        match CommandLine::parse(action, args)? {
            CommandLine::Run(options) => Self::with_options(action, options.inputs, env),
            _ => Err(BadInput("these arguments start no run".into())),
        }
    }

    /// The same with the `options` of the command line.
    ///
    /// # Errors
    /// [`BadInput`] on an input that the action does not have.
    pub(crate) fn with_options(
        action: &'static Action,
        options: Vec<(&'static str, String)>,
        env: &Env,
    ) -> Result<Self, BadInput> {
        let declared = (action.inputs)();
        let mut values = BTreeMap::new();
        for (name, value) in env.iter().filter(|(name, _)| name.starts_with("INPUT_")) {
            let is_of = |input: &&Input| {
                variable(input.name) == name || variable_of_a_shell(input.name) == name
            };
            match declared.iter().find(is_of) {
                Some(input) => values.insert(input.name, value.to_owned()),
                None if value.is_empty() => None,
                None => {
                    let written = name.trim_start_matches("INPUT_").to_lowercase();
                    return Err(unknown(action, &declared, &written));
                }
            };
        }
        values.extend(options);
        let mut defaults = BTreeSet::new();
        for input in &declared {
            let is_set = values
                .get(input.name)
                .is_some_and(|value| !value.trim().is_empty());
            if !is_set {
                defaults.insert(input.name);
                match input.default {
                    Some(value) => drop(values.insert(input.name, value.to_owned())),
                    None => drop(values.remove(input.name)),
                }
            }
        }
        Ok(Self {
            declared,
            values,
            defaults,
        })
    }

    /// Mask every secret input.
    pub(crate) fn mask_secrets(&self, log: &Log) {
        for input in self.declared.iter().filter(|input| input.secret) {
            if let Some(value) = self.text(input.name) {
                log.mask(value);
            }
        }
    }

    /// The texts of those that are neither secret nor one of `others`, a line each.
    pub(crate) fn texts(&self, others: &[&str]) -> String {
        let shown = self.declared.iter().filter(|input| !input.secret);
        let shown = shown.filter(|input| !others.contains(&input.name));
        let lines = shown.filter_map(|input| {
            let text = self.text(input.name)?;
            Some(format!("{}={text:?}\n", input.name))
        });
        lines.collect()
    }

    fn input(&self, name: &str) -> Option<&Input> {
        self.declared.iter().find(|input| input.name == name)
    }

    // Without the blanks around it; `None` when it is absent or empty.
    fn text(&self, name: &str) -> Option<&str> {
        debug_assert!(self.input(name).is_some(), "`{name}` is not declared");
        self.values
            .get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// The value of `name` by its type.
    ///
    /// # Errors
    /// [`BadInput`] with the message of the type, or when the input is required and absent.
    pub fn value<T: Value>(&self, name: &'static str, scope: &Scope<'_>) -> Result<T, BadInput> {
        let value = match self.text(name) {
            Some(text) => T::parse(text, &scope.at(name, self.defaults.contains(name))),
            None => T::absent().ok_or_else(|| {
                let help = self.input(name).map_or("", |input| input.help);
                format!("is required ({help})")
            }),
        };
        value.map_err(|problem| BadInput::new(name, problem))
    }
}

/// The values of two inputs that belong together, each with its input's name: both, or neither.
///
/// # Errors
/// [`BadInput`] that names the missing one.
pub fn both<A, B>(
    (first, a): (&str, Option<A>),
    (second, b): (&str, Option<B>),
) -> Result<Option<(A, B)>, BadInput> {
    let missing = |input, other| BadInput::new(input, format!("is required with `{other}`"));
    match (a, b) {
        (Some(a), Some(b)) => Ok(Some((a, b))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(missing(second, first)),
        (None, Some(_)) => Err(missing(first, second)),
    }
}

pub(crate) fn unknown(action: &Action, declared: &[Input], name: &str) -> BadInput {
    if let Some(instead) = (action.replaced)(name) {
        return BadInput(format!("input `{name}` is unknown; {instead}"));
    }
    let known: Vec<_> = declared.iter().map(|input| input.name).collect();
    let distance = |known: &str| strsim::levenshtein(known, name);
    let nearest = known.iter().min_by_key(|known| distance(known));
    let hint = match nearest {
        Some(nearest) if distance(nearest) * 2 <= name.len() => {
            format!("did you mean `{nearest}`?")
        }
        _ => format!("the inputs of `{}` are: {}", action.name, known.join(", ")),
    };
    BadInput(format!("input `{name}` is unknown; {hint}"))
}

#[cfg(test)]
pub(crate) mod tests;
