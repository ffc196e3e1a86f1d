//! VEX statements of registries and of repositories.

use std::io::Write as _;

use axum::body::Body;
use axum::response::Response;
use oci::{Digest, MANIFEST, RawManifest};
use serde_json::{Value, json};
use testkit::{FakeRunner, PrivateRegistry, Ran, Recorder};

use crate::real::{image, real};
use crate::step::{REPORT, sarif, step, trivy, trivy_that};

/// An OpenVEX document that says that `id` does not apply to `product`.
fn open_vex(id: &str, product: &Value) -> Value {
    json!({
        "@context": "https://openvex.dev/ns/v0.2.0", "@id": format!("https://example.com/vex/{id}"), "author": "test", "timestamp": "2026-11-01T00:00:00Z", "version": 1,
        "statements": [{"vulnerability": {"name": id}, "products": [product], "status": "not_affected", "justification": "vulnerable_code_not_in_execute_path"}],
    })
}

/// A statement of `kind` about `subject`.
fn statement(kind: &str, subject: &Digest, predicate: &Value) -> Value {
    json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": kind, "predicate": predicate,
        "subject": [{"name": "app", "digest": {"sha256": subject.hex()}}]})
}

fn envelope(statement: &Value) -> Value {
    let payload = testkit::base64(statement.to_string().as_bytes());
    json!({"payloadType": "application/vnd.in-toto+json", "payload": payload, "signatures": []})
}

async fn run(step: FakeRunner) -> (Ran, FakeRunner) {
    tokio::task::spawn_blocking(move || (step.run(), step))
        .await
        .unwrap()
}

fn respond(status: u16, kind: &str, body: impl Into<Body>) -> Response {
    let builder = Response::builder().status(status);
    builder
        .header("content-type", kind)
        .body(body.into())
        .unwrap()
}

/// What a fake registry has, by request.
type Content = Vec<(String, &'static str, String)>;

/// The image `app:1`, and what `refers` to it: the type of the artifact, that of its predicate, and the content.
fn with_referrers(
    refers: impl Fn(&Digest) -> Vec<(&'static str, &'static str, Value)>,
) -> (Digest, Content) {
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [], "config": {
        "mediaType": oci::CONFIG, "digest": Digest::sha256(b"{}").to_string(), "size": 2}})
    .to_string();
    let image = Digest::sha256(manifest.as_bytes());
    let mut content = vec![
        ("/v2/app/manifests/1".to_owned(), MANIFEST, manifest.clone()),
        (format!("/v2/app/manifests/{image}"), MANIFEST, manifest),
    ];
    let mut entries = Vec::new();
    for (kind, predicate, document) in refers(&image) {
        let document = document.to_string();
        let layer = Digest::sha256(document.as_bytes());
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": kind,
            "config": {"mediaType": oci::EMPTY, "digest": Digest::sha256(b"{}").to_string(), "size": 2},
            "layers": [{"mediaType": kind, "digest": layer.to_string(), "size": document.len()}]})
        .to_string();
        let digest = Digest::sha256(manifest.as_bytes());
        entries.push(
            json!({"mediaType": MANIFEST, "digest": digest.to_string(), "size": manifest.len(),
            "artifactType": kind, "annotations": {"in-toto.io/predicate-type": predicate}}),
        );
        content.push((format!("/v2/app/manifests/{digest}"), MANIFEST, manifest));
        content.push((
            format!("/v2/app/blobs/{layer}"),
            "application/octet-stream",
            document,
        ));
    }
    let list = json!({"schemaVersion": 2, "mediaType": oci::INDEX, "manifests": entries});
    content.push((
        format!("/v2/app/referrers/{image}"),
        oci::INDEX,
        list.to_string(),
    ));
    (image, content)
}

async fn registry(content: Content) -> Recorder {
    let server = Recorder::start(move |seen| {
        let found = content
            .iter()
            .find(|(path, ..)| seen.line == format!("GET {path}"));
        match found {
            Some((_, kind, body)) => respond(200, kind, body.clone()),
            None => respond(404, "text/plain", ""),
        }
    });
    server.await.unwrap()
}

