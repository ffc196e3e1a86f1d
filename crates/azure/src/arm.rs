//! Azure Resource Manager.

use std::time::Duration;

use actions_toolkit::{Context, Secret};
use anyhow::{Context as _, anyhow, bail};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;

use crate::{Cloud, retry};

const LIMIT: Duration = Duration::from_secs(60);
/// Pages of a list: a subscription has fewer registries than these hold.
const PAGES: usize = 100;

/// Resource Manager, as one identity in one subscription.
pub struct ResourceManager<'a> {
    ctx: &'a Context,
    base: String,
    subscription: String,
    token: Secret,
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

impl<'a> ResourceManager<'a> {
    /// The Resource Manager of `cloud`, asked with `token`.
    pub fn new(ctx: &'a Context, cloud: &Cloud, subscription: &str, token: Secret) -> Self {
        Self {
            ctx,
            base: cloud.resource_manager().to_owned(),
            subscription: subscription.to_owned(),
            token,
        }
    }

    /// `GET` of a path below the subscription.
    pub(crate) async fn get(&self, path: &str, version: &str) -> anyhow::Result<Value> {
        self.send(Method::GET, self.url(path, version)?, path).await
    }

    /// `POST` of a path below the subscription, without a body.
    pub(crate) async fn post(&self, path: &str, version: &str) -> anyhow::Result<Value> {
        self.send(Method::POST, self.url(path, version)?, path)
            .await
    }

    /// Every item of a list below the subscription, page after page.
    pub(crate) async fn list(&self, path: &str, version: &str) -> anyhow::Result<Vec<Value>> {
        let mut url = self.url(path, version)?;
        let mut items = Vec::new();
        for _ in 0..PAGES {
            let page = self.send(Method::GET, url.clone(), path).await?;
            let page: Page = serde_json::from_value(page)
                .with_context(|| format!("while reading the list `{path}`"))?;
            items.extend(page.value);
            let Some(next) = page.next_link.filter(|link| !link.is_empty()) else {
                return Ok(items);
            };
            let next = Url::parse(&next).context("while reading the link to the next page")?;
            // The token goes to Resource Manager and to nobody else.
            if next.origin() != url.origin() {
                bail!("the next page of `{path}` is at another host, which is not asked");
            }
            url = next;
        }
        Ok(items)
    }

    fn url(&self, path: &str, version: &str) -> anyhow::Result<Url> {
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

    async fn send(&self, method: Method, url: Url, path: &str) -> anyhow::Result<Value> {
        let what = format!("while asking Azure Resource Manager for `{path}`");
        let answer = retry::send(&what, async || {
            Ok(self
                .ctx
                .http()?
                .request(method.clone(), url.clone())
                .bearer_auth(self.token.expose())
                .timeout(LIMIT))
        })
        .await?;
        let status = answer.status();
        if status.is_success() {
            return answer.json().await.context(what);
        }
        let body = answer.text().await.unwrap_or_default();
        Err(explain(status, &body).context(what))
    }
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
