//! What a pull request is compared with: what its base branch had before a patch.

use actions_toolkit::Redactor;
use fake_github::GitHub;
use github::{Client, CompressedSarif, Revision};
use serde_json::json;
use testkit::{FakeRunner, Fault, Ran};

use crate::github::{pull_request, with_github};
use crate::step::trivy_that;

const CATEGORY: &str = ".github/workflows/ci.yml:scan/image/app";

/// The upload of `copacetic-patch` after the scan of a push: in the scan's category, with the last of its findings.
async fn patched(server: &GitHub) {
    let uploads = server.uploads();
    let mut file = uploads.last().unwrap()["sarif"].clone();
    let run = &mut file["runs"][0];
    let id = format!("{CATEGORY}/{}", findings::sarif::PATCHED);
    run["automationDetails"]["id"] = json!(id);
    let left = run["results"].as_array_mut().unwrap().pop().unwrap();
    run["results"] = json!([left]);
    let revision = Revision {
        sha: "0123456789abcdef0123456789abcdef01234567".into(),
        git_ref: "refs/heads/main".into(),
    };
    let http = http_client::Client::new().unwrap();
    let client = Client::new(http, &server.url(), "octo-org/app", "t").unwrap();
    let packed = CompressedSarif::new(file.to_string().as_bytes(), &Redactor::default()).unwrap();
    let upload = client.code_scanning().upload(&packed, &revision).await;
    upload.unwrap();
}

