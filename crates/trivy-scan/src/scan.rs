//! One run of Trivy for each target, and everything that is read from its report.

mod attached_sbom;
mod broken_lock_files;
mod broken_manifests;
mod coverage;
mod from_registry;
mod inline_ignores;
mod layer_caches;
mod links;
mod listed;
mod manifests;
mod platforms;
mod records;
mod registry_login;
mod skipped;
mod submodules;
mod system_directories;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use actions_toolkit::{Context, Log, WorkspacePath};
use anyhow::Context as _;
use findings::{Finding, Locator, SourceFiles};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use github::{DismissedAlert, Manifest};
use oci::Registry;
use trivy::{ImageSource, Report, Scan, Scanned, Scanner};

use crate::baseline::Comparison;
use crate::request::{BaselineSource, Request, ScanType, TargetRequest};
use crate::vex::{self, TargetVex, Vex};

#[cfg(fuzzing)]
pub(crate) use attached_sbom::document;
use coverage::Coverage;
pub(crate) use layer_caches::LayerCaches;
pub(crate) use listed::{Listing, list};
pub(crate) use manifests::merged as merged_manifests;
pub(crate) use platforms::{expand, of_index, registry_of};
pub(crate) use records::Records;
pub(crate) use registry_login::registry_login;
use skipped::Skipped;

/// A file of a checkout, under every name.
#[cfg(fuzzing)]
pub(crate) fn fuzz(text: &str) {
    broken_lock_files::fuzz(text);
    broken_manifests::problem(text);
    submodules::paths(text).count();
}

/// Reports that are read in parallel.
const PARALLEL: usize = 2;

/// The outcome of the scan of one target.
pub(crate) struct ScanOutcome {
    /// That of its target, which numbers its files: another target may have failed.
    pub(crate) index: usize,
    pub(crate) target: TargetRequest,
    /// The target's name in fingerprints and categories; for an archive, that of its image.
    pub(crate) name: String,
    pub(crate) category: String,
    pub(crate) coverage: Coverage,
    /// Those that are shown: open ones first, each part by severity.
    pub(crate) findings: Vec<Finding>,
    /// Open ones that the filter hides.
    pub(crate) hidden: Vec<Finding>,
    /// Its packages, if they are submitted to the dependency graph.
    pub(crate) manifests: BTreeMap<String, Manifest>,
    pub(crate) vex: TargetVex,
    /// Its packages that VEX repositories may have documents on: package URLs without version and qualifiers.
    pub(crate) packages: BTreeSet<String>,
    /// Trivy's report.
    pub(crate) report_file: WorkspacePath,
    /// With the baseline, if there is one.
    pub(crate) comparison: Option<Comparison>,
    /// The alert of each finding that a person has dismissed, by its index.
    pub(crate) dismissed: BTreeMap<usize, DismissedAlert>,
}

impl ScanOutcome {
    /// The name for a person: with the platform, if it is one of several.
    pub(crate) fn title(&self) -> String {
        self.target.title(&self.name)
    }
}

/// A target that could not be scanned.
pub(crate) struct Failure {
    /// The image or path of the input, or the repository whose tags can't be listed.
    pub(crate) target: String,
    pub(crate) error: anyhow::Error,
}

/// What became of the targets.
pub(crate) struct Outcomes {
    /// In the order of the targets; never empty.
    pub(crate) scanned: Vec<ScanOutcome>,
    pub(crate) failures: Vec<Failure>,
}

