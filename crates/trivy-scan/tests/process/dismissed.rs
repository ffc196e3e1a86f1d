//! Alerts that a person has dismissed on the base branch.

use fake_github::{Account, GitHub};
use testkit::{FakeRunner, Fault, Ran};

use crate::github::{pull_request, with_github};

/// A server whose main branch was scanned, and whose two high findings are dismissed.
async fn dismissed() -> GitHub {
    let server = GitHub::start("t").await.unwrap();
    with_github(&server, |step| step).await;
    let person = Account::user("mona", 7);
    server.dismiss(&person, "CVE-2026-84782", "won't fix", "DTLS is not <used>");
    server
}

/// A pull request that high findings fail.
async fn gated(server: &GitHub, change: impl FnOnce(FakeRunner) -> FakeRunner) -> Ran {
    with_github(server, |step| {
        change(pull_request(step.input("fail-on", "high")))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gate_accepts_a_dismissed_alert_and_names_who_and_why() {
    let server = dismissed().await;
    let ran = gated(&server, |step| step).await;
    assert_eq!((ran.code, ran.output("total")), (0, "3"), "{}", ran.log);
    let message = "2 findings dismissed on GitHub: accepted by the gate";
    assert!(ran.log.contains(message), "{}", ran.log);
    let at = ran.summary.find("<details><summary>2 dismissed").unwrap();
    let listed: Vec<_> = ran.summary[at..].lines().take(5).collect();
    insta::assert_snapshot!(listed.join("\n"), @r"
    <details><summary>2 dismissed on GitHub, accepted by the gate</summary>

    - CVE-2026-84782 in `libssl3t64`: won't fix: DTLS is not &lt;used&gt; by `mona` (alert 1)
    - CVE-2026-84782 in `openssl`: won't fix: DTLS is not &lt;used&gt; by `mona` (alert 2)
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gate_counts_dismissed_alerts_if_that_is_requested() {
    let server = dismissed().await;
    let ran = gated(&server, |step| step.input("fail-on-dismissed", "true")).await;
    assert_eq!(ran.code, 1, "{}", ran.log);
    let requests = server.journal();
    assert!(!requests.iter().any(|r| r.contains("/code-scanning/alerts")));
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_are_read_only_where_the_gate_would_fail() {
    let server = dismissed().await;
    let ran = gated(&server, |step| step.input("fail-on", "critical")).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let requests = server.journal();
    assert!(!requests.iter().any(|r| r.contains("/code-scanning/alerts")));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_finding_still_fails() {
    let server = dismissed().await;
    let ran = gated(&server, |step| step.input("fail-on", "low")).await;
    assert_eq!(ran.code, 1, "{}", ran.log);
    assert!(ran.error().contains(": 1 finding of"), "{}", ran.error());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_may_not_read_alerts_is_reported_and_they_count() {
    let server = dismissed().await;
    let refusal = r#"{"message": "Resource not accessible by integration"}"#;
    server.expect(Fault::new("/code-scanning/alerts", 403, refusal));
    let ran = gated(&server, |step| step).await;
    assert_eq!(ran.code, 1, "{}", ran.log);
    let message = "::warning::dismissed alerts count like open ones: the token may not read them";
    assert!(ran.log.contains(message), "{}", ran.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_fails_once_is_no_verdict_on_the_code() {
    let server = dismissed().await;
    server.expect(Fault::new("/code-scanning/alerts", 502, "<html>"));
    let ran = gated(&server, |step| step).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
}
