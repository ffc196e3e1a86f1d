//! What the step connects to is what `docs/network.md` says: in a network namespace, where nothing else is reachable.

use axum::body::Body;
use axum::response::Response;
use copacetic_patch::{ACTION, NETWORK};
use fake_azure::{Azure, AzureConfig};
use fake_github::GitHub;
use testkit::endpoints::{Values, of_the_step};
use testkit::{FakeDocker, Namespace, Recorder};

use crate::bench::exited;
use crate::step;

const OIDC: &str = "run-actions-1-azure-eastus.actions.githubusercontent.com";
const REGISTRY: &str = "seaworthy.azurecr.io";
const TENANT: &str = "11111111-1111-4111-8111-111111111111";
const CLIENT: &str = "22222222-2222-4222-8222-222222222222";
const SUBSCRIPTION: &str = "33333333-3333-4333-8333-333333333333";

// A registry that issues a token, and has no image.
async fn registry() -> Recorder {
    let server = Recorder::start(|seen| {
        let (status, body) = match seen.line.as_str() {
            "POST /oauth2/exchange" => (200, r#"{"refresh_token": "refresh-token"}"#),
            _ => (404, ""),
        };
        let builder = Response::builder().status(status);
        builder.body(Body::from(body)).unwrap()
    });
    server.await.unwrap()
}

#[test]
#[ignore = "real: needs root, for a network namespace"]
fn with_a_registry_of_azure_it_contacts_that_and_github() {
    let image = format!("{REGISTRY}/app:1\n{REGISTRY}/worker:1");
    let inputs = [
        ("image", image.as_str()),
        ("push", "true"),
        ("client-id", CLIENT),
        ("tenant-id", TENANT),
        ("issue", "true"),
        ("token", "t"),
    ];
    let declared = of_the_step(NETWORK, &Values::new(&ACTION, &inputs));
    let name = "network::with_a_registry_of_azure_it_contacts_that_and_github";
    let Some(namespace) = Namespace::enter(name, &declared) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (_github, _azure, registry) = runtime.block_on(async {
        let config = AzureConfig::new(TENANT, CLIENT, SUBSCRIPTION);
        let azure = Azure::start(config).await.unwrap();
        let github = GitHub::start("t").await.unwrap();
        let registry = registry().await;
        let port = |url: String| url.rsplit(':').next().unwrap().parse().unwrap();
        namespace
            .serve("login.microsoftonline.com", port(azure.url()))
            .await;
        namespace.serve(OIDC, port(azure.url())).await;
        namespace.serve("api.github.com", port(github.url())).await;
        namespace.serve(REGISTRY, registry.port()).await;
        (github, azure, registry)
    });
    let docker = FakeDocker::with("other:1");
    let oidc = format!("https://{OIDC}/oidc/token?api-version=2.0");
    let ran = inputs
        .iter()
        .fold(step(), |step, (name, value)| step.input(name, value))
        .env("DOCKER_HOST", &docker.host())
        .env("SSL_CERT_FILE", &namespace.ca_file().to_string_lossy())
        .env("ACTIONS_ID_TOKEN_REQUEST_URL", &oidc)
        .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "oidc-request-token")
        .run();
    exited(&ran, 2, "error");
    let contacted = namespace.contacted();
    assert_eq!(contacted.undeclared(&declared), Vec::<String>::new());
    assert_eq!(
        contacted.hosts(),
        [
            "api.github.com:443",
            "login.microsoftonline.com:443",
            &format!("{OIDC}:443"),
            &format!("{REGISTRY}:443"),
        ],
        "{}\n{:?}",
        ran.log,
        registry.seen()
    );
}
