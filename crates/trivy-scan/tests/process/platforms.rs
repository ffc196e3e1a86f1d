//! Images for several platforms.

use axum::body::Body;
use axum::response::Response;
use fake_github::GitHub;
use oci::{Digest, INDEX, MANIFEST};
use serde_json::{Value, json};
use testkit::{FakeRunner, Ran, Recorder};

use crate::github::pull_request;
use crate::step::{REPORT, scans, step, trivy, trivy_that};

/// The manifest of an image for `platform`, which is not a real one.
fn manifest(platform: &str) -> String {
    let digest = Digest::sha256(platform.as_bytes());
    json!({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [], "config": {
        "mediaType": oci::CONFIG, "digest": digest.to_string(), "size": 2}})
    .to_string()
}

fn digest(platform: &str) -> String {
    Digest::sha256(manifest(platform).as_bytes()).to_string()
}

fn index() -> String {
    let entry = |os: &str, architecture: &str, variant: Option<&str>| {
        let name = format!("{os}/{architecture}");
        json!({"mediaType": MANIFEST, "digest": digest(&name), "size": 2,
            "platform": {"os": os, "architecture": architecture, "variant": variant}})
    };
    let entries = [
        entry("linux", "amd64", None),
        entry("linux", "arm64", Some("v8")),
        entry("unknown", "unknown", None),
    ];
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).to_string()
}

/// A registry with the index `app:1`, and `single:1` for one platform.
async fn registry() -> Recorder {
    let config = r#"{"os": "linux", "architecture": "amd64"}"#;
    let server = Recorder::start(move |seen| {
        let (kind, body) = match seen.line.as_str() {
            "GET /v2/app/manifests/1" => (INDEX, index()),
            "GET /v2/single/manifests/1" => {
                let mut single: Value = serde_json::from_str(&manifest("single")).unwrap();
                single["config"]["digest"] = Digest::sha256(config.as_bytes()).to_string().into();
                (MANIFEST, single.to_string())
            }
            line if line.starts_with("GET /v2/single/blobs/") => ("", config.to_owned()),
            _ => ("", String::new()),
        };
        let status = if body.is_empty() { 404 } else { 200 };
        let builder = Response::builder()
            .status(status)
            .header("content-type", kind);
        builder.body(Body::from(body)).unwrap()
    });
    server.await.unwrap()
}

fn of_app(registry: &Recorder, step: FakeRunner) -> FakeRunner {
    step.input("image", &format!("{}/app:1", registry.host()))
}

async fn run(step: FakeRunner) -> (Ran, FakeRunner) {
    tokio::task::spawn_blocking(move || (step.run(), step))
        .await
        .unwrap()
}

