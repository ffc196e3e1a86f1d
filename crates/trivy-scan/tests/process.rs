//! The built binary in the environment of a step, with a Trivy of the test's own.

#![allow(clippy::unwrap_used)] // in a test, a panic is the report

use std::path::Path;

use testkit::{FakeRunner, Fault, GitHub, Ran};

/// Two packages with one CVE, one ignored, and a title that would be a workflow command.
const REPORT: &str = r#"{
  "SchemaVersion": 2, "ArtifactName": "app:1", "Metadata": {"OS": {"Family": "debian", "Name": "13.8"}, "ImageID": "sha256:aa"},
  "Results": [{
    "Target": "app:1 (debian 13.8)", "Class": "os-pkgs", "Type": "debian",
    "Packages": [{"ID": "openssl@3.5.7", "Name": "openssl"}, {"ID": "libssl3t64@3.5.7", "Name": "libssl3t64"}],
    "Vulnerabilities": [
      {"VulnerabilityID": "CVE-2026-84782", "PkgID": "openssl@3.5.7", "PkgName": "openssl", "PkgIdentifier": {"PURL": "pkg:deb/debian/openssl@3.5.7?arch=amd64"}, "InstalledVersion": "3.5.7", "FixedVersion": "3.5.9", "Title": "DTLS buffer", "Severity": "HIGH", "PrimaryURL": "https://avd.aquasec.com/nvd/cve-2026-84782", "CweIDs": ["CWE-125"]},
      {"VulnerabilityID": "CVE-2026-84782", "PkgID": "libssl3t64@3.5.7", "PkgName": "libssl3t64", "PkgIdentifier": {"PURL": "pkg:deb/debian/libssl3t64@3.5.7?arch=amd64"}, "InstalledVersion": "3.5.7", "FixedVersion": "3.5.9", "Title": "DTLS buffer", "Severity": "HIGH", "PrimaryURL": "https://avd.aquasec.com/nvd/cve-2026-84782"},
      {"VulnerabilityID": "CVE-2026-00001", "PkgName": "zlib1g", "InstalledVersion": "1.3", "Severity": "LOW", "Title": "::error::hostile | <script>"}
    ],
    "ExperimentalModifiedFindings": [{"Type": "vulnerability", "Status": "ignored", "Statement": "not reachable", "Source": ".trivyignore", "Finding": {"VulnerabilityID": "CVE-2026-2", "PkgName": "perl", "InstalledVersion": "5", "Severity": "CRITICAL"}}]
  }]
}"#;

/// A Trivy that answers with `report`, and writes down what it was asked and what it saw.
fn trivy(report: &str) -> String {
    format!(
        "here=$(dirname \"$0\")\ncase \"$*\" in\n\
         version*) echo '{{\"Version\":\"0.72.0\"}}' ;;\n\
         *--download-db-only*) cache=; for a; do [ \"$last\" = --cache-dir ] && cache=$a; last=$a; done; mkdir -p \"$cache/db\"; echo '{{\"Version\":2,\"UpdatedAt\":\"2026-11-22T06:00:00Z\"}}' > \"$cache/db/metadata.json\" ;;\n\
         *) echo \"$*\" >> \"$here/scans\"; env > \"$here/env\"; cat <<'REPORT'\n{report}\nREPORT\n;;\nesac\n"
    )
}

fn step() -> FakeRunner {
    FakeRunner::new(env!("CARGO_BIN_EXE_trivy-scan"))
        .tool("trivy", &trivy(REPORT))
        .file(
            "app/Dockerfile",
            "ARG BASE=debian\nFROM ${BASE} AS base\nFROM base\n",
        )
        .input("image", "app:1")
        .input("dockerfile", "app/Dockerfile")
        .input("token", "")
}

#[test]
fn one_scan_gives_every_answer() {
    let step = step();
    let ran = step.run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    let outputs = [
        "result",
        "total",
        "critical",
        "high",
        "low",
        "fixable",
        "sarif-file",
        "report-file",
    ]
    .map(|name| ran.output(name));
    assert_eq!(
        outputs,
        [
            "passed",
            "3",
            "0",
            "2",
            "1",
            "2",
            "trivy-results.sarif",
            "trivy-report.json"
        ]
    );
    let scans = std::fs::read_to_string(step.folder().join("tools/scans")).unwrap();
    assert_eq!(scans.lines().count(), 1);
    let seen = std::fs::read_to_string(step.folder().join("tools/env")).unwrap();
    assert!(
        !seen.contains("ACTIONS_") && !seen.contains("INPUT_") && !seen.contains("GITHUB_"),
        "{seen}"
    );
    let report = std::fs::read_to_string(step.workspace().join("trivy-report.json")).unwrap();
    assert_eq!(report.trim(), REPORT);
}

