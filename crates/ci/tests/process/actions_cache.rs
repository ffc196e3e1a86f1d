//! A fake of the cache of GitHub Actions, version 2 of its service: entries by key, and their content in a storage like Azure's
//! (github.com/actions/toolkit, `packages/cache`, `results/api/v1/cache.proto`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{post, put};
use serde_json::{Value, json};

/// A running service.
pub(crate) struct ActionsCache {
    address: String,
    state: Arc<Mutex<Storage>>,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Default)]
struct Storage {
    address: String,
    /// Keys of entries that are uploaded, and the numbers of their blobs.
    reserved: BTreeMap<String, usize>,
    /// Finished entries, likewise.
    entries: BTreeMap<String, usize>,
    blobs: Vec<Vec<u8>>,
    blocks: BTreeMap<(usize, String), Vec<u8>>,
}

type Shared = State<Arc<Mutex<Storage>>>;

/// The token of the job: what the service permits is in it, unsigned here.
pub(crate) fn token() -> String {
    let encode = |value: Value| {
        let text = testkit::base64(value.to_string().as_bytes());
        let text = text.replace('+', "-").replace('/', "_");
        text.trim_end_matches('=').to_owned()
    };
    let scopes = json!([{"Scope": "refs/heads/main", "Permission": 3}]).to_string();
    let claims = json!({"ac": scopes, "exp": 4_102_444_800_u64, "nbf": 0});
    format!("{}.{}.c2ln", encode(json!({"alg": "none"})), encode(claims))
}

impl ActionsCache {
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let state = Arc::new(Mutex::new(Storage::default()));
        let service = "/twirp/github.actions.results.api.v1.CacheService";
        let router = Router::new()
            .route(&format!("{service}/CreateCacheEntry"), post(create))
            .route(&format!("{service}/FinalizeCacheEntryUpload"), post(finish))
            .route(&format!("{service}/GetCacheEntryDownloadURL"), post(find))
            .route("/storage/{blob}", put(upload).get(download).head(download))
            .with_state(Arc::clone(&state));
        let address = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = format!("http://{}", listener.local_addr().unwrap());
            tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
            address
        });
        state.lock().unwrap().address.clone_from(&address);
        Self {
            address,
            state,
            _runtime: runtime,
        }
    }

    /// The value of `ACTIONS_RESULTS_URL`.
    pub(crate) fn url(&self) -> String {
        format!("{}/", self.address)
    }

    /// The keys of the entries.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.state.lock().unwrap().entries.keys().cloned().collect()
    }
}

fn is_authorized(headers: &HeaderMap) -> bool {
    let sent = headers.get(header::AUTHORIZATION);
    sent == Some(&HeaderValue::from_str(&format!("Bearer {}", token())).unwrap())
}

// A hash, as every client sends one.
fn is_version(request: &Value) -> bool {
    let version = request["version"].as_str().unwrap();
    version.len() == 64 && version.bytes().all(|byte| byte.is_ascii_hexdigit())
}

async fn create(State(state): Shared, headers: HeaderMap, body: Bytes) -> Response {
    if !is_authorized(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let request: Value = serde_json::from_slice(&body).unwrap();
    if !is_version(&request) {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let mut state = state.lock().unwrap();
    let key = request["key"].as_str().unwrap().to_owned();
    if state.entries.contains_key(&key) || state.reserved.contains_key(&key) {
        // Two layers of a build may be the same (twirp's error, twitchtv.github.io/twirp/docs/spec_v7.html).
        let error =
            json!({"code": "already_exists", "msg": "cache entry with the same key exists"});
        return (StatusCode::CONFLICT, axum::Json(error)).into_response();
    }
    let blob = state.blobs.len();
    state.blobs.push(Vec::new());
    state.reserved.insert(key, blob);
    let url = format!("{}/storage/{blob}", state.address);
    axum::Json(json!({"ok": true, "signed_upload_url": url})).into_response()
}

async fn finish(State(state): Shared, body: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap();
    let mut state = state.lock().unwrap();
    let key = request["key"].as_str().unwrap().to_owned();
    // A 64-bit number is a text too (protobuf.dev/programming-guides/json).
    let size = &request["size_bytes"];
    let size = size.as_u64().or_else(|| size.as_str()?.parse().ok());
    let size = size.unwrap();
    let blob = state.reserved.remove(&key);
    let Some(blob) = blob.filter(|blob| state.blobs[*blob].len() as u64 == size) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    state.entries.insert(key, blob);
    axum::Json(json!({"ok": true, "entry_id": "1"})).into_response()
}

async fn find(State(state): Shared, headers: HeaderMap, body: Bytes) -> Response {
    if !is_authorized(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let request: Value = serde_json::from_slice(&body).unwrap();
    if !is_version(&request) {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let state = state.lock().unwrap();
    let restore = request["restore_keys"].as_array().into_iter().flatten();
    let prefixes = std::iter::once(&request["key"]).chain(restore);
    let mut prefixes = prefixes.filter_map(Value::as_str);
    let found = prefixes.find_map(|prefix| {
        let mut keys = state.entries.iter().rev();
        keys.find(|(key, _)| key.starts_with(prefix))
    });
    let Some((key, blob)) = found else {
        return axum::Json(json!({"ok": false})).into_response();
    };
    let url = format!("{}/storage/{blob}", state.address);
    let response = json!({
        "ok": true,
        "signed_download_url": url,
        "matched_key": key,
    });
    axum::Json(response).into_response()
}

// `PUT`, or `PUT …?comp=block&blockid=…` and then `?comp=blocklist`.
async fn upload(
    State(state): Shared,
    Path(blob): Path<usize>,
    Query(query): Query<BTreeMap<String, String>>,
    body: Bytes,
) -> Response {
    let mut state = state.lock().unwrap();
    match query.get("comp").map(String::as_str) {
        Some("block") => {
            let id = query["blockid"].clone();
            state.blocks.insert((blob, id), body.to_vec());
        }
        Some("blocklist") => {
            let text = String::from_utf8(body.to_vec()).unwrap();
            let ids = text.split("<Latest>").skip(1);
            let ids: Vec<_> = ids
                .filter_map(|rest| Some(rest.split_once("</Latest>")?.0.to_owned()))
                .collect();
            let blocks = ids.into_iter().map(|id| state.blocks[&(blob, id)].clone());
            state.blobs[blob] = blocks.flatten().collect();
        }
        _ => state.blobs[blob] = body.to_vec(),
    }
    (StatusCode::CREATED, [("x-ms-request-id", "1")]).into_response()
}

async fn download(State(state): Shared, Path(blob): Path<usize>, headers: HeaderMap) -> Response {
    let content = state.lock().unwrap().blobs[blob].clone();
    let size = content.len();
    let range = ["x-ms-range", "range"].map(|name| headers.get(name));
    let range = range.into_iter().flatten().next();
    let range = range.and_then(|range| range.to_str().ok()?.strip_prefix("bytes="));
    let Some((start, end)) = range.and_then(|range| range.split_once('-')) else {
        return content.into_response();
    };
    let start: usize = start.parse().unwrap();
    let end = end.parse().map_or(size, |end: usize| (end + 1).min(size));
    let part = content[start.min(end)..end].to_vec();
    let shown = format!("bytes {start}-{}/{size}", end.saturating_sub(1));
    (
        StatusCode::PARTIAL_CONTENT,
        [(header::CONTENT_RANGE, shown)],
        part,
    )
        .into_response()
}
