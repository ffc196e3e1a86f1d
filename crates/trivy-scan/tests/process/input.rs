//! Bad input: exit code 3, before anything is started.

use crate::step::step;

#[test]
fn bad_input_is_named_before_anything_is_started() {
    let inputs = (trivy_scan::ACTION.inputs)();
    let inputs: Vec<_> = inputs.iter().map(|input| input.name).collect();
    let unknown = format!(
        "input `with-helm-kube-version` is unknown; the inputs of `trivy-scan` are: {}",
        inputs.join(", ")
    );
    let table: [(_, _, &str); 16] = [
        (
            "image",
            "",
            "input `image`: is required for `scan-type: image`",
        ),
        (
            "image",
            "App:1",
            "input `image`: `App:1`: invalid repository name `App`; use lower-case letters and digits, separated by single `.`, `_` or `-`",
        ),
        (
            "scan-type",
            "repo",
            "input `scan-type`: invalid value `repo`; expected one of `image`, `archive`, `fs`, `rootfs`, `sbom`, `config`, `secret`",
        ),
        (
            "targets",
            "image app:1",
            "input `image`: is not allowed together with `targets`; use a line `image NAME` there",
        ),
        (
            "fail-on",
            "severe",
            "input `fail-on`: invalid value `severe`; expected one of `critical`, `high`, `medium`, `low`, `kev`, `epss>0.5`, `none`",
        ),
        (
            "dockerfile",
            "Dockerfile",
            "input `dockerfile`: there is no `Dockerfile` in the workspace",
        ),
        (
            "sarif-file",
            "../x",
            "input `sarif-file`: `../x` must not contain `..`",
        ),
        (
            "scanners",
            "vuln,misconfig",
            "input `scanners`: invalid value `misconfig`; expected one of `vuln`, `secret`, `license`; configuration has its own `scan-type: config`, or a line `config PATH` in `targets`",
        ),
        (
            "sbom",
            "swid",
            "input `sbom`: invalid value `swid`; expected one of `cyclonedx`, `spdx`",
        ),
        (
            "vex",
            "vex.json",
            "input `vex`: there is no `vex.json` in the workspace",
        ),
        (
            "baseline",
            "base.sarif",
            "input `baseline`: there is no `base.sarif` in the workspace",
        ),
        (
            "baseline",
            "app/Dockerfile",
            "input `baseline`: `app/Dockerfile` is not a SARIF file: expected value at line 1 column 1",
        ),
        (
            "registry-username",
            "robot",
            "input `registry-password`: is required with `registry-username`",
        ),
        (
            "max-database-age",
            "old",
            "input `max-database-age`: invalid duration `old`; use a form such as `90s`, `5m` or `1h30m`",
        ),
        (
            "timeout",
            "1000000000h",
            "input `timeout`: duration `1000000000h` is longer than any job can run; use at most `120h`",
        ),
        ("with-helm-kube-version", "1.30", &unknown),
    ];
    for (name, value, error) in table {
        let step = step().input(name, value);
        let ran = step.run();
        assert_eq!(
            (ran.code, ran.output("result")),
            (3, "error"),
            "{}",
            ran.log
        );
        assert_eq!(ran.error(), format!("trivy-scan: {error}"));
        assert!(!step.directory().join("tools/scans").exists());
    }
}

#[test]
fn severities_are_those_of_trivy_and_old_inputs_are_named() {
    let severity = "input `severity`: invalid value `SEVERE`; expected one of `critical`, `high`, `medium`, `low`, `unknown`";
    let code = "input `exit-code` is unknown; use `fail-on`, `fail-on-fixable-only`: the lowest severity that fails the step; with `ignore-unfixed`, of those that have a fix";
    for (name, value, error) in [
        ("severity", "HIGH,SEVERE", severity),
        ("exit-code", "1", code),
    ] {
        let ran = step().input(name, value).run();
        assert_eq!(ran.code, 3, "{}", ran.log);
        assert_eq!(ran.error(), format!("trivy-scan: {error}"));
    }
}

#[test]
fn targets_are_checked_line_by_line() {
    let table = [
        (
            "repo app",
            "`repo app`: invalid value `repo`; expected one of `image`, `archive`, `fs`, `rootfs`, `sbom`, `config`, `secret`",
        ),
        ("image", "`image` does not name an image or path"),
        ("image app:1\nimage app:1", "`image app:1` is in it twice"),
        ("fs nowhere", "there is no `nowhere` in the workspace"),
    ];
    for (targets, error) in table {
        let ran = step().input("image", "").input("targets", targets).run();
        assert_eq!(ran.code, 3, "{}", ran.log);
        assert_eq!(ran.error(), format!("trivy-scan: input `targets`: {error}"));
    }
}

#[test]
fn a_vex_document_is_a_file() {
    let ran = step().file("vex.json/a", "").input("vex", "vex.json").run();
    assert_eq!(ran.code, 3, "{}", ran.log);
    assert_eq!(
        ran.error(),
        "trivy-scan: input `vex`: `vex.json` is not a file"
    );
}

#[test]
fn a_malformed_ignore_file_is_bad_input() {
    let table = [
        (
            ".trivyignore",
            "CVE-2026-1 until:2027-01-01\n",
            "line 1: `until:2027-01-01` is not",
        ),
        (
            ".trivyignore.yaml",
            "vulnerabilites:\n  - id: CVE-2026-1\n",
            "vulnerabilites",
        ),
    ];
    for (name, text, part) in table {
        let ran = step().file(name, text).run();
        assert_eq!(ran.code, 3, "{}", ran.log);
        assert!(
            ran.error()
                .starts_with(&format!("trivy-scan: input `ignore-file`: `{name}`"))
                && ran.error().contains(part),
            "{}",
            ran.error()
        );
    }
}
