//! Uploading a SARIF file, and waiting until it is processed.
//!
//! Protocol: docs.github.com/rest/code-scanning/code-scanning#upload-an-analysis-as-sarif-data.

use std::io::Write as _;
use std::time::Duration;

use actions_toolkit::{Redacted, Redactor};
use anyhow::Context as _;
use base64::Engine as _;
use serde::{Deserialize, Serialize};

use crate::client::{Call, Retry};
use crate::{Client, Revision, UploadError};

/// How long the processing of an upload is polled for: 155 seconds, as GitHub's own uploader does.
const PROCESSING_TIMEOUT: Duration = Duration::from_secs(155);

/// An upload that GitHub accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    /// Its id.
    pub id: String,
    /// Whether it is processed; if not, GitHub was still processing it at the timeout.
    pub processed: bool,
}

/// A SARIF file as it travels: compressed by gzip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompressedSarif(Vec<u8>);

impl CompressedSarif {
    /// The largest that GitHub accepts, in bytes.
    pub const LIMIT: usize = 10 * 1024 * 1024;

    /// Compress `sarif`, without what `redactor` knows.
    ///
    /// # Errors
    /// When it cannot be compressed.
    pub fn new(sarif: &[u8], redactor: &Redactor) -> anyhow::Result<Self> {
        Self::compress(&redactor.redact_bytes(sarif))
    }

    /// Compress `sarif`, which has been redacted.
    ///
    /// # Errors
    /// When it cannot be compressed.
    pub fn from_redacted(sarif: &Redacted) -> anyhow::Result<Self> {
        Self::compress(sarif.as_bytes())
    }

    fn compress(sarif: &[u8]) -> anyhow::Result<Self> {
        // The second level of nine is four times as fast as the usual sixth, for a file some tenth larger.
        let level = flate2::Compression::new(2);
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), level);
        packed
            .write_all(sarif)
            .and_then(|()| packed.finish())
            .map(Self)
            .context("failed to compress the SARIF file")
    }

    /// Whether GitHub accepts a file of this size.
    pub fn fits(&self) -> bool {
        self.0.len() <= Self::LIMIT
    }
}

/// Every path in the file is relative: a `checkout_uri`, which would be stripped, is not needed.
#[derive(Serialize)]
struct Upload<'a> {
    commit_sha: &'a str,
    #[serde(rename = "ref")]
    git_ref: &'a str,
    sarif: String,
}

#[derive(Deserialize)]
struct Accepted {
    id: String,
}

#[derive(Deserialize)]
struct Processing {
    processing_status: String,
    #[serde(default)]
    errors: Option<Vec<String>>,
}

/// Code scanning of one repository.
pub struct CodeScanning {
    client: Client,
    poll: Duration,
    timeout: Duration,
}

impl CodeScanning {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            poll: Duration::from_secs(1),
            timeout: PROCESSING_TIMEOUT,
        }
    }

    /// Poll the processing for `timeout` in all. `interval` is the pause before the second poll; it doubles with each
    /// further one.
    #[must_use]
    pub fn with_polling(self, interval: Duration, timeout: Duration) -> Self {
        Self {
            poll: interval,
            timeout,
            ..self
        }
    }

    /// Upload `file` and wait until it is processed.
    ///
    /// # Errors
    /// [`UploadError`], by what the caller does about it.
    pub async fn upload(
        &self,
        file: &CompressedSarif,
        revision: &Revision,
    ) -> Result<Uploaded, UploadError> {
        if !file.fits() {
            return Err(UploadError::TooLarge(format!(
                "{} bytes compressed; the maximum is {}",
                file.0.len(),
                CompressedSarif::LIMIT
            )));
        }
        let body = Upload {
            commit_sha: &revision.sha,
            git_ref: &revision.git_ref,
            sarif: base64::engine::general_purpose::STANDARD.encode(&file.0),
        };
        let upload = self
            .client
            .post("code-scanning/sarifs", &body, Retry::Upload);
        let Accepted { id } = upload.await?;
        let processed = self.wait_until_processed(&id).await?;
        Ok(Uploaded { id, processed })
    }

    // A poll that fails, and a timeout, are not failures: the file is accepted.
    async fn wait_until_processed(&self, id: &str) -> Result<bool, UploadError> {
        let call = Call::get(self.client.url(&format!("code-scanning/sarifs/{id}")));
        let mut waited = Duration::ZERO;
        let mut pause = self.poll;
        loop {
            let polled = self.client.send::<Processing>(&call, Retry::Never).await;
            if let Ok(analysis) = polled {
                match analysis.processing_status.as_str() {
                    "complete" => return Ok(true),
                    "failed" => {
                        return Err(UploadError::Rejected(analysis.errors.unwrap_or_default()));
                    }
                    _ => {}
                }
            }
            if waited >= self.timeout {
                return Ok(false);
            }
            let wait = pause.min(self.timeout.saturating_sub(waited));
            tokio::time::sleep(wait).await;
            waited += wait;
            pause *= 2;
        }
    }
}
