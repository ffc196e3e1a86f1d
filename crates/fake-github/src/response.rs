//! The shapes of GitHub's responses.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};

const DOCUMENTATION: &str = "https://docs.github.com/rest";

pub(super) fn refused(status: StatusCode, message: &str) -> Response {
    let body =
        json!({"message": message, "documentation_url": DOCUMENTATION, "status": status.as_str()});
    (status, Json(body)).into_response()
}

pub(super) fn not_found() -> Response {
    refused(StatusCode::NOT_FOUND, "Not Found")
}

/// A request that has the right shape, with a value that is refused.
pub(super) fn invalid(resource: &str, field: &str, code: &str, message: &str) -> Response {
    let mut error = json!({"resource": resource, "field": field, "code": code});
    if !message.is_empty() {
        error["message"] = json!(message);
    }
    let body = json!({
        "message": "Validation Failed", "errors": [error],
        "documentation_url": DOCUMENTATION, "status": "422",
    });
    (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response()
}

/// The requested page of a list.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Paging {
    page: Option<usize>,
    per_page: Option<usize>,
}

/// One page of `all`, with the addresses of the others (`Link`), which begin with `address`.
pub(super) fn listed(all: &[Value], paging: &Paging, address: &str) -> Response {
    let size = paging.per_page.unwrap_or(30).clamp(1, 100);
    let page = paging.page.unwrap_or(1).max(1);
    let last = all.len().div_ceil(size).max(1);
    let shown: Vec<_> = all
        .iter()
        .skip((page - 1).saturating_mul(size))
        .take(size)
        .collect();
    let mut response = Json(json!(shown)).into_response();
    let join = if address.contains('?') { '&' } else { '?' };
    let link = |to: usize, name: &str| {
        format!("<{address}{join}per_page={size}&page={to}>; rel=\"{name}\"")
    };
    let mut links = Vec::new();
    if page > 1 {
        links.extend([link((page - 1).min(last), "prev"), link(1, "first")]);
    }
    if page < last {
        links.extend([link(page + 1, "next"), link(last, "last")]);
    }
    if let Some(value) = HeaderValue::from_str(&links.join(", "))
        .ok()
        .filter(|v| !v.is_empty())
    {
        response.headers_mut().insert(header::LINK, value);
    }
    response
}

/// `object` with the fields of `more`, in two parts where one is too long for `json!`.
pub(super) fn with(mut object: Value, more: &Value) -> Value {
    for (field, value) in more.as_object().into_iter().flatten() {
        object[field] = value.clone();
    }
    object
}

/// Now, as the API writes it.
pub(super) fn now() -> String {
    let now = jiff::Timestamp::now();
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
