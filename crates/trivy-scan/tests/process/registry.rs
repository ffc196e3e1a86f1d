//! The images of a registry.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci::{Auth, Credentials, Descriptor, Digest, INDEX, MANIFEST, Manifest, Registry};
use serde_json::{Value, json};
use testkit::{FakeRunner, PrivateRegistry, Ran, Recorder, Seen};

use crate::step::{REPORT, scans, step, trivy_that};

/// Manifests and blobs by their path, and tags by repository.
#[derive(Default, Clone)]
pub(crate) struct Content {
    bodies: BTreeMap<String, (String, String)>,
    tags: BTreeMap<String, Vec<String>>,
}

impl Content {
    fn put(&mut self, repository: &str, kind: &str, body: &str) -> Digest {
        let digest = Digest::sha256(body.as_bytes());
        let folder = if kind.is_empty() {
            "blobs"
        } else {
            "manifests"
        };
        let path = format!("/v2/{repository}/{folder}/{digest}");
        self.bodies.insert(path, (kind.to_owned(), body.to_owned()));
        digest
    }

    fn tag(&mut self, name: &str, digest: &Digest) {
        let (repository, tag) = name.split_once(':').unwrap();
        let path = |reference: &str| format!("/v2/{repository}/manifests/{reference}");
        let body = self.bodies[&path(digest.as_str())].clone();
        self.bodies.insert(path(tag), body);
        let tags = self.tags.entry(repository.to_owned()).or_default();
        if !tags.iter().any(|own| own == tag) {
            tags.push(tag.to_owned());
        }
    }

    /// An image, which differs by its `seed`.
    pub(crate) fn image(self, name: &str, seed: &str, kind: &str) -> Self {
        self.large_image(name, seed, kind, 0)
    }

    /// The same with a layer of this many bytes.
    pub(crate) fn large_image(mut self, name: &str, seed: &str, kind: &str, bytes: u64) -> Self {
        let (repository, _) = name.split_once(':').unwrap();
        let config = json!({"os": "linux", "architecture": "amd64", "created": seed}).to_string();
        let config = self.put(repository, "", &config);
        let layer = json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": config.to_string(), "size": bytes});
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [layer],
            "config": {"mediaType": kind, "digest": config.to_string(), "size": 2}});
        let digest = self.put(repository, MANIFEST, &manifest.to_string());
        self.tag(name, &digest);
        self
    }

    pub(crate) fn digest(&self, name: &str) -> Digest {
        let (repository, tag) = name.split_once(':').unwrap();
        let (_, body) = &self.bodies[&format!("/v2/{repository}/manifests/{tag}")];
        Digest::sha256(body.as_bytes())
    }

    /// An artifact that refers to the image `name`, by the tag that lists it.
    fn referrer(mut self, name: &str, kind: &str, content: &str) -> Self {
        let (repository, _) = name.split_once(':').unwrap();
        let subject = self.digest(name);
        let blob = self.put(repository, "", content);
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": kind,
            "config": {"mediaType": oci::EMPTY, "digest": blob.to_string(), "size": 2},
            "layers": [{"mediaType": kind, "digest": blob.to_string(), "size": content.len()}],
            "subject": {"mediaType": MANIFEST, "digest": subject.to_string(), "size": 2}});
        let digest = self.put(repository, MANIFEST, &manifest.to_string());
        let list = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
            {"mediaType": MANIFEST, "digest": digest.to_string(), "size": 2, "artifactType": kind}]});
        let list = self.put(repository, INDEX, &list.to_string());
        self.tag(
            &format!("{repository}:{}", subject.as_str().replace(':', "-")),
            &list,
        );
        self
    }

    /// An index of the image `amd64`, and of `arm64` where there is one.
    fn platforms(mut self, name: &str, images: &[(&str, &str)]) -> Self {
        let (repository, _) = name.split_once(':').unwrap();
        let entries = images.iter().map(|(architecture, image)| {
            json!({"mediaType": MANIFEST, "digest": self.digest(image).to_string(), "size": 2,
                "platform": {"os": "linux", "architecture": architecture}})
        });
        let entries: Vec<_> = entries.collect();
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
        let index = self.put(repository, INDEX, &index.to_string());
        self.tag(name, &index);
        self
    }

    /// An index of the image `name` for this platform, with BuildKit's attestation of it.
    fn index(mut self, name: &str, image: &str, statement: &Value) -> Self {
        let (repository, _) = name.split_once(':').unwrap();
        let image = self.digest(image);
        let statement = self.put(repository, "", &statement.to_string());
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": oci::CONFIG, "digest": statement.to_string(), "size": 2},
            "layers": [{"mediaType": "application/vnd.in-toto+json", "digest": statement.to_string(), "size": 2}]});
        let attestation = self.put(repository, MANIFEST, &manifest.to_string());
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
            {"mediaType": MANIFEST, "digest": image.to_string(), "size": 2, "platform": {"os": "linux", "architecture": "amd64"}},
            {"mediaType": MANIFEST, "digest": attestation.to_string(), "size": 2, "platform": {"os": "unknown", "architecture": "unknown"},
             "annotations": {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image.to_string()}}]});
        let index = self.put(repository, INDEX, &index.to_string());
        self.tag(name, &index);
        self
    }

    pub(crate) fn respond(&self, seen: &Seen) -> Response {
        let (method, path) = seen.line.split_once(' ').unwrap();
        let path = path.split('?').next().unwrap();
        let response = |status: u16, kind: &str, body: String| {
            let builder = Response::builder().status(status);
            let mut builder = builder.header("content-type", kind);
            if method == "HEAD" {
                let digest = Digest::sha256(body.as_bytes()).to_string();
                builder = builder.header("docker-content-digest", digest);
            }
            builder.body(Body::from(body)).unwrap()
        };
        let list = path.strip_prefix("/v2/");
        if let Some(repository) = list.and_then(|path| path.strip_suffix("/tags/list")) {
            let tags = &self.tags[repository];
            return response(200, "application/json", json!({"tags": tags}).to_string());
        }
        if path == "/v2/_catalog" {
            let names: Vec<_> = self.tags.keys().collect();
            return response(
                200,
                "application/json",
                json!({"repositories": names}).to_string(),
            );
        }
        match self.bodies.get(path) {
            Some((kind, body)) => response(200, kind, body.clone()),
            None => response(404, "", String::new()),
        }
    }

    async fn serve(self) -> Recorder {
        Recorder::start(move |seen| self.respond(seen))
            .await
            .unwrap()
    }
}

