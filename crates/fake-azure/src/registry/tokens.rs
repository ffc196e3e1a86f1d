//! Tokens of the registry: an Entra token becomes a refresh token, that one an access token.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use serde_json::{Value, json};

use super::{Front, Inner, refused};
use crate::jwt::now;

/// The user name that means "the password is a refresh token".
const USER: &str = "00000000-0000-0000-0000-000000000000";
/// Lifetime of a refresh token, in seconds.
const REFRESH_LIFE: i64 = 3 * 3600;
/// Lifetime of an access token, in seconds.
const ACCESS_LIFE: i64 = 75 * 60;

/// Who may push, and who may only pull.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Push,
    Pull,
}

fn unauthorized() -> Response {
    refused(
        StatusCode::UNAUTHORIZED,
        "UNAUTHORIZED",
        "authentication required, visit https://aka.ms/acr/authorization for more information.",
    )
}

type Fields = Form<HashMap<String, String>>;

fn is(fields: &HashMap<String, String>, name: &str, value: &str) -> bool {
    fields.get(name).is_some_and(|field| field == value)
}

/// `POST /oauth2/exchange`: a token of Entra for this registry becomes a refresh token.
pub(super) async fn exchange(State(front): State<Front>, Form(form): Fields) -> Response {
    let inner = &front.0;
    let tenant = form.get("tenant");
    let sound = is(&form, "grant_type", "access_token")
        && is(&form, "service", &inner.config.login_server)
        && tenant.is_none_or(|tenant| *tenant == inner.tenant)
        && is(&form, "access_token", &format!("acr-{}", inner.client));
    if !sound {
        return unauthorized();
    }
    let now = now();
    let claims = json!({
        "jti": uuid::Uuid::new_v4().to_string(), "sub": inner.client, "aud": inner.config.login_server,
        "nbf": now - 5, "exp": now + REFRESH_LIFE, "iat": now, "grant_type": "refresh_token", "tenant": inner.tenant,
    });
    match inner.signer.sign(&claims) {
        Ok(token) => Json(json!({"refresh_token": token})).into_response(),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()).into_response(),
    }
}

/// `POST /oauth2/token`: a refresh token becomes an access token for the scopes.
pub(super) async fn refresh(State(front): State<Front>, Form(form): Fields) -> Response {
    let inner = &front.0;
    // Docker's client sends a password grant where it has no refresh token.
    let name = match form.get("grant_type").map(String::as_str) {
        Some("refresh_token") => "refresh_token",
        Some("password") => "password",
        _ => {
            return refused(
                StatusCode::BAD_REQUEST,
                "UNSUPPORTED",
                "grant_type is not supported",
            );
        }
    };
    let token = form.get(name).map(String::as_str).unwrap_or_default();
    if !is(&form, "service", &inner.config.login_server) || !is_refresh_token(inner, token) {
        return unauthorized();
    }
    let scope = form.get("scope").map(String::as_str).unwrap_or_default();
    access_token(inner, scope, Role::Push)
}

/// `GET /oauth2/token`: the same for a user and a password, as Docker's token flow does.
pub(super) async fn basic(
    State(front): State<Front>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Response {
    let inner = &front.0;
    let all = |name| {
        let values = query.iter().filter(move |(other, _)| other == name);
        values.map(|(_, value)| value.as_str())
    };
    if all("service").any(|service| service != inner.config.login_server) {
        return unauthorized();
    }
    let Some((user, password)) = credentials(&headers) else {
        return unauthorized();
    };
    let node = &inner.config.node_identity;
    let role = if user == USER && is_refresh_token(inner, &password) {
        Role::Push
    } else if (&user, &password) == (&node.0, &node.1) {
        Role::Pull
    } else {
        return unauthorized();
    };
    let scopes: Vec<_> = all("scope").collect();
    access_token(inner, &scopes.join(" "), role)
}

fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let header = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let credentials = header.strip_prefix("Basic ")?;
    let pair = base64::engine::general_purpose::STANDARD
        .decode(credentials)
        .ok()?;
    let pair = String::from_utf8(pair).ok()?;
    let (user, password) = pair.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

fn is_refresh_token(inner: &Inner, token: &str) -> bool {
    inner.signer.verify(token).is_some_and(|claims| {
        claims["grant_type"] == "refresh_token"
            && claims["aud"] == *inner.config.login_server
            && claims["exp"].as_i64() > Some(now())
    })
}

/// An access token that ends in `life` seconds.
pub(super) fn signed(inner: &Inner, access: &Value, life: i64) -> anyhow::Result<String> {
    let now = now();
    let issued = now.min(now + life) - 5;
    inner.signer.sign(&json!({
        "iss": inner.config.login_server, "sub": inner.client, "aud": inner.config.login_server,
        "iat": issued, "nbf": issued, "exp": now + life, "jti": uuid::Uuid::new_v4().to_string(),
        "access": access,
    }))
}

fn access_token(inner: &Inner, scope: &str, role: Role) -> Response {
    match signed(inner, &json!(access(scope, role)), ACCESS_LIFE) {
        // Docker reads one name, containerd the other.
        Ok(token) => {
            Json(json!({"access_token": token, "token": token, "expires_in": ACCESS_LIFE}))
                .into_response()
        }
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()).into_response(),
    }
}

// `repository:flask-app:pull,push`, any number of them, separated by blanks.
fn access(scope: &str, role: Role) -> Vec<Value> {
    let one = |scope: &str| {
        let (kind, rest) = scope.split_once(':')?;
        let (name, actions) = rest.rsplit_once(':')?;
        let actions: Vec<_> = actions
            .split(',')
            .filter(|action| role == Role::Push || *action == "pull")
            .collect();
        Some(json!({"type": kind, "name": name, "actions": actions}))
    };
    scope.split(' ').filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_cut_to_the_role() {
        let both = "repository:a/b:pull,push repository:c:pull nonsense";
        assert_eq!(
            json!(access(both, Role::Pull)),
            json!([
                {"type": "repository", "name": "a/b", "actions": ["pull"]},
                {"type": "repository", "name": "c", "actions": ["pull"]},
            ])
        );
        assert_eq!(
            access(both, Role::Push)[0]["actions"],
            json!(["pull", "push"])
        );
    }
}
