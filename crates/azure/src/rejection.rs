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

    // `repo:octo-org@123/app@456:environment:production`, for a repository that was created, renamed or transferred since
    // 2026-07-15 (learn.microsoft.com/entra/workload-id/workload-identities-github-immutable-subjects).
    fn has_immutable_subject(&self) -> bool {
        let repository = self.sub.strip_prefix("repo:");
        let repository = repository.and_then(|rest| rest.split(':').next());
        let is_number = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
        let has_id = |part: &str| part.split_once('@').is_some_and(|(_, id)| is_number(id));
        repository.is_some_and(|repository| repository.split('/').all(has_id))
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
            // 70025: the application has no federated credential at all. Those of seven digits: why a flexible one does not match.
            70021 | 70025 | 700_211..=700_213 | 7_002_110..=7_002_139 => {
                let immutable = claims.is_some_and(Claims::has_immutable_subject);
                let immutable = if immutable {
                    "; the subject has the immutable IDs of the owner and the repository, which a credential for the names alone does not match"
                } else {
                    ""
                };
                anyhow!(
                    "the application does not trust this run ({message}); add a federated credential with exactly these values: {presented}{immutable}"
                )
            }
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
    fn a_subject_with_immutable_ids_is_known() {
        let table = [
            ("repo:octo-org@1/app@2:environment:production", true),
            ("repo:octo-org/app:environment:production", false),
            ("repo:octo-org/app:ref:refs/heads/a@1", false),
            ("repo:octo-org@x/app@2:ref:refs/heads/main", false),
            ("octo-org@1/app@2", false),
        ];
        for (sub, expected) in table {
            let claims = Claims {
                sub: sub.into(),
                ..Claims::default()
            };
            assert_eq!(claims.has_immutable_subject(), expected, "{sub}");
        }
    }

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
            (70025, 2, federated(70025)),
            (700_211, 2, federated(700_211)),
            (7_002_138, 2, federated(7_002_138)),
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
