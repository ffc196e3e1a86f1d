//! One run of Trivy for each target, and everything that is read from it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use actions_toolkit::{Context, Log};
use anyhow::Context as _;
use findings::{Finding, Places, SourceFiles};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use github::Manifest;
use trivy::{Report, Scan, Scanned};

use crate::baseline::Comparison;
use crate::coverage::{self, Coverage};
use crate::request::{Request, TargetRequest};
use crate::snapshot;

/// Runs of Trivy at the same time.
pub(crate) const AT_ONCE: usize = 2;

/// What the scan of one target gave.
pub(crate) struct Answer {
    pub(crate) target: TargetRequest,
    /// By what its findings are known.
    pub(crate) name: String,
    pub(crate) category: String,
    pub(crate) coverage: Coverage,
    /// The worst first, the suppressed last.
    pub(crate) findings: Vec<Finding>,
    /// Its packages, if the dependency graph is to have them.
    pub(crate) manifests: BTreeMap<String, Manifest>,
    /// Trivy's report as it came.
    pub(crate) report_file: PathBuf,
    /// Beside the baseline, if there is one.
    pub(crate) comparison: Option<Comparison>,
}

/// The run of Trivy that `request` asks for on `target`.
pub(crate) fn of(request: &Request, target: &TargetRequest) -> Scan {
    let mut scan = Scan::new(target.target.clone(), &request.database.cache);
    scan.scanners = target.scanners(&request.scanners);
    scan.limit = request.limit;
    scan.folder.clone_from(&request.workspace);
    scan.ignore_file = request.ignore_file.as_ref().map(|file| file.path.clone());
    scan.vex.clone_from(&request.vex);
    scan.platform.clone_from(&request.platform);
    scan.shared_cache = request.targets.len() > 1;
    scan.skip = vec![request.sarif_file.clone()];
    for index in 0..request.targets.len() {
        scan.skip.push(request.report_file(index));
    }
    scan
}

/// How the step's scans are made.
pub(crate) struct Scans<'a> {
    pub(crate) ctx: &'a Context,
    pub(crate) request: &'a Request,
    /// A folder with the credentials of the image's registry.
    pub(crate) docker_config: Option<PathBuf>,
}

impl Scans<'_> {
    /// Scan every target, some at the same time; the answers are in the targets' order.
    ///
    /// # Errors
    /// When one of the scans has no answer.
    pub(crate) async fn all(&self) -> anyhow::Result<Vec<Answer>> {
        let targets = &self.request.targets;
        if let [target] = &targets[..] {
            return Ok(vec![self.answer(0, target, self.ctx.log()).await?]);
        }
        stream::iter(targets.iter().enumerate())
            .map(|(index, target)| async move {
                let held = self.ctx.log().buffered();
                self.answer(index, target, held.log()).await
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await
    }

    /// The findings of `target` alone: of a baseline.
    pub(crate) async fn findings(&self, target: &TargetRequest) -> anyhow::Result<Vec<Finding>> {
        let scanned = self.run(target, self.ctx.log()).await?;
        let source = SourceFiles::new(&self.request.workspace);
        Ok(self.read(target, scanned.report, &source))
    }

    async fn run(&self, target: &TargetRequest, log: &Log) -> anyhow::Result<Scanned> {
        let mut scan = of(self.request, target);
        scan.docker_config.clone_from(&self.docker_config);
        Ok(scan.run(self.ctx.env(), log).await?)
    }

    async fn answer(
        &self,
        index: usize,
        target: &TargetRequest,
        log: &Log,
    ) -> anyhow::Result<Answer> {
        let scanned = self
            .run(target, log)
            .await
            .with_context(|| format!("while scanning {} `{}`", target.kind, target.given))?;
        let report_file = self.request.report_file(index);
        write(&report_file, &scanned.raw)?;
        let Scanned { report, raw } = scanned;
        drop(raw);
        let name = name(target, &report);
        let source = SourceFiles::new(&self.request.workspace);
        let coverage = coverage::of(&report, target, &source);
        let manifests = if self.request.github.snapshot {
            snapshot::manifests(&report, target, &name)
        } else {
            BTreeMap::new()
        };
        Ok(Answer {
            category: self.request.category(self.ctx, target, &name),
            findings: self.read(target, report, &source),
            target: target.clone(),
            name,
            coverage,
            manifests,
            report_file,
            comparison: None,
        })
    }

    fn read(&self, target: &TargetRequest, report: Report, source: &SourceFiles) -> Vec<Finding> {
        let name = name(target, &report);
        let places = Places::new(&name, &target.prefix, source);
        let places = match &self.request.dockerfile {
            Some(path) if target.is_image() => places.built_from(path, &report.metadata),
            _ => places,
        };
        findings::of_report(report, &places)
    }
}

// The name of a saved image is in it; that of its file says nothing.
fn name(target: &TargetRequest, report: &Report) -> String {
    if target.kind != crate::request::Kind::Archive {
        return target.name.clone();
    }
    let tags = report.metadata.repo_tags.iter();
    let images = tags.filter_map(|tag| tag.parse::<oci::ImageRef>().ok());
    let named = images.map(|image| image.repository().to_owned()).next();
    named.unwrap_or_else(|| target.name.clone())
}

/// Write `bytes` to `path`, in folders that are made where they are missing.
///
/// # Errors
/// When the file can't be written.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("while making `{}`", folder.display()))?;
    }
    std::fs::write(path, bytes).with_context(|| format!("while writing `{}`", path.display()))
}