/// The run of Trivy for `target`.
pub(crate) fn trivy_scan(request: &Request, target: &TargetRequest) -> Scan {
    let mut scan = Scan::new(target.target.clone(), &request.database.cache);
    scan.scanners = target.scanners(&request.scanners);
    scan.java = Some(request.java_database.clone());
    scan.server.clone_from(&request.database.server);
    scan.timeout = request.timeout;
    request.workspace.root().clone_into(&mut scan.directory);
    scan.ignore_file = request.ignore_file.as_ref().map(|file| file.path.clone());
    let platform = target.platform.as_ref().or(request.platform.as_ref());
    scan.platform = platform.map(ToString::to_string);
    scan.skip_dirs.clone_from(&request.skip_dirs);
    scan.skip_files.clone_from(&request.skip_files);
    scan.checks.clone_from(&request.checks.paths);
    scan.check_namespaces = request.checks.namespaces.iter().cloned().collect();
    scan.ignore_policy = request.ignore_policy.as_ref().map(WorkspacePath::absolute);
    scan.image_sources = match target.listed {
        Some(_) => vec![ImageSource::Remote],
        None => request.image_sources.clone(),
    };
    scan.shared_cache = request.targets.len() > 1;
    scan.skip = vec![request.sarif_file.absolute()];
    scan.skip.extend(request.files_of_other_steps());
    scan.skip
        .extend(request.table_file.iter().map(WorkspacePath::absolute));
    for index in 0..request.targets.len() {
        scan.skip.push(request.report_file(index).absolute());
    }
    match &request.baseline {
        // A checkout of the base inside the workspace is not part of what changed.
        BaselineSource::Directory(directory) if target.checkout.is_none() => {
            scan.skip.push(directory.clone());
        }
        _ => {}
    }
    scan
}

/// The scans of the step.
pub(crate) struct Scans<'a> {
    pub(crate) ctx: &'a Context,
    pub(crate) request: &'a Request,
    /// A directory with the credentials of the image's registry.
    pub(crate) docker_config: Option<PathBuf>,
    /// The registry whose images are listed.
    pub(crate) registry: Option<Arc<Registry>>,
    /// The settings file that Trivy gets.
    pub(crate) trivy_config: Option<PathBuf>,
    pub(crate) vex: &'a Vex,
    pub(crate) layer_caches: LayerCaches,
}

/// The report of a target, and the VEX statements that it was made with.
struct Read {
    report: Report,
    vex: TargetVex,
}

