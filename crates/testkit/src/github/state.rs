//! What the repository holds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::sarif::Upload;

#[derive(Default)]
pub(super) struct Repository {
    pub(super) uploads: Vec<Stored>,
    pub(super) comments: Vec<Value>,
    pub(super) issues: Vec<Value>,
    pub(super) deployments: Vec<Value>,
    pub(super) pending: u32,
    last: u64,
    file: Option<PathBuf>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) id: String,
    pub(super) request: Value,
    pub(super) errors: Vec<String>,
    pub(super) at: String,
    #[serde(skip)]
    asked: u32,
}

#[derive(Default, Serialize, Deserialize)]
struct Saved {
    uploads: Vec<Stored>,
    comments: Vec<Value>,
    issues: Vec<Value>,
    deployments: Vec<Value>,
    last: u64,
}

/// One alert of code scanning.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Alert {
    pub(super) git_ref: String,
    pub(super) category: String,
    pub(super) rule: String,
    pub(super) title: String,
    pub(super) severity: String,
    pub(super) message: String,
    pub(super) path: String,
    pub(super) line: u64,
    pub(super) state: &'static str,
}

impl Repository {
    pub(super) fn open(data: Option<&Path>) -> anyhow::Result<Self> {
        let Some(folder) = data else {
            return Ok(Self::default());
        };
        std::fs::create_dir_all(folder).context("while making GitHub's folder")?;
        let file = folder.join("repository.json");
        let saved: Saved = match std::fs::read(&file) {
            Ok(text) => {
                serde_json::from_slice(&text).context("while reading what GitHub was told")?
            }
            Err(_) => Saved::default(),
        };
        Ok(Self {
            uploads: saved.uploads,
            comments: saved.comments,
            issues: saved.issues,
            deployments: saved.deployments,
            last: saved.last,
            pending: 0,
            file: Some(file),
        })
    }

    pub(super) fn save(&self) {
        let Some(file) = &self.file else { return };
        let saved = Saved {
            uploads: self.uploads.clone(),
            comments: self.comments.clone(),
            issues: self.issues.clone(),
            deployments: self.deployments.clone(),
            last: self.last,
        };
        if let Ok(text) = serde_json::to_vec(&saved) {
            // The page is a convenience: a full disk must not fail the caller's request.
            let _ = std::fs::write(file, text);
        }
    }

    pub(super) fn next_number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn add_upload(&mut self, upload: Upload) -> String {
        let id = uuid::Uuid::new_v4().to_string();
        let at = jiff::Timestamp::now()
            .strftime("%Y-%m-%d %H:%M:%S UTC")
            .to_string();
        self.uploads.push(Stored {
            id: id.clone(),
            request: upload.request,
            errors: upload.errors,
            at,
            asked: 0,
        });
        self.save();
        id
    }

    pub(super) fn upload_status(&mut self, id: &str) -> Option<Value> {
        let pending = self.pending;
        let upload = self.uploads.iter_mut().find(|upload| upload.id == id)?;
        upload.asked += 1;
        if upload.asked <= pending {
            return Some(json!({"processing_status": "pending"}));
        }
        if upload.errors.is_empty() {
            let url = "https://api.github.com/repos/octo-org/app/code-scanning/analyses";
            return Some(json!({"processing_status": "complete", "analyses_url": url}));
        }
        Some(json!({"processing_status": "failed", "errors": upload.errors}))
    }

    /// Alerts by identity: the last good upload of a ref, tool and category says what is open; what
    /// an earlier one had beyond that is fixed.
    pub(super) fn alerts(&self) -> Vec<Alert> {
        let mut known: BTreeMap<(String, String, String), Alert> = BTreeMap::new();
        for upload in self
            .uploads
            .iter()
            .filter(|upload| upload.errors.is_empty())
        {
            let git_ref = upload.request["ref"].as_str().unwrap_or_default();
            for run in upload.request["sarif"]["runs"]
                .as_array()
                .into_iter()
                .flatten()
            {
                let category = run
                    .pointer("/automationDetails/id")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .trim_end_matches('/');
                for ((of, in_, _), alert) in &mut known {
                    if of == git_ref && in_ == category {
                        alert.state = "fixed";
                    }
                }
                for result in run["results"].as_array().into_iter().flatten() {
                    let alert = alert(git_ref, category, run, result);
                    let print = result
                        .pointer("/partialFingerprints/primaryLocationLineHash")
                        .map(ToString::to_string);
                    let print = print.unwrap_or_else(|| format!("{}:{}", alert.path, alert.line));
                    known.insert(
                        (
                            git_ref.to_owned(),
                            category.to_owned(),
                            format!("{} {print}", alert.rule),
                        ),
                        alert,
                    );
                }
            }
        }
        known.into_values().collect()
    }
}

fn alert(git_ref: &str, category: &str, run: &Value, result: &Value) -> Alert {
    let text = |value: &Value, pointer: &str| {
        value
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let rule = text(result, "/ruleId");
    let rules = run.pointer("/tool/driver/rules").and_then(Value::as_array);
    let found = rules
        .into_iter()
        .flatten()
        .find(|candidate| candidate["id"] == rule.as_str())
        .cloned()
        .unwrap_or_default();
    let number: f64 = text(&found, "/properties/security-severity")
        .parse()
        .unwrap_or_default();
    let severity = match number {
        n if n > 9.0 => "critical",
        n if n >= 7.0 => "high",
        n if n >= 4.0 => "medium",
        n if n > 0.0 => "low",
        _ => "none",
    };
    let suppressed = result["suppressions"]
        .as_array()
        .is_some_and(|list| !list.is_empty());
    Alert {
        git_ref: git_ref.to_owned(),
        category: category.to_owned(),
        title: text(&found, "/shortDescription/text"),
        rule,
        severity: severity.to_owned(),
        message: text(result, "/message/text"),
        path: text(result, "/locations/0/physicalLocation/artifactLocation/uri"),
        line: result
            .pointer("/locations/0/physicalLocation/region/startLine")
            .and_then(Value::as_u64)
            .unwrap_or_default(),
        state: if suppressed { "dismissed" } else { "open" },
    }
}
