//! Copies between repositories and registries, which keep digests, indexes and what refers to them.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use http_client::Client;
use oci::{
    Auth, CONFIG, Descriptor, Digest, EMPTY, INDEX, Index, LAYER, MANIFEST, Manifest, Platform,
    RawManifest, Registry,
};
use testkit::{Recorder, Seen};

/// What a registry holds: by repository and digest or tag.
#[derive(Default)]
struct Store {
    blobs: BTreeMap<(String, String), Vec<u8>>,
    manifests: BTreeMap<(String, String), Vec<u8>>,
}

/// What a registry can do.
#[derive(Clone, Copy)]
struct Abilities {
    /// The API of referrers.
    lists: bool,
    mounts: bool,
}

fn response(status: u16, headers: &[(&str, &str)], body: Vec<u8>) -> Response {
    let mut builder = Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(body.into()).unwrap()
}

fn media_type(bytes: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(bytes).unwrap();
    value["mediaType"].as_str().unwrap().to_owned()
}

/// The token service, and what a request without a token gets.
fn unless_authorized(seen: &Seen) -> Option<Response> {
    if seen.line.starts_with("GET /token?") {
        return Some(r#"{"token": "T"}"#.into_response());
    }
    let challenge = format!("Bearer realm=\"http://{}/token\"", seen.host);
    let challenge = || response(401, &[("www-authenticate", &challenge)], Vec::new());
    seen.authorization.is_none().then(challenge)
}

fn respond(store: &mut Store, abilities: Abilities, seen: &Seen) -> Response {
    if let Some(response) = unless_authorized(seen) {
        return response;
    }
    let absent = || StatusCode::NOT_FOUND.into_response();
    let (method, path) = seen.line.split_once(' ').unwrap();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let path = path.strip_prefix("/v2/").unwrap();
    let (repository, kind, name) = ["/manifests/", "/blobs/uploads/", "/blobs/", "/referrers/"]
        .iter()
        .find_map(|kind| {
            path.split_once(kind)
                .map(|(r, n)| (r.to_owned(), *kind, n.to_owned()))
        })
        .unwrap();
    let key = (repository.clone(), name.clone());
    let query = query.replace("%3A", ":").replace("%2F", "/");
    let parameter = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .into_iter()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value.to_owned())
    };
    match (method, kind) {
        ("GET" | "HEAD", "/blobs/") => store
            .blobs
            .get(&key)
            .map_or_else(absent, |bytes| response(200, &[], bytes.clone())),
        ("GET" | "HEAD", "/manifests/") => store.manifests.get(&key).map_or_else(absent, |bytes| {
            let (kind, digest) = (media_type(bytes), Digest::sha256(bytes));
            let headers = [
                ("content-type", kind.as_str()),
                ("docker-content-digest", digest.as_str()),
            ];
            response(200, &headers, bytes.clone())
        }),
        ("POST", "/blobs/uploads/") => {
            if let (Some(digest), Some(from), true) =
                (parameter("mount"), parameter("from"), abilities.mounts)
                && let Some(blob) = store.blobs.get(&(from, digest.clone())).cloned()
            {
                store.blobs.insert((repository, digest), blob);
                return StatusCode::CREATED.into_response();
            }
            response(
                202,
                &[("location", &format!("/v2/{repository}/blobs/uploads/1"))],
                Vec::new(),
            )
        }
        ("PUT", "/blobs/uploads/") => {
            let digest = parameter("digest").unwrap();
            assert_eq!(Digest::sha256(&seen.body).as_str(), digest);
            store.blobs.insert((repository, digest), seen.body.clone());
            StatusCode::CREATED.into_response()
        }
        ("PUT", "/manifests/") => {
            let digest = Digest::sha256(&seen.body).to_string();
            // As a registry does: what a manifest lists has to be there.
            let listed: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
            for entry in listed["manifests"].as_array().into_iter().flatten() {
                let digest = entry["digest"].as_str().unwrap().to_owned();
                assert!(
                    store.manifests.contains_key(&(repository.clone(), digest)),
                    "{listed}"
                );
            }
            for layer in listed["layers"].as_array().into_iter().flatten() {
                let digest = layer["digest"].as_str().unwrap().to_owned();
                assert!(
                    store.blobs.contains_key(&(repository.clone(), digest)),
                    "{listed}"
                );
            }
            store
                .manifests
                .insert((repository.clone(), digest), seen.body.clone());
            store.manifests.insert(key, seen.body.clone());
            let subject = listed["subject"]["digest"].as_str();
            match subject.filter(|_| abilities.lists) {
                Some(subject) => response(201, &[("oci-subject", subject)], Vec::new()),
                None => StatusCode::CREATED.into_response(),
            }
        }
        ("GET", "/referrers/") if abilities.lists => {
            let index = referrers(store, &repository, &name);
            response(200, &[], serde_json::to_vec(&index).unwrap())
        }
        _ => absent(),
    }
}

