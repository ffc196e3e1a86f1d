//! Indexes, with images for several platforms: arm64 runs here by QEMU.

use docker::Docker;
use oci::{Descriptor, Digest, Index, Platform, RawManifest};
use serde_json::{Value, json};
use testkit::Ran;

use crate::bench::exited;
use crate::registry::{Pushed, client, credentials};

const ATTESTED: &str = "vnd.docker.reference.digest";

/// An index in a registry, as `team/app:1`: an image for arm64, one for this machine, and an attestation of each.
struct Indexed {
    pushed: Pushed,
    docker: Docker,
}

impl Indexed {
    fn new(name: &str, packages: &str, on_arm64: &str) -> Self {
        let mut pushed = Pushed::new(name, packages);
        let arm64 = pushed.bench.arm64(on_arm64);
        let host = std::env::var("DOCKER_HOST").ok();
        let image = pushed.image.with_tag("arm64").unwrap();
        let docker = pushed.runtime.block_on(async {
            let docker = Docker::connect(host.as_deref()).await.unwrap();
            docker.tag(&arm64, &image).await.unwrap();
            docker.push(&image, &credentials()).await.unwrap();
            docker.untag(&image).await.unwrap();
            docker
        });
        let indexed = Self { pushed, docker };
        let entries = ["arm64", "1"].map(|tag| indexed.entry(tag));
        let attestations = entries.clone().map(|entry| indexed.attestation(&entry));
        indexed.put_index(entries.into_iter().chain(attestations).collect());
        indexed.input("results-file", "results.json")
    }

    fn input(mut self, name: &str, value: &str) -> Self {
        self.pushed.bench = self.pushed.bench.input(name, value);
        self
    }

    fn raw(&self, reference: &str) -> RawManifest {
        let registry = client(&self.pushed.server);
        let found = registry.manifest("team/app", reference);
        self.pushed.runtime.block_on(found).unwrap().unwrap()
    }

    fn config(&self, reference: &str) -> Value {
        let manifest: oci::Manifest = serde_json::from_slice(&self.raw(reference).bytes).unwrap();
        let registry = client(&self.pushed.server);
        let config = registry.blob_bytes("team/app", &manifest.config.digest);
        serde_json::from_slice(&self.pushed.runtime.block_on(config).unwrap()).unwrap()
    }

    fn entry(&self, tag: &str) -> Descriptor {
        let raw = self.raw(tag);
        let platform: Platform = serde_json::from_value(self.config(tag)).unwrap();
        let mut entry = Descriptor::new(&raw.media_type, &raw.digest, raw.bytes.len() as u64);
        entry.platform = Some(platform);
        entry
    }

    // What BuildKit adds to an index for the image of `entry`.
    fn attestation(&self, entry: &Descriptor) -> Descriptor {
        let statement = json!({"predicateType": "https://slsa.dev/provenance/v1", "subject": [{"digest": entry.digest}]});
        let blob = self.put_blob(&statement.to_string());
        let config = self.put_blob("{}");
        let manifest = oci::Manifest::new(
            Descriptor::new(oci::CONFIG, &config, 2),
            vec![Descriptor::new(
                "application/vnd.in-toto+json",
                &blob,
                statement.to_string().len() as u64,
            )],
        );
        let registry = client(&self.pushed.server);
        let pushed = registry.push_manifest("team/app", &manifest, None);
        let digest = self.pushed.runtime.block_on(pushed).unwrap();
        let size = manifest.bytes().unwrap().len() as u64;
        let mut attestation = Descriptor::new(oci::MANIFEST, &digest, size);
        attestation.platform = Some("unknown/unknown".parse().unwrap());
        let annotations = [
            ("vnd.docker.reference.type", "attestation-manifest"),
            (ATTESTED, &entry.digest),
        ];
        let annotations = annotations.map(|(name, value)| (name.to_owned(), value.to_owned()));
        attestation.annotations = annotations.into();
        attestation
    }

