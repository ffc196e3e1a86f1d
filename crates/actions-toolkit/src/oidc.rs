//! The identity token of the run.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::{BadInput, Context, Log, Secret};

#[derive(Deserialize)]
struct Answer {
    value: String,
}

/// GitHub's OIDC service, as this run may ask it. It outlives the context.
#[derive(Clone)]
pub struct Oidc {
    access: Option<(String, Secret)>,
    http: reqwest::Client,
    log: Log,
}

impl Context {
    /// GitHub's OIDC service.
    ///
    /// # Errors
    /// When the system's certificates cannot be loaded.
    pub fn oidc(&self) -> anyhow::Result<Oidc> {
        let url = self.env().get("ACTIONS_ID_TOKEN_REQUEST_URL");
        let token = self.env().get("ACTIONS_ID_TOKEN_REQUEST_TOKEN");
        Ok(Oidc {
            access: url
                .zip(token)
                .map(|(url, token)| (url.to_owned(), Secret::new(token, self.log()))),
            http: self.http()?.clone(),
            log: self.log().clone(),
        })
    }
}

impl Oidc {
    /// A new token for `audience`, masked. It lives five minutes: ask anew for each use.
    ///
    /// Protocol: `GET $ACTIONS_ID_TOKEN_REQUEST_URL&audience=…` with
    /// `$ACTIONS_ID_TOKEN_REQUEST_TOKEN` as bearer
    /// (docs.github.com/actions/reference/security/oidc).
    ///
    /// # Errors
    /// [`BadInput`] when the job may not ask for a token; otherwise what the service answered.
    pub async fn token(&self, audience: &str) -> anyhow::Result<Secret> {
        let Some((url, bearer)) = &self.access else {
            return Err(BadInput(
                "the job cannot get an OIDC token; add `permissions: id-token: write` to the job"
                    .into(),
            )
            .into());
        };
        let mut url = url::Url::parse(url).context("while reading ACTIONS_ID_TOKEN_REQUEST_URL")?;
        url.query_pairs_mut().append_pair("audience", audience);
        let mut wait = Duration::from_secs(1);
        for attempt in 1.. {
            let answer = self
                .http
                .get(url.clone())
                .bearer_auth(bearer.expose())
                .header("accept", "application/json; api-version=2.0")
                .timeout(Duration::from_secs(30))
                .send()
                .await;
            match answer {
                Ok(answer) if answer.status().is_success() => {
                    let answer: Answer = answer
                        .json()
                        .await
                        .context("while reading the OIDC token")?;
                    return Ok(Secret::new(answer.value, &self.log));
                }
                Ok(answer) if attempt == 3 || answer.status().is_client_error() => {
                    bail!(
                        "GitHub's OIDC service answered {} to the request for a token",
                        answer.status()
                    );
                }
                Err(e) if attempt == 3 => {
                    return Err(anyhow::Error::new(e.without_url())
                        .context("while asking GitHub for an OIDC token"));
                }
                _ => tokio::time::sleep(wait).await,
            }
            wait *= 2;
        }
        unreachable!("the third attempt returns")
    }
}
