//! What a scan gives: files, outputs, what a person reads.

use crate::step::{REPORT, fingerprints, sarif, scans, step, trivy};

#[test]
fn one_scan_gives_every_result() {
    let step = step().input("sbom", "cyclonedx, spdx");
    let ran = step.run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    let outputs: Vec<_> = [
        "result",
        "total",
        "critical",
        "high",
        "medium",
        "low",
        "unknown",
        "fixable",
        "new",
        "fixed",
        "sarif-file",
        "report-file",
        "sbom-file",
        "sarif-id",
        "database-age",
    ]
    .map(|name| format!("{name}={}", ran.output(name)))
    .into();
    insta::assert_snapshot!(outputs.join("\n"), @r"
    result=passed
    total=3
    critical=0
    high=2
    medium=0
    low=1
    unknown=0
    fixable=2
    new=
    fixed=
    sarif-file=trivy-results.sarif
    report-file=trivy-report.json
    sbom-file=trivy-report.cdx.json
    trivy-report.spdx.json
    sarif-id=
    database-age=0
    ");
    assert_eq!(scans(&step).len(), 1);
    let seen = std::fs::read_to_string(step.directory().join("tools/env")).unwrap();
    for part in ["ACTIONS_", "INPUT_", "GITHUB_"] {
        assert!(!seen.contains(part), "{seen}");
    }
    let report = std::fs::read_to_string(step.workspace().join("trivy-report.json")).unwrap();
    assert_eq!(
        report.trim(),
        REPORT,
        "the report is Trivy's own, for Copa and others"
    );
}

#[test]
fn what_a_person_reads() {
    let ran = step().run();
    let lines: Vec<_> = ran
        .log
        .lines()
        .filter(|line| line.contains("CVE-") || line.contains("fixable"))
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
    let summary: Vec<_> = ran
        .summary
        .lines()
        .filter(|line| !line.starts_with("Vulnerability database"))
        .collect();
    insta::assert_snapshot!(summary.join("\n"));
}

#[test]
fn a_rebuilt_image_has_the_same_findings() {
    let first = step();
    first.run();
    let rebuilt = REPORT
        .replace("app:1", "app:2")
        .replace("sha256:aa", "sha256:bb")
        .replace("3.5.7", "3.5.8");
    let second = step()
        .tool("trivy", &trivy(&rebuilt))
        .input("image", "localhost:5000/app:2");
    second.run();
    let (one, two) = (fingerprints(&first), fingerprints(&second));
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
fn a_finding_has_a_location_a_severity_and_a_rule() {
    let step = step();
    step.run();
    let file = sarif(&step);
    let run = &file["runs"][0];
    let place = &run["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "app/Dockerfile");
    assert_eq!(place["region"]["startLine"], 2);
    let rule = &run["tool"]["driver"]["rules"][0];
    assert_eq!(rule["properties"]["security-severity"], "8.0");
    assert_eq!(rule["properties"]["tags"][1], "external/cwe/cwe-125");
    let last = run["results"].as_array().unwrap().last().unwrap();
    assert_eq!(
        last["suppressions"][0]["justification"],
        "not reachable (.trivyignore)"
    );
}

#[test]
fn outside_github_it_is_a_command_line() {
    let step = step();
    let tools = step.directory().join("tools");
    let path = format!("{}:/usr/bin:/bin", tools.display());
    let ran = std::process::Command::new(env!("CARGO_BIN_EXE_trivy-scan"))
        .args(["--image", "app:1", "--fail-on", "high"])
        .env_clear()
        .envs([
            ("PATH", path),
            ("HOME", step.directory().join("home").display().to_string()),
        ])
        .current_dir(step.workspace())
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&ran.stdout);
    assert_eq!(ran.status.code(), Some(1), "{output}");
    assert!(!output.contains("::group"), "{output}");
    assert!(
        output.contains("high      CVE-2026-84782      openssl 3.5.7 → 3.5.9"),
        "{output}"
    );
}

#[test]
fn what_an_ignore_file_suppresses_is_reported_and_so_are_its_expired_entries() {
    let text = "# not reachable from outside\nCVE-2026-2\nCVE-2020-1 exp:2020-01-01\n";
    let step = step().file(".trivyignore", text);
    let ran = step.run();
    assert!(
        scans(&step)[0].contains("/.trivyignore "),
        "{:?}",
        scans(&step)
    );
    assert!(
        ran.log.contains("::warning::`.trivyignore`: the entry for CVE-2020-1 expired on 2020-01-01 and has no effect"),
        "{}",
        ran.log
    );
    assert!(
        ran.summary
            .contains("- CVE-2026-2 in `perl`: not reachable (.trivyignore)"),
        "{}",
        ran.summary
    );
}

#[test]
fn the_credentials_of_a_registry_are_seen_by_trivy_alone_and_gone_after() {
    let step = step()
        .input("image", "registry.example.com:5000/app:1")
        .input("registry-username", "robot")
        .input("registry-password", "p4ss");
    let ran = step.run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    let login = std::fs::read_to_string(step.directory().join("tools/login")).unwrap();
    assert_eq!(
        login,
        r#"{"auths":{"registry.example.com:5000":{"auth":"cm9ib3Q6cDRzcw=="}}}"#
    );
    let unmasked = ran
        .log
        .lines()
        .filter(|line| !line.starts_with("::add-mask::"));
    assert!(
        unmasked
            .clone()
            .all(|line| !line.contains("p4ss") && !line.contains("cm9ib3Q6cDRzcw")),
        "{}",
        ran.log
    );
    let seen = std::fs::read_to_string(step.directory().join("tools/env")).unwrap();
    let folder = seen
        .lines()
        .find_map(|line| line.strip_prefix("DOCKER_CONFIG="))
        .unwrap();
    assert!(!std::path::Path::new(folder).exists());
}

#[test]
fn several_registries_have_their_own_credentials() {
    let step = step()
        .input("image", "")
        .input("dockerfile", "")
        .input(
            "targets",
            "image ghcr.io/team/app:1\nimage quay.io/app:1\nimage debian:13",
        )
        .input("registries", "ghcr.io robot p4ss1\nquay.io other p4ss2")
        .input("registry-username", "hub")
        .input("registry-password", "p4ss3");
    let ran = step.run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    let login = std::fs::read_to_string(step.directory().join("tools/login")).unwrap();
    insta::assert_snapshot!(login, @r#"{"auths":{"ghcr.io":{"auth":"cm9ib3Q6cDRzczE="},"https://index.docker.io/v1/":{"auth":"aHViOnA0c3Mz"},"quay.io":{"auth":"b3RoZXI6cDRzczI="}}}"#);
    let unmasked = ran
        .log
        .lines()
        .filter(|line| !line.starts_with("::add-mask::"));
    assert!(
        unmasked.clone().all(|line| !line.contains("p4ss")),
        "{}",
        ran.log
    );
    let ran = step.input("registries", "").run();
    insta::assert_snapshot!(ran.error(), @"trivy-scan: input `registry-password`: is for one registry, and the images are in `ghcr.io` and `quay.io`; write a line for each into `registries`");
}

#[test]
fn outputs_that_are_lost_fail_a_step_that_passed_and_no_other() {
    let full = "output `result` could not be written, so later steps would not see it: i/o error: No space left on device (os error 28); check the disk of the runner";
    let gone = "output `result` could not be written, so later steps would not see it: GITHUB_OUTPUT points at missing file: /nonexistent/output; check the disk of the runner";
    let gate = "2 findings of severity high or worse; update what has a fixed version, or list in `ignore-file` what cannot do harm here";
    let table = [
        ("/dev/full", "none", 2, full, None),
        ("/nonexistent/output", "none", 2, gone, None),
        ("/dev/full", "high", 1, gate, Some(full)),
    ];
    for (file, fail_on, code, error, warning) in table {
        let step = step().env("GITHUB_OUTPUT", file);
        let ran = step.input("fail-on", fail_on).run();
        assert_eq!(ran.code, code, "{}", ran.log);
        assert_eq!(ran.error(), format!("trivy-scan: {error}"));
        let errors = ran.log.lines().filter(|line| line.starts_with("::error"));
        assert_eq!(errors.count(), 1, "{}", ran.log);
        let warned = warning.is_none_or(|text| ran.log.contains(&format!("::warning::{text}")));
        assert!(warned, "{}", ran.log);
        assert!(ran.summary.contains(error), "{}", ran.summary);
    }
}
