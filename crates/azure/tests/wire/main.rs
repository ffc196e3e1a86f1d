//! Entra and Resource Manager on the wire.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod hostile;
mod run_command;

use std::io::Write;
use std::sync::{Arc, Mutex};

use actions_toolkit::{Action, Context, Env, ExitStatus, Inputs, Log};
use azure::{AUDIENCE, Cloud, Credential, Entra, Identity, Nodes, ResourceManager, Scope};
use fake_azure::{Azure, AzureConfig};
use testkit::Fault;

const TENANT: &str = "11111111-1111-4111-8111-111111111111";
const CLIENT: &str = "22222222-2222-4222-8222-222222222222";
const SUBSCRIPTION: &str = "33333333-3333-4333-8333-333333333333";

static ACTION: Action = Action {
    name: "test",
    about: "",
    inputs: Vec::new,
    replaced: |_| None,
    outputs: &[],
    examples: &[],
};

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A run that has the right to OIDC tokens of `azure`, and its log.
fn run(azure: &Azure) -> (Context, Buffer) {
    let env = Env::from_pairs([
        ("ACTIONS_ID_TOKEN_REQUEST_URL", azure.oidc_url().as_str()),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "oidc-request-token"),
    ]);
    let inputs = Inputs::read(&ACTION, &[], &env).unwrap();
    let log = Buffer::default();
    let (_, stop) = tokio::sync::watch::channel(None);
    let ctx = Context::new(env, inputs, Log::to(true, false, log.clone()), stop);
    (ctx, log)
}

fn config() -> AzureConfig {
    AzureConfig::new(TENANT, CLIENT, SUBSCRIPTION)
}

fn cloud(azure: &Azure) -> Cloud {
    Cloud::new(&azure.url(), &azure.url(), AUDIENCE)
}

fn entra(ctx: &Context, azure: &Azure) -> Entra {
    Entra::new(ctx, &cloud(azure), TENANT, CLIENT, Credential::Federated).unwrap()
}

fn manager(ctx: &Context, azure: &Azure) -> ResourceManager {
    manager_of(&entra(ctx, azure), azure)
}

fn manager_of(entra: &Entra, azure: &Azure) -> ResourceManager {
    ResourceManager::new(entra, &cloud(azure), SUBSCRIPTION)
}

fn count(azure: &Azure, part: &str) -> usize {
    let journal = azure.journal();
    journal.iter().filter(|line| line.contains(part)).count()
}

#[tokio::test]
async fn each_request_for_a_token_has_a_new_assertion() {
    let azure = Azure::start(config()).await.unwrap();
    // The first request is lost on the way; what it carried may be too old for the second.
    azure.expect(Fault::new("/oauth2/v2.0/token", 503, "{}").header("retry-after", "0"));
    let (ctx, _) = run(&azure);
    let entra = entra(&ctx, &azure);
    for scope in [Scope::ResourceManager, Scope::Registry, Scope::Cluster] {
        entra.token(scope).await.unwrap();
    }
    assert_eq!(count(&azure, "/oauth2/v2.0/token"), 4);
    assert_eq!(count(&azure, "/oidc/token"), 4);
}

#[tokio::test]
async fn a_token_is_requested_once_in_its_lifetime_and_renewed_before_it_expires() {
    let mut config = config();
    config.token_life = 1;
    let azure = Azure::start(config).await.unwrap();
    let (ctx, _) = run(&azure);
    let entra = entra(&ctx, &azure);
    let token = async || entra.token(Scope::ResourceManager).await.unwrap();
    let first = token().await;
    let (one, two) = tokio::join!(token(), entra.token(Scope::Registry));
    two.unwrap();
    assert_eq!(one.expose(), first.expose());
    assert_eq!(count(&azure, "/oauth2/v2.0/token"), 2);

    // In the last quarter of its life it is renewed; an Entra that is unavailable then is no problem yet.
    azure.expect(Fault::new("/oauth2/v2.0/token", 400, "{}"));
    let mut seen = Vec::new();
    let manager = manager_of(&entra, &azure);
    while seen.len() < 3 {
        manager.cluster("seaworthy", "seaworthy").await.unwrap();
        let token = token().await.expose().to_owned();
        if !seen.contains(&token) {
            seen.push(token);
        }
    }
    assert_eq!(count(&azure, "/oauth2/v2.0/token"), 5);
}

