//! The changes of a plan in the text of a workflow.

use std::collections::BTreeMap;

use crate::edit::Edits;
use crate::plan::{Fate, Input, NewStep};
use crate::value::scalar;
use crate::workflow::{Job, Step};
use crate::yaml::{Document, Id};

/// Writes changes of one workflow.
pub(crate) struct Writer<'a> {
    pub(crate) document: &'a Document<'a>,
    pub(crate) edits: Edits,
    pub(crate) newline: &'static str,
    /// `OWNER/seaworthy@v1`
    pub(crate) actions: &'a str,
    /// The inputs that were written at the node of a `with`, which an alias may name again.
    pub(crate) written: BTreeMap<Id, NewStep>,
}

impl Writer<'_> {
    /// Change the steps of a job; an error is why its text can't be changed.
    pub(crate) fn job(&mut self, job: &Job, fates: &[Fate]) -> Result<(), String> {
        let document = self.document;
        if document.is_flow(job.sequence)
            || document.is_flow(job.node)
            || document.is_alias(job.sequence)
        {
            return Err("its steps are in braces, or an alias; write them as a list".to_owned());
        }
        for (step, fate) in job.steps.iter().zip(fates) {
            match fate {
                Fate::Stay => {}
                Fate::Remove => self.remove(step)?,
                Fate::Become(new) => self.change(step, new)?,
            }
        }
        Ok(())
    }

    // Where the `-` of a step is: the first character of its line, or of a line before it.
    fn dash(&self, step: &Step) -> Result<usize, String> {
        let document = self.document;
        let mut at = document.node(step.item).start;
        loop {
            let start = document.line_start(at);
            let before = &document.text[start..at];
            let blank = before.len() - before.trim_start().len();
            if before[blank..].starts_with('-') {
                return Ok(start + blank);
            }
            at = start
                .checked_sub(1)
                .ok_or("its place in the list is not found")?;
        }
    }

    fn remove(&mut self, step: &Step) -> Result<(), String> {
        let document = self.document;
        let start = document.line_start(self.dash(step)?);
        let mut end = document.line_end(document.node(step.item).range.end);
        let before = document.text[..start].trim_end_matches([' ', '\t']);
        let is_blank_before = before.ends_with("\n\n") || before.ends_with("\n\r\n");
        let next = &document.text[end..document.line_end(end.min(document.text.len()))];
        if is_blank_before && !next.is_empty() && next.trim().is_empty() {
            end = document.line_end(end);
        }
        self.edits.replace(start..end, "");
        Ok(())
    }

    fn change(&mut self, step: &Step, new: &NewStep) -> Result<(), String> {
        let document = self.document;
        let dash = self.dash(step)?;
        if new.needs_checkout {
            let pad = &document.text[document.line_start(dash)..dash];
            let line = format!("{pad}- uses: actions/checkout@v6{}", self.newline);
            self.edits.insert(document.line_start(dash), line);
        }
        let entries = document.entries(step.item);
        let first = entries.first().ok_or("it is empty")?.0;
        let is_flow = is_flow(document, step.item);
        let indent = document.column(document.node(first).range.start);
        let (base, version) = self
            .actions
            .rsplit_once('@')
            .unwrap_or((self.actions, "v1"));
        let uses = format!("{base}/actions/{}@{version}", new.action);
        if let Some(id) = new.id.as_ref().filter(|_| step.id.is_none()) {
            let at = document.node(first).range.start;
            let pad = " ".repeat(indent);
            let text = if is_flow {
                format!("id: {id}, ")
            } else {
                format!("id: {id}{}{pad}", self.newline)
            };
            self.edits.insert(at, text);
        }
        match document.entry(step.item, "run") {
            Some(run) => self.change_run(step, new, run, &uses, indent, is_flow),
            None => self.change_uses(step, new, &uses, indent, is_flow),
        }
    }

    fn change_run(
        &mut self,
        step: &Step,
        new: &NewStep,
        (key, value): (Id, Id),
        uses: &str,
        indent: usize,
        is_flow: bool,
    ) -> Result<(), String> {
        let document = self.document;
        let known = [
            "id",
            "name",
            "if",
            "run",
            "shell",
            "env",
            "working-directory",
            "continue-on-error",
            "timeout-minutes",
        ];
        for (name, _) in document.entries(step.item) {
            let name = document.scalar(*name).unwrap_or_default();
            if !known.contains(&name) {
                return Err(format!("its `{name}` is not known"));
            }
        }
        let with = if is_flow {
            format!("with: {{ {} }}", self.flow(&new.inputs, step))
                .replace("with: {  }", "with: {}")
        } else {
            format!("with:{}", self.block(&new.inputs, step, indent + 2))
        };
        let separator = if is_flow {
            ", ".to_owned()
        } else {
            format!("{}{}", self.newline, " ".repeat(indent))
        };
        let range = document.node(key).start..document.node(value).range.end;
        self.edits
            .replace(range, format!("uses: {uses}{separator}{with}"));
        self.delete_entries(step.item, &["shell", "working-directory", "env"])
    }

    fn change_uses(
        &mut self,
        step: &Step,
        new: &NewStep,
        uses: &str,
        indent: usize,
        is_flow: bool,
    ) -> Result<(), String> {
        let document = self.document;
        let (_, value) = document
            .entry(step.item, "uses")
            .ok_or("it has no `uses`")?;
        let node = document.node(value);
        let end = node.range.end + self.version_comment(node.range.end);
        self.edits.replace(node.range.start..end, uses);
        self.env(step, new)?;
        match document.entry(step.item, "with") {
            Some((_, with)) if !document.is_alias(with) && !is_flow_or_empty(document, with) => {
                self.written.insert(with, new.clone());
                self.change_with(step, new, with)
            }
            Some((_, with)) if self.written.get(&document.target(with)) == Some(new) => Ok(()),
            Some((key, with)) => {
                let with_node = document.node(with);
                let text = if is_flow || document.is_flow(with) {
                    format!(" {{ {} }}", self.flow(&new.inputs, step))
                } else {
                    self.block(&new.inputs, step, indent + 2)
                };
                let from = document.text[document.node(key).range.end..]
                    .find(':')
                    .map(|at| document.node(key).range.end + at + 1);
                let from = from.ok_or("its `with` is not found")?;
                self.edits
                    .replace(from..with_node.range.end.max(from), text);
                Ok(())
            }
            None if new.inputs.is_empty() => Ok(()),
            None if is_flow => {
                self.edits.insert(
                    end,
                    format!(", with: {{ {} }}", self.flow(&new.inputs, step)),
                );
                Ok(())
            }
            None => {
                let pad = " ".repeat(indent);
                let text = format!("{pad}with:{}", self.block(&new.inputs, step, indent + 2));
                self.insert_line(document.line_end(end), &text);
                Ok(())
            }
        }
    }

    fn change_with(&mut self, step: &Step, new: &NewStep, with: Id) -> Result<(), String> {
        let document = self.document;
        let entries = document.entries(with).to_vec();
        let (first, _) = entries.first().copied().ok_or("its `with` is empty")?;
        let indent = document.column(document.node(first).start);
        let mut used = Vec::new();
        for (key, value) in &entries {
            let name = document.scalar(*key).unwrap_or_default();
            let place = new.inputs.iter().position(|input| {
                input
                    .old
                    .as_deref()
                    .is_some_and(|old| old.eq_ignore_ascii_case(name))
            });
            let Some(place) = place.filter(|place| !used.contains(place)) else {
                self.delete(with, *key);
                continue;
            };
            used.push(place);
            let input = &new.inputs[place];
            let key_range = document.node(*key).range.clone();
            match &input.value {
                None if document.text.get(key_range.clone()) == Some(&input.name) => {}
                None => self.edits.replace(key_range, input.name.clone()),
                Some(text) => {
                    let text = scalar(text, indent, false, self.newline);
                    let end = document.node(*value).range.end.max(key_range.end);
                    self.edits
                        .replace(key_range.start..end, format!("{}: {text}", input.name));
                }
            }
        }
        let rest: Vec<_> = new
            .inputs
            .iter()
            .enumerate()
            .filter(|(place, _)| !used.contains(place))
            .map(|(_, input)| input.clone())
            .collect();
        if rest.is_empty() {
            return Ok(());
        }
        let text = self.block(&rest, step, indent);
        let last = entries.last().map_or(0, |(key, value)| {
            document
                .node(*value)
                .range
                .end
                .max(document.node(*key).range.end)
        });
        self.insert_line(
            document.line_end(last),
            text.trim_start_matches(['\r', '\n']),
        );
        Ok(())
    }

    // Lines that begin where a line begins.
    fn insert_line(&mut self, at: usize, text: &str) {
        let is_open = at == self.document.text.len() && !self.document.text.ends_with('\n');
        let text = if is_open {
            format!("{}{text}", self.newline)
        } else {
            format!("{text}{}", self.newline)
        };
        self.edits.insert(at, text);
    }

    // An entry of a block mapping with its line.
    fn delete(&mut self, mapping: Id, key: Id) {
        let name = self.document.scalar(key).unwrap_or_default();
        self.delete_all(mapping, &[name]);
    }

    // Entries of a block mapping with their lines.
    fn delete_all(&mut self, mapping: Id, names: &[&str]) {
        let document = self.document;
        let is_deleted = |key: Id| {
            document
                .scalar(key)
                .is_some_and(|name| names.contains(&name))
        };
        let mut done = 0;
        for (key, value) in document.entries(mapping) {
            let start = document.node(*key).start;
            if !is_deleted(*key) || start < done {
                continue;
            }
            let end = document
                .node(*value)
                .range
                .end
                .max(document.node(*key).range.end);
            let line = document.line_start(start);
            if document.text[line..start].trim().is_empty() {
                self.edits.replace(line..document.line_end(end), "");
                continue;
            }
            // It is on the line of the dash: the next entry that stays takes its place.
            let mut kept = document
                .entries(mapping)
                .iter()
                .filter(|(key, _)| !is_deleted(*key));
            let next = kept
                .find_map(|(key, _)| Some(document.node(*key).start).filter(|next| *next > start));
            done = next.unwrap_or(end);
            self.edits.replace(start..done, "");
        }
    }

    fn delete_entries(&mut self, mapping: Id, names: &[&str]) -> Result<(), String> {
        let present: Vec<_> = names
            .iter()
            .filter(|name| self.document.entry(mapping, name).is_some())
            .copied()
            .collect();
        match present.first() {
            Some(name) if is_flow(self.document, mapping) => {
                Err(format!("its `{name}` is in braces"))
            }
            Some(_) => {
                self.delete_all(mapping, &present);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn env(&mut self, step: &Step, new: &NewStep) -> Result<(), String> {
        let document = self.document;
        let Some((_, env)) = document
            .entry(step.item, "env")
            .filter(|_| !new.without_env.is_empty())
        else {
            return Ok(());
        };
        let is_kept = |key: &Id| {
            !document
                .scalar(*key)
                .is_some_and(|name| new.without_env.iter().any(|other| other == name))
        };
        if !document.entries(env).iter().any(|(key, _)| is_kept(key)) {
            return self.delete_entries(step.item, &["env"]);
        }
        let names: Vec<_> = new.without_env.iter().map(String::as_str).collect();
        self.delete_entries(env, &names)
    }

    // The length of a comment that has the version of the replaced action.
    fn version_comment(&self, at: usize) -> usize {
        let line = self.document.text[at..self.document.line_end(at)].trim_end();
        let comment = line.trim_start();
        let Some(text) = comment.strip_prefix('#') else {
            return 0;
        };
        let text = text.trim();
        let version = text
            .trim_start_matches("tag=")
            .trim_start_matches("pin@")
            .trim_start_matches('v');
        let is_version =
            version.starts_with(|c: char| c.is_ascii_digit()) || text.starts_with("ratchet:");
        if is_version && !text.contains(' ') {
            line.len()
        } else {
            0
        }
    }

    // Entries with a line break before each.
    fn block(&self, inputs: &[Input], step: &Step, indent: usize) -> String {
        let mut text = String::new();
        for input in inputs {
            let value = scalar(&value(input, step), indent, false, self.newline);
            text.push_str(&format!(
                "{}{}{}: {value}",
                self.newline,
                " ".repeat(indent),
                input.name
            ));
        }
        text
    }

    fn flow(&self, inputs: &[Input], step: &Step) -> String {
        let entry = |input: &Input| {
            format!(
                "{}: {}",
                input.name,
                scalar(&value(input, step), 0, true, self.newline)
            )
        };
        inputs.iter().map(entry).collect::<Vec<_>>().join(", ")
    }
}

fn value(input: &Input, step: &Step) -> String {
    let old = input.old.as_deref().unwrap_or_default();
    let given = || {
        crate::workflow::input(&step.with, old)
            .unwrap_or_default()
            .to_owned()
    };
    input.value.clone().unwrap_or_else(given)
}

fn is_flow(document: &Document<'_>, item: Id) -> bool {
    match document.resolved(item).kind {
        crate::yaml::Kind::Mapping { is_flow, .. } => is_flow,
        _ => false,
    }
}

fn is_flow_or_empty(document: &Document<'_>, with: Id) -> bool {
    document.is_flow(with) || document.entries(with).is_empty()
}
