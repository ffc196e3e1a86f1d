//! The report of the deployment: outputs and summary.

use std::time::Instant;

use actions_toolkit::Context;
use actions_toolkit::text::{self, Table};
use oci::ImageRef;

use crate::kubernetes::{Object, Snapshot};
use crate::rollout::Evidence;
use crate::steps::health::{Address, Exposed};
use crate::steps::taken_over::TakenOver;

/// Lines of changes, and of evidence, that the summary shows.
const SHOWN: usize = 30;

/// What is known of the deployment so far.
pub(crate) struct Report {
    started: Instant,
    /// The image by digest.
    pub(crate) image: ImageRef,
    /// More images by digest.
    pub(crate) more: Vec<ImageRef>,
    /// The image that was deployed before.
    pub(crate) previous: Option<String>,
    /// The state before the first change; `None` until there is one.
    pub(crate) snapshot: Option<Snapshot>,
    /// The objects that were applied, as the API server returned them.
    pub(crate) applied: Vec<Object>,
    /// The Jobs among them that are done.
    done: Vec<Object>,
    /// What was taken over before that.
    pub(crate) taken: TakenOver,
    /// The steps of the canary that are done.
    pub(crate) canary: Vec<String>,
    /// The revision of the first Deployment.
    pub(crate) revision: Option<String>,
    /// The object of the cluster that exposes the application.
    pub(crate) exposed_by: Option<String>,
    /// The address of the service.
    pub(crate) address: Option<Address>,
    /// What responded at the address, if GitHub records what runs.
    pub(crate) exposed: Option<Exposed>,
    /// Whether the previous version was restored.
    pub(crate) rolled_back: bool,
    /// The changes to each object, by its label.
    pub(crate) changes: Vec<(String, Vec<String>)>,
    /// Events and log lines of pods that failed.
    pub(crate) evidence: Evidence,
    times: Vec<(&'static str, u64)>,
    failure: Option<String>,
    is_dry_run: bool,
}

impl Report {
    /// The report on `image`, whose push took from `started` to now.
    pub(crate) fn new(image: ImageRef, started: Instant) -> Self {
        Self {
            started,
            image,
            more: Vec::new(),
            previous: None,
            snapshot: None,
            applied: Vec::new(),
            done: Vec::new(),
            taken: TakenOver::default(),
            canary: Vec::new(),
            revision: None,
            exposed_by: None,
            address: None,
            exposed: None,
            rolled_back: false,
            changes: Vec::new(),
            evidence: Vec::new(),
            times: vec![("push", started.elapsed().as_secs())],
            failure: None,
            is_dry_run: false,
        }
    }

    /// The report on what a deployment of `image` and `more` would change.
    pub(crate) fn of_dry_run(image: ImageRef, more: Vec<ImageRef>) -> Self {
        Self {
            more,
            times: Vec::new(),
            is_dry_run: true,
            ..Self::new(image, Instant::now())
        }
    }

    /// What was applied, in the order of `manifests`.
    pub(crate) fn applied_in_order(&self, manifests: &[Object]) -> Vec<Object> {
        let of = |object: &Object| self.applied.iter().find(|other| other.is_same(object));
        manifests.iter().filter_map(of).cloned().collect()
    }

    /// The rollout of `objects` is done. A Job stays done.
    pub(crate) fn rolled_out(&mut self, objects: Vec<Object>) {
        self.done.extend(objects.into_iter().filter(Object::is_job));
    }

    /// What was applied and is to be waited for.
    pub(crate) fn unfinished(&self) -> Vec<Object> {
        let applied = self.applied.iter();
        let unfinished =
            applied.filter(|object| !self.done.iter().any(|done| done.is_same(object)));
        unfinished.cloned().collect()
    }

    /// A part that began at `started` is done.
    pub(crate) fn finished(&mut self, part: &'static str, started: Instant) {
        self.times.push((part, started.elapsed().as_secs()));
    }

