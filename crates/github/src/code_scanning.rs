//! Uploading a SARIF file, and waiting until it is processed.
//!
//! Protocol: docs.github.com/rest/code-scanning/code-scanning#upload-an-analysis-as-sarif-data.

use std::io::Write as _;
use std::time::Duration;

use actions_toolkit::GithubEnv;
use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use octocrab::Octocrab;
use octocrab::models::code_scannings::UploadSarif;
use serde_json::Value;

/// Waits between questions about the processing: 155 seconds in all, as GitHub's own uploader does.
const WAITS: [u64; 5] = [5, 10, 20, 40, 80];
const ATTEMPTS: u32 = 4;
/// GitHub's limit for the compressed file.
const LIMIT: usize = 10 * 1024 * 1024;

/// The commit and ref that an upload is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The commit, 40 hex digits.
    pub sha: String,
    /// The full ref.
    pub git_ref: String,
}

impl Place {
    /// The commit and ref of the run.
    ///
    /// A pull request is analysed on its merge commit under `refs/pull/N/merge`, a merge group on its
    /// own head; a schedule on the default branch. In all of them `GITHUB_SHA` and `GITHUB_REF` are
    /// right, as long as the run did not check out something else.
    pub fn of(github: &GithubEnv<'_>) -> Option<Self> {
        let sha = github.sha().filter(|sha| sha.len() == 40)?;
        let git_ref = github.git_ref().filter(|name| name.starts_with("refs/"))?;
        Some(Self {
            sha: sha.to_owned(),
            git_ref: git_ref.to_owned(),
        })
    }
}

/// Why the Security tab does not have the findings.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The repository has no code scanning.
    #[error("code scanning is not enabled for this repository: {0}")]
    NotEnabled(String),
    /// The token may not do it: a fork, Dependabot, or a missing permission.
    #[error(
        "the token may not upload: {0}; give the job `permissions: security-events: write` (runs for forks and Dependabot cannot have it)"
    )]
    NotPermitted(String),
    /// The file is too large, also after the limits were applied.
    #[error("the SARIF file has {0} bytes compressed, and GitHub takes 10 MB")]
    TooLarge(usize),
    /// GitHub read the file and refused it.
    #[error("GitHub refused the SARIF file: {0}")]
    Rejected(String),
    /// Anything else.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl UploadError {
    /// Whether it lies in how the repository or run is set up, and no verdict depends on it.
    pub fn is_setting(&self) -> bool {
        matches!(self, Self::NotEnabled(_) | Self::NotPermitted(_))
    }
}

/// Code scanning of one repository.
pub struct CodeScanning {
    crab: Octocrab,
    owner: String,
    name: String,
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
        let (owner, name) = repository
            .split_once('/')
            .with_context(|| format!("`{repository}` is no `owner/name`"))?;
        let crab = Octocrab::builder()
            .base_uri(api_url)
            .context("while reading GITHUB_API_URL")?
            .personal_token(token.to_owned())
            .build_with_reqwest(http)
            .context("while preparing the client for GitHub")?;
        Ok(Self {
            crab,
            owner: owner.to_owned(),
            name: name.to_owned(),
        })
    }

    /// Upload `sarif`, wait until it is processed, and return the upload's id.
    ///
    /// # Errors
    /// [`UploadError`], by what the caller does about it.
    pub async fn upload(
        &self,
        sarif: &[u8],
        place: &Place,
        checkout: &str,
    ) -> Result<String, UploadError> {
        let packed = pack(sarif)?;
        if packed.len() > LIMIT {
            return Err(UploadError::TooLarge(packed.len()));
        }
        let body = UploadSarif {
            commit_sha: place.sha.clone(),
            ref_field: place.git_ref.clone(),
            sarif: base64::engine::general_purpose::STANDARD.encode(packed),
            checkout_uri: Some(checkout.to_owned()),
            started_at: None,
            tool_name: None,
            validate: None,
        };
        let mut attempt = 1;
        let id = loop {
            match self
                .crab
                .code_scannings(&self.owner, &self.name)
                .upload_sarif(&body)
                .await
            {
                Ok(receipt) => break receipt.id,
                Err(error) => match after(&error, attempt) {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => return Err(explain(error)),
                },
            }
            attempt += 1;
        };
        self.processed(&id).await?;
        Ok(id)
    }

    // A question that fails, or no answer in the end, is no failure: the file has been taken.
    async fn processed(&self, id: &str) -> Result<(), UploadError> {
        let scanning = self.crab.code_scannings(&self.owner, &self.name);
        // The first question comes at once: small files are done by then.
        for wait in std::iter::once(0).chain(WAITS) {
            tokio::time::sleep(Duration::from_secs(wait)).await;
            let Ok(analysis) = scanning.get_sarif(id).await else {
                continue;
            };
            match analysis.processing_status.as_str() {
                "complete" => return Ok(()),
                "failed" => {
                    let errors = analysis.errors.unwrap_or_default();
                    return Err(UploadError::Rejected(errors.join("; ")));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn pack(sarif: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed
        .write_all(sarif)
        .and_then(|()| packed.finish())
        .context("while compressing the SARIF file")
}

fn status(error: &octocrab::Error) -> Option<(u16, &octocrab::GitHubError)> {
    match error {
        octocrab::Error::GitHub { source, .. } => Some((source.status_code.as_u16(), source)),
        _ => None,
    }
}

// What passes by itself is tried again: overload, a limit of the rate, a broken connection. The client
// library repeats 5xx answers by itself.
fn after(error: &octocrab::Error, attempt: u32) -> Option<Duration> {
    if attempt >= ATTEMPTS {
        return None;
    }
    let pause = Duration::from_secs(u64::from(2_u32.pow(attempt)));
    let Some((code, answer)) = status(error) else {
        return Some(pause);
    };
    let limited = code == 429 || answer.message.contains("rate limit");
    let told = answer
        .headers
        .as_ref()
        .and_then(|headers| headers.get("retry-after")?.to_str().ok()?.parse().ok());
    match (limited, told) {
        (true, Some(seconds)) => Some(Duration::from_secs(u64::min(seconds, 60))),
        (true, None) => Some(pause),
        (false, _) => None,
    }
}

fn explain(error: octocrab::Error) -> UploadError {
    let Some((code, answer)) = status(&error) else {
        return UploadError::Other(
            anyhow::Error::new(error).context("while uploading to code scanning"),
        );
    };
    let message = answer.message.clone();
    let details = answer
        .errors
        .iter()
        .flatten()
        .map(Value::to_string)
        .collect::<Vec<_>>()
        .join("; ");
    let off = [
        "Code Security must be enabled",
        "Advanced Security must be enabled",
        "Code scanning is not enabled",
        "Code Scanning is not enabled",
    ];
    match code {
        403 if off.iter().any(|sign| message.contains(sign)) => UploadError::NotEnabled(message),
        403 => UploadError::NotPermitted(message),
        413 => UploadError::Rejected(message),
        400 | 422 => UploadError::Rejected(if details.is_empty() { message } else { format!("{message}: {details}") }),
        401 => anyhow!("GitHub answered 401 ({message}): check the input `token`").into(),
        404 => anyhow!("GitHub answered 404 ({message}): the repository, its commit or ref is not known to it, or the token may not see it").into(),
        code => anyhow!("GitHub answered {code} ({message})").into(),
    }
}
