//! Uploads of SARIF files that other scanners wrote.

use peers::Peer;

use super::scanning::UPLOAD;
use crate::job::Planner;
use crate::plan::{Fate, NewStep, Weight, by_table};
use crate::role::Role;
use crate::workflow::Step;

impl Planner<'_> {
    /// What is left of the uploads: `trivy-scan` uploads the files of other scanners too, without a scan.
    pub(super) fn other_uploads(&mut self) {
        let Some(peer) = peers::peer(UPLOAD) else {
            return;
        };
        let runs = |action: &str| {
            let mut steps = self.job.steps.iter();
            steps.any(|step| step.action.starts_with(action))
        };
        let reason = if runs("github/codeql-action/analyze") {
            Some("stays: the job runs CodeQL")
        } else if runs("ossf/scorecard-action") {
            // github.com/ossf/scorecard-action, "Workflow Restrictions".
            Some("stays: OpenSSF Scorecard publishes no results of a job with other actions")
        } else {
            None
        };
        for index in 0..self.job.steps.len() {
            let is_upload = matches!(self.roles.roles[index], Role::UploadSarif);
            if !is_upload || self.plan.fates[index] != Fate::Stay {
                continue;
            }
            if let Some(reason) = reason {
                self.note(index, Weight::Note, reason);
                continue;
            }
            match other_upload(peer, &self.job.steps[index]) {
                Ok((new, lost)) => {
                    self.lose(index, lost);
                    self.plan.permit("security-events", "write");
                    self.become_new(index, peer, new);
                }
                Err(reason) => self.note(index, Weight::Not, reason),
            }
        }
    }
}

fn other_upload(peer: &'static Peer, step: &Step) -> Result<(NewStep, Vec<String>), String> {
    let mut new = NewStep::new("trivy-scan");
    let mut lost = Vec::new();
    let Some(file) = step.input("sarif_file") else {
        let reason = "without `sarif_file` it uploads `../results`, which is outside of the workspace: write the files into the workspace, and name them";
        return Err(reason.to_owned());
    };
    let outside =
        || format!("`sarif_file: {file}` is outside of the workspace: write the file into it");
    let relative = in_workspace(file).ok_or_else(outside)?;
    if relative == file {
        new.keep("sarif_file", "sarif");
    } else {
        new.replace("sarif_file", "sarif", relative);
    }
    by_table(peer, &step.with, &mut new, &mut lost);
    new.set("comment", "false");
    Ok((new, lost))
}

/// As an input takes it: relative to the workspace; `None` for a path that is outside of it, or may be.
pub(super) fn in_workspace(file: &str) -> Option<&str> {
    let relative = match file.strip_prefix("${{ github.workspace }}") {
        Some("" | "/") => ".",
        Some(rest) => rest.strip_prefix('/').unwrap_or(file),
        None => file,
    };
    let is_outside = relative.starts_with('/')
        || relative.split('/').any(|part| part == "..")
        || relative.contains("runner.temp");
    (!is_outside).then_some(relative)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_in_the_workspace() {
        let table = [
            ("a.sarif", Some("a.sarif")),
            ("./out", Some("./out")),
            ("${{ github.workspace }}/out/a.sarif", Some("out/a.sarif")),
            ("${{ github.workspace }}", Some(".")),
            (
                "${{ steps.scan.outputs.sarif }}",
                Some("${{ steps.scan.outputs.sarif }}"),
            ),
            ("${{ runner.temp }}/a.sarif", None),
            ("/tmp/a.sarif", None),
            ("../results", None),
        ];
        for (file, expected) in table {
            assert_eq!(in_workspace(file), expected, "{file}");
        }
    }
}
