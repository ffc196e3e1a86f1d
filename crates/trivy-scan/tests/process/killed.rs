//! A run that is killed at any stage: what it leaves, and that the next one works and removes it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use axum::body::Body;
use axum::response::Response;
use fake_github::GitHub;
use oci::{Digest, MANIFEST};
use serde_json::json;
use testkit::{FakeRunner, Fault, Ran, Recorder};

use crate::github::pull_request;
use crate::step::{REPORT, database, step, trivy_that};

/// SIGKILL to `process`, once.
#[derive(Clone)]
struct Killer {
    process: Arc<AtomicI32>,
    is_armed: Arc<AtomicBool>,
}

impl Killer {
    fn strike(&self) {
        if self.is_armed.swap(false, Ordering::SeqCst) {
            let id = self.process.load(Ordering::SeqCst).to_string();
            let killed = std::process::Command::new("kill")
                .args(["-KILL", &id])
                .status();
            assert!(killed.unwrap().success());
        }
    }
}

fn respond(kind: &str, body: impl Into<Body>) -> Response {
    let builder = Response::builder().header("content-type", kind);
    builder.body(body.into()).unwrap()
}

fn packed(files: &[(&str, String)]) -> Vec<u8> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(gzip);
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, content.as_bytes())
            .unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// A server with a vulnerability database and a VEX repository; `killer` strikes before it sends what `at` is part of.
async fn files(at: &'static str, killer: Killer) -> Recorder {
    let now = jiff::Timestamp::now();
    let about =
        json!({"Version": 2, "UpdatedAt": now.to_string(), "NextUpdate": "2100-01-01T00:00:00Z"});
    let database = packed(&[
        ("trivy.db", "db".to_owned()),
        ("metadata.json", about.to_string()),
    ]);
    let blob = Digest::sha256(&database);
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": {"mediaType": oci::EMPTY, "digest": Digest::sha256(b"{}").to_string(), "size": 2},
        "layers": [{"mediaType": "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip", "digest": blob.to_string(), "size": database.len()}]});
    let manifest = manifest.to_string();
    let index = json!({"updated_at": "2026-11-20T10:00:00Z", "packages": []}).to_string();
    let repository = packed(&[("index.json", index)]);
    let server = Recorder::start(move |seen| {
        if !at.is_empty() && seen.line.contains(at) {
            killer.strike();
        }
        match seen.line.as_str() {
            "GET /v2/trivy-db/manifests/2" => respond(MANIFEST, manifest.clone()),
            "GET /.well-known/vex-repository.json" => {
                let url = format!("http://{}/vex.tar.gz", seen.host);
                let manifest = json!({"versions": [{"spec_version": "0.1", "locations": [{"url": url}], "update_interval": "24h"}]});
                respond("application/json", manifest.to_string())
            }
            "GET /vex.tar.gz" => respond("application/gzip", repository.clone()),
            line if line.starts_with("GET /v2/trivy-db/blobs/") => {
                respond("application/gzip", database.clone())
            }
            _ => Response::builder().status(404).body(Body::empty()).unwrap(),
        }
    });
    server.await.unwrap()
}

