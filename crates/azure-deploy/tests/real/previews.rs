//! Previews of pull requests: their own namespace, their comment, their end.

use fake_github::GitHub;
use serde_json::json;
use testkit::FakeRunner;

use crate::stack::{Stack, get, run};

const TOKEN: &str = "github-token";

fn of_pull_request(step: FakeRunner, github: &GitHub, number: u64, action: &str) -> FakeRunner {
    let event = json!({"action": action, "number": number, "pull_request": {"number": number}});
    let step = step.file("event.json", &event.to_string());
    let path = step.workspace().join("event.json");
    step.env("GITHUB_EVENT_PATH", &path.to_string_lossy())
        .env("GITHUB_EVENT_NAME", "pull_request")
        .env("GITHUB_API_URL", &github.url())
        .input("token", TOKEN)
}

async fn step(
    stack: &Stack,
    github: &GitHub,
    number: u64,
    image: &str,
    action: &str,
) -> FakeRunner {
    let step = stack.step_without_azure(image).await;
    let step = step.file("k8s/app.yaml", &stack.manifests(80, "", ""));
    of_pull_request(step, github, number, action)
        .input("namespace", &stack.namespace)
        .input("preview", "true")
        .input("expect-commit", image.split(':').nth(1).unwrap())
}

// The text of the one comment there is.
fn only_comment(github: &GitHub) -> String {
    let comments = github.comments();
    assert_eq!(comments.len(), 1, "{comments:?}");
    comments.into_iter().next().unwrap()
}

// A namespace as an earlier run may have left it.
fn left(stack: &Stack, name: &str, annotations: &[&str]) {
    stack.kubectl(&["create", "namespace", name]);
    let label = ["label", "namespace", name, "seaworthy/preview=pr-1"];
    stack.kubectl(&label);
    if !annotations.is_empty() {
        stack.kubectl(&[&["annotate", "namespace", name], annotations].concat());
    }
}

