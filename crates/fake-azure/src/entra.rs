//! Entra's token endpoint, client credentials flow.
//!
//! Source: learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow and
//! …/reference-error-codes.

use std::collections::HashMap;

use axum::Json;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::access_token::issue;
use super::oidc::ISSUER;
use super::{AzureConfig, Shared};
use crate::jwt::now;

// Both names of Resource Manager, with and without the slash that is the resource's own.
const RESOURCE_MANAGER: &[&str] = &[
    "https://management.azure.com/.default",
    "https://management.azure.com//.default",
    "https://management.core.windows.net//.default",
];
const REGISTRY: &str = "https://containerregistry.azure.net/.default";
const CLUSTER: &str = "6dae42f8-4368-4678-94ff-3960e28e3630/.default";
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A refusal: OAuth's error, Entra's code and message.
struct Refusal {
    error: &'static str,
    code: u32,
    text: String,
}

impl Refusal {
    fn new(error: &'static str, code: u32, text: impl Into<String>) -> Self {
        Self {
            error,
            code,
            text: text.into(),
        }
    }

    fn missing(parameter: &str) -> Self {
        let text = format!("The request body must contain the following parameter: '{parameter}'.");
        Self::new("invalid_request", 900_144, text)
    }

    fn client(code: u32, text: impl Into<String>) -> Self {
        Self::new("invalid_client", code, text)
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        let Refusal { error, code, text } = refusal;
        // RFC 6749, 5.2: a failed client authentication is 401, everything else 400.
        let status = match error {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            _ => StatusCode::BAD_REQUEST,
        };
        let (trace, correlation) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
        let at = jiff::Timestamp::now()
            .strftime("%Y-%m-%d %H:%M:%SZ")
            .to_string();
        let description = format!(
            "AADSTS{code}: {text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {at}"
        );
        let body = json!({
            "error": error, "error_description": description, "error_codes": [code], "timestamp": at,
            "trace_id": trace.to_string(), "correlation_id": correlation.to_string(),
            "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
        });
        (status, Json(body)).into_response()
    }
}

pub(super) async fn token(
    State(shared): State<Shared>,
    Path(tenant): Path<String>,
    form: Result<Form<HashMap<String, String>>, FormRejection>,
) -> Response {
    let form = form.map(|Form(form)| form).unwrap_or_default();
    match granted(&shared, &tenant, &form) {
        Ok(body) => Json(body).into_response(),
        Err(refusal) => refusal.into(),
    }
}

fn granted(
    shared: &Shared,
    tenant: &str,
    form: &HashMap<String, String>,
) -> Result<Value, Refusal> {
    let config = &shared.0.config;
    let field = |name: &str| form.get(name).ok_or_else(|| Refusal::missing(name));
    if tenant != config.tenant {
        let text = format!(
            "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud."
        );
        return Err(Refusal::new("invalid_request", 90002, text));
    }
    if field("grant_type")? != "client_credentials" {
        let text = "The app requested an unsupported grant type.";
        return Err(Refusal::new("unsupported_grant_type", 70003, text));
    }
    let client = field("client_id")?;
    if *client != config.client {
        let text = format!(
            "Application with identifier '{client}' was not found in the directory 'seaworthy'."
        );
        return Err(Refusal::new("unauthorized_client", 700_016, text));
    }
    let scope = field("scope")?;
    identified(shared, form)?;
    let life = config.token_life;
    let token = match scope.as_str() {
        scope if RESOURCE_MANAGER.contains(&scope) => issue(&format!("arm-{client}"), life),
        REGISTRY => format!("acr-{client}"),
        CLUSTER if config.cluster_tokens_end => issue(&config.cluster_token, life),
        CLUSTER => config.cluster_token.clone(),
        scope => {
            let text = format!(
                "The provided value for the input parameter 'scope' is not valid. The scope {scope} is not valid."
            );
            return Err(Refusal::new("invalid_scope", 70011, text));
        }
    };
    Ok(
        json!({"token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": token}),
    )
}

fn identified(shared: &Shared, form: &HashMap<String, String>) -> Result<(), Refusal> {
    let config = &shared.0.config;
    if let Some(secret) = form.get("client_secret") {
        if Some(secret) == config.client_secret.as_ref() {
            return Ok(());
        }
        let text = format!(
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{}'.",
            config.client
        );
        return Err(Refusal::client(7_000_215, text));
    }
    let Some(assertion) = form.get("client_assertion") else {
        let text = "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.";
        return Err(Refusal::client(7_000_216, text));
    };
    let claims = shared.0.signer.verify(assertion);
    let claims = claims
        .filter(|_| form.get("client_assertion_type").map(String::as_str) == Some(JWT_BEARER));
    match claims {
        Some(claims) => trusted(config, &claims),
        None => Err(Refusal::client(50027, "JWT token is invalid or malformed.")),
    }
}

// The federated credential of the application: issuer, subject and audience, all three exactly.
fn trusted(config: &AzureConfig, claims: &Value) -> Result<(), Refusal> {
    let time = |name: &str| claims[name].as_i64().unwrap_or_default();
    let now = now();
    if now >= time("exp") || now < time("nbf") {
        let at = |seconds: i64| {
            jiff::Timestamp::from_second(seconds)
                .unwrap_or_default()
                .to_string()
        };
        let text = format!(
            "Client assertion is not within its valid time range. Current time: {}, assertion valid from {}, expiry time of assertion {}.",
            at(now),
            at(time("nbf")),
            at(time("exp"))
        );
        return Err(Refusal::client(700_024, text));
    }
    let expected = [
        (700_211, "iss", "issuer", ISSUER),
        (700_213, "sub", "subject", config.subject.as_str()),
        (700_212, "aud", "audience", config.audience.as_str()),
    ];
    for (code, claim, name, value) in expected {
        let presented = claims[claim].as_str().unwrap_or_default();
        if presented != value {
            let text = format!(
                "No matching federated identity record found for presented assertion {name} '{presented}'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion. https://learn.microsoft.com/entra/workload-id/workload-identity-federation"
            );
            return Err(Refusal::client(code, text));
        }
    }
    Ok(())
}
