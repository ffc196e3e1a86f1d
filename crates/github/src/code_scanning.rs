//! Uploading a SARIF file, and waiting until it is processed.
//!
//! Protocol: docs.github.com/rest/code-scanning/code-scanning#upload-an-analysis-as-sarif-data.

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use octocrab::Octocrab;
use octocrab::models::code_scannings::UploadSarif;

use crate::{Place, UploadError};

/// A limit of requests that is used up for longer is not waited for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Limit of one request.
const ANSWER: Duration = Duration::from_secs(60);

/// How long to wait for GitHub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The pause before a second attempt; it doubles with each further one.
    pub retry: Duration,
    /// The pause before the second question about the processing; it doubles with each further one.
    pub poll: Duration,
    /// How long the processing is asked about, in all.
    pub limit: Duration,
}

impl Default for Patience {
    /// A second each; 155 seconds in all, as GitHub's own uploader does.
    fn default() -> Self {
        Self {
            retry: Duration::from_secs(1),
            poll: Duration::from_secs(1),
            limit: Duration::from_secs(155),
        }
    }
}

/// An upload that GitHub took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    /// Its id.
    pub id: String,
    /// Whether GitHub said that it is processed; if not, it was still at it in the end.
    pub processed: bool,
}

/// A SARIF file as it travels: compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed(Vec<u8>);

impl Packed {
    /// GitHub's limit, in bytes.
    pub const LIMIT: usize = 10 * 1024 * 1024;

    /// Compress `sarif`.
    ///
    /// # Errors
    /// When it cannot be compressed.
    pub fn of(sarif: &[u8]) -> anyhow::Result<Self> {
        // The second level of nine is four times as fast as the usual sixth, for a file some tenth larger.
        let level = flate2::Compression::new(2);
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), level);
        packed
            .write_all(sarif)
            .and_then(|()| packed.finish())
            .map(Self)
            .context("while compressing the SARIF file")
    }

    /// Whether GitHub takes a file of this size.
    pub fn fits(&self) -> bool {
        self.0.len() <= Self::LIMIT
    }
}

/// Code scanning of one repository.
pub struct CodeScanning {
    crab: Octocrab,
    owner: String,
    name: String,
    patience: Patience,
}

impl CodeScanning {
    /// Code scanning of `repository` (`owner/name`) at the API `api_url`.
    ///
    /// # Errors
    /// When the repository or address is malformed.
    pub fn new(
        http: reqwest::Client,
        api_url: &str,
        repository: &str,
        token: &str,
    ) -> anyhow::Result<Self> {
        let (owner, name) = crate::client::owner_and_name(repository)?;
        let crab = crate::client::new(http, api_url, token)?;
        Ok(Self {
            crab,
            owner: owner.to_owned(),
            name: name.to_owned(),
            patience: Patience::default(),
        })
    }

    /// Wait as long as `patience` says.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// Upload `file` and wait until it is processed.
    ///
    /// # Errors
    /// [`UploadError`], by what the caller does about it.
    pub async fn upload(&self, file: &Packed, place: &Place) -> Result<Uploaded, UploadError> {
        if !file.fits() {
            return Err(UploadError::TooLarge(format!(
                "{} bytes compressed, and it takes {}",
                file.0.len(),
                Packed::LIMIT
            )));
        }
        let body = UploadSarif {
            commit_sha: place.sha.clone(),
            ref_field: place.git_ref.clone(),
            sarif: base64::engine::general_purpose::STANDARD.encode(&file.0),
            // Every path in the file is relative: there is nothing to strip.
            checkout_uri: None,
            started_at: None,
            tool_name: None,
            validate: None,
        };
        let mut pause = self.patience.retry;
        let mut attempt = 1;
        let id = loop {
            let error = match self.send(&body).await {
                Ok(id) => break id,
                Err(error) => error,
            };
            let wait = match &error {
                UploadError::RateLimited {
                    retry_after: Some(wait),
                    ..
                } => *wait,
                _ => pause,
            };
            if attempt >= error.attempts() || wait > LONGEST_PAUSE {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
            pause *= 2;
            attempt += 1;
        };
        let processed = self.processed(&id).await?;
        Ok(Uploaded { id, processed })
    }

    async fn send(&self, body: &UploadSarif) -> Result<String, UploadError> {
        let scanning = self.crab.code_scannings(&self.owner, &self.name);
        match tokio::time::timeout(ANSWER, scanning.upload_sarif(body)).await {
            Ok(receipt) => Ok(receipt?.id),
            Err(_) => Err(UploadError::Unavailable(format!(
                "no answer in {} s",
                ANSWER.as_secs()
            ))),
        }
    }

    // A question that fails, or no answer in the end, is no failure: the file has been taken.
    async fn processed(&self, id: &str) -> Result<bool, UploadError> {
        let scanning = self.crab.code_scannings(&self.owner, &self.name);
        let mut waited = Duration::ZERO;
        let mut pause = self.patience.poll;
        loop {
            let asked = tokio::time::timeout(ANSWER, scanning.get_sarif(id)).await;
            if let Ok(Ok(analysis)) = asked {
                match analysis.processing_status.as_str() {
                    "complete" => return Ok(true),
                    "failed" => {
                        return Err(UploadError::Rejected(analysis.errors.unwrap_or_default()));
                    }
                    _ => {}
                }
            }
            if waited >= self.patience.limit {
                return Ok(false);
            }
            let wait = pause.min(self.patience.limit.saturating_sub(waited));
            tokio::time::sleep(wait).await;
            waited += wait;
            pause *= 2;
        }
    }
}
