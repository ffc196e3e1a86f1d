//! Azure Resource Manager.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use http_client::{Method, Response, StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;

use crate::{Cloud, Entra, Scope, retry};

const TIMEOUT: Duration = Duration::from_secs(60);
/// The most bytes of a response; a page of a list is the largest.
pub(crate) const LIMIT: u64 = 8 * 1024 * 1024;
/// The most pages of a list: a subscription has fewer registries.
const PAGES: usize = 100;

/// Resource Manager, as one identity in one subscription.
#[derive(Clone)]
pub struct ResourceManager {
    pub(crate) entra: Entra,
    base: String,
    subscription: String,
}

#[derive(Deserialize)]
struct ErrorBody {
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
    /// The Resource Manager of `cloud`, queried with tokens of `entra`.
    pub fn new(entra: &Entra, cloud: &Cloud, subscription: &str) -> Self {
        Self {
            entra: entra.clone(),
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
                .with_context(|| format!("failed to read the list `{path}`"))?;
            items.extend(page.value);
            let Some(next) = page.next_link.filter(|link| !link.is_empty()) else {
                return Ok(items);
            };
            url = self.follow(&next, "the next page", path)?;
        }
        Ok(items)
    }

    /// The URL `link` in a response of Resource Manager, `what` of `path`. The token goes to Resource Manager alone.
    pub(crate) fn follow(&self, link: &str, what: &str, path: &str) -> anyhow::Result<Url> {
        let link = Url::parse(link).with_context(|| format!("invalid URL of {what}"))?;
        let base = Url::parse(&self.base).context("invalid URL in `resource-manager`")?;
        if link.origin() != base.origin() {
            bail!("{what} of `{path}` is on another host, which is not contacted");
        }
        Ok(link)
    }

    /// The URL of a path below the subscription.
    pub(crate) fn url(&self, path: &str, version: &str) -> anyhow::Result<Url> {
        let mut url = Url::parse(&self.base)
            .with_context(|| format!("invalid URL `{}` in `resource-manager`", self.base))?;
        url.path_segments_mut()
            .map_err(|()| anyhow!("`{}` is not a base URL", self.base))?
            .pop_if_empty()
            .extend(["subscriptions", &self.subscription])
            .extend(path.split('/'));
        url.query_pairs_mut().append_pair("api-version", version);
        Ok(url)
    }

    /// The response, if its status is a success; `path` is for the error.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: Url,
        body: Option<&Value>,
        path: &str,
    ) -> anyhow::Result<Response> {
        let what = format!("failed to query Azure Resource Manager for `{path}`");
        let response = retry::send(&what, || async {
            let token = self.entra.token(Scope::ResourceManager).await?;
            let http = self.entra.http();
            let request = http.request(method.clone(), url.clone());
            let request = request.bearer_auth(token.expose()).timeout(TIMEOUT);
            Ok(match body {
                Some(body) => request.json(body),
                None => request,
            })
        })
        .await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.error_text().await;
        Err(explain(status, &body).context(what))
    }
}

async fn read(response: Response) -> anyhow::Result<Value> {
    let body = response.json(LIMIT).await;
    body.context("failed to read the response of Azure Resource Manager")
}

fn explain(status: StatusCode, body: &str) -> anyhow::Error {
    let message = serde_json::from_str::<ErrorBody>(body).map_or_else(
        |_| status.to_string(),
        |body| format!("{}: {}", body.error.code, body.error.message),
    );
    let message = message.trim_end_matches(['.', ' ', ':']);
    let hint = match status {
        StatusCode::FORBIDDEN => {
            "; give the identity a role with that right, on the resource or its group"
        }
        StatusCode::NOT_FOUND => {
            "; check its name, resource group and subscription, and that the identity may read it"
        }
        StatusCode::UNAUTHORIZED => {
            "; the token was rejected: check that `resource-manager` belongs to this cloud"
        }
        _ => "",
    };
    anyhow!("{message}{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_a_hint() {
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