/// What is in `directory`: without random ends, and what is in a directory of one of our runs.
fn left_in(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_random = name.starts_with("seaworthy-");
            match name.rsplit_once('-') {
                Some((start, end)) if is_random => match end.split_once('.') {
                    Some((_, extension)) => format!("{start}-*.{extension}"),
                    None => format!("{start}-*"),
                },
                _ => name,
            }
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

/// What is in the workspace, in `RUNNER_TEMP` and in Trivy's cache.
fn left(step: &FakeRunner) -> String {
    let cache = step.directory().join("home/.cache/trivy");
    let repositories = left_in(&cache.join("vex/repositories")).into_iter();
    // Without the port.
    let repositories =
        repositories.map(|name| format!("vex/{}", name.split('_').next().unwrap_or_default()));
    let mut cached = left_in(&cache);
    cached.extend(repositories);
    let temp = left_in(&step.directory().join("temp"));
    let parts = [left_in(&step.workspace()), temp, cached];
    parts.map(|names| names.join(" ")).join(" | ")
}

async fn run(step: FakeRunner) -> (Ran, FakeRunner) {
    tokio::task::spawn_blocking(move || (step.run(), step))
        .await
        .unwrap()
}

/// A step that is killed at `at`, once, where there is something to do at every stage.
async fn step_at(at: &'static str, github: &GitHub) -> (FakeRunner, Recorder) {
    // A newer database is due.
    let step = database(step(), 30);
    let killer = Killer {
        process: Arc::clone(step.process()),
        is_armed: Arc::new(AtomicBool::new(true)),
    };
    let server = files(if at.starts_with('/') { at } else { "" }, killer).await;
    if at.contains(" /repos/") {
        github.expect(Fault::kill(at, step.process()));
    }
    let killing = if at == "trivy" {
        "[ -e \"$here/killed\" ] || { touch \"$here/killed\"; kill -KILL $PPID; exit 1; }"
    } else {
        ":"
    };
    let scan = format!("*) {killing}\ncat <<'REPORT'\n{REPORT}\nREPORT\n;;");
    let step = pull_request(step.tool("trivy", &trivy_that(&scan)))
        .input("token", "t")
        .env("GITHUB_API_URL", &github.url())
        .input("image", "registry.example/app:1")
        .input("registry-username", "me")
        .input("registry-password", "p4ss")
        .input("db-repositories", &format!("{}/trivy-db:2", server.host()))
        .input("vex", "repo")
        .input("vex-repositories", &format!("http://{}", server.host()))
        .input("table-file", "trivy.txt");
    (step, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_run_that_is_killed_at_any_stage_the_next_one_works_and_removes_what_is_left() {
    let stages = [
        ("it downloads a VEX repository", "/vex.tar.gz"),
        ("it downloads the database", "/v2/trivy-db/blobs/"),
        ("Trivy runs", "trivy"),
        (
            "it reads the baseline",
            "GET /repos/octo-org/app/code-scanning/analyses",
        ),
        ("it comments", "POST /repos/octo-org/app/issues/7/comments"),
        (
            "it uploads",
            "POST /repos/octo-org/app/code-scanning/sarifs",
        ),
    ];
    let mut table = Vec::new();
    for (name, at) in stages {
        let github = GitHub::start("t").await.unwrap();
        let (step, _server) = step_at(at, &github).await;
        let (ran, step) = run(step).await;
        // The runner has nothing but what was in the log.
        let result = ran.outputs.get("result");
        assert_eq!((ran.code, result), (-1, None), "{name}: {}", ran.log);
        table.push(format!("{name}: {}", left(&step)));
        for file in ["trivy-report.json", "trivy-results.sarif"] {
            if let Ok(text) = std::fs::read(step.workspace().join(file)) {
                let parsed = serde_json::from_slice::<serde_json::Value>(&text);
                assert!(parsed.is_ok(), "{name}: {file} is not complete");
            }
        }
        let (ran, step) = run(step).await;
        let outputs = ["result", "total", "database-age"].map(|output| ran.output(output));
        assert_eq!(outputs, ["passed", "3", "0"], "{name}: {}", ran.log);
        let requests = github.journal();
        let is_of_github = at.contains(" /repos/");
        let is_met = !is_of_github || requests.iter().any(|line| line.contains(at));
        assert!(is_met, "{name}: {requests:?}");
        assert_eq!(github.comments().len(), 1, "{name}");
        let clean = "app trivy-report.json trivy-results.sarif trivy.txt | seaworthy-file-*.lock | db fanal vex vex/127.0.0.1";
        assert_eq!(left(&step), clean, "{name}");
    }
    insta::assert_snapshot!(table.join("\n"));
}
