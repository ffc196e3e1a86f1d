//! Comments, issues, pull requests, deployments, snapshots.

use fake_github::{Access, Account, GitHub, Options};
use reqwest::Method;
use serde_json::json;

use super::{TOKEN, call, get, post, refused};

#[tokio::test]
async fn a_comment_is_written_found_and_changed() {
    let server = GitHub::start(TOKEN).await.unwrap();
    let pull = server.pull_request("A change", "topic", &"a".repeat(40), "main");
    let comments = format!("/issues/{pull}/comments");
    let written = post(&server, &comments, json!({"body": "one"})).await;
    let id = &written["id"];
    let one = format!("/issues/comments/{id}");
    let changed = call(&server, Method::PATCH, &one, Some(json!({"body": "two"}))).await;
    assert_eq!(changed.status(), 200);
    assert_eq!(get(&server, &comments).await[0]["body"], "two");
    assert_eq!(get(&server, &one).await["id"], *id);
    assert_eq!(server.comments(), ["two"]);
}

#[tokio::test]
async fn what_the_schema_does_not_describe_is_refused_in_githubs_words() {
    let server = GitHub::start(TOKEN).await.unwrap();
    let long = "x".repeat(65_537);
    let table = [
        ("/issues/1/comments", json!({}), "\"body\" wasn't supplied."),
        ("/issues/1/comments", json!({"body": 7}), "properties/body"),
        ("/issues/1/comments", json!({"body": long}), "Validation"),
        (
            "/issues",
            json!({"body": "b"}),
            "\"title\" wasn't supplied.",
        ),
        ("/deployments", json!({}), "\"ref\" wasn't supplied."),
    ];
    for (path, body, message) in table {
        let response = call(&server, Method::POST, path, Some(body)).await;
        let (status, said) = refused(response).await;
        assert_eq!(status, 422, "{path}: {said}");
        assert!(said.contains(message), "{path}: {said}");
    }
}

#[tokio::test]
async fn an_issue_is_opened_labeled_and_closed() {
    let server = GitHub::start(TOKEN).await.unwrap();
    let issue = json!({"title": "Findings", "labels": ["security"]});
    let number = post(&server, "/issues", issue).await["number"].clone();
    let one = format!("/issues/{number}");
    let open = get(&server, "/issues?labels=security").await;
    assert_eq!(open[0]["labels"][0]["name"], "security");
    let change = json!({"state": "closed", "state_reason": "completed", "labels": ["done"]});
    let closed = call(&server, Method::PATCH, &one, Some(change)).await;
    assert_eq!(closed.status(), 200);
    assert_eq!(get(&server, "/issues").await, json!([]));
    let all = get(&server, "/issues?state=all&labels=done").await;
    assert_eq!(all[0]["state"], "closed");
}

#[tokio::test]
async fn a_deployment_goes_through_its_states() {
    let server = GitHub::start(TOKEN).await.unwrap();
    let deployment = json!({"ref": "main", "environment": "production", "required_contexts": []});
    let id = post(&server, "/deployments", deployment).await["id"].clone();
    let statuses = format!("/deployments/{id}/statuses");
    for state in ["in_progress", "success"] {
        post(&server, &statuses, json!({"state": state})).await;
    }
    let unknown = call(
        &server,
        Method::POST,
        &statuses,
        Some(json!({"state": "great"})),
    )
    .await;
    assert_eq!(unknown.status(), 422);
    let states = vec!["in_progress".into(), "success".into()];
    assert_eq!(server.deployments(), [("production".into(), states)]);
    assert_eq!(get(&server, "/deployments").await[0]["id"], id);
    // The newest first.
    assert_eq!(get(&server, &statuses).await[0]["state"], "success");
}

#[tokio::test]
async fn a_pull_request_is_found_by_its_branch() {
    let server = GitHub::start(TOKEN).await.unwrap();
    let number = server.pull_request("A change", "topic", &"a".repeat(40), "main");
    let found = get(&server, "/pulls?head=octo-org:topic").await;
    assert_eq!(found[0]["number"], number);
    assert_eq!(get(&server, "/pulls?head=octo-org:other").await, json!([]));
    let one = get(&server, &format!("/pulls/{number}")).await;
    assert_eq!(one["head"]["sha"], "a".repeat(40));
    assert_eq!(one["mergeable_state"], "clean");
    let none = call(&server, Method::GET, "/pulls/99", None).await;
    assert_eq!(refused(none).await, (404, "Not Found".into()));
}