pub(crate) fn whole(registry: &Recorder, step: FakeRunner) -> FakeRunner {
    step.input("image", "")
        .input("dockerfile", "")
        .input("registry", &registry.host())
        .input("tags", "*")
}

pub(crate) async fn run(step: FakeRunner) -> (Ran, FakeRunner) {
    tokio::task::spawn_blocking(move || (step.run(), step))
        .await
        .unwrap()
}

pub(crate) fn categories(step: &FakeRunner) -> Vec<String> {
    let file = crate::step::sarif(step);
    let runs = file["runs"].as_array().unwrap().iter();
    let ids = runs.map(|run| run["automationDetails"]["id"].as_str().unwrap());
    ids.map(|id| id.rsplit("/image/").next().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_digest_of_a_repository_is_scanned_once_in_its_own_category() {
    let content = Content::default()
        .image("team/app:latest", "a", oci::CONFIG)
        .image("team/app:2", "a", oci::CONFIG)
        .image("team/app:1", "b", oci::CONFIG)
        .image("team/test:1", "c", oci::CONFIG)
        .image(
            "team/chart:1",
            "d",
            "application/vnd.cncf.helm.config.v1+json",
        );
    let digest = content.digest("team/app:latest");
    let registry = content.serve().await;
    let step = whole(&registry, step()).input("exclude", "team/test");
    let (ran, step) = run(step).await;
    assert_eq!((ran.code, ran.output("total")), (0, "6"), "{}", ran.log);
    assert_eq!(categories(&step), ["team/app:1/", "team/app:2/"]);
    let mut scanned = scans(&step);
    scanned.sort();
    assert_eq!(scanned.len(), 2);
    let pinned = format!("{}/team/app:2@{digest}", registry.host());
    assert!(
        scanned.iter().any(|line| line.ends_with(&pinned)),
        "{scanned:?}"
    );
    assert!(
        scanned
            .iter()
            .all(|line| line.contains("--image-src remote "))
    );
    let log = ran.log.replace(&registry.host(), "HOST");
    for line in [
        "skipped: HOST/team/test:1 is excluded by `exclude`",
        "skipped: HOST/team/chart:1 is not an image: its configuration has the type `application/vnd.cncf.helm.config.v1+json`",
        "HOST/team/app:2 has 1 other tag, scanned once: `latest`",
    ] {
        assert!(log.contains(line), "{log}");
    }
    let summary = ran.summary.replace(&registry.host(), "HOST");
    assert!(summary.contains("| image `team/app:2` |"), "{summary}");
    assert!(summary.contains("also tagged latest"), "{summary}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_scanned_with_this_database_is_not_scanned_again() {
    let first = Content::default().image("team/app:1", "a", oci::CONFIG);
    let registry = first.clone().serve().await;
    let (ran, mut step) = run(whole(&registry, step())).await;
    assert_eq!((ran.code, ran.output("total")), (0, "3"), "{}", ran.log);
    assert_eq!(scans(&step).len(), 1);
    // The same results, without a scan.
    for _ in 0..2 {
        let (again, same) = run(step).await;
        assert_eq!(
            (again.code, again.output("total")),
            (0, "3"),
            "{}",
            again.log
        );
        assert_eq!(scans(&same).len(), 1, "{}", again.log);
        assert!(
            again.summary.contains("scanned before with this database"),
            "{}",
            again.summary
        );
        step = same;
    }
    // Another database, or other settings, are another scan.
    let (_, step) = run(step.input("skip-dirs", "x")).await;
    assert_eq!(scans(&step).len(), 2);
    let (_, step) = run(crate::step::database(step, 1)).await;
    assert_eq!(scans(&step).len(), 3);
}

// The one that Trivy selects for `image:`, on any machine.
#[tokio::test(flavor = "multi_thread")]
async fn of_an_index_the_image_for_amd64_is_scanned_unless_another_is_requested() {
    let content = Content::default()
        .image("team/app:x", "a", oci::CONFIG)
        .image("team/app:y", "b", oci::CONFIG)
        .platforms(
            "team/app:1",
            &[("arm64", "team/app:y"), ("amd64", "team/app:x")],
        )
        .platforms("team/app:2", &[("arm64", "team/app:y")]);
    let (amd64, arm64) = (content.digest("team/app:x"), content.digest("team/app:y"));
    let registry = content.serve().await;
    let of = |step: FakeRunner| whole(&registry, step).input("tags", "1\n2");
    let (ran, first) = run(of(step())).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let scanned = scans(&first);
    assert!(
        scanned.len() == 1 && scanned[0].ends_with(amd64.as_str()),
        "{scanned:?}"
    );
    let skipped = "team/app:2 has no image for linux/amd64 (`platform`), only for linux/arm64";
    assert!(ran.log.contains(skipped), "{}", ran.log);
    let (ran, second) = run(of(step()).input("platform", "linux/arm64")).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let scanned = scans(&second);
    assert!(
        scanned.len() == 1 && scanned[0].ends_with(arm64.as_str()),
        "{scanned:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_image_that_fails_leaves_the_results_of_the_others() {
    let content = Content::default()
        .image("team/app:1", "a", oci::CONFIG)
        .image("team/bad:1", "b", oci::CONFIG);
    let registry = content.serve().await;
    let trivy = format!(
        "*team/bad:1*) echo 'no space left on device' >&2; exit 1 ;;\n*) cat <<'REPORT'\n{REPORT}\nREPORT\n;;"
    );
    let (ran, step) = run(whole(&registry, step()).tool("trivy", &trivy_that(&trivy))).await;
    assert_eq!((ran.code, ran.output("total")), (2, "3"), "{}", ran.log);
    assert_eq!(categories(&step), ["team/app:1/"]);
    assert!(
        ran.error().contains("failed to scan image"),
        "{}",
        ran.error()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_with_an_sbom_of_its_digest_is_scanned_from_it() {
    let sbom = json!({"bomFormat": "CycloneDX", "specVersion": "1.6"});
    let statement = |digest: &Digest| {
        let hex = digest.as_str().strip_prefix("sha256:").unwrap();
        json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://spdx.dev/Document",
            "subject": [{"digest": {"sha256": hex}}], "predicate": {"spdxVersion": "SPDX-2.3"}})
    };
    let content = Content::default()
        .image("a/attached:1", "a", oci::CONFIG)
        .image("b/built:part", "b", oci::CONFIG)
        .image("c/signed:1", "c", oci::CONFIG)
        .image("d/other:1", "d", oci::CONFIG)
        .image("e/none:1", "e", oci::CONFIG);
    let (built, signed) = (content.digest("b/built:part"), content.digest("c/signed:1"));
    let envelope = json!({"payloadType": "application/vnd.in-toto+json", "payload": STANDARD.encode(statement(&signed).to_string())});
    // A statement about another image does not count.
    let other = statement(&built).to_string();
    let content = content
        .referrer(
            "a/attached:1",
            "application/vnd.cyclonedx+json",
            &sbom.to_string(),
        )
        .index("b/built:1", "b/built:part", &statement(&built))
        .referrer(
            "c/signed:1",
            "application/vnd.dsse.envelope.v1+json",
            &envelope.to_string(),
        )
        .referrer("d/other:1", "application/vnd.in-toto+json", &other);
    let registry = content.serve().await;
    let step = whole(&registry, step())
        .input("tags", "1")
        .input("scanners", "vuln");
    let (ran, step) = run(step).await;
    assert_eq!((ran.code, ran.output("total")), (0, "15"), "{}", ran.log);
    let scanned = scans(&step);
    let sboms = scanned.iter().filter(|line| line.starts_with("sbom "));
    assert_eq!((sboms.count(), scanned.len()), (3, 5), "{scanned:?}");
    let rows = ran
        .summary
        .lines()
        .filter(|line| line.contains("from its SBOM"));
    let names: Vec<_> = rows.filter_map(|line| line.split('`').nth(1)).collect();
    assert_eq!(
        names,
        ["a/attached", "b/built", "c/signed"],
        "{}",
        ran.summary
    );
    assert_eq!(
        categories(&step),
        [
            "a/attached/",
            "b/built/",
            "c/signed/",
            "d/other/",
            "e/none/"
        ]
    );
    // An SBOM has no files: for secrets, the layers are scanned.
    let (ran, step) = run(step.input("scanners", "vuln,secret")).await;
    let scanned = &scans(&step)[5..];
    let of_layers = |line: &String| line.starts_with("image ");
    assert!(
        scanned.len() == 5 && scanned.iter().all(of_layers),
        "{scanned:?}"
    );
    assert!(!ran.summary.contains("from its SBOM"));
    let hint = "from its layers: its SBOM has no files to search for secrets";
    let rows = ran.summary.lines().filter(|line| line.contains(hint));
    let names: Vec<_> = rows.filter_map(|line| line.split('`').nth(1)).collect();
    assert_eq!(names, ["a/attached"], "{}", ran.summary);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inputs_of_a_registry_are_checked_first() {
    let content = Content::default().image("team/app:1", "a", oci::CONFIG);
    let registry = content.serve().await;
    let (ran, _) = run(whole(&registry, step()).input("repositories", "other/*")).await;
    assert_eq!(ran.code, 3, "{}", ran.log);
    assert_eq!(
        ran.error().replace(&registry.host(), "HOST"),
        "trivy-scan: input `registry`: no image in `HOST` matches `repositories` and `tags`"
    );
    let (ran, _) = run(step().input("registry", "ghcr.io/team")).await;
    assert_eq!(ran.code, 3, "{}", ran.log);
    assert!(
        ran.error().contains("invalid registry host"),
        "{}",
        ran.error()
    );
}

/// The image of `name` in a registry that requires a login: Debian's openssl, in a layer. Its digest, and that of the layer.
async fn push(server: &PrivateRegistry, name: &str) -> (Digest, String) {
    let (repository, tag) = name.split_once(':').unwrap();
    let archive = server.directory().join("image.tar");
    crate::real::save(&archive, name, "hello");
    let file = std::fs::File::open(&archive).unwrap();
    let registry = client(server);
    let mut layers = Vec::new();
    let mut config = None;
    for entry in tar::Archive::new(file).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        let kind = match path.as_str() {
            "config.json" => oci::CONFIG,
            "manifest.json" => continue,
            _ => "application/vnd.oci.image.layer.v1.tar",
        };
        let part = put(&registry, server, repository, kind, &bytes).await;
        match kind {
            oci::CONFIG => config = Some(part),
            _ => layers.push((path, part)),
        }
    }
    layers.sort_by(|a, b| a.0.cmp(&b.0));
    let layers: Vec<_> = layers.into_iter().map(|(_, layer)| layer).collect();
    let layer = layers[0].digest.clone();
    let manifest = Manifest::new(config.unwrap(), layers);
    let pushed = registry.push_manifest(repository, &manifest, Some(tag));
    (pushed.await.unwrap(), layer)
}

fn client(server: &PrivateRegistry) -> Registry {
    let login = Credentials {
        username: PrivateRegistry::USER.into(),
        password: PrivateRegistry::PASSWORD.into(),
    };
    let http = http_client::Client::new().unwrap();
    Registry::new(http, server.host(), Auth::Password(login), |_| {})
}

async fn put(
    registry: &Registry,
    server: &PrivateRegistry,
    repository: &str,
    kind: &str,
    bytes: &[u8],
) -> Descriptor {
    let file = server.directory().join("blob");
    std::fs::write(&file, bytes).unwrap();
    let digest = Digest::sha256(bytes);
    let pushed = registry.push_blob(repository, digest.as_str(), &file);
    pushed.await.unwrap();
    Descriptor::new(kind, &digest, bytes.len() as u64)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "real: needs Trivy and a registry"]
async fn a_registry_is_scanned_once_and_then_from_an_sbom_without_its_layers() {
    let server = PrivateRegistry::start();
    let (digest, layer) = push(&server, "team/app:1").await;
    push(&server, "team/other:1").await;
    let login = format!(
        "{} {} {}",
        server.host(),
        PrivateRegistry::USER,
        PrivateRegistry::PASSWORD
    );
    let step = crate::real::real()
        .input("registry", server.host())
        .input("tags", "*")
        .input("scanners", "vuln")
        .input("sbom", "cyclonedx")
        .input("registries", &login);
    let (first, step) = run(step).await;
    assert_eq!(first.code, 0, "{}", first.log);
    assert_ne!(first.output("total"), "0", "{}", first.log);
    let reads = |server: &PrivateRegistry| {
        let path = format!("blobs/{layer}");
        let requests = server.requests().into_iter();
        requests.filter(|line| line.contains(&path)).count()
    };
    let before = reads(&server);
    assert!(before > 0);
    let (again, step) = run(step).await;
    assert_eq!(
        (again.code, again.output("total")),
        (0, first.output("total")),
        "{}",
        again.log
    );
    assert_eq!(
        again
            .log
            .matches("was scanned before with this database")
            .count(),
        2,
        "{}",
        again.log
    );
    assert_eq!(reads(&server), before);
    // The SBOM of the first report, attached to its image.
    let sbom = std::fs::read(step.workspace().join("trivy-report.cdx.json")).unwrap();
    let registry = client(&server);
    let kind = "application/vnd.cyclonedx+json";
    let part = put(&registry, &server, "team/app", kind, &sbom).await;
    let empty = put(&registry, &server, "team/app", oci::EMPTY, b"{}").await;
    let mut manifest = Manifest::new(empty, vec![part]);
    manifest.artifact_type = Some(kind.to_owned());
    manifest.subject = Some(Descriptor::new(oci::MANIFEST, &digest, 1));
    let attached = registry.push_manifest("team/app", &manifest, None);
    attached.await.unwrap();
    // Without the records, and without the layers that Trivy keeps.
    let cache = step.directory().join("cache");
    for kept in ["seaworthy-reports", "fanal"] {
        let _ = std::fs::remove_dir_all(cache.join(kept));
    }
    let (from_sbom, _) = run(step.input("repositories", "team/app")).await;
    assert_eq!(from_sbom.code, 0, "{}", from_sbom.log);
    assert!(
        from_sbom.summary.contains("from its SBOM"),
        "{}",
        from_sbom.summary
    );
    assert_eq!(reads(&server), before, "{}", from_sbom.log);
    let total: usize = first.output("total").parse().unwrap();
    assert_eq!(
        from_sbom.output("total"),
        (total / 2).to_string(),
        "{}",
        from_sbom.log
    );
}
