//! A row of the table.

/// An action that is replaced.
#[derive(Debug, PartialEq, Eq)]
pub struct Peer {
    /// As a step names it in `uses`, without the version: `owner/name`, or `owner/name/directory`.
    pub name: &'static str,
    /// The newest version whose `action.yml` these inputs are of.
    pub version: &'static str,
    /// The action that replaces it.
    pub action: &'static str,
    /// Each input.
    pub inputs: &'static [Mapping],
    /// Each output.
    pub outputs: &'static [Mapping],
    /// Environment variables that work as inputs.
    pub environment: &'static [Mapping],
}

impl Peer {
    /// The row of an input. As for the runner, the case of its name does not matter.
    pub fn input(&self, name: &str) -> Option<&'static Mapping> {
        find(self.inputs, name)
    }

    /// The row of an output.
    pub fn output(&self, name: &str) -> Option<&'static Mapping> {
        find(self.outputs, name)
    }
}

fn find(rows: &'static [Mapping], name: &str) -> Option<&'static Mapping> {
    rows.iter().find(|row| row.old.eq_ignore_ascii_case(name))
}

/// An input or output of another action, and what it becomes.
#[derive(Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Its name there.
    pub old: &'static str,
    /// What it becomes.
    pub rule: Rule,
    /// In addition to the rule: which values, or why not. Markdown.
    pub note: &'static str,
    /// Values with which nothing is lost, such as its default.
    pub harmless: &'static [&'static str],
}

/// What an input becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Another name; the value stays.
    Keep(&'static str),
    /// Another name; what commas separate is one per line.
    Lines(&'static str),
    /// These inputs, by its value and those of other inputs.
    Together(&'static [&'static str]),
    /// Nothing: what it does is done anyway, or without an effect here.
    Unneeded,
    /// Nothing: there is no counterpart.
    Lost,
}

impl Mapping {
    /// The inputs of the new action that it becomes.
    pub const fn targets(&self) -> &[&'static str] {
        match &self.rule {
            Rule::Keep(name) | Rule::Lines(name) => std::slice::from_ref(name),
            Rule::Together(names) => names,
            Rule::Unneeded | Rule::Lost => &[],
        }
    }

    /// Whether a step that sets it to `value` loses nothing without it.
    pub fn is_harmless(&self, value: &str) -> bool {
        let value = value.trim();
        value.is_empty()
            || self
                .harmless
                .iter()
                .any(|other| other.eq_ignore_ascii_case(value))
    }

    /// For the documents: the new inputs, and the note.
    pub fn cell(&self) -> String {
        let names: Vec<_> = self
            .targets()
            .iter()
            .map(|name| format!("`{name}`"))
            .collect();
        let names = names.join(", ");
        match (self.rule, self.note) {
            (Rule::Lines(_), "") => format!("{names}, one per line"),
            (Rule::Keep(_) | Rule::Together(_), "") => names,
            (Rule::Keep(_) | Rule::Together(_) | Rule::Lines(_), note) => {
                format!("{names}: {note}")
            }
            (Rule::Unneeded, note) => format!("not needed: {note}"),
            (Rule::Lost, note) => format!("none: {note}"),
        }
    }

    /// What to do, as the end of a message.
    pub fn hint(&self) -> String {
        match self.rule {
            Rule::Unneeded => format!("remove it: {}", self.note),
            Rule::Lost => format!("it has no counterpart: {}", self.note),
            _ => format!("use {}", self.cell()),
        }
    }

    /// With values that lose nothing.
    pub(crate) const fn unless(mut self, harmless: &'static [&'static str]) -> Self {
        self.harmless = harmless;
        self
    }

    /// With what there is to know of its values.
    pub(crate) const fn note(mut self, note: &'static str) -> Self {
        self.note = note;
        self
    }
}

const fn mapping(old: &'static str, rule: Rule, note: &'static str) -> Mapping {
    Mapping {
        old,
        rule,
        note,
        harmless: &[],
    }
}

pub(crate) const fn keep(old: &'static str, new: &'static str) -> Mapping {
    mapping(old, Rule::Keep(new), "")
}

pub(crate) const fn same(name: &'static str) -> Mapping {
    keep(name, name)
}

pub(crate) const fn lines(old: &'static str, new: &'static str) -> Mapping {
    mapping(old, Rule::Lines(new), "")
}

pub(crate) const fn together(
    old: &'static str,
    new: &'static [&'static str],
    note: &'static str,
) -> Mapping {
    mapping(old, Rule::Together(new), note)
}

pub(crate) const fn unneeded(old: &'static str, why: &'static str) -> Mapping {
    mapping(old, Rule::Unneeded, why)
}

pub(crate) const fn lost(old: &'static str, why: &'static str) -> Mapping {
    mapping(old, Rule::Lost, why)
}