// Whether it exists, and is not going.
fn is_there(stack: &Stack, namespace: &str) -> bool {
    let output = "jsonpath={.metadata.name}{.metadata.deletionTimestamp}";
    let args = ["get", "namespace", namespace, "--ignore-not-found"];
    stack.kubectl(&[&args[..], &["--output", output]].concat()) == namespace
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn a_preview_has_its_own_namespace_until_its_pull_request_is_closed() {
    let stack = Stack::new("preview").await;
    let github = GitHub::start(TOKEN).await.unwrap();
    let base = &stack.namespace;
    let number = github.pull_request(
        "A change",
        "change",
        "0123456789abcdef0123456789abcdef01234567",
        "main",
    );
    let one = stack.build("one", "well").await;
    let crash = stack.build("two", "crash").await;
    let step = async |image: &str, action: &str| step(&stack, &github, number, image, action).await;
    let overdue = format!("{base}-overdue");
    let of_another = format!("{base}-another");
    let unmarked = format!("{base}-unmarked");
    let past = "seaworthy/preview-expires=2026-01-01T00:00:00Z";
    left(
        &stack,
        &overdue,
        &["seaworthy/preview-of=octo-org/app", past],
    );
    left(
        &stack,
        &of_another,
        &["seaworthy/preview-of=octo-org/other", past],
    );
    left(&stack, &unmarked, &[]);

    let ran = run(step(&one, "opened").await).await;
    assert_eq!(
        (ran.code, ran.output("result")),
        (0, "deployed"),
        "{}",
        ran.log
    );
    let namespace = format!("{base}-pr-{number}");
    let url = ran.output("url").to_owned();
    assert_eq!(get(&url).await["commit"], "one");
    assert!(is_there(&stack, &namespace) && !is_there(&stack, base));
    assert!(!ran.log.contains("moved the tag"), "{}", ran.log);
    let comment = only_comment(&github);
    for text in [
        &*url,
        "Deployed, and healthy.",
        &*namespace,
        ran.output("digest"),
    ] {
        assert!(comment.contains(text), "{text}: {comment}");
    }
    // Only what this action made for this repository, and only after its deadline.
    assert!(!is_there(&stack, &overdue));
    assert!(is_there(&stack, &of_another) && is_there(&stack, &unmarked));

    // The next commit fails, and the preview has the last good one.
    let ran = run(step(&crash, "synchronize").await).await;
    assert_eq!(
        (ran.code, ran.output("rolled-back")),
        (1, "true"),
        "{}",
        ran.log
    );
    assert_eq!(get(&url).await["commit"], "one");
    let comment = only_comment(&github);
    assert!(
        comment.contains("The new version is unhealthy"),
        "{}",
        comment
    );

    // The image need not be there any more.
    let closed = step(&format!("{}:gone", stack.repository), "closed").await;
    let ran = run(closed.input("manifests", "absent")).await;
    assert_eq!(
        (ran.code, ran.output("result")),
        (0, "removed"),
        "{}",
        ran.log
    );
    assert!(!is_there(&stack, &namespace));
    let comment = only_comment(&github);
    assert!(comment.contains("the preview is removed"), "{}", comment);
    stack.kubectl(&[
        "wait",
        "--for=delete",
        &format!("namespace/{namespace}"),
        "--timeout=120s",
    ]);
    let again = run(step(&one, "closed").await).await;
    assert_eq!(
        (again.code, again.output("result")),
        (0, "removed"),
        "{}",
        again.log
    );

    stack.kubectl(&[
        "delete",
        "namespace",
        "--wait=false",
        &of_another,
        &unmarked,
    ]);
    stack.forget(&[&one, &crash]).await;
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn what_is_not_the_previews_own_is_neither_changed_nor_removed() {
    let stack = Stack::new("preview-own").await;
    let github = GitHub::start(TOKEN).await.unwrap();
    let one = stack.build("one", "well").await;
    let unmarked = format!("{}-unmarked", stack.namespace);
    left(&stack, &unmarked, &[]);
    let manifests = stack.manifests(80, "", "");
    let role =
        "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: app}\n";
    let shared = step(&stack, &github, 7, &one, "synchronize").await;
    let ran = run(shared.file("k8s/app.yaml", &format!("{manifests}{role}"))).await;
    assert_eq!(ran.code, 3, "{}", ran.log);
    let problem = "`ClusterRole/app` in document 4 of `k8s/app.yaml` is in no namespace, so that a preview would change it for everything in the cluster";
    assert!(ran.error().contains(problem), "{}", ran.error());

    // A namespace that is not this preview's is neither used nor removed.
    for action in ["synchronize", "closed"] {
        let foreign = step(&stack, &github, 7, &one, action)
            .await
            .input("preview", "unmarked");
        let ran = run(foreign).await;
        assert_eq!(ran.code, 3, "{}", ran.log);
        let problem = format!(
            "input `preview`: the namespace `{unmarked}` exists, and is not one that this action created for the preview `unmarked` of this repository"
        );
        assert!(ran.error().contains(&problem), "{}", ran.error());
        assert!(is_there(&stack, &unmarked));
    }

    stack.kubectl(&["delete", "namespace", "--wait=false", &unmarked]);
    stack.forget(&[&one]).await;
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn a_run_by_a_schedule_removes_what_is_overdue_and_nothing_else() {
    let stack = Stack::new("preview-night").await;
    let overdue = format!("{}-overdue", stack.namespace);
    let fresh = format!("{}-fresh", stack.namespace);
    // Of a repository that no other test is about: each run removes what is overdue of its own.
    let repository = format!("octo-org/{}", stack.namespace);
    let of = format!("seaworthy/preview-of={repository}");
    for (name, time) in [(&overdue, "2026-01-01"), (&fresh, "2099-01-01")] {
        let expires = format!("seaworthy/preview-expires={time}T00:00:00Z");
        left(&stack, name, &[&of, &expires]);
    }
    // Neither the image nor the manifests need be there.
    let step = async || {
        let step = stack.step_without_azure("app:gone").await;
        step.env("GITHUB_EVENT_NAME", "schedule")
            .env("GITHUB_REPOSITORY", &repository)
            .input("manifests", "absent")
            .input("preview", "true")
    };
    let ran = run(step().await).await;
    assert_eq!(
        (ran.code, ran.output("result")),
        (0, "removed"),
        "{}",
        ran.log
    );
    assert!(!is_there(&stack, &overdue) && is_there(&stack, &fresh));
    assert!(ran.summary.contains(&overdue), "{}", ran.summary);
    let gone = format!("namespace/{overdue}");
    stack.kubectl(&["wait", "--for=delete", &gone, "--timeout=120s"]);
    let again = run(step().await).await;
    assert_eq!(again.code, 0, "{}", again.log);
    assert!(
        again.log.contains("no preview's deadline has passed"),
        "{}",
        again.log
    );
    stack.kubectl(&["delete", "namespace", "--wait=false", &fresh]);
}
