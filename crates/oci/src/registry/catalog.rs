//! The repositories and tags of a registry.

use anyhow::Context as _;
use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::Registry;
use super::request::ApiRequest;
use super::response::{header, success};

/// The most pages of a list: a registry with more pages is looping.
const MAX_PAGES: usize = 1000;

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    repositories: Option<Vec<String>>,
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Registry {
    /// The repositories that the credentials may list.
    ///
    /// # Errors
    /// [`Refused`](super::Refused): not every registry lists them (GHCR and Docker Hub do not).
    pub async fn repositories(&self) -> anyhow::Result<Vec<String>> {
        let what = || format!("failed to list the repositories of `{}`", self.host);
        let first = "_catalog?n=1000".to_owned();
        let scope = "registry:catalog:*".to_owned();
        let pages = self.pages(first, &scope).await.with_context(what)?;
        Ok(pages
            .into_iter()
            .flat_map(|page| page.repositories.unwrap_or_default())
            .collect())
    }

    /// The tags of `repository`; empty if the repository does not exist.
    ///
    /// # Errors
    /// [`Refused`](super::Refused) for a status other than 2xx and 404.
    pub async fn tags(&self, repository: &str) -> anyhow::Result<Vec<String>> {
        let what = || format!("failed to list the tags of `{}/{repository}`", self.host);
        let first = format!("{repository}/tags/list?n=1000");
        let scope = format!("repository:{repository}:pull");
        let pages = self.pages(first, &scope).await.with_context(what)?;
        Ok(pages
            .into_iter()
            .flat_map(|page| page.tags.unwrap_or_default())
            .collect())
    }

    async fn pages(&self, first: String, scope: &str) -> anyhow::Result<Vec<Page>> {
        let mut pages = Vec::new();
        let mut next = Some(first);
        while let Some(path) = next.take().filter(|_| pages.len() < MAX_PAGES) {
            let request = ApiRequest::new(Method::GET, &path, scope);
            let response = self.send(request).await?;
            if response.status() == StatusCode::NOT_FOUND {
                break;
            }
            let response = success(response, &self.host).await?;
            next = header(response.headers(), "link")
                .as_deref()
                .and_then(next_path);
            pages.push(response.json().await?);
        }
        Ok(pages)
    }
}

// Link: </v2/_catalog?last=app&n=1000>; rel="next"
fn next_path(link: &str) -> Option<String> {
    let (_, rest) = link.split_once('<')?;
    let (target, relation) = rest.split_once('>')?;
    let (_, path) = target.split_once("/v2/")?;
    relation.contains("next").then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_next_page_is_in_the_link_header() {
        let table = [
            (
                "</v2/_catalog?last=app&n=2>; rel=\"next\"",
                Some("_catalog?last=app&n=2"),
            ),
            (
                "<https://r.example/v2/a/tags/list?last=b>; rel=next",
                Some("a/tags/list?last=b"),
            ),
            ("</v2/x>; rel=\"prev\"", None),
            ("", None),
        ];
        for (link, path) in table {
            assert_eq!(super::next_path(link).as_deref(), path);
        }
    }
}
