//! SARIF files of other scanners, on the wire.

use fake_github::GitHub;
use serde_json::{Value, json};
use testkit::{FakeRunner, Ran};

use crate::github::with_github;
use crate::step::step;

/// A run of `tool` with one result for each of `rules`.
fn run_of(tool: &str, rules: &[&str]) -> Value {
    let result = |rule: &&str| {
        json!({"ruleId": rule, "level": "error", "message": {"text": format!("{rule} is wrong")},
            "locations": [{"physicalLocation": {
                "artifactLocation": {"uri": "file:///home/runner/work/app/app/app/Dockerfile"},
                "region": {"startLine": 2}}}]})
    };
    let results: Vec<_> = rules.iter().map(result).collect();
    json!({"tool": {"driver": {"name": tool}}, "results": results})
}

fn file(runs: &[Value]) -> String {
    json!({"version": "2.1.0", "runs": runs}).to_string()
}

/// A step that uploads and scans nothing.
fn upload_only(step: FakeRunner) -> FakeRunner {
    step.input("image", "")
        .input("dockerfile", "")
        .tool("trivy", "exit 1")
}

/// The ids of the uploaded analyses, in the order of the uploads.
fn ids(server: &GitHub) -> Vec<Vec<String>> {
    let runs = |upload: &Value| {
        let runs = upload["sarif"]["runs"].as_array().unwrap().iter();
        runs.map(|run| run["automationDetails"]["id"].as_str().unwrap().to_owned())
            .collect()
    };
    server.uploads().iter().map(runs).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_another_scanner_is_uploaded_without_a_scan() {
    let server = GitHub::start("t").await.unwrap();
    let ran = with_github(&server, |step| {
        upload_only(step)
            .file(
                "out/grype.sarif",
                &file(&[run_of("Grype", &["CVE-1", "CVE-2"])]),
            )
            .input("sarif", "out/grype.sarif")
    })
    .await;
    assert_eq!(
        (ran.code, ran.output("result"), ran.output("sarif-results")),
        (0, "passed", "2"),
        "{}",
        ran.log
    );
    assert!(!ran.output("sarif-id").is_empty());
    assert_eq!(ran.output("sarif-file"), "");
    let uploads = server.uploads();
    let run = &uploads[0]["sarif"]["runs"][0];
    assert_eq!(
        run["automationDetails"]["id"],
        ".github/workflows/ci.yml:scan/sarif/Grype/"
    );
    let result = &run["results"][0];
    let place = &result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
    assert_eq!(place, "app/Dockerfile");
    let print = &result["partialFingerprints"]["primaryLocationLineHash"];
    assert!(
        print.as_str().is_some_and(|print| print.ends_with(":1")),
        "{print}"
    );
    insta::assert_snapshot!(ran.summary);
}

#[tokio::test(flavor = "multi_thread")]
async fn globs_find_files_and_each_analysis_has_its_own_category() {
    let server = GitHub::start("t").await.unwrap();
    let mut own = run_of("Semgrep", &["R"]);
    own["automationDetails"] = json!({"id": "semgrep/nightly"});
    let ran = with_github(&server, |step| {
        upload_only(step)
            .file("out/a.sarif", &file(&[run_of("Grype", &["A"])]))
            .file(
                "out/b.sarif",
                &file(&[run_of("Grype", &["B"]), own.clone()]),
            )
            .file("out/deep/c.sarif", &file(&[run_of("Grype", &["C"])]))
            .file("out/d.json", "{}")
            .input("matrix", r#"{"os": "ubuntu"}"#)
            .input("sarif", "out/*.sarif\nout/a.sarif")
    })
    .await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let job = ".github/workflows/ci.yml:scan/os:ubuntu/sarif/Grype";
    let expected = [
        format!("{job}/"),
        format!("{job}-2/"),
        "semgrep/os:ubuntu/nightly".to_owned(),
    ];
    assert_eq!(ids(&server), [expected.to_vec()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_twenty_analyses_are_uploaded_in_several_files() {
    let server = GitHub::start("t").await.unwrap();
    let runs: Vec<_> = (0..45)
        .map(|at| run_of(&format!("t{at}"), &["A"]))
        .collect();
    let ran = with_github(&server, |step| {
        upload_only(step)
            .file("all.sarif", &file(&runs))
            .input("sarif", "all.sarif")
    })
    .await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let sizes: Vec<_> = ids(&server).iter().map(Vec::len).collect();
    assert_eq!(sizes, [20, 20, 5]);
    assert_eq!(ran.output("sarif-id").lines().count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_and_a_file_are_both_uploaded() {
    let server = GitHub::start("t").await.unwrap();
    let secret = run_of("Grype", &["p4ssw0rd-of-the-registry"]);
    let ran = with_github(&server, |step| {
        step.file("grype.sarif", &file(&[secret]))
            .input("sarif", "grype.sarif")
            .input("registry-username", "me")
            .input("registry-password", "p4ssw0rd-of-the-registry")
            .input("image", "registry.example/app:1")
    })
    .await;
    assert_eq!((ran.code, ran.output("total")), (0, "3"), "{}", ran.log);
    assert_eq!(server.uploads().len(), 2);
    assert_eq!(ran.output("sarif-id").lines().count(), 2);
    assert!(!server.uploads()[1].to_string().contains("p4ssw0rd"));
    let parts = ["## 🔎 Trivy", "## SARIF files: 1 result (1 error)"];
    for part in parts {
        assert!(ran.summary.contains(part), "{}", ran.summary);
    }
}

fn refused(change: impl FnOnce(FakeRunner) -> FakeRunner) -> Ran {
    let ran = change(step()).run();
    assert_eq!(
        (ran.code, ran.output("result")),
        (3, "error"),
        "{}",
        ran.log
    );
    ran
}

#[test]
fn what_is_not_a_sarif_file_is_bad_input() {
    let table = [
        ("no.sarif", "there is no `no.sarif` in the workspace"),
        (
            "no/*.sarif",
            "`no/*.sarif` matches no file in the workspace",
        ),
        ("app", "`app` is a directory without a file `*.sarif`"),
        ("../x.sarif", "`../x.sarif` must not contain `..`"),
        ("[", "`[`: unclosed character class; missing ']'"),
        (
            "app/Dockerfile",
            "`app/Dockerfile` is not a SARIF file: expected value at line 1 column 1",
        ),
        (
            "old.sarif",
            "`old.sarif` has the SARIF version 1.0.0; GitHub accepts 2.1.0 only",
        ),
    ];
    for (sarif, problem) in table {
        let old = r#"{"version": "1.0.0", "runs": []}"#;
        let ran = refused(|step| {
            upload_only(step)
                .file("old.sarif", old)
                .input("sarif", sarif)
        });
        assert!(
            ran.error().contains(&format!("input `sarif`: {problem}")),
            "{}",
            ran.error()
        );
    }
    let valid = file(&[run_of("Grype", &["A"])]);
    let ran = refused(|step| {
        upload_only(step)
            .file("a.sarif", &valid)
            .input("sarif", "a.sarif")
            .input("fail-on", "high")
    });
    assert!(
        ran.error()
            .contains("input `fail-on`: has nothing to decide on"),
        "{}",
        ran.error()
    );
    let ran = refused(|step| {
        upload_only(step)
            .file("a.sarif", &valid)
            .input("sarif", "a.sarif")
            .input("upload", "false")
    });
    assert!(
        ran.error()
            .contains("input `sarif`: is there to be uploaded"),
        "{}",
        ran.error()
    );
}

#[test]
fn without_a_token_the_results_are_in_the_summary() {
    let ran = upload_only(step())
        .file("a.sarif", &file(&[run_of("Grype", &["A"])]))
        .input("sarif", ".")
        .run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    assert!(
        ran.log
            .contains("::notice::the files of `sarif` are not uploaded"),
        "{}",
        ran.log
    );
    assert!(ran.summary.contains("1 result (1 error)"));
}
