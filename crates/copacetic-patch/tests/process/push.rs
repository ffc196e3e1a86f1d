//! Pushing to a registry that fails, and to one that another run pushes to.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use fake_github::GitHub;
use serde_json::json;
use testkit::wire::{Fault, Wire, every, first};

use crate::registry::Pushed;

/// The tags of the test's patched image.
const RELEASE: &str = "1-patched";
const INCREMENTAL: &str = "1-patched-1";

/// The image's registry is reached through a wire; `step` has the process at its other end.
fn by_wire(mut pushed: Pushed, step: &Arc<AtomicI32>) -> (Pushed, Wire) {
    let wire = Wire::to_server(pushed.server.host().to_owned(), step);
    let image = pushed.image.to_string();
    let image = image.replace(pushed.server.host(), &wire.address);
    pushed.bench = pushed.bench.input("image", &image);
    (pushed, wire)
}

#[test]
#[ignore = "real: needs Docker, a registry, Copa, BuildKit and Trivy"]
fn a_request_that_fails_once_is_retried() {
    let (pushed, wire) = by_wire(Pushed::new("flaky", "vulnlib"), &Arc::default());
    wire.rules(&[
        first("GET /manifests/1", Fault::Unavailable),
        first("POST /blobs/uploads", Fault::Unavailable),
        first("PUT /blobs/uploads", Fault::Reset),
        first("PUT /manifests/1-patched-1", Fault::Reset),
        first("PUT /manifests/1-patched", Fault::Unavailable),
    ]);
    let ran = pushed.bench.run();
    assert_eq!(
        (ran.code, ran.output("result")),
        (0, "patched"),
        "{}",
        ran.log
    );
    assert!(wire.is_met(), "{}", ran.log);
    assert_eq!(pushed.tags(), ["1", RELEASE, INCREMENTAL]);
    assert_eq!(pushed.manifest(RELEASE).0, ran.output("digest"));
    assert_eq!(pushed.manifest(INCREMENTAL).0, ran.output("digest"));
}

#[test]
#[ignore = "real: needs Docker, a registry, Copa, BuildKit and Trivy"]
fn what_is_pushed_is_recorded_on_github() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let github = runtime.block_on(GitHub::start("t")).unwrap();
    let mut pushed = Pushed::new("recorded", "vulnlib");
    pushed.bench = pushed
        .bench
        .input("storage-record", "true")
        .input("token", "t")
        .input("upload", "false")
        .env("GITHUB_API_URL", &github.url());
    let ran = pushed.bench.run();
    assert_eq!(
        (ran.code, ran.output("result")),
        (0, "patched"),
        "{}",
        ran.log
    );
    let host = pushed.server.host();
    let record = json!({
        "name": format!("{host}/team/app"), "digest": ran.output("digest"), "registry_url": format!("https://{host}"),
        "repository": "team/app", "github_repository": "app",
    });
    assert_eq!(github.storage_records(), std::slice::from_ref(&record));
    // The next run pushes nothing.
    let again = pushed.bench.run();
    assert_eq!(
        (again.code, again.output("result")),
        (0, "up-to-date"),
        "{}",
        again.log
    );
    assert_eq!(github.storage_records(), [record]);
}

#[test]
#[ignore = "real: needs Docker, a registry, Copa, BuildKit and Trivy"]
fn a_registry_that_does_not_take_the_image_keeps_the_tag_that_it_has() {
    let (down, cut) = (Fault::Unavailable, Fault::Reset);
    let unavailable = "responded with 503 Service Unavailable";
    let table: [(_, _, &[&str]); 5] = [
        (every("POST /blobs/uploads", down), unavailable, &["1"]),
        (
            every("PUT /blobs/uploads", cut),
            "failed to push a blob to",
            &["1"],
        ),
        (
            every("PUT /manifests/1-patched-1", down),
            unavailable,
            &["1"],
        ),
        (
            every("PUT /manifests/1-patched", cut),
            "failed to tag",
            &["1", INCREMENTAL],
        ),
        (
            every("GET /tags/list", down),
            unavailable,
            &["1", INCREMENTAL],
        ),
    ];
    let (pushed, wire) = by_wire(Pushed::new("down", "vulnlib"), &Arc::default());
    for (rule, message, tags) in table {
        wire.rules(&[rule]);
        let ran = pushed.bench.run();
        assert_eq!(
            (ran.code, ran.output("result"), ran.output("image")),
            (2, "error", ""),
            "{}",
            ran.log
        );
        assert!(wire.is_met(), "{}", ran.log);
        assert!(ran.error().contains(message), "{}", ran.error());
        assert_eq!(pushed.tags(), tags);
    }
    // The image pushed before the fault was verified and keeps its number: the next run pushes the next one.
    wire.rules(&[]);
    let ran = pushed.bench.run();
    assert_eq!(
        (ran.code, ran.output("incremental-tag")),
        (0, "1-patched-2"),
        "{}",
        ran.log
    );
    assert_eq!(pushed.manifest(RELEASE).0, ran.output("digest"));
}

#[test]
#[ignore = "real: needs Docker, a registry, Copa, BuildKit and Trivy"]
fn a_step_that_is_stopped_while_it_pushes_leaves_whole_tags() {
    let step = Arc::new(AtomicI32::new(0));
    let (mut pushed, wire) = by_wire(Pushed::new("stopped-push", "vulnlib"), &step);
    let docker = Wire::to_docker(&[], &step);
    pushed.bench = pushed.bench.env("DOCKER_HOST", &docker.address);
    let table: [(_, &[&str]); 3] = [
        ("PUT /blobs/uploads", &["1"]),
        ("PUT /manifests/1-patched-1", &["1", INCREMENTAL]),
        (
            "PUT /manifests/1-patched",
            &["1", RELEASE, INCREMENTAL, "1-patched-2"],
        ),
    ];
    for (request, tags) in table {
        step.store(0, Ordering::SeqCst);
        wire.rules(&[first(request, Fault::Terminate)]);
        let ran = pushed.bench.run_to(|| wire.settled());
        assert!(wire.is_met(), "{}", ran.log);
        assert_eq!(
            (ran.code, ran.output("result")),
            (2, "error"),
            "{}",
            ran.log
        );
        assert!(
            ran.error().contains("stopped by SIGTERM"),
            "{}",
            ran.error()
        );
        assert_eq!(pushed.tags(), tags, "{request}");
    }
    assert_eq!(pushed.manifest(RELEASE).0, pushed.manifest("1-patched-2").0);
}

#[test]
#[ignore = "real: needs Docker, a registry, Copa, BuildKit and Trivy"]
fn concurrent_runs_do_not_interfere() {
    let pushed = Pushed::new("both", "vulnlib");
    let ran = std::thread::scope(|scope| {
        let step = pushed.other_step();
        let other = scope.spawn(move || step.run());
        [pushed.bench.step.run(), other.join().unwrap()]
    });
    pushed.bench.left_nothing(&ran[0]);
    let mut made: Vec<_> = Vec::new();
    for ran in &ran {
        assert_eq!(ran.code, 0, "{}", ran.log);
        let incremental = ran.output("incremental-tag");
        if !incremental.is_empty() {
            assert_eq!(
                pushed.manifest(incremental).0,
                ran.output("digest"),
                "{}",
                ran.log
            );
            made.push(ran.output("digest"));
        }
    }
    assert!(
        made.contains(&pushed.manifest(RELEASE).0.as_str()),
        "{made:?}"
    );
    assert_eq!(pushed.tags().len(), 2 + made.len());
}
