//! SARIF files that were uploaded, and the analyses in them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::links::Links;
use super::response::now;
use super::sarif::Upload;
use super::state::Repository;

/// A file that was accepted for processing.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Uploaded {
    pub(super) id: String,
    /// The request, with the file unpacked in `sarif`.
    pub(super) request: Value,
    /// The errors of the processing.
    pub(super) errors: Vec<String>,
    pub(super) at: String,
    /// One number for every run of the file.
    analyses: Vec<u64>,
    #[serde(skip)]
    polls: u32,
}

/// One run of a file that was processed.
#[derive(Clone, Copy)]
pub(super) struct Analysis<'a> {
    pub(super) id: u64,
    pub(super) upload: &'a Uploaded,
    pub(super) run: &'a Value,
}

impl Uploaded {
    pub(super) fn git_ref(&self) -> &str {
        self.request["ref"].as_str().unwrap_or_default()
    }

    pub(super) fn commit(&self) -> &str {
        self.request["commit_sha"].as_str().unwrap_or_default()
    }
}

impl<'a> Analysis<'a> {
    pub(super) fn tool(self) -> &'a str {
        let name = self.run.pointer("/tool/driver/name");
        name.and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn tool_json(self) -> Value {
        let driver = &self.run["tool"]["driver"];
        let version = driver
            .get("semanticVersion")
            .or_else(|| driver.get("version"));
        json!({"name": self.tool(), "guid": driver["guid"].as_str(), "version": version})
    }

    pub(super) fn category(self) -> &'a str {
        category_and_run_id(self.run).0
    }

    /// The run's id as GitHub gives it back, put together again from its parts.
    pub(super) fn identity(self) -> String {
        let (category, run_id) = category_and_run_id(self.run);
        format!("{category}/{run_id}")
    }

    pub(super) fn results(self) -> &'a [Value] {
        self.run["results"].as_array().map_or(&[], Vec::as_slice)
    }

    pub(super) fn json(self, links: &Links) -> Value {
        let rules = self
            .run
            .pointer("/tool/driver/rules")
            .and_then(Value::as_array);
        json!({
            "id": self.id, "ref": self.upload.git_ref(), "commit_sha": self.upload.commit(),
            "analysis_key": self.category(), "category": self.category(), "environment": "{}",
            "error": "", "warning": "", "created_at": self.upload.at,
            "results_count": self.results().len(), "rules_count": rules.map_or(0, Vec::len),
            "url": links.api(&format!("code-scanning/analyses/{}", self.id)),
            "sarif_id": self.upload.id, "tool": self.tool_json(), "deletable": true,
        })
    }
}

/// Category and run id of `run`: what is before and after the last `/` of its id; without a `/` there is no category.
///
/// Source: "SARIF support for code scanning", `runAutomationDetails` object.
pub(super) fn category_and_run_id(run: &Value) -> (&str, &str) {
    let id = run.pointer("/automationDetails/id");
    let id = id.and_then(Value::as_str).unwrap_or_default();
    id.rsplit_once('/').unwrap_or(("", id))
}

impl Repository {
    pub(super) fn add_upload(&mut self, upload: Upload) -> String {
        let id = uuid::Uuid::new_v4().to_string();
        let runs = upload.request["sarif"]["runs"]
            .as_array()
            .map_or(0, Vec::len);
        let analyses = (0..runs).map(|_| self.next_number()).collect();
        self.uploads.push(Uploaded {
            id: id.clone(),
            request: upload.request,
            errors: upload.errors,
            at: now(),
            analyses,
            polls: 0,
        });
        id
    }

    pub(super) fn upload_status(&mut self, id: &str, links: &Links) -> Option<Value> {
        let pending = self.pending;
        let upload = self.uploads.iter_mut().find(|upload| upload.id == id)?;
        upload.polls = upload.polls.saturating_add(1);
        if upload.polls <= pending {
            return Some(json!({"processing_status": "pending"}));
        }
        let url = links.api(&format!("code-scanning/analyses?sarif_id={id}"));
        if upload.errors.is_empty() {
            return Some(json!({"processing_status": "complete", "analyses_url": url}));
        }
        Some(json!({"processing_status": "failed", "analyses_url": null, "errors": upload.errors}))
    }

    /// The runs of all files that processing took, oldest first.
    pub(super) fn analyses(&self) -> Vec<Analysis<'_>> {
        let good = self
            .uploads
            .iter()
            .filter(|upload| upload.errors.is_empty());
        good.flat_map(|upload| {
            let runs = upload.request["sarif"]["runs"].as_array();
            let runs = runs.map_or(&[][..], Vec::as_slice);
            upload
                .analyses
                .iter()
                .zip(runs)
                .map(move |(&id, run)| Analysis { id, upload, run })
        })
        .collect()
    }
}
