//! The checks before Resource Manager: the version and the token.

use axum::extract::{Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use serde::Deserialize;

use super::access_token::{Validity, validity};
use super::resources::refused;
use super::{Shared, bearer};

#[derive(Deserialize)]
pub(super) struct Version {
    #[serde(rename = "api-version")]
    api_version: Option<String>,
}

pub(super) async fn admit(
    State(shared): State<Shared>,
    Query(version): Query<Version>,
    request: Request,
    next: Next,
) -> Response {
    let token = bearer(request.headers());
    let validity = validity(token, &format!("arm-{}", shared.0.config.client));
    let problem = if token.is_empty() {
        Some((
            "AuthenticationFailed",
            "Authentication failed. The 'Authorization' header is missing.",
        ))
    } else if validity == Validity::Valid {
        None
    } else if validity == Validity::Expired {
        Some((
            "ExpiredAuthenticationToken",
            "The access token expiry UTC time is earlier than current UTC time.",
        ))
    } else if token.starts_with("acr-") || token.starts_with(&shared.0.config.cluster_token) {
        Some((
            "InvalidAuthenticationTokenAudience",
            "The access token has been obtained for wrong audience or resource. It should exactly match with one of the allowed audiences 'https://management.core.windows.net/','https://management.azure.com'.",
        ))
    } else {
        Some(("InvalidAuthenticationToken", "The access token is invalid."))
    };
    if let Some((code, message)) = problem {
        let mut response = refused(StatusCode::UNAUTHORIZED, code, message);
        let challenge = format!(
            "Bearer authorization_uri=\"https://login.microsoftonline.com/{}\", error=\"invalid_token\", error_description=\"{message}\"",
            shared.0.config.tenant
        );
        if let Ok(challenge) = HeaderValue::from_str(&challenge) {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
        }
        return response;
    }
    if version.api_version.is_none() {
        let message =
            "The api-version query parameter (?api-version=) is required for all requests.";
        return refused(
            StatusCode::BAD_REQUEST,
            "MissingApiVersionParameter",
            message,
        );
    }
    next.run(request).await
}
