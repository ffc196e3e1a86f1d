//! What is published on GitHub: the Security tab, the comment on the pull request, the dependency graph.
//!
//! A token without the permission, and a repository without the feature, are logged and do not change the verdict.

mod imported;
mod sarif_file;
pub(crate) mod sbom;

use std::cell::RefCell;

use actions_toolkit::{Context, Level, Location};
use anyhow::{Context as _, bail};
use findings::{StoredResults, sarif};
use github::{
    AnalysisFilter, CompressedSarif, Detector, DismissedAlert, NewestAnalysis, NoRevision, Snapshot,
};
use serde_json::Value;

use crate::baseline::{Baseline, NoBaseline};
use crate::report;
use crate::request::Request;
use crate::scan::{Failure, ScanOutcome, merged_manifests};

pub(crate) use imported::Imported;
pub(crate) use sarif_file::SarifFile;

/// Annotations of one level that GitHub shows of a step.
const ANNOTATIONS: usize = 10;

/// Publishes the outcomes of this step.
pub(crate) struct Publisher<'a> {
    ctx: &'a Context,
    request: &'a Request,
    github: github::Publisher<'a>,
    /// Of the uploads.
    ids: RefCell<Vec<String>>,
}

impl<'a> Publisher<'a> {
    /// `None` without a token, or outside of a workflow run.
    ///
    /// # Errors
    /// When the runner names a malformed repository or address.
    pub(crate) fn new(ctx: &'a Context, request: &'a Request) -> anyhow::Result<Option<Self>> {
        let token = request.github.token.as_ref();
        let publisher = github::Publisher::new(ctx, token, request.workspace.root())?;
        Ok(publisher.map(|github| Self {
            ctx,
            request,
            github,
            ids: RefCell::default(),
        }))
    }

    /// Give the findings of `outcomes` the fingerprints that their alerts have: one whose fingerprint changes is closed, and
    /// opened again without its dismissal.
    ///
    /// # Errors
    /// When GitHub fails.
    pub(crate) async fn keep_fingerprints(
        &self,
        outcomes: &mut [ScanOutcome],
    ) -> anyhow::Result<()> {
        if !self.request.github.upload {
            return Ok(());
        }
        for outcome in outcomes {
            let findings = &mut outcome.findings[..];
            if !StoredResults::matter_for(findings) {
                continue;
            }
            let category = &outcome.category;
            let mut stored = StoredResults::default();
            let read = |file: &Value| {
                stored.add(file);
                stored.decide(findings)
            };
            let (tool, patched) = (sarif::TRIVY.name, sarif::PATCHED);
            let read = self.github.read_stored(tool, category, patched, read);
            read.await.with_context(|| {
                format!(
                    "failed to read which alerts the findings of {category} have; they are not uploaded, since that could open dismissed alerts again"
                )
            })?;
            stored.keep_fingerprints(findings);
        }
        Ok(())
    }

    /// Comment, submit the packages and upload `file`, as the inputs request; whether the Security tab has the findings.
    /// Nothing is uploaded if the fingerprints of its findings are not `kept`.
    ///
    /// # Errors
    /// When GitHub fails or rejects a file.
    pub(crate) async fn publish(
        &self,
        file: &SarifFile,
        (outcomes, failures): (&[ScanOutcome], &[Failure]),
        version: &str,
        kept: anyhow::Result<()>,
    ) -> anyhow::Result<bool> {
        let requested = &self.request.github;
        if requested.comment {
            self.comment(outcomes, failures).await;
        }
        if requested.snapshot {
            self.submit_packages(outcomes, version).await?;
        }
        if !requested.upload {
            return Ok(false);
        }
        kept?;
        self.upload(file, outcomes).await
    }

    async fn upload(&self, file: &SarifFile, outcomes: &[ScanOutcome]) -> anyhow::Result<bool> {
        if !self.upload_all(&file.uploads).await? {
            return Ok(false);
        }
        for outcome in outcomes {
            self.ctx.log().info(format!(
                "uploaded to the Security tab as {}",
                outcome.category
            ));
            self.check_category(sarif::TRIVY.name, &outcome.category);
        }
        Ok(true)
    }

