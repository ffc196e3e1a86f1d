//! What an earlier analysis of a branch uploaded.
//!
//! API: docs.github.com/rest/code-scanning/code-scanning, "List code scanning analyses for a repository" (the newest
//! first) and "Get a code scanning analysis for a repository" (with `application/sarif+json`, what was uploaded).

use std::collections::BTreeSet;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

use crate::client::{Call, Retry};
use crate::{Client, category_and_run_id};

const PAGE: usize = 100;
/// Analyses are listed the newest first: an older one is too old for a comparison.
const PAGES: usize = 5;
/// Analyses that are read until one has another run id.
const TRIES: usize = 5;

/// The most bytes of a stored file: GitHub accepts 10 MB of gzip.
const SARIF_LIMIT: u64 = 64 * 1024 * 1024;

/// The analyses of a repository that GitHub stores.
pub struct Analyses(pub(crate) Client);

/// Which analyses are searched.
#[derive(Debug, Clone, Copy)]
pub struct AnalysisFilter<'a> {
    /// The tool that made them, `Trivy`.
    pub tool: &'a str,
    /// The full ref, `refs/heads/main`.
    pub git_ref: &'a str,
    /// The category, with or without the slash at its end.
    pub category: &'a str,
    /// Analyses with this run id are skipped.
    pub excluded_run_id: &'a str,
}

/// The newest analysis that matches a filter.
#[derive(Debug, Clone, PartialEq)]
pub enum NewestAnalysis {
    /// The newest one without the excluded run id.
    Match {
        /// The uploaded file.
        sarif: Value,
        /// How many newer ones have the excluded run id.
        newer: usize,
    },
    /// All have the excluded run id: the newest of them.
    OnlyExcluded {
        /// The uploaded file.
        sarif: Value,
    },
    /// No analysis has this category.
    None {
        /// The categories that the tool has on this ref.
        others: BTreeSet<String>,
    },
}

#[derive(Deserialize)]
struct Analysis {
    id: u64,
    #[serde(default)]
    category: Option<String>,
}

impl Analyses {
    /// The newest analysis that matches `filter`.
    ///
    /// The list does not contain run ids, so file after file is read until one matches, up to a limit.
    ///
    /// # Errors
    /// When GitHub fails or the token may not read it.
    pub async fn newest(&self, filter: &AnalysisFilter<'_>) -> anyhow::Result<NewestAnalysis> {
        let category = filter.category.trim_end_matches('/');
        let mut others = BTreeSet::new();
        let mut only = None;
        let mut newer = 0;
        'pages: for page in 1..=PAGES {
            let listed = self.list(filter, page).await?;
            let last = listed.len() < PAGE;
            for analysis in listed {
                let stored = analysis.category.unwrap_or_default();
                if stored.trim_end_matches('/') != category {
                    others.insert(stored);
                    continue;
                }
                let sarif = self.sarif(analysis.id).await?;
                if run_id(&sarif) != filter.excluded_run_id {
                    return Ok(NewestAnalysis::Match { sarif, newer });
                }
                newer += 1;
                only.get_or_insert(sarif);
                if newer == TRIES {
                    break 'pages;
                }
            }
            if last {
                break;
            }
        }
        Ok(match only {
            Some(sarif) => NewestAnalysis::OnlyExcluded { sarif },
            None => NewestAnalysis::None { others },
        })
    }

    // A page of the list, the newest first.
    async fn list(
        &self,
        filter: &AnalysisFilter<'_>,
        page: usize,
    ) -> anyhow::Result<Vec<Analysis>> {
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("tool_name", filter.tool)
            .append_pair("ref", filter.git_ref)
            .append_pair("per_page", &PAGE.to_string())
            .append_pair("page", &page.to_string())
            .finish();
        let path = format!("code-scanning/analyses?{query}");
        match self.0.get(&path).await {
            // GitHub's response where nothing was ever analyzed.
            Err(error) if error.status() == Some(404) => Ok(Vec::new()),
            listed => listed
                .with_context(|| format!("failed to list the analyses of `{}`", filter.git_ref)),
        }
    }

    async fn sarif(&self, id: u64) -> anyhow::Result<Value> {
        let url = self.0.url(&format!("code-scanning/analyses/{id}"));
        let call = Call::get(url).accept("application/sarif+json", SARIF_LIMIT);
        let sarif = self.0.send(&call, Retry::Transient).await;
        sarif.with_context(|| format!("failed to read analysis {id}"))
    }
}

// An analysis is one run of a file.
fn run_id(sarif: &Value) -> &str {
    let id = sarif.pointer("/runs/0/automationDetails/id");
    category_and_run_id(id.and_then(Value::as_str).unwrap_or_default()).1
}
