//! The declaration of the action.

use actions_toolkit::{Action, InputSet as _, Output};

use crate::request::Inputs;

/// The action, its inputs and its outputs.
pub const ACTION: Action = Action {
    name: "trivy-scan",
    about: "Scan images, dependencies, configuration and secrets once with Trivy: Security tab, pull request, gate, SBOM, summary and outputs.",
    inputs: Inputs::declared,
    replaced: REPLACED,
    outputs: &[
        Output::new(
            "result",
            "`passed`, `failed` (findings at or over `fail-on`) or `error` (no verdict).",
        ),
        Output::new("total", "Number of open findings that are shown."),
        Output::new("critical", "Number of critical findings."),
        Output::new("high", "Number of high findings."),
        Output::new("medium", "Number of medium findings."),
        Output::new("low", "Number of low findings."),
        Output::new("unknown", "Number of findings with unknown severity."),
        Output::new(
            "fixable",
            "Number of findings that an update or a change of configuration fixes.",
        ),
        Output::new(
            "hidden",
            "Number of open findings that `severity` and `ignore-unfixed` hide.",
        ),
        Output::new(
            "new",
            "Number of findings that are not in the baseline; empty without a baseline.",
        ),
        Output::new(
            "fixed",
            "Number of findings of the baseline that are gone; empty without a baseline.",
        ),
        Output::new("sarif-file", "SARIF file, relative to the workspace."),
        Output::new(
            "table-file",
            "Text file, relative to the workspace; empty without the input.",
        ),
        Output::new(
            "report-file",
            "Trivy's JSON reports, relative to the workspace; one per line.",
        ),
        Output::new(
            "sbom-file",
            "SBOMs, relative to the workspace; one per line.",
        ),
        Output::new(
            "sarif-id",
            "Ids of the uploads, one per line; empty if there was none.",
        ),
        Output::new(
            "sarif-results",
            "Number of uploaded results of the files of `sarif`; empty without the input.",
        ),
        Output::new(
            "database-age",
            "Age of the vulnerability database in whole hours.",
        ),
    ],
};

/// Inputs of aquasecurity/trivy-action and github/codeql-action/upload-sarif.
const REPLACED: &[(&str, &str)] = &[
    ("image-ref", "use `image`"),
    ("scan-ref", "use `path`"),
    ("input", "use `scan-type: archive` with `path`"),
    (
        "exit-code",
        "use `fail-on`, the lowest severity that fails the step",
    ),
    ("vuln-type", "set `pkg.types` in a file for `trivy-config`"),
    ("pkg-types", "set `pkg.types` in a file for `trivy-config`"),
    (
        "format",
        "remove it: every format is written, see `sarif-file`, `report-file`, `table-file` and `sbom`",
    ),
    ("output", "use `sarif-file`, `report-file` or `table-file`"),
    (
        "template",
        "there are no templates: `trivy convert` makes any format from `report-file`",
    ),
    ("cache-dir", "use `cache-directory`"),
    ("cache", "cache `cache-directory` with actions/cache"),
    ("hide-progress", "remove it: a log has no progress bar"),
    ("list-all-pkgs", "remove it: `report-file` has all packages"),
    ("trivyignores", "use `ignore-file`, which is one file"),
    ("github-pat", "use `token` with `dependency-snapshot: true`"),
    (
        "limit-severities-for-sarif",
        "remove it: `severity` applies to the SARIF file too",
    ),
    (
        "tf-vars",
        "set `misconfiguration.terraform.vars` in a file for `trivy-config`",
    ),
    (
        "docker-host",
        "set the environment variable `DOCKER_HOST` of the step",
    ),
    ("version", "remove it: Trivy is in the image of the action"),
    (
        "skip-setup-trivy",
        "remove it: Trivy is in the image of the action",
    ),
    (
        "token-setup-trivy",
        "remove it: Trivy is in the image of the action",
    ),
    (
        "sarif_file",
        "use `sarif` for the files of other scanners; those of Trivy are uploaded by `upload: true`",
    ),
    ("checkout_path", "remove it: the checkout is the workspace"),
    ("ref", "remove it: the ref of the run is used"),
    ("sha", "remove it: the commit of the run is used"),
    (
        "wait-for-processing",
        "remove it: the step does not wait until GitHub has processed the file",
    ),
];
