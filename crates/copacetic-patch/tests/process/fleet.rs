//! The images of a registry in several jobs.

use fake_github::GitHub;
use github::RollingIssue;
use serde_json::{Value, json};
use testkit::{FakeDocker, FakeRunner, Ran, Recorder};

use crate::bench::exited;
use crate::whole_registry::{Content, whole};

/// A finding that no update fixes.
const REPORT: &str = r#"{"SchemaVersion": 2, "ArtifactName": "app", "ArtifactType": "container_image", "Metadata": {"OS": {"Family": "debian", "Name": "13"}}, "Results": [{"Target": "app", "Class": "os-pkgs", "Type": "debian", "Packages": [{"Name": "perl", "Version": "5"}], "Vulnerabilities": [{"VulnerabilityID": "CVE-2099-0001", "PkgName": "perl", "InstalledVersion": "5", "Severity": "HIGH", "Title": "a title"}]}]}"#;

struct Fleet {
    registry: Recorder,
    step: FakeRunner,
    _docker: FakeDocker,
}

impl Fleet {
    async fn start() -> Self {
        let date = "2026-11-28T00:00:00Z";
        let chart = "application/vnd.cncf.helm.config.v1+json";
        let content = Content::default()
            .image("team/app:1", date)
            .image("team/app:2", date)
            .patch("team/app:1-patched", "host/team/app:1", "sha256:0")
            .add("team/chart:1", chart, &json!({}), &json!({}))
            .image("team/db:1", date);
        let registry = Recorder::start(move |seen| content.respond(seen));
        let registry = registry.await.unwrap();
        let docker = FakeDocker::with("other:1");
        let step = whole(&docker, &registry)
            .tool("trivy", &format!("cat <<'REPORT'\n{REPORT}\nREPORT"))
            .input("fleet-shards", "2");
        Self {
            registry,
            step,
            _docker: docker,
        }
    }

    async fn run(self, part: &str) -> (Ran, Self) {
        let step = self.step.input("fleet", part);
        let ran = tokio::task::spawn_blocking(move || (step.run(), step)).await;
        let (ran, step) = ran.unwrap();
        (ran, Self { step, ..self })
    }

    fn text(&self, text: &str) -> String {
        text.replace(&self.registry.host(), "HOST")
    }

    fn file(&self, name: &str) -> Value {
        let text = std::fs::read_to_string(self.step.workspace().join(name)).unwrap();
        serde_json::from_str(&self.text(&text)).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_is_planned_patched_in_shards_and_merged() {
    let server = GitHub::start("t").await.unwrap();
    let mut fleet = Fleet::start().await;
    fleet.step = fleet
        .step
        .env("GITHUB_API_URL", &server.url())
        .input("token", "t")
        .input("issue", "true");
    let (plan, fleet) = fleet.run("plan").await;
    exited(&plan, 0, "planned");
    assert_eq!(plan.output("count"), "2");
    insta::assert_snapshot!(fleet.text(&plan.summary));
    let (first, fleet) = fleet.run("1/2").await;
    exited(&first, 0, "up-to-date");
    // A shard knows its own images alone.
    assert!(!first.log.contains("issue #"), "{}", first.log);
    let (second, fleet) = fleet.run("2/2").await;
    exited(&second, 0, "up-to-date");
    let (merged, fleet) = fleet.run("merge").await;
    exited(&merged, 0, "up-to-date");
    assert_eq!(
        [merged.output("remaining-count"), merged.output("after")],
        ["3", "critical=0,high=3,medium=0,low=0,unknown=0"]
    );
    insta::assert_snapshot!(fleet.text(&merged.summary));
    assert_eq!(fleet.file("results.json").as_array().unwrap().len(), 5);

    // One issue for all of them, which also has what was not done again.
    let before = fleet.registry.seen().len();
    let (again, fleet) = fleet.run("plan").await;
    assert_eq!(again.output("count"), "0", "{}", again.log);
    let seen = fleet.registry.seen();
    let requests = seen[before..].iter().map(|seen| seen.line.as_str());
    let heads = requests.clone().filter(|line| line.starts_with("HEAD "));
    // The list of repositories, of the tags of three, and a request for each image.
    assert_eq!((heads.count(), requests.count()), (5, 9));
    let (merged, _fleet) = fleet.run("merge").await;
    exited(&merged, 0, "up-to-date");
    let http = http_client::Client::new().unwrap();
    let client = github::Client::new(http, &server.url(), "octo-org/app", "t").unwrap();
    let rolling = RollingIssue {
        key: "copacetic-patch .github/workflows/ci.yml".into(),
        title: "Findings that no update fixes".into(),
    };
    let mut body = String::new();
    let read = |now: Option<&str>| {
        body = now.unwrap_or("it was closed").to_owned();
        now.map(ToOwned::to_owned)
    };
    client.issues().roll(&rolling, read).await.unwrap();
    assert_eq!(body.matches("CVE-2099-0001").count(), 3, "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_shards_fixed_is_one_document_and_one_result() {
    let (_, fleet) = Fleet::start().await.run("plan").await;
    let (_, fleet) = fleet.run("1/2").await;
    let (_, fleet) = fleet.run("2/2").await;
    // What each shard writes of an image that it patched.
    for number in 1..=2 {
        let name = format!("fleet/shard-{number}.json");
        let path = fleet.step.workspace().join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        let mut shard: Value = serde_json::from_str(&text).unwrap();
        let entry = &mut shard["images"][0];
        let id = format!("CVE-2099-000{number}");
        entry["result"] = "patched".into();
        entry["outputs"]["fixed-count"] = 1.into();
        entry["outputs"]["vex"] = json!([{"vulnerability": {"name": id}, "status": "fixed"}]);
        std::fs::write(&path, shard.to_string()).unwrap();
    }
    let (merged, fleet) = fleet.run("merge").await;
    exited(&merged, 0, "patched");
    assert_eq!(merged.output("fixed-count"), "2");
    let document = fleet.file(merged.output("vex-file"));
    let statements = document["statements"].as_array().unwrap().iter();
    let mut ids: Vec<_> = statements
        .map(|statement| statement["vulnerability"]["name"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, ["CVE-2099-0001", "CVE-2099-0002"]);
    let results = fleet.file("results.json");
    let results = results.as_array().unwrap().iter();
    assert_eq!(results.filter(|one| one["result"] == "patched").count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_fails_or_is_missing_is_named() {
    let fleet = Fleet::start().await;
    let (_, mut fleet) = fleet.run("plan").await;
    fleet.step = fleet
        .step
        .tool("trivy", "echo 'no space left on device' >&2; exit 1");
    let (first, fleet) = fleet.run("1/2").await;
    exited(&first, 2, "error");
    let (merged, fleet) = fleet.run("merge").await;
    exited(&merged, 2, "error");
    insta::assert_snapshot!(fleet.text(&merged.error()));
    // What is red is done again.
    let (again, _fleet) = fleet.run("plan").await;
    assert_eq!(again.output("count"), "2", "{}", again.log);
    assert!(again.log.contains("3 images to do"), "{}", again.log);
}