#[tokio::test]
async fn a_rejection_by_entra_shows_what_the_run_presented() {
    let mut config = config();
    config.run_subject = "repo:octo-org/app:ref:refs/heads/fix".into();
    let azure = Azure::start(config).await.unwrap();
    let (ctx, _) = run(&azure);
    let error = entra(&ctx, &azure)
        .token(Scope::Registry)
        .await
        .unwrap_err();
    let shown = "issuer `https://token.actions.githubusercontent.com`, subject `repo:octo-org/app:ref:refs/heads/fix`, audience `api://AzureADTokenExchange`";
    assert!(error.to_string().ends_with(shown), "{error:#}");
    assert_eq!(ExitStatus::from_error(&error).code(), 2);
}

#[tokio::test]
async fn a_wrong_client_secret_is_bad_input() {
    let mut config = config();
    config.client_secret = Some("right".into());
    let azure = Azure::start(config).await.unwrap();
    let (ctx, _) = run(&azure);
    let with = |secret: &str| {
        let secret = actions_toolkit::Secret::new(secret, ctx.log());
        let credential = Credential::ClientSecret(secret);
        Entra::new(&ctx, &cloud(&azure), TENANT, CLIENT, credential).unwrap()
    };
    let error = with("wrong").token(Scope::Registry).await.unwrap_err();
    assert!(
        error.to_string().starts_with("input `client-secret`"),
        "{error:#}"
    );
    with("right").token(Scope::Registry).await.unwrap();
    assert_eq!(count(&azure, "/oidc/token"), 0);
}

#[tokio::test]
async fn a_page_of_a_proxy_is_not_a_rejection_by_entra() {
    let azure = Azure::start(config()).await.unwrap();
    azure.expect(Fault::new("/oauth2/v2.0/token", 407, "<html>"));
    let (ctx, _) = run(&azure);
    let error = entra(&ctx, &azure)
        .token(Scope::Registry)
        .await
        .unwrap_err();
    let said = "responded with 407 Proxy Authentication Required to the request for a token";
    assert!(error.to_string().ends_with(said), "{error:#}");
}

#[tokio::test]
async fn a_busy_resource_manager_is_retried() {
    let azure = Azure::start(config()).await.unwrap();
    let (ctx, _) = run(&azure);
    let manager = manager(&ctx, &azure);
    for status in [429, 503] {
        azure.expect(Fault::new("registries", status, "{}").header("retry-after", "0"));
    }
    let server = manager.login_server("Seaworthy", Some("seaworthy")).await;
    assert_eq!(server.unwrap().host(), "seaworthy.azurecr.io");
    assert_eq!(count(&azure, "registries"), 3);
}

#[tokio::test]
async fn a_registry_is_found_on_a_later_page_and_the_token_stays_here() {
    let azure = Azure::start(config()).await.unwrap();
    let (ctx, _) = run(&azure);
    let manager = manager(&ctx, &azure);
    let page = |host: &str| {
        format!(
            r#"{{"value": [{{"name": "other"}}], "nextLink": "{host}/subscriptions/{SUBSCRIPTION}/providers/Microsoft.ContainerRegistry/registries?api-version=2025-11-01&page=2"}}"#
        )
    };
    azure.expect(Fault::new("registries", 200, &page(&azure.url())));
    let server = manager.login_server("seaworthy", None).await;
    assert_eq!(server.unwrap().host(), "seaworthy.azurecr.io");
    assert_eq!(count(&azure, "page=2"), 1);

    azure.expect(Fault::new("registries", 200, &page("https://example.com")));
    let error = manager.login_server("seaworthy", None).await.unwrap_err();
    assert!(error.to_string().contains("on another host"), "{error:#}");

    let error = manager.login_server("absent", None).await.unwrap_err();
    assert_eq!(ExitStatus::from_error(&error).code(), 3, "{error:#}");
}

