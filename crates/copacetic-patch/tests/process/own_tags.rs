//! What this action pushed into a registry is not an image to patch.

use oci::{Digest, architecture};
use serde_json::json;
use testkit::Recorder;

use crate::whole_registry::{CONFIG, Content, lines, run, run_at};

#[tokio::test]
async fn the_patched_tag_follows_an_original_that_has_nothing_to_fix() {
    let content = Content::default()
        .image("team/app:1", "2026-11-28T00:00:00Z")
        .patch("team/app:1-patched", "host/team/app:1", "sha256:0");
    let (ran, results, registry) = run(content, |step| step).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let host = registry.host();
    let moved = format!(
        "{host}/team/app:1-patched was of an earlier build; it is now {host}/team/app:1 itself, which has nothing to fix"
    );
    assert!(ran.log.contains(&moved), "{}", ran.log);
    let puts: Vec<_> = registry
        .seen()
        .into_iter()
        .filter(|seen| seen.line.starts_with("PUT"))
        .collect();
    assert_eq!(puts.len(), 1);
    assert_eq!(puts[0].line, "PUT /v2/team/app/manifests/1-patched");
    assert_eq!(
        Digest::sha256(&puts[0].body).to_string(),
        ran.output("digest")
    );
    assert_eq!(results[0]["patched-tag"], "1-patched");
}

#[tokio::test]
async fn a_tag_that_followed_the_original_is_not_an_image_and_follows_it_again() {
    // What `1-patched` refers to is an earlier build of `1`, which had nothing to fix: it has no annotation that says so.
    let content = Content::default()
        .image("team/app:1", "2026-11-28T00:00:00Z")
        .image("team/app:1-patched", "2026-11-01T00:00:00Z")
        .patch("team/app:1-patched-1", "host/team/app:1", "sha256:0");
    let (ran, results, registry) = run(content, |step| step).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    insta::assert_snapshot!(lines(&results, &registry), @r"
    HOST/team/app:1: up-to-date ()
    HOST/team/app:1-patched: skipped (it is where the patch of `HOST/team/app:1` goes)
    HOST/team/app:1-patched-1: skipped (it is a patched image itself)
    ");
    let puts: Vec<_> = registry
        .seen()
        .into_iter()
        .filter(|seen| seen.line.starts_with("PUT"))
        .collect();
    assert_eq!(puts.len(), 1, "{}", ran.log);
    assert_eq!(puts[0].line, "PUT /v2/team/app/manifests/1-patched");
    assert_eq!(
        Digest::sha256(&puts[0].body).to_string(),
        ran.output("digest")
    );
}

#[tokio::test]
async fn a_tag_of_someone_else_does_not_follow_an_original() {
    // No number says that this action pushed it.
    let content = Content::default()
        .image("team/app:1", "2026-11-28T00:00:00Z")
        .image("team/app:1-patched", "2026-11-01T00:00:00Z");
    let (ran, results, registry) = run(content, |step| step.input("tags", "1")).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    insta::assert_snapshot!(lines(&results, &registry), @"HOST/team/app:1: up-to-date ()");
    let seen = registry.seen();
    assert!(!seen.iter().any(|seen| seen.line.starts_with("PUT")));
}

#[tokio::test]
async fn a_number_of_a_tag_that_is_replaced_in_place_never_moves() {
    let content = Content::default()
        .image("team/app:1", "2026-11-28T00:00:00Z")
        .patch("team/app:1-1", "host/team/app:1", "sha256:0");
    let (ran, results, registry) = run(content, |step| {
        step.input("patched-tag", "{tag}")
            .input("replace-tags", "true")
    })
    .await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    insta::assert_snapshot!(lines(&results, &registry), @r"
    HOST/team/app:1: up-to-date ()
    HOST/team/app:1-1: skipped (it is a patched image itself)
    ");
}

#[tokio::test]
async fn what_was_copied_within_a_registry_is_not_copied_again() {
    // The same image, which had nothing to fix, under the names that an earlier run gave it.
    let config = json!({"os": "linux", "architecture": architecture()});
    let names = ["team/app:1", "mirror/team/app:1", "mirror/team/app:1-1"];
    let content = names.iter().fold(Content::default(), |content, name| {
        content.add(name, CONFIG, &config, &json!({}))
    });
    let registry = Recorder::start(move |seen| content.respond(seen));
    let registry = registry.await.unwrap();
    let destination = format!("{}/mirror", registry.host());
    let (ran, results) = run_at(&registry, |step| {
        step.input("push", "false")
            .input("push-to", &destination)
            .input("patched-tag", "{tag}")
    })
    .await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    insta::assert_snapshot!(lines(&results, &registry), @r"
    HOST/team/app:1: up-to-date ()
    HOST/mirror/team/app:1: skipped (it is where the patch of `HOST/team/app:1` goes)
    HOST/mirror/team/app:1-1: skipped (it is where the patch of `HOST/team/app:1` goes)
    ");
}