    // GitHub shows the last analysis of one tool and category alone.
    fn check_category(&self, tool: &str, category: &str) {
        if self.ctx.record_publication(&format!("{tool} {category}")) {
            self.ctx.log().warning(format!(
                "another step of this job has uploaded to the category {category} too, and this upload replaces its findings; give each of the two steps its own `category`"
            ));
        }
    }

    /// Upload the analyses of other scanners; whether the Security tab has them.
    ///
    /// # Errors
    /// When GitHub fails or rejects a file.
    pub(crate) async fn upload_imported(&self, imported: &Imported) -> anyhow::Result<bool> {
        let is_uploaded = self.upload_all(&imported.uploads).await?;
        if is_uploaded {
            for row in &imported.rows {
                self.check_category(&row.tool, &row.category);
            }
        }
        Ok(is_uploaded)
    }

    async fn upload_all(&self, files: &[CompressedSarif]) -> anyhow::Result<bool> {
        for file in files {
            let Some(uploaded) = self.github.upload(file, Level::Warning).await? else {
                return Ok(false);
            };
            let mut ids = self.ids.borrow_mut();
            ids.push(uploaded.id);
            self.ctx.output("sarif-id", ids.join("\n"));
        }
        Ok(true)
    }

    /// The alerts that persons have dismissed on the branch that the change goes into; `None` if the token may not read
    /// them.
    ///
    /// # Errors
    /// When GitHub fails.
    pub(crate) async fn dismissed_alerts(&self) -> anyhow::Result<Option<Vec<DismissedAlert>>> {
        let Some(branch) = github::base_branch(&self.ctx.github()) else {
            return Ok(Some(Vec::new()));
        };
        let alerts = self.github.client().alerts();
        let git_ref = format!("refs/heads/{branch}");
        alerts.dismissed(sarif::TRIVY.name, &git_ref).await
    }

    /// The newest analysis of the branch that the change goes into, in the category of `outcome`.
    ///
    /// # Errors
    /// When GitHub fails, or has more analyses than are read.
    pub(crate) async fn base_analysis(
        &self,
        outcome: &ScanOutcome,
    ) -> anyhow::Result<Option<Value>> {
        let Some(branch) = github::base_branch(&self.ctx.github()) else {
            return Ok(None);
        };
        Ok(match self.newest(&branch, outcome).await? {
            NewestAnalysis::Match { sarif, .. } | NewestAnalysis::OnlyExcluded { sarif } => {
                Some(sarif)
            }
            NewestAnalysis::None { .. } => None,
            NewestAnalysis::Undecided { listed } => bail!(
                "failed to find out which findings are dismissed: {}; set `fail-on-dismissed: true`, or scan `{branch}` again",
                undecided(&branch, &outcome.category, listed)
            ),
        })
    }

    async fn newest(&self, branch: &str, outcome: &ScanOutcome) -> anyhow::Result<NewestAnalysis> {
        let filter = AnalysisFilter {
            tool: sarif::TRIVY.name,
            git_ref: &format!("refs/heads/{branch}"),
            category: &outcome.category,
            excluded_run_id: sarif::PATCHED,
        };
        self.github.analyses().newest(&filter).await
    }

    /// The baseline of `outcome` in the branch that the change goes into, and a remark on it.
    ///
    /// Where `copacetic-patch` follows the scan, the newest analysis is of the patched image. The image of a pull request
    /// is not patched, so findings that the patch fixed would be new; the baseline is the newest analysis before it.
    pub(crate) async fn baseline(
        &self,
        outcome: &ScanOutcome,
    ) -> Result<(Baseline, Option<String>), NoBaseline> {
        let Some(branch) = github::base_branch(&self.ctx.github()) else {
            return Err(NoBaseline::absent(
                "the event names no branch to compare with",
            ));
        };
        let category = &outcome.category;
        let newest = self.newest(&branch, outcome).await;
        let (sarif, remark) = match newest.map_err(NoBaseline::Unavailable)? {
            NewestAnalysis::Match { sarif, newer } => {
                if newer > 0 {
                    self.ctx.log().info(format!(
                        "{category} is compared with the analysis of `{branch}` before its image was patched; the newest one is of the patched image"
                    ));
                }
                (sarif, None)
            }
            NewestAnalysis::OnlyExcluded { sarif } => {
                let remark = format!(
                    "the newest analyses of `{branch}` in the category {category} are of its patched image, so findings that the patch fixed count as new; scan and upload before each patch"
                );
                (sarif, Some(remark))
            }
            NewestAnalysis::Undecided { listed } => {
                return Err(NoBaseline::Undecided(format!(
                    "{}; scan `{branch}` again, or set `baseline` to a SARIF file, a checkout or an image of it",
                    undecided(&branch, category, listed)
                )));
            }
            NewestAnalysis::None { others } => {
                let same = format!("/{}", self.request.key(&outcome.target, &outcome.name));
                let other = others.iter().find(|other| other.ends_with(&same));
                let hint = other.map(|other| {
                    format!(", but one in {other}; give both jobs the same `category`")
                });
                return Err(NoBaseline::Absent(format!(
                    "the Security tab has no analysis of `{branch}` in the category {category}{}",
                    hint.unwrap_or_default()
                )));
            }
        };
        let base = Baseline::from_sarif(&sarif, category).ok_or_else(|| {
            NoBaseline::Absent(format!(
                "the analysis of `{branch}` in {category} has no results"
            ))
        })?;
        Ok((base, remark))
    }

