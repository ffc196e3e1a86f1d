//! The inputs of a step: the command line first, then `INPUT_*`, then the declared default.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use crate::{Action, BadInput, Env, Log, Secret};

/// A job on a runner of one's own lasts five days at most, one on GitHub's six hours
/// (docs.github.com/actions/reference/limits): nobody waits longer, and sums of such limits stay far from
/// where the clock ends.
const LONGEST: Duration = Duration::from_hours(5 * 24);

/// The values that were given, checked against the action's declaration.
#[derive(Debug)]
pub struct Inputs {
    action: &'static Action,
    values: BTreeMap<&'static str, String>,
}

// `INPUT_` names: spaces become `_`, hyphens stay, upper case (`Runner.Worker/Handlers/Handler.cs`).
fn variable(name: &str) -> String {
    format!("INPUT_{}", name.replace(' ', "_").to_uppercase())
}

impl Inputs {
    /// Read the inputs of `action` from command-line `args` (without the program's name) and `env`.
    ///
    /// # Errors
    /// [`BadInput`] on an input that the action does not have, an option without a value, or a
    /// required input that is absent or empty.
    pub fn read(action: &'static Action, args: &[String], env: &Env) -> Result<Self, BadInput> {
        let mut values = BTreeMap::new();
        for (name, value) in env.iter().filter(|(name, _)| name.starts_with("INPUT_")) {
            match action
                .inputs
                .iter()
                .find(|input| variable(input.name) == name)
            {
                Some(input) => values.insert(input.name, value.to_owned()),
                None if value.is_empty() => None,
                None => {
                    let written = name.trim_start_matches("INPUT_").to_lowercase();
                    return Err(unknown(action, &written));
                }
            };
        }
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let Some(option) = arg.strip_prefix("--") else {
                return Err(BadInput(format!(
                    "argument `{arg}` is not an option; see --help"
                )));
            };
            let (name, inline) = match option.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (option, None),
            };
            let input = action.input(name).ok_or_else(|| unknown(action, name))?;
            let value = inline
                .or_else(|| args.next().cloned())
                .ok_or_else(|| BadInput::new(name, "has no value on the command line"))?;
            values.insert(input.name, value);
        }
        for input in action.inputs {
            let given = values
                .get(input.name)
                .is_some_and(|value| !value.trim().is_empty());
            if !given {
                match input.default {
                    Some(value) => drop(values.insert(input.name, value.to_owned())),
                    None if input.required => {
                        let problem =
                            format!("is required and was empty or absent ({})", input.help);
                        return Err(BadInput::new(input.name, problem));
                    }
                    None => drop(values.remove(input.name)),
                }
            }
        }
        Ok(Self { action, values })
    }

    /// Mask every secret input.
    pub(crate) fn mask_secrets(&self, log: &Log) {
        for input in self.action.inputs.iter().filter(|input| input.secret) {
            if let Some(value) = self.text(input.name) {
                log.mask(value);
            }
        }
    }

    /// The value of `name` without the blanks around it, if there is one.
    pub fn text(&self, name: &str) -> Option<&str> {
        debug_assert!(
            self.action.input(name).is_some(),
            "`{name}` is not declared"
        );
        self.values
            .get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// The value of `name`.
    ///
    /// # Errors
    /// [`BadInput`] if there is none.
    pub fn required(&self, name: &str) -> Result<&str, BadInput> {
        self.text(name)
            .ok_or_else(|| BadInput::new(name, "is required and was empty or absent"))
    }

    /// The non-blank lines of `name`, each without the blanks around it.
    pub fn lines(&self, name: &str) -> Vec<&str> {
        let text = self.text(name).unwrap_or_default();
        text.lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect()
    }

    /// `true` or `false`, as YAML 1.2 spells them (`true|True|TRUE|false|False|FALSE`).
    ///
    /// # Errors
    /// [`BadInput`] on anything else; an absent value is `false`.
    pub fn flag(&self, name: &str) -> Result<bool, BadInput> {
        match self.text(name) {
            Some("true" | "True" | "TRUE") => Ok(true),
            None | Some("false" | "False" | "FALSE") => Ok(false),
            Some(other) => Err(BadInput::new(
                name,
                format!("`{other}` is neither `true` nor `false`"),
            )),
        }
    }

    /// The value of `name` as a `T`, if there is one.
    ///
    /// # Errors
    /// [`BadInput`] with the type's own message if it does not parse.
    pub fn parse<T: FromStr<Err: std::fmt::Display>>(
        &self,
        name: &str,
    ) -> Result<Option<T>, BadInput> {
        self.text(name)
            .map(|text| {
                text.parse()
                    .map_err(|e| BadInput::new(name, format!("`{text}`: {e}")))
            })
            .transpose()
    }

    /// How long something may take: `90s`, `5m`, `1h30m`, or a bare number of seconds.
    ///
    /// # Errors
    /// [`BadInput`] on anything else, on zero, on more than a job can last, and when there is no value.
    pub fn duration(&self, name: &str) -> Result<Duration, BadInput> {
        let duration = self.age(name)?;
        if duration > LONGEST {
            return Err(BadInput::new(
                name,
                format!(
                    "`{}` is longer than any job lasts; give {}h at most",
                    self.required(name)?,
                    LONGEST.as_secs() / 3600
                ),
            ));
        }
        Ok(duration)
    }

    /// How old something may be, in the same form: it is compared and not waited for, so no length is too long.
    ///
    /// # Errors
    /// [`BadInput`] on anything else, on zero, and when there is no value.
    pub fn age(&self, name: &str) -> Result<Duration, BadInput> {
        let text = self.required(name)?;
        match seconds(text) {
            Some(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
            _ => Err(BadInput::new(
                name,
                format!("`{text}` is no length of time such as `90s` or `5m`"),
            )),
        }
    }

    /// The value of `name` as a secret, masked again by `log`.
    pub fn secret(&self, name: &str, log: &Log) -> Option<Secret> {
        self.text(name).map(|value| Secret::new(value, log))
    }
}

// A bare number, or numbers with units, the largest first.
fn seconds(text: &str) -> Option<u64> {
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let mut sum = 0_u64;
    let mut rest = text;
    for (unit, scale) in [('h', 3600), ('m', 60), ('s', 1)] {
        if let Some((number, after)) = rest.split_once(unit) {
            let number: u64 = number.parse().ok()?;
            sum = sum.saturating_add(number.saturating_mul(scale));
            rest = after;
        }
    }
    rest.is_empty().then_some(sum)
}

fn unknown(action: &Action, name: &str) -> BadInput {
    let known: Vec<_> = action.inputs.iter().map(|input| input.name).collect();
    let nearest = known.iter().min_by_key(|known| distance(known, name));
    let hint = match nearest {
        Some(nearest) if distance(nearest, name) * 2 <= name.len() => {
            format!("did you mean `{nearest}`?")
        }
        _ => format!("the inputs of `{}` are: {}", action.name, known.join(", ")),
    };
    BadInput(format!("input `{name}` is unknown; {hint}"))
}

// Levenshtein distance, one row at a time.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;