    /// The deployment failed with `error`.
    pub(crate) fn failed(&mut self, error: &anyhow::Error) {
        self.failure = Some(format!("{error:#}"));
    }

    /// Set the outputs to what is known.
    pub(crate) fn set_outputs(&self, ctx: &Context) {
        ctx.output(
            "previous-image",
            self.previous.as_deref().unwrap_or_default(),
        );
        if self.is_dry_run {
            return;
        }
        ctx.output("image", &self.image);
        ctx.output("digest", self.image.reference());
        ctx.output("revision", self.revision.as_deref().unwrap_or_default());
        ctx.output("rolled-back", self.rolled_back);
        ctx.output("duration", self.started.elapsed().as_secs());
        let address = self.address.as_ref();
        ctx.output("url", address.map_or("", |address| &address.url));
        ctx.output("ip", address.map_or("", |address| &address.host));
    }

    /// Write the outputs and the summary.
    pub(crate) fn write(&self, ctx: &Context) {
        self.set_outputs(ctx);
        ctx.summary(self.markdown());
    }

    fn markdown(&self) -> String {
        let heading = match (&self.failure, self.rolled_back) {
            _ if self.is_dry_run => "🔎 Dry run: nothing was changed",
            (None, _) => "🚀 Deployed",
            (Some(_), true) => "↩️ Rolled back",
            (Some(_), false) => "❌ Not deployed",
        };
        let times: Vec<_> = self
            .times
            .iter()
            .map(|(part, seconds)| format!("{part} {seconds}s"))
            .collect();
        let more: Vec<_> = self
            .more
            .iter()
            .map(|i| text::code(&i.to_string()))
            .collect();
        let address = self.address.as_ref().map(|address| {
            let shown = [&address.url, &address.host];
            let shown = shown.into_iter().find(|text| !text.is_empty());
            shown.cloned().unwrap_or_default()
        });
        let changes: Vec<_> = self
            .changes
            .iter()
            .flat_map(|(label, changes)| changes.iter().map(move |c| format!("{label}: {c}")))
            .collect();
        let rows = [
            ("Image", Some(text::code(&self.image.to_string()))),
            ("More images", (!more.is_empty()).then(|| more.join(", "))),
            ("Address", address),
            ("Exposed by", self.exposed_by.as_deref().map(text::code)),
            (
                "Canary",
                (!self.canary.is_empty()).then(|| text::markdown(&self.canary.join(", "))),
            ),
            ("Revision", self.revision.as_deref().map(text::markdown)),
            ("Previous image", self.previous.as_deref().map(text::code)),
            ("Time", (!times.is_empty()).then(|| times.join(", "))),
            ("Cause", self.failure.as_deref().map(text::markdown)),
            (
                "Changes",
                (self.is_dry_run && changes.is_empty()).then(|| "none".to_owned()),
            ),
        ];
        let mut table = Table::new(["", ""]);
        table.extend(
            rows.into_iter()
                .filter_map(|(name, value)| Some([name.to_owned(), value?])),
        );
        format!(
            "## {heading}\n\n{table}{}{}",
            collapsed(
                "Events and log lines of the pods",
                &self.evidence,
                self.failure.is_some()
            ),
            collapsed("Changes", &changes, false),
        )
    }
}

// The end of the evidence is the most useful, and so is the beginning of the changes.
fn collapsed(title: &str, lines: &[String], end: bool) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let count = lines.len().min(SHOWN);
    let shown = if end {
        &lines[lines.len() - count..]
    } else {
        &lines[..count]
    };
    let omitted = match lines.len() - count {
        0 => String::new(),
        more => format!(" ({} not shown)", text::plural(more, "line")),
    };
    let open = if end { " open" } else { "" };
    format!(
        "\n<details{open}><summary>{title}{omitted}</summary>\n\n{}\n</details>\n",
        text::code_block(&shown.join("\n"))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let digest = format!("seaworthy.azurecr.io/flask-app@sha256:{}", "ab".repeat(32));
        let mut report = Report::new(digest.parse().unwrap(), Instant::now());
        report.previous = Some("seaworthy.azurecr.io/flask-app@sha256:cd".into());
        report.times = vec![("push", 3)];
        let image = "spec.template.spec.containers[app].image: a → b";
        report.changes = vec![
            ("Service/flask-app".into(), vec![]),
            ("Deployment/flask-app".into(), vec![image.into()]),
        ];
        report
    }

