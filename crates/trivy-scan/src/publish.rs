//! What GitHub is told: the Security tab, the pull request, the dependency graph.
//!
//! A token or repository that can't is no verdict on what was scanned: it is said, and the step goes on.

use std::borrow::Cow;

use actions_toolkit::{Context, Level, Location};
use anyhow::Context as _;
use findings::Finding;
use findings::sarif::{self, Analysis};
use github::{AnalysisFilter, CompressedSarif, Detector, NewestAnalysis, Snapshot};

use crate::baseline::Baseline;
use crate::report;
use crate::request::Request;
use crate::scan::Answer;

/// Annotations of one level that GitHub shows of a step.
const ANNOTATIONS: usize = 10;

/// The SARIF file of `answers`, as large as GitHub takes it.
pub(crate) struct File {
    /// As it is written.
    pub(crate) text: Vec<u8>,
    /// As it is uploaded: without what is suppressed.
    packed: CompressedSarif,
    /// How many findings did not fit.
    pub(crate) left_out: usize,
}

/// Make the SARIF file of `answers`.
///
/// # Errors
/// When it can't be written.
pub(crate) fn sarif(answers: &[Answer], version: &str) -> anyhow::Result<File> {
    let whole = analyses(answers, version, |findings| findings);
    let told = analyses(answers, version, sarif::told);
    let suppressed = answers.iter().flat_map(|answer| &answer.findings);
    let suppressed = suppressed.filter(|finding| !finding.open()).count();
    let mut limit = sarif::RESULTS;
    loop {
        let text = sarif::write(&whole, limit)?;
        let packed = if suppressed == 0 {
            CompressedSarif::new(&text)?
        } else {
            CompressedSarif::new(&sarif::write(&told, limit)?)?
        };
        if packed.fits() || limit < 100 {
            let left_out = |answer: &Answer| answer.findings.len().saturating_sub(limit);
            return Ok(File {
                left_out: answers.iter().map(left_out).sum(),
                text,
                packed,
            });
        }
        limit = limit * 3 / 4;
    }
}

// One analysis for each answer, with those of its findings that `of` takes.
fn analyses<'a>(
    answers: &'a [Answer],
    version: &'a str,
    of: fn(&'a [Finding]) -> &'a [Finding],
) -> Vec<Analysis<'a>> {
    let analysis = |answer: &'a Answer| Analysis {
        driver: &sarif::TRIVY,
        category: &answer.category,
        version,
        findings: of(&answer.findings),
    };
    answers.iter().map(analysis).collect()
}

/// Publishes what this step found.
pub(crate) struct Publisher<'a> {
    ctx: &'a Context,
    request: &'a Request,
    github: github::Publisher<'a>,
}

impl<'a> Publisher<'a> {
    /// `None` without a token, or outside of a workflow run.
    ///
    /// # Errors
    /// When the runner names a malformed repository or address.
    pub(crate) fn new(ctx: &'a Context, request: &'a Request) -> anyhow::Result<Option<Self>> {
        let token = request.github.token.as_ref();
        let publisher = github::Publisher::new(ctx, token, &request.workspace)?;
        Ok(publisher.map(|github| Self {
            ctx,
            request,
            github,
        }))
    }

    /// Upload `file` to the Security tab; whether it is there.
    ///
    /// # Errors
    /// When GitHub fails or rejects the file.
    pub(crate) async fn upload(&self, file: &File, answers: &[Answer]) -> anyhow::Result<bool> {
        let Some(uploaded) = self.github.upload(&file.packed, Level::Warning).await? else {
            return Ok(false);
        };
        self.ctx.output("sarif-id", &uploaded.id);
        for answer in answers {
            self.ctx.log().info(format!(
                "uploaded to the Security tab as {}",
                answer.category
            ));
        }
        Ok(true)
    }