impl Scans<'_> {
    /// Scan every target, some in parallel; `records` has the images of a registry that were scanned before.
    ///
    /// # Errors
    /// When none of the scans succeeds.
    pub(crate) async fn run_all(&self, records: Option<&Records>) -> anyhow::Result<Outcomes> {
        let targets = &self.request.targets;
        let reports: Vec<_> = if let [target] = &targets[..] {
            vec![self.report(0, target, self.ctx.log(), records).await]
        } else {
            let scans =
                stream::iter(targets.iter().enumerate()).map(|(index, target)| async move {
                    let held = self.ctx.log().buffered();
                    self.report(index, target, held.log(), records).await
                });
            scans.buffered(self.request.concurrency).collect().await
        };
        let mut names = Names::default();
        let mut failures = Vec::new();
        let mut read = Vec::new();
        for (index, (target, report)) in targets.iter().zip(reports).enumerate() {
            // Also of one that failed: the names of the others do not depend on it.
            let name = report
                .as_ref()
                .map_or(target.name.clone(), |(read, _)| name(target, &read.report));
            let name = names.distinct(target, &name);
            match report {
                Ok(report) => read.push(self.outcome(index, target, report, name)),
                Err(error) => failures.push(Failure {
                    target: target.input.clone(),
                    error,
                }),
            }
        }
        let scanned: Vec<_> = stream::iter(read).buffered(PARALLEL).try_collect().await?;
        match failures.pop() {
            Some(failure) if scanned.is_empty() && failures.is_empty() => Err(failure.error),
            last => {
                failures.extend(last);
                if scanned.is_empty() {
                    return Err(Failure::joined(&failures));
                }
                Ok(Outcomes { scanned, failures })
            }
        }
    }

    /// The findings of `target` and nothing else, under `name`: those of a baseline.
    ///
    /// # Errors
    /// When the scan fails.
    pub(crate) async fn findings(
        &self,
        target: &TargetRequest,
        name: &str,
    ) -> anyhow::Result<Vec<Finding>> {
        let (scanned, vex) = self.run(target, self.ctx.log()).await?;
        let report = scanned.report;
        let contents = self.read(target, Read { report, vex }, name.to_owned());
        Ok(contents.await?.findings)
    }

    // A report may have thousands of findings in thousands of files.
    async fn read(
        &self,
        target: &TargetRequest,
        read: Read,
        name: String,
    ) -> anyhow::Result<Contents> {
        let targets = self.request.targets.iter();
        let is_sibling =
            |other: &&TargetRequest| !target.is_image() && other.scan_type == target.scan_type;
        let siblings = targets.filter(is_sibling);
        let reader = ReportReader {
            // Lines are identified by their text, which the base has in its own files.
            checkout: target
                .checkout
                .clone()
                .unwrap_or_else(|| self.request.workspace.root().to_owned()),
            dockerfiles: self.request.dockerfiles.clone(),
            has_one_image: self.request.has_one_image(),
            has_snapshot: self.request.github.snapshot,
            has_repositories: !self.vex.repositories.is_empty(),
            sources: self.vex.titles(self.request, &read.vex),
            skipped: if target.is_image() {
                Skipped::default()
            } else {
                Skipped::new(&trivy_scan(self.request, target))
            },
            scanners: target.scanners(&self.request.scanners),
            siblings: siblings.map(|other| other.prefix.clone()).collect(),
            target: target.clone(),
            name,
        };
        let read = tokio::task::spawn_blocking(move || reader.read(read)).await;
        read.context("failed to read the report")
    }

    async fn run(&self, target: &TargetRequest, log: &Log) -> anyhow::Result<(Scanned, TargetVex)> {
        let mut scan = trivy_scan(self.request, target);
        let vex = self.vex.add_to(&mut scan, self.ctx, self.request, target);
        let vex = vex.await?;
        scan.docker_config.clone_from(&self.docker_config);
        scan.config.clone_from(&self.trivy_config);
        let config = self.request.trivy_config.as_ref();
        scan.config_has_secret_rules = config.is_some_and(|config| config.has_secret_rules);
        let _cache = self.layer_caches.use_in(&mut scan);
        let scanned = scan.run(self.ctx.env(), log).await?;
        vex.check(&scanned.report)?;
        if target.scan_type == ScanType::Image {
            platforms::check(self.request, &scanned.report)?;
        }
        Ok((scanned, vex))
    }

    async fn report(
        &self,
        index: usize,
        target: &TargetRequest,
        log: &Log,
        records: Option<&Records>,
    ) -> anyhow::Result<(Read, String)> {
        let scanned = self.scanned(target, log, records).await;
        let ((scanned, vex), note) = scanned.with_context(|| {
            let platform = target.platform.as_ref();
            let platform = platform.map(|platform| format!(" for {platform}"));
            format!(
                "failed to scan {} `{}`{}",
                target.scan_type,
                target.input,
                platform.unwrap_or_default()
            )
        })?;
        self.request.report_file(index).write(&scanned.raw)?;
        let report = scanned.report;
        Ok((Read { report, vex }, note))
    }

    async fn outcome(
        &self,
        index: usize,
        target: &TargetRequest,
        (read, note): (Read, String),
        name: String,
    ) -> anyhow::Result<ScanOutcome> {
        let contents = self.read(target, read, name.clone()).await?;
        let Contents {
            mut coverage,
            manifests,
            vex,
            packages,
            findings,
        } = contents;
        coverage.scanned.push_str(&note);
        let (findings, hidden) = self.request.filter.split(findings);
        Ok(ScanOutcome {
            index,
            category: self.request.category(self.ctx, target, &name),
            findings,
            hidden,
            target: target.clone(),
            name,
            coverage,
            manifests,
            vex,
            packages,
            report_file: self.request.report_file(index),
            comparison: None,
            dismissed: BTreeMap::new(),
        })
    }
}

