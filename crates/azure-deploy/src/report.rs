//! What is left behind: outputs and summary.

use std::time::Instant;

use actions_toolkit::{Context, text};
use oci::ImageRef;
use serde_json::Value;

use crate::change::Before;
use crate::cluster::Cluster;
use crate::object::Object;
use crate::rollout::Evidence;
use crate::serving::Address;

/// Lines of changes, and of evidence, that the summary shows.
const SHOWN: usize = 30;

/// What is known so far of the deployment.
pub(crate) struct Story {
    begun: Instant,
    /// The image by digest.
    pub(crate) image: String,
    /// Its digest.
    pub(crate) digest: String,
    /// What served before.
    pub(crate) previous: Option<String>,
    /// The cluster before the change, once it is being changed.
    pub(crate) before: Option<Before>,
    /// What the API server made of the objects that were applied.
    pub(crate) applied: Vec<Object>,
    /// The revision of the Deployment that serves.
    pub(crate) revision: Option<String>,
    /// Where it serves.
    pub(crate) address: Option<Address>,
    /// Whether the previous version was put back.
    pub(crate) rolled_back: bool,
    /// What was changed of each object.
    pub(crate) changes: Vec<(String, Vec<String>)>,
    /// What pods that failed left to read.
    pub(crate) evidence: Evidence,
    times: Vec<(&'static str, u64)>,
    failure: Option<String>,
}

impl Story {
    /// The story of deploying `image`, which `begun` with its push.
    pub(crate) fn new(image: &ImageRef, begun: Instant) -> Self {
        Self {
            begun,
            image: image.to_string(),
            digest: image.reference().to_owned(),
            previous: None,
            before: None,
            applied: Vec::new(),
            revision: None,
            address: None,
            rolled_back: false,
            changes: Vec::new(),
            evidence: Vec::new(),
            times: Vec::new(),
            failure: None,
        }
    }

    /// A part that began at `begun` is done.
    pub(crate) fn took(&mut self, part: &'static str, begun: Instant) {
        self.times.push((part, begun.elapsed().as_secs()));
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
        ctx.output("duration", self.begun.elapsed().as_secs());
        let address = self.address.as_ref();
        ctx.output("url", address.map_or("", |address| &address.url));
        ctx.output("ip", address.map_or("", |address| &address.host));
    }

    /// Write the outputs and the summary.
    pub(crate) fn write(&self, ctx: &Context) {
        self.outputs(ctx);
        ctx.summary(self.markdown());
    }

    fn markdown(&self) -> String {
        let heading = match (&self.failure, self.rolled_back) {
            (None, _) => "🚀 Deployed",
            (Some(_), true) => "↩️ Rolled back",
            (Some(_), false) => "❌ Not deployed",
        };
        let times: Vec<_> = self
            .times
            .iter()
            .map(|(part, seconds)| format!("{part} {seconds} s"))
            .collect();
        let rows = [
            ("Image", Some(text::code(&self.image))),
            ("Address", self.address.as_ref().map(|a| a.url.clone())),
            ("Revision", self.revision.as_deref().map(text::markdown)),
            ("Before", self.previous.as_deref().map(text::code)),
            ("Time", (!times.is_empty()).then(|| times.join(", "))),
            ("Why", self.failure.as_deref().map(text::markdown)),
        ];
        let rows: String = rows
            .iter()
            .filter_map(|(name, value)| Some(format!("| {name} | {} |\n", value.as_ref()?)))
            .collect();
        let changes: Vec<_> = self
            .changes
            .iter()
            .flat_map(|(label, changes)| changes.iter().map(move |c| format!("{label}: {c}")))
            .collect();
        format!(
            "## {heading}\n\n| | |\n|---|---|\n{rows}{}{}",
            details(
                "What pods left to read",
                &self.evidence,
                self.failure.is_some()
            ),
            details("What changed", &changes, false),
        )
    }
}

// The end of the evidence tells most, and so does the beginning of the changes.
fn details(title: &str, lines: &[String], end: bool) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let count = lines.len().min(SHOWN);
    let shown = if end {
        &lines[lines.len() - count..]
    } else {
        &lines[..count]
    };
    let left_out = match lines.len() - count {
        0 => String::new(),
        more => format!(" ({} not shown)", text::plural(more, "line")),
    };
    let open = if end { " open" } else { "" };
    format!(
        "\n<details{open}><summary>{title}{left_out}</summary>\n\n{}\n</details>\n",
        text::code_block(&shown.join("\n"))
    )
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

    fn story() -> Story {
        let digest = format!("seaworthy.azurecr.io/flask-app@sha256:{}", "ab".repeat(32));
        let mut story = Story::new(&digest.parse().unwrap(), Instant::now());
        story.previous = Some("seaworthy.azurecr.io/flask-app@sha256:cd".into());
        story.times = vec![("push", 3)];
        let image = "spec.template.spec.containers[app].image: a → b";
        story.changes = vec![
            ("Service/flask-app".into(), vec![]),
            ("Deployment/flask-app".into(), vec![image.into()]),
        ];
        story
    }

    #[test]
    fn the_summary_of_a_deployment() {
        let mut story = story();
        story.revision = Some("7".into());
        story.times.push(("rollout", 9));
        story.address = Some(Address {
            host: "10.77.1.10".into(),
            url: "http://10.77.1.10".into(),
        });
        insta::assert_snapshot!(story.markdown().replace(&"ab".repeat(32), "…"), @r"
        ## 🚀 Deployed

        | | |
        |---|---|
        | Image | `seaworthy.azurecr.io/flask-app@sha256:…` |
        | Address | http://10.77.1.10 |
        | Revision | 7 |
        | Before | `seaworthy.azurecr.io/flask-app@sha256:cd` |
        | Time | push 3 s, rollout 9 s |

        <details><summary>What changed</summary>

        ```text
        Deployment/flask-app: spec.template.spec.containers[app].image: a → b
        ```

        </details>
        ");
    }

    #[test]
    fn the_summary_of_a_deployment_that_was_taken_back() {
        let mut story = story();
        story.rolled_back = true;
        story.evidence = vec!["log    ``` ModuleNotFoundError".into()];
        story.failed(&anyhow::anyhow!(
            "Deployment/flask-app: container `app` ends | again"
        ));
        insta::assert_snapshot!(story.markdown().replace(&"ab".repeat(32), "…"), @r"
        ## ↩️ Rolled back

        | | |
        |---|---|
        | Image | `seaworthy.azurecr.io/flask-app@sha256:…` |
        | Before | `seaworthy.azurecr.io/flask-app@sha256:cd` |
        | Time | push 3 s |
        | Why | Deployment/flask-app: container \`app\` ends \| again |

        <details open><summary>What pods left to read</summary>

        ````text
        log    ``` ModuleNotFoundError
        ````

        </details>

        <details><summary>What changed</summary>

        ```text
        Deployment/flask-app: spec.template.spec.containers[app].image: a → b
        ```

        </details>
        ");
    }

    #[test]
    fn long_lists_are_cut_and_say_so() {
        let lines: Vec<_> = (0..=SHOWN).map(|n| format!("line {n}")).collect();
        let (begin, end) = (details("x", &lines, false), details("x", &lines, true));
        assert!(begin.contains("line 0\n") && begin.contains("(1 line not shown)"));
        assert!(!end.contains("line 0\n") && end.contains(&format!("line {SHOWN}\n")));
    }
}
