//! The images of a registry: each has its own outcome.

use std::collections::BTreeMap;
use std::sync::Mutex;

use axum::body::Body;
use axum::response::Response;
use oci::{Digest, architecture};
use serde_json::{Value, json};
use testkit::{FakeDocker, FakeRunner, Ran, Recorder, Seen};

use crate::step;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const NOTHING: &str = r#"{"SchemaVersion": 2, "ArtifactName": "app", "ArtifactType": "container_image", "Metadata": {"OS": {"Family": "debian", "Name": "13"}}, "Results": [{"Target": "app", "Class": "os-pkgs", "Type": "debian", "Packages": [{"Name": "perl", "Version": "5"}]}]}"#;

/// What a registry has: blobs and manifests by their path, tags by repository.
#[derive(Default)]
pub(crate) struct Content {
    bodies: BTreeMap<String, (String, String)>,
    tags: BTreeMap<String, Vec<String>>,
    has_no_catalog: bool,
}

impl Content {
    /// Add `manifest` with its configuration under `repository:tag`.
    pub(crate) fn add(
        mut self,
        name: &str,
        config_type: &str,
        config: &Value,
        more: &Value,
    ) -> Self {
        let (repository, tag) = name.split_once(':').unwrap();
        let config = config.to_string();
        let digest = Digest::sha256(config.as_bytes()).to_string();
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
            "config": {"mediaType": config_type, "digest": digest, "size": config.len()},
        });
        let fields = manifest.as_object_mut().unwrap();
        fields.extend(more.as_object().cloned().unwrap_or_default());
        let manifest = manifest.to_string();
        let own = Digest::sha256(manifest.as_bytes());
        let mut put = |path: String, kind: &str, body: &str| {
            self.bodies.insert(path, (kind.to_owned(), body.to_owned()));
        };
        put(
            format!("/v2/{repository}/blobs/{digest}"),
            "application/octet-stream",
            &config,
        );
        put(
            format!("/v2/{repository}/manifests/{tag}"),
            MANIFEST,
            &manifest,
        );
        put(
            format!("/v2/{repository}/manifests/{own}"),
            MANIFEST,
            &manifest,
        );
        let tags = self.tags.entry(repository.to_owned()).or_default();
        tags.push(tag.to_owned());
        self
    }

    /// An image of this platform, made at a time.
    pub(crate) fn image(self, name: &str, created: &str) -> Self {
        let config = json!({"os": "linux", "architecture": architecture(), "created": created, "name": name});
        self.add(name, CONFIG, &config, &json!({}))
    }

    /// A patch of `of`, whose digest was `digest`.
    pub(crate) fn patch(self, name: &str, of: &str, digest: &str) -> Self {
        let origin =
            json!({"sh.copa.patch.origin.name": of, "sh.copa.patch.origin.digest": digest});
        let config =
            json!({"os": "linux", "architecture": architecture(), "config": {"Labels": origin}});
        self.add(name, CONFIG, &config, &json!({"annotations": origin}))
    }

    /// An index under `name` of the images that `others` names, without their platforms.
    fn index(mut self, name: &str, others: &[&str]) -> Self {
        let (repository, tag) = name.split_once(':').unwrap();
        let path = |tag: &str| format!("/v2/{repository}/manifests/{tag}");
        let entries: Vec<_> = others
            .iter()
            .map(|other| {
                let (_, body) = &self.bodies[&path(other)];
                json!({"mediaType": MANIFEST, "digest": Digest::sha256(body.as_bytes()).to_string(), "size": body.len()})
            })
            .collect();
        let index = json!({"schemaVersion": 2, "mediaType": oci::INDEX, "manifests": entries});
        self.bodies
            .insert(path(tag), (oci::INDEX.to_owned(), index.to_string()));
        let tags = self.tags.entry(repository.to_owned()).or_default();
        tags.push(tag.to_owned());
        self
    }

    pub(crate) fn respond(&self, seen: &Seen) -> Response {
        let (method, path) = seen.line.split_once(' ').unwrap();
        let path = path.split('?').next().unwrap();
        let body = |kind: &str, body: String| {
            let mut builder = Response::builder().header("content-type", kind);
            if method == "HEAD" {
                let digest = Digest::sha256(body.as_bytes()).to_string();
                builder = builder.header("docker-content-digest", digest);
            }
            builder.body(Body::from(body)).unwrap()
        };
        let status = |code: u16| {
            Response::builder()
                .status(code)
                .body(Body::empty())
                .unwrap()
        };
        if method == "PUT" {
            return status(201);
        }
        if path == "/v2/_catalog" && self.has_no_catalog {
            return status(404);
        }
        if path == "/v2/_catalog" {
            let names: Vec<_> = self.tags.keys().collect();
            return body(
                "application/json",
                json!({"repositories": names}).to_string(),
            );
        }
        let repository = path
            .strip_prefix("/v2/")
            .and_then(|p| p.strip_suffix("/tags/list"));
        if let Some(repository) = repository {
            if repository.starts_with("secret/") {
                return status(403);
            }
            return body(
                "application/json",
                json!({"tags": self.tags[repository]}).to_string(),
            );
        }
        match self.bodies.get(path) {
            Some((kind, text)) => body(kind, text.clone()),
            None => status(404),
        }
    }
}

