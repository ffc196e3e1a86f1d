//! The jobs and steps of a workflow, or of a composite action.

use crate::yaml::{Document, Id};

/// A sequence of steps, and what surrounds it.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) name: String,
    /// The mapping of the job; of a composite action, `runs`.
    pub(crate) node: Id,
    /// The node `steps`.
    pub(crate) sequence: Id,
    pub(crate) steps: Vec<Step>,
    pub(crate) runner: String,
    /// `env` of the workflow and of the job.
    pub(crate) env: Vec<(String, String)>,
    /// A composite action has no permissions.
    pub(crate) is_composite: bool,
}

/// A step.
#[derive(Debug)]
pub(crate) struct Step {
    /// Its item in the sequence.
    pub(crate) item: Id,
    /// From 1.
    pub(crate) line: usize,
    /// `uses` without the version, in lower case.
    pub(crate) action: String,
    pub(crate) run: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) condition: Option<String>,
    pub(crate) directory: Option<String>,
    pub(crate) with: Vec<(String, String)>,
    pub(crate) env: Vec<(String, String)>,
    /// How a message names it.
    pub(crate) label: String,
}

impl Step {
    fn new(document: &Document<'_>, item: Id) -> Self {
        let text = |key: &str| document.text_of(item, key).map(ToOwned::to_owned);
        let uses = text("uses").unwrap_or_default();
        let action = uses
            .split('@')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        let run = text("run");
        let first_line = run
            .as_deref()
            .and_then(|run| run.trim().lines().next())
            .unwrap_or_default();
        let label = if uses.is_empty() {
            first_line
        } else {
            uses.split('@').next().unwrap_or_default()
        };
        Self {
            item,
            line: document.line(document.node(item).start),
            label: label.chars().filter(|c| !c.is_control()).take(60).collect(),
            action,
            run,
            id: text("id"),
            condition: text("if"),
            directory: text("working-directory"),
            with: pairs(document, document.get(item, "with")),
            env: pairs(document, document.get(item, "env")),
        }
    }

    /// The value of an input, in any case of its name.
    pub(crate) fn input(&self, name: &str) -> Option<&str> {
        input(&self.with, name)
    }
}

/// The value of an input in a list of them.
pub(crate) fn input<'a>(inputs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = inputs
        .iter()
        .find(|(other, _)| other.eq_ignore_ascii_case(name));
    found
        .map(|(_, value)| value.trim())
        .filter(|value| !value.is_empty())
}

fn pairs(document: &Document<'_>, mapping: Option<Id>) -> Vec<(String, String)> {
    let entries = mapping.map_or(&[][..], |mapping| document.entries(mapping));
    let pair = |(key, value): &(Id, Id)| {
        let key = document.scalar(*key)?;
        Some((
            key.to_owned(),
            document.scalar(*value).unwrap_or_default().to_owned(),
        ))
    };
    entries.iter().filter_map(pair).collect()
}

/// Every job of a workflow that has steps, or the steps of a composite action.
pub(crate) fn jobs(document: &Document<'_>) -> Vec<Job> {
    let Some(root) = document.root() else {
        return Vec::new();
    };
    let env = pairs(document, document.get(root, "env"));
    let jobs = document
        .get(root, "jobs")
        .map_or(&[][..], |jobs| document.entries(jobs));
    let jobs = jobs
        .iter()
        .map(|(name, job)| (document.scalar(*name).unwrap_or_default(), *job, false));
    let composite = document.get(root, "runs").map(|runs| ("runs", runs, true));
    let job = |(name, node, is_composite): (&str, Id, bool)| {
        let sequence = document.get(node, "steps")?;
        let items = document.items(sequence);
        let steps = items.iter().filter(|item| document.is_mapping(**item));
        let mut env = env.clone();
        env.extend(pairs(document, document.get(node, "env")));
        Some(Job {
            name: name.to_owned(),
            node,
            sequence,
            steps: steps.map(|item| Step::new(document, *item)).collect(),
            runner: document
                .text_of(node, "runs-on")
                .unwrap_or_default()
                .to_owned(),
            env,
            is_composite,
        })
    };
    jobs.chain(composite).filter_map(job).collect()
}
