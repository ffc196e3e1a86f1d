//! The declaration of the action.

use actions_toolkit::{Action, Example, InputSet as _, Output};

use crate::request::Inputs;

/// The action, its inputs and its outputs.
pub const ACTION: Action = Action {
    name: "trivy-scan",
    about: "Scan images, dependencies, configuration and secrets once with Trivy: Security tab, pull request, gate, SBOM, summary and outputs.",
    inputs: Inputs::declared,
    replaced: |input| peers::hint("trivy-scan", input),
    outputs: &[
        Output::new(
            "result",
            "`passed`, `failed` (findings at or over `fail-on`) or `error` (no verdict); `planned` for a plan.",
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
        fleet::MATRIX_OUTPUT,
        fleet::COUNT_OUTPUT,
    ],
    examples: &[
        Example::new("Scan an image", "--image app:dev --fail-on high"),
        Example::new(
            "Scan the lock files and manifests of this directory, and keep the findings as SARIF",
            "--targets 'fs .' --sarif-file findings.sarif",
        ),
    ],
};
