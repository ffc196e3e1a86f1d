//! The inputs of a step.

use actions_toolkit::{
    Age, GitHubToken, List, Parsed, ResultFile, Scope, Timeout, Value, WorkspacePath, choice,
    inputs, invalid_choice,
};
use fleet::FleetInputs;
use github::Leg;
use oci::Platform;
use registries::{Count, LoginInputs, SelectionInputs};
use trivy::{
    DatabaseAgeInputs, DatabaseInputs, ImageSource, JavaDatabaseInputs, SbomFormat, Scanner,
    ServerInputs, Severity,
};

use super::globs::Globs;
use super::platforms::Platforms;
use super::sarif_files::SarifGlob;
use super::vex::{HUB, VexLine};
use crate::exploitation;
use crate::verdict::FailOn;

choice! {
    /// What kind of thing is scanned, and for what.
    #[derive(PartialEq, Eq, Hash)]
    pub(crate) enum ScanType {
        Image = "image",
        Archive = "archive",
        Fs = "fs",
        Rootfs = "rootfs",
        Sbom = "sbom",
        Config = "config",
        Secret = "secret",
    }
}

/// A severity that is shown.
#[derive(Clone, Copy)]
pub(crate) struct ShownSeverity(pub(crate) Severity);

impl Value for ShownSeverity {
    const CHOICES: &'static [&'static str] = &["critical", "high", "medium", "low", "unknown"];

    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        let severity = text.parse();
        severity
            .map(Self)
            .map_err(|_| invalid_choice(text, Self::CHOICES))
    }
}

/// A scanner. What Trivy has as one and what is a type of target here gets a hint.
#[derive(Clone, Copy)]
pub(crate) struct ScannerName(pub(crate) Scanner);

impl Value for ScannerName {
    const CHOICES: &'static [&'static str] = Scanner::CHOICES;

    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String> {
        let scanner = Scanner::parse(text, scope).map(Self);
        scanner.map_err(|problem| match text {
            "misconfig" | "config" => format!(
                "{problem}; configuration has its own `scan-type: config`, or a line `config PATH` in `targets`"
            ),
            _ => problem,
        })
    }
}

