//! The Azure CLI takes the servers for Azure: it signs in with a run's token, reads the registry and the cluster, signs in
//! to the registry, and runs a command in the cluster.

#![allow(clippy::unwrap_used)] // in a test, a panic is the report

#[path = "../behind/mod.rs"]
mod behind;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use testkit::pki::{Authority, Leaf};
use testkit::{Azure, AzureConfig, AzureRegistry, RegistryConfig};

use behind::Behind;

const TENANT: &str = "11111111-1111-4111-8111-111111111111";
const CLIENT: &str = "22222222-2222-4222-8222-222222222222";
const SUBSCRIPTION: &str = "33333333-3333-4333-8333-333333333333";
const KUBECONFIG: &str = "apiVersion: v1
kind: Config
clusters: [{name: drydock, cluster: {server: 'https://10.0.0.1:6443', certificate-authority-data: Y2E=}}]
contexts: []
users: []
";

/// The CLI with a configuration of its own, which trusts the server's authority.
struct Cli {
    program: PathBuf,
    folder: tempfile::TempDir,
}

impl Cli {
    fn try_run(&self, args: &[&str]) -> Result<String, String> {
        let done = Command::new(&self.program)
            .args(args)
            .args(["--only-show-errors", "--output", "json"])
            .env("AZURE_CONFIG_DIR", self.folder.path().join("azure"))
            .env("REQUESTS_CA_BUNDLE", self.folder.path().join("ca.pem"))
            .env("AZURE_CORE_COLLECT_TELEMETRY", "no")
            .env("AZURE_CORE_INSTANCE_DISCOVERY", "false")
            .env("NO_PROXY", "127.0.0.1")
            .output()
            .unwrap();
        if done.status.success() {
            Ok(String::from_utf8(done.stdout).unwrap())
        } else {
            Err(String::from_utf8_lossy(&done.stderr).into_owned())
        }
    }

    fn run(&self, args: &[&str]) -> String {
        self.try_run(args)
            .unwrap_or_else(|said| panic!("az {args:?}: {said}"))
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
    let answer = http.get(url).bearer_auth("oidc-request-token").send().await;
    let answer: Value = answer.unwrap().json().await.unwrap();
    answer["value"].as_str().unwrap().to_owned()
}

#[tokio::test]
#[ignore = "real: needs the Azure CLI"]
async fn the_azure_cli_signs_in_and_reads_the_registry_and_the_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    let authority = Authority::new("Drydock test").unwrap();
    std::fs::write(&ca, authority.certificate()).unwrap();
    let leaf = Leaf::server("127.0.0.1", &["127.0.0.1"]);
    let issued = authority.issue(&leaf).unwrap();
    for name in ["azure", "registry"] {
        issued.write(folder.path(), name).unwrap();
    }
    let signer = authority.issue(&Leaf::server("token signer", &[]));
    signer.unwrap().write(folder.path(), "token").unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, KUBECONFIG).unwrap();

    let mut config = AzureConfig::new(TENANT, CLIENT, SUBSCRIPTION);
    config.kubeconfig = Some(kubeconfig);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let front = free.local_addr().unwrap();
    drop(free);
    config.login_server = front.to_string();
    let azure = Azure::with_tls(config, folder.path()).await.unwrap();
    let behind = Behind::start(folder.path(), &front.to_string());
    let registry = RegistryConfig {
        login_server: front.to_string(),
        upstream: behind.address.clone(),
        signing: folder.path().to_owned(),
        node_identity: ("node".into(), "secret".into()),
    };
    let registry = AzureRegistry::with_tls(front, registry, &azure, folder.path())
        .await
        .unwrap();
    let token = oidc_token(&azure, &ca).await;
    let url = azure.url();
    let cli = Cli {
        program: std::env::var_os("DRYDOCK_AZ").expect("DRYDOCK_AZ").into(),
        folder,
    };
    tokio::task::spawn_blocking(move || {
        let cloud = ["cloud", "register", "--name", "Drydock"];
        let place = ["--endpoint-resource-manager", &url];
        cli.run(&[&cloud[..], &place].concat());
        cli.run(&["cloud", "set", "--name", "Drydock"]);

        let login = [
            "login",
            "--service-principal",
            "--username",
            CLIENT,
            "--tenant",
            TENANT,
        ];
        let refused = cli.try_run(&[&login[..], &["--federated-token", "not-a-token"]].concat());
        assert!(refused.unwrap_err().contains("AADSTS50027"));
        let accounts = cli.run(&[&login[..], &["--federated-token", &token]].concat());
        let accounts: Value = serde_json::from_str(&accounts).unwrap();
        assert_eq!(accounts[0]["id"], SUBSCRIPTION);
        assert_eq!(accounts[0]["user"]["name"], CLIENT);

        let registry = cli.run(&[
            "acr",
            "show",
            "--name",
            "drydock",
            "--resource-group",
            "drydock",
        ]);
        let registry: Value = serde_json::from_str(&registry).unwrap();
        assert_eq!(registry["loginServer"], front.to_string());

        let login = ["acr", "login", "--name", "drydock", "--expose-token"];
        let group = ["--resource-group", "drydock"];
        let token = cli.run(&[&login[..], &group].concat());
        let token: Value = serde_json::from_str(&token).unwrap();
        assert_eq!(token["loginServer"], front.to_string());
        assert!(
            token["refreshToken"].as_str().unwrap().starts_with("ey"),
            "{token}"
        );

        let absent = cli.try_run(&[
            "aks",
            "show",
            "--name",
            "other",
            "--resource-group",
            "drydock",
        ]);
        assert!(absent.unwrap_err().contains("ResourceNotFound"));
        let file = cli
            .folder
            .path()
            .join("written")
            .to_string_lossy()
            .into_owned();
        let credentials = [
            "aks",
            "get-credentials",
            "--name",
            "drydock",
            "--resource-group",
            "drydock",
        ];
        cli.run(&[&credentials[..], &["--file", &file]].concat());
        let written = std::fs::read_to_string(&file).unwrap();
        assert!(written.contains("https://10.0.0.1:6443"), "{written}");

        let note = cli.folder.path().join("note");
        std::fs::write(&note, "from a file").unwrap();
        let command = ["aks", "command", "invoke", "--name", "drydock"];
        let what = [
            "--command",
            "cat note; exit 3",
            "--file",
            &note.to_string_lossy(),
        ];
        let ran = cli.run(&[&command[..], &group, &what].concat());
        let ran: Value = serde_json::from_str(&ran).unwrap();
        assert_eq!(
            (&ran["exitCode"], &ran["logs"]),
            (&3.into(), &"from a file".into())
        );
    })
    .await
    .unwrap();
    let asked = registry.journal();
    assert!(
        asked.iter().any(|line| line == "POST /oauth2/exchange"),
        "{asked:?}"
    );
}
