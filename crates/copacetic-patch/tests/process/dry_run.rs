//! A dry run shows what would be patched, and changes nothing.

use serde_json::{Value, json};
use testkit::{FakeDocker, FakeRunner, Ran, Recorder};

use crate::bench::exited;
use crate::step;
use crate::whole_registry::{Content, whole};

const DATE: &str = "2026-11-28T00:00:00Z";
/// A finding that an update fixes.
const FIXABLE: &str = r#"{"SchemaVersion": 2, "ArtifactName": "app", "ArtifactType": "container_image", "Metadata": {"OS": {"Family": "debian", "Name": "13"}}, "Results": [{"Target": "app", "Class": "os-pkgs", "Type": "debian", "Packages": [{"Name": "perl", "Version": "5"}], "Vulnerabilities": [{"VulnerabilityID": "CVE-2099-0001", "PkgName": "perl", "InstalledVersion": "5", "FixedVersion": "6", "Severity": "HIGH", "Title": "a title"}]}]}"#;

struct Done {
    ran: Ran,
    results: Value,
    registry: Recorder,
    docker: FakeDocker,
}

async fn run(content: Content, change: impl FnOnce(FakeRunner) -> FakeRunner) -> Done {
    let registry = Recorder::start(move |seen| content.respond(seen));
    let registry = registry.await.unwrap();
    let docker = FakeDocker::with("other:1");
    let step = change(whole(&docker, &registry).input("dry-run", "true"));
    let results = step.workspace().join("results.json");
    let ran = tokio::task::spawn_blocking(move || (step.run(), step)).await;
    let (ran, _step) = ran.unwrap();
    let results = std::fs::read(results).unwrap_or_else(|_| b"null".to_vec());
    Done {
        ran,
        results: serde_json::from_slice(&results).unwrap(),
        registry,
        docker,
    }
}

fn changed_nothing(done: &Done) {
    let is_write = |line: &String| !line.starts_with("GET ") && !line.starts_with("HEAD ");
    let to_registry = done.registry.seen().into_iter().map(|seen| seen.line);
    let to_registry: Vec<_> = to_registry.filter(is_write).collect();
    assert_eq!(to_registry, Vec::<String>::new());
    let to_docker = done.docker.requests().into_iter();
    let to_docker: Vec<_> = to_docker.filter(is_write).collect();
    assert_eq!(to_docker, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_has_packages_and_tags_and_nothing_is_pushed() {
    let content = Content::default().image("team/app:1", DATE);
    let done = run(content, |step| {
        step.tool("trivy", &format!("cat <<'REPORT'\n{FIXABLE}\nREPORT"))
    })
    .await;
    exited(&done.ran, 0, "planned");
    let image = format!("{}/team/app:1", done.registry.host());
    let line = format!("{image} would be patched as {image}-patched and 1-patched-1");
    for line in [line.as_str(), "perl 5 → 6 (1 finding)"] {
        assert!(done.ran.log.contains(line), "{line}: {}", done.ran.log);
    }
    let summary = &done.ran.summary;
    let title = "## 🔎 Dry run: 1 image would be patched";
    assert!(summary.contains(title), "{summary}");
    assert!(summary.contains("| `perl` | 5 | 6 | 1 |"), "{summary}");
    let package = json!({"package": "perl", "installed": "5", "fixed": ["6"], "findings": 1});
    let expected = json!([{
        "original": image,
        "result": "planned",
        "patched-tag": "1-patched",
        "incremental-tag": "1-patched-1",
        "images": [{"platform": null, "reason": null, "packages": [package]}],
    }]);
    assert_eq!(done.results, expected);
    changed_nothing(&done);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_with_nothing_to_fix_is_in_the_plan_with_its_reason() {
    let content = Content::default().image("team/app:1", DATE);
    let done = run(content, |step| step).await;
    exited(&done.ran, 0, "planned");
    let line = "no update fixes a finding";
    assert!(done.ran.log.contains(line), "{}", done.ran.log);
    assert_eq!(done.results[0]["result"], "up-to-date");
    assert_eq!(done.results[0]["patched-tag"], Value::Null);
    changed_nothing(&done);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_a_patch_would_skip_fails_no_dry_run() {
    let content = Content::default().image("team/app:1", DATE);
    let oracle = FIXABLE.replace(
        r#""Family": "debian", "Name": "13""#,
        r#""Family": "oracle", "Name": "9.4""#,
    );
    let done = run(content, |step| {
        step.tool("trivy", &format!("cat <<'REPORT'\n{oracle}\nREPORT"))
    })
    .await;
    exited(&done.ran, 0, "planned");
    let image = format!("{}/team/app:1", done.registry.host());
    let reason = "it can't be patched: Copa does not support packages of oracle 9.4; rebuild the image on a newer base";
    let expected = json!([{"original": image, "result": "skipped", "reason": reason}]);
    assert_eq!(done.results, expected);
    let summary = &done.ran.summary;
    assert!(summary.contains("### Skipped"), "{summary}");
    changed_nothing(&done);
}

#[test]
fn a_dry_run_is_of_one_job() {
    let ran = step().input("dry-run", "true").input("fleet", "plan").run();
    exited(&ran, 3, "error");
    let error = "input `dry-run`: is for a run in one job; remove `fleet`, whose `plan` has the images of each shard";
    assert!(ran.error().ends_with(error), "{}", ran.error());
}
