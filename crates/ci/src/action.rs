//! The inputs and outputs of the action.

use std::num::NonZeroU16;

use actions_toolkit::{
    Action, Example, InputSet as _, List, OrNone, Output, Parsed, ResultFile, Timeout,
    WorkspacePath, inputs,
};
use azure::input::EntraInputs;
use github::{GitHubInputs, Leg, StorageRecordInputs};
use oci::ImageRef;
use registries::RegistryLines;
use trivy::{DatabaseAgeInputs, DatabaseInputs, Severity};

use crate::request::agents::{AgentLine, SecretFile};
use crate::request::build::{BuildArg, Label};
use crate::request::builder::{Annotation, Attestation, BuildPlatform, NamedContext, OutputLine};
use crate::request::cache::CacheLine;
use crate::request::cpus::Cpus;
use crate::request::environment::EnvVar;
use crate::request::linting::{FailingLevel, LinterSelection};
use crate::request::path::ReportPath;
use crate::request::secrets::SecretLines;
use crate::request::services::Services;
use crate::request::smoke::{CommandLine, HealthTarget, SmokeUser};
use crate::request::tags::TagLine;
use crate::request::test_stage::{BaselineCoverage, Percentage, TestNetwork};

/// The declaration from which `action.yml`, `--help` and the README's tables are generated.
pub const ACTION: Action = Action {
    name: "ci",
    about: "Build an image, run its tests and linters, and verify that it is healthy.",
    inputs: Inputs::declared,
    replaced,
    outputs: &[
        Output::new(
            "result",
            "`passed`, `failed` (a check failed) or `error` (no verdict).",
        ),
        Output::new(
            "image",
            "Name of the image, which it gets when every check has passed; by digest if it was pushed.",
        ),
        Output::new(
            "digest",
            "Digest of the pushed image in its registry; empty without a push.",
        ),
        Output::new(
            "tags",
            "Names that the image has got, with their tags, one per line.",
        ),
        Output::new("image-id", "ID of the image, `sha256:` and 64 hex digits."),
        Output::new(
            "created",
            "Time of the build, as RFC 3339; of the first build if every step was cached.",
        ),
        Output::new("size", "Size of the image in bytes, all layers."),
        Output::new("tests", "Number of tests in the report."),
        Output::new("failures", "Number of tests that failed or had an error."),
        Output::new(
            "new-failures",
            "Number of failed tests that do not fail in `baseline-junit`; empty without one.",
        ),
        Output::new("skipped", "Number of tests that were skipped."),
        Output::new("flaky", "Number of tests that passed only after a rerun."),
        Output::new(
            "coverage",
            "Percentage of lines and branches that the tests cover, such as `97.31`.",
        ),
        Output::new(
            "coverage-change",
            "Change of `coverage` from `baseline-coverage` in percentage points, such as `+0.52`; empty without one.",
        ),
        Output::new(
            "changed-coverage",
            "Percentage of the measured lines that the pull request adds and the tests cover; empty without one.",
        ),
        Output::new("findings", "Number of findings of the linters."),
        Output::new(
            "vulnerabilities",
            "Number of vulnerabilities in the packages of the lock file.",
        ),
        Output::new(
            "sarif-file",
            "Path of the SARIF file, relative to the workspace.",
        ),
        Output::new(
            "sarif-id",
            "ID of the upload to the Security tab; empty if there was none.",
        ),
        Output::new(
            "junit-file",
            "Path of the JUnit report, relative to the workspace.",
        ),
        Output::new("health-status", "`healthy`, `unhealthy` or `skipped`."),
    ],
    examples: &[
        Example::new(
            "Build the directory `app`, run its stage `test` and start it as in production",
            "--context app --image app:dev",
        ),
        Example::new(
            "Run a test command in the image itself, and pass the verdict to a program",
            "--context app --image app:dev --test-command 'pytest --junitxml=report.xml' --output json",
        ),
    ],
};

// The names that inputs have elsewhere, or had here.
fn replaced(input: &str) -> Option<String> {
    match input {
        "cache-inline" => Some("use `cache-to: type=inline`".to_owned()),
        _ => peers::hint("ci", input),
    }
}