fn categories(step: &FakeRunner) -> Vec<String> {
    let file = crate::step::sarif(step);
    let runs = file["runs"].as_array().unwrap().iter();
    runs.map(|run| run["automationDetails"]["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_platform_of_an_index_is_scanned_by_its_digest() {
    let registry = registry().await;
    for platforms in ["all", "linux/amd64, linux/arm64"] {
        let (ran, step) = run(of_app(&registry, step()).input("platforms", platforms)).await;
        assert_eq!((ran.code, ran.output("total")), (0, "6"), "{}", ran.log);
        let family = ".github/workflows/ci.yml:scan/image/app";
        let expected = ["linux/amd64", "linux/arm64"].map(|p| format!("{family}/{p}/"));
        assert_eq!(categories(&step), expected);
        assert_eq!(
            ran.output("report-file"),
            "trivy-report.json\ntrivy-report-2.json"
        );
        let mut scanned = scans(&step);
        scanned.sort();
        for platform in ["linux/amd64", "linux/arm64"] {
            let image = format!("{}/app@{}", registry.host(), digest(platform));
            let line = scanned.iter().find(|line| line.ends_with(&image)).unwrap();
            assert!(line.contains(&format!("--platform {platform} ")), "{line}");
        }
        let title = "| image `app (linux/arm64)` | 2 high, 1 low (2 fixable) |";
        assert!(ran.summary.contains(title), "{}", ran.summary);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_platform_that_fails_leaves_the_results_of_the_others() {
    let registry = registry().await;
    let failing = format!(
        "*{}) echo 'no space left on device' >&2; exit 1 ;;\n*) cat <<'REPORT'\n{REPORT}\nREPORT\n;;",
        digest("linux/arm64")
    );
    let server = GitHub::start("t").await.unwrap();
    let requested = "linux/amd64,linux/arm64,linux/s390x";
    let step = of_app(&registry, pull_request(step()))
        .tool("trivy", &trivy_that(&failing))
        .input("platforms", requested)
        .input("token", "t")
        .env("GITHUB_API_URL", &server.url());
    let (ran, step) = run(step).await;
    assert_eq!((ran.code, ran.output("total")), (2, "3"), "{}", ran.log);
    assert_eq!(categories(&step).len(), 1);
    let image = format!("failed to scan image `{}/app:1`", registry.host());
    let missing =
        format!("{image}: it has no image for linux/s390x, only for linux/amd64, linux/arm64");
    let failed = format!("{image} for linux/arm64: Trivy failed");
    for problem in [missing, failed] {
        assert!(ran.error().contains(&problem), "{}", ran.error());
    }
    // One comment for all platforms.
    let comments = server.comments();
    assert_eq!(comments.len(), 1);
    assert!(
        comments[0].contains("for linux/arm64") && comments[0].contains("linux/s390x"),
        "{}",
        comments[0]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_for_one_platform_has_that_one() {
    let registry = registry().await;
    let single = |step: FakeRunner| step.input("image", &format!("{}/single:1", registry.host()));
    let (ran, step) = run(single(step()).input("platforms", "all")).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let expected = ".github/workflows/ci.yml:scan/image/single/linux/amd64/";
    assert_eq!(categories(&step), [expected]);
    let (ran, _) = run(single(crate::step::step()).input("platforms", "linux/arm64")).await;
    assert_eq!(ran.code, 2, "{}", ran.log);
    assert!(
        ran.error()
            .contains("it has no image for linux/arm64, only for linux/amd64"),
        "{}",
        ran.error()
    );
    let absent = format!("{}/none:1", registry.host());
    let (ran, _) = run(crate::step::step()
        .input("image", &absent)
        .input("platforms", "all"))
    .await;
    assert_eq!(ran.code, 2, "{}", ran.log);
    assert!(
        ran.error()
            .contains("has no such image; push it in an earlier step"),
        "{}",
        ran.error()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dependency_graph_has_the_packages_of_each_platform() {
    let registry = registry().await;
    let server = GitHub::start("t").await.unwrap();
    let snapshot = |step: FakeRunner| {
        step.input("token", "t")
            .input("dependency-snapshot", "true")
            .env("GITHUB_API_URL", &server.url())
    };
    // Each platform has a package of its own.
    let report = |version: &str| REPORT.replace("openssl@3.5.7", &format!("openssl@{version}"));
    let scan = format!(
        "*{}) cat <<'REPORT'\n{}\nREPORT\n;;\n*) cat <<'REPORT'\n{}\nREPORT\n;;",
        digest("linux/arm64"),
        report("2"),
        report("1")
    );
    let several = of_app(&registry, snapshot(step())).tool("trivy", &trivy_that(&scan));
    let (ran, _) = run(several.input("platforms", "all")).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let (ran, _) = run(snapshot(step())).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let snapshots = server.snapshots();
    let [several, plain] = &snapshots[..] else {
        panic!("{snapshots:?}");
    };
    for (platform, version) in [("linux/amd64", "1"), ("linux/arm64", "2")] {
        let key = format!("app ({platform}) (debian)");
        let manifest = &several["manifests"][&key];
        assert_eq!(manifest["name"], key, "{several}");
        let package = &manifest["resolved"][format!("pkg:deb/debian/openssl@{version}")];
        assert!(package.is_object(), "{several}");
    }
    assert_eq!(several["manifests"].as_object().unwrap().len(), 2);
    let keys: Vec<_> = plain["manifests"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["app (debian)"]);
}

#[test]
fn platforms_are_checked_before_anything_is_started() {
    let table = [
        (
            "platforms",
            "arm64",
            "`arm64`: invalid platform; use a form such as `linux/arm64` or `linux/arm/v7`, or `all`",
        ),
        (
            "platform",
            "linux/arm64",
            "is not allowed together with `platform`",
        ),
        (
            "scan-type",
            "fs",
            "is for targets of the `scan-type` `image`, and there is none",
        ),
        (
            "image-sources",
            "docker",
            "is for images of a registry; `image-sources` must have `remote`",
        ),
    ];
    for (input, value, problem) in table {
        let ran = step().input("platforms", "all").input(input, value).run();
        assert_eq!(ran.code, 3, "{}", ran.log);
        let expected = format!("input `platforms`: {problem}");
        assert!(ran.error().contains(&expected), "{}", ran.error());
    }
}

#[test]
fn an_image_for_another_platform_than_the_requested_one_is_not_taken_for_it() {
    let report = |architecture: &str| {
        REPORT.replace(
            "\"ImageID\"",
            &format!("\"ImageConfig\": {{\"os\": \"linux\", \"architecture\": \"{architecture}\"}}, \"ImageID\""),
        )
    };
    let of = |architecture: &str| {
        let step = crate::step::step().tool("trivy", &trivy(&report(architecture)));
        step.input("platform", "linux/arm64/v8").run()
    };
    let ran = of("amd64");
    assert_eq!(ran.code, 2, "{}", ran.log);
    assert_eq!(
        ran.error(),
        "trivy-scan: failed to scan image `app:1`: the image is for linux/amd64, and `platform` is linux/arm64/v8; a name in Docker is that of one image: with `image-sources: remote`, the registry's is scanned"
    );
    // Not every configuration names it.
    for architecture in ["arm64", ""] {
        assert_eq!(of(architecture).code, 0);
    }
    let ran = crate::step::step().input("platform", "arm64").run();
    assert_eq!(ran.code, 3, "{}", ran.log);
}
