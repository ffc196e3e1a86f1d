//! Entra's reasons for rejecting a sign-in, and what to do about them.
//!
//! Codes: learn.microsoft.com/entra/identity-platform/reference-error-codes.

use actions_toolkit::BadInput;
use anyhow::anyhow;
use base64::Engine as _;
use serde::Deserialize;
use serde_json::Value;

/// The body of a rejection.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Rejection {
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
    /// The claims of `token`; empty ones if it is not a JWT.
    pub(crate) fn parse(token: &str) -> Self {
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

    fn describe(&self) -> String {
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

impl Rejection {
    /// The error for the reader: Entra's message, its cause, and what to set. A wrong ID or secret is
    /// [`BadInput`]; it is detected before anything was changed.
    pub(crate) fn explain(&self, claims: Option<&Claims>) -> anyhow::Error {
        let message = self.error_description.lines().next().unwrap_or_default();
        let message = message.split(" Trace ID").next().unwrap_or_default();
        let message = message.trim_end_matches('.');
        let presented = claims.map(Claims::describe).unwrap_or_default();
        match self.error_codes.first().copied().unwrap_or_default() {
            90002 | 900_023 => BadInput::new(
                "tenant-id",
                format!("Entra has no such tenant in this cloud ({message})"),
            )
            .into(),
            700_016 => BadInput::new(
                "client-id",
                format!("the tenant has no such application ({message})"),
            )
            .into(),
            7_000_215 | 7_000_222 => BadInput::new(
                "client-secret",
                format!(
                    "Entra rejects it ({message}); use the secret's value, not its ID, or sign in with OIDC"
                ),
            )
            .into(),
            70021 | 700_211 | 700_212 | 700_213 => anyhow!(
                "the application does not trust this run ({message}); add a federated credential with exactly these values: {presented}"
            ),
            700_024 => {
                let life = claims.map_or((0, 0), |claims| (claims.iat, claims.exp));
                anyhow!(
                    "the run's OIDC token is not valid at this time ({message}); check the runner's clock. The token: {presented}, valid from {} to {} (Unix time)",
                    life.0,
                    life.1
                )
            }
            7_000_112 => anyhow!("the application is disabled ({message}); enable it in Entra"),
            53003 => anyhow!(
                "a conditional access policy of the tenant blocks the sign-in ({message})"
            ),
            _ => anyhow!("Entra rejected the sign-in ({message})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actions_toolkit::ExitStatus;

    #[test]
    fn each_rejection_has_a_hint() {
        // {"iss":"https://token.actions.githubusercontent.com","sub":"repo:o/r:ref:refs/heads/x","aud":"api://AzureADTokenExchange","iat":100,"exp":400}
        let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(
            r#"{"iss":"https://token.actions.githubusercontent.com","sub":"repo:o/r:ref:refs/heads/x","aud":"api://AzureADTokenExchange","iat":100,"exp":400}"#,
        );
        let claims = Claims::parse(&format!("h.{payload}.s"));
        let values = "issuer `https://token.actions.githubusercontent.com`, subject `repo:o/r:ref:refs/heads/x`, audience `api://AzureADTokenExchange`";
        let federated = |code: u32| {
            format!(
                "the application does not trust this run (AADSTS{code}: text); add a federated credential with exactly these values: {values}"
            )
        };
        let table = [
            (70021, 2, federated(70021)),
            (700_213, 2, federated(700_213)),
            (
                700_024,
                2,
                format!(
                    "the run's OIDC token is not valid at this time (AADSTS700024: text); check the runner's clock. The token: {values}, valid from 100 to 400 (Unix time)"
                ),
            ),
            (
                90002,
                3,
                "input `tenant-id`: Entra has no such tenant in this cloud (AADSTS90002: text)".into(),
            ),
            (
                700_016,
                3,
                "input `client-id`: the tenant has no such application (AADSTS700016: text)".into(),
            ),
            (
                7_000_215,
                3,
                "input `client-secret`: Entra rejects it (AADSTS7000215: text); use the secret's value, not its ID, or sign in with OIDC".into(),
            ),
            (
                50_000,
                2,
                "Entra rejected the sign-in (AADSTS50000: text)".into(),
            ),
        ];
        for (code, exit, message) in table {
            let rejection = Rejection {
                error_description: format!("AADSTS{code}: text. Trace ID: x\r\nmore"),
                error_codes: vec![code],
            };
            let error = rejection.explain(Some(&claims));
            assert_eq!(error.to_string(), message);
            assert_eq!(ExitStatus::from_error(&error).code(), exit, "{message}");
        }
    }
}