inputs! {
    /// The inputs of a step.
    #[derive(Debug)]
    pub(crate) struct Inputs {
        "Common" {
            /// Directory of the build context, relative to the workspace.
            context: WorkspacePath = ".",
            /// Path of the Dockerfile, relative to `context`; `../` leads out of it.
            dockerfile: String = "Dockerfile",
            /// Name of the image to build, as `name:tag`; without the tag where `tags` has them.
            image: Parsed<ImageRef>,
            /// Further tags, one per line, with `{sha}`, `{short-sha}`, `{branch}`, `{tag}`, `{version}`, `{major}`, `{minor}` or `{pr}`; whole names also.
            tags: Vec<TagLine>,
            /// Push the image when every check has passed; a pull request from a fork pushes nothing.
            push: bool = "false",
            /// Stage to build; the last one by default.
            target: Option<String>,
            /// Stage that the tests run in, `none` for no tests; `test`, or with `test-command` the image itself, by default.
            test_target: Option<OrNone<String>>,
            /// Build arguments, one `NAME=value` per line; not for secrets.
            build_args: Vec<BuildArg>,
            /// Lock file to scan for vulnerabilities with Trivy, relative to the workspace; none by default.
            lock_file: Option<WorkspacePath>,
            /// Lowest severity of a vulnerability that fails the step: `critical`, `high`, `medium`, `low` or `none`.
            fail_on: OrNone<Severity> = "none",
            /// Path that responds with 2xx when the application is healthy; `auto`, `tcp`, `healthcheck`, or `none` for no smoke test.
            health_path: OrNone<HealthTarget> = "/health",
        }
        "Build" {
            /// Build secrets, one `id=value` per line, for `RUN --mount=type=secret`; quote multi-line values with `"`.
            build_secrets: SecretLines,
            /// Labels of the image, one `key=value` per line.
            labels: Vec<Label>,
            /// Files with build secrets, one `id=path` per line, relative to the workspace.
            secret_files: Vec<SecretFile>,
            /// SSH agents for `RUN --mount=type=ssh`, one `default` or `id=socket` per line.
            ssh: Vec<AgentLine>,
            /// Further build contexts, one `name=source` per line: a directory of the workspace, `docker-image://` or `https://`.
            build_contexts: Vec<NamedContext>,
            /// Platforms to build for, such as `linux/amd64,linux/arm64`; each is tested, and pushed in one index.
            platforms: List<BuildPlatform>,
            /// Caches to build from, one per line: an image, `type=registry,ref=…`, `type=gha` or `type=local,src=…`; missing ones are skipped.
            cache_from: Vec<CacheLine>,
            /// Caches to write, one per line: `type=inline`, `type=registry,ref=…,mode=max`, `type=gha` or `type=local,dest=…`.
            cache_to: Vec<CacheLine>,
            /// Annotations of the image, one `key=value` per line; with `index:` before the key, of the index.
            annotations: Vec<Annotation>,
            /// Attest how the image was built: `true`, `false`, or parameters such as `mode=max`.
            provenance: Attestation = "false",
            /// Attest what the image consists of: `true`, `false`, or parameters such as `generator=IMAGE`.
            sbom: Attestation = "false",
            /// Outputs in the workspace, one per line: `type=oci,dest=…`, `type=local,dest=…` or `type=tar,dest=…`.
            outputs: Vec<OutputLine>,
            /// Image of the BuildKit that the step starts where Docker's own cannot do what the inputs request.
            buildkit_image: Parsed<ImageRef> = "moby/buildkit:v0.34.2",
            /// Build every step from scratch.
            no_cache: bool = "false",
            /// Maximum size of the build context in megabytes.
            context_limit: u64 = "2000",
            /// Timeout of each build.
            build_timeout: Timeout = "20m",
        }
        "Registries" {
            /// Logins, one `host user secret` per line; `host` alone for `ghcr.io` (with `token`) and for Azure (with `client-id`).
            registries: RegistryLines,
            /// Timeout of each push.
            push_timeout: Timeout = "10m",
            ..entra: EntraInputs,
        }
        "Tests" {
            /// Shell command that runs the tests; the command of the stage by default.
            test_command: Option<String>,
            /// Image that `test-command` runs in, with a copy of the workspace; by default a stage, or the image itself.
            test_image: Option<Parsed<ImageRef>>,
            /// Environment variables of the tests, one `NAME=value` per line.
            test_env: Vec<EnvVar>,
            /// What the tests reach in addition to `services`: `none` or `internet`.
            test_network: TestNetwork = "none",
            /// Services for the tests and the smoke test, as YAML of a job's `services`; each is found at its name.
            services: Services,
            /// Compose file with the services, and with how the application runs: environment, command, port and volumes.
            compose_file: Option<WorkspacePath>,
            /// Service of `compose-file` that the step builds; the one with the same build by default.
            compose_service: Option<String>,
            /// Variables for `compose-file`, one `NAME=value` per line; they count before those of `.env`.
            compose_env: Vec<EnvVar>,
            /// Timeout until every service is healthy.
            services_timeout: Timeout = "2m",
            /// Paths or globs of JUnit reports in the test container, one per line; `/results/junit.xml`, or what the tests wrote, by default.
            junit_path: Vec<ReportPath>,
            /// Path in the workspace to copy the JUnit report to.
            junit_file: ResultFile = "junit.xml",
            /// JUnit report of the base branch, relative to the workspace; failures that it does not have are marked as new.
            baseline_junit: Option<WorkspacePath>,
            /// Path in the test container of the coverage report: Cobertura, JaCoCo, LCOV, coverage.py, Go; found as `junit-path` by default.
            coverage_path: Option<ReportPath>,
            /// Path in the workspace to copy the coverage report to; it is not copied by default.
            coverage_file: Option<ResultFile>,
            /// Coverage of the base branch, for the change from it: the path of its report, or `auto` for what its runs have kept in the cache.
            baseline_coverage: Option<BaselineCoverage>,
            /// Minimum coverage of the tests in percent; a missing coverage report fails the step, too.
            min_coverage: Option<Percentage>,
            /// Memory of the tests in megabytes; not limited by default.
            test_memory: Option<NonZeroU16>,
            /// Processors of the tests, such as `2` or `0.5`; not limited by default.
            test_cpus: Option<Cpus>,
            /// Timeout of the test run, and of the linters.
            test_timeout: Timeout = "10m",
        }
        "Static analysis" {
            /// Linters to run: `ruff`, `ruff-format`, `mypy`, `bandit`, `hadolint`, `pip check`; `auto` for those available, or `none`.
            static_analysis: LinterSelection = "auto",
            /// Lowest level of a linter finding that fails the step: `error`, `warning`, `note` or `none`.
            fail_on_analysis: OrNone<FailingLevel> = "warning",
        }
        "Vulnerability database" {
            /// Image with `/usr/local/bin/trivy`, pinned by digest, for `lock-file`; the one of the same release by default.
            trivy_image: Option<Parsed<ImageRef>>,
            ..database: DatabaseInputs,
            ..database_age: DatabaseAgeInputs,
        }
        "Smoke test" {
            /// Port of the application; the only port that the image exposes by default.
            port: Option<NonZeroU16>,
            /// Environment variables of the application, one `NAME=value` per line.
            smoke_env: Vec<EnvVar>,
            /// Command of the application, instead of the image's `CMD`.
            smoke_command: Option<CommandLine>,
            /// Command in the container that succeeds when the application is healthy, instead of a request of `health-path`.
            health_command: Option<String>,
            /// Memory of the application in megabytes.
            smoke_memory: NonZeroU16 = "256",
            /// User of the application: `non-root`, or `any`, with which root has Docker's default capabilities.
            smoke_user: SmokeUser = "non-root",
            /// Run the application with a read-only root file system, and `/tmp` in memory.
            smoke_read_only: bool = "true",
            /// Timeout until the application is healthy.
            smoke_timeout: Timeout = "60s",
            /// Timeout of the application's shutdown after SIGTERM.
            stop_timeout: Timeout = "10s",
        }
        "GitHub" {
            /// Path in the workspace of the SARIF file with the findings of the linters and the lock file.
            sarif_file: ResultFile = "ci.sarif",
            /// Leg of the matrix that the job is, as JSON; part of category and comment, so that legs do not share them.
            matrix: Leg,
            ..github: GitHubInputs,
            ..records: StorageRecordInputs,
        }
    }
}
