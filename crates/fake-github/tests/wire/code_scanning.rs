//! SARIF files, analyses and alerts.

use std::io::Write as _;

use fake_github::GitHub;
use flate2::{Compression, write::GzEncoder};
use reqwest::Method;
use serde_json::{Value, json};

use super::{REPOSITORY, TOKEN, call, client, get, post, refused};

/// A file of `tool` in `category` with a finding per rule.
fn file(tool: &str, category: &str, rules: &[&str]) -> Value {
    let results: Vec<_> = rules
        .iter()
        .map(|rule| {
            json!({
                "ruleId": rule, "level": "error", "message": {"text": format!("{rule} in openssl")},
                "locations": [{"physicalLocation": {
                    "artifactLocation": {"uri": "Dockerfile"},
                    "region": {"startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 1},
                }}],
                "partialFingerprints": {"primaryLocationLineHash": format!("{rule}:1")},
            })
        })
        .collect();
    let described: Vec<_> = rules
        .iter()
        .map(|rule| {
            let text = json!({"text": rule});
            json!({
                "id": rule, "shortDescription": text, "fullDescription": text, "help": text,
                "properties": {"security-severity": "9.8"},
            })
        })
        .collect();
    json!({"version": "2.1.0", "runs": [{
        "tool": {"driver": {"name": tool, "rules": described}},
        "automationDetails": {"id": format!("{category}/")},
        "results": results,
    }]})
}

fn request(sarif: &Value) -> Value {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(sarif.to_string().as_bytes()).unwrap();
    let sarif = testkit::base64(&packed.finish().unwrap());
    json!({"commit_sha": "a".repeat(40), "ref": "refs/heads/main", "sarif": sarif})
}

async fn upload(server: &GitHub, sarif: &Value) -> String {
    let response = post(server, "/code-scanning/sarifs", request(sarif)).await;
    response["id"].as_str().unwrap().to_owned()
}

/// The rules of the alerts in a state, in the order of their numbers.
async fn rules(server: &GitHub, state: &str) -> Vec<String> {
    let found = get(server, &format!("/code-scanning/alerts?state={state}")).await;
    let found = found.as_array().unwrap().iter().rev();
    found
        .map(|alert| alert["rule"]["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_file_is_pending_then_complete() {
    let server = GitHub::start(TOKEN).await.unwrap();
    server.pending(1);
    let id = upload(&server, &file("Trivy", "app", &["CVE-1"])).await;
    let status = format!("/code-scanning/sarifs/{id}");
    assert_eq!(get(&server, &status).await["processing_status"], "pending");
    let done = get(&server, &status).await;
    assert_eq!(done["processing_status"], "complete");
    let analyses = done["analyses_url"].as_str().unwrap();
    let analyses = client().get(analyses).bearer_auth(TOKEN).send().await;
    let analyses: Value = analyses.unwrap().json().await.unwrap();
    assert_eq!(analyses[0]["sarif_id"], id);
    assert_eq!(analyses[0]["results_count"], 1);
    let unknown = call(&server, Method::GET, "/code-scanning/sarifs/none", None).await;
    assert_eq!(unknown.status(), 404);
}

#[tokio::test]
async fn a_file_that_breaks_the_rules_fails_with_errors() {
    let server = GitHub::start(TOKEN).await.unwrap();
    let mut bad = file("Trivy", "app", &["CVE-1"]);
    bad["version"] = json!("1.0.0");
    let id = upload(&server, &bad).await;
    let status = get(&server, &format!("/code-scanning/sarifs/{id}")).await;
    assert_eq!(status["processing_status"], "failed");
    let error = status["errors"][0].as_str().unwrap();
    assert!(error.contains("its version is not 2.1.0"), "{error}");
    let none = call(&server, Method::GET, "/code-scanning/alerts", None).await;
    assert_eq!(refused(none).await, (404, "no analysis found".into()));
}

#[tokio::test]
async fn a_request_that_is_not_described_is_refused() {
    let server = GitHub::start(TOKEN).await.unwrap();
    for (field, value) in [("commit_sha", json!("short")), ("ref", json!("main"))] {
        let mut body = request(&file("Trivy", "app", &[]));
        body[field] = value;
        let response = call(&server, Method::POST, "/code-scanning/sarifs", Some(body)).await;
        let (status, message) = refused(response).await;
        assert_eq!(status, 422);
        assert!(message.contains(field), "{message}");
    }
    assert!(server.uploads().is_empty());
}

#[tokio::test]
async fn an_analysis_is_given_as_sarif() {
    let server = GitHub::start(TOKEN).await.unwrap();
    upload(&server, &file("Trivy", "app", &["CVE-1"])).await;
    let id = get(&server, "/code-scanning/analyses").await[0]["id"].clone();
    let path = format!("{REPOSITORY}/code-scanning/analyses/{id}");
    let request = client()
        .get(format!("{}{path}", server.url()))
        .bearer_auth(TOKEN)
        .header("accept", "application/sarif+json");
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/sarif+json");
    let sarif: Value = response.json().await.unwrap();
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "CVE-1");
    assert_eq!(result["properties"]["github/alertNumber"], 1);
    assert_eq!(sarif["runs"][0]["automationDetails"]["id"], "app/");
}

#[tokio::test]
async fn an_alert_opens_closes_and_opens_again() {
    let server = GitHub::start(TOKEN).await.unwrap();
    upload(&server, &file("Trivy", "app", &["CVE-1", "CVE-2"])).await;
    assert_eq!(rules(&server, "open").await, ["CVE-1", "CVE-2"]);
    upload(&server, &file("Trivy", "app", &["CVE-2"])).await;
    assert_eq!(rules(&server, "open").await, ["CVE-2"]);
    assert_eq!(rules(&server, "fixed").await, ["CVE-1"]);
    upload(&server, &file("Trivy", "app", &["CVE-1", "CVE-2"])).await;
    let open = get(&server, "/code-scanning/alerts?state=open").await;
    let numbers: Vec<_> = open
        .as_array()
        .unwrap()
        .iter()
        .map(|a| &a["number"])
        .collect();
    assert_eq!(numbers, [2, 1], "it keeps its number");
    assert_eq!(open[0]["rule"]["security_severity_level"], "critical");
}

#[tokio::test]
async fn what_follows_the_last_slash_is_no_category() {
    let server = GitHub::start(TOKEN).await.unwrap();
    upload(&server, &file("Trivy", "app", &["CVE-1", "CVE-2"])).await;
    let mut later = file("Trivy", "app", &["CVE-2"]);
    later["runs"][0]["automationDetails"]["id"] = json!("app/patched");
    upload(&server, &later).await;
    assert_eq!(rules(&server, "fixed").await, ["CVE-1"]);
    let analyses = get(&server, "/code-scanning/analyses").await;
    assert_eq!(
        [&analyses[0]["category"], &analyses[1]["category"]],
        ["app", "app"]
    );

    // One file may not have both.
    let both = json!([later["runs"][0], file("Trivy", "app", &[])["runs"][0]]);
    later["runs"] = both;
    let id = upload(&server, &later).await;
    let status = get(&server, &format!("/code-scanning/sarifs/{id}")).await;
    assert_eq!(status["processing_status"], "failed");
}

#[tokio::test]
async fn a_suppression_closes_nothing() {
    let server = GitHub::start(TOKEN).await.unwrap();
    let mut suppressed = file("Trivy", "app", &["CVE-1"]);
    suppressed["runs"][0]["results"][0]["suppressions"] = json!([{"kind": "external"}]);
    upload(&server, &suppressed).await;
    assert_eq!(rules(&server, "open").await, ["CVE-1"]);
}

#[tokio::test]
async fn tools_and_categories_do_not_close_each_others_alerts() {
    let server = GitHub::start(TOKEN).await.unwrap();
    upload(&server, &file("Trivy", "app", &["CVE-1"])).await;
    upload(&server, &file("Trivy", "base", &["CVE-1"])).await;
    upload(&server, &file("Clippy", "app", &["lint"])).await;
    upload(&server, &file("Trivy", "base", &[])).await;
    assert_eq!(rules(&server, "open").await, ["CVE-1", "lint"]);
    assert_eq!(rules(&server, "fixed").await, ["CVE-1"]);
}

#[tokio::test]
async fn an_alert_is_dismissed_and_opened_again() {
    let server = GitHub::start(TOKEN).await.unwrap();
    upload(&server, &file("Trivy", "image/app", &["CVE-1", "CVE-2"])).await;
    let update = async |number: u32, body: Value| {
        let path = format!("/code-scanning/alerts/{number}");
        call(&server, Method::PATCH, &path, Some(body)).await
    };
    let reason = json!({"state": "dismissed", "dismissed_reason": "won't fix", "dismissed_comment": "not reachable"});
    let response = update(1, reason.clone()).await;
    let alert: Value = response.json().await.unwrap();
    assert_eq!(alert["dismissed_by"]["login"], "octocat");
    assert_eq!(rules(&server, "dismissed").await, ["CVE-1"]);
    assert_eq!(rules(&server, "open").await, ["CVE-2"]);
    // The next analysis leaves the decision.
    upload(&server, &file("Trivy", "image/app", &["CVE-1"])).await;
    assert_eq!(rules(&server, "dismissed").await, ["CVE-1"]);
    update(1, json!({"state": "open"})).await;
    assert_eq!(rules(&server, "open").await, ["CVE-1"]);
    let (status, _) = refused(update(9, reason).await).await;
    assert_eq!(status, 404);
    let (status, message) = refused(update(1, json!({"state": "dismissed"})).await).await;
    assert_eq!(
        (status, message.contains("dismissed_reason")),
        (400, true),
        "{message}"
    );
    let (status, _) = refused(update(1, json!({"state": "accepted"})).await).await;
    assert_eq!(status, 422);
}
