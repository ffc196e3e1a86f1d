//! From one registry into another, each with its own login.

use oci::{Auth, Credentials, Descriptor, Digest, ImageRef, Manifest, RawManifest, Registry};
use serde_json::Value;
use testkit::{PrivateRegistry, Ran};

use crate::bench::{Bench, exited};
use crate::registry::{Pushed, client, credentials};

fn own_credentials() -> Credentials {
    Credentials {
        username: PrivateRegistry::OTHER_USER.into(),
        password: PrivateRegistry::OTHER_PASSWORD.into(),
    }
}

/// A registry of one's own, which another one's images are pushed to, below `own`.
pub(crate) struct Own {
    pub(crate) server: PrivateRegistry,
    runtime: tokio::runtime::Runtime,
}

impl Own {
    pub(crate) fn start() -> Self {
        Self {
            server: PrivateRegistry::start_other(),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
        }
    }

    pub(crate) fn client(&self) -> Registry {
        let http = http_client::Client::new().unwrap();
        let auth = Auth::Password(own_credentials());
        Registry::new(http, self.server.host(), auth, |_| {})
    }

    /// The step of `bench`, whose images are pushed here.
    pub(crate) fn destination_of(&self, bench: Bench, source: Option<&PrivateRegistry>) -> Bench {
        let login = |host: &str, login: &Credentials| {
            format!("{host} {} {}\n", login.username, login.password)
        };
        let mut lines = login(self.server.host(), &own_credentials());
        if let Some(source) = source {
            lines.push_str(&login(source.host(), &credentials()));
        }
        bench
            .input("push", "false")
            .input("push-to", &format!("{}/own", self.server.host()))
            .input("registry-username", "")
            .input("registry-password", "")
            .input("registries", &lines)
    }

    pub(crate) fn tags(&self, repository: &str) -> Vec<String> {
        let client = self.client();
        let mut tags = self.runtime.block_on(client.tags(repository)).unwrap();
        tags.sort();
        tags
    }

    pub(crate) fn raw(&self, repository: &str, reference: &str) -> RawManifest {
        let client = self.client();
        let found = client.manifest(repository, reference);
        self.runtime.block_on(found).unwrap().unwrap()
    }

    fn name(&self, rest: &str) -> String {
        format!("{}/own/{rest}", self.server.host())
    }
}

/// Attach a statement to the image of `pushed`, and a signature as cosign 2 does.
fn attach(pushed: &Pushed) -> Digest {
    let registry = client(&pushed.server);
    let file = pushed.server.directory().join("blob");
    std::fs::write(&file, "{}").unwrap();
    let blob = Digest::sha256(b"{}");
    let image = registry.manifest("team/app", "1");
    let image = pushed.runtime.block_on(image).unwrap().unwrap();
    pushed.runtime.block_on(async {
        let pushed = registry.push_blob("team/app", blob.as_str(), &file);
        pushed.await.unwrap();
    });
    refer(pushed, &image.digest, "application/vnd.in-toto+json");
    pushed.runtime.block_on(async {
        let part = || Descriptor::new(oci::EMPTY, &blob, 2);
        let signature = Manifest::new(part(), vec![part()]);
        let tag = format!("{}.sig", image.digest.as_str().replace(':', "-"));
        let signed = registry.push_manifest("team/app", &signature, Some(&tag));
        signed.await.unwrap();
        image.digest
    })
}

/// Attach an artifact of the type `kind` to the image `digest` of `pushed`, whose registry has the blob `{}`.
fn refer(pushed: &Pushed, digest: &Digest, kind: &str) {
    let registry = client(&pushed.server);
    let part = || Descriptor::new(oci::EMPTY, &Digest::sha256(b"{}"), 2);
    let mut artifact = Manifest::new(part(), vec![part()]);
    artifact.subject = Some(Descriptor::new(oci::MANIFEST, digest, 2));
    artifact.artifact_type = Some(kind.to_owned());
    let attached = registry.push_manifest("team/app", &artifact, None);
    pushed.runtime.block_on(attached).unwrap();
}

fn layers(manifest: &[u8]) -> Vec<String> {
    let manifest: Manifest = serde_json::from_slice(manifest).unwrap();
    let layers = manifest.layers.into_iter();
    layers.map(|layer| layer.digest).collect()
}

fn summary(ran: &Ran, own: &Own, pushed: &Pushed) -> String {
    let summary = ran.summary.replace(own.server.host(), "OWN");
    summary.replace(pushed.server.host(), "SOURCE")
}

