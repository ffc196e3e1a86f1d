//! The declaration of the inputs.

use actions_toolkit::{
    GitHubToken, Parsed, ResultFile, Scope, Timeout, Value, WorkspacePath, invalid_choice,
};
use azure::input::EntraInputs;
use fleet::FleetInputs;
use github::{Leg, StorageRecordInputs};
use oci::{ImageRef, Platform};
use registries::{Count, LoginInputs, SelectionInputs};
use trivy::{DatabaseInputs, JavaDatabaseInputs, ServerInputs};

use super::{Destination, TagTemplate};
use crate::verify::SmokeCommand;

actions_toolkit::inputs! {
    /// The inputs of a step.
    pub(crate) struct Inputs {
        "Common" {
            /// Images to patch, one per line, in Docker or in a registry: `repository:tag`, also with a host or a digest.
            image: Vec<Parsed<ImageRef>>,
            /// JSON report of the image by Trivy, relative to the workspace; by default, the image is scanned.
            report: Option<WorkspacePath>,
            /// Packages to patch: `os`, or `os,library` to include Python packages whose environment has `pip`.
            package_types: PackageTypes = "os",
            /// Tag of the patched image, in which `{tag}` is the image's own, as in `{tag}-safe`.
            patched_tag: TagTemplate = "{tag}-patched",
            /// Read the images from their registry, and push the patched and verified images there.
            push: bool = "false",
            /// Registry and path to push to instead, such as `ghcr.io/team`: repositories keep their paths below it; what needs no patch is copied.
            push_to: Option<Destination>,
            /// Replace tags that this action did not push: in `push-to`, or the image's own with `patched-tag: "{tag}"`.
            replace_tags: bool = "false",
            /// Platforms to patch, such as `linux/arm64`, one per line; with `push`, all of an index by default, else this machine's.
            platforms: Vec<Parsed<Platform>>,
            /// Keep a platform of an index as it was if it can't be patched, instead of failing the whole image.
            partial_platforms: bool = "false",
            /// Show which packages would be patched, and the tags of the images, and patch and push nothing.
            dry_run: bool = "false",
            /// GitHub token with `security-events: write` for the Security tab and `issues: write` for the issue.
            token: Option<GitHubToken>,
        }
        "Registry" {
            ..selection: SelectionInputs,
            ..logins: LoginInputs,
        }
        "Several jobs" {
            ..fleet: FleetInputs,
        }
        "Azure Container Registry" {
            ..entra: EntraInputs,
        }
        "Smoke test" {
            /// Command that must succeed in the patched image: for `/bin/sh -c`, or a JSON list; the image's health check by default.
            smoke_command: Option<SmokeCommand>,
            /// Timeout of the smoke test.
            smoke_timeout: Timeout = "60s",
        }
        "Copa and BuildKit" {
            /// Number of images to patch at once; the lines of each are together in the log.
            concurrency: Count = "1",
            /// Timeout of each run of Copa.
            timeout: Timeout = "10m",
            /// Address of a BuildKit to use, `unix:///path` or `tcp://host:port`; by default, the step starts its own.
            buildkit_address: Option<BuildKitAddress>,
            /// Image of the BuildKit that the step starts.
            buildkit_image: Parsed<ImageRef> = "moby/buildkit:v0.34.2",
            /// Image to use instead of the tooling images that Copa pulls, for networks without a public registry. For Python environments without `pip` it needs `pip`.
            tooling_image: Option<Parsed<ImageRef>>,
        }
        "GitHub" {
            /// Upload the remaining findings to the Security tab, so that fixed ones are closed there; requires `report`.
            upload: bool = "true",
            /// Category of the scan in the Security tab; the one of `trivy-scan` for this image in the same job by default.
            category: Option<String>,
            /// Leg of the matrix that the job is, as in `trivy-scan`.
            matrix: Leg,
            /// Dockerfile of the image, as in `trivy-scan`; the remaining findings are shown there.
            dockerfile: Option<WorkspacePath>,
            /// Keep an issue of the remaining findings up to date; closed when no image has any or failed.
            issue: bool = "false",
            ..records: StorageRecordInputs,
        }
        "Files" {
            /// Report of the patched image to write, in the workspace; `<name>-2.json` for the second image.
            report_file: ResultFile = "trivy-report-patched.json",
            /// OpenVEX document to write, in the workspace; `<name>-2.json` for the second image.
            vex_file: ResultFile = "patch.openvex.json",
            /// Attach the OpenVEX document to the pushed image, as a referrer; requires `push` or `push-to`.
            vex_attach: bool = "false",
            /// Attach a CycloneDX SBOM to each pushed image, as a referrer; requires `push` or `push-to`.
            sbom_attach: bool = "false",
            /// Attach a SLSA provenance, not signed, to each pushed patch, as a referrer; requires `push` or `push-to`.
            provenance_attach: bool = "false",
            /// JSON file to write, in the workspace, with one entry for each image: its result, outputs and reasons; none by default.
            results_file: Option<ResultFile>,
        }
        "Vulnerability database" {
            ..database: DatabaseInputs,
            ..java_database: JavaDatabaseInputs,
            ..server: ServerInputs,
        }
    }
}

/// Which packages are patched, as in Copa's `--pkg-types`: the distribution's are always among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PackageTypes {
    Os,
    /// Python packages as well.
    OsAndLibrary,
}

impl Value for PackageTypes {
    const CHOICES: &'static [&'static str] = &["os", "os,library"];

    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        let types: Vec<_> = text.split(',').map(str::trim).collect();
        match types.as_slice() {
            ["os"] => Ok(Self::Os),
            ["os", "library"] | ["library", "os"] => Ok(Self::OsAndLibrary),
            _ => Err(invalid_choice(text, Self::CHOICES)),
        }
    }
}

/// The address of a BuildKit that runs already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BuildKitAddress(pub(crate) String);

impl Value for BuildKitAddress {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        match text.split_once("://") {
            Some(("unix" | "tcp", rest)) if !rest.is_empty() => Ok(Self(text.to_owned())),
            // Copa starts `docker` for these, which the action's image does not have. Elsewhere it may be installed, but
            // its settings, which name the builders, hold the logins too: Copa never sees those.
            Some(("docker-container" | "buildx", _)) => Err(format!(
                "`{text}` requires the `docker` command and its settings, which Copa does not get; use BuildKit's own address, `unix:///path` or `tcp://host:port`"
            )),
            _ => Err(format!(
                "invalid address `{text}`; use `unix:///path` or `tcp://host:port`"
            )),
        }
    }
}
