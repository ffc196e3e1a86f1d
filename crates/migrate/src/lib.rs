//! Moves workflows of GitHub Actions from other actions to the four of this repository.
//!
//! The text is read into nodes with their places (`yaml`), each job is planned (`job`, by the table in `peers`), and only
//! the bytes that change are written (`apply`), so that comments and order stay.

mod apply;
mod build;
mod deploy;
mod edit;
mod helm;
mod job;
pub mod page;
mod patch;
mod permissions;
mod plan;
mod registry;
mod report;
mod role;
mod scan;
mod shell;
mod value;
mod workflow;
mod yaml;

pub use plan::{Note, Weight};
pub use report::{diff, notes, summary};
pub use yaml::Invalid;

use apply::Writer;
use edit::Edits;
use plan::{Fate, Plan};
use role::{Role, Roles};
use workflow::{Job, jobs};
use yaml::Document;

/// A workflow, and what became of it.
#[derive(Debug)]
pub struct Moved {
    /// The new text; the old one if nothing was moved.
    pub text: String,
    /// What there is to know, in the order of the lines.
    pub notes: Vec<Note>,
    /// How many steps were moved or became part of one.
    pub steps: usize,
}

/// How much of a workflow was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It has no step that these actions replace.
    Untouched,
    /// Every step, and nothing is lost.
    Whole,
    /// Some steps, or with a loss.
    WithLoss,
    /// No step.
    Not,
}

impl Moved {
    /// How much was moved.
    pub fn verdict(&self) -> Verdict {
        let worst = self.notes.iter().map(|note| note.weight).max();
        match (self.steps, worst) {
            (0, Some(Weight::Not)) => Verdict::Not,
            (0, _) => Verdict::Untouched,
            (_, None | Some(Weight::Note)) => Verdict::Whole,
            _ => Verdict::WithLoss,
        }
    }
}

/// Move a workflow, or a composite action. `actions` is the repository of the new actions with a version, such as
/// `octo-org/seaworthy@v1`.
///
/// # Errors
/// [`Invalid`] when the text is not YAML, or too large.
pub fn migrate(text: &str, actions: &str) -> Result<Moved, Invalid> {
    let document = Document::parse(text)?;
    let jobs = jobs(&document);
    let logins: Vec<_> = jobs.iter().flat_map(|job| Roles::new(job).logins).collect();
    let images: Vec<Vec<String>> = jobs.iter().map(images).collect();
    let mut notes = Vec::new();
    let mut steps = 0;
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut writer = Writer {
        document: &document,
        edits: Edits::default(),
        newline,
        actions,
        written: std::collections::BTreeMap::new(),
    };
    let mut outputs = Vec::new();
    for (index, job) in jobs.iter().enumerate() {
        let elsewhere = images
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != index);
        let elsewhere: Vec<_> = elsewhere.flat_map(|(_, images)| images.clone()).collect();
        let own_text = &text[document.node(job.node).range.clone()];
        let whole_text = if job.is_composite { text } else { own_text };
        let plan = job::plan(job, whole_text, &elsewhere, &logins);
        let first = plan.fates.iter().position(|fate| *fate != Fate::Stay);
        notes.extend(plan.notes.clone());
        let Some(first) = first else { continue };
        let before = std::mem::take(&mut writer.edits);
        match write(&mut writer, job, &plan) {
            Ok(permissions) => {
                steps += plan.moved;
                let own = std::mem::replace(&mut writer.edits, before);
                writer.edits.extend(own);
                if let Some(text) = permissions {
                    notes.push(Note {
                        line: document.line(document.node(job.node).start),
                        step: format!("job `{}`", job.name),
                        weight: Weight::Note,
                        text,
                    });
                }
                outputs.push((job.name.clone(), job.is_composite, plan.outputs));
            }
            Err(reason) => {
                writer.edits = before;
                let step = &job.steps[first];
                notes.push(Note {
                    line: step.line,
                    step: step.label.clone(),
                    weight: Weight::Not,
                    text: reason,
                });
            }
        }
    }
    let changed = writer
        .edits
        .apply(text)
        .ok()
        .and_then(|changed| rename_outputs(&changed, &outputs));
    let moved = if let Some(changed) = changed {
        Moved {
            text: changed,
            notes,
            steps,
        }
    } else {
        let reason = "the changed text would not be valid: an anchor in it is used elsewhere";
        Moved {
            text: text.to_owned(),
            notes: vec![Note {
                line: 1,
                step: "workflow".to_owned(),
                weight: Weight::Not,
                text: reason.to_owned(),
            }],
            steps: 0,
        }
    };
    Ok(sorted(moved))
}

fn sorted(mut moved: Moved) -> Moved {
    moved.notes.sort_by_key(|note| note.line);
    moved.notes.dedup();
    moved
}

fn write(writer: &mut Writer<'_>, job: &Job, plan: &Plan) -> Result<Option<String>, String> {
    writer.job(job, &plan.fates)?;
    Ok(permissions::write(writer, job, &plan.permissions))
}

// The names of images that a job pushes.
fn images(job: &Job) -> Vec<String> {
    let roles = Roles::new(job);
    let mut images = Vec::new();
    for role in &roles.roles {
        if let Role::Build(inputs) = role
            && let Some(tags) = workflow::input(inputs, "tags")
        {
            images.extend(
                value::list(tags)
                    .into_iter()
                    .take(1)
                    .filter(|tag| !tag.contains("steps.")),
            );
        }
    }
    images
}

type Outputs = std::collections::BTreeMap<(String, String), Option<(String, String)>>;

// References to outputs, in each job that has moved steps. `None`: the text is not valid any more.
fn rename_outputs(text: &str, jobs_with_outputs: &[(String, bool, Outputs)]) -> Option<String> {
    let document = Document::parse(text).ok()?;
    let mut edits = Edits::default();
    for job in jobs(&document) {
        let Some((_, is_composite, outputs)) = jobs_with_outputs
            .iter()
            .find(|(name, _, _)| *name == job.name)
        else {
            continue;
        };
        let range = if *is_composite {
            0..text.len()
        } else {
            document.node(job.node).range.clone()
        };
        for ((id, old), new) in outputs {
            let Some((new_id, new)) = new
                .as_ref()
                .filter(|(new_id, new)| new_id != id || new != old)
            else {
                continue;
            };
            let reference = format!("steps.{id}.outputs.{old}");
            for (at, _) in text[range.clone()].match_indices(&reference) {
                let at = range.start + at;
                let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                let end = at + reference.len();
                if !text[end..].starts_with(is_part)
                    && !text[..at].ends_with(|c: char| is_part(c) || c == '.')
                {
                    edits.replace(at..end, format!("steps.{new_id}.outputs.{new}"));
                }
            }
        }
    }
    let changed = edits.apply(text).ok()?;
    Document::parse(&changed).ok()?;
    Some(changed)
}
