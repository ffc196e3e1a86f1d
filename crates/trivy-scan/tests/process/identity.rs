//! Alerts that an earlier version uploaded stay the same.

use actions_toolkit::Redactor;
use fake_github::{Account, GitHub};
use findings::{Locator, SourceFiles, from_report};
use github::{Client, CompressedSarif, Revision};
use serde_json::{Value, json};
use testkit::{FakeRunner, Fault};

use crate::github::{pull_request, with_github};
use crate::step::trivy;

/// The report of an image with this version of a package whose path has the version.
fn report(version: &str) -> Value {
    let file = format!("usr/lib/python3.12/site-packages/jinja2-{version}.dist-info/METADATA");
    let vulnerable = json!({"VulnerabilityID": "CVE-2025-27516", "PkgName": "Jinja2", "InstalledVersion": version, "PkgPath": file, "Severity": "HIGH"});
    let result = json!({"Target": "Python", "Class": "lang-pkgs", "Type": "python-pkg", "Vulnerabilities": [vulnerable]});
    json!({"SchemaVersion": 2, "ArtifactName": "app:1", "ArtifactType": "container_image", "Results": [result]})
}

/// The fingerprints of the finding in `report`: its own, and that of an earlier version.
fn fingerprints(report: &Value) -> (String, String) {
    let report = serde_json::from_value(report.clone()).unwrap();
    let source = SourceFiles::default();
    let finding = from_report(report, &Locator::new("app", "", &source)).remove(0);
    (finding.fingerprint, finding.former_fingerprint.unwrap())
}

fn with_report(step: FakeRunner, report: &Value) -> FakeRunner {
    step.tool("trivy", &trivy(&report.to_string()))
}

/// The fingerprint in the last upload.
fn last_uploaded(server: &GitHub) -> String {
    let uploads = server.uploads();
    let result = &uploads.last().unwrap()["sarif"]["runs"][0]["results"][0];
    let print = &result["partialFingerprints"]["primaryLocationLineHash"];
    print.as_str().unwrap().to_owned()
}

/// A server whose main branch has the upload of an earlier version for `report`.
async fn of_earlier_version(report: &Value) -> GitHub {
    let server = GitHub::start("t").await.unwrap();
    let ran = with_github(&server, |step| with_report(step, report)).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let mut file = server.uploads()[0]["sarif"].clone();
    let (own, former) = fingerprints(report);
    assert_eq!(last_uploaded(&server), own, "a new category has its own");
    let prints = &mut file["runs"][0]["results"][0]["partialFingerprints"];
    prints["primaryLocationLineHash"] = former.into();

    let server = GitHub::start("t").await.unwrap();
    let revision = Revision {
        sha: "0123456789abcdef0123456789abcdef01234567".into(),
        git_ref: "refs/heads/main".into(),
    };
    let http = http_client::Client::new().unwrap();
    let client = Client::new(http, &server.url(), "octo-org/app", "t").unwrap();
    let packed = CompressedSarif::new(file.to_string().as_bytes(), &Redactor::default()).unwrap();
    let upload = client.code_scanning().upload(&packed, &revision).await;
    upload.unwrap();
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_of_an_earlier_version_stays_one_with_its_dismissal() {
    let old = report("3.1.2");
    let (own, former) = fingerprints(&old);
    let server = of_earlier_version(&old).await;
    let person = Account::user("mona", 7);
    server.dismiss(&person, "CVE-2025-27516", "won't fix", "no sandbox");
    for _push in 0..2 {
        let ran = with_github(&server, |step| with_report(step, &old)).await;
        assert_eq!(ran.code, 0, "{}", ran.log);
        assert_eq!(last_uploaded(&server), former);
    }
    // A pull request has no analysis yet: it follows its base, where the finding is accepted.
    let ran = with_github(&server, |step| {
        pull_request(with_report(step, &old)).input("fail-on", "high")
    })
    .await;
    assert_eq!((ran.code, ran.output("new")), (0, "0"), "{}", ran.log);
    let accepted = "1 finding dismissed on GitHub: accepted by the gate";
    assert!(ran.log.contains(accepted), "{}", ran.log);
    assert_eq!(last_uploaded(&server), former);

    // With the next version its path is another one, which an earlier version took for another finding.
    let updated = report("3.1.3");
    let ran = with_github(&server, |step| with_report(step, &updated)).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    assert_eq!(last_uploaded(&server), own);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_uploaded_while_it_is_unknown_which_alerts_there_are() {
    let report = report("3.1.2");
    let server = of_earlier_version(&report).await;
    let uploads = server.uploads().len();
    let malformed = r#"{"message": "Validation Failed"}"#;
    server.expect(Fault::new("/code-scanning/analyses", 422, malformed));
    let ran = with_github(&server, |step| with_report(step, &report)).await;
    assert_eq!(ran.code, 2, "{}", ran.log);
    let message = "they are not uploaded, since that could open dismissed alerts again";
    assert!(ran.error().contains(message), "{}", ran.error());
    assert!(ran.summary.contains("1 high"), "{}", ran.summary);
    assert_eq!(server.uploads().len(), uploads);

    // A token that may not read may not upload either, which is not a failure.
    let refusal = r#"{"message": "Resource not accessible by integration"}"#;
    server.expect(Fault::new("/code-scanning/analyses", 403, refusal));
    server.expect(Fault::new("/sarifs", 403, refusal));
    let ran = with_github(&server, |step| with_report(step, &report)).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
}
