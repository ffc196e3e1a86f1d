//! What the step connects to is what `docs/network.md` says: in a network namespace, where nothing else is reachable.

use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use azure_deploy::{ACTION, NETWORK};
use fake_azure::{Azure, AzureConfig};
use testkit::endpoints::{Values, of_the_step};
use testkit::{FakeDocker, Namespace, Recorder};

use crate::{CLIENT, SUBSCRIPTION, TENANT, rejected, silent_server, step, step_without_azure};

const OIDC: &str = "run-actions-1-azure-eastus.actions.githubusercontent.com";

#[test]
#[ignore = "real: needs root, for a network namespace"]
fn with_default_inputs_it_contacts_azure_alone() {
    let declared = of_the_step(NETWORK, &Values::new(&ACTION, &[]));
    let name = "network::with_default_inputs_it_contacts_azure_alone";
    let Some(namespace) = Namespace::enter(name, &declared) else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = directory.path().join("config");
    let text = r#"{"clusters": [{"name": "c", "cluster": {"server": "https://app-1.hcp.eastus.azmk8s.io:443", "certificate-authority-data": ""}}]}"#;
    std::fs::write(&kubeconfig, text).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let azure = runtime.block_on(async {
        let mut config = AzureConfig::new(TENANT, CLIENT, SUBSCRIPTION);
        config.kubeconfig = Some(kubeconfig);
        let azure = Azure::start(config).await.unwrap();
        let port = azure.url().rsplit(':').next().unwrap().parse().unwrap();
        for host in ["login.microsoftonline.com", "management.azure.com", OIDC] {
            namespace.serve(host, port).await;
        }
        azure
    });
    let docker = FakeDocker::with("flask-app:1");
    let oidc = format!("https://{OIDC}/oidc/token?api-version=2.0");
    let ran = step()
        .env("DOCKER_HOST", &docker.host())
        .env("SSL_CERT_FILE", &namespace.ca_file().to_string_lossy())
        .env("ACTIONS_ID_TOKEN_REQUEST_URL", &oidc)
        .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "oidc-request-token")
        .run();
    assert_eq!(ran.code, 2, "the cluster does not respond: {}", ran.log);
    let contacted = namespace.contacted();
    assert_eq!(contacted.undeclared(&declared), Vec::<String>::new());
    assert_eq!(
        contacted.hosts(),
        [
            "app-1.hcp.eastus.azmk8s.io:443",
            "login.microsoftonline.com:443",
            "management.azure.com:443",
            &format!("{OIDC}:443"),
            "seaworthy.azurecr.io:443"
        ],
        "{}\n{:?}",
        ran.log,
        azure.journal()
    );
}

#[test]
#[ignore = "real: needs root, for a network namespace"]
fn an_image_of_docker_hub_is_requested_at_its_api_by_its_whole_name() {
    let digest = format!("sha256:{}", "ab".repeat(32));
    let image = format!("docker.io/flask-app@{digest}");
    let inputs = [
        ("image", image.as_str()),
        ("registry", "docker.io"),
        ("kubeconfig", "x"),
    ];
    let declared = of_the_step(NETWORK, &Values::new(&ACTION, &inputs));
    let name = "network::an_image_of_docker_hub_is_requested_at_its_api_by_its_whole_name";
    let Some(namespace) = Namespace::enter(name, &declared) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let hub = runtime.block_on(async {
        let hub = Recorder::start(|_| StatusCode::NOT_FOUND.into_response());
        let hub = hub.await.unwrap();
        namespace.serve("registry-1.docker.io", hub.port()).await;
        hub
    });
    let (_cluster, cluster) = silent_server();
    let step = step_without_azure(&image, "docker.io", &cluster)
        .env("SSL_CERT_FILE", &namespace.ca_file().to_string_lossy());
    rejected(
        &step.run(),
        &format!("input `image`: the registry does not have `{image}`"),
    );
    let requests: Vec<_> = hub
        .seen()
        .into_iter()
        .map(|seen| (seen.host, seen.line))
        .collect();
    let request = format!("GET /v2/library/flask-app/manifests/{digest}");
    assert_eq!(requests, [("registry-1.docker.io".to_owned(), request)]);
    let contacted = namespace.contacted();
    assert_eq!(contacted.undeclared(&declared), Vec::<String>::new());
    assert_eq!(contacted.hosts(), ["registry-1.docker.io:443"]);
}