inputs! {
    /// The inputs of a step, by topic.
    pub(crate) struct Inputs {
        "Common" {
            /// `image`, `archive` (saved image, OCI layout), `fs` (packages, secrets), `rootfs`, `sbom`, `config` (manifests) or `secret`.
            scan_type: ScanType = "image",
            /// Image to scan, in Docker or in a registry; for `scan-type: image`.
            image: Option<String>,
            /// File or directory to scan; for every other `scan-type`.
            path: WorkspacePath = ".",
            /// Several targets, one per line, each a `scan-type` and an image or path: `image app:1`; instead of the three above.
            targets: Vec<String>,
            /// Dockerfile of the image; its findings are shown there, or on a line of a lock file. Of several images, one per line.
            dockerfile: Vec<WorkspacePath>,
            /// Lowest severity that fails the step: `critical`, `high`, `medium`, `low` or `none`; also `kev`, `epss>0.5`: `critical,kev`.
            fail_on: FailOn = "none",
            /// SARIF files of other scanners to upload, one path or glob per line; the gate does not count them. Nothing else is needed then.
            sarif: Vec<SarifGlob>,
            /// GitHub token; the permissions that it needs depend on what is published, see the README.
            token: Option<GitHubToken>,
        }
        "Gate" {
            /// Fail only on findings that an update or a change of configuration fixes.
            fail_on_fixable_only: bool = "false",
            /// Fail only on findings that are not in the baseline.
            fail_on_new_only: bool = "false",
            /// Fail also on findings whose alert a person dismissed on the base branch.
            fail_on_dismissed: bool = "false",
            /// Fail also if something was not scanned, such as a project without a lock file or an image without packages.
            fail_on_not_scanned: bool = "false",
            /// Earlier findings: `auto` (base branch of a pull request), `none`, a SARIF file, a checkout, or `image:` and an image.
            baseline: String = "auto",
            /// Ignore file of Trivy; `.trivyignore` or `.trivyignore.yaml` by default. Its findings are listed as suppressed.
            ignore_file: Option<String>,
            /// VEX documents (OpenVEX, CSAF, CycloneDX), one path per line; `oci`: those that refer to the image; `repo`: `vex-repositories`.
            vex: Vec<VexLine>,
            /// VEX repositories for `repo` in `vex`: URLs (`https://user:token@host/path`) or directories, one per line, the first one wins.
            vex_repositories: Vec<String> = HUB,
        }
        "Exploitation" {
            /// KEV catalog of CISA for `fail-on: kev`: mirrors or files, tried in this order.
            kev_catalog: List<String> = exploitation::KEV,
            /// EPSS scores of FIRST for `fail-on: epss>0.5`, CSV or gzip: mirrors or files, tried in this order.
            epss_scores: List<String> = exploitation::EPSS,
            /// Maximum age of both.
            max_exploitation_age: Age = "14d",
        }
        "Filters" {
            /// Severities to show and upload, such as `critical,high`; all by default. The gate counts the others too.
            severity: List<ShownSeverity>,
            /// Show and upload no vulnerability without a fixed version. The gate counts them too, see `fail-on-fixable-only`.
            ignore_unfixed: bool = "false",
        }
        "Scan" {
            /// What to look for in images and directories: `vuln`, `secret`, `license`, or several of them.
            scanners: List<ScannerName> = "vuln,secret",
            /// Directories to exclude from every scan, globs in lines or with commas, relative to the target: `**/testdata`.
            skip_dirs: Vec<Globs>,
            /// Files to exclude from every scan, globs in lines or with commas, relative to the target: `docs/*.json`.
            skip_files: Vec<Globs>,
            /// Checks of configuration in Rego in addition to Trivy's, one file or directory per line; for `config` targets.
            checks: Vec<WorkspacePath>,
            /// Rego file that decides which findings are ignored; they are listed as suppressed.
            ignore_policy: Option<WorkspacePath>,
            /// Settings file of Trivy, for settings that are not inputs. What it sets is reported; none by default.
            trivy_config: Option<WorkspacePath>,
            /// Where images are looked for, in this order: `docker`, `podman`, `containerd`, `remote` (the registry).
            image_sources: List<ImageSource> = "docker,remote",
            /// Platform of a multi-platform image, such as `linux/arm64`; of one in a registry, `linux/amd64` by default.
            platform: Option<Parsed<Platform>>,
            /// Platforms of each image in a registry to scan, `linux/amd64,linux/arm64` or `all`; each has its own category.
            platforms: Option<Platforms>,
            /// Number of targets to scan at once.
            concurrency: Count = "2",
            /// Timeout of each scan.
            timeout: Timeout = "10m",
        }
        "GitHub" {
            /// Upload the findings to the Security tab.
            upload: bool = "true",
            /// Category in the Security tab; by default workflow, job, type and name of the target. One for push and pull request.
            category: Option<String>,
            /// Leg of the matrix that the job is, as JSON; part of category, comment and snapshot, so that legs do not share them.
            matrix: Leg,
            /// Keep a comment on the pull request up to date.
            comment: bool = "true",
            /// Submit the packages to the dependency graph.
            dependency_snapshot: bool = "false",
        }
        "Files" {
            /// SARIF file to write, in the workspace.
            sarif_file: ResultFile = "trivy-results.sarif",
            /// Text file to write, in the workspace, with a line for each finding that is shown; none by default.
            table_file: Option<ResultFile>,
            /// JSON report of Trivy to write, in the workspace; `<name>-2.json` for the second target.
            report_file: ResultFile = "trivy-report.json",
            /// SBOM formats to write next to `report-file`: `cyclonedx`, `spdx`, or both.
            sbom: List<SbomFormat>,
        }
        "Registry" {
            ..selection: SelectionInputs,
            ..logins: LoginInputs,
        }
        "Several jobs" {
            ..fleet: FleetInputs,
        }
        "Vulnerability database" {
            ..database: DatabaseInputs,
            ..java_database: JavaDatabaseInputs,
            ..database_age: DatabaseAgeInputs,
            ..server: ServerInputs,
        }
    }
}
