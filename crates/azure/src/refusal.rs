//! What Entra says when it gives no token, and what to do about it.
//!
//! Codes: learn.microsoft.com/entra/identity-platform/reference-error-codes.

use actions_toolkit::BadInput;
use anyhow::anyhow;
use base64::Engine as _;
use serde::Deserialize;
use serde_json::Value;

/// The body of a refusal.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Refusal {
    error_description: String,
    error_codes: Vec<u32>,
}

/// The claims of an OIDC token, for display only: Entra is the one that verifies.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Claims {
    iss: String,
    sub: String,
    aud: Value,
    iat: i64,
    exp: i64,
}

impl Claims {
    /// The claims of `token`; empty ones if it is no JWT.
    pub(crate) fn of(token: &str) -> Self {
        let decode = |part| {
            base64::engine::general_purpose::URL_SAFE_NO_PAD
                .decode(part)
                .ok()
        };
        let payload = token.split('.').nth(1).and_then(decode);
        payload
            .and_then(|payload| serde_json::from_slice(&payload).ok())
            .unwrap_or_default()
    }

    fn shown(&self) -> String {
        let audience = self
            .aud
            .as_str()
            .map_or_else(|| self.aud.to_string(), ToOwned::to_owned);
        format!(
            "issuer `{}`, subject `{}`, audience `{audience}`",
            self.iss, self.sub
        )
    }
}

impl Refusal {
    /// The error for the reader: what Entra said, what it means, what to set. A wrong id or secret is the
    /// caller's mistake ([`BadInput`]); it is found before anything was changed.
    pub(crate) fn explain(&self, claims: Option<&Claims>) -> anyhow::Error {
        let said = self.error_description.lines().next().unwrap_or_default();
        let said = said.split(" Trace ID").next().unwrap_or_default();
        let said = said.trim_end_matches('.');
        let claims_shown = claims.map(Claims::shown).unwrap_or_default();
        match self.error_codes.first().copied().unwrap_or_default() {
            90002 | 900_023 => BadInput::new(
                "tenant-id",
                format!("Entra knows no such directory in this cloud ({said})"),
            )
            .into(),
            700_016 => BadInput::new(
                "client-id",
                format!("the directory has no such application ({said})"),
            )
            .into(),
            7_000_215 | 7_000_222 => BadInput::new(
                "client-secret",
                format!(
                    "Entra does not take it ({said}); use the secret's value, not its id, or sign in with OIDC"
                ),
            )
            .into(),
            70021 | 700_211 | 700_212 | 700_213 => anyhow!(
                "the application trusts no such run ({said}); add a federated credential with exactly these values: {claims_shown}"
            ),
            700_024 => {
                let life = claims.map_or((0, 0), |claims| (claims.iat, claims.exp));
                anyhow!(
                    "the run's OIDC token was not valid at that time ({said}); is the runner's clock right? The token: {claims_shown}, valid from {} to {} (Unix time)",
                    life.0,
                    life.1
                )
            }
            7_000_112 => anyhow!("the application is disabled ({said}); enable it in Entra"),
            53003 => anyhow!(
                "a conditional access policy of the directory forbids the sign-in ({said})"
            ),
            _ => anyhow!("Entra refused the sign-in ({said})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actions_toolkit::ExitStatus;

    #[test]
    fn each_refusal_has_its_cure() {
        // {"iss":"https://token.actions.githubusercontent.com","sub":"repo:o/r:ref:refs/heads/x","aud":"api://AzureADTokenExchange","iat":100,"exp":400}
        let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(
            r#"{"iss":"https://token.actions.githubusercontent.com","sub":"repo:o/r:ref:refs/heads/x","aud":"api://AzureADTokenExchange","iat":100,"exp":400}"#,
        );
        let claims = Claims::of(&format!("h.{payload}.s"));
        let values = "issuer `https://token.actions.githubusercontent.com`, subject `repo:o/r:ref:refs/heads/x`, audience `api://AzureADTokenExchange`";
        let federated = |code: u32| {
            format!(
                "the application trusts no such run (AADSTS{code}: words); add a federated credential with exactly these values: {values}"
            )
        };
        let table = [
            (70021, 2, federated(70021)),
            (700_213, 2, federated(700_213)),
            (
                700_024,
                2,
                format!(
                    "the run's OIDC token was not valid at that time (AADSTS700024: words); is the runner's clock right? The token: {values}, valid from 100 to 400 (Unix time)"
                ),
            ),
            (
                90002,
                3,
                "input `tenant-id`: Entra knows no such directory in this cloud (AADSTS90002: words)".into(),
            ),
            (
                700_016,
                3,
                "input `client-id`: the directory has no such application (AADSTS700016: words)".into(),
            ),
            (
                7_000_215,
                3,
                "input `client-secret`: Entra does not take it (AADSTS7000215: words); use the secret's value, not its id, or sign in with OIDC".into(),
            ),
            (
                50_000,
                2,
                "Entra refused the sign-in (AADSTS50000: words)".into(),
            ),
        ];
        for (code, exit, message) in table {
            let refusal = Refusal {
                error_description: format!("AADSTS{code}: words. Trace ID: x\r\nmore"),
                error_codes: vec![code],
            };
            let error = refusal.explain(Some(&claims));
            assert_eq!(error.to_string(), message);
            assert_eq!(ExitStatus::from_error(&error).code(), exit, "{message}");
        }
    }
}
