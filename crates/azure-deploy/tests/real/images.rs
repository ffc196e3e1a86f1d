//! Images that are in a registry already, and several images in one deployment.

use std::collections::BTreeMap;

use oci::{
    CONFIG, Descriptor, Digest, EMPTY, INDEX, Index, LAYER, Manifest, Platform, RawManifest,
};
use testkit::{FakeRunner, Fault};

use crate::stack::{LOGIN_SERVER, Stack, get, run};

/// A Deployment of somebody else's image, without pods.
const REDIS: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: redis, namespace: NAMESPACE}
spec:
  replicas: 0
  selector: {matchLabels: {app: redis}}
  template:
    metadata: {labels: {app: redis}}
    spec: {containers: [{name: redis, image: 'redis:8'}]}
";

// Push an image of two platforms as `tag`: the one of the digest `own`, and one for machines that are not here. A signature
// refers to it.
async fn push_index(stack: &Stack, own: &str, tag: &str) -> Digest {
    let (registry, repository) = (stack.registry().await, stack.repository.as_str());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("blob");
    let blob = async |kind: &str, content: &str| {
        let digest = Digest::sha256(content.as_bytes());
        std::fs::write(&file, content).unwrap();
        let pushed = registry.push_blob(repository, digest.as_str(), &file);
        pushed.await.unwrap();
        Descriptor::new(kind, &digest, content.len() as u64)
    };
    let config = blob(CONFIG, r#"{"architecture": "s390x", "os": "linux"}"#).await;
    let other = Manifest::new(config, vec![blob(LAYER, "a layer").await]);
    let pushed = registry.push_manifest(repository, &other, None);
    let other = pushed.await.unwrap();
    let mut manifests = Vec::new();
    for (digest, architecture) in [(own, oci::architecture()), (other.as_str(), "s390x")] {
        let manifest = registry.manifest(repository, digest).await.unwrap();
        let manifest = manifest.expect("it was pushed");
        let size = manifest.bytes.len() as u64;
        let entry = Descriptor::new(&manifest.media_type, &manifest.digest, size);
        let platform = Platform {
            architecture: architecture.into(),
            os: "linux".into(),
            variant: None,
        };
        manifests.push(Descriptor {
            platform: Some(platform),
            ..entry
        });
    }
    let index = Index {
        schema_version: 2,
        media_type: INDEX.into(),
        manifests,
        annotations: BTreeMap::new(),
    };
    let index = RawManifest::new(INDEX, serde_json::to_vec(&index).unwrap());
    registry.tag(repository, tag, &index).await.unwrap();
    let signature = blob("text/plain", "a signature").await;
    let mut signature = Manifest::new(blob(EMPTY, "{}").await, vec![signature]);
    signature.artifact_type = Some("application/vnd.example.signature".into());
    let size = index.bytes.len() as u64;
    signature.subject = Some(Descriptor::new(INDEX, &index.digest, size));
    let pushed = registry.push_manifest(repository, &signature, None);
    pushed.await.unwrap();
    index.digest
}

// A step that deploys `image` of a registry.
fn without_docker(stack: &Stack, image: &str, manifests: &str) -> FakeRunner {
    let step = stack.step("x:one", manifests).input("image", image);
    step.env("DOCKER_HOST", "unix:///nonexistent.sock")
}

// Deploy `image`, which has this digest, from another registry with a login of its own: it is streamed.
async fn from_another_registry(stack: &Stack, image: &str, digest: &str) {
    let repository = &stack.repository;
    let other = stack.registry_front([0, 0, 0, 0]).await;
    let source = format!("{LOGIN_SERVER}:{}/{image}", other.address().port());
    let streamed = format!("{repository}-streamed-{}", std::process::id());
    let manifests = stack.manifests(80, "", "").replace(
        &format!("image: {repository}:"),
        &format!("image: {streamed}:"),
    );
    let login = stack.login().await;
    let step = |password: &str| {
        let step = without_docker(stack, &source, &manifests).input("repository", &streamed);
        step.input("source-username", &login.username)
            .input("source-password", password)
    };
    let ran = run(step("not-the-password")).await;
    assert_eq!(
        (ran.code, ran.output("result")),
        (2, "error"),
        "{}",
        ran.log
    );
    let problem = format!(
        "failed to look up `{source}`; set `source-username` and `source-password` if the registry requires them"
    );
    assert!(ran.error().contains(&problem), "{}", ran.error());

    // A replica of a registry of Azure may get it a moment later.
    let unknown = r#"{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest tagged by one is not found"}]}"#;
    let manifest = format!("GET /v2/{repository}/manifests/one");
    other.expect(Fault::new(&manifest, 404, unknown));
    let ran = run(step(&login.password)).await;
    assert_eq!((ran.code, ran.output("digest")), (0, digest), "{}", ran.log);
    let late = format!("{source} is not in the registry yet; next attempt in 1s");
    assert!(ran.log.contains(&late), "{}", ran.log);
    assert_eq!(
        ran.output("image"),
        format!("{LOGIN_SERVER}/{streamed}@{digest}")
    );
    let copied = "; of the layers and configurations, 0 were there, 0 were mounted, and ";
    assert!(ran.log.contains(copied), "{}", ran.log);
    assert!(!ran.log.contains("and 0 bytes"), "{}", ran.log);
    assert_eq!(get(ran.output("url")).await["commit"], "one");
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn an_image_of_the_registry_is_deployed_and_promoted_without_docker() {
    let stack = Stack::new("images").await;
    let repository = &stack.repository;
    let image = stack.build("one", "well").await;
    let manifests = stack.manifests(80, "", "");
    let pushed = run(stack.step(&image, &manifests)).await;
    assert_eq!(pushed.code, 0, "{}", pushed.log);
    let (pinned, digest) = (pushed.output("image"), pushed.output("digest"));

    let without_docker = |image: &str, manifests: &str| without_docker(&stack, image, manifests);
    let tagged = format!("{LOGIN_SERVER}/{image}");
    let by_digest = format!("{repository}@{digest}");
    for image in [pinned, &tagged, &by_digest] {
        let ran = run(without_docker(image, &manifests)).await;
        assert_eq!((ran.code, ran.output("image")), (0, pinned), "{}", ran.log);
        assert!(ran.log.contains("is in the registry"), "{}", ran.log);
        assert!(
            ran.log.contains("applied Deployment/app (unchanged)"),
            "{}",
            ran.log
        );
        assert!(!ran.log.contains("the tag `latest`"), "{}", ran.log);
    }

    // An earlier version, by a run for a later commit.
    let later = "0123456789abcdef0123456789abcdef01234567";
    let step = without_docker(pinned, &manifests).input("expect-commit", "");
    let ran = run(step.env("GITHUB_SHA", later)).await;
    assert_eq!((ran.code, ran.output("image")), (0, pinned), "{}", ran.log);
    assert!(ran.log.contains("may be of another commit"), "{}", ran.log);

    let absent = format!("{LOGIN_SERVER}/{repository}:absent");
    let ran = run(without_docker(&absent, &manifests)).await;
    assert_eq!(ran.code, 3, "{}", ran.log);
    assert_eq!(
        ran.error(),
        format!("azure-deploy: input `image`: neither Docker nor the registry has `{absent}`")
    );

    // From the repository of staging to that of production.
    let production = format!("{repository}-production-{}", std::process::id());
    let of_production = manifests.replace(
        &format!("image: {repository}:"),
        &format!("image: {production}:"),
    );
    let step = |image: &str| {
        let step = without_docker(image, &of_production);
        step.input("repository", &production)
    };
    let ran = run(step(&tagged)).await;
    assert_eq!((ran.code, ran.output("digest")), (0, digest), "{}", ran.log);
    assert_eq!(
        ran.output("image"),
        format!("{LOGIN_SERVER}/{production}@{digest}")
    );
    assert!(
        ran.log.contains("1 manifest with 0 referrers"),
        "{}",
        ran.log
    );
    assert!(
        ran.log.contains("mounted, and 0 bytes were transferred"),
        "{}",
        ran.log
    );
    assert!(!ran.log.contains(" 0 were mounted"), "{}", ran.log);
    assert_eq!(get(ran.output("url")).await["commit"], "one");
    let again = run(step(&tagged)).await;
    assert_eq!(again.code, 0, "{}", again.log);
    assert!(
        again.log.contains(" 0 were mounted, and 0 bytes"),
        "{}",
        again.log
    );

    // An image of two platforms, with what refers to it.
    let index = push_index(&stack, digest, "both").await;
    let both = format!("{LOGIN_SERVER}/{repository}:both");
    let ran = run(step(&both)).await;
    assert_eq!(
        (ran.code, ran.output("digest")),
        (0, index.as_str()),
        "{}",
        ran.log
    );
    let copied = "4 manifests with 1 referrer; of the layers and configurations, ";
    assert!(ran.log.contains(copied), "{}", ran.log);
    let mounted = " 4 were mounted, and 0 bytes were transferred";
    assert!(ran.log.contains(mounted), "{}", ran.log);
    let referrers = stack.registry().await.referrers(&production, &index).await;
    assert_eq!(referrers.unwrap().len(), 1);

    from_another_registry(&stack, &image, digest).await;
    stack.forget(&[&image]).await;
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn several_images_are_deployed_and_pods_get_a_secret_to_pull_with() {
    let stack = Stack::new("several").await;
    let repository = &stack.repository;
    let image = stack.build("one", "well").await;
    let side = format!("{repository}-side:one");
    stack.tag(&image, &side).await;
    let container = format!(
        "      - {{name: side, image: '{repository}-side:placeholder', command: [sleep, '600']}}\n"
    );
    // Somebody else's application is there already, and comes first.
    let redis = REDIS.replace("NAMESPACE", &stack.namespace);
    stack.kubectl(&["create", "namespace", &stack.namespace]);
    stack.kubectl_with("create", &redis);
    let manifests = format!("{redis}---\n{}", stack.manifests(80, "", &container));
    let step = stack.step_without_azure(&image).await;
    let step = step
        .file("k8s/app.yaml", &manifests)
        .input("expect-commit", "one")
        .input("also-deploy", &side)
        .input("image-pull-secret", "pull");
    let ran = run(step).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let pod = stack.spec("deployment/app")["template"]["spec"].clone();
    let image_of = |n: usize| pod["containers"][n]["image"].as_str().unwrap().to_owned();
    assert_eq!(image_of(0), ran.output("image"));
    assert_eq!(ran.output("previous-image"), "");
    let pinned = format!("{LOGIN_SERVER}/{repository}-side@sha256:");
    assert!(image_of(1).starts_with(&pinned), "{pod}");
    assert_eq!(
        pod["imagePullSecrets"],
        serde_json::json!([{"name": "pull"}])
    );
    let kind = ["get", "secret", "pull", "--output=jsonpath={.type}"];
    assert_eq!(stack.kubectl(&kind), "kubernetes.io/dockerconfigjson");
    stack.forget(&[&image, &side]).await;
}
