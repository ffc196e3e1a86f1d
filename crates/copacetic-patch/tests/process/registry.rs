//! A real registry that requires a password.

use std::process::Command;

use docker::Docker;
use oci::{Auth, Credentials, ImageRef, Registry};
use serde_json::Value;
use testkit::{FakeRunner, PrivateRegistry};

use crate::bench::{Bench, step_for};

pub(crate) fn credentials() -> Credentials {
    Credentials {
        username: PrivateRegistry::USER.into(),
        password: PrivateRegistry::PASSWORD.into(),
    }
}

pub(crate) fn client(server: &PrivateRegistry) -> Registry {
    let http = http_client::Client::new().unwrap();
    Registry::new(http, server.host(), Auth::Password(credentials()), |_| {})
}

/// An image in a registry, and the step that patches it there.
pub(crate) struct Pushed {
    pub(crate) server: PrivateRegistry,
    pub(crate) bench: Bench,
    pub(crate) image: ImageRef,
    pub(crate) runtime: tokio::runtime::Runtime,
}

fn for_registry(step: FakeRunner, image: &ImageRef) -> FakeRunner {
    step.input("image", &image.to_string())
        .input("push", "true")
        .input("registry-username", "seaworthy")
        .input("registry-password", "secret")
}

impl Pushed {
    pub(crate) fn new(name: &str, packages: &str) -> Self {
        let server = PrivateRegistry::start();
        let bench = Bench::new(name, packages, "");
        let image: ImageRef = format!("{}/team/app:1", server.host()).parse().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let host = std::env::var("DOCKER_HOST").ok();
        runtime.block_on(async {
            let docker = Docker::connect(host.as_deref()).await.unwrap();
            docker.tag(&bench.image, &image).await.unwrap();
            docker.push(&image, &credentials()).await.unwrap();
            docker.untag(&image).await.unwrap();
        });
        let bench = bench.with(|step| for_registry(step, &image));
        Self {
            server,
            bench,
            image,
            runtime,
        }
    }

    /// Another step that patches the same image.
    pub(crate) fn other_step(&self) -> FakeRunner {
        for_registry(step_for(&self.bench.image), &self.image)
    }

    pub(crate) fn tags(&self) -> Vec<String> {
        let registry = client(&self.server);
        let mut tags = self.runtime.block_on(registry.tags("team/app")).unwrap();
        tags.sort();
        tags
    }

    pub(crate) fn manifest(&self, reference: &str) -> (String, Value) {
        let registry = client(&self.server);
        let found = registry.manifest("team/app", reference);
        let found = self.runtime.block_on(found).unwrap().unwrap();
        (
            found.digest.to_string(),
            serde_json::from_slice(&found.bytes).unwrap(),
        )
    }
}

fn layers(manifest: &Value) -> Vec<String> {
    let layers = manifest["layers"].as_array().unwrap().iter();
    layers.map(|l| l["digest"].to_string()).collect()
}

// Among the referrers in `list` is the provenance of the patch `digest`, which was made of `origin`.
fn assert_provenance(pushed: &Pushed, list: &Value, digest: &str, origin: &str) {
    let is_provenance = |entry: &&Value| {
        entry["annotations"]["in-toto.io/predicate-type"] == "https://slsa.dev/provenance/v1"
    };
    let entries = list["manifests"].as_array().unwrap();
    let provenance = entries.iter().find(is_provenance).unwrap();
    let (_, provenance) = pushed.manifest(provenance["digest"].as_str().unwrap());
    let content = provenance["layers"][0]["digest"].as_str().unwrap();
    let registry = client(&pushed.server);
    let content = registry.blob_bytes("team/app", content);
    let statement = pushed.runtime.block_on(content).unwrap();
    let statement: Value = serde_json::from_slice(&statement).unwrap();
    let hex = digest.strip_prefix("sha256:").unwrap();
    assert_eq!(statement["subject"][0]["digest"]["sha256"], hex);
    let made_of = &statement["predicate"]["buildDefinition"]["resolvedDependencies"];
    let hex = origin.strip_prefix("sha256:").unwrap();
    assert_eq!(made_of[0]["digest"]["sha256"], hex);
    let updated = made_of[1]["uri"].as_str().unwrap();
    assert!(
        updated.starts_with("pkg:deb/debian/vulnlib@1.0-2"),
        "{updated}"
    );
}

