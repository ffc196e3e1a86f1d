//! Small entries in the cache of a repository's workflows: what a run on a branch keeps, and a run for a pull request into that
//! branch may read, without a further permission (github.com/actions/toolkit, `packages/cache`, `results/api/v1/cache.proto`;
//! docs.github.com/actions/reference/workflows-and-actions/dependency-caching, "Restrictions for accessing a cache").

use std::time::Duration;

use actions_toolkit::{Context, text};
use anyhow::{Context as _, bail};
use http_client::header::HeaderName;
use http_client::{Client, Request, StatusCode, Url};
use serde::{Deserialize, Serialize};

const REFUSED: &str = "the cache of GitHub Actions did not take an entry";
const SERVICE: &str = "twirp/github.actions.results.api.v1.CacheService";
/// Of the content of an entry; entries of another version are not found. The service takes 64 hexadecimal digits (`getCacheVersion` of
/// the toolkit): it is the SHA-256 of `seaworthy 1`.
const VERSION: &str = "aad364daf3960050a73c2251dc6fc2f907da108195be32767f64ef3a8fbe570f";
const TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a response of the service.
const RESPONSE: u64 = 64 * 1024;
/// Bytes of an error that are shown: it may be a page.
const SHOWN: usize = 300;
/// A blob of one part (learn.microsoft.com/rest/api/storageservices/put-blob).
const BLOB_TYPE: HeaderName = HeaderName::from_static("x-ms-blob-type");

/// The cache, as the run may use it.
pub struct CacheEntries {
    http: Client,
    /// With a `/` at its end.
    url: String,
    token: String,
    mask: Box<dyn Fn(&str) + Send + Sync>,
}

#[derive(Serialize)]
struct Key<'a> {
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    restore_keys: Option<[&'a str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<String>,
    version: &'static str,
}

#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    ok: bool,
    #[serde(default)]
    signed_upload_url: String,
    #[serde(default)]
    signed_download_url: String,
}

impl CacheEntries {
    /// `None` where the runner offers none: outside of GitHub Actions, and on a GitHub Enterprise Server, which has an older service.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(ctx: &Context) -> anyhow::Result<Option<Self>> {
        let github = ctx.github();
        let Some(cache) = github.cache() else {
            return Ok(None);
        };
        ctx.log().mask(cache.token);
        Ok(Some(Self {
            http: ctx.http()?.clone(),
            url: format!("{}/", cache.url.trim_end_matches('/')),
            token: cache.token.to_owned(),
            mask: Box::new(ctx.log().masker()),
        }))
    }

    /// The content, of at most `limit` bytes, of the newest entry whose key begins with `prefix`, of the branch of the run, else of
    /// the base branch, else of the default branch.
    ///
    /// # Errors
    /// When the service or its storage does not respond, or refuses.
    pub async fn newest(&self, prefix: &str, limit: u64) -> anyhow::Result<Option<Vec<u8>>> {
        let key = Key {
            restore_keys: Some([prefix]),
            ..Key::new(prefix)
        };
        let found = self.call("GetCacheEntryDownloadURL", &key).await?;
        let Some(found) = found.filter(|found| found.ok) else {
            return Ok(None);
        };
        let request = self.http.get(self.storage(&found.signed_download_url)?);
        let response = send(request).await?;
        let content = response.bytes(limit).await;
        content
            .map(Some)
            .context("failed to read an entry of the cache")
    }

    /// Add an entry; one of this key that exists stays as it is.
    ///
    /// # Errors
    /// When the service or its storage does not respond, or refuses.
    pub async fn add(&self, key: &str, content: Vec<u8>) -> anyhow::Result<()> {
        let size = content.len().to_string();
        let Some(created) = self.call("CreateCacheEntry", &Key::new(key)).await? else {
            return Ok(());
        };
        if !created.ok {
            bail!(REFUSED);
        }
        let request = self.http.put(self.storage(&created.signed_upload_url)?);
        send(request.header(BLOB_TYPE, "BlockBlob").body(content)).await?;
        let finished = Key {
            size_bytes: Some(size),
            ..Key::new(key)
        };
        let finished = self.call("FinalizeCacheEntryUpload", &finished).await?;
        if !finished.is_some_and(|finished| finished.ok) {
            bail!(REFUSED);
        }
        Ok(())
    }

    // A URL that has its own permission in it.
    fn storage(&self, url: &str) -> anyhow::Result<Url> {
        (self.mask)(url);
        let url = Url::parse(url).ok().filter(http_client::is_confidential);
        url.context("the cache of GitHub Actions named no address of its storage")
    }

    // `None` if the key exists.
    async fn call(&self, method: &str, key: &Key<'_>) -> anyhow::Result<Option<Found>> {
        let url = format!("{}{SERVICE}/{method}", self.url);
        let request = self.http.post(&url).bearer_auth(&self.token).json(key);
        let what = "the cache of GitHub Actions is unavailable";
        let response = request.timeout(TIMEOUT).send().await.context(what)?;
        if response.status() == StatusCode::CONFLICT {
            return Ok(None);
        }
        if !response.status().is_success() {
            let status = response.status();
            let body = response.error_text().await;
            bail!("{what}: {status}: {}", text::cut(&body, SHOWN));
        }
        response.json(RESPONSE).await.map(Some).context(what)
    }
}

impl<'a> Key<'a> {
    fn new(key: &'a str) -> Self {
        Self {
            key,
            restore_keys: None,
            size_bytes: None,
            version: VERSION,
        }
    }
}

async fn send(request: Request) -> anyhow::Result<http_client::Response> {
    let what = "the storage of GitHub's cache is unavailable";
    let response = request.timeout(TIMEOUT).send().await.context(what)?;
    if !response.status().is_success() {
        bail!("{what}: {}", response.status());
    }
    Ok(response)
}