impl Failure {
    /// One error for all of `failures`.
    pub(crate) fn joined(failures: &[Self]) -> anyhow::Error {
        let errors: Vec<_> = failures.iter().map(ToString::to_string).collect();
        anyhow::anyhow!(errors.join("\n"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

/// The names of targets: each kind of scan has a name once.
#[derive(Default)]
struct Names(HashSet<String>);

impl Names {
    /// `name`, or `name-2` if an earlier target has it: GitHub rejects two analyses of one category.
    fn distinct(&mut self, target: &TargetRequest, name: &str) -> String {
        let numbered = (2_u32..).map(|number| format!("{name}-{number}"));
        let mut candidates = std::iter::once(name.to_owned()).chain(numbered);
        let free = candidates.find(|name| self.0.insert(target.key(name)));
        free.unwrap_or_else(|| name.to_owned())
    }
}

/// What a report is read with.
struct ReportReader {
    checkout: PathBuf,
    /// Relative to the workspace.
    dockerfiles: Vec<String>,
    /// Whether there is one Dockerfile, and one image.
    has_one_image: bool,
    has_snapshot: bool,
    has_repositories: bool,
    /// The names of VEX sources by what Trivy calls them.
    sources: BTreeMap<String, String>,
    skipped: Skipped,
    scanners: Vec<Scanner>,
    /// The paths of all targets of the same kind, unless it is an image.
    siblings: Vec<String>,
    target: TargetRequest,
    name: String,
}

/// What is read from a report.
struct Contents {
    coverage: Coverage,
    manifests: BTreeMap<String, Manifest>,
    vex: TargetVex,
    packages: BTreeSet<String>,
    findings: Vec<Finding>,
}

impl ReportReader {
    fn read(&self, Read { mut report, vex }: Read) -> Contents {
        for result in &mut report.results {
            for modified in &mut result.modified {
                if let Some(title) = self.sources.get(&modified.source) {
                    modified.source.clone_from(title);
                }
            }
        }
        let target = &self.target;
        let name = &self.name;
        let source = SourceFiles::new(&self.checkout);
        let locator = Locator::new(name, &target.prefix, &source);
        let dockerfile = match &self.dockerfiles[..] {
            [only] if self.has_one_image && target.is_image() => Some(only.as_str()),
            several if target.is_image() => locator.dockerfile_of(several, &report.metadata),
            _ => None,
        };
        let mut coverage = Coverage::new(&report, target, &source, &self.skipped);
        coverage.add_not_scanned(system_directories::gaps(
            target,
            &self.scanners,
            &self.siblings,
            &self.skipped,
        ));
        coverage.add_not_scanned(submodules::gaps(target, &source, &self.skipped));
        let locator = match dockerfile {
            Some(path) => {
                if !self.has_one_image {
                    coverage.scanned.push_str(&format!(", built from {path}"));
                }
                locator.built_from(path, &report.metadata)
            }
            None if target.scan_type == ScanType::Sbom => locator.in_file(),
            None => locator,
        };
        Contents {
            coverage,
            manifests: if self.has_snapshot {
                manifests::manifests(&report, target, name)
            } else {
                BTreeMap::new()
            },
            vex,
            packages: if self.has_repositories {
                vex::packages(&report)
            } else {
                BTreeSet::new()
            },
            findings: findings::from_report(report, &locator),
        }
    }
}

// The name of a saved image is in its report; the name of its file may change with every build.
fn name(target: &TargetRequest, report: &Report) -> String {
    if target.scan_type != ScanType::Archive {
        return target.name.clone();
    }
    let tags = report.metadata.repo_tags.iter();
    let mut images = tags.filter_map(|tag| tag.parse::<oci::ImageRef>().ok());
    let name = images.next().map(|image| image.repository().to_owned());
    name.unwrap_or_else(|| target.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_of_one_name_are_told_apart() {
        let mut names = Names::default();
        let target = |scan_type, platform: Option<&str>| TargetRequest {
            scan_type,
            input: String::new(),
            target: trivy::Target::Image(String::new()),
            name: String::new(),
            prefix: String::new(),
            platform: platform.map(|platform| platform.parse().unwrap()),
            checkout: None,
            listed: None,
        };
        let mut of = |target: &TargetRequest, name| names.distinct(target, name);
        let image = target(ScanType::Image, None);
        let found = ["app", "app-2", "app", "app"].map(|name| of(&image, name));
        assert_eq!(found, ["app", "app-2", "app-3", "app-4"]);
        assert_eq!(of(&target(ScanType::Archive, None), "app"), "app");
        for platform in ["linux/amd64", "linux/arm64"] {
            assert_eq!(of(&target(ScanType::Image, Some(platform)), "app"), "app");
        }
    }
}