/// The step that patches the whole registry; each scan finds `report`.
pub(crate) fn whole(docker: &FakeDocker, registry: &Recorder) -> FakeRunner {
    let step = step()
        .env("DOCKER_HOST", &docker.host())
        .tool("trivy", &format!("cat <<'REPORT'\n{NOTHING}\nREPORT"))
        .input("image", "")
        .input("registry", &registry.host())
        .input("tags", "*")
        .input("push", "true")
        .input("upload", "false")
        .input("offline", "true")
        .input("results-file", "results.json");
    let database = step.directory().join("home/.cache/trivy/db");
    std::fs::create_dir_all(&database).unwrap();
    let now = jiff::Timestamp::now();
    let about = format!(r#"{{"Version":2,"UpdatedAt":"{now}","NextUpdate":"{now}"}}"#);
    std::fs::write(database.join("metadata.json"), about).unwrap();
    std::fs::write(database.join("trivy.db"), "db").unwrap();
    step
}

pub(crate) async fn run(
    content: Content,
    change: impl FnOnce(FakeRunner) -> FakeRunner,
) -> (Ran, Value, Recorder) {
    let registry = Recorder::start(move |seen| content.respond(seen))
        .await
        .unwrap();
    let (ran, results) = run_at(&registry, change).await;
    (ran, results, registry)
}

pub(crate) async fn run_at(
    registry: &Recorder,
    change: impl FnOnce(FakeRunner) -> FakeRunner,
) -> (Ran, Value) {
    let docker = FakeDocker::with("other:1");
    let step = change(whole(&docker, registry));
    let results = step.workspace().join("results.json");
    let ran = tokio::task::spawn_blocking(move || (step.run(), step)).await;
    let (ran, _step) = ran.unwrap();
    let results = std::fs::read(results).unwrap_or_else(|_| b"null".to_vec());
    (ran, serde_json::from_slice(&results).unwrap())
}

// `original: result (reason)`, without the host.
pub(crate) fn lines(results: &Value, registry: &Recorder) -> String {
    let entries = results.as_array().expect("the results");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let line = |entry: &Value| {
        format!(
            "{}: {} ({})\n",
            text(&entry["original"]),
            text(&entry["result"]),
            text(&entry["reason"])
        )
    };
    let lines: String = entries.iter().map(line).collect();
    lines.replace(&registry.host(), "HOST")
}

#[tokio::test]
async fn each_image_has_its_own_outcome() {
    let chart = "application/vnd.cncf.helm.config.v1+json";
    let long = format!("team/app:{}", "a".repeat(125));
    let content = Content::default()
        .image("team/app:1", "2026-11-28T00:00:00Z")
        .image(&long, "2026-11-28T00:00:00Z")
        .patch("team/app:1-safe", "host/team/app:1", "sha256:0")
        .add("team/chart:1", chart, &json!({}), &json!({}))
        .add(
            "team/windows:1",
            CONFIG,
            &json!({"os": "windows", "architecture": "amd64"}),
            &json!({}),
        )
        .image("team/old:1", "2020-01-01T00:00:00Z")
        .image("team/test:1", "2026-11-28T00:00:00Z")
        .image("secret/app:1", "2026-11-28T00:00:00Z");
    let (ran, results, registry) = run(content, |step| {
        step.input("max-image-age", "3650d")
            .input("exclude", "/test$/\nteam/old:1")
    })
    .await;
    assert_eq!(
        (ran.code, ran.output("result")),
        (2, "error"),
        "{}",
        ran.log
    );
    insta::assert_snapshot!(lines(&results, &registry));
    let app = format!("{}/team/app:1", registry.host());
    assert_eq!(ran.output("image"), app);
    let summary = ran.summary.replace(&registry.host(), "HOST");
    insta::assert_snapshot!(summary);
}

#[tokio::test]
async fn a_registry_without_anything_to_patch_is_no_failure() {
    let content = Content::default().patch("team/app:1-patched", "host/team/app:1", "sha256:0");
    let (ran, results, registry) = run(content, |step| step).await;
    assert_eq!(
        (ran.code, ran.output("result")),
        (0, "up-to-date"),
        "{}",
        ran.log
    );
    assert_eq!(
        lines(&results, &registry),
        "HOST/team/app:1-patched: skipped (it is a patched image itself)\n"
    );
}

#[tokio::test]
async fn one_tag_never_stands_for_two_images() {
    let content = Content::default()
        .image("team/app:1", "2026-11-28T00:00:00Z")
        .image("team/app:2", "2026-11-28T00:00:00Z");
    let (ran, _, registry) = run(content, |step| step.input("patched-tag", "safe")).await;
    assert_eq!(ran.code, 3, "{}", ran.log);
    assert_eq!(
        ran.error().replace(&registry.host(), "HOST"),
        "copacetic-patch: input `patched-tag`: `HOST/team/app:1` and `HOST/team/app:2` would both be patched as `HOST/team/app:safe`; use the original's tag in it, as in `{tag}-safe`"
    );
}

#[tokio::test]
async fn the_newest_tags_are_by_version_and_the_others_by_date() {
    let content = Content::default()
        .image("team/app:1.9", "2026-11-28T00:00:00Z")
        .image("team/app:1.10", "2026-11-01T00:00:00Z")
        .image("team/app:main", "2026-11-28T00:00:00Z")
        .image("team/app:old-main", "2026-10-28T00:00:00Z")
        .image("team/worker:0.1", "2026-10-28T00:00:00Z");
    let (ran, results, registry) = run(content, |step| step.input("newest-tags", "1")).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    insta::assert_snapshot!(lines(&results, &registry), @r"
    HOST/team/app:1.10: up-to-date ()
    HOST/team/app:main: up-to-date ()
    HOST/team/worker:0.1: up-to-date ()
    HOST/team/app:1.9: skipped (it is not among the `newest-tags` of its repository)
    HOST/team/app:old-main: skipped (it is not among the `newest-tags` of its repository)
    ");
}

#[tokio::test]
async fn line_n_of_every_output_is_of_the_same_image() {
    let content = Content::default()
        .image("team/app:1", "2026-11-28T00:00:00Z")
        .image("team/app:2", "2026-11-28T00:00:00Z")
        .patch("team/app:2-patched", "host/team/app:2", "sha256:0");
    let (ran, ..) = run(content, |step| step).await;
    assert_eq!(ran.output("image").lines().count(), 2);
    assert_eq!(ran.output("patched-tag"), "\n2-patched");
    assert_eq!(ran.output("vex-file"), "");
}

#[tokio::test]
async fn what_was_done_before_a_run_is_stopped_keeps_its_outcome() {
    let content = Content::default()
        .image("team/app:1", "2026-11-28T00:00:00Z")
        .image("team/app:2", "2026-11-28T00:00:00Z");
    let stop = "case \"$*\" in *app:2*) kill -TERM $PPID; exec sleep 1000;; esac";
    let trivy = format!("{stop}\ncat <<'REPORT'\n{NOTHING}\nREPORT");
    let (ran, results, registry) = run(content, |step| step.tool("trivy", &trivy)).await;
    assert_eq!(
        (ran.code, ran.output("result")),
        (2, "error"),
        "{}",
        ran.log
    );
    assert!(ran.error().contains("stopped by SIGTERM"), "{}", ran.log);
    insta::assert_snapshot!(lines(&results, &registry), @r"
    HOST/team/app:1: up-to-date ()
    HOST/team/app:2: error (stopped by SIGTERM before a verdict was reached)
    ");
    let app = format!("{}/team/app:1", registry.host());
    assert_eq!(ran.output("image"), app);
}

#[tokio::test]
async fn the_end_of_life_of_a_distribution_is_reported_first() {
    let content = Content::default().image("team/app:1", "2026-11-28T00:00:00Z");
    let old = NOTHING.replace(r#""Name": "13""#, r#""Name": "11.11", "EOSL": true"#);
    let (ran, _, registry) = run(content, |step| {
        step.tool("trivy", &format!("cat <<'REPORT'\n{old}\nREPORT"))
    })
    .await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let log = ran.log.replace(&registry.host(), "HOST");
    let warning = "::warning::HOST/team/app:1: debian 11.11 reached end of life on 2026-08-14 and no longer receives security updates; its packages move to Debian's archive of old releases, as they were then; use a newer base image";
    let (warned, outcome) = (log.find(warning), log.find("HOST/team/app:1 is up to date"));
    assert!(warned.is_some() && warned < outcome, "{log}");
}

/// A report of an image whose package has an update.
fn fixable() -> String {
    NOTHING.replace(
        r#""Packages""#,
        r#""Vulnerabilities": [{"VulnerabilityID": "CVE-1", "PkgName": "perl", "InstalledVersion": "5", "FixedVersion": "6", "Severity": "HIGH"}], "Packages""#,
    )
}

#[tokio::test]
async fn an_image_of_a_distribution_that_copa_does_not_support_is_skipped_unless_it_is_named() {
    let content = || Content::default().image("team/app:1", "2026-11-28T00:00:00Z");
    let oracle = fixable().replace(
        r#""Family": "debian", "Name": "13""#,
        r#""Family": "oracle", "Name": "9.4""#,
    );
    let trivy = format!("cat <<'REPORT'\n{oracle}\nREPORT");
    let (ran, results, registry) = run(content(), |step| step.tool("trivy", &trivy)).await;
    assert_eq!(
        (ran.code, ran.output("result")),
        (0, "up-to-date"),
        "{}",
        ran.log
    );
    insta::assert_snapshot!(lines(&results, &registry), @"HOST/team/app:1: skipped (it can't be patched: Copa does not support packages of oracle 9.4; rebuild the image on a newer base)");

    let image = format!("{}/team/app:1", registry.host());
    let (ran, _) = run_at(&registry, |step| {
        step.tool("trivy", &trivy)
            .input("registry", "")
            .input("image", &image)
    })
    .await;
    assert_eq!(ran.code, 2, "{}", ran.log);
    assert_eq!(
        ran.error(),
        "copacetic-patch: Copa does not support packages of oracle 9.4; rebuild the image on a newer base"
    );
}

#[tokio::test]
async fn an_image_that_could_not_be_pulled_with_one_more_layer_is_refused_before_work() {
    let layers: Vec<_> = (0..125).map(|n| format!("sha256:{n:064x}")).collect();
    let config = json!({"os": "linux", "architecture": architecture(), "rootfs": {"type": "layers", "diff_ids": layers}});
    let content = Content::default().add("team/app:1", CONFIG, &config, &json!({}));
    let (ran, _, registry) = run(content, |step| {
        step.tool("trivy", &format!("cat <<'REPORT'\n{}\nREPORT", fixable()))
    })
    .await;
    assert_eq!(ran.code, 2, "{}", ran.log);
    assert_eq!(
        ran.error().replace(&registry.host(), "HOST"),
        "copacetic-patch: HOST/team/app:1 has 125 layers, and a patch adds one, but Docker pulls no image of more than 125 (`max depth exceeded`); rebuild it with fewer layers, in which several commands are one `RUN`, or of one `COPY --from` of a stage"
    );
}

#[tokio::test]
async fn an_image_that_docker_alone_has_is_not_said_to_be_missing_there() {
    let registry = Recorder::start(|seen| Content::default().respond(seen));
    let registry = registry.await.unwrap();
    let image = format!("{}/team/app:1", registry.host());
    let docker = FakeDocker::with(&image);
    let step = whole(&docker, &registry)
        .input("registry", "")
        .input("image", &image);
    let ran = tokio::task::spawn_blocking(move || step.run())
        .await
        .unwrap();
    assert_eq!(ran.code, 3, "{}", ran.log);
    assert_eq!(
        ran.error().replace(&registry.host(), "HOST"),
        "copacetic-patch: input `image`: `HOST` has no image `HOST/team/app:1`; Docker has it: push it in an earlier step, or set `push: false` to patch it in Docker"
    );
}

#[tokio::test]
async fn several_images_at_once_keep_their_lines_together_and_their_order() {
    let images = ["team/app:1", "team/app:2", "team/app:3", "team/app:4"];
    let content = images.iter().fold(Content::default(), |content, name| {
        content.image(name, "2026-11-28T00:00:00Z")
    });
    let (ran, results, registry) = run(content, |step| {
        // A scan ends only when a second one runs.
        let scans = step.directory().join("scans");
        let meet = format!(
            "mkdir -p {scans}; : > {scans}/$$; tries=0; while [ $(ls {scans} | wc -l) -lt 2 ]; do tries=$((tries + 1)); [ $tries -lt 5000 ] || exit 1; done",
            scans = scans.display()
        );
        let trivy = format!("{meet}\ncat <<'REPORT'\n{NOTHING}\nREPORT");
        step.tool("trivy", &trivy).input("concurrency", "2")
    })
    .await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let host = registry.host();
    let expected: Vec<_> = images.map(|name| format!("{host}/{name}")).into();
    assert_eq!(ran.output("image").lines().collect::<Vec<_>>(), expected);
    assert_eq!(results.as_array().unwrap().len(), 4);
    let lines: Vec<_> = ran.log.lines().collect();
    for name in &expected {
        let title = format!("{name}:");
        let at = lines.iter().position(|line| *line == title).unwrap();
        let outcome = format!("{name} is up to date");
        let end = lines.iter().position(|line| line.starts_with(&outcome));
        let others = &lines[at + 1..end.unwrap()];
        let is_other = |line: &&&str| expected.iter().any(|other| line.starts_with(&**other));
        assert_eq!(others.iter().find(is_other), None, "{}", ran.log);
    }
}

#[tokio::test]
async fn an_index_that_names_no_platforms_is_read_by_its_images() {
    let arm = json!({"os": "linux", "architecture": "s390x"});
    let content = Content::default()
        .add("team/app:other", CONFIG, &arm, &json!({}))
        .image("team/app:own", "2026-11-28T00:00:00Z")
        .index("team/app:1", &["other", "own"]);
    let (ran, results, registry) = run(content, |step| step.input("tags", "1")).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    insta::assert_snapshot!(lines(&results, &registry), @"HOST/team/app:1: up-to-date ()");
}

#[tokio::test]
async fn a_registry_that_lists_no_repositories_needs_their_names() {
    let content = || Content {
        has_no_catalog: true,
        ..Content::default().image("team/app:1", "2026-11-28T00:00:00Z")
    };
    let (ran, _, registry) = run(content(), |step| step).await;
    assert_eq!(
        (
            ran.code,
            ran.error().replace(&registry.host(), "HOST").as_str()
        ),
        (
            2,
            "copacetic-patch: `HOST` does not list its repositories; name each one, without `*`"
        )
    );
    let (ran, ..) = run(content(), |step| step.input("repositories", "team/app")).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
}

/// A registry that has every blob, and the manifests that it is sent.
async fn own_registry() -> Recorder {
    let manifests: Mutex<BTreeMap<String, Vec<u8>>> = Mutex::default();
    let server = Recorder::start(move |seen| {
        let response = |status: u16, body: Vec<u8>| {
            let builder = Response::builder().status(status);
            let builder = builder.header("content-type", MANIFEST);
            builder.body(Body::from(body)).unwrap()
        };
        let (method, path) = seen.line.split_once(' ').unwrap();
        let path = path.split('?').next().unwrap();
        let mut manifests = manifests.lock().unwrap();
        match method {
            "PUT" => {
                manifests.insert(path.to_owned(), seen.body.clone());
                response(201, Vec::new())
            }
            "HEAD" => response(200, Vec::new()),
            "GET" if path.ends_with("/tags/list") => response(200, br#"{"tags": []}"#.to_vec()),
            _ => match manifests.get(path) {
                Some(manifest) => response(200, manifest.clone()),
                None => response(404, Vec::new()),
            },
        }
    });
    server.await.unwrap()
}

#[tokio::test]
async fn the_images_of_a_registry_are_copied_into_another_one() {
    let own = own_registry().await;
    let content = Content::default()
        .image("team/app:1", "2026-11-28T00:00:00Z")
        .image("library/worker:2", "2026-11-28T00:00:00Z")
        .patch("team/app:1-patched", "host/team/app:1", "sha256:0");
    let host = own.host();
    let (ran, results, source) = run(content, |step| {
        step.input("push", "false")
            .input("push-to", &format!("{host}/mirror/"))
            .input("patched-tag", "{tag}")
            .input("concurrency", "2")
    })
    .await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let expected = ["library/worker:2", "team/app:1"].map(|name| format!("{host}/mirror/{name}"));
    assert_eq!(ran.output("image").lines().collect::<Vec<_>>(), expected);
    assert_eq!(ran.output("incremental-tag"), "2-1\n1-1");
    assert_eq!(results[2]["result"], "skipped");
    let is_write = |seen: &Seen| !seen.line.starts_with("GET") && !seen.line.starts_with("HEAD");
    let writes = |registry: &Recorder| registry.seen().into_iter().filter(is_write).count();
    assert_eq!(writes(&source), 0);
    let tags: Vec<_> = own.seen().into_iter().filter(is_write).collect();
    let has = |path: &str| tags.iter().any(|seen| seen.line == format!("PUT {path}"));
    assert!(has("/v2/mirror/team/app/manifests/1"), "{}", ran.log);
    assert!(has("/v2/mirror/team/app/manifests/1-1"), "{}", ran.log);
}

#[tokio::test]
async fn one_name_in_the_destination_never_stands_for_two_images() {
    let content = || Content::default().image("team/app:1", "2026-11-28T00:00:00Z");
    let other = Recorder::start(move |seen| content().respond(seen));
    let other = other.await.unwrap();
    let own = own_registry().await;
    let (host, second) = (own.host(), other.host());
    let (ran, _, registry) = run(content(), |step| {
        step.input("push", "false")
            .input("push-to", &host)
            .input("image", &format!("{second}/team/app:1"))
    })
    .await;
    assert_eq!(ran.code, 3, "{}", ran.log);
    let error = ran.error().replace(&second, "OTHER").replace(&host, "OWN");
    assert_eq!(
        error.replace(&registry.host(), "HOST"),
        "copacetic-patch: input `push-to`: `OTHER/team/app:1` and `HOST/team/app:1` would both be patched as `OWN/team/app:1-patched`; use a step with its own path for one of them"
    );
}

#[tokio::test]
async fn a_destination_that_refuses_is_named() {
    let refuses = |seen: &Seen| {
        let status = if seen.line.starts_with("GET") {
            404
        } else {
            403
        };
        Response::builder()
            .status(status)
            .body(Body::empty())
            .unwrap()
    };
    let own = Recorder::start(refuses).await.unwrap();
    let host = own.host();
    let content = Content::default().image("team/app:1", "2026-11-28T00:00:00Z");
    let (ran, ..) = run(content, |step| {
        step.input("push", "false").input("push-to", &host)
    })
    .await;
    assert_eq!(
        (ran.code, ran.output("result")),
        (2, "error"),
        "{}",
        ran.log
    );
    let error = ran.error();
    assert!(error.contains("failed to copy `"), "{error}");
    assert!(error.contains(&format!("to `{host}/team/app`")), "{error}");
    assert!(error.contains("403 Forbidden"), "{error}");
}
