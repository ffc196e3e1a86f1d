//! The program that renders a chart (`tools/helm-template`): what it reads and what it writes.

use std::path::Path;
use std::time::Duration;

use actions_toolkit::{BadInput, Context};
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::offline_tool;
use crate::action::Inputs;

const PROGRAM: &str = "helm-template";
/// Rendering reads files, and nothing that takes long.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A file, or a template's result.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
}

/// What the renderer reads.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request<'a> {
    pub(super) chart: &'a Path,
    pub(super) release: &'a str,
    pub(super) namespace: &'a str,
    pub(super) upgrade: bool,
    pub(super) kube_version: &'a str,
    pub(super) api_versions: &'a [String],
    pub(super) values: &'a [File],
    pub(super) set: &'a [String],
    pub(super) lookups: &'a [Lookup],
}

/// An object that a template looks up: a list without a name, all namespaces without a namespace.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Lookup {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) object: Option<Value>,
}

/// What the renderer writes. Go writes an empty list as `null`.
#[derive(Debug, Deserialize)]
pub(super) struct Response {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) release: String,
    pub(super) templates: Option<Vec<File>>,
    pub(super) hooks: Option<Vec<Hook>>,
    pub(super) crds: Option<Vec<File>>,
    pub(super) missing: Option<Vec<Lookup>>,
    pub(super) random: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Hook {
    #[serde(flatten)]
    pub(super) file: File,
    pub(super) events: Vec<String>,
}

impl Request<'_> {
    /// Render the chart, which a message calls `shown`.
    ///
    /// # Errors
    /// [`BadInput`] with the message of Helm.
    pub(super) async fn render(&self, ctx: &Context, shown: &str) -> anyhow::Result<Response> {
        let directory = ctx.private_directory("helm")?;
        let file = directory.path().join("request.json");
        let text = serde_json::to_vec(self).context("failed to write the values")?;
        tokio::fs::write(&file, text)
            .await
            .context("failed to write the values")?;
        let done = offline_tool::new(ctx.env(), PROGRAM)
            .arg(&file)
            .timeout(TIMEOUT)
            .capture(ctx.log(), &format!("helm template {shown}"))
            .await?;
        if !done.status.success() {
            // Helm indents the lines that explain the first one.
            let message: Vec<_> = done
                .tail
                .iter()
                .flat_map(|l| l.split_whitespace())
                .collect();
            let message = message.join(" ");
            return Err(invalid(shown, message.trim_start_matches("Error: ")));
        }
        Response::read(&done.stdout)
    }
}

impl Response {
    /// Read what the program wrote.
    ///
    /// # Errors
    /// When it is something else.
    pub(super) fn read(text: &[u8]) -> anyhow::Result<Self> {
        serde_json::from_slice(text).context("failed to read what Helm rendered")
    }
}

/// The error of a chart that is called `shown`.
pub(super) fn invalid(shown: &str, problem: &str) -> anyhow::Error {
    BadInput::new(
        Inputs::manifests,
        format!("failed to render the Helm chart `{shown}`: {problem}"),
    )
    .into()
}
