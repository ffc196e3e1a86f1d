//! The images of a registry in several jobs.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use testkit::{FakeRunner, Ran, Recorder};

use crate::registry::{Content, categories, run, whole};
use crate::step::{REPORT, scans, step, trivy_that};

/// A registry whose content may change.
struct Changing {
    content: Arc<Mutex<Content>>,
    server: Recorder,
}

impl Changing {
    async fn start(content: Content) -> Self {
        let content = Arc::new(Mutex::new(content));
        let held = Arc::clone(&content);
        let server = Recorder::start(move |seen| held.lock().unwrap().respond(seen));
        Self {
            content,
            server: server.await.unwrap(),
        }
    }

    fn change(&self, change: impl FnOnce(Content) -> Content) {
        let mut content = self.content.lock().unwrap();
        let changed = change(content.clone());
        *content = changed;
    }

    /// The names of images and reasons, without the port.
    fn text(&self, text: &str) -> String {
        text.replace(&self.server.host(), "HOST")
    }

    /// The requests since there were `before` of them.
    fn requests(&self, before: usize) -> Vec<String> {
        let seen = self.server.seen();
        seen[before..]
            .iter()
            .map(|seen| seen.line.clone())
            .collect()
    }
}

const MIB: u64 = 1 << 20;

fn content() -> Content {
    let chart = "application/vnd.cncf.helm.config.v1+json";
    Content::default()
        .large_image("team/app:1", "a", oci::CONFIG, 300 * MIB)
        .large_image("team/app:2", "b", oci::CONFIG, 100 * MIB)
        .large_image("team/app:latest", "b", oci::CONFIG, 100 * MIB)
        .large_image("team/db:1", "c", oci::CONFIG, 90 * MIB)
        .large_image("team/web:1", "d", oci::CONFIG, 80 * MIB)
        .image("team/chart:1", "e", chart)
}

async fn part(step: FakeRunner, part: &str) -> (Ran, FakeRunner) {
    run(step.input("fleet", part)).await
}

fn fleet_step(registry: &Changing) -> FakeRunner {
    whole(&registry.server, step()).input("fleet-shards", "2")
}