    fn put_blob(&self, content: &str) -> Digest {
        let digest = Digest::sha256(content.as_bytes());
        let file = self.pushed.server.directory().join("blob");
        std::fs::write(&file, content).unwrap();
        let registry = client(&self.pushed.server);
        let pushed = registry.push_blob("team/app", digest.as_str(), &file);
        self.pushed.runtime.block_on(pushed).unwrap();
        digest
    }

    fn put_index(&self, manifests: Vec<Descriptor>) {
        let title = ("org.opencontainers.image.title", "app");
        let index = Index {
            schema_version: 2,
            media_type: oci::INDEX.to_owned(),
            manifests,
            annotations: [(title.0.to_owned(), title.1.to_owned())].into(),
        };
        let raw = RawManifest::new(oci::INDEX, serde_json::to_vec(&index).unwrap());
        let registry = client(&self.pushed.server);
        let tagged = registry.tag("team/app", "1", &raw);
        self.pushed.runtime.block_on(tagged).unwrap();
    }

    fn index(&self, reference: &str) -> Index {
        serde_json::from_slice(&self.raw(reference).bytes).unwrap()
    }

    fn run(&self) -> (Ran, Value) {
        let ran = self.pushed.bench.run();
        let file = self.pushed.bench.step.workspace().join("results.json");
        let results = std::fs::read(file).unwrap_or_else(|_| b"null".to_vec());
        (ran, serde_json::from_slice(&results).unwrap())
    }

    /// The version of `vulnlib` in a container of the image `digest`, pulled from the registry.
    fn runs(&self, digest: &str) -> String {
        let image = self.pushed.image.with_digest(&digest.parse().unwrap());
        let credentials = credentials();
        let pulled = self.docker.pull(&image, Some(&credentials));
        self.pushed.runtime.block_on(pulled).unwrap();
        let version = self.pushed.bench.prints(&image, "vulnlib");
        crate::bench::docker(&["image", "rm", "--force", &image.to_string()]);
        version
    }
}

fn outcomes(results: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let platforms = results[0]["platforms"].as_array().unwrap().iter();
    platforms
        .map(|part| (text(&part["platform"]), text(&part["result"])))
        .collect()
}

fn shown(index: &Index) -> Vec<String> {
    let platform = |entry: &Descriptor| entry.platform.as_ref().unwrap().to_string();
    index.manifests.iter().map(platform).collect()
}

#[test]
#[ignore = "real: needs Docker, a registry, Copa, BuildKit, Trivy and QEMU"]
fn every_platform_of_an_index_is_patched() {
    let mut indexed = Indexed::new("platforms", "vulnlib", "vulnlib");
    let (ran, results) = indexed.run();
    exited(&ran, 0, "patched");
    let (original, patched) = (indexed.index("1"), indexed.index("1-patched"));
    // The attestations are of the originals: those of a patched image would be wrong.
    assert_eq!(shown(&patched), shown(&original)[..2]);
    assert_eq!(patched.annotations["org.opencontainers.image.title"], "app");
    let origin = |annotations: &std::collections::BTreeMap<String, String>| {
        annotations["sh.copa.patch.origin.digest"].clone()
    };
    assert_eq!(
        origin(&patched.annotations),
        indexed.raw("1").digest.to_string()
    );
    for (was, is) in original.manifests.iter().zip(&patched.manifests) {
        let (before, after) = (indexed.config(&was.digest), indexed.config(&is.digest));
        assert_eq!(before["architecture"], after["architecture"]);
        assert_eq!(indexed.runs(&was.digest), "vulnlib 1.0-1");
        assert_eq!(indexed.runs(&is.digest), "vulnlib 1.0-2");
        let manifest: oci::Manifest =
            serde_json::from_slice(&indexed.raw(&is.digest).bytes).unwrap();
        assert_eq!(origin(&manifest.annotations), was.digest);
    }
    let digest = indexed.raw("1-patched").digest.to_string();
    assert_eq!(
        [
            ran.output("digest"),
            ran.output("fixed-count"),
            ran.output("incremental-tag")
        ],
        [digest.as_str(), "2", "1-patched-1"]
    );
    let both =
        |result: &str| ["linux/arm64", "linux/amd64"].map(|p| (p.to_owned(), result.to_owned()));
    assert_eq!(outcomes(&results), both("patched"));

    // No new updates: Copa does not run, and nothing is pushed.
    let tags = indexed.pushed.tags();
    indexed.pushed.bench = indexed.pushed.bench.tool("copa", "exit 9");
    let (ran, results) = indexed.run();
    exited(&ran, 0, "up-to-date");
    assert_eq!(
        (ran.output("digest"), indexed.pushed.tags()),
        (digest.as_str(), tags)
    );
    assert_eq!(outcomes(&results), both("up-to-date"));
}

