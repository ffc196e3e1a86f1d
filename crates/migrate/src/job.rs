//! The plan of a job: its steps are moved in the order in which they depend on each other.

mod building;
mod deploying;
mod releasing;
mod scanning;
mod support;
mod uploading;

use peers::Peer;

use crate::plan::{Fate, NewStep, Note, Plan, Weight};
use crate::role::{Role, Roles};
use crate::workflow::Job;

/// What is planned, as it grows.
pub(crate) struct Planner<'a> {
    pub(crate) job: &'a Job,
    /// The text of the job, to find what refers to a step.
    pub(crate) text: &'a str,
    pub(crate) roles: Roles,
    pub(crate) plan: Plan,
    /// Images that other jobs build.
    pub(crate) images_elsewhere: &'a [String],
    /// Images that this job has in Docker.
    pub(crate) images_here: Vec<String>,
    /// Logins of every job: a new step can't see those of an earlier step.
    pub(crate) logins_elsewhere: &'a [crate::registry::Login],
}

/// The plan of a job whose text is `text`.
pub(crate) fn plan(
    job: &Job,
    text: &str,
    images_elsewhere: &[String],
    logins_elsewhere: &[crate::registry::Login],
) -> Plan {
    let mut planner = Planner {
        job,
        text,
        roles: Roles::new(job),
        plan: Plan {
            fates: vec![Fate::Stay; job.steps.len()],
            ..Plan::default()
        },
        images_elsewhere,
        images_here: Vec::new(),
        logins_elsewhere,
    };
    if let Some(system) = other_system(&job.runner) {
        planner.refuse_all(&format!(
            "container actions start on Linux only, and the job runs on {system}"
        ));
        return planner.plan;
    }
    planner.unread();
    planner.builds();
    planner.scans();
    planner.patches();
    planner.other_uploads();
    planner.deployments();
    planner.support();
    planner.plan
}

// Windows and macOS, as far as the label of a runner says so.
fn other_system(runner: &str) -> Option<&'static str> {
    let runner = runner.to_lowercase();
    if runner.starts_with("windows") {
        Some("Windows")
    } else if runner.starts_with("macos") {
        Some("macOS")
    } else {
        None
    }
}

impl Planner<'_> {
    pub(crate) fn note(&mut self, index: usize, weight: Weight, text: impl Into<String>) {
        let step = &self.job.steps[index];
        let note = Note {
            line: step.line,
            step: step.label.clone(),
            weight,
            text: text.into(),
        };
        if !self.plan.notes.contains(&note) {
            self.plan.notes.push(note);
        }
    }

    pub(crate) fn lose(&mut self, index: usize, lost: Vec<String>) {
        for text in lost {
            self.note(index, Weight::Loss, text);
        }
    }

    /// Whether anything refers to the step by its id.
    pub(crate) fn is_referenced(&self, index: usize) -> bool {
        let id = self.job.steps[index].id.as_deref();
        id.is_some_and(|id| {
            ["steps.", "steps['", "steps[\""]
                .iter()
                .any(|start| self.text.contains(&format!("{start}{id}")))
        })
    }

    /// The step becomes `new`. Its outputs get the names that the table has.
    pub(crate) fn become_new(&mut self, index: usize, peer: &'static Peer, new: NewStep) {
        if let Some(id) = self.job.steps[index].id.clone() {
            for output in peer.outputs {
                let old = (id.clone(), output.old.to_owned());
                let new = output
                    .targets()
                    .first()
                    .map(|target| (id.clone(), (*target).to_owned()));
                if new.is_none()
                    && self
                        .text
                        .contains(&format!("steps.{id}.outputs.{}", output.old))
                {
                    self.note(
                        index,
                        Weight::Loss,
                        format!("the output `{}`: {}", output.old, output.note),
                    );
                }
                self.plan.outputs.insert(old, new);
            }
            if self.text.contains(&format!("steps['{id}']"))
                || self.text.contains(&format!("steps.{id}.outputs["))
            {
                self.note(
                    index,
                    Weight::Loss,
                    format!(
                        "outputs of `{id}` that are written with brackets keep their old names"
                    ),
                );
            }
        }
        self.plan.fates[index] = Fate::Become(new);
        self.plan.moved += 1;
    }

    fn unread(&mut self) {
        for index in 0..self.roles.roles.len() {
            if let Role::Unread(reason) = &self.roles.roles[index] {
                let reason = reason.clone();
                self.note(index, Weight::Not, reason);
            }
        }
    }

    fn refuse_all(&mut self, reason: &str) {
        for index in 0..self.roles.roles.len() {
            let is_ours = matches!(
                self.roles.roles[index],
                Role::Scan(_)
                    | Role::UploadSarif
                    | Role::Patch(_)
                    | Role::Build(_)
                    | Role::KubernetesDeploy
                    | Role::Kubectl(_)
                    | Role::Helm(_)
            );
            if is_ours {
                self.note(index, Weight::Not, reason);
            }
        }
    }
}
