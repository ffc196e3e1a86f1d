//! The frame of every operation: it gets the repository, locked, and the parts of the request; its reply becomes a
//! response, and a change is saved. The checks before it are in `middleware`.

use std::future::{Ready, ready};

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Shared;
use super::links::Links;
use super::response::{Paging, listed, not_found};
use super::state::Repository;

/// The reply to a request that is not refused.
pub(super) enum Reply {
    /// 200, and nothing has changed.
    Found(Value),
    /// 200, after a change.
    Changed(Value),
    /// 201.
    Created(Value),
    /// 202.
    Accepted(Value),
    /// 207: a part of what was requested is done.
    Partial(Value),
    /// One page of a list.
    Listed {
        all: Vec<Value>,
        paging: Paging,
        /// Of the list, without the parameters of a page.
        address: String,
    },
    /// 200, a file of this media type.
    File(&'static str, String),
}

/// A reply, or GitHub's refusal.
pub(super) type Outcome = Result<Reply, Box<Response>>;

/// Of an operation that refuses nothing.
impl From<Reply> for Outcome {
    fn from(reply: Reply) -> Self {
        Ok(reply)
    }
}

impl Reply {
    fn is_change(&self) -> bool {
        matches!(
            self,
            Self::Changed(_) | Self::Created(_) | Self::Accepted(_) | Self::Partial(_)
        )
    }

    fn into_response(self) -> Response {
        let (status, object) = match self {
            Self::Found(object) | Self::Changed(object) => (StatusCode::OK, object),
            Self::Created(object) => (StatusCode::CREATED, object),
            Self::Accepted(object) => (StatusCode::ACCEPTED, object),
            Self::Partial(object) => (StatusCode::MULTI_STATUS, object),
            Self::Listed {
                all,
                paging,
                address,
            } => return listed(&all, &paging, &address),
            Self::File(media_type, text) => {
                return ([(header::CONTENT_TYPE, media_type)], text).into_response();
            }
        };
        (status, Json(object)).into_response()
    }
}

/// The handler of `operation`, which gets what `T` extracts from the request.
pub(super) fn handle<T, R: Into<Outcome>>(
    operation: fn(&mut Repository, &Links, T) -> R,
) -> impl Fn(State<Shared>, Links, T) -> Ready<Response> + Clone {
    move |State(shared), links, request| {
        let mut repository = shared.repository();
        let outcome = operation(&mut repository, &links, request).into();
        if outcome.as_ref().is_ok_and(Reply::is_change) {
            repository.save();
        }
        ready(outcome.map_or_else(|refusal| *refusal, Reply::into_response))
    }
}

/// The one of `all` that `is_requested`.
///
/// # Errors
/// GitHub's 404 without one.
pub(super) fn find<T>(
    all: &mut [T],
    is_requested: impl Fn(&T) -> bool,
) -> Result<&mut T, Box<Response>> {
    let mut all = all.iter_mut();
    Ok(all.find(|one| is_requested(one)).ok_or_else(not_found)?)
}

/// The parameter of a route that follows owner and repository.
pub(super) struct Id<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Id<T> {
    type Rejection = PathRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, PathRejection> {
        let path = Path::<(String, String, T)>::from_request_parts(parts, state).await;
        path.map(|Path((_, _, id))| Self(id))
    }
}
