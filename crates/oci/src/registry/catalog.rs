//! What a registry has: repositories and tags.

use anyhow::Context as _;
use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::{Ask, Registry, checked, header};

/// Pages of a list; more is no registry but a loop.
const PAGES: usize = 1000;

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    repositories: Option<Vec<String>>,
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Registry {
    /// The repositories that may be seen.
    ///
    /// # Errors
    /// With what the registry answered; not every registry shows them (GHCR and Docker Hub do not).
    pub async fn repositories(&self) -> anyhow::Result<Vec<String>> {
        let what = || format!("while listing the repositories of `{}`", self.host);
        let first = "_catalog?n=1000".to_owned();
        let scope = "registry:catalog:*".to_owned();
        let pages = self.pages(first, &scope).await.with_context(what)?;
        Ok(pages
            .into_iter()
            .flat_map(|page| page.repositories.unwrap_or_default())
            .collect())
    }

    /// The tags of `repository`; none if there is no such repository.
    ///
    /// # Errors
    /// With what the registry answered.
    pub async fn tags(&self, repository: &str) -> anyhow::Result<Vec<String>> {
        let what = || format!("while listing the tags of `{}/{repository}`", self.host);
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
        while let Some(path) = next.take().filter(|_| pages.len() < PAGES) {
            let ask = Ask::new(Method::GET, &path, scope);
            let answer = self.send(ask).await?;
            if answer.status() == StatusCode::NOT_FOUND {
                break;
            }
            let answer = checked(answer, &self.host).await?;
            next = header(answer.headers(), "link")
                .as_deref()
                .and_then(following);
            pages.push(answer.json().await?);
        }
        Ok(pages)
    }
}

// Link: </v2/_catalog?last=app&n=1000>; rel="next"
fn following(link: &str) -> Option<String> {
    let (_, rest) = link.split_once('<')?;
    let (target, relation) = rest.split_once('>')?;
    let (_, path) = target.split_once("/v2/")?;
    relation.contains("next").then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_next_page_stands_in_a_header() {
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
            assert_eq!(super::following(link).as_deref(), path);
        }
    }
}