/// A step whose Trivy keeps the VEX documents that it gets, names the first as the source of the suppressed finding, and
/// reports that it scanned `scanned`.
fn with_vex(scanned: &str) -> FakeRunner {
    let mut report: Value = serde_json::from_str(REPORT).unwrap();
    report["Metadata"]["RepoDigests"] = json!([scanned]);
    let suppressed = &mut report["Results"][0]["ExperimentalModifiedFindings"][0];
    suppressed["Source"] = "@VEX@".into();
    suppressed["Status"] = "not_affected".into();
    let scan = format!(
        "*) echo \"$*\" >> \"$here/scans\"; vex=$(echo \"$*\" | sed 's/.*--vex \\([^ ]*\\).*/\\1/'); cp \"$vex\" \"$here/vex.json\"; sed \"s|@VEX@|$vex|\" <<'REPORT'\n{report}\nREPORT\n;;"
    );
    step()
        .tool("trivy", &trivy_that(&scan))
        .input("image-sources", "remote")
        .input("vex", "oci")
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_that_refer_to_the_image_are_used_and_listed() {
    const KIND: &str = "https://openvex.dev/ns/v0.2.0";
    const TYPE: &str = "application/vnd.in-toto+json";
    let document = open_vex("CVE-2026-2", &json!({"@id": "pkg:deb/debian/perl"}));
    let (image, content) = with_referrers(|image| {
        let other = Digest::sha256(b"other");
        vec![
            (
                TYPE,
                "https://spdx.dev/Document",
                statement("https://spdx.dev/Document", image, &json!({})),
            ),
            (TYPE, KIND, statement(KIND, &other, &document)),
            (TYPE, KIND, envelope(&statement(KIND, image, &document))),
            ("application/spdx+json", "", json!({})),
        ]
    });
    let registry = registry(content).await;
    let name = format!("{}/app", registry.host());
    let step = with_vex(&format!("{name}@{image}")).input("image", &format!("{name}:1"));
    let (ran, step) = run(step).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let kept = std::fs::read_to_string(step.directory().join("tools/vex.json")).unwrap();
    assert!(kept.contains("CVE-2026-2"), "{kept}");
    // Of the SBOMs, nothing but their entries in the list was read.
    let read = registry
        .seen()
        .iter()
        .filter(|seen| seen.line.contains("/blobs/"))
        .count();
    assert_eq!(read, 2);
    let shown = |text: &str| {
        let text = text.replace(&registry.host(), "[registry]");
        let digests = registry.seen();
        let digests = digests
            .iter()
            .filter_map(|seen| seen.line.split("/manifests/").nth(1));
        digests.fold(text, |text, digest| match digest.get(..19) {
            Some(short) => text.replace(short, "sha256:[digest]"),
            None => text,
        })
    };
    let summary = shown(&ran.summary);
    let expected =
        "- CVE-2026-2 in `perl`: not reachable (OpenVEX sha256:[digest] of [registry]/app)";
    assert!(summary.contains(expected), "{summary}");
    let log = shown(&ran.log);
    for line in [
        "OpenVEX sha256:[digest] of [registry]/app: 1 finding suppressed",
        "is not used: it is a statement about another image",
    ] {
        assert!(log.contains(line), "{line}: {log}");
    }
    let left = step.directory().join("temp").read_dir().unwrap().flatten();
    let left: Vec<_> = left.filter(|entry| entry.path().is_dir()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_of_the_image_that_was_scanned() {
    let document = open_vex("CVE-2026-2", &json!({"@id": "pkg:deb/debian/perl"}));
    let (image, content) = with_referrers(|_| {
        vec![(
            "application/vnd.openvex+json",
            "https://openvex.dev/ns",
            document.clone(),
        )]
    });
    let registry = registry(content).await;
    let name = format!("{}/app", registry.host());
    // The tag moved between two requests.
    let moved = format!("{name}@{}", Digest::sha256(b"moved"));
    let (ran, _) = run(with_vex(&moved).input("image", &format!("{name}:1"))).await;
    let expected = format!(
        "the VEX documents refer to {image}, and the image that was scanned is {moved}; run again, or name the image by its digest"
    );
    assert_eq!(ran.code, 2, "{}", ran.log);
    assert!(ran.error().contains(&expected), "{}", ran.error());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_without_documents_is_reported_and_a_registry_that_fails_is_an_error() {
    let (image, content) = with_referrers(|_| Vec::new());
    let without = registry(content).await;
    let name = format!("{}/app", without.host());
    let step = || {
        step()
            .tool("trivy", &trivy(REPORT))
            .input("image-sources", "remote")
            .input("vex", "oci")
    };
    let (ran, _) = run(step().input("image", &format!("{name}:1"))).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let short = image.to_string()[..19].to_owned();
    let message = format!("`oci` in `vex`: no OpenVEX document refers to {name} ({short})");
    assert!(ran.log.contains(&message), "{}", ran.log);
    let failing = Recorder::start(|seen| {
        let status = if seen.line.contains("/referrers/") {
            403
        } else {
            404
        };
        respond(status, "text/plain", "")
    });
    let failing = failing.await.unwrap();
    let by_digest = format!("{}/app@{image}", failing.host());
    let (ran, _) = run(step().input("image", &by_digest)).await;
    assert_eq!(ran.code, 2, "{}", ran.log);
    let message = "failed to read the VEX documents that refer to the image (`oci` in `vex`)";
    assert!(ran.error().contains(message), "{}", ran.error());
}

/// The archive of a repository with one document.
fn repository(package: &str, document: &Value) -> Vec<u8> {
    let index = json!({"updated_at": "2026-11-20T10:00:00Z", "packages": [{"id": package, "location": "pkg/vex.json", "format": "openvex"}]});
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in [
        ("hub/index.json", index),
        ("hub/pkg/vex.json", document.clone()),
    ] {
        let content = content.to_string();
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, content.as_bytes())
            .unwrap();
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar.into_inner().unwrap()).unwrap();
    gzip.finish().unwrap()
}

/// A server with the repository, whose manifest names `locations` too.
async fn hub(locations: &[String], archive: Vec<u8>) -> Recorder {
    let others: Vec<_> = locations.iter().map(|url| json!({"url": url})).collect();
    let server = Recorder::start(move |seen| match seen.line.as_str() {
        "GET /vex/.well-known/vex-repository.json" => {
            let mut locations = others.clone();
            locations.push(json!({"url": format!("http://{}/vex/hub.tar.gz//hub", seen.host)}));
            let manifest = json!({"name": "Test", "description": "x", "versions": [{"spec_version": "0.1", "locations": locations, "update_interval": "24h"}]});
            respond(200, "application/json", manifest.to_string())
        }
        "GET /vex/hub.tar.gz" => respond(200, "application/gzip", archive.clone()),
        _ => respond(404, "text/plain", ""),
    });
    server.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_downloaded_once_and_its_password_goes_to_its_host_only() {
    let document = open_vex("CVE-2026-2", &json!({"@id": "pkg:deb/debian/openssl"}));
    let other = Recorder::start(|_| respond(404, "text/plain", ""))
        .await
        .unwrap();
    let elsewhere = format!("http://{}/hub.tar.gz//hub", other.host());
    let hub = hub(
        &[elsewhere],
        repository("pkg:deb/debian/openssl", &document),
    )
    .await;
    let url = format!("http://{}/vex", hub.host());
    let keep = "*) env > \"$here/env\"; cp -rL \"$XDG_DATA_HOME/.trivy\" \"$here/home\"; for a in \"$@\"; do [ \"$b\" = --cache-dir ] && { cp -rL \"$a/vex\" \"$here/vex\"; ls \"$a/db\" > \"$here/db\"; }; b=$a; done; cat <<'REPORT'\n";
    let scan = format!("{keep}{REPORT}\nREPORT\n;;");
    let step = step()
        .tool("trivy", &trivy_that(&scan))
        // A configuration of the machine, or of the checkout.
        .file(
            "data/.trivy/vex/repository.yaml",
            "repositories: [{name: evil, url: 'http://127.0.0.1:9', enabled: true}]",
        )
        .file(
            "home/.trivy/vex/repository.yaml",
            "repositories: [{name: evil, url: 'http://127.0.0.1:9', enabled: true}]",
        );
    let data = step.workspace().join("data");
    let step = step
        .env("XDG_DATA_HOME", &data.to_string_lossy())
        .input("vex", "repo")
        .input("vex-repositories", &url.replace("://", "://me:t0ken@"));
    let (ran, step) = run(step).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let tools = step.directory().join("tools");
    let read = |path: &str| std::fs::read_to_string(tools.join(path)).unwrap();
    let config: Value = serde_json::from_str(&read("home/vex/repository.yaml")).unwrap();
    let name = hub.host().replace(':', "_") + "_vex";
    assert_eq!(
        config,
        json!({"repositories": [{"name": name, "url": url, "enabled": true}]})
    );
    assert!(read(&format!("vex/repositories/{name}/0.1/pkg/vex.json")).contains("CVE-2026-2"));
    assert!(read("db").contains("trivy.db"));
    assert!(!read("env").contains("t0ken"));
    // Basic authentication of `me:t0ken`.
    assert_eq!(
        hub.authorizations(),
        ["Basic bWU6dDBrZW4=", "Basic bWU6dDBrZW4="]
    );
    assert_eq!(other.authorizations(), [""]);
    assert!(
        !ran.log.contains("t0ken") && !ran.summary.contains("t0ken"),
        "{}",
        ran.log
    );
    let line = format!(
        "VEX repository {url} of 2026-11-20: documents on 1 of 2 packages, 0 findings suppressed"
    );
    assert!(ran.log.contains(&line), "{}", ran.log);
    // It is not due, and a run that is offline needs no server.
    for offline in ["false", "true"] {
        let _ = std::fs::remove_dir_all(tools.join("home"));
        let _ = std::fs::remove_dir_all(tools.join("vex"));
        let again = step_again(&step).input("offline", offline);
        let (ran, _) = run(again.input("vex", "repo").input("vex-repositories", &url)).await;
        assert_eq!(ran.code, 0, "{}", ran.log);
        assert!(ran.log.contains(&line), "{}", ran.log);
    }
    assert_eq!(hub.seen().len(), 2);
}

/// Another step with the home directory and the tools of `first`.
fn step_again(first: &FakeRunner) -> FakeRunner {
    let path = |name: &str| first.directory().join(name).to_string_lossy().into_owned();
    let tools = format!("{}:/usr/bin:/bin", path("tools"));
    step().env("HOME", &path("home")).env("PATH", &tools)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_unavailable_is_an_error_or_comes_from_the_cache() {
    let document = open_vex("CVE-2026-2", &json!({"@id": "pkg:deb/debian/openssl"}));
    let name = "127.0.0.1_9";
    let with = || {
        step()
            .input("vex", "repo")
            .input("vex-repositories", "http://127.0.0.1:9")
    };
    let (ran, _) = run(with()).await;
    assert_eq!(ran.code, 2, "{}", ran.log);
    let message = "failed to download the VEX repository http://127.0.0.1:9: ";
    assert!(ran.error().contains(message), "{}", ran.error());
    let (ran, _) = run(with().input("offline", "true")).await;
    assert_eq!(ran.code, 2, "{}", ran.log);
    let message = "`offline` is set, but there is no VEX repository http://127.0.0.1:9 in ";
    assert!(ran.error().contains(message), "{}", ran.error());
    for (hours, code, message) in [
        (
            30,
            0,
            "the VEX repository http://127.0.0.1:9 is of the cache, since it has no newer one (",
        ),
        (
            60,
            2,
            "the VEX repository http://127.0.0.1:9 in the cache is 60 h old, over the `max-database-age` of 48 h; there is no newer one (",
        ),
    ] {
        let step = with();
        let cached = step
            .directory()
            .join("home/.cache/trivy/vex/repositories")
            .join(name);
        std::fs::create_dir_all(cached.join("0.1/pkg")).unwrap();
        let index =
            json!({"packages": [{"id": "pkg:deb/debian/openssl", "location": "pkg/vex.json"}]});
        std::fs::write(cached.join("0.1/index.json"), index.to_string()).unwrap();
        std::fs::write(cached.join("0.1/pkg/vex.json"), document.to_string()).unwrap();
        let updated = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(hours);
        std::fs::write(
            cached.join("cache.json"),
            json!({"UpdatedAt": updated.to_string()}).to_string(),
        )
        .unwrap();
        let (ran, _) = run(step).await;
        assert_eq!(ran.code, code, "{}", ran.log);
        assert!(ran.log.contains(message), "{}", ran.log);
    }
}

#[test]
fn a_source_that_cannot_be_used_is_invalid_input() {
    let table = [
        (
            ("vex", "sbom-ref"),
            "input `vex`: `sbom-ref` is not supported; download the document in an earlier step and name its path",
        ),
        (
            ("vex-repositories", "https://vex.example"),
            "input `vex-repositories`: is not used: add the line `repo` to `vex`, or remove it",
        ),
        (
            ("vex", "./oci"),
            "input `vex`: there is no `./oci` in the workspace",
        ),
    ];
    for ((input, value), message) in table {
        let ran = step().input(input, value).run();
        assert_eq!(ran.code, 3, "{}", ran.log);
        assert!(ran.error().contains(message), "{}", ran.error());
    }
    let ran = step()
        .input("image", "")
        .input("scan-type", "fs")
        .input("vex", "oci")
        .run();
    assert_eq!(ran.code, 3, "{}", ran.log);
    let message =
        "input `vex`: `oci` is for images of a registry, and no target has the `scan-type` `image`";
    assert!(ran.error().contains(message), "{}", ran.error());
    let repositories = "https://vex.example/\nhttps://vex.example";
    let ran = step()
        .input("vex", "repo")
        .input("vex-repositories", repositories)
        .run();
    let message = "input `vex-repositories`: `https://vex.example` is in it twice";
    assert!(
        ran.code == 3 && ran.error().contains(message),
        "{}",
        ran.error()
    );
}

#[test]
#[ignore = "real: needs Trivy"]
fn a_repository_and_a_document_suppress_together() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let document = open_vex("CVE-2025-27516", &json!({"@id": "pkg:pypi/jinja2@3.1.2"}));
    let hub = runtime.block_on(hub(&[], repository("pkg:pypi/jinja2", &document)));
    let base = || {
        real()
            .file("requirements.txt", "jinja2==3.1.2\n")
            .input("scan-type", "fs")
            // Not due: the database is new, and there is no mirror.
            .input("offline", "false")
            .input("db-repositories", "127.0.0.1:9/trivy-db:2")
    };
    let total = |ran: &Ran| -> usize { ran.output("total").parse().unwrap() };
    let ran = base().run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    let before = total(&ran);
    assert!(before >= 1, "{}", ran.log);
    let url = format!("http://{}/vex", hub.host());
    let step = base().input("vex", "repo").input("vex-repositories", &url);
    let ran = step.run();
    assert_eq!((ran.code, total(&ran)), (0, before - 1), "{}", ran.log);
    let line = format!(
        "VEX repository {url} of 2026-11-20: documents on 1 of 1 package, 1 finding suppressed"
    );
    assert!(ran.log.contains(&line), "{}", ran.log);
    let reason = &sarif(&step)["runs"][0]["results"][before - 1]["suppressions"][0];
    let expected =
        format!("vulnerable_code_not_in_execute_path (VEX repository {url} of 2026-11-20)");
    assert_eq!(reason["justification"], expected);
    // The directory of a checkout, after a document: the first source counts.
    let index = json!({"packages": [{"id": "pkg:pypi/jinja2", "location": "vex.json"}]});
    let ran = base()
        .file("hub/index.json", &index.to_string())
        .file("hub/vex.json", &document.to_string())
        .file(
            "own.json",
            &open_vex("CVE-2000-0001", &json!({"@id": "pkg:pypi/jinja2"})).to_string(),
        )
        .input("vex", "own.json\nrepo")
        .input("vex-repositories", "hub")
        .run();
    assert_eq!((ran.code, total(&ran)), (0, before - 1), "{}", ran.log);
    for line in [
        "VEX document own.json: 0 findings suppressed",
        "VEX repository `hub`: documents on 1 of 1 package, 1 finding suppressed",
        "`own.json`: the statements on CVE-2000-0001 match nothing",
    ] {
        assert!(ran.log.contains(line), "{line}: {}", ran.log);
    }
}

/// Push an image of two layers as `app:1`, and return its manifest.
async fn push(client: &oci::Registry, directory: &std::path::Path) -> RawManifest {
    let (config, layers) = image(("etc/motd", b"hello"));
    let mut descriptors = Vec::new();
    for (kind, bytes) in [(oci::CONFIG, config.to_string().into_bytes())]
        .into_iter()
        .chain(layers.into_iter().map(|layer| (oci::LAYER, layer)))
    {
        descriptors.push(push_blob(client, directory, kind, &bytes).await);
    }
    let config = descriptors.remove(0);
    let manifest = oci::Manifest::new(config, descriptors);
    client
        .push_manifest("app", &manifest, Some("1"))
        .await
        .unwrap();
    client.manifest("app", "1").await.unwrap().unwrap()
}

async fn push_blob(
    client: &oci::Registry,
    directory: &std::path::Path,
    kind: &str,
    bytes: &[u8],
) -> oci::Descriptor {
    let digest = Digest::sha256(bytes);
    let path = directory.join("blob");
    std::fs::write(&path, bytes).unwrap();
    client
        .push_blob("app", digest.as_str(), &path)
        .await
        .unwrap();
    oci::Descriptor::new(kind, &digest, bytes.len() as u64)
}

/// Attach `content` to `subject`: as a referrer, or as cosign 2 does.
async fn attach(
    client: &oci::Registry,
    directory: &std::path::Path,
    subject: &RawManifest,
    (kind, content): (&str, &Value),
    is_legacy: bool,
) {
    let config = push_blob(client, directory, oci::EMPTY, b"{}").await;
    let layer = push_blob(client, directory, kind, content.to_string().as_bytes()).await;
    let mut manifest = oci::Manifest::new(config, vec![layer]);
    if is_legacy {
        let tag = format!("sha256-{}.att", subject.digest.hex());
        client
            .push_manifest("app", &manifest, Some(&tag))
            .await
            .unwrap();
        return;
    }
    manifest.artifact_type = Some(kind.to_owned());
    let size = subject.bytes.len() as u64;
    manifest.subject = Some(oci::Descriptor::new(
        &subject.media_type,
        &subject.digest,
        size,
    ));
    client.push_manifest("app", &manifest, None).await.unwrap();
}

#[test]
#[ignore = "real: needs Trivy and a registry"]
fn documents_of_a_private_registry_suppress_findings_of_its_image() {
    const KIND: &str = "https://openvex.dev/ns/v0.2.0";
    let server = PrivateRegistry::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let credentials = oci::Credentials {
        username: PrivateRegistry::USER.to_owned(),
        password: PrivateRegistry::PASSWORD.to_owned(),
    };
    let http = http_client::Client::new().unwrap();
    let client = oci::Registry::new(
        http,
        server.host(),
        oci::Auth::Password(credentials),
        |_| {},
    );
    let image = runtime.block_on(push(&client, server.directory()));
    let name = format!("{}/app", server.host());
    let scan = |vex: &str, image: &str| {
        let step = real()
            .input("image", image)
            .input("image-sources", "remote")
            .input("registry-username", PrivateRegistry::USER)
            .input("registry-password", PrivateRegistry::PASSWORD)
            .input("vex", vex);
        let ran = step.run();
        assert_eq!(ran.code, 0, "{}", ran.log);
        let total: usize = ran.output("total").parse().unwrap();
        (total, ran)
    };
    let tagged = format!("{name}:1");
    let (before, _) = scan("", &tagged);
    let (none, ran) = scan("oci", &tagged);
    assert_eq!(none, before);
    assert!(
        ran.log.contains("no OpenVEX document refers to "),
        "{}",
        ran.log
    );
    // A statement about the image and a package in it, a document alone, and what cosign 2 attaches.
    let product = format!("pkg:oci/app@{}?repository_url={name}", image.digest);
    let of_image = json!({"@id": product, "subcomponents": [{"@id": "pkg:pypi/jinja2@3.1.2"}]});
    let first = statement(KIND, &image.digest, &open_vex("CVE-2025-27516", &of_image));
    let second = open_vex("CVE-2026-84782", &json!({"@id": "pkg:deb/debian/openssl"}));
    let third = open_vex("CVE-2026-35189", &json!({"@id": "pkg:deb/debian/openssl"}));
    let third = envelope(&statement(KIND, &image.digest, &third));
    runtime.block_on(async {
        let at = server.directory();
        attach(
            &client,
            at,
            &image,
            ("application/vnd.in-toto+json", &first),
            false,
        )
        .await;
        attach(
            &client,
            at,
            &image,
            ("application/vnd.openvex+json", &second),
            false,
        )
        .await;
        attach(
            &client,
            at,
            &image,
            ("application/vnd.dsse.envelope.v1+json", &third),
            true,
        )
        .await;
    });
    for image in [tagged, format!("{name}@{}", image.digest)] {
        let (after, ran) = scan("oci", &image);
        assert_eq!(after, before - 3, "{}", ran.log);
        let lines = ran.log.lines().filter(|line| {
            line.contains("OpenVEX sha256:") && line.ends_with(": 1 finding suppressed")
        });
        assert_eq!(lines.count(), 3, "{}", ran.log);
        assert!(
            ran.summary
                .replace('\\', "")
                .contains("vulnerable_code_not_in_execute_path (OpenVEX sha256:"),
            "{}",
            ran.summary
        );
    }
}
