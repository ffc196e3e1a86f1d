//! What a step leaves behind for the steps after it and for its reader: outputs, summary and artifacts.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::anyhow;

use crate::{Action, Env, ExitStatus, Log, text};

/// The runner drops a summary of more than 1 MiB whole (`Runner.Worker/FileCommandManager.cs`).
const SUMMARY_LIMIT: usize = 1024 * 1024;
const CUT_NOTE: &str = "\n\n> This summary was cut at GitHub's limit of 1 MiB.\n";

/// Outputs, summary and artifacts, gathered while the action runs and written once at its end, on every path.
#[derive(Debug, Default)]
pub struct Report(Mutex<Content>);

#[derive(Debug, Default)]
struct Content {
    outputs: BTreeMap<&'static str, String>,
    summary: String,
    artifacts: Vec<String>,
}

impl Report {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Set the output `name`; the last value wins.
    pub fn output(&self, name: &'static str, value: impl Display) {
        self.content().outputs.insert(name, value.to_string());
    }

    /// Add Markdown to the summary. The text must already be escaped.
    pub fn summary(&self, markdown: impl AsRef<str>) {
        let mut content = self.content();
        content.summary.push_str(markdown.as_ref());
        if !content.summary.ends_with('\n') {
            content.summary.push('\n');
        }
    }

    /// The run has published the image `reference`, with its digest and without a tag.
    pub fn artifact(&self, reference: impl Display) {
        self.content().artifacts.push(format!("oci://{reference}"));
    }

    /// Declare the artifacts to the runner, where it takes declarations: `actions/attest` attests them
    /// (`Runner.Worker/CreateArtifactsFileCommand.cs`). A lost declaration changes no verdict.
    pub(crate) fn write_artifacts(&self, env: &Env, log: &Log) {
        let content = self.content();
        let Some(path) = env.get("GITHUB_ARTIFACTS") else {
            return;
        };
        if content.artifacts.is_empty() {
            return;
        }
        let lines = content.artifacts.join("\n") + "\n";
        let file = std::fs::File::options().append(true).open(path);
        let written = file.and_then(|mut file| file.write_all(lines.as_bytes()));
        if let Err(e) = written {
            log.warning(format!(
                "failed to declare the image in `GITHUB_ARTIFACTS`: {e}"
            ));
        }
    }

    /// What a run of `action` came to, for a program that reads it: every declared output, and the `error` of a run
    /// that failed.
    pub(crate) fn to_json(
        &self,
        action: &Action,
        log: &Log,
        status: ExitStatus,
        error: Option<&str>,
    ) -> serde_json::Value {
        let content = self.content();
        let redacted = |text: &str| log.redactor().redact(text).into_owned();
        let value = |name| redacted(content.outputs.get(name).map_or("", String::as_str));
        let outputs = action.outputs.iter().map(|output| output.name);
        let outputs: BTreeMap<_, _> = outputs.map(|name| (name, value(name))).collect();
        serde_json::json!({
            "action": action.name,
            "exit-code": status.code(),
            "error": error.map(redacted),
            "outputs": outputs,
        })
    }

    /// Write every declared output, empty where nothing was set.
    ///
    /// # Errors
    /// When one of them can't be written; the others are written all the same.
    pub(crate) fn write_outputs(
        &self,
        action: &Action,
        env: &Env,
        log: &Log,
    ) -> anyhow::Result<()> {
        let content = self.content();
        let value = |name| {
            let value = content.outputs.get(name).map_or("", String::as_str);
            log.redactor().redact(value)
        };
        if env.get("GITHUB_OUTPUT").is_none() {
            for output in action.outputs.iter().filter(|o| !value(o.name).is_empty()) {
                log.info(format!("{}: {}", output.name, value(output.name)));
            }
            return Ok(());
        }
        let mut lost = Ok(());
        for output in action.outputs {
            let written = actions_rs::output::set_output(output.name, value(output.name).as_ref());
            lost = lost.and(written.map_err(|e| {
                anyhow!(
                    "output `{}` could not be written, so later steps would not see it: {e}; check the disk of the runner",
                    output.name
                )
            }));
        }
        lost
    }

    /// Write the summary. A lost summary changes no verdict: no later step reads it.
    pub(crate) fn write_summary(&self, env: &Env, log: &Log) {
        let content = self.content();
        if env.get("GITHUB_STEP_SUMMARY").is_some() && !content.summary.is_empty() {
            let mut summary = actions_rs::Summary::new();
            let text = log.redactor().redact(&content.summary);
            summary.raw(within_limit(&text), false);
            if let Err(e) = summary.write() {
                log.warning(format!("failed to write the job summary: {e}"));
            }
        }
    }
}

// Cut at a line, so that no table row or tag is left half open.
fn within_limit(summary: &str) -> String {
    if summary.len() <= SUMMARY_LIMIT {
        return summary.to_owned();
    }
    let head = text::cut(summary, SUMMARY_LIMIT - CUT_NOTE.len());
    let head = head.rfind('\n').map_or(head, |end| &head[..end]);
    format!("{head}{CUT_NOTE}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artifacts_are_lines_of_the_runners_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("artifacts");
        std::fs::write(&file, "earlier\n").unwrap();
        let report = Report::default();
        let env = Env::from_pairs([("GITHUB_ARTIFACTS", file.to_str().unwrap())]);
        report.write_artifacts(&env, &Log::sink());
        report.artifact("ghcr.io/octo-org/app@sha256:0a");
        report.write_artifacts(&Env::from_pairs([("CI", "true")]), &Log::sink());
        report.write_artifacts(&env, &Log::sink());
        let text = std::fs::read_to_string(file).unwrap();
        assert_eq!(text, "earlier\noci://ghcr.io/octo-org/app@sha256:0a\n");
    }

    #[test]
    fn a_long_summary_is_cut_at_a_line_and_says_so() {
        let long = "| a row of a table |\n".repeat(60_000);
        let cut = within_limit(&long);
        assert!(cut.len() <= SUMMARY_LIMIT);
        assert!(cut.ends_with(CUT_NOTE));
        assert!(cut[..cut.len() - CUT_NOTE.len()].ends_with("| a row of a table |"));
        assert_eq!(within_limit("short"), "short");
    }
}