#[test]
#[ignore = "real: needs Docker, a registry, Copa, BuildKit and Trivy"]
fn a_patch_is_pushed_into_another_registry() {
    let mut pushed = Pushed::new("to-other", "vulnlib");
    attach(&pushed);
    let own = Own::start();
    pushed.bench = own.destination_of(pushed.bench, Some(&pushed.server));
    let before = pushed.tags();
    let ran = pushed.bench.run();
    exited(&ran, 0, "patched");
    let digest = own.raw("own/team/app", "1-patched").digest;
    assert_eq!(
        [ran.output("image"), ran.output("digest")],
        [own.name("team/app:1-patched").as_str(), digest.as_str()]
    );
    assert_eq!(own.tags("own/team/app"), ["1-patched", "1-patched-1"]);
    assert_eq!(pushed.tags(), before);
    // The layers of the original, and one more.
    let registry = client(&pushed.server);
    let original = registry.manifest("team/app", "1");
    let original = pushed.runtime.block_on(original).unwrap().unwrap();
    let (original, patch) = (
        layers(&original.bytes),
        layers(&own.raw("own/team/app", "1-patched").bytes),
    );
    assert_eq!(patch[..original.len()], original);
    assert_eq!(patch.len(), original.len() + 1);
    let note = "and not of its patch: application/vnd.in-toto+json, cosign `.sig`; sign and attest the patch in a later step";
    assert!(ran.log.contains(note), "{}", ran.log);
    assert!(
        summary(&ran, &own, &pushed).contains("not copied, as it is about the digest"),
        "{}",
        ran.summary
    );
    for secret in [PrivateRegistry::PASSWORD, PrivateRegistry::OTHER_PASSWORD] {
        let log = ran.log.replace(&format!("::add-mask::{secret}"), "");
        assert!(!log.contains(secret), "{log}");
    }

    // No new updates: Copa does not run, and nothing is pushed.
    pushed.bench = pushed.bench.tool("copa", "exit 9");
    let ran = pushed.bench.run();
    exited(&ran, 0, "up-to-date");
    assert_eq!(ran.output("digest"), digest.as_str());
    assert_eq!(own.tags("own/team/app"), ["1-patched", "1-patched-1"]);

    // Where a login is missing, the registry that requires one is named.
    let line = format!(
        "{} {} {}",
        own.server.host(),
        PrivateRegistry::OTHER_USER,
        PrivateRegistry::OTHER_PASSWORD
    );
    let ran = pushed.bench.input("registries", &line).run();
    exited(&ran, 2, "error");
    assert!(
        ran.error().contains(pushed.server.host()),
        "{}",
        ran.error()
    );
}

#[test]
#[ignore = "real: needs Docker, a registry, Copa, BuildKit and Trivy"]
fn what_needs_no_patch_is_copied_with_what_refers_to_it() {
    let mut pushed = Pushed::new("copied", "unfixed");
    let digest = attach(&pushed);
    let own = Own::start();
    let bench = own.destination_of(pushed.bench, Some(&pushed.server));
    pushed.bench = bench.input("patched-tag", "{tag}");
    let ran = pushed.bench.run();
    exited(&ran, 0, "up-to-date");
    assert_eq!(
        [ran.output("image"), ran.output("digest")],
        [own.name("team/app:1").as_str(), digest.as_str()]
    );
    assert_eq!(ran.output("incremental-tag"), "1-1");
    assert_eq!(own.raw("own/team/app", "1").digest, digest);
    let referrers = own.client();
    let referrers = referrers.referrers("own/team/app", &digest);
    let referrers = own.runtime.block_on(referrers).unwrap();
    assert_eq!(referrers.len(), 1);
    let hex = digest.as_str().replace(':', "-");
    let expected = [
        "1".to_owned(),
        "1-1".into(),
        hex.clone(),
        format!("{hex}.sig"),
    ];
    assert_eq!(own.tags("own/team/app"), expected);
    // What comes later follows, to an image that has not changed.
    refer(&pushed, &digest, "application/spdx+json");
    let again = pushed.bench.run();
    exited(&again, 0, "up-to-date");
    assert!(again.log.contains("copied 1 referrer of"), "{}", again.log);
    let referrers = own.client();
    let referrers = referrers.referrers("own/team/app", &digest);
    assert_eq!(own.runtime.block_on(referrers).unwrap().len(), 2);
    let again = pushed.bench.run();
    exited(&again, 0, "up-to-date");
    assert!(!again.log.contains("copied"), "{}", again.log);
    assert!(
        again.log.contains("which has nothing to fix"),
        "{}",
        again.log
    );
    assert_eq!(own.tags("own/team/app"), expected);
    assert_eq!(
        again.output("image"),
        own.name("team/app:1"),
        "{}",
        again.log
    );
}

