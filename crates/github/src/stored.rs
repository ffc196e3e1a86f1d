//! What an earlier analysis of a branch found.
//!
//! API: docs.github.com/rest/code-scanning/code-scanning#list-code-scanning-analyses-for-a-repository.

use anyhow::Context as _;
use octocrab::Octocrab;
use serde::Deserialize;
use serde_json::Value;

use crate::client;

const PAGE: usize = 100;
/// Analyses are listed the newest first: one that is further back is of no use.
const PAGES: usize = 5;

/// The analyses that GitHub keeps of a repository.
pub struct Stored {
    crab: Octocrab,
    repository: String,
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

    /// The SARIF of the newest analysis by `tool` of `git_ref` in `category`, if there is one.
    ///
    /// # Errors
    /// When GitHub fails or the token may not read it.
    pub async fn newest(
        &self,
        tool: &str,
        git_ref: &str,
        category: &str,
    ) -> anyhow::Result<Option<Value>> {
        let category = category.trim_end_matches('/');
        let of = |analysis: &Analysis| {
            let stored = analysis.category.as_deref().unwrap_or_default();
            stored.trim_end_matches('/') == category
        };
        for page in 1..=PAGES {
            let query: String = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("tool_name", tool)
                .append_pair("ref", git_ref)
                .append_pair("per_page", &PAGE.to_string())
                .append_pair("page", &page.to_string())
                .finish();
            let route = format!("/repos/{}/code-scanning/analyses?{query}", self.repository);
            let listed: Vec<Analysis> = match self.crab.get(route, None::<&()>).await {
                Ok(listed) => listed,
                // GitHub's answer where nothing was ever analysed.
                Err(octocrab::Error::GitHub { source, .. })
                    if source.status_code.as_u16() == 404 =>
                {
                    return Ok(None);
                }
                Err(error) => {
                    return Err(client::words(error))
                        .with_context(|| format!("while looking for the analysis of `{git_ref}`"));
                }
            };
            let last = listed.len() < PAGE;
            if let Some(analysis) = listed.into_iter().find(of) {
                return self.sarif(analysis.id).await.map(Some);
            }
            if last {
                break;
            }
        }
        Ok(None)
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
