//! The Azure CLI accepts the fakes as Azure: it signs in with a run's token, reads the registry and the cluster, signs in
//! to the registry, and runs a command in the cluster.
#![expect(
    clippy::disallowed_methods,
    reason = "the client of a test shows the bare protocol"
)]
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

#[path = "../docker_registry/mod.rs"]
mod docker_registry;

use std::path::{Path, PathBuf};
use std::process::Command;

use fake_azure::{Azure, AzureConfig, AzureRegistry, RegistryConfig};
use serde_json::Value;
use testkit::pki::{CertificateAuthority, Leaf};

use docker_registry::DockerRegistry;

const TENANT: &str = "11111111-1111-4111-8111-111111111111";
const CLIENT: &str = "22222222-2222-4222-8222-222222222222";
const SUBSCRIPTION: &str = "33333333-3333-4333-8333-333333333333";
const KUBECONFIG: &str = "apiVersion: v1
kind: Config
clusters: [{name: seaworthy, cluster: {server: 'https://10.0.0.1:6443', certificate-authority-data: Y2E=}}]
contexts: []
users: []
";

/// The CLI with its own configuration, which trusts the server's CA certificate.
struct Cli {
    program: PathBuf,
    directory: tempfile::TempDir,
}

impl Cli {
    /// `args` are arguments without blanks, `last` are whole ones. Returns what it printed.
    fn try_run(&self, args: &str, last: &[&str]) -> Result<Value, String> {
        let done = Command::new(&self.program)
            .args(args.split(' '))
            .args(last)
            .args(["--only-show-errors", "--output", "json"])
            .env("AZURE_CONFIG_DIR", self.directory.path().join("azure"))
            .env("REQUESTS_CA_BUNDLE", self.directory.path().join("ca.pem"))
            .env("AZURE_CORE_COLLECT_TELEMETRY", "no")
            .env("AZURE_CORE_INSTANCE_DISCOVERY", "false")
            .env("NO_PROXY", "127.0.0.1")
            .output()
            .unwrap();
        if done.status.success() {
            Ok(serde_json::from_slice(&done.stdout).unwrap_or_default())
        } else {
            Err(String::from_utf8_lossy(&done.stderr).into_owned())
        }
    }

    fn run(&self, args: &str, last: &[&str]) -> Value {
        let done = self.try_run(args, last);
        done.unwrap_or_else(|message| panic!("az {args}: {message}"))
    }
}

async fn oidc_token(azure: &Azure, ca: &Path) -> String {
    let pem = std::fs::read(ca).unwrap();
    let http = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()])
        .no_proxy()
        .build()
        .unwrap();
    let url = format!("{}&audience=api://AzureADTokenExchange", azure.oidc_url());
    let response = http.get(url).bearer_auth("oidc-request-token").send().await;
    let response: Value = response.unwrap().json().await.unwrap();
    response["value"].as_str().unwrap().to_owned()
}

/// Azure at addresses of this machine, in front of a real registry.
struct Servers {
    azure: Azure,
    registry: AzureRegistry,
    _upstream: DockerRegistry,
}

impl Servers {
    async fn start(directory: &Path) -> Self {
        let ca = CertificateAuthority::new("Seaworthy test").unwrap();
        std::fs::write(directory.join("ca.pem"), ca.certificate()).unwrap();
        let issued = ca.issue(&Leaf::server("127.0.0.1", &["127.0.0.1"]));
        let issued = issued.unwrap();
        for name in ["azure", "registry"] {
            issued.write(directory, name).unwrap();
        }
        let signer = ca.issue(&Leaf::server("token signer", &[]));
        signer.unwrap().write(directory, "token").unwrap();
        std::fs::write(directory.join("kubeconfig"), KUBECONFIG).unwrap();

        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let front = free.local_addr().unwrap();
        drop(free);
        let mut config = AzureConfig::new(TENANT, CLIENT, SUBSCRIPTION);
        config.kubeconfig = Some(directory.join("kubeconfig"));
        config.login_server = front.to_string();
        let azure = Azure::with_tls(config, directory).await.unwrap();
        let upstream = DockerRegistry::start(directory, &front.to_string());
        let registry = RegistryConfig {
            login_server: front.to_string(),
            upstream: upstream.address.clone(),
            signing: directory.to_owned(),
            node_identity: ("node".into(), "secret".into()),
        };
        let registry = AzureRegistry::with_tls(front, registry, &azure, directory);
        Self {
            registry: registry.await.unwrap(),
            azure,
            _upstream: upstream,
        }
    }
}

#[tokio::test]
#[ignore = "real: needs the Azure CLI"]
async fn the_azure_cli_takes_the_servers_for_azure() {
    let directory = tempfile::tempdir().unwrap();
    let servers = Servers::start(directory.path()).await;
    let token = oidc_token(&servers.azure, &directory.path().join("ca.pem")).await;
    let url = servers.azure.url();
    let front = servers.registry.address().to_string();
    let cli = Cli {
        program: std::env::var_os("SEAWORTHY_AZ")
            .expect("SEAWORTHY_AZ")
            .into(),
        directory,
    };
    tokio::task::spawn_blocking(move || {
        sign_in(&cli, &url, &token);
        the_registry(&cli, &front);
        the_cluster(&cli);
    })
    .await
    .unwrap();
    let journal = servers.registry.journal();
    assert!(
        journal.iter().any(|line| line == "POST /oauth2/exchange"),
        "{journal:?}"
    );
}

fn sign_in(cli: &Cli, url: &str, token: &str) {
    cli.run(
        "cloud register --name Seaworthy --endpoint-resource-manager",
        &[url],
    );
    cli.run("cloud set --name Seaworthy", &[]);
    let login = format!(
        "login --service-principal --username {CLIENT} --tenant {TENANT} --federated-token"
    );
    let refused = cli.try_run(&login, &["not-a-token"]);
    assert!(refused.unwrap_err().contains("AADSTS50027"));
    let accounts = cli.run(&login, &[token]);
    assert_eq!(accounts[0]["id"], SUBSCRIPTION);
    assert_eq!(accounts[0]["user"]["name"], CLIENT);
}

fn the_registry(cli: &Cli, front: &str) {
    let named = "--name seaworthy --resource-group seaworthy";
    let registry = cli.run(&format!("acr show {named}"), &[]);
    assert_eq!(registry["loginServer"], front);
    let token = cli.run(&format!("acr login {named} --expose-token"), &[]);
    assert_eq!(token["loginServer"], front);
    assert!(token["refreshToken"].as_str().unwrap().starts_with("ey"));
}

fn the_cluster(cli: &Cli) {
    let absent = cli.try_run("aks show --name other --resource-group seaworthy", &[]);
    assert!(absent.unwrap_err().contains("ResourceNotFound"));

    let named = "--name seaworthy --resource-group seaworthy";
    let file = cli.directory.path().join("written");
    let get = format!("aks get-credentials {named} --file");
    cli.run(&get, &[&file.to_string_lossy()]);
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(written.contains("https://10.0.0.1:6443"), "{written}");

    let note = cli.directory.path().join("note");
    std::fs::write(&note, "from a file").unwrap();
    let invoke = format!(
        "aks command invoke {named} --file {} --command",
        note.display()
    );
    let ran = cli.run(&invoke, &["cat note; exit 3"]);
    assert_eq!(
        (&ran["exitCode"], &ran["logs"]),
        (&3.into(), &"from a file".into())
    );
}