#[tokio::test]
async fn a_snapshot_of_the_dependencies_is_taken() {
    let server = GitHub::start(TOKEN).await.unwrap();
    let snapshot = json!({
        "version": 0, "sha": "a".repeat(40), "ref": "refs/heads/main",
        "job": {"id": "1", "correlator": "scan"},
        "detector": {"name": "trivy", "version": "1", "url": "https://trivy.dev"},
        "scanned": "2026-01-01T00:00:00Z",
        "manifests": {"image": {"name": "image", "resolved": {
            "openssl": {"package_url": "pkg:deb/debian/openssl@3.0.1"},
        }}},
    });
    let made = post(&server, "/dependency-graph/snapshots", snapshot.clone()).await;
    assert_eq!(made["result"], "SUCCESS");
    assert_eq!(server.snapshots(), [snapshot]);
    let nothing = call(
        &server,
        Method::POST,
        "/dependency-graph/snapshots",
        Some(json!({})),
    )
    .await;
    assert_eq!(nothing.status(), 422);
}

#[tokio::test]
async fn lists_come_in_pages_with_links() {
    let server = GitHub::start(TOKEN).await.unwrap();
    for at in 0..5 {
        post(
            &server,
            "/issues/1/comments",
            json!({"body": format!("{at}")}),
        )
        .await;
    }
    let page = call(
        &server,
        Method::GET,
        "/issues/1/comments?per_page=2&page=2",
        None,
    )
    .await;
    let link = page.headers()["link"].to_str().unwrap().to_owned();
    for (name, number) in [("prev", 1), ("next", 3), ("first", 1), ("last", 3)] {
        let expected = format!("per_page=2&page={number}>; rel=\"{name}\"");
        assert!(link.contains(&expected), "{link}");
    }
    for name in ["limit", "remaining", "used", "reset", "resource"] {
        let name = format!("x-ratelimit-{name}");
        assert!(page.headers().contains_key(&name), "{name}");
    }
    assert!(page.headers().contains_key("x-github-request-id"));
}

#[tokio::test]
async fn a_token_does_what_its_permissions_say() {
    let options = Options::new(TOKEN)
        .repository("octo-org/app")
        .permissions(&[("issues", Access::Read)]);
    let server = GitHub::with(([127, 0, 0, 1], 0).into(), options)
        .await
        .unwrap();
    assert_eq!(get(&server, "/issues").await, json!([]));
    let response = call(
        &server,
        Method::POST,
        "/issues",
        Some(json!({"title": "t"})),
    )
    .await;
    let accepted = response.headers()["x-accepted-github-permissions"].clone();
    assert_eq!(accepted, "issues=write");
    let (status, said) = refused(response).await;
    assert_eq!(
        (status, said.as_str()),
        (403, "Resource not accessible by integration")
    );
    let other = format!("{}/repos/octo-org/other/issues", server.url());
    let other = super::client().get(other).bearer_auth(TOKEN);
    assert_eq!(other.send().await.unwrap().status(), 404);
    let anonymous = super::client().get(format!("{}/repos/octo-org/app", server.url()));
    assert_eq!(anonymous.send().await.unwrap().status(), 401);
    assert_eq!(get(&server, "").await["full_name"], "octo-org/app");
}

#[tokio::test]
async fn an_app_is_known_to_graphql_alone() {
    let table = [
        (Account::default(), 403),
        (Account::bot("patcher[bot]", 10), 403),
        (Account::user("deployer", 11), 200),
    ];
    for (account, status) in table {
        let options = Options::new(TOKEN).account(account.clone());
        let address = ([127, 0, 0, 1], 0).into();
        let server = GitHub::with(address, options).await.unwrap();
        let url = |path: &str| format!("{}{path}", server.url());
        let user = super::client().get(url("/user")).bearer_auth(TOKEN);
        assert_eq!(user.send().await.unwrap().status(), status);
        let graphql = super::client().post(url("/graphql"));
        let anonymous = graphql.try_clone().unwrap().send().await.unwrap();
        assert_eq!(anonymous.status(), 401);
        let response = graphql.bearer_auth(TOKEN).send().await.unwrap();
        let viewer: serde_json::Value = response.json().await.unwrap();
        let expected = json!({"login": account.login, "databaseId": account.id});
        assert_eq!(viewer["data"]["viewer"], expected);
    }
}