    async fn comment(&self, outcomes: &[ScanOutcome], failures: &[Failure]) {
        let run_url = self.ctx.github().run_url();
        let filter = &self.request.filter;
        let (body, worth) = report::comment(outcomes, failures, filter, run_url.as_deref());
        let marker = format!("seaworthy trivy-scan {}", self.request.step_key(self.ctx));
        self.github.comment(&marker, &body, !worth).await;
    }

    async fn submit_packages(&self, outcomes: &[ScanOutcome], version: &str) -> anyhow::Result<()> {
        let ctx = self.ctx;
        let revision = match self.github.revision() {
            Err(reason @ NoRevision::MergeQueue) => {
                ctx.log()
                    .notice(format!("the packages are not submitted: {reason}"));
                return Ok(());
            }
            revision => {
                revision.context("failed to prepare the packages for the dependency graph")?
            }
        };
        let detector = Detector {
            name: "Trivy".to_owned(),
            version: version.to_owned(),
            url: "https://trivy.dev".to_owned(),
        };
        let run = ctx.env().get("GITHUB_RUN_ID").unwrap_or("0");
        let correlator = self.request.step_key(ctx);
        let mut snapshot =
            Snapshot::new(&revision.sha, &revision.git_ref, run, &correlator, detector);
        snapshot.scanned = jiff::Timestamp::now().strftime("%FT%TZ").to_string();
        snapshot.manifests = merged_manifests(outcomes);
        let packages: usize = snapshot.manifests.values().map(|m| m.resolved.len()).sum();
        let graph = self.github.client().dependencies();
        if graph.submit(&snapshot).await? {
            ctx.log()
                .info(format!("{packages} packages are in the dependency graph"));
        } else {
            ctx.log().warning(
                "the packages are not in the dependency graph: the token may not write it; give the job `permissions: contents: write`, or set `dependency-snapshot: false`",
            );
        }
        Ok(())
    }
}

// Why it is unknown whether `branch` has an analysis in `category`.
fn undecided(branch: &str, category: &str, listed: usize) -> String {
    format!(
        "none of the newest {listed} analyses of `{branch}` is in the category {category}, and older ones are not read"
    )
}

/// The page of the findings in the Security tab.
pub(crate) fn security_tab(ctx: &Context) -> String {
    let github = ctx.github();
    let repository = github.repository().unwrap_or_default();
    format!(
        "{}/{repository}/security/code-scanning",
        github.server_url()
    )
}

/// Annotate the worst findings, for a run without an upload.
pub(crate) fn annotate(ctx: &Context, outcomes: &[ScanOutcome]) {
    if !ctx.env().on_runner() {
        return;
    }
    let open = outcomes
        .iter()
        .flat_map(|outcome| &outcome.findings)
        .filter(|f| f.is_open());
    for finding in open.take(ANNOTATIONS) {
        let location = Location {
            file: finding.location.path.clone(),
            line: Some(finding.location.line),
            end_line: Some(finding.location.end_line),
        };
        let message = format!("{}: {}", finding.severity, finding.message);
        ctx.log().annotate(Level::Warning, Some(&location), message);
    }
}
