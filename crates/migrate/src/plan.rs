//! What becomes of each step of a job.

use std::collections::{BTreeMap, BTreeSet};

use peers::{Peer, Rule};

use crate::value::list;

/// What becomes of a step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    #[default]
    Stay,
    Remove,
    Become(NewStep),
}

/// A step of one of the four actions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NewStep {
    pub(crate) action: &'static str,
    pub(crate) inputs: Vec<Input>,
    /// Variables of its `env` that are now inputs.
    pub(crate) without_env: Vec<String>,
    /// Whether the sources have to be checked out before it.
    pub(crate) needs_checkout: bool,
    /// Its `id`, where another step's outputs are now its own and it has none.
    pub(crate) id: Option<String>,
}

/// An input of a new step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Input {
    /// The input in whose place it is.
    pub(crate) old: Option<String>,
    pub(crate) name: String,
    /// `None`: the value of the old one, as it is written.
    pub(crate) value: Option<String>,
}

impl NewStep {
    pub(crate) fn new(action: &'static str) -> Self {
        Self {
            action,
            ..Self::default()
        }
    }

    /// Set an input in the place of an old one.
    pub(crate) fn replace(&mut self, old: &str, name: &str, value: impl Into<String>) {
        self.inputs.retain(|input| input.name != name);
        self.inputs.push(Input {
            old: Some(old.to_owned()),
            name: name.to_owned(),
            value: Some(value.into()),
        });
    }

    pub(crate) fn keep(&mut self, old: &str, name: &str) {
        self.inputs.retain(|input| input.name != name);
        self.inputs.push(Input {
            old: Some(old.to_owned()),
            name: name.to_owned(),
            value: None,
        });
    }

    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.inputs.retain(|input| input.name != name);
        self.inputs.push(Input {
            old: None,
            name: name.to_owned(),
            value: Some(value.into()),
        });
    }

    /// Without references to inputs of a step, for one that has none: those of commands are `inputs`.
    pub(crate) fn resolve(&mut self, inputs: &[(String, String)]) {
        for new in &mut self.inputs {
            let old = new.old.take();
            if new.value.is_none() {
                let given = old.and_then(|old| crate::workflow::input(inputs, &old));
                new.value = Some(given.unwrap_or_default().to_owned());
            }
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.inputs.iter().any(|input| input.name == name)
    }
}

/// How much a note matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// To know; nothing is lost.
    Note,
    /// A part of what the step did is lost.
    Loss,
    /// The step stays as it is.
    Not,
}

/// What there is to know about a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Of the step, from 1.
    pub line: usize,
    /// The action or the command.
    pub step: String,
    /// How much it matters.
    pub weight: Weight,
    /// The reason.
    pub text: String,
}

/// What is planned for a job, as it grows.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) fates: Vec<Fate>,
    pub(crate) notes: Vec<Note>,
    /// The scopes that the new steps need.
    pub(crate) permissions: BTreeMap<&'static str, &'static str>,
    /// Outputs by the id of their step and their name, and what they become; `None` is an output that is lost.
    pub(crate) outputs: BTreeMap<(String, String), Option<(String, String)>>,
    /// Steps whose logins, identities and files a new step has taken over.
    pub(crate) replaced: BTreeSet<usize>,
    pub(crate) moved: usize,
}

impl Plan {
    pub(crate) fn permit(&mut self, scope: &'static str, access: &'static str) {
        let granted = self.permissions.entry(scope).or_insert(access);
        if access == "write" {
            *granted = access;
        }
    }
}

/// Inputs that the table alone decides: each in the place of the old one. What is lost is in `lost`.
pub(crate) fn by_table(
    peer: &'static Peer,
    inputs: &[(String, String)],
    new: &mut NewStep,
    lost: &mut Vec<String>,
) {
    for (name, value) in inputs {
        let Some(mapping) = peer.input(name) else {
            lost.push(format!("`{name}`: {} has no such input", peer.name));
            continue;
        };
        if mapping.is_harmless(value) {
            continue;
        }
        match mapping.rule {
            Rule::Lines(target) if value.contains(',') => {
                new.replace(name, target, crate::value::joined(&list(value)));
            }
            Rule::Keep(target) | Rule::Lines(target) => new.keep(name, target),
            Rule::Together(_) | Rule::Unneeded => {}
            Rule::Lost => lost.push(format!("`{name}`: {}", mapping.note)),
        }
    }
}