#[test]
#[ignore = "real: needs Docker, a registry, Copa, BuildKit, Trivy and QEMU"]
fn an_index_is_patched_as_a_whole_unless_a_part_is_enough() {
    let command = "test \"$(dpkg --print-architecture)\" != arm64";
    let indexed = Indexed::new("parts", "vulnlib", "vulnlib").input("smoke-command", command);
    let tags = indexed.pushed.tags();
    let (ran, _) = indexed.run();
    exited(&ran, 1, "failed");
    assert!(ran.error().contains("linux/arm64: "), "{}", ran.error());
    assert!(
        ran.error().contains("the smoke command exited with code 1"),
        "{}",
        ran.error()
    );
    assert_eq!(indexed.pushed.tags(), tags);

    let indexed = indexed.input("partial-platforms", "true");
    let (ran, results) = indexed.run();
    exited(&ran, 0, "partial");
    let kept = ("linux/arm64".to_owned(), "kept".to_owned());
    assert_eq!(outcomes(&results)[0], kept);
    let (original, patched) = (indexed.index("1"), indexed.index("1-patched"));
    // What is not patched stays with its attestation.
    assert_eq!(patched.manifests[0], original.manifests[0]);
    assert_ne!(patched.manifests[1].digest, original.manifests[1].digest);
    assert_eq!(patched.manifests[2..], original.manifests[2..3]);
}

#[test]
#[ignore = "real: needs Docker, a registry, Copa, BuildKit, Trivy and QEMU"]
fn a_platform_without_a_fix_keeps_its_digest() {
    let indexed = Indexed::new("unfixed-part", "unfixed", "vulnlib unfixed");
    let (ran, results) = indexed.run();
    exited(&ran, 0, "patched");
    let (original, patched) = (indexed.index("1"), indexed.index("1-patched"));
    assert_ne!(patched.manifests[0].digest, original.manifests[0].digest);
    assert_eq!(patched.manifests[1], original.manifests[1]);
    assert_eq!(
        outcomes(&results)[1],
        ("linux/amd64".to_owned(), "up-to-date".to_owned())
    );
}