/// What refers to the manifest `subject`.
fn referrers(store: &Store, repository: &str, subject: &str) -> Index {
    let mut manifests = BTreeMap::new();
    for ((other, _), bytes) in &store.manifests {
        let value: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        if other == repository && value["subject"]["digest"] == *subject {
            let digest = Digest::sha256(bytes);
            manifests.insert(
                digest.to_string(),
                Descriptor::new(MANIFEST, &digest, bytes.len() as u64),
            );
        }
    }
    Index {
        schema_version: 2,
        media_type: INDEX.into(),
        manifests: manifests.into_values().collect(),
        annotations: BTreeMap::new(),
    }
}

struct Fake {
    recorder: Recorder,
    store: Arc<Mutex<Store>>,
}

impl Fake {
    async fn start(abilities: Abilities) -> Self {
        let store = Arc::new(Mutex::new(Store::default()));
        let held = Arc::clone(&store);
        let recorder =
            Recorder::start(move |seen| respond(&mut held.lock().unwrap(), abilities, seen)).await;
        Self {
            recorder: recorder.unwrap(),
            store,
        }
    }

    fn client(&self) -> Registry {
        Registry::new(
            Client::direct().unwrap(),
            &self.recorder.host(),
            Auth::Anonymous,
            |_| {},
        )
    }

    fn blob(&self, media_type: &str, bytes: &[u8]) -> Descriptor {
        let digest = Digest::sha256(bytes);
        let key = ("dev".to_owned(), digest.to_string());
        self.store.lock().unwrap().blobs.insert(key, bytes.to_vec());
        Descriptor::new(media_type, &digest, bytes.len() as u64)
    }

    fn image(&self, content: &str) -> Manifest {
        let config = self.blob(CONFIG, format!("{{\"of\": \"{content}\"}}").as_bytes());
        Manifest::new(
            config,
            vec![
                self.blob(LAYER, b"base"),
                self.blob(LAYER, content.as_bytes()),
            ],
        )
    }

    async fn push(&self, manifest: &Manifest, reference: Option<&str>) -> Descriptor {
        let digest = self
            .client()
            .push_manifest("dev", manifest, reference)
            .await
            .unwrap();
        Descriptor::new(MANIFEST, &digest, manifest.bytes().unwrap().len() as u64)
    }

    /// An image of two platforms with a signature of the index, an SBOM of one platform, and a signature under a tag of cosign.
    /// Its layers are 12 bytes, with one that both have.
    async fn fill(&self) -> RawManifest {
        let mut manifests = Vec::new();
        for architecture in ["amd64", "arm64"] {
            let mut entry = self.push(&self.image(architecture), None).await;
            entry.platform = Some(Platform {
                architecture: architecture.into(),
                os: "linux".into(),
                variant: None,
            });
            manifests.push(entry);
        }
        let platform = manifests[0].clone();
        let index = Index {
            schema_version: 2,
            media_type: INDEX.into(),
            manifests,
            annotations: BTreeMap::new(),
        };
        let bytes = serde_json::to_vec(&index).unwrap();
        let raw = RawManifest {
            digest: Digest::sha256(&bytes),
            media_type: INDEX.into(),
            bytes,
        };
        self.client().tag("dev", "1", &raw).await.unwrap();
        let of_index = Descriptor::new(INDEX, &raw.digest, raw.bytes.len() as u64);
        for (subject, content) in [(of_index, "signature"), (platform.clone(), "sbom")] {
            let mut artifact = Manifest::new(
                self.blob(EMPTY, b"{}"),
                vec![self.blob("text/plain", content.as_bytes())],
            );
            artifact.artifact_type = Some(format!("application/{content}"));
            artifact.subject = Some(Descriptor {
                platform: None,
                ..subject
            });
            self.push(&artifact, None).await;
        }
        let signature = Manifest::new(
            self.blob(CONFIG, b"{}"),
            vec![self.blob("text/plain", b"cosign")],
        );
        let tag = format!("{}.sig", platform.digest.replace(':', "-"));
        self.push(&signature, Some(&tag)).await;
        raw
    }

