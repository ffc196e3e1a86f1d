//! The URLs in responses.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde_json::{Value, json};

/// One repository's addresses: those of the API point to this server, so that a client that
/// follows them stays here, and those for people lead to its pages.
#[derive(Debug, Clone)]
pub(super) struct Links {
    base: String,
    /// `owner/name`.
    pub(super) repository: String,
    /// `Organization` or `User`.
    pub(super) kind_of_owner: &'static str,
}

impl Links {
    pub(super) fn new(base: &str, repository: &str, is_of_user: bool) -> Self {
        Self {
            base: base.to_owned(),
            repository: repository.to_owned(),
            kind_of_owner: if is_of_user { "User" } else { "Organization" },
        }
    }

    pub(super) fn owner(&self) -> &str {
        self.repository.split('/').next().unwrap_or_default()
    }

    /// The repository's own address in the API.
    pub(super) fn root(&self) -> String {
        format!("{}/repos/{}", self.base, self.repository)
    }

    pub(super) fn api(&self, rest: &str) -> String {
        format!("{}/{rest}", self.root())
    }

    pub(super) fn page(&self, rest: &str) -> String {
        format!("{}/{rest}", self.base)
    }
}

impl<S: Sync> FromRequestParts<S> for Links {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let links = parts.extensions.get::<Self>().cloned();
        Ok(links.unwrap_or_else(|| Self::new("", "", false)))
    }
}

/// The account in whose name a workflow's token acts.
pub(super) fn bot() -> Value {
    user("github-actions[bot]", 41_898_282, "Bot")
}

pub(super) fn user(login: &str, id: u64, kind: &str) -> Value {
    let url = |rest: &str| {
        format!(
            "https://api.github.com/users/{}{rest}",
            login.replace('[', "%5B").replace(']', "%5D")
        )
    };
    json!({
        "login": login, "id": id, "node_id": format!("U_{id}"), "type": kind, "site_admin": false,
        "avatar_url": format!("https://avatars.githubusercontent.com/u/{id}"), "gravatar_id": "",
        "url": url(""), "html_url": format!("https://github.com/{}", login.trim_end_matches("[bot]")),
        "followers_url": url("/followers"), "following_url": url("/following{/other_user}"),
        "gists_url": url("/gists{/gist_id}"), "starred_url": url("/starred{/owner}{/repo}"),
        "subscriptions_url": url("/subscriptions"), "organizations_url": url("/orgs"),
        "repos_url": url("/repos"), "events_url": url("/events{/privacy}"),
        "received_events_url": url("/received_events"),
    })
}