    /// What the base branch of the pull request has in the category of `answer`, and what is to be said of it; the
    /// reason if that can't be known.
    ///
    /// Where `copacetic-patch` follows the scan, the newest analysis is of the patched image. A pull request is built
    /// without that patch, so what it mended would be new there: the baseline is the newest one before it.
    pub(crate) async fn base(
        &self,
        answer: &Answer,
    ) -> Result<(Baseline, Option<String>), Cow<'static, str>> {
        let Some(branch) = self.ctx.env().get("GITHUB_BASE_REF") else {
            return Err("GITHUB_BASE_REF does not name the base branch".into());
        };
        let category = &answer.category;
        let filter = AnalysisFilter {
            tool: sarif::TRIVY.name,
            git_ref: &format!("refs/heads/{branch}"),
            category,
            excluded_run_id: sarif::PATCHED,
        };
        let newest = self.github.client().analyses().newest(&filter).await;
        let (sarif, remark) = match newest.map_err(|e| format!("{e:#}"))? {
            NewestAnalysis::Match { sarif, newer } => {
                if newer > 0 {
                    self.ctx.log().info(format!(
                        "{category} is compared with what `{branch}` had before its image was patched: the newest analysis is of the patched image"
                    ));
                }
                (sarif, None)
            }
            NewestAnalysis::OnlyExcluded { sarif } => {
                let remark = format!(
                    "the newest analyses of `{branch}` in the category {category} are of its patched image, so what the patch mended counts as new; scan and upload before each patch"
                );
                (sarif, Some(remark))
            }
            NewestAnalysis::None { others } => {
                let same = format!("/{}/{}", answer.target.kind, answer.name);
                let other = others.iter().find(|other| other.ends_with(&same));
                let cure = other.map(|other| {
                    format!(", but one in {other}; give both jobs the same `category`")
                });
                return Err(format!(
                    "the Security tab has no analysis of `{branch}` in the category {category}{}",
                    cure.unwrap_or_default()
                )
                .into());
            }
        };
        let base = Baseline::of_sarif(&sarif, category)
            .ok_or_else(|| format!("the analysis of `{branch}` in {category} has no results"))?;
        Ok((base, remark))
    }

    /// Keep the comment on the pull request up to date.
    pub(crate) async fn comment(&self, answers: &[Answer]) {
        let run_url = self.ctx.github().run_url();
        let (body, worth) = report::comment(answers, run_url.as_deref());
        let marker = format!("seaworthy trivy-scan {}", self.request.family(self.ctx));
        self.github.comment(&marker, &body, !worth).await;
    }

    /// Send the packages to the dependency graph.
    ///
    /// # Errors
    /// When GitHub fails or refuses them.
    pub(crate) async fn snapshot(&self, answers: &[Answer], version: &str) -> anyhow::Result<()> {
        let ctx = self.ctx;
        let revision = self
            .github
            .revision()
            .context("failed to prepare the packages for the dependency graph")?;
        let detector = Detector {
            name: "Trivy".to_owned(),
            version: version.to_owned(),
            url: "https://trivy.dev".to_owned(),
        };
        let run = ctx.env().get("GITHUB_RUN_ID").unwrap_or("0");
        let correlator = self.request.family(ctx);
        let mut snapshot =
            Snapshot::new(&revision.sha, &revision.git_ref, run, &correlator, detector);
        snapshot.scanned = jiff::Timestamp::now().strftime("%FT%TZ").to_string();
        for answer in answers {
            snapshot.manifests.extend(answer.manifests.clone());
        }
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

/// Annotate the worst findings, where there is no Security tab that would.
pub(crate) fn annotate(ctx: &Context, answers: &[Answer]) {
    if !ctx.env().on_runner() {
        return;
    }
    let open = answers
        .iter()
        .flat_map(|answer| &answer.findings)
        .filter(|f| f.open());
    for finding in open.take(ANNOTATIONS) {
        let place = Location {
            file: finding.place.path.clone(),
            line: Some(finding.place.line),
            end_line: Some(finding.place.end_line),
        };
        let message = format!("{}: {}", finding.severity, finding.message);
        ctx.log().annotate(Level::Warning, Some(&place), message);
    }
}
