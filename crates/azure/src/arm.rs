//! Azure Resource Manager.

use std::time::Duration;

use actions_toolkit::{Context, Secret};
use anyhow::{Context as _, anyhow, bail};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);
const ATTEMPTS: u32 = 4;

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
    message: String,
}

impl<'a> ResourceManager<'a> {
    /// Resource Manager at `base`, asked with `token`.
    pub fn new(ctx: &'a Context, base: &str, subscription: &str, token: Secret) -> Self {
        Self {
            ctx,
            base: base.trim_end_matches('/').to_owned(),
            subscription: subscription.to_owned(),
            token,
        }
    }

    /// `GET` of a path below the subscription.
    pub(crate) async fn get(&self, path: &str, version: &str) -> anyhow::Result<Value> {
        self.send(Method::GET, path, version).await
    }

    /// `POST` of a path below the subscription, without a body.
    pub(crate) async fn post(&self, path: &str, version: &str) -> anyhow::Result<Value> {
        self.send(Method::POST, path, version).await
    }

    async fn send(&self, method: Method, path: &str, version: &str) -> anyhow::Result<Value> {
        let url = format!("{}/subscriptions/{}/{path}", self.base, self.subscription);
        let what = || format!("while asking Azure Resource Manager for `{path}`");
        for attempt in 1..=ATTEMPTS {
            let request = self
                .ctx
                .http()?
                .request(method.clone(), &url)
                .query(&[("api-version", version)]);
            let answer = request
                .bearer_auth(self.token.expose())
                .timeout(LIMIT)
                .send()
                .await;
            let wait = match answer {
                Ok(answer) if answer.status().is_success() => {
                    return answer.json().await.with_context(what);
                }
                Ok(answer) if attempt < ATTEMPTS && passes(answer.status()) => answer
                    .headers()
                    .get("retry-after")
                    .and_then(|value| value.to_str().ok()?.parse().ok()),
                Ok(answer) => {
                    let status = answer.status();
                    let body = answer.text().await.unwrap_or_default();
                    return Err(explain(status, &body)).with_context(what);
                }
                Err(e) if attempt == ATTEMPTS => return Err(e.without_url()).with_context(what),
                Err(_) => None,
            };
            let wait = wait.map_or(u64::from(attempt), |seconds: u64| seconds.min(60));
            tokio::time::sleep(Duration::from_secs(wait)).await;
        }
        bail!("{}: it does not answer", what())
    }
}

fn passes(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

fn explain(status: StatusCode, body: &str) -> anyhow::Error {
    let reason = serde_json::from_str::<Refused>(body)
        .ok()
        .map(|refused| refused.error);
    let (code, message) = reason.map_or_else(
        || (status.to_string(), String::new()),
        |r| (r.code, r.message),
    );
    let cure = match (status, code.as_str()) {
        (StatusCode::FORBIDDEN, _) | (_, "AuthorizationFailed") => {
            "; give the identity the role that the message names, on the resource or its group"
        }
        (StatusCode::NOT_FOUND, _) => {
            "; check its name, resource group and subscription, and that the identity may read it"
        }
        (StatusCode::UNAUTHORIZED, _) => {
            "; the token was not taken: is `resource-manager` the right one for this cloud?"
        }
        _ => "",
    };
    anyhow!("{code}: {message}{cure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_to_do() {
        let body = r#"{"error":{"code":"AuthorizationFailed","message":"The client does not have authorization to perform action 'x'"}}"#;
        let error = explain(StatusCode::FORBIDDEN, body).to_string();
        assert_eq!(
            error,
            "AuthorizationFailed: The client does not have authorization to perform action 'x'; give the identity the role that the message names, on the resource or its group"
        );
        assert!(
            explain(StatusCode::BAD_GATEWAY, "<html>")
                .to_string()
                .starts_with("502 Bad Gateway")
        );
    }
}