    #[test]
    fn the_summary_of_a_deployment() {
        let mut report = report();
        report.revision = Some("7".into());
        report.times.push(("rollout", 9));
        report.address = Some(Address {
            host: "10.77.1.10".into(),
            url: "http://10.77.1.10".into(),
        });
        insta::assert_snapshot!(report.markdown().replace(&"ab".repeat(32), "…"), @r"
        ## 🚀 Deployed

        | | |
        |---|---|
        | Image | `seaworthy.azurecr.io/flask-app@sha256:…` |
        | Address | http://10.77.1.10 |
        | Revision | 7 |
        | Previous image | `seaworthy.azurecr.io/flask-app@sha256:cd` |
        | Time | push 3s, rollout 9s |

        <details><summary>Changes</summary>

        ```text
        Deployment/flask-app: spec.template.spec.containers[app].image: a → b
        ```

        </details>
        ");
    }

    #[test]
    fn the_summary_of_a_deployment_that_was_rolled_back() {
        let mut report = report();
        report.rolled_back = true;
        report.evidence = vec!["log    ``` ModuleNotFoundError".into()];
        report.failed(&anyhow::anyhow!(
            "Deployment/flask-app: container `app` is | crash-looping"
        ));
        insta::assert_snapshot!(report.markdown().replace(&"ab".repeat(32), "…"), @r"
        ## ↩️ Rolled back

        | | |
        |---|---|
        | Image | `seaworthy.azurecr.io/flask-app@sha256:…` |
        | Previous image | `seaworthy.azurecr.io/flask-app@sha256:cd` |
        | Time | push 3s |
        | Cause | Deployment/flask-app: container \`app\` is \| crash-looping |

        <details open><summary>Events and log lines of the pods</summary>

        ````text
        log    ``` ModuleNotFoundError
        ````

        </details>

        <details><summary>Changes</summary>

        ```text
        Deployment/flask-app: spec.template.spec.containers[app].image: a → b
        ```

        </details>
        ");
    }

    #[test]
    fn the_summary_of_a_dry_run_says_that_nothing_was_changed() {
        let deployed = report();
        let mut dry_run = Report::of_dry_run(deployed.image.clone(), Vec::new());
        dry_run.previous = deployed.previous;
        insta::assert_snapshot!(dry_run.markdown().replace(&"ab".repeat(32), "…"), @r"
        ## 🔎 Dry run: nothing was changed

        | | |
        |---|---|
        | Image | `seaworthy.azurecr.io/flask-app@sha256:…` |
        | Previous image | `seaworthy.azurecr.io/flask-app@sha256:cd` |
        | Changes | none |
        ");
        dry_run.changes = deployed.changes;
        let shown = dry_run.markdown();
        assert!(shown.contains("<summary>Changes</summary>"), "{shown}");
        assert!(!shown.contains("| Changes | none |"), "{shown}");
    }

    #[test]
    fn long_lists_are_truncated_with_a_note() {
        let lines: Vec<_> = (0..=SHOWN).map(|n| format!("line {n}")).collect();
        let (start, end) = (collapsed("x", &lines, false), collapsed("x", &lines, true));
        assert!(start.contains("line 0\n") && start.contains("(1 line not shown)"));
        assert!(!end.contains("line 0\n") && end.contains(&format!("line {SHOWN}\n")));
    }
}
