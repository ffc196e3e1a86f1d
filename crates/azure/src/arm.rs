//! Azure Resource Manager.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use reqwest::{Method, Response, StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;

use crate::{Cloud, Directory, Scope, retry};

const LIMIT: Duration = Duration::from_secs(60);
/// Pages of a list: a subscription has fewer registries than these hold.
const PAGES: usize = 100;

/// Resource Manager, as one identity in one subscription.
#[derive(Clone)]
pub struct ResourceManager {
    pub(crate) directory: Directory,
    base: String,
    subscription: String,
}

#[derive(Deserialize)]
struct Refused {
    error: Reason,
}

#[derive(Deserialize)]
struct Reason {
    code: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    value: Vec<Value>,
    next_link: Option<String>,
}

impl ResourceManager {
    /// The Resource Manager of `cloud`, asked with tokens of `directory`.
    pub fn new(directory: &Directory, cloud: &Cloud, subscription: &str) -> Self {
        Self {
            directory: directory.clone(),
            base: cloud.resource_manager().to_owned(),
            subscription: subscription.to_owned(),
        }
    }

    /// `GET` of a path below the subscription.
    pub(crate) async fn get(&self, path: &str, version: &str) -> anyhow::Result<Value> {
        let url = self.url(path, version)?;
        read(self.send(Method::GET, url, None, path).await?).await
    }

    /// `POST` of a path below the subscription, without a body.
    pub(crate) async fn post(&self, path: &str, version: &str) -> anyhow::Result<Value> {
        let url = self.url(path, version)?;
        read(self.send(Method::POST, url, None, path).await?).await
    }

    /// Every item of a list below the subscription, page after page.
    pub(crate) async fn list(&self, path: &str, version: &str) -> anyhow::Result<Vec<Value>> {
        let mut url = self.url(path, version)?;
        let mut items = Vec::new();
        for _ in 0..PAGES {
            let page = self.send(Method::GET, url.clone(), None, path).await?;
            let page: Page = serde_json::from_value(read(page).await?)
                .with_context(|| format!("while reading the list `{path}`"))?;
            items.extend(page.value);
            let Some(next) = page.next_link.filter(|link| !link.is_empty()) else {
                return Ok(items);
            };
            url = self.followed(&next, "the next page", path)?;
        }
        Ok(items)
    }

    /// An address that Resource Manager gave, `what` of `path`: the token goes to Resource Manager and to nobody else.
    pub(crate) fn followed(&self, given: &str, what: &str, path: &str) -> anyhow::Result<Url> {
        let given = Url::parse(given).with_context(|| format!("while reading where {what} is"))?;
        let base = Url::parse(&self.base).context("while reading the address")?;
        if given.origin() != base.origin() {
            bail!("{what} of `{path}` is at another host, which is not asked");
        }
        Ok(given)
    }

    /// The address of a path below the subscription.
    pub(crate) fn url(&self, path: &str, version: &str) -> anyhow::Result<Url> {
        let mut url = Url::parse(&self.base)
            .with_context(|| format!("while reading the address `{}`", self.base))?;
        url.path_segments_mut()
            .map_err(|()| anyhow!("`{}` is no base of addresses", self.base))?
            .pop_if_empty()
            .extend(["subscriptions", &self.subscription])
            .extend(path.split('/'));
        url.query_pairs_mut().append_pair("api-version", version);
        Ok(url)
    }

    /// The answer, if it is a good one; `path` is what an error names.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: Url,
        body: Option<&Value>,
        path: &str,
    ) -> anyhow::Result<Response> {
        let what = format!("while asking Azure Resource Manager for `{path}`");
        let answer = retry::send(&what, || async {
            let token = self.directory.token(Scope::ResourceManager).await?;
            let http = self.directory.http();
            let request = http.request(method.clone(), url.clone());
            let request = request.bearer_auth(token.expose()).timeout(LIMIT);
            Ok(match body {
                Some(body) => request.json(body),
                None => request,
            })
        })
        .await?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = answer.text().await.unwrap_or_default();
        Err(explain(status, &body).context(what))
    }
}

async fn read(answer: Response) -> anyhow::Result<Value> {
    let answer = answer.json().await;
    answer.context("while reading what Azure Resource Manager answered")
}

fn explain(status: StatusCode, body: &str) -> anyhow::Error {
    let said = serde_json::from_str::<Refused>(body).map_or_else(
        |_| status.to_string(),
        |refused| format!("{}: {}", refused.error.code, refused.error.message),
    );
    let said = said.trim_end_matches(['.', ' ', ':']);
    let cure = match status {
        StatusCode::FORBIDDEN => {
            "; give the identity a role with that right, on the resource or its group"
        }
        StatusCode::NOT_FOUND => {
            "; check its name, resource group and subscription, and that the identity may read it"
        }
        StatusCode::UNAUTHORIZED => {
            "; the token was not taken: is `resource-manager` the right one for this cloud?"
        }
        _ => "",
    };
    anyhow!("{said}{cure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_to_do() {
        let body = r#"{"error":{"code":"AuthorizationFailed","message":"The client does not have authorization to perform action 'x'."}}"#;
        let table = [
            (
                StatusCode::FORBIDDEN,
                body,
                "AuthorizationFailed: The client does not have authorization to perform action 'x'; give the identity a role with that right, on the resource or its group",
            ),
            (StatusCode::BAD_GATEWAY, "<html>", "502 Bad Gateway"),
            (
                StatusCode::CONFLICT,
                r#"{"error":{"code":"OperationNotAllowed"}}"#,
                "OperationNotAllowed",
            ),
        ];
        for (status, body, message) in table {
            assert_eq!(explain(status, body).to_string(), message);
        }
    }
}
