//! The responses of Azure and the cluster, up to the first push.

use std::path::Path;

use fake_azure::{Azure, AzureConfig};
use testkit::{FakeDocker, FakeRunner, Fault, Ran};

use crate::{CLIENT, SUBSCRIPTION, TENANT, rejected, step};

fn signed_in(azure: &Azure, docker: &FakeDocker) -> FakeRunner {
    step()
        .input("authority-host", &azure.url())
        .input("resource-manager", &azure.url())
        .env("DOCKER_HOST", &docker.host())
        .env("ACTIONS_ID_TOKEN_REQUEST_URL", &azure.oidc_url())
        .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "oidc-request-token")
}

fn config() -> AzureConfig {
    AzureConfig::new(TENANT, CLIENT, SUBSCRIPTION)
}

async fn run(step: FakeRunner) -> Ran {
    tokio::task::spawn_blocking(move || step.run())
        .await
        .expect("the step runs")
}

#[tokio::test]
async fn without_the_right_to_a_token_the_permission_is_named() {
    let azure = Azure::start(config()).await.unwrap();
    let docker = FakeDocker::with("flask-app:1");
    let step = signed_in(&azure, &docker).env("ACTIONS_ID_TOKEN_REQUEST_URL", "");
    rejected(
        &run(step).await,
        "the job cannot get an OIDC token; add `permissions: id-token: write` to the job",
    );
    assert_eq!(azure.journal(), Vec::<String>::new());
}

#[tokio::test]
async fn a_run_that_the_application_does_not_trust_gets_the_values_to_set() {
    let mut config = config();
    config.run_subject = "repo:octo-org/app:ref:refs/heads/fix".into();
    let azure = Azure::start(config).await.unwrap();
    let docker = FakeDocker::with("flask-app:1");
    let ran = run(signed_in(&azure, &docker)).await;
    assert_eq!((ran.code, ran.output("result")), (2, "error"));
    let error = ran.error();
    let start = "azure-deploy: the application does not trust this run (AADSTS700213: No matching federated identity record found for presented assertion subject 'repo:octo-org/app:ref:refs/heads/fix'";
    let hint = "; add a federated credential with exactly these values: issuer `https://token.actions.githubusercontent.com`, subject `repo:octo-org/app:ref:refs/heads/fix`, audience `api://AzureADTokenExchange`";
    assert!(error.starts_with(start) && error.ends_with(hint), "{error}");
    let requests = azure.journal();
    assert!(!requests.iter().any(|line| line.contains("/subscriptions/")));
}

#[tokio::test]
async fn a_subject_with_immutable_ids_is_explained() {
    let mut config = config();
    config.run_subject = "repo:octo-org@123/app@456:environment:production".into();
    let azure = Azure::start(config).await.unwrap();
    let docker = FakeDocker::with("flask-app:1");
    let ran = run(signed_in(&azure, &docker)).await;
    assert_eq!((ran.code, ran.output("result")), (2, "error"));
    let error = ran.error();
    let hint = "subject `repo:octo-org@123/app@456:environment:production`, audience `api://AzureADTokenExchange`; the subject has the immutable IDs of the owner and the repository, which a credential for the names alone does not match";
    assert!(
        error.contains("AADSTS700213") && error.ends_with(hint),
        "{error}"
    );
}

#[tokio::test]
async fn an_application_without_a_federated_credential_gets_the_values_to_set() {
    let azure = Azure::start(config()).await.unwrap();
    let docker = FakeDocker::with("flask-app:1");
    // As Entra words it (learn.microsoft.com/entra/identity-platform/reference-error-codes), with the end that each message has.
    let body = format!(
        r#"{{"error": "invalid_client", "error_codes": [70025], "error_description": "AADSTS70025: The client '{CLIENT}' has no configured federated identity credentials. Trace ID: x Correlation ID: y Timestamp: 2026-01-01 00:00:00Z"}}"#
    );
    azure.expect(Fault::new("/oauth2/v2.0/token", 401, &body));
    let ran = run(signed_in(&azure, &docker)).await;
    assert_eq!((ran.code, ran.output("result")), (2, "error"));
    assert_eq!(
        ran.error(),
        format!(
            "azure-deploy: the application does not trust this run (AADSTS70025: The client '{CLIENT}' has no configured federated identity credentials); add a federated credential with exactly these values: issuer `https://token.actions.githubusercontent.com`, subject `repo:octo-org/app:environment:production`, audience `api://AzureADTokenExchange`"
        )
    );
}

