//! What `trivy-scan` replaces.

use crate::mapping::{Peer, keep, lines, lost, same, together, unneeded};

pub(crate) const TRIVY: Peer = Peer {
    name: "aquasecurity/trivy-action",
    version: "0.36.0",
    action: "trivy-scan",
    inputs: &[
        together(
            "scan-type",
            &["scan-type"],
            "`repo` is `fs`, after a checkout; `sbom` and `rootfs` are the same",
        ),
        keep("image-ref", "image"),
        together(
            "input",
            &["scan-type", "path"],
            "`scan-type: archive`, and the file as `path`",
        ),
        keep("scan-ref", "path"),
        together(
            "exit-code",
            &["fail-on", "fail-on-fixable-only"],
            "the lowest severity that fails the step; with `ignore-unfixed`, of those that have a fix",
        ),
        same("ignore-unfixed")
            .note("for what is shown and uploaded; `fail-on-fixable-only` is for the gate"),
        lost("vuln-type", "set `pkg.types` in a file for `trivy-config`")
            .unless(&["os,library", "library,os"]),
        lost("pkg-types", "set `pkg.types` in a file for `trivy-config`")
            .unless(&["os,library", "library,os"]),
        together(
            "severity",
            &["severity", "fail-on"],
            "what is shown and uploaded, and the gate of `exit-code`",
        ),
        together(
            "format",
            &[
                "sarif-file",
                "report-file",
                "table-file",
                "sbom",
                "dependency-snapshot",
            ],
            "one scan writes every format",
        ),
        lost(
            "template",
            "`trivy convert` makes any format from `report-file`",
        )
        .unless(&["@/contrib/sarif.tpl", "@contrib/sarif.tpl"]),
        together(
            "output",
            &["sarif-file", "report-file", "table-file", "sbom"],
            "by its format; an SBOM is at the output `sbom-file`",
        ),
        same("skip-dirs"),
        same("skip-files"),
        together(
            "cache-dir",
            &["cache-directory"],
            "relative to the workspace",
        ),
        same("timeout"),
        same("ignore-policy"),
        unneeded("hide-progress", "a log has no progress bar"),
        unneeded("list-all-pkgs", "`report-file` has all packages"),
        together(
            "scanners",
            &["scanners", "targets", "scan-type"],
            "`misconfig` is a `config` target",
        ),
        together("trivyignores", &["ignore-file"], "one file"),
        keep("github-pat", "token").note("with `dependency-snapshot: true`"),
        same("trivy-config"),
        lost(
            "tf-vars",
            "set `misconfiguration.terraform.vars` in a file for `trivy-config`",
        ),
        unneeded(
            "limit-severities-for-sarif",
            "`severity` applies to the SARIF file too",
        ),
        lost(
            "docker-host",
            "the runner mounts `/var/run/docker.sock` only; see docs/runners.md",
        )
        .unless(&["unix:///var/run/docker.sock"]),
        unneeded("version", "Trivy is in the image of the action"),
        unneeded("cache", "cache `cache-directory` with actions/cache"),
        unneeded("skip-setup-trivy", "Trivy is in the image of the action"),
        unneeded("token-setup-trivy", "Trivy is in the image of the action"),
    ],
    outputs: &[],
    environment: &[
        keep("TRIVY_USERNAME", "registry-username"),
        keep("TRIVY_PASSWORD", "registry-password"),
        lines("TRIVY_DB_REPOSITORY", "db-repositories"),
        lines("TRIVY_JAVA_DB_REPOSITORY", "java-db-repositories"),
        keep("TRIVY_SKIP_DB_UPDATE", "offline"),
        unneeded(
            "TRIVY_SKIP_JAVA_DB_UPDATE",
            "`offline` is for both databases",
        ),
        unneeded("TRIVY_DISABLE_VEX_NOTICE", "there is no such notice"),
        unneeded("TRIVY_SKIP_VERSION_CHECK", "there is no such check"),
        unneeded("TRIVY_NO_PROGRESS", "a log has no progress bar"),
        unneeded("TRIVY_QUIET", "a log has no progress bar"),
        unneeded("GITHUB_TOKEN", "the input `token` is the run's by default"),
    ],
};

pub(crate) const UPLOAD_SARIF: Peer = Peer {
    name: "github/codeql-action/upload-sarif",
    version: "4.37.3",
    action: "trivy-scan",
    inputs: &[
        together(
            "sarif_file",
            &["sarif", "upload"],
            "`sarif` for the files of other scanners; those of Trivy are uploaded by `upload: true`",
        ),
        lost("checkout_path", "the checkout is the workspace")
            .unless(&["${{ github.workspace }}", "."]),
        lost("ref", "the ref of the run is used").unless(&["${{ github.ref }}"]),
        lost("sha", "the commit of the run is used").unless(&["${{ github.sha }}"]),
        same("token"),
        same("matrix"),
        same("category"),
        unneeded(
            "wait-for-processing",
            "the step does not wait until GitHub has processed the file",
        ),
    ],
    outputs: &[same("sarif-id")],
    environment: &[],
};