#[test]
fn what_a_person_reads() {
    let ran = step().run();
    let said: Vec<_> = ran
        .log
        .lines()
        .filter(|line| line.contains("CVE-") || line.contains("fixable"))
        .collect();
    insta::assert_snapshot!(said.join("\n"), @r"
    high      CVE-2026-84782      libssl3t64 3.5.7 → 3.5.9
    high      CVE-2026-84782      openssl 3.5.7 → 3.5.9
    low       CVE-2026-00001      zlib1g 1.3 → no fix yet
    2 high, 1 low (2 fixable)
    ");
    let summary: Vec<_> = ran
        .summary
        .lines()
        .filter(|line| !line.starts_with("Vulnerability database"))
        .collect();
    insta::assert_snapshot!(summary.join("\n"), @r"
    ## 🔎 Trivy: 2 high, 1 low (2 fixable) in `app`

    | Severity | Finding | Where | Fixed in |
    |---|---|---|---|
    | high | [CVE-2026-84782](https://avd.aquasec.com/nvd/cve-2026-84782) DTLS buffer | `libssl3t64 3.5.7` | 3.5.9 |
    | high | [CVE-2026-84782](https://avd.aquasec.com/nvd/cve-2026-84782) DTLS buffer | `openssl 3.5.7` | 3.5.9 |
    | low | CVE-2026-00001 ::error::hostile \| &lt;script&gt; | `zlib1g 1.3` |  |

    <details><summary>1 suppressed</summary>

    - CVE-2026-2: not reachable (.trivyignore)

    </details>
    ");
}

fn sarif(step: &FakeRunner) -> String {
    std::fs::read_to_string(step.workspace().join("trivy-results.sarif")).unwrap()
}

#[test]
fn a_rebuilt_image_has_the_same_findings() {
    let first = step();
    first.run();
    let second = step()
        .tool(
            "trivy",
            &trivy(
                &REPORT
                    .replace("app:1", "app:2")
                    .replace("sha256:aa", "sha256:bb")
                    .replace("3.5.7", "3.5.8"),
            ),
        )
        .input("image", "localhost:5000/app:2");
    second.run();
    let prints = |text: &str| -> Vec<String> {
        text.split("\"primaryLocationLineHash\":\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap_or_default().to_owned())
            .collect()
    };
    let (one, two) = (prints(&sarif(&first)), prints(&sarif(&second)));
    assert_eq!(one, two);
    let mut distinct = one.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(
        distinct.len(),
        one.len(),
        "two packages with one CVE are two findings"
    );
}

#[test]
fn a_distributions_package_is_shown_where_the_distribution_comes_from() {
    let step = step();
    step.run();
    let text = sarif(&step);
    assert!(
        text.contains(r#""uri":"app/Dockerfile""#) && text.contains(r#""startLine":2"#),
        "{text}"
    );
    assert!(
        text.contains("\"external/cwe/cwe-125\"") && text.contains(r#""security-severity":"8.0""#),
        "{text}"
    );
    assert!(
        text.contains(r#""justification":"not reachable (.trivyignore)""#),
        "{text}"
    );
}

#[test]
fn the_gate_is_apart_from_the_report() {
    let table = [
        ("critical", "false", 0),
        ("high", "false", 1),
        ("low", "true", 1),
        ("none", "false", 0),
    ];
    for (fail_on, fixable_only, code) in table {
        let ran = step()
            .input("fail-on", fail_on)
            .input("fail-on-fixable-only", fixable_only)
            .run();
        assert_eq!((ran.code, ran.output("total")), (code, "3"), "{fail_on}");
    }
    let ran = step().input("fail-on", "high").run();
    assert_eq!(
        ran.error(),
        "trivy-scan: 2 findings of severity high or worse; update what has a fixed version, or list in `ignore-file` what can't hurt here"
    );
    assert_eq!(ran.output("result"), "failed");
}

#[test]
fn bad_input_is_named_before_anything_is_started() {
    let table = [
        (
            "image",
            "",
            "input `image`: is required for `scan-type: image` and was empty or absent",
        ),
        (
            "image",
            "App:1",
            "input `image`: `App:1`: `App` is no repository name: lower-case letters, digits, and single `.`, `_`, `-` between them",
        ),
        (
            "scan-type",
            "repo",
            "input `scan-type`: `repo` is none of `image`, `fs`, `config`",
        ),
        (
            "fail-on",
            "severe",
            "input `fail-on`: `severe` is none of `critical`, `high`, `medium`, `low`, `none`",
        ),
        (
            "dockerfile",
            "Dockerfile",
            "input `dockerfile`: there is no `Dockerfile` in the workspace",
        ),
        (
            "sarif-file",
            "../x",
            "input `sarif-file`: `../x` must not have `..` in it",
        ),
        (
            "severity",
            "HIGH",
            "input `severity` is unknown; the inputs of `trivy-scan` are: scan-type, image, path, fail-on, fail-on-fixable-only, ignore-file, dockerfile, upload, category, token, db-repositories, cache-directory, offline, timeout, sarif-file, report-file",
        ),
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
        assert!(!step.folder().join("tools/scans").exists());
    }
}

#[test]
fn a_trivy_without_a_verdict_is_no_finding() {
    let table = [
        (
            "*) echo 'panic: runtime error' >&2; exit 2 ;;",
            "Trivy broke down",
        ),
        ("*) echo '[]' ;;", "is not the JSON that was expected"),
        (
            "*) echo '2026 FATAL Fatal error run error: unable to find the specified image \"app:1\"' >&2; exit 1 ;;",
            "was found neither in the engine nor in its registry",
        ),
    ];
    for (answer, message) in table {
        let script = format!(
            "case \"$*\" in version*) echo '{{\"Version\":\"0.72.0\"}}' ;; *--download-db-only*) for a; do [ \"$last\" = --cache-dir ] && mkdir -p \"$a/db\" && echo '{{\"UpdatedAt\":\"2026-11-22T06:00:00Z\"}}' > \"$a/db/metadata.json\"; last=$a; done ;; {answer} esac"
        );
        let ran = step().tool("trivy", &script).run();
        assert_eq!(
            (ran.code, ran.output("result")),
            (2, "error"),
            "{}",
            ran.log
        );
        assert!(ran.error().contains(message), "{}", ran.error());
    }
}

#[test]
fn a_poisoned_trivy_is_not_run() {
    let step = step().tool("trivy", "case \"$*\" in version*) echo '{\"Version\":\"0.69.4\"}' ;; *) touch \"$(dirname \"$0\")/ran\" ;; esac");
    let ran = step.run();
    assert_eq!(ran.code, 2);
    assert!(
        ran.error().contains("published by an attacker"),
        "{}",
        ran.error()
    );
    assert!(!step.folder().join("tools/ran").exists());
}

async fn with_github(server: &GitHub, change: impl FnOnce(FakeRunner) -> FakeRunner) -> Ran {
    let step = change(
        step()
            .input("token", "t")
            .env("GITHUB_API_URL", &server.url()),
    );
    tokio::task::spawn_blocking(move || step.run())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_security_tab_has_the_findings_and_takes_the_file() {
    let server = GitHub::start("t").await.unwrap();
    let ran = with_github(&server, |step| step).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    assert!(!ran.output("sarif-id").is_empty());
    assert!(
        ran.summary
            .contains("[Security tab](https://github.com/octo-org/app/security/code-scanning)")
    );
    assert!(
        server.uploads()[0]["sarif"]["runs"][0]["automationDetails"]["id"]
            == ".github/workflows/ci.yml:scan/image/app/"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_is_told_and_not_failed() {
    let server = GitHub::start("t").await.unwrap();
    server.expect(Fault::new(
        "/sarifs",
        403,
        r#"{"message": "Resource not accessible by integration", "documentation_url": "x"}"#,
    ));
    let ran = with_github(&server, |step| step).await;
    assert_eq!((ran.code, ran.output("sarif-id")), (0, ""), "{}", ran.log);
    assert!(
        ran.log
            .contains("::warning::the findings are not in the Security tab"),
        "{}",
        ran.log
    );
}

#[test]
fn the_declaration_is_what_authors_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    assert_eq!(
        testkit::contract::differences(&trivy_scan::ACTION, &root),
        Vec::<String>::new()
    );
}
