//! What an earlier analysis of a branch uploaded.
//!
//! API: docs.github.com/rest/code-scanning/code-scanning, "List code scanning analyses for a repository" (the newest
//! first) and "Get a code scanning analysis for a repository" (with `application/sarif+json`, what was uploaded).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::client::{Call, Retry};
use crate::{Client, category_and_run_id};

const PAGE: usize = 100;
/// Pages that are read: those of a repository with many categories, whose newest analyses are of all the others. The token of
/// a run has 1,000 requests in an hour (docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api).
const PAGES: usize = 50;
/// Analyses that are read until one has another run id.
const TRIES: usize = 5;

/// The most bytes of a stored file: GitHub accepts 10 MB of gzip.
const SARIF_LIMIT: u64 = 64 * 1024 * 1024;

/// The analyses of a repository that GitHub stores. Each page of a list is requested once: many categories of one ref are in it.
pub struct Analyses {
    client: Client,
    /// By tool and ref.
    listed: Mutex<BTreeMap<(String, String), Listed>>,
}

/// What was listed so far, the newest first.
#[derive(Default)]
struct Listed {
    analyses: Vec<Analysis>,
    is_complete: bool,
}

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
    /// None of the newest ones has this category; whether an older one has it is unknown.
    Undecided {
        /// How many were listed.
        listed: usize,
    },
}

#[derive(Clone, Deserialize)]
struct Analysis {
    id: u64,
    #[serde(default)]
    category: Option<String>,
}

impl Analyses {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            listed: Mutex::default(),
        }
    }

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
        let mut is_complete = false;
        'pages: for page in 0..PAGES {
            let (listed, is_last) = self.page(filter, page).await?;
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
            if is_last {
                is_complete = true;
                break;
            }
        }
        Ok(match only {
            Some(sarif) => NewestAnalysis::OnlyExcluded { sarif },
            None if is_complete => NewestAnalysis::None { others },
            None => NewestAnalysis::Undecided {
                listed: PAGES * PAGE,
            },
        })
    }

    // The page at this position of the list, and whether it is the last one.
    async fn page(
        &self,
        filter: &AnalysisFilter<'_>,
        page: usize,
    ) -> anyhow::Result<(Vec<Analysis>, bool)> {
        let key = (filter.tool.to_owned(), filter.git_ref.to_owned());
        let mut listed = self.listed.lock().await;
        let listed = listed.entry(key).or_default();
        let start = page * PAGE;
        if listed.analyses.len() <= start && !listed.is_complete {
            let analyses = self.list(filter, page + 1).await?;
            listed.is_complete = analyses.len() < PAGE;
            listed.analyses.extend(analyses);
        }
        let analyses = listed.analyses.iter().skip(start).take(PAGE);
        let is_last = listed.is_complete && listed.analyses.len() <= start + PAGE;
        Ok((analyses.cloned().collect(), is_last))
    }

    // A page of the list, by its number.
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
        match self.client.get(&path).await {
            // GitHub's response where nothing was ever analyzed.
            Err(error) if error.status() == Some(404) => Ok(Vec::new()),
            listed => listed
                .with_context(|| format!("failed to list the analyses of `{}`", filter.git_ref)),
        }
    }

    async fn sarif(&self, id: u64) -> anyhow::Result<Value> {
        let url = self.client.url(&format!("code-scanning/analyses/{id}"));
        let call = Call::get(url).accept("application/sarif+json", SARIF_LIMIT);
        let sarif = self.client.send(&call, Retry::Transient).await;
        sarif.with_context(|| format!("failed to read analysis {id}"))
    }
}

// An analysis is one run of a file.
fn run_id(sarif: &Value) -> &str {
    let id = sarif.pointer("/runs/0/automationDetails/id");
    category_and_run_id(id.and_then(Value::as_str).unwrap_or_default()).1
}
