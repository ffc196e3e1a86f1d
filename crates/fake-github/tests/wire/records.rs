//! The artifact metadata of an organization.

use fake_github::{Access, GitHub, Options};
use reqwest::Response;
use serde_json::{Value, json};

use super::{TOKEN, client, refused};

const METADATA: &str = "/orgs/octo-org/artifacts/metadata";

async fn post(server: &GitHub, path: &str, body: &Value) -> Response {
    let url = format!("{}{METADATA}{path}", server.url());
    let request = client().post(url).bearer_auth(TOKEN).json(body);
    request.send().await.unwrap()
}

fn digest(digit: char) -> String {
    format!("sha256:{}", String::from(digit).repeat(64))
}

fn deployment(name: &str, digit: char) -> Value {
    json!({
        "name": "ghcr.io/octo-org/app", "digest": digest(digit), "status": "deployed",
        "deployment_name": name, "github_repository": "app",
    })
}

#[tokio::test]
async fn a_deployment_has_one_record_which_names_the_newest_image() {
    let server = GitHub::start(TOKEN).await.unwrap();
    let cluster = "/deployment-record/cluster/seaworthy";
    for digit in ['a', 'b'] {
        let body =
            json!({"logical_environment": "production", "deployments": [deployment("web", digit)]});
        let set = post(&server, cluster, &body).await;
        assert_eq!(set.status(), 200);
        let reply: Value = set.json().await.unwrap();
        assert_eq!(reply["deployment_records"][0]["digest"], digest(digit));
    }
    // The same by the API for one deployment.
    let mut one = deployment("web", 'c');
    one["logical_environment"] = "production".into();
    one["cluster"] = "seaworthy".into();
    one["return_records"] = false.into();
    let created = post(&server, "/deployment-record", &one).await;
    let reply: Value = created.json().await.unwrap();
    assert_eq!(reply, json!({"total_count": 1}));
    let records = server.deployment_records();
    let shown = records.iter().map(|record| &record["digest"]);
    assert_eq!(shown.collect::<Vec<_>>(), [&json!(digest('c'))]);
}

#[tokio::test]
async fn an_artifact_without_a_repository_is_unknown() {
    let server = GitHub::start(TOKEN).await.unwrap();
    let mut unknown = deployment("worker", 'b');
    unknown.as_object_mut().unwrap().remove("github_repository");
    let mut body = json!({
        "logical_environment": "production", "deployments": [deployment("web", 'a'), unknown],
    });
    let cluster = "/deployment-record/cluster/seaworthy";
    let all = post(&server, cluster, &body).await;
    assert_eq!(refused(all).await, (404, "Not Found".into()));
    body["partial_success"] = true.into();
    let partly = post(&server, cluster, &body).await;
    assert_eq!(partly.status(), 207);
    let reply: Value = partly.json().await.unwrap();
    assert_eq!(reply["total_count"], 1);
    assert_eq!(reply["errors"][0]["cause"], "not_found");
    assert_eq!(reply["errors"][0]["deployment"], unknown);
}

#[tokio::test]
async fn a_storage_record_needs_the_address_of_a_registry() {
    let server = GitHub::start(TOKEN).await.unwrap();
    let mut record = json!({
        "name": "ghcr.io/octo-org/app", "digest": digest('a'), "registry_url": "http://ghcr.io",
        "github_repository": "app",
    });
    let (status, message) = refused(post(&server, "/storage-record", &record).await).await;
    assert_eq!(status, 422);
    assert!(message.contains("registry_url"), "{message}");
    record["registry_url"] = "https://ghcr.io".into();
    assert_eq!(
        post(&server, "/storage-record", &record).await.status(),
        200
    );
    assert_eq!(server.storage_records(), [record]);
}

#[tokio::test]
async fn records_need_a_permission_and_an_organization() {
    let record = json!({
        "name": "ghcr.io/octo-org/app", "digest": digest('a'), "registry_url": "https://ghcr.io",
        "github_repository": "app",
    });
    let of_app = || Options::new(TOKEN).repository("octo-org/app");
    let table = [
        (of_app(), 200),
        (
            of_app().permissions(&[("artifact-metadata", Access::Write)]),
            200,
        ),
        (
            of_app().permissions(&[("artifact-metadata", Access::Read)]),
            403,
        ),
        (of_app().of_user(), 404),
        (Options::new(TOKEN).repository("hubot/app"), 404),
    ];
    for (options, status) in table {
        let shown = format!("{options:?}");
        let address = ([127, 0, 0, 1], 0).into();
        let server = GitHub::with(address, options).await.unwrap();
        let response = post(&server, "/storage-record", &record).await;
        assert_eq!(response.status(), status, "{shown}");
    }
}
