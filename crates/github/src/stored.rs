//! What an earlier analysis of a branch found.
//!
//! API: docs.github.com/rest/code-scanning/code-scanning, "List code scanning analyses for a repository" (the newest
//! first) and "Get a code scanning analysis for a repository" (with `application/sarif+json`, what was uploaded).

use std::collections::BTreeSet;

use anyhow::Context as _;
use octocrab::Octocrab;
use serde::Deserialize;
use serde_json::Value;

use crate::{category_and_run_id, client};

const PAGE: usize = 100;
/// Analyses are listed the newest first: one that is further back is of no use.
const PAGES: usize = 5;
/// Analyses that are read until there is one of another run id.
const TRIES: usize = 5;

/// The analyses that GitHub keeps of a repository.
pub struct Stored {
    crab: Octocrab,
    repository: String,
}

/// The analysis that is looked for: the newest of these.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The tool that made it.
    pub tool: &'a str,
    /// The full ref that it is of.
    pub git_ref: &'a str,
    /// Its category.
    pub category: &'a str,
    /// The run id that it does not have.
    pub but: &'a str,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// The analysis.
    Analysis {
        /// Its file.
        sarif: Value,
        /// How many newer ones have the run id that it was not to have.
        newer: usize,
    },
    /// No other than such as have that run id: the newest of them.
    Only {
        /// Its file.
        sarif: Value,
    },
    /// Nothing of this category.
    Nothing {
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

impl Stored {
    /// The analyses of `repository` (`owner/name`) at the API `api_url`.
    ///
    /// # Errors
    /// When the repository or address is malformed.
    pub fn new(
        http: reqwest::Client,
        api_url: &str,
        repository: &str,
        token: &str,
    ) -> anyhow::Result<Self> {
        client::owner_and_name(repository)?;
        Ok(Self {
            crab: client::new(http, api_url, token)?,
            repository: repository.to_owned(),
        })
    }

    /// Look for the newest analysis that is as `wanted`.
    ///
    /// The list does not tell run ids, so each file is read until there is one; after some, they are all alike.
    ///
    /// # Errors
    /// When GitHub fails or the token may not read it.
    pub async fn newest(&self, wanted: &Wanted<'_>) -> anyhow::Result<Found> {
        let category = wanted.category.trim_end_matches('/');
        let mut others = BTreeSet::new();
        let mut only = None;
        let mut newer = 0;
        'pages: for page in 1..=PAGES {
            let listed = self.list(wanted, page).await?;
            let last = listed.len() < PAGE;
            for analysis in listed {
                let stored = analysis.category.unwrap_or_default();
                if stored.trim_end_matches('/') != category {
                    others.insert(stored);
                    continue;
                }
                let sarif = self.sarif(analysis.id).await?;
                if run_id(&sarif) != wanted.but {
                    return Ok(Found::Analysis { sarif, newer });
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
            Some(sarif) => Found::Only { sarif },
            None => Found::Nothing { others },
        })
    }

    // A page of the list, the newest first.
    async fn list(&self, wanted: &Wanted<'_>, page: usize) -> anyhow::Result<Vec<Analysis>> {
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("tool_name", wanted.tool)
            .append_pair("ref", wanted.git_ref)
            .append_pair("per_page", &PAGE.to_string())
            .append_pair("page", &page.to_string())
            .finish();
        let route = format!("/repos/{}/code-scanning/analyses?{query}", self.repository);
        match self.crab.get(route, None::<&()>).await {
            Ok(listed) => Ok(listed),
            // GitHub's answer where nothing was ever analysed.
            Err(octocrab::Error::GitHub { source, .. }) if source.status_code.as_u16() == 404 => {
                Ok(Vec::new())
            }
            Err(error) => Err(client::words(error))
                .with_context(|| format!("while looking for the analysis of `{}`", wanted.git_ref)),
        }
    }

    async fn sarif(&self, id: u64) -> anyhow::Result<Value> {
        let route = format!("/repos/{}/code-scanning/analyses/{id}", self.repository);
        let accept = [(
            reqwest::header::ACCEPT,
            reqwest::header::HeaderValue::from_static("application/sarif+json"),
        )];
        let headers = accept.into_iter().collect();
        self.crab
            .get_with_headers(route, None::<&()>, Some(headers))
            .await
            .map_err(client::words)
            .with_context(|| format!("while reading analysis {id}"))
    }
}

// An analysis is one run of a file.
fn run_id(sarif: &Value) -> &str {
    let id = sarif.pointer("/runs/0/automationDetails/id");
    category_and_run_id(id.and_then(Value::as_str).unwrap_or_default()).1
}