#[tokio::test]
async fn a_missing_role_and_a_missing_cluster_are_named() {
    let azure = Azure::start(config()).await.unwrap();
    let (ctx, _) = run(&azure);
    let manager = manager(&ctx, &azure);
    azure.expect(Fault::new(
        "managedClusters",
        403,
        r#"{"error": {"code": "AuthorizationFailed", "message": "no right to read."}}"#,
    ));
    let error = manager.cluster("seaworthy", "seaworthy").await.unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        "failed to query Azure Resource Manager for `resourceGroups/seaworthy/providers/Microsoft.ContainerService/managedClusters/seaworthy`: AuthorizationFailed: no right to read; give the identity a role with that right, on the resource or its group"
    );
    let error = manager.cluster("seaworthy", "absent").await.unwrap_err();
    let error = format!("{error:#}");
    assert!(
        error.contains("ResourceNotFound") && error.contains("check its name"),
        "{error}"
    );
}

#[tokio::test]
async fn a_cluster_that_adds_nodes_is_distinguished_from_one_that_does_not() {
    let azure = Azure::start(config()).await.unwrap();
    let (ctx, _) = run(&azure);
    let manager = manager(&ctx, &azure);
    let cluster = manager.cluster("seaworthy", "seaworthy").await.unwrap();
    assert_eq!(cluster.nodes, Nodes::Fixed);
    for properties in [
        r#"{"agentPoolProfiles": [{"name": "system"}, {"name": "user", "enableAutoScaling": true}]}"#,
        r#"{"agentPoolProfiles": [{"name": "system"}], "nodeProvisioningProfile": {"mode": "Auto"}}"#,
    ] {
        let body = format!(r#"{{"properties": {properties}}}"#);
        azure.expect(Fault::new("managedClusters", 200, &body));
        let cluster = manager.cluster("seaworthy", "seaworthy").await.unwrap();
        assert_eq!(cluster.nodes, Nodes::Added, "{properties}");
    }
}

#[tokio::test]
async fn a_cluster_with_entra_gives_url_ca_certificate_and_a_masked_token() {
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = directory.path().join("config");
    let credential = r#"{"clusters": [{"name": "c", "cluster": {"server": "https://10.0.0.1:6443", "certificate-authority-data": "UEVN"}}]}"#;
    std::fs::write(&kubeconfig, credential).unwrap();
    let mut config = config();
    config.kubeconfig = Some(kubeconfig);
    let azure = Azure::start(config).await.unwrap();
    let (ctx, log) = run(&azure);
    let manager = manager(&ctx, &azure);
    let access = manager
        .cluster_access("seaworthy", "seaworthy")
        .await
        .unwrap();
    assert_eq!(access.server, "https://10.0.0.1:6443");
    assert_eq!(access.ca_certificates, b"PEM");
    let Identity::Entra(entra) = access.identity else {
        panic!("a cluster with Entra takes its tokens");
    };
    let token = entra.token(Scope::Cluster).await.unwrap();
    assert_eq!(token.expose(), "cluster-token");
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("::add-mask::cluster-token"), "{log}");
    let shown = log.lines().filter(|line| !line.starts_with("::add-mask::"));
    assert_eq!(shown.count(), 0, "{log}");
}

#[tokio::test]
async fn a_cluster_with_local_accounts_gives_its_certificate_and_nothing_unknown_is_run() {
    use base64::Engine as _;
    let azure = Azure::start(config()).await.unwrap();
    let (ctx, _) = run(&azure);
    let manager = manager(&ctx, &azure);
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let answer = |user: &str| {
        let config = format!(
            r#"{{"clusters": [{{"cluster": {{"server": "https://10.0.0.1", "certificate-authority-data": ""}}}}], "users": [{{"user": {user}}}]}}"#
        );
        let body = format!(
            r#"{{"kubeconfigs": [{{"name": "clusterUser", "value": "{}"}}]}}"#,
            encode(&config)
        );
        Fault::new("listClusterUserCredential", 200, &body)
    };
    azure.expect(answer(&format!(
        r#"{{"client-certificate-data": "{}", "client-key-data": "{}"}}"#,
        encode("CERT"),
        encode("KEY")
    )));
    let access = manager
        .cluster_access("seaworthy", "seaworthy")
        .await
        .unwrap();
    assert!(
        matches!(access.identity, Identity::Certificate(certificate, key) if certificate == b"CERT" && key.expose() == "KEY")
    );
    azure.expect(answer(r#"{"exec": {"command": "helper", "args": ["x"]}}"#));
    let access = manager.cluster_access("seaworthy", "seaworthy").await;
    let error = access.err().unwrap();
    assert!(error.to_string().contains(r#""helper""#), "{error:#}");
}