#[test]
#[ignore = "real: needs Docker, a registry, BuildKit and Trivy"]
fn a_platform_that_nothing_emulates_is_named_before_copa_runs() {
    let pushed = Pushed::new("foreign", "vulnlib");
    let registry = client(&pushed.server);
    let entries = pushed.runtime.block_on(async {
        let raw = registry.manifest("team/app", "1").await.unwrap().unwrap();
        let mut manifest: oci::Manifest = serde_json::from_slice(&raw.bytes).unwrap();
        let config = registry
            .blob_bytes("team/app", &manifest.config.digest)
            .await
            .unwrap();
        let mut config: Value = serde_json::from_slice(&config).unwrap();
        config["architecture"] = "sparc64".into();
        let config = config.to_string();
        let digest = Digest::sha256(config.as_bytes());
        let file = pushed.server.directory().join("config");
        std::fs::write(&file, &config).unwrap();
        registry
            .push_blob("team/app", digest.as_str(), &file)
            .await
            .unwrap();
        manifest.config =
            Descriptor::new(&manifest.config.media_type, &digest, config.len() as u64);
        let foreign = registry
            .push_manifest("team/app", &manifest, None)
            .await
            .unwrap();
        let size = manifest.bytes().unwrap().len() as u64;
        let mut foreign = Descriptor::new(&raw.media_type, &foreign, size);
        foreign.platform = Some("linux/sparc64".parse().unwrap());
        let mut own = Descriptor::new(&raw.media_type, &raw.digest, raw.bytes.len() as u64);
        own.platform = Some("linux/amd64".parse().unwrap());
        vec![own, foreign]
    });
    let index = json!({"schemaVersion": 2, "mediaType": oci::INDEX, "manifests": entries});
    let raw = RawManifest::new(oci::INDEX, index.to_string().into_bytes());
    pushed
        .runtime
        .block_on(registry.tag("team/app", "1", &raw))
        .unwrap();
    let bench = pushed.bench.tool("copa", "exit 9");
    let ran = bench.run();
    exited(&ran, 2, "error");
    insta::assert_snapshot!(ran.error(), @"copacetic-patch: linux/sparc64: this machine does not run programs of linux/sparc64; register QEMU before this step (`docker/setup-qemu-action`, or Debian's `qemu-user-static`), leave it out of `platforms`, or set `partial-platforms: true`");

    // So is that of an image that is not in an index.
    pushed.runtime.block_on(async {
        let foreign = registry.manifest("team/app", &entries[1].digest).await;
        let foreign = foreign.unwrap().unwrap();
        registry.tag("team/app", "alone", &foreign).await.unwrap();
    });
    let alone = pushed.image.with_tag("alone").unwrap().to_string();
    let bench = bench.input("image", &alone);
    let ran = bench.input("platforms", "linux/sparc64").run();
    exited(&ran, 2, "error");
    let error =
        "copacetic-patch: this machine does not run programs of linux/sparc64; register QEMU";
    assert!(ran.error().starts_with(error), "{}", ran.error());
}

#[test]
#[ignore = "real: needs Docker, a registry, Copa, BuildKit, Trivy and QEMU"]
fn an_index_is_pushed_into_another_registry_with_what_is_not_patched() {
    let own = crate::mirror::Own::start();
    for (name, here, on_arm64, result) in [
        ("index-part", "vulnlib", "unfixed", "patched"),
        ("index-clean", "unfixed", "unfixed", "up-to-date"),
    ] {
        let mut indexed = Indexed::new(name, here, on_arm64);
        let tag = format!("{name}-{{tag}}");
        let bench = indexed.pushed.bench;
        let bench = own.destination_of(bench, Some(&indexed.pushed.server));
        indexed.pushed.bench = bench.input("patched-tag", &tag);
        let (ran, _) = indexed.run();
        exited(&ran, 0, result);
        let original = indexed.index("1");
        let raw = own.raw("own/team/app", &format!("{name}-1"));
        let index: Index = serde_json::from_slice(&raw.bytes).unwrap();
        assert_eq!(ran.output("digest"), raw.digest.as_str());
        // Of arm64, which has no fix, the image and its attestation.
        assert_eq!(index.manifests[0], original.manifests[0]);
        if result == "patched" {
            assert_ne!(index.manifests[1].digest, original.manifests[1].digest);
            assert_eq!(index.manifests[2..], original.manifests[2..3]);
            let note = "not of its patch: attestation of BuildKit;";
            assert!(ran.log.contains(note), "{}", ran.log);
        } else {
            assert_eq!(raw.digest, indexed.raw("1").digest);
        }
        for entry in &index.manifests {
            own.raw("own/team/app", &entry.digest);
        }
        let tags = own.tags("own/team/app");
        let (again, _) = indexed.run();
        exited(&again, 0, "up-to-date");
        assert_eq!(own.tags("own/team/app"), tags);
    }
}