    fn manifests(&self, repository: &str) -> BTreeMap<String, Vec<u8>> {
        let store = self.store.lock().unwrap();
        let own = store
            .manifests
            .iter()
            .filter(|((other, _), _)| other == repository);
        own.map(|((_, name), bytes)| (name.clone(), bytes.clone()))
            .collect()
    }
}

/// The index, two platforms, a signature, an SBOM, and cosign's signature.
const MANIFESTS: usize = 6;
/// Two configurations, two layers and a base, which is there the second time; `{}`, `signature`, `sbom` and `cosign`.
const BLOBS: usize = 9;

#[tokio::test]
async fn within_a_registry_that_mounts_no_layer_is_transferred() {
    for lists in [true, false] {
        let registry = Fake::start(Abilities {
            lists,
            mounts: true,
        })
        .await;
        let image = registry.fill().await;
        let client = registry.client();
        let result = client
            .copy_from(&client, "dev", "prod", &image, Some("1"))
            .await;
        let copied = result.unwrap();
        assert_eq!((copied.manifests, copied.referrers), (MANIFESTS, 3));
        assert_eq!(
            (copied.present, copied.mounted, copied.bytes),
            (3, BLOBS, 0)
        );
        let seen = registry.recorder.seen();
        let transfers = seen.iter().filter(|seen| {
            let is_blob = seen.line.contains("/blobs/sha256") && seen.line.starts_with("GET");
            is_blob || seen.line.starts_with("PUT /v2/prod/blobs")
        });
        assert_eq!(transfers.count(), 0);
        // One token for both repositories, each scope in its own parameter.
        let both = "scope=repository%3Aprod%3Apull%2Cpush&scope=repository%3Adev%3Apull";
        assert!(seen.iter().any(|seen| seen.line.contains(both)));
        // Everything is there, under the same digests and tags.
        assert_eq!(registry.manifests("prod"), registry.manifests("dev"));
        let count = client.referrers("prod", &image.digest).await.unwrap().len();
        assert_eq!(count, 1);
        // The second time there is nothing to do.
        let again = client
            .copy_from(&client, "dev", "prod", &image, Some("1"))
            .await
            .unwrap();
        assert_eq!(
            (again.mounted, again.bytes, again.present),
            (0, 0, BLOBS + 3)
        );
    }
}

#[tokio::test]
async fn between_registries_blobs_are_streamed_and_referrers_are_listed_as_the_target_lists_them() {
    for (from_lists, to_lists) in [(true, true), (true, false), (false, true), (false, false)] {
        let source = Fake::start(Abilities {
            lists: from_lists,
            mounts: true,
        })
        .await;
        let target = Fake::start(Abilities {
            lists: to_lists,
            mounts: true,
        })
        .await;
        let image = source.fill().await;
        let client = target.client();
        let result = client
            .copy_from(&source.client(), "dev", "prod", &image, Some("1"))
            .await;
        let bytes: usize = {
            let store = source.store.lock().unwrap();
            store.blobs.values().map(Vec::len).sum()
        };
        let copied = result.unwrap();
        assert_eq!((copied.manifests, copied.referrers), (MANIFESTS, 3));
        assert_eq!(
            (copied.present, copied.mounted, copied.bytes),
            (3, 0, bytes as u64)
        );
        let (dev, prod) = (source.manifests("dev"), target.manifests("prod"));
        let is_list = |name: &String| name.starts_with("sha256-") && !name.contains('.');
        let lists: Vec<_> = prod.keys().filter(|name| is_list(name)).collect();
        assert_eq!(lists.len(), if to_lists { 0 } else { 2 });
        let without_lists = |manifests: &BTreeMap<String, Vec<u8>>| {
            let listing = |bytes: &Vec<u8>| {
                Digest::sha256(bytes) != image.digest && media_type(bytes) == INDEX
            };
            let kept = manifests.iter().filter(|(_, bytes)| !listing(bytes));
            kept.map(|(name, bytes)| (name.clone(), bytes.clone()))
                .collect::<BTreeMap<_, _>>()
        };
        assert_eq!(without_lists(&prod), without_lists(&dev));
        assert_eq!(
            client.referrers("prod", &image.digest).await.unwrap().len(),
            1
        );
    }
}