/// A pull request that what is new in it fails.
async fn gated(server: &GitHub, change: impl FnOnce(FakeRunner) -> FakeRunner) -> Ran {
    with_github(server, |step| {
        let step = step
            .input("fail-on", "low")
            .input("fail-on-new-only", "true");
        change(pull_request(step))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_that_a_patch_of_the_base_branch_fixed_are_not_new() {
    let server = GitHub::start("t").await.unwrap();
    for _push in 0..2 {
        with_github(&server, |step| step).await;
        patched(&server).await;
    }
    let ran = gated(&server, |step| step).await;
    assert_eq!(
        (ran.code, ran.output("new"), ran.output("fixed")),
        (0, "0", "0"),
        "{}",
        ran.log
    );
    let message =
        format!("{CATEGORY} is compared with the analysis of `main` before its image was patched");
    assert!(ran.log.contains(&message), "{}", ran.log);
    let read = server.journal();
    let read = read.iter().filter(|r| r.contains("/analyses/")).count();
    assert_eq!(read, 2, "the patched one, and the one before");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_analysis_before_the_patch_a_warning_is_logged() {
    let server = GitHub::start("t").await.unwrap();
    with_github(&server, |step| step).await;
    for _patch in 0..6 {
        patched(&server).await;
    }
    let ran = gated(&server, |step| step).await;
    assert_eq!((ran.code, ran.output("new")), (1, "2"), "{}", ran.log);
    let message = format!(
        "::warning::the newest analyses of `main` in the category {CATEGORY} are of its patched image, so findings that the patch fixed count as new"
    );
    assert!(ran.log.contains(&message), "{}", ran.log);
    let read = server.journal();
    let read = read.iter().filter(|r| r.contains("/analyses/")).count();
    assert_eq!(read, 5, "after some, they are all alike");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_jobs_need_one_category() {
    let server = GitHub::start("t").await.unwrap();
    let deploy = |step: FakeRunner| step.env("GITHUB_JOB", "deploy");
    with_github(&server, deploy).await;
    let apart = gated(&server, |step| step).await;
    assert_eq!((apart.code, apart.output("new")), (1, ""), "{}", apart.log);
    let message = format!(
        "the Security tab has no analysis of `main` in the category {CATEGORY}, but one in .github/workflows/ci.yml:deploy/image/app; give both jobs the same `category`"
    );
    assert!(apart.log.contains(&message), "{}", apart.log);

    let one = |step: FakeRunner| step.input("category", "flask-app");
    with_github(&server, |step| one(deploy(step))).await;
    let ran = gated(&server, one).await;
    assert_eq!((ran.code, ran.output("new")), (0, "0"), "{}", ran.log);
}

/// A run for another event of a change that goes into `main`.
fn event(step: FakeRunner, name: &str, git_ref: &str, payload: &serde_json::Value) -> FakeRunner {
    let path = step.directory().join("event.json");
    std::fs::write(&path, payload.to_string()).unwrap();
    step.env("GITHUB_EVENT_NAME", name)
        .env("GITHUB_EVENT_PATH", &path.to_string_lossy())
        .env("GITHUB_REF", git_ref)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_that_has_a_base_is_compared_with_it() {
    let server = GitHub::start("t").await.unwrap();
    with_github(&server, |step| step).await;
    let uploads = server.uploads().len();
    let queue = "refs/heads/gh-readonly-queue/main/pr-7-a";
    let table = [
        (
            "merge_group",
            queue,
            json!({"merge_group": {"base_ref": "refs/heads/main"}}),
        ),
        (
            "pull_request_target",
            "refs/heads/main",
            json!({"pull_request": {"number": 7, "base": {"ref": "main"}, "head": {"sha": "b".repeat(40)}}}),
        ),
        (
            "workflow_dispatch",
            "refs/heads/topic",
            json!({"repository": {"default_branch": "main"}}),
        ),
    ];
    for (name, git_ref, payload) in table {
        let ran = with_github(&server, |step| {
            let step = step
                .input("fail-on", "low")
                .input("fail-on-new-only", "true");
            event(step, name, git_ref, &payload)
        })
        .await;
        assert_eq!(
            (ran.code, ran.output("new")),
            (0, "0"),
            "{name}: {}",
            ran.log
        );
        if name == "merge_group" {
            assert_eq!(
                server.uploads().len(),
                uploads,
                "main's alerts stay as they are"
            );
            let message = "::notice::the findings are not uploaded: an entry of a merge queue changes no branch";
            assert!(ran.log.contains(message), "{}", ran.log);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_baseline_that_cannot_be_read_is_no_verdict() {
    let server = GitHub::start("t").await.unwrap();
    with_github(&server, |step| step).await;
    let refusal = r#"{"message": "Resource not accessible by integration"}"#;
    server.expect(Fault::new("/code-scanning/analyses", 403, refusal));
    let ran = gated(&server, |step| step).await;
    assert_eq!(ran.code, 2, "{}", ran.log);
    let error = ran.error();
    assert!(
        error.contains("without which `fail-on-new-only` has no verdict"),
        "{error}"
    );
    // Without the gate it is a remark.
    server.expect(Fault::new("/code-scanning/analyses", 403, refusal));
    let ran = with_github(&server, pull_request).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    assert!(ran.log.contains("are unknown: "), "{}", ran.log);
}

/// What GitHub responds with while it is busy or failing, and how long it asks to wait.
const TRANSIENT: [(u16, &str, Option<&str>); 2] = [
    (502, "<html>", None),
    (
        429,
        r#"{"message": "You have exceeded a secondary rate limit."}"#,
        Some("1"),
    ),
];

fn transient(status: u16, body: &str, wait: Option<&str>) -> Fault {
    let fault = Fault::new("/code-scanning/analyses", status, body);
    match wait {
        Some(seconds) => fault.header("retry-after", seconds),
        None => fault,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_baseline_that_github_fails_to_give_once_is_requested_again() {
    let server = GitHub::start("t").await.unwrap();
    with_github(&server, |step| step).await;
    for (status, body, wait) in TRANSIENT {
        server.expect(transient(status, body, wait));
        let ran = gated(&server, |step| step).await;
        assert_eq!(
            (ran.code, ran.output("new")),
            (0, "0"),
            "{status}: {}",
            ran.log
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_baseline_that_github_keeps_failing_to_give_is_no_verdict() {
    let server = GitHub::start("t").await.unwrap();
    with_github(&server, |step| step).await;
    for (status, body, wait) in TRANSIENT {
        // A wait of an hour is not waited for.
        let wait = wait.map(|_| "3600");
        let attempts = if wait.is_some() { 1 } else { 4 };
        for _attempt in 0..attempts {
            server.expect(transient(status, body, wait));
        }
        let ran = gated(&server, |step| step).await;
        assert_eq!(
            (ran.code, ran.output("result")),
            (2, "error"),
            "{status}: {}",
            ran.log
        );
        let message = "without which `fail-on-new-only` has no verdict";
        assert!(ran.error().contains(message), "{}", ran.error());
        assert!(!ran.log.contains("new finding"), "{}", ran.log);
    }
}

/// A step whose Trivy reports 30,000 packages of low severity, more than GitHub stores of one analysis, and `others`.
fn with_many(step: FakeRunner, others: &[(&str, &str)]) -> FakeRunner {
    let low = (0..30_000).map(|number| (format!("p{number:05}"), "LOW"));
    let others = others
        .iter()
        .map(|(name, severity)| ((*name).to_owned(), *severity));
    let vulnerabilities: Vec<_> = low
        .chain(others)
        .map(|(name, severity)| json!({"VulnerabilityID": format!("CVE-2026-{severity}"), "PkgName": name, "InstalledVersion": "1", "Severity": severity}))
        .collect();
    let result = json!({"Target": "app:1 (debian 13)", "Class": "os-pkgs", "Type": "debian", "Vulnerabilities": vulnerabilities});
    let report = json!({"SchemaVersion": 2, "ArtifactName": "app:1", "Results": [result]});
    let file = step.directory().join("report.json");
    std::fs::write(&file, report.to_string()).unwrap();
    step.tool(
        "trivy",
        &trivy_that(&format!("*) cat '{}' ;;", file.display())),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_baseline_that_was_cut_makes_nothing_new_that_it_had_no_room_for() {
    let server = GitHub::start("t").await.unwrap();
    let ran = with_github(&server, |step| with_many(step, &[])).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let stored = server.uploads()[0]["sarif"]["runs"][0]["results"].clone();
    assert_eq!(stored.as_array().unwrap().len(), findings::sarif::RESULTS);

    let ran = gated(&server, |step| with_many(step, &[])).await;
    assert_eq!(
        (ran.code, ran.output("new"), ran.output("fixed")),
        (0, "0", "0"),
        "{}",
        ran.error()
    );
    let remark = "has no room for all of its findings, so it is unknown whether 5000 findings of the lowest severities are new";
    assert!(ran.log.contains(remark), "{remark}");

    // What it would have had room for is new.
    let ran = gated(&server, |step| with_many(step, &[("worse", "MEDIUM")])).await;
    assert_eq!((ran.code, ran.output("new")), (1, "1"), "{}", ran.error());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_analyses_without_an_end_is_no_verdict() {
    let server = GitHub::start("t").await.unwrap();
    let others: Vec<_> = (0..100)
        .map(|id| json!({"id": id, "category": "web"}))
        .collect();
    let full = || {
        for _page in 0..50 {
            let body = json!(others).to_string();
            server.expect(Fault::new("/code-scanning/analyses?", 200, &body));
        }
    };
    full();
    let ran = gated(&server, |step| step).await;
    assert_eq!(
        (ran.code, ran.output("result")),
        (2, "error"),
        "{}",
        ran.log
    );
    let reason = format!(
        "none of the newest 5000 analyses of `main` is in the category {CATEGORY}, and older ones are not read; scan `main` again, or set `baseline` to a SARIF file, a checkout or an image of it"
    );
    let message = format!("without which `fail-on-new-only` has no verdict: {reason}");
    assert!(ran.error().contains(&message), "{}", ran.error());
    // Without the gate it is a remark.
    full();
    let ran = with_github(&server, pull_request).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let remark = format!("are unknown: {reason}");
    assert!(ran.log.contains(&remark), "{}", ran.log);
}
