//! The pages for people.

use fake_github::GitHub;

use super::{TOKEN, client, post};

#[tokio::test]
async fn the_security_page_shows_alerts() {
    let server = GitHub::start(TOKEN).await.unwrap();
    let sarif = r#"{"version": "2.1.0", "runs": [{
        "tool": {"driver": {"name": "Trivy", "rules": [{"id": "CVE-1", "shortDescription": {"text": "A <b>bad</b> hole"},
            "fullDescription": {"text": "A hole"}, "help": {"text": "Update it"},
            "properties": {"security-severity": "9.8"}}]}},
        "results": [{"ruleId": "CVE-1", "message": {"text": "update it"},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": "Dockerfile"}, "region": {"startLine": 1}}}],
            "partialFingerprints": {"primaryLocationLineHash": "1"}}]}]}"#;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, sarif.as_bytes()).unwrap();
    let sarif = testkit::base64(&packed.finish().unwrap());
    let request =
        serde_json::json!({"commit_sha": "a".repeat(40), "ref": "refs/heads/main", "sarif": sarif});
    post(&server, "/code-scanning/sarifs", request).await;
    let page = client().get(format!("{}/security", server.url())).send();
    let page = page.await.unwrap().text().await.unwrap();
    for shown in [
        "A &lt;b&gt;bad&lt;/b&gt; hole",
        "Trivy",
        "1 critical",
        "Dockerfile",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
}
