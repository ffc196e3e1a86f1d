//! The account that a token acts as, and the authors of comments and issues.
//!
//! `GET /user` (docs.github.com/rest/users/users) responds to the token of a user only; `viewer` of the GraphQL API, to
//! that of an app's installation as well.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Shared;
use super::links::user;
use super::response::refused;

/// An account of GitHub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its name; that of an app ends in `[bot]`.
    pub login: String,
    /// Its number.
    pub id: u64,
    kind: String,
}

/// The account of `GITHUB_TOKEN`.
impl Default for Account {
    fn default() -> Self {
        Self::bot("github-actions[bot]", 41_898_282)
    }
}

impl Account {
    /// A person.
    pub fn user(login: &str, id: u64) -> Self {
        Self::new(login, id, "User")
    }

    /// An app.
    pub fn bot(login: &str, id: u64) -> Self {
        Self::new(login, id, "Bot")
    }

    fn new(login: &str, id: u64, kind: &str) -> Self {
        Self {
            login: login.to_owned(),
            id,
            kind: kind.to_owned(),
        }
    }

    pub(super) fn json(&self) -> Value {
        user(&self.login, self.id, &self.kind)
    }
}

fn is_admitted(shared: &Shared, headers: &HeaderMap) -> bool {
    let token = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    let token = token.and_then(|value| value.split_once(' '));
    token.is_some_and(|(_, token)| token == shared.options.token)
}

pub(super) async fn get(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let account = &shared.options.account;
    if !is_admitted(&shared, &headers) {
        return refused(StatusCode::UNAUTHORIZED, "Bad credentials");
    }
    if account.kind != "User" {
        let message = "Resource not accessible by integration";
        return refused(StatusCode::FORBIDDEN, message);
    }
    Json(account.json()).into_response()
}

pub(super) async fn graphql(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let account = &shared.options.account;
    if !is_admitted(&shared, &headers) {
        return refused(StatusCode::UNAUTHORIZED, "Bad credentials");
    }
    Json(json!({"data": {"viewer": {"login": account.login, "databaseId": account.id}}}))
        .into_response()
}
