//! Environment variables in the inputs.

use actions_toolkit::{BadInput, Scope, Value};

/// A line `NAME=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EnvVar {
    name: String,
    value: String,
}

impl Value for EnvVar {
    fn parse(line: &str, _: &Scope<'_>) -> Result<Self, String> {
        let (name, value) = line
            .split_once('=')
            .filter(|(name, _)| !name.is_empty() && !name.contains(char::is_whitespace))
            .ok_or_else(|| format!("line `{line}` is not of the form `NAME=value`"))?;
        Ok(Self {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }
}

impl EnvVar {
    /// Name and value.
    pub(crate) fn pair(&self) -> (&str, &str) {
        (&self.name, &self.value)
    }
}

/// `own` after `base`, each name once: the later value counts.
pub(super) fn over(base: &[String], own: Vec<String>) -> Vec<String> {
    let name = |pair: &String| pair.split('=').next().unwrap_or_default().to_owned();
    let names: Vec<_> = own.iter().map(name).collect();
    let base = base.iter().filter(|pair| !names.contains(&name(pair)));
    base.cloned().chain(own).collect()
}

/// The lines of `input`, as Docker takes them; each name once.
pub(super) fn environment(input: &str, lines: &[EnvVar]) -> Result<Vec<String>, BadInput> {
    let mut names: Vec<&str> = Vec::new();
    for EnvVar { name, .. } in lines {
        if names.contains(&name.as_str()) {
            return Err(BadInput::new(input, format!("`{name}` is set twice")));
        }
        names.push(name);
    }
    let pairs = lines.iter();
    Ok(pairs
        .map(|EnvVar { name, value }| format!("{name}={value}"))
        .collect())
}