fn file(step: &FakeRunner, name: &str) -> Value {
    let text = std::fs::read(step.workspace().join("fleet").join(name)).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn names(entries: &Value) -> Vec<String> {
    let entries = entries.as_array().unwrap().iter();
    let name = |entry: &Value| {
        let image = entry["image"].as_str().unwrap();
        image.split_once('/').unwrap().1.to_owned()
    };
    entries.map(name).collect()
}

fn ended(ran: &Ran, code: i32, output: &str, value: &str) {
    let actual = (ran.code, ran.output(output));
    assert_eq!(actual, (code, value), "{}", ran.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_is_planned_scanned_in_shards_and_merged() {
    let registry = Changing::start(content()).await;
    let (plan, step) = part(fleet_step(&registry), "plan").await;
    ended(&plan, 0, "result", "planned");
    assert_eq!(plan.output("count"), "2");
    assert_eq!(
        plan.output("matrix"),
        r#"{"include":[{"images":1,"shard":"1/2"},{"images":3,"shard":"2/2"}]}"#
    );
    assert_eq!(scans(&step), Vec::<String>::new());
    let written = file(&step, "plan.json");
    assert_eq!(names(&written["shards"][0]), ["team/app:1"]);
    assert_eq!(
        names(&written["shards"][1]),
        ["team/app:2", "team/db:1", "team/web:1"]
    );
    assert_eq!(written["shards"][1][0]["also"], json!(["latest"]));
    insta::assert_snapshot!(registry.text(&plan.summary));

    // Each shard scans its own, in the category that the image has in every shard.
    let matrix = |step: FakeRunner, number| {
        step.input(
            "matrix",
            &format!(r#"{{"shard": "{number}/2", "images": 3}}"#),
        )
    };
    let (first, step) = part(matrix(step, 1), "1/2").await;
    ended(&first, 0, "total", "3");
    assert_eq!(categories(&step), ["team/app:1/"]);
    let (second, step) = part(matrix(step, 2), "2/2").await;
    ended(&second, 0, "total", "9");
    assert_eq!(
        categories(&step),
        ["team/app:2/", "team/db:1/", "team/web:1/"]
    );
    let sarif = crate::step::sarif(&step).to_string();
    assert!(!sarif.contains("shard:"), "{sarif}");
    assert_eq!(scans(&step).len(), 4);

    let before = registry.server.seen().len();
    let (merged, step) = part(step.input("matrix", ""), "merge").await;
    ended(&merged, 0, "result", "passed");
    assert_eq!((merged.output("total"), merged.output("high")), ("12", "8"));
    assert_eq!(registry.requests(before), Vec::<String>::new());
    insta::assert_snapshot!(registry.text(&merged.summary));

    // Nothing has changed: one request an image, and one list for each repository.
    let before = registry.server.seen().len();
    let (again, step) = part(step, "plan").await;
    ended(&again, 0, "count", "0");
    assert_eq!(again.output("matrix"), r#"{"include":[]}"#);
    let requests = registry.requests(before);
    let of_images = requests.iter().filter(|line| line.contains("/manifests/"));
    assert!(
        of_images.clone().all(|line| line.starts_with("HEAD ")),
        "{requests:?}"
    );
    assert_eq!((of_images.count(), requests.len()), (6, 11), "{requests:?}");
    let (merged, step) = part(step, "merge").await;
    ended(&merged, 0, "total", "12");
    assert!(
        merged.log.contains("5 as of an earlier run"),
        "{}",
        merged.log
    );

    // One image has a new build, and there is a new one.
    registry.change(|content| {
        content
            .image("team/db:1", "f", oci::CONFIG)
            .image("team/new:1", "g", oci::CONFIG)
    });
    let (changed, step) = part(step, "plan").await;
    assert_eq!(changed.output("count"), "2", "{}", changed.log);
    let written = file(&step, "plan.json");
    let planned = [&written["shards"][0], &written["shards"][1]].map(names);
    assert_eq!(planned, [["team/db:1"], ["team/new:1"]]);
    // Other inputs change every result.
    let (other, _) = part(step.input("skip-dirs", "x"), "plan").await;
    assert!(
        other.log.contains("was made with other inputs"),
        "{}",
        other.log
    );
    assert_eq!(other.output("count"), "2");
    assert!(other.log.contains("5 images to do"), "{}", other.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_without_results_and_an_image_that_fails_are_named() {
    let registry = Changing::start(content()).await;
    let trivy = format!(
        "*team/db:1*) echo 'no space left on device' >&2; exit 1 ;;\n*) cat <<'REPORT'\n{REPORT}\nREPORT\n;;"
    );
    let step = fleet_step(&registry).tool("trivy", &trivy_that(&trivy));
    let (_, step) = part(step, "plan").await;
    let (second, step) = part(step, "2/2").await;
    ended(&second, 2, "result", "error");
    let (merged, step) = part(step, "merge").await;
    ended(&merged, 2, "result", "error");
    insta::assert_snapshot!(registry.text(&merged.error()));
    assert!(
        merged
            .log
            .contains("shard 1/2 has no results; see the log of its job"),
        "{}",
        merged.log
    );
    // What is red is done again, and nothing else.
    let (again, step) = part(step, "plan").await;
    let written = file(&step, "plan.json");
    let planned = [&written["shards"][0], &written["shards"][1]].map(names);
    assert_eq!(planned, [["team/app:1"], ["team/db:1"]], "{}", again.log);
    // Results of the first plan are not results of this one.
    let (merged, _) = part(step, "merge").await;
    assert!(
        merged.log.contains("has results of another plan"),
        "{}",
        merged.log
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_over_the_threshold_fail_the_merge_as_a_policy() {
    let registry = Changing::start(content()).await;
    let step = fleet_step(&registry)
        .input("fleet-shards", "1")
        .input("fail-on", "high");
    let (_, step) = part(step, "plan").await;
    let (shard, step) = part(step, "1/1").await;
    ended(&shard, 1, "result", "failed");
    let (merged, _) = part(step, "merge").await;
    ended(&merged, 1, "result", "failed");
    insta::assert_snapshot!(registry.text(&merged.error()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_checked_first() {
    let registry = Changing::start(content()).await;
    let (_, planned) = part(fleet_step(&registry), "plan").await;
    let plan = std::fs::read_to_string(planned.workspace().join("fleet/plan.json")).unwrap();
    let host = registry.server.host();
    let change = |from: &str, to: &str| plan.replace(from, to);
    let fresh = || fleet_step(&registry);
    let table = [
        (
            fresh().input("fleet", "1/2"),
            "input `fleet-directory`: there is no `fleet/plan.json` in the workspace",
        ),
        (
            fresh().input("fleet", "merge"),
            "input `fleet-directory`: there is no `fleet/plan.json` in the workspace",
        ),
        (
            fresh().input("fleet", "2"),
            "input `fleet`: invalid value `2`; use `plan`, `merge`, or a shard such as `3/16`, of at most 256",
        ),
        (
            fresh().input("fleet", "plan").input("fleet-shards", "257"),
            "input `fleet-shards`: invalid number `257`; use 1 to 256",
        ),
        (
            fresh().input("fleet", "plan").input("image", "app:1"),
            "input `fleet`: is for the images of a registry alone; remove `image`, `path`, `targets` and `sarif`, or use another step for them",
        ),
        (
            fresh()
                .input("fleet", "plan")
                .input("registry", "")
                .input("image", "app:1"),
            "input `fleet`: requires `registry`: the images of a registry are divided, by the same inputs in every job",
        ),
        (
            fresh()
                .input("fleet", "plan")
                .input("dependency-snapshot", "true"),
            "input `dependency-snapshot`: has the packages of one step, and each shard would replace those of the others; scan these images without `fleet`",
        ),
        (
            fresh().input("fleet", "1/3").file("fleet/plan.json", &plan),
            "input `fleet`: is shard 1/3, and the plan has 2 shards; use its output `matrix`",
        ),
        (
            fresh()
                .input("fleet", "1/2")
                .input("scanners", "vuln")
                .file("fleet/plan.json", &plan),
            "input `fleet-directory`: `fleet/plan.json` was made with other inputs; use the same ones in every job, but for `fleet`",
        ),
        (
            fresh()
                .input("fleet", "1/2")
                .file("fleet/plan.json", &change("team/db:1", "team/web:1")),
            "input `fleet-directory`: `fleet/plan.json` has `HOST/team/web:1` twice",
        ),
        (
            fresh()
                .input("fleet", "1/2")
                .file("fleet/plan.json", &change(&host, "evil.example")),
            "input `fleet-directory`: `fleet/plan.json` has `evil.example/team/app:1`, which is not a tag of `HOST`",
        ),
        (
            fresh()
                .input("fleet", "1/2")
                .file("fleet/plan.json", &change("trivy-scan", "copacetic-patch")),
            "input `fleet-directory`: `fleet/plan.json` is a plan of `copacetic-patch`, version 1, and this is `trivy-scan`, version 1",
        ),
        (
            fresh().input("fleet", "1/2").file("fleet/plan.json", "{}"),
            "input `fleet-directory`: `fleet/plan.json` is not a plan: missing field `version` at line 1 column 2",
        ),
    ];
    for (step, expected) in table {
        let (ran, step) = run(step).await;
        assert_eq!(ran.code, 3, "{expected}: {}", ran.log);
        let error = registry.text(&ran.error());
        assert_eq!(error, format!("trivy-scan: {expected}"));
        assert_eq!(scans(&step), Vec::<String>::new());
    }
}
