//! The declaration.

use actions_toolkit::{Action, Input, Output};

/// The action, its inputs and its outputs.
pub const ACTION: Action = Action {
    name: "trivy-scan",
    about: "Scan images, dependencies, configuration and secrets once with Trivy: Security tab, pull request, gate, SBOM, summary and outputs.",
    inputs: || {
        vec![
        Input::new("scan-type", "What to scan: `image`, `archive` (a saved image or an OCI layout), `fs` (packages and secrets of a folder), `config` (Dockerfiles and Kubernetes manifests) or `secret`.").default("image"),
        Input::new("image", "The image, in Docker or in a registry; for `scan-type: image`."),
        Input::new("path", "The file or folder; for every other `scan-type`.").default("."),
        Input::new("targets", "Several things to scan in one step, one per line, each a `scan-type` and an image or path: `image app:1`. Instead of `scan-type`, `image` and `path`."),
        Input::new("dockerfile", "The Dockerfile of the image: findings are shown on the instruction or the lock file's line that brings the package."),
        Input::new("platform", "The platform of a multi-platform image, such as `linux/arm64`."),
        Input::new("scanners", "What is looked for in images and folders: `vuln`, `secret`, or both.").default("vuln,secret"),
        Input::new("fail-on", "The lowest severity that fails the step: `critical`, `high`, `medium`, `low` or `none`. The report keeps everything.").default("none"),
        Input::new("fail-on-fixable-only", "Whether only findings that an update or a change mends can fail the step.").default("false"),
        Input::new("fail-on-new-only", "Whether only findings that the baseline does not have can fail the step.").default("false"),
        Input::new("baseline", "What findings are compared with: `auto` (in a pull request, the newest analysis that its base branch has in this category, before a patch), `none`, a SARIF file of an earlier run, a folder with the base's checkout, or `image:` and the base's image.").default("auto"),
        Input::new("ignore-file", "A file of findings to ignore, as Trivy reads it; without it, `.trivyignore` or `.trivyignore.yaml` where the workspace has one. What it takes out is listed as suppressed, and is not uploaded."),
        Input::new("vex", "VEX documents (OpenVEX, CSAF, CycloneDX), one path per line: what they call not affected or fixed is listed as suppressed, and is not uploaded."),
        Input::new("upload", "Whether the findings go to the Security tab.").default("true"),
        Input::new("category", "The category of the analysis in the Security tab; without it, workflow, job, kind and name of what is scanned (never its tag). Where one job scans pull requests and another one what is pushed, both need the same."),
        Input::new("comment", "Whether a pull request gets a comment, which later runs keep up to date.").default("true"),
        Input::new("sbom", "Formats of a software bill of materials to write: `cyclonedx`, `spdx`, or both, separated by commas."),
        Input::new("dependency-snapshot", "Whether the packages go to the dependency graph.").default("false"),
        Input::new("token", "The token for GitHub: `security-events: write` for the Security tab, `pull-requests: write` for the comment, `contents: write` for the dependency graph.").secret(),
        Input::new("registry-username", "The user for the image's registry."),
        Input::new("registry-password", "The password or token for the image's registry.").secret(),
        Input::new("db-repositories", "OCI repositories of the vulnerability database, one per line, asked in this order; without it, the public mirrors."),
        Input::new("max-database-age", "The oldest vulnerability database that is taken when no mirror gives a newer one.").default("48h"),
        Input::new("cache-directory", "Trivy's cache folder."),
        Input::new("offline", "Whether the database in the cache is taken and nobody is asked.").default("false"),
        Input::new("timeout", "The limit of each scan.").default("10m"),
        Input::new("sarif-file", "Where the SARIF file is written, in the workspace.").default("trivy-results.sarif"),
        Input::new("report-file", "Where Trivy's JSON report is written, in the workspace; a second target's is `<name>-2.json`.").default("trivy-report.json"),
    ]
    },
    outputs: &[
        Output::new(
            "result",
            "`passed`, `failed` (findings at or over `fail-on`) or `error` (no verdict).",
        ),
        Output::new(
            "total",
            "How many findings there are, without the suppressed ones.",
        ),
        Output::new("critical", "How many are critical."),
        Output::new("high", "How many are high."),
        Output::new("medium", "How many are medium."),
        Output::new("low", "How many are low."),
        Output::new("unknown", "How many nobody has rated."),
        Output::new("fixable", "How many an update or a change mends."),
        Output::new(
            "new",
            "How many the baseline does not have; empty without a baseline.",
        ),
        Output::new(
            "fixed",
            "How many the baseline has and this scan has not; empty without a baseline.",
        ),
        Output::new("sarif-file", "The SARIF file, relative to the workspace."),
        Output::new(
            "report-file",
            "Trivy's JSON report, relative to the workspace; one per line.",
        ),
        Output::new(
            "sbom-file",
            "The software bills of materials, relative to the workspace; one per line.",
        ),
        Output::new("sarif-id", "The id of the upload; empty if there was none."),
        Output::new(
            "database-age",
            "The age of the vulnerability database in whole hours.",
        ),
    ],
};