// No file and no log line that a step leaves has the password.
fn assert_no_password_is_left(pushed: &Pushed, log: &str) {
    let runner = pushed.bench.step.directory().to_owned();
    let found = Command::new("grep")
        .args(["--recursive", "--files-with-matches", "secret"])
        .arg(runner.join("temp"))
        .arg(runner.join("home"))
        .arg(runner.join("workspace"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    assert!(!log.replace("::add-mask::secret", "").contains("secret"));
}

#[test]
#[ignore = "real: needs Docker, a registry, Copa, BuildKit and Trivy"]
fn an_image_of_a_registry_is_patched_there() {
    let mut pushed = Pushed::new("pushed", "vulnlib unfixed");
    pushed.bench = pushed
        .bench
        .input("vex-attach", "true")
        .input("sbom-attach", "true")
        .input("provenance-attach", "true");
    let ran = pushed.bench.run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    let (digest, manifest) = pushed.manifest("1-patched");
    assert_eq!(
        (
            ran.output("digest"),
            ran.output("patched-tag"),
            ran.output("incremental-tag")
        ),
        (digest.as_str(), "1-patched", "1-patched-1")
    );
    assert_eq!(pushed.manifest("1-patched-1").0, digest);
    let referrers = digest.replace(':', "-");
    assert_eq!(pushed.tags(), ["1", "1-patched", "1-patched-1", &referrers]);

    // Its origin, and the layers of the original unchanged.
    let (origin, original) = pushed.manifest("1");
    let annotations = &manifest["annotations"];
    assert_eq!(annotations["sh.copa.patch.origin.digest"], origin);
    let name = pushed.image.to_string();
    assert_eq!(annotations["sh.copa.patch.origin.name"], name);
    assert_eq!(annotations["org.opencontainers.image.base.name"], name);
    assert_eq!(annotations["org.opencontainers.image.base.digest"], origin);
    assert_eq!(
        layers(&manifest)[..layers(&original).len()],
        layers(&original)
    );

    // The document is of this very image, as a file for the next step and as a referrer.
    let path = pushed.bench.step.workspace().join(ran.output("vex-file"));
    let vex: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let product = vex["statements"][0]["products"][0]["@id"].as_str().unwrap();
    assert!(product.contains(&digest.replace(':', "%3A")), "{product}");
    // A scanner with a database that does not have the fix suppresses the finding by it.
    let cache = crate::bench::later_database(pushed.server.directory());
    // `--vex oci` reads the registry by this login only.
    let logins = pushed.server.directory().join("docker");
    std::fs::create_dir_all(&logins).unwrap();
    let hosts = [Some(pushed.server.host())];
    credentials().write_docker_config(&logins, hosts).unwrap();
    let scan = |digest: &str, vex: &[&std::ffi::OsStr]| {
        let done = Command::new("trivy")
            .args(["image", "--quiet", "--format", "json", "--scanners", "vuln"])
            .args([
                "--skip-db-update",
                "--offline-scan",
                "--image-src",
                "remote",
            ])
            .arg("--cache-dir")
            .arg(&cache)
            .args(vex)
            .arg(format!("{}/team/app@{digest}", pushed.server.host()))
            .env("DOCKER_CONFIG", &logins)
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
        let report = String::from_utf8(done.stdout).unwrap();
        assert!(done.status.success(), "{stderr}");
        (report.contains("CVE-2099-0001"), report)
    };
    assert!(scan(&digest, &[]).0);
    assert!(!scan(&digest, &["--vex".as_ref(), path.as_os_str()]).0);
    // The same scanner finds it in the registry; nothing is attached to the original.
    let attached: [&std::ffi::OsStr; 2] = ["--vex".as_ref(), "oci".as_ref()];
    assert!(!scan(&digest, &attached).0);
    assert!(scan(&origin, &attached).0);
    // And the SBOM, which it scans in place of the layers.
    let by_sbom: [&std::ffi::OsStr; 2] = ["--sbom-sources".as_ref(), "oci".as_ref()];
    let (is_found, report) = scan(&digest, &by_sbom);
    assert!(is_found, "{report}");
    assert!(
        report.contains("\"ArtifactType\": \"cyclonedx\""),
        "{report}"
    );
    let (_, list) = pushed.manifest(&referrers);
    let kind = &list["manifests"][0]["annotations"]["in-toto.io/predicate-type"];
    assert_eq!(
        list["manifests"][0]["artifactType"],
        "application/vnd.in-toto+json"
    );
    assert_eq!(kind, "https://openvex.dev/ns/v0.2.0");

    assert_provenance(&pushed, &list, &digest, &origin);
    assert_no_password_is_left(&pushed, &ran.log);

    // No new updates: Copa does not run, and nothing is pushed.
    let tags = pushed.tags();
    pushed.bench = pushed.bench.tool("copa", "exit 9");
    let ran = pushed.bench.run();
    assert_eq!(
        (ran.code, ran.output("result"), ran.output("digest")),
        (0, "up-to-date", digest.as_str()),
        "{}",
        ran.log
    );
    assert_eq!(pushed.tags(), tags);
    assert_eq!(pushed.manifest("1-patched").0, digest);
    assert!(pushed.server.directory().is_dir());
}

#[test]
#[ignore = "real: needs Docker, a registry, Copa, BuildKit and Trivy"]
fn a_patched_image_that_does_not_work_gets_no_tag() {
    let mut pushed = Pushed::new("broken", "vulnlib");
    let command = "dpkg-query --show vulnlib; exit 3";
    pushed.bench = pushed.bench.input("smoke-command", command);
    let ran = pushed.bench.run();
    assert_eq!(
        (ran.code, ran.output("result")),
        (1, "failed"),
        "{}",
        ran.log
    );
    assert!(
        ran.error()
            .contains("the smoke command exited with code 3: vulnlib\t1.0-2"),
        "{}",
        ran.error()
    );
    assert_eq!(pushed.tags(), ["1"]);
}

#[test]
#[ignore = "real: needs Docker and a registry"]
fn without_the_right_password_nothing_is_started() {
    let mut pushed = Pushed::new("closed", "vulnlib");
    pushed.bench = pushed.bench.input("registry-password", "wrong");
    let ran = pushed.bench.run();
    assert_eq!((ran.code, ran.output("result")), (2, "error"));
    assert!(
        ran.error().contains("check the registry's credentials"),
        "{}",
        ran.error()
    );
    assert_eq!(pushed.tags(), ["1"]);
}

#[test]
#[ignore = "real: needs Docker, a registry, Copa, BuildKit and Trivy"]
fn the_matching_images_of_a_registry_are_patched() {
    let mut pushed = Pushed::new("whole", "unfixed");
    pushed.bench = pushed
        .bench
        .input("image", "")
        .input("registry", pushed.server.host())
        .input("repositories", "team/*")
        .input("tags", "*");
    let ran = pushed.bench.run();
    assert_eq!(
        (ran.code, ran.output("result"), ran.output("image")),
        (0, "up-to-date", pushed.image.to_string().as_str()),
        "{}",
        ran.log
    );
    let none = pushed.bench.input("repositories", "other/*").run();
    assert_eq!(none.code, 3, "{}", none.log);
    assert!(
        none.error().contains("matches `repositories` and `tags`"),
        "{}",
        none.error()
    );
}

#[test]
#[ignore = "real: needs Docker, a registry, Copa, BuildKit and Trivy"]
fn images_that_are_patched_at_once_do_not_interfere() {
    let mut pushed = Pushed::new("several", "vulnlib");
    pushed.runtime.block_on(async {
        let registry = client(&pushed.server);
        let original = registry.manifest("team/app", "1").await.unwrap().unwrap();
        for tag in ["2", "3"] {
            registry.tag("team/app", tag, &original).await.unwrap();
        }
    });
    let names = ["1", "2", "3"].map(|tag| pushed.image.with_tag(tag).unwrap().to_string());
    pushed.bench = pushed
        .bench
        .input("image", &names.join("\n"))
        .input("smoke-command", "dpkg-query --show vulnlib")
        .input("concurrency", "2");
    let ran = pushed.bench.run();
    assert_eq!(
        (ran.code, ran.output("result"), ran.output("patched-tag")),
        (0, "patched", "1-patched\n2-patched\n3-patched"),
        "{}",
        ran.log
    );
    assert!(!ran.log.contains("failed to prune"), "{}", ran.log);
    let digests: Vec<_> = ran.output("digest").lines().collect();
    for (tag, digest) in ["1-patched", "2-patched", "3-patched"].iter().zip(digests) {
        let (actual, manifest) = pushed.manifest(tag);
        assert_eq!(actual, digest);
        let origin = &manifest["annotations"]["sh.copa.patch.origin.name"];
        let original = tag.strip_suffix("-patched").unwrap();
        assert_eq!(
            *origin,
            pushed.image.with_tag(original).unwrap().to_string()
        );
    }
}
