//! The repositories and tags of a registry.

use anyhow::{Context as _, bail, ensure};
use http_client::{Method, Response, StatusCode, Url};
use serde::Deserialize;

use super::request::ApiRequest;
use super::response::success;
use super::{Registry, link};

/// The most pages of a list: a registry with more pages is looping.
const MAX_PAGES: usize = 1000;
/// The most bytes of one page: a registry may send all names at once.
const PAGE_LIMIT: u64 = 8 * 1024 * 1024;
/// The most names of all pages.
const MAX_NAMES: usize = 1_000_000;

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    repositories: Option<Vec<String>>,
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Page {
    fn len(&self) -> usize {
        let all = [&self.repositories, &self.tags].into_iter().flatten();
        all.map(Vec::len).sum()
    }
}

impl Registry {
    /// The repositories that the credentials may list.
    ///
    /// # Errors
    /// [`Refused`](super::Refused), or when there is no such list: not every registry has one (GHCR and Docker Hub have
    /// none). When there are over 1000 pages or a million names.
    pub async fn repositories(&self) -> anyhow::Result<Vec<String>> {
        let what = || {
            format!(
                "`{}` does not list its repositories; name each one, without `*`",
                self.host
            )
        };
        let first = "_catalog?n=1000".to_owned();
        let scope = "registry:catalog:*".to_owned();
        let request = ApiRequest::new(Method::GET, first, scope);
        let pages = self.pages(request).await.with_context(what)?;
        ensure!(!pages.is_empty(), what());
        Ok(pages
            .into_iter()
            .flat_map(|page| page.repositories.unwrap_or_default())
            .collect())
    }

    /// The tags of `repository`; empty if the repository does not exist.
    ///
    /// # Errors
    /// [`Refused`](super::Refused) for a status other than 2xx and 404. When there are over 1000 pages or a
    /// million names.
    pub async fn tags(&self, repository: &str) -> anyhow::Result<Vec<String>> {
        let what = || format!("failed to list the tags of `{}/{repository}`", self.host);
        let request = self.pull(Method::GET, repository, "tags/list?n=1000");
        let pages = self.pages(request).await.with_context(what)?;
        Ok(pages
            .into_iter()
            .flat_map(|page| page.tags.unwrap_or_default())
            .collect())
    }

    async fn pages(&self, mut request: ApiRequest<'_>) -> anyhow::Result<Vec<Page>> {
        let mut pages = Vec::new();
        let mut names = 0;
        while pages.len() < MAX_PAGES {
            let scope = request.scope.clone();
            let response = self.send(request).await?;
            if response.status() == StatusCode::NOT_FOUND {
                return Ok(pages);
            }
            let response = success(response, &self.host).await?;
            let next = self.next_page(&response)?;
            let page: Page = response.json(PAGE_LIMIT).await?;
            names += page.len();
            ensure!(
                names <= MAX_NAMES,
                "the list of `{}` is over the limit of {MAX_NAMES} names",
                self.host
            );
            pages.push(page);
            let Some(next) = next else {
                return Ok(pages);
            };
            request = ApiRequest::new(Method::GET, next, scope);
        }
        bail!(
            "the list of `{}` is over the limit of {MAX_PAGES} pages",
            self.host
        )
    }

    fn next_page(&self, response: &Response) -> anyhow::Result<Option<String>> {
        let Some(target) = link::next(response.headers()) else {
            return Ok(None);
        };
        let url = response.url().join(target);
        let url = url.with_context(|| format!("`{}` sent an invalid next page", self.host))?;
        let path = path_on(&self.base()?, &url);
        ensure!(
            path.is_some(),
            "the next page of `{}` is on another host, which is not contacted",
            self.host
        );
        Ok(path)
    }
}

// The path and query of `url` below the API's root `base`. The list is read there, whatever the scheme of `url`: behind
// a proxy for TLS, a registry may believe that it has none.
fn path_on(base: &Url, url: &Url) -> Option<String> {
    let path = url.path().strip_prefix(base.path())?;
    let query = url.query().map(|query| format!("?{query}"));
    let is_there = base.host() == url.host() && base.port() == url.port();
    is_there.then(|| format!("{path}{}", query.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_next_page_is_below_the_root() {
        let table = [
            (
                "https://r.example/v2/a/tags/list?n=2",
                Some("a/tags/list?n=2"),
            ),
            ("http://r.example/v2/a", Some("a")),
            ("https://r.example:8443/v2/a", None),
            ("https://r.example.evil.example/v2/a", None),
            ("https://r.example@evil.example/v2/a", None),
            ("https://r.example/v3/a", None),
            ("https://r.example/v2/../a", None),
        ];
        let base = "https://r.example/v2/".parse().unwrap();
        for (url, path) in table {
            let next = super::path_on(&base, &url.parse().unwrap());
            assert_eq!(next.as_deref(), path, "{url}");
        }
    }
}
