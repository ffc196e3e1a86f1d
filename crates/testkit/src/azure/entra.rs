//! Entra's token endpoint, client credentials flow.
//!
//! Source: learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow and
//! …/reference-error-codes.

use axum::Json;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;

use super::{ISSUER, Shared};
use crate::jwt::now;

#[derive(Deserialize)]
pub(super) struct Grant {
    client_id: String,
    grant_type: String,
    scope: String,
    client_assertion_type: Option<String>,
    client_assertion: Option<String>,
    client_secret: Option<String>,
}

pub(super) const RESOURCE_MANAGER: &str = "https://management.azure.com/.default";
const REGISTRY: &str = "https://containerregistry.azure.net/.default";
const CLUSTER: &str = "6dae42f8-4368-4678-94ff-3960e28e3630/.default";

fn refused(status: StatusCode, error: &str, code: u32, text: &str) -> Response {
    let trace = "9f1c1c6e-0000-4000-8000-000000000000";
    let description = format!(
        "AADSTS{code}: {text} Trace ID: {trace} Correlation ID: {trace} Timestamp: 2026-01-01 00:00:00Z"
    );
    let body = json!({
        "error": error, "error_description": description, "error_codes": [code],
        "timestamp": "2026-01-01 00:00:00Z", "trace_id": trace, "correlation_id": trace,
    });
    (status, Json(body)).into_response()
}

pub(super) async fn token(
    State(shared): State<Shared>,
    Path(tenant): Path<String>,
    Form(grant): Form<Grant>,
) -> Response {
    let config = &shared.0.config;
    let bad = StatusCode::BAD_REQUEST;
    if tenant != config.tenant {
        return refused(
            bad,
            "invalid_request",
            90002,
            &format!(
                "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud."
            ),
        );
    }
    if grant.grant_type != "client_credentials" {
        return refused(
            bad,
            "unsupported_grant_type",
            70003,
            "The app requested an unsupported grant type.",
        );
    }
    if grant.client_id != config.client {
        return refused(
            bad,
            "unauthorized_client",
            700_016,
            &format!(
                "Application with identifier '{}' was not found in the directory 'drydock'.",
                grant.client_id
            ),
        );
    }
    if let Some(secret) = &grant.client_secret {
        if Some(secret) != config.client_secret.as_ref() {
            return refused(
                StatusCode::UNAUTHORIZED,
                "invalid_client",
                7_000_215,
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID.",
            );
        }
    } else if let Some(refusal) = assertion_problem(&shared, &grant) {
        return refusal;
    }
    let token = match grant.scope.as_str() {
        RESOURCE_MANAGER => format!("arm-{}", config.client),
        REGISTRY => format!("acr-{}", config.client),
        CLUSTER => config.cluster_token.clone(),
        scope => {
            return refused(
                bad,
                "invalid_scope",
                70011,
                &format!(
                    "The provided value for the input parameter 'scope' is not valid. The scope {scope} is not valid."
                ),
            );
        }
    };
    let body = json!({"token_type": "Bearer", "expires_in": config.token_life, "ext_expires_in": config.token_life, "access_token": token});
    Json(body).into_response()
}

fn assertion_problem(shared: &Shared, grant: &Grant) -> Option<Response> {
    let config = &shared.0.config;
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let assertion = grant
        .client_assertion
        .as_deref()
        .filter(|_| grant.client_assertion_type.as_deref() == Some(kind));
    let Some(claims) = assertion.and_then(|assertion| shared.0.signer.verify(assertion)) else {
        return Some(refused(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            50027,
            "JWT token is invalid or malformed.",
        ));
    };
    if claims["exp"].as_i64().is_none_or(|end| end < now()) {
        return Some(refused(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            700_024,
            "Client assertion is not within its valid time range.",
        ));
    }
    if claims["aud"] != "api://AzureADTokenExchange" {
        return Some(refused(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            700_212,
            "No matching federated identity record found for presented assertion audience.",
        ));
    }
    if claims["iss"] != ISSUER || claims["sub"] != config.subject.as_str() {
        let subject = claims["sub"].as_str().unwrap_or_default();
        return Some(refused(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            700_213,
            &format!(
                "No matching federated identity record found for presented assertion subject '{subject}'."
            ),
        ));
    }
    None
}
