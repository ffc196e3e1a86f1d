//! What is left behind: outputs and summary.

use actions_toolkit::{Context, text};
use container::ImageRef;
use serde_json::Value;

use crate::change::Before;
use crate::cluster::Cluster;
use crate::manifests::Object;
use crate::serving::Address;

/// What is known so far of the deployment.
pub(crate) struct Story {
    /// The image by digest.
    pub(crate) image: String,
    digest: String,
    /// What served before.
    pub(crate) previous: Option<String>,
    /// The cluster before the change, once it is being changed.
    pub(crate) before: Option<Before>,
    /// The Deployment's revision.
    pub(crate) revision: Option<String>,
    /// Where it serves.
    pub(crate) address: Option<Address>,
    /// Whether the previous version was put back.
    pub(crate) rolled_back: bool,
    failure: Option<String>,
}

impl Story {
    /// The story of deploying `image`.
    pub(crate) fn new(image: &ImageRef) -> Self {
        Self {
            image: image.to_string(),
            digest: image.reference().to_owned(),
            previous: None,
            before: None,
            revision: None,
            address: None,
            rolled_back: false,
            failure: None,
        }
    }

    /// It failed.
    pub(crate) fn failed(&mut self, error: &anyhow::Error) {
        self.failure = Some(format!("{error:#}"));
    }

    /// Set the outputs to what is known.
    pub(crate) fn outputs(&self, ctx: &Context) {
        ctx.output("image", &self.image);
        ctx.output("digest", &self.digest);
        ctx.output(
            "previous-image",
            self.previous.as_deref().unwrap_or_default(),
        );
        ctx.output("revision", self.revision.as_deref().unwrap_or_default());
        ctx.output("rolled-back", self.rolled_back);
        if let Some(address) = &self.address {
            ctx.output("url", &address.url);
            ctx.output("public-ip", &address.host);
        }
    }

    /// Write the outputs and the summary.
    pub(crate) fn write(&self, ctx: &Context) {
        self.outputs(ctx);
        ctx.summary(self.markdown());
    }

    fn markdown(&self) -> String {
        let heading = match (&self.failure, self.rolled_back) {
            (None, _) => "🚀 Deployed",
            (Some(_), true) => "↩️ Refused, and rolled back",
            (Some(_), false) => "❌ Not deployed",
        };
        let mut rows = vec![("Image", text::code(&self.image))];
        rows.extend(
            self.address
                .as_ref()
                .map(|address| ("Address", address.url.clone())),
        );
        rows.extend(
            self.revision
                .as_ref()
                .map(|revision| ("Revision", text::markdown(revision))),
        );
        rows.extend(
            self.previous
                .as_ref()
                .map(|previous| ("Before", text::code(previous))),
        );
        rows.extend(
            self.failure
                .as_ref()
                .map(|failure| ("Why", text::markdown(failure))),
        );
        let rows: Vec<_> = rows
            .iter()
            .map(|(name, value)| format!("| {name} | {value} |\n"))
            .collect();
        format!("## {heading}\n\n| | |\n|---|---|\n{}", rows.concat())
    }
}

/// The revision of the first Deployment.
pub(crate) async fn revision(
    cluster: &Cluster,
    objects: &[Object],
) -> anyhow::Result<Option<String>> {
    let Some(deployment) = objects.iter().find(|object| object.kind() == "Deployment") else {
        return Ok(None);
    };
    let live = cluster.get(deployment).await?;
    let found = live
        .as_ref()
        .and_then(|live| live.pointer("/metadata/annotations/deployment.kubernetes.io~1revision"));
    Ok(found.and_then(Value::as_str).map(ToOwned::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_of_a_deployment_that_was_taken_back() {
        let digest = format!("drydock.azurecr.io/flask-app@sha256:{}", "ab".repeat(32));
        let mut story = Story::new(&digest.parse().unwrap());
        story.previous = Some("drydock.azurecr.io/flask-app@sha256:cd".into());
        story.rolled_back = true;
        story.failed(&anyhow::anyhow!(
            "Deployment/flask-app: container `app` ends | again"
        ));
        insta::assert_snapshot!(story.markdown().replace(&"ab".repeat(32), "…"), @r"
        ## ↩️ Refused, and rolled back

        | | |
        |---|---|
        | Image | `drydock.azurecr.io/flask-app@sha256:…` |
        | Before | `drydock.azurecr.io/flask-app@sha256:cd` |
        | Why | Deployment/flask-app: container \`app\` ends \| again |
        ");
    }
}