#[tokio::test]
async fn a_registry_that_does_not_mount_gets_the_blobs() {
    let registry = Fake::start(Abilities {
        lists: true,
        mounts: false,
    })
    .await;
    let image = registry.fill().await;
    let client = registry.client();
    let result = client
        .copy_from(&client, "dev", "prod", &image, None)
        .await
        .unwrap();
    assert_eq!((result.mounted, result.manifests), (0, MANIFESTS));
    assert!(result.bytes > 0);
}

#[tokio::test]
async fn what_is_missing_in_the_source_is_named() {
    let registry = Fake::start(Abilities {
        lists: true,
        mounts: true,
    })
    .await;
    let image = registry.fill().await;
    let index: Index = serde_json::from_slice(&image.bytes).unwrap();
    let lost = index.manifests[1].digest.clone();
    registry
        .store
        .lock()
        .unwrap()
        .manifests
        .remove(&("dev".to_owned(), lost.clone()));
    let client = registry.client();
    let error = client
        .copy_from(&client, "dev", "prod", &image, Some("1"))
        .await
        .unwrap_err();
    let host = registry.recorder.host();
    assert_eq!(
        format!("{error:#}"),
        format!(
            "failed to copy `{host}/dev@{}` to `{host}/prod`: `{host}/dev` does not have {lost}",
            image.digest
        )
    );
    // The tag does not point to half an image.
    assert!(!registry.manifests("prod").contains_key("1"));
}

#[tokio::test]
async fn what_comes_to_refer_to_a_copied_image_follows_it() {
    for lists in [true, false] {
        let abilities = Abilities {
            lists,
            mounts: true,
        };
        let (source, target) = (Fake::start(abilities).await, Fake::start(abilities).await);
        let image = source.fill().await;
        let (from, to) = (source.client(), target.client());
        let copied = to.copy_from(&from, "dev", "prod", &image, Some("1"));
        copied.await.unwrap();
        let before = target.manifests("prod");
        let update = async || {
            let added = to.copy_referrers_from(&from, "dev", "prod", &image);
            let added = added.await.unwrap();
            (added.manifests, added.referrers)
        };
        assert_eq!(update().await, (0, 0));
        assert_eq!(target.manifests("prod"), before);

        // A statement about the index, a signature of that, and one of cosign for a platform that has had none.
        let artifact = |content: &str, subject: Descriptor| {
            let content = source.blob("text/plain", content.as_bytes());
            let mut artifact = Manifest::new(source.blob(EMPTY, b"{}"), vec![content]);
            artifact.artifact_type = Some("application/late".to_owned());
            artifact.subject = Some(subject);
            artifact
        };
        let of_index = Descriptor::new(INDEX, &image.digest, image.bytes.len() as u64);
        let statement = source.push(&artifact("statement", of_index), None).await;
        source.push(&artifact("signature", statement), None).await;
        let index: Index = serde_json::from_slice(&image.bytes).unwrap();
        let tag = format!("{}.sig", index.manifests[1].digest.replace(':', "-"));
        let cosign = source.blob("text/plain", b"late cosign");
        let cosign = Manifest::new(source.blob(CONFIG, b"{}"), vec![cosign]);
        source.push(&cosign, Some(&tag)).await;

        assert_eq!(update().await, (3, 3));
        let names =
            |manifests: BTreeMap<String, Vec<u8>>| manifests.into_keys().collect::<Vec<_>>();
        let is_list = |name: &String| name.starts_with("sha256-") && !name.contains('.');
        let mut expected = names(source.manifests("dev"));
        let mut own = names(target.manifests("prod"));
        if !lists {
            // A list that was replaced is left under its digest.
            for names in [&mut expected, &mut own] {
                names.retain(|name| is_list(name) || !name.starts_with("sha256:"));
            }
        }
        assert_eq!(own, expected);
        let referrers = to.referrers("prod", &image.digest).await.unwrap();
        assert_eq!(referrers.len(), 2);
        assert_eq!(update().await, (0, 0));
    }
}
