//! Jobs of one matrix, and steps of one job: none replaces what another published.

use std::collections::BTreeSet;

use fake_github::GitHub;
use testkit::FakeRunner;

use crate::github::{pull_request, with_github};

/// What a run of the step `change` has published: its category, and how many comments and correlators there are.
async fn publish(
    server: &GitHub,
    change: impl FnOnce(FakeRunner) -> FakeRunner,
) -> (String, usize, usize) {
    let ran = with_github(server, |step| {
        change(pull_request(step.input("dependency-snapshot", "true")))
    })
    .await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let uploads = server.uploads();
    let id = &uploads.last().unwrap()["sarif"]["runs"][0]["automationDetails"]["id"];
    let correlators = server.snapshots().into_iter();
    let correlators: BTreeSet<_> = correlators
        .map(|snapshot| snapshot["job"]["correlator"].to_string())
        .collect();
    let id = id.as_str().unwrap().to_owned();
    (id, server.comments().len(), correlators.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_leg_of_a_matrix_has_its_own_category_comment_and_snapshot() {
    let server = GitHub::start("t").await.unwrap();
    let legs = [
        ("null", "", 1),
        (
            r#"{"python": "3.12", "arch": "arm64"}"#,
            "/arch:arm64/python:3.12",
            2,
        ),
        (
            r#"{"python": "3.13", "arch": "arm64"}"#,
            "/arch:arm64/python:3.13",
            3,
        ),
        // The same leg again.
        (
            r#"{"arch": "arm64", "python": "3.13"}"#,
            "/arch:arm64/python:3.13",
            3,
        ),
    ];
    for (matrix, leg, published) in legs {
        let expected = format!(".github/workflows/ci.yml:scan{leg}/image/app/");
        let found = publish(&server, |step| step.input("matrix", matrix)).await;
        assert_eq!(found, (expected, published, published), "{matrix}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_category_of_all_legs_is_told_apart() {
    let server = GitHub::start("t").await.unwrap();
    let leg = r#"{"image": "web"}"#;
    for (category, expected) in [("scan", "scan/image:web/"), ("scan-web", "scan-web/")] {
        let step = |step: FakeRunner| step.input("matrix", leg).input("category", category);
        assert_eq!(publish(&server, step).await.0, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_steps_of_one_job_have_two_comments_and_snapshots() {
    let server = GitHub::start("t").await.unwrap();
    let steps = [
        ("__octo-org_seaworthy", 1),
        ("__octo-org_seaworthy_2", 2),
        ("weekly", 3),
    ];
    for (name, published) in steps {
        let (_, comments, snapshots) =
            publish(&server, |step| step.env("GITHUB_ACTION", name)).await;
        assert_eq!((comments, snapshots), (published, published), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chosen_platform_has_its_own_category() {
    let server = GitHub::start("t").await.unwrap();
    for platform in ["linux/amd64", "linux/arm64"] {
        let expected = format!(".github/workflows/ci.yml:scan/image/app/{platform}/");
        let (category, ..) = publish(&server, |step| step.input("platform", platform)).await;
        assert_eq!(category, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_category_that_another_step_of_the_job_has_is_a_warning() {
    let server = GitHub::start("t").await.unwrap();
    let url = server.url();
    let ran = tokio::task::spawn_blocking(move || {
        let step = crate::step::step()
            .input("token", "t")
            .env("GITHUB_API_URL", &url)
            .env("GITHUB_ACTION", "one");
        let (first, again) = (step.run(), step.run());
        let step = step.env("GITHUB_ACTION", "two");
        let second = step.run();
        let own = step
            .env("GITHUB_ACTION", "three")
            .input("category", "three");
        [first, again, second, own.run()]
    });
    let warning = "::warning::another step of this job has uploaded to the category .github/workflows/ci.yml:scan/image/app too, and this upload replaces its findings; give each of the two steps its own `category`";
    for (ran, is_warned) in ran.await.unwrap().iter().zip([false, false, true, false]) {
        assert_eq!(ran.code, 0, "{}", ran.log);
        assert_eq!(ran.log.contains(warning), is_warned, "{}", ran.log);
    }
}

#[test]
fn a_matrix_that_is_not_an_object_is_invalid() {
    let ran = crate::step::step().input("matrix", "ubuntu").run();
    assert_eq!(ran.code, 3, "{}", ran.log);
    assert!(
        ran.error()
            .contains("input `matrix`: is not a JSON object; pass `${{ toJSON(matrix) }}`"),
        "{}",
        ran.error()
    );
}
