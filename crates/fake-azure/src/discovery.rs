//! What a client reads before it signs in, and what it lists after that: the cloud, the tenant, the
//! subscriptions. An action has all of this from its inputs; the Azure CLI looks it up.
//!
//! Source: learn.microsoft.com/rest/api/resources (`Tenants_List`, `Subscriptions_List`, `Subscriptions_Get`), `OpenID`
//! Connect Discovery 1.0, and the fields that azure-cli-core reads (`azure/cli/core/cloud.py`).

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::Shared;
use super::resources::refused;

/// Without a token.
pub(super) fn open() -> Router<Shared> {
    Router::new()
        .route("/metadata/endpoints", get(cloud))
        .route(
            "/{tenant}/v2.0/.well-known/openid-configuration",
            get(configuration),
        )
}

/// With one.
pub(super) fn signed_in() -> Router<Shared> {
    Router::new()
        .route("/tenants", get(tenants))
        .route("/subscriptions", get(subscriptions))
        .route("/subscriptions/{subscription}", get(subscription))
}

// The host of the request; these clients accept only https.
fn base(headers: &HeaderMap) -> String {
    let host = headers.get("host").and_then(|host| host.to_str().ok());
    format!("https://{}", host.unwrap_or("localhost"))
}

async fn cloud(headers: HeaderMap) -> Json<Value> {
    let base = base(&headers);
    Json(json!({
        "name": "Seaworthy",
        "portal": base,
        "resourceManager": base,
        "authentication": {
            "loginEndpoint": base, "audiences": ["https://management.core.windows.net/", "https://management.azure.com/"],
            "tenant": "common", "identityProvider": "AAD",
        },
        "graph": base, "graphAudience": base, "media": base, "batch": base, "gallery": base,
        "vmImageAliasDoc": base, "sqlManagement": base, "microsoftGraphResourceId": base,
        "suffixes": {"acrLoginServer": "azurecr.io", "storage": "core.windows.net", "keyVaultDns": "vault.azure.net", "sqlServerHostname": "database.windows.net"},
    }))
}

async fn configuration(
    State(shared): State<Shared>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
) -> Response {
    if tenant != shared.0.config.tenant {
        let message = format!("AADSTS90002: Tenant '{tenant}' not found.");
        let body = json!({"error": "invalid_tenant", "error_description": message, "error_codes": [90002]});
        return (StatusCode::BAD_REQUEST, Json(body)).into_response();
    }
    let base = base(&headers);
    Json(json!({
        "issuer": format!("{base}/{tenant}/v2.0"),
        "token_endpoint": format!("{base}/{tenant}/oauth2/v2.0/token"),
        "authorization_endpoint": format!("{base}/{tenant}/oauth2/v2.0/authorize"),
        "device_authorization_endpoint": format!("{base}/{tenant}/oauth2/v2.0/devicecode"),
        "jwks_uri": format!("{base}/{tenant}/discovery/v2.0/keys"),
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }))
    .into_response()
}

async fn tenants(State(shared): State<Shared>) -> Json<Value> {
    let tenant = &shared.0.config.tenant;
    Json(json!({"value": [{
        "id": format!("/tenants/{tenant}"), "tenantId": tenant, "displayName": "Seaworthy", "tenantCategory": "Home",
    }]}))
}

fn described(shared: &Shared) -> Value {
    let config = &shared.0.config;
    json!({
        "id": format!("/subscriptions/{}", config.subscription), "subscriptionId": config.subscription, "tenantId": config.tenant,
        "displayName": "Seaworthy", "state": "Enabled", "authorizationSource": "RoleBased", "managedByTenants": [],
        "subscriptionPolicies": {"locationPlacementId": "Public_2014-09-01", "quotaId": "PayAsYouGo_2014-09-01", "spendingLimit": "Off"},
    })
}

async fn subscriptions(State(shared): State<Shared>) -> Json<Value> {
    Json(json!({"value": [described(&shared)], "count": {"type": "Total", "value": 1}}))
}

async fn subscription(State(shared): State<Shared>, Path(subscription): Path<String>) -> Response {
    if subscription == shared.0.config.subscription {
        return Json(described(&shared)).into_response();
    }
    let message = format!("The subscription '{subscription}' could not be found.");
    refused(StatusCode::NOT_FOUND, "SubscriptionNotFound", &message)
}
