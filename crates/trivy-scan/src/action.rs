//! The declaration.

use actions_toolkit::{Action, Input, Output};

/// The action, its inputs and its outputs.
pub const ACTION: Action = Action {
    name: "trivy-scan",
    about: "Scan an image, dependencies or configuration once with Trivy: Security tab, gate, summary and outputs.",
    inputs: &[
        Input::new("scan-type", "What to scan: `image`, `fs` (the packages that a folder's files name) or `config` (Dockerfiles and Kubernetes manifests).").default("image"),
        Input::new("image", "The image, in the engine or in a registry; for `scan-type: image`."),
        Input::new("path", "The folder; for `fs` and `config`.").default("."),
        Input::new("fail-on", "The lowest severity that fails the step: `critical`, `high`, `medium`, `low` or `none`. The report keeps everything.").default("none"),
        Input::new("fail-on-fixable-only", "Whether only findings that an update mends can fail the step.").default("false"),
        Input::new("ignore-file", "A file of findings to ignore (`.trivyignore`); they are listed as suppressed."),
        Input::new("dockerfile", "The Dockerfile of the image: findings in the distribution's packages are shown on the line that brings them."),
        Input::new("upload", "Whether the findings go to the Security tab.").default("true"),
        Input::new("category", "The category of the analysis in the Security tab; without it, workflow, job, kind and name of what is scanned (never its tag)."),
        Input::new("token", "The token for the upload; it needs `security-events: write`.").secret(),
        Input::new("db-repositories", "OCI repositories of the vulnerability database, one per line, asked in this order; without it, the public mirrors."),
        Input::new("cache-directory", "Trivy's cache folder."),
        Input::new("offline", "Whether the database in the cache is taken as it is.").default("false"),
        Input::new("timeout", "The limit of the scan.").default("10m"),
        Input::new("sarif-file", "Where the SARIF file is written, in the workspace.").default("trivy-results.sarif"),
        Input::new("report-file", "Where Trivy's JSON report is written, in the workspace.").default("trivy-report.json"),
    ],
    outputs: &[
        Output::new("result", "`passed`, `failed` (findings at or over `fail-on`) or `error` (no verdict)."),
        Output::new("total", "How many findings there are, without the suppressed ones."),
        Output::new("critical", "How many are critical."),
        Output::new("high", "How many are high."),
        Output::new("medium", "How many are medium."),
        Output::new("low", "How many are low."),
        Output::new("unknown", "How many nobody has rated."),
        Output::new("fixable", "How many an update mends."),
        Output::new("sarif-file", "The SARIF file, relative to the workspace."),
        Output::new("report-file", "Trivy's JSON report, relative to the workspace."),
        Output::new("sarif-id", "The id of the upload; empty if there was none."),
        Output::new("database-age", "The age of the vulnerability database in whole hours."),
    ],
};