#[test]
#[ignore = "real: needs Docker, a registry, Copa, BuildKit and Trivy"]
fn a_tag_of_someone_else_is_replaced_only_on_request() {
    let mut pushed = Pushed::new("other-tag", "unfixed");
    let own = Own::start();
    let foreign = {
        let (source, target) = (client(&pushed.server), own.client());
        own.runtime.block_on(async {
            let image = source.manifest("team/app", "1").await.unwrap().unwrap();
            let copied = target.copy_from(&source, "team/app", "own/team/app", &image, None);
            copied.await.unwrap();
            let mut manifest: Manifest = serde_json::from_slice(&image.bytes).unwrap();
            manifest.annotations.insert("team".into(), "other".into());
            let pushed = target.push_manifest("own/team/app", &manifest, Some("1-patched"));
            pushed.await.unwrap()
        })
    };
    pushed.bench = own.destination_of(pushed.bench, Some(&pushed.server));
    let ran = pushed.bench.run();
    exited(&ran, 3, "error");
    assert_eq!(
        ran.error().replace(own.server.host(), "OWN"),
        "copacetic-patch: input `push-to`: `OWN/own/team/app:1-patched` was not pushed by this action; set `replace-tags: true` to replace it, or choose another `patched-tag`"
    );
    assert_eq!(own.raw("own/team/app", "1-patched").digest, foreign);
    pushed.bench = pushed.bench.input("replace-tags", "true");
    exited(&pushed.bench.run(), 0, "up-to-date");
    assert_ne!(own.raw("own/team/app", "1-patched").digest, foreign);
    // From now on it is this action's.
    pushed.bench = pushed.bench.input("replace-tags", "false");
    exited(&pushed.bench.run(), 0, "up-to-date");
}

#[test]
#[ignore = "real: needs Docker, a registry, Copa, BuildKit and Trivy"]
fn an_image_of_docker_is_pushed() {
    let own = Own::start();
    for (name, packages, result) in [
        ("docker-fixed", "vulnlib", "patched"),
        ("docker-clean", "unfixed", "up-to-date"),
    ] {
        let bench = own.destination_of(Bench::new(name, packages, ""), None);
        let ran = bench.run();
        exited(&ran, 0, result);
        let repository = format!("own/{}", bench.image.repository());
        let (tag, numbered) = (format!("{name}-patched"), format!("{name}-patched-1"));
        let raw = own.raw(&repository, &tag);
        assert_eq!(raw.digest.as_str(), ran.output("digest"));
        assert_eq!(own.raw(&repository, &numbered).digest, raw.digest);
        assert_eq!(ran.output("incremental-tag"), numbered);
        let annotations: Value = serde_json::from_slice(&raw.bytes).unwrap();
        let origin = annotations["annotations"]["sh.copa.patch.origin.name"].as_str();
        let expected = bench.image.to_string();
        assert_eq!(origin, (result == "patched").then_some(expected.as_str()));
        // Nothing new: nothing is pushed.
        let tags = own.tags(&repository);
        let again = bench.tool("copa", "exit 9").run();
        exited(&again, 0, "up-to-date");
        assert_eq!(again.output("digest"), raw.digest.as_str());
        assert_eq!(own.tags(&repository), tags);
    }
}

#[test]
#[ignore = "real: needs Docker, a registry, Copa, BuildKit and Trivy"]
fn a_tag_is_replaced_in_place_with_one_layer_each_time() {
    let mut pushed = Pushed::new("in-place", "vulnlib");
    let original = pushed.manifest("1");
    pushed.bench = pushed
        .bench
        .input("patched-tag", "{tag}")
        .input("replace-tags", "true");
    exited(&pushed.bench.run(), 0, "patched");
    let (digest, patch) = pushed.manifest("1");
    assert_ne!(digest, original.0);
    let origin = &patch["annotations"]["sh.copa.patch.origin.digest"];
    assert_eq!(*origin, original.0);
    assert_eq!(pushed.tags(), ["1", "1-1"]);
    // The next run starts from the original again.
    pushed.bench = pushed.bench.tool("copa", "exit 9");
    let ran = pushed.bench.run();
    exited(&ran, 0, "up-to-date");
    assert_eq!(ran.output("digest"), digest);
    // So does one over the whole registry.
    let image: ImageRef = pushed.image.clone();
    pushed.bench = pushed
        .bench
        .input("image", "")
        .input("registry", pushed.server.host())
        .input("tags", "1");
    let ran = pushed.bench.run();
    exited(&ran, 0, "up-to-date");
    assert_eq!(ran.output("image"), image.to_string(), "{}", ran.log);
}
