//! Images that are in a registry already, and several images in one deployment.

use crate::stack::{LOGIN_SERVER, REPOSITORY, Stack, get, run};

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn an_image_of_the_registry_is_deployed_and_promoted_without_docker() {
    let stack = Stack::new("images").await;
    let image = stack.build("one", "well").await;
    let manifests = stack.manifests(80, "", "");
    let pushed = run(stack.step(&image, &manifests)).await;
    assert_eq!(pushed.code, 0, "{}", pushed.log);
    let (pinned, digest) = (pushed.output("image"), pushed.output("digest"));

    let without_docker = |image: &str, manifests: &str| {
        let step = stack.step("x:one", manifests).input("image", image);
        step.env("DOCKER_HOST", "unix:///nonexistent.sock")
    };
    let tagged = format!("{LOGIN_SERVER}/{image}");
    let by_digest = format!("{REPOSITORY}@{digest}");
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

    let absent = format!("{LOGIN_SERVER}/{REPOSITORY}:absent");
    let ran = run(without_docker(&absent, &manifests)).await;
    assert_eq!(ran.code, 3, "{}", ran.log);
    assert_eq!(
        ran.error(),
        format!("azure-deploy: input `image`: neither Docker nor the registry has `{absent}`")
    );

    // From the repository of staging to that of production.
    let production = format!("{REPOSITORY}-production-{}", std::process::id());
    let of_production = manifests.replace(
        &format!("image: {REPOSITORY}:"),
        &format!("image: {production}:"),
    );
    let step = || without_docker(&tagged, &of_production).input("repository", &production);
    let ran = run(step()).await;
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
    let again = run(step()).await;
    assert_eq!(again.code, 0, "{}", again.log);
    assert!(
        again.log.contains(" 0 were mounted, and 0 bytes"),
        "{}",
        again.log
    );
    stack.forget(&[&image]).await;
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn several_images_are_deployed_and_pods_get_a_secret_to_pull_with() {
    let stack = Stack::new("several").await;
    let image = stack.build("one", "well").await;
    let side = format!("{REPOSITORY}-side:one");
    stack.tag(&image, &side).await;
    let container = format!(
        "      - {{name: side, image: '{REPOSITORY}-side:placeholder', command: [sleep, '600']}}\n"
    );
    let manifests = stack.manifests(80, "", &container);
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
    let pinned = format!("{LOGIN_SERVER}/{REPOSITORY}-side@sha256:");
    assert!(image_of(1).starts_with(&pinned), "{pod}");
    assert_eq!(
        pod["imagePullSecrets"],
        serde_json::json!([{"name": "pull"}])
    );
    let kind = ["get", "secret", "pull", "--output=jsonpath={.type}"];
    assert_eq!(stack.kubectl(&kind), "kubernetes.io/dockerconfigjson");
    stack.forget(&[&image, &side]).await;
}