#[tokio::test]
async fn errors_of_resource_manager_have_a_hint() {
    let rejection = |code: &str, message: &str| {
        format!(r#"{{"error": {{"code": "{code}", "message": "{message}"}}}}"#)
    };
    // Status, number of requests, body, the end of the error.
    let table = [
        (
            401,
            1,
            rejection("InvalidAuthenticationToken", "The access token is invalid."),
            "InvalidAuthenticationToken: The access token is invalid; the token was rejected: check that `resource-manager` belongs to this cloud",
        ),
        (
            403,
            1,
            rejection(
                "AuthorizationFailed",
                "no right to 'listClusterUserCredential/action'.",
            ),
            "AuthorizationFailed: no right to 'listClusterUserCredential/action'; give the identity a role with that right, on the resource or its group",
        ),
        (
            404,
            1,
            rejection(
                "ResourceNotFound",
                "The Resource 'seaworthy' was not found.",
            ),
            "ResourceNotFound: The Resource 'seaworthy' was not found; check its name, resource group and subscription, and that the identity may read it",
        ),
        (
            409,
            1,
            rejection("OperationNotAllowed", "The cluster is being upgraded."),
            "OperationNotAllowed: The cluster is being upgraded",
        ),
        (
            429,
            4,
            rejection("TooManyRequests", "The request is being throttled."),
            "TooManyRequests: The request is being throttled",
        ),
        (502, 4, "<html>".to_owned(), "502 Bad Gateway"),
    ];
    for (status, times, body, message) in table {
        let azure = Azure::start(config()).await.unwrap();
        let docker = FakeDocker::with("flask-app:1");
        for _ in 0..times {
            let fault = Fault::new("listClusterUserCredential", status, &body);
            azure.expect(fault.header("retry-after", "0"));
        }
        let ran = run(signed_in(&azure, &docker)).await;
        assert_eq!((ran.code, ran.output("result")), (2, "error"), "{status}");
        assert!(ran.error().ends_with(message), "{status}: {}", ran.error());
        let journal = azure.journal();
        let requests = journal
            .iter()
            .filter(|line| line.contains("listClusterUserCredential"));
        assert_eq!(requests.count(), times, "{status}");
    }
}

// An Azure whose cluster does not respond.
fn unreachable(directory: &Path) -> AzureConfig {
    let kubeconfig = directory.join("config");
    let closed = r#"{"clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1", "certificate-authority-data": ""}}]}"#;
    std::fs::write(&kubeconfig, closed).unwrap();
    let mut config = config();
    config.kubeconfig = Some(kubeconfig);
    config
}

#[tokio::test]
async fn an_unreachable_cluster_is_explained_and_no_token_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = unreachable(directory.path());
    config.authorized_ranges = vec!["203.0.113.0/24".into()];
    let azure = Azure::start(config).await.unwrap();
    let docker = FakeDocker::with("flask-app:1");
    let step = signed_in(&azure, &docker);
    let directory = step.directory().to_owned();
    let files = |directory: &Path| walk(directory).concat();
    let ran = tokio::task::spawn_blocking(move || {
        let ran = step.run();
        (ran, files(&directory))
    });
    let (ran, output) = ran.await.unwrap();
    assert_eq!((ran.code, ran.output("result")), (2, "error"));
    let error = ran.error();
    assert!(
        error.starts_with("azure-deploy: the cluster's API server `https://127.0.0.1:1` is unavailable: only 203.0.113.0/24 may reach it; add the runner's address to the authorized IP ranges, or use a runner inside them: "),
        "{error}"
    );
    assert!(error.contains("Connection refused"), "{error}");
    // The runner reads the masks and hides what they name.
    let output = output
        .lines()
        .filter(|line| !line.starts_with("::add-mask::"));
    let output: String = output.collect();
    for secret in ["cluster-token", "arm-2222", "oidc-request-token"] {
        assert!(
            ran.log.contains(&format!("::add-mask::{secret}")),
            "{secret}"
        );
        assert!(!output.contains(secret), "{secret}: {output}");
    }
}

#[tokio::test]
async fn a_private_cluster_is_named_with_the_ways_in() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = unreachable(directory.path());
    config.private = true;
    let azure = Azure::start(config).await.unwrap();
    let docker = FakeDocker::with("flask-app:1");
    let ran = run(signed_in(&azure, &docker)).await;
    let error = "azure-deploy: the cluster's API server `https://127.0.0.1:1` is unavailable: it is a private cluster; set `cluster-access: run-command`, or use a runner in its network: ";
    assert!(ran.error().starts_with(error), "{}", ran.error());
}

#[tokio::test]
async fn a_cluster_that_runs_no_commands_is_bad_input() {
    let mut config = config();
    config.run_command_disabled = true;
    let azure = Azure::start(config).await.unwrap();
    let docker = FakeDocker::with("flask-app:1");
    let step = signed_in(&azure, &docker).input("cluster-access", "run-command");
    rejected(
        &run(step).await,
        "input `cluster-access`: `run-command` is unavailable: the cluster `seaworthy` has run-command disabled; enable it (`az aks update --enable-run-command`) or use a runner in its network",
    );
}

#[tokio::test]
async fn a_missing_right_to_run_commands_is_named() {
    let mut config = config();
    config.denied = vec!["runcommand/action".into()];
    let azure = Azure::start(config).await.unwrap();
    let docker = FakeDocker::with("flask-app:1");
    let step = signed_in(&azure, &docker).input("cluster-access", "run-command");
    let ran = run(step).await;
    assert_eq!((ran.code, ran.output("result")), (2, "error"));
    let error = ran.error();
    assert!(
        error.contains("Microsoft.ContainerService/managedClusters/runcommand/action"),
        "{error}"
    );
    assert!(
        error.contains("; give the identity a role with that right"),
        "{error}"
    );
}

// All files in the runner's directory after the step: log, outputs, summary, workspace, temporary files.
fn walk(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap().flatten();
    entries
        .flat_map(|entry| {
            if entry.path().is_dir() {
                walk(&entry.path())
            } else {
                vec![std::fs::read_to_string(entry.path()).unwrap_or_default()]
            }
        })
        .collect()
}
