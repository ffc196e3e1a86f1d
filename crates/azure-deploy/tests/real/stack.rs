//! The local stack for one test: its own namespace, images and Azure in front of the stack's registry and cluster.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use docker::{BuildRequest, Docker};
use fake_azure::{ApiServer, Azure, AzureConfig, AzureRegistry, RegistryConfig};
use http_client::{Client, ERROR_LIMIT, TOKEN_LIMIT};
use oci::{Auth, Credentials, ImageRef, Registry};
use serde_json::Value;
use testkit::{FakeRunner, Ran};
use tokio::sync::Mutex;

const TENANT: &str = "11111111-1111-4111-8111-111111111111";
const CLIENT: &str = "22222222-2222-4222-8222-222222222222";
const SUBSCRIPTION: &str = "33333333-3333-4333-8333-333333333333";
/// The registry's host.
pub(crate) const LOGIN_SERVER: &str = "seaworthy.azurecr.io";
/// How the names of what a test makes begin.
const NAME: &str = "deploy-test";

/// The names of all tests: some run at a time, and what each makes has its name.
static NAMES: std::sync::Mutex<BTreeSet<String>> = std::sync::Mutex::new(BTreeSet::new());

/// Held by a test that creates the definitions of the Gateway API, which are the same for the whole cluster.
pub(crate) static DEFINITIONS: Mutex<()> = Mutex::const_new(());

/// How long a terminating pod may still get requests.
const ENDS: Duration = Duration::from_secs(30);
/// How long one connection to a service may take: far less than [`ENDS`], as each attempt to connect keeps the pod that
/// it was first given, and a pod that is gone never responds.
const CONNECTS: Duration = Duration::from_secs(2);

/// A server that responds with the commit it was built from. `MODE` sets a fault.
const SERVER: &str = r#"
use strict;
use IO::Socket::INET;
if ($ENV{MODE} eq 'crash') { print STDERR "No module named 'app'\n"; exit 3 }
if ($ENV{MODE} eq 'slow') { sleep 600 }
# A signal without a handler does nothing to the first process of a container.
if ($ENV{MODE} eq 'brief') { $SIG{ALRM} = sub { exit 3 }; alarm 4 }
if ($ENV{MODE} eq 'hungry') { my $much = 'x' x 500_000_000; sleep 600 }
$SIG{TERM} = sub { exit 0 };
my $server = IO::Socket::INET->new(LocalPort => 8000, Listen => 20, ReuseAddr => 1) or die $!;
while (my $client = $server->accept) {
    my $probe = 0;
    while (my $line = <$client>) { $probe = 1 if $line =~ /kube-probe/; last if $line =~ /^\r?\n/ }
    my $status = $probe || $ENV{MODE} ne 'sick' ? '200 OK' : '503 Service Unavailable';
    my $body = qq({"commit": "$ENV{COMMIT}"});
    print $client "HTTP/1.1 $status\r\nContent-Length: " . length($body) . "\r\nConnection: close\r\n\r\n$body";
    close $client;
}
"#;

const DOCKERFILE: &str = "FROM debian:trixie-slim\nCOPY server.pl /\nARG COMMIT\nARG MODE\nENV COMMIT=${COMMIT} MODE=${MODE}\nUSER 10001:10001\nCMD [\"perl\", \"/server.pl\"]\n";

/// A namespace of the stack's cluster, and what is needed to deploy to it. It goes when this is dropped.
pub(crate) struct Stack {
    state: PathBuf,
    kubeconfig: PathBuf,
    pub(crate) namespace: String,
    /// The repository of its images.
    pub(crate) repository: String,
    pub(crate) azure: Azure,
    docker: Docker,
}

impl Stack {
    /// The stack that `SEAWORTHY_STATE` names.
    pub(crate) async fn new(name: &str) -> Self {
        Self::with(name, |_| {}).await
    }

    /// The same, whose Azure is `changed`.
    pub(crate) async fn with(name: &str, changed: impl FnOnce(&mut AzureConfig)) -> Self {
        let is_new = NAMES.lock().unwrap().insert(name.to_owned());
        assert!(is_new, "two tests have the name `{name}`");
        let (state, kubeconfig) = (state(), kubeconfig());
        let mut config = AzureConfig::new(TENANT, CLIENT, SUBSCRIPTION);
        config.kubeconfig = Some(kubeconfig.clone());
        config.cluster_token = deployer();
        changed(&mut config);
        Self {
            state,
            kubeconfig,
            namespace: format!("{NAME}-{name}-{}", std::process::id()),
            repository: format!("{NAME}-{name}"),
            azure: Azure::start(config).await.unwrap(),
            docker: Docker::connect(None).await.unwrap(),
        }
    }

    /// The same whose API server is reached by a front of this test.
    pub(crate) async fn fronted(
        name: &str,
        changed: impl FnOnce(&mut AzureConfig),
    ) -> (Self, ApiServer) {
        let front = ApiServer::in_front_of(&kubeconfig(), &deployer())
            .await
            .unwrap();
        let stack = Self::with(name, |azure| {
            front.serve(azure);
            changed(azure);
        });
        (stack.await, front)
    }

    /// Build the image of `commit`; returns its name.
    pub(crate) async fn build(&self, commit: &str, mode: &str) -> String {
        let context = tempfile::tempdir().unwrap();
        // Removing an image that another test has too would take it from that one.
        let dockerfile = format!("{DOCKERFILE}LABEL of={}\n", self.repository);
        std::fs::write(context.path().join("Dockerfile"), dockerfile).unwrap();
        std::fs::write(context.path().join("server.pl"), SERVER).unwrap();
        let image: ImageRef = format!("{}:{commit}", self.repository).parse().unwrap();
        let request = BuildRequest {
            build_args: vec![
                ("COMMIT".into(), commit.into()),
                ("MODE".into(), mode.into()),
            ],
            ..BuildRequest::new(context.path(), "Dockerfile", image.clone())
        };
        self.docker.build(&request, |_| {}).await.unwrap();
        image.to_string()
    }

    /// Give `image` in Docker the name `other` too.
    pub(crate) async fn tag(&self, image: &str, other: &str) {
        let (image, other) = (image.parse().unwrap(), other.parse().unwrap());
        self.docker.tag(&image, &other).await.unwrap();
    }

    /// The namespace, which warns of pods that break Pod Security's `restricted`.
    pub(crate) fn namespace_that_warns(&self) {
        self.kubectl(&["create", "namespace", &self.namespace]);
        let label = "pod-security.kubernetes.io/warn=restricted";
        self.kubectl(&["label", "namespace", &self.namespace, label]);
    }

    /// What the API server warns of then, in the log.
    pub(crate) const WARNING: &str = "::warning::the API server warns of `deployments/app`: would violate PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \"app\" must set securityContext.allowPrivilegeEscalation=false)";

    /// The manifests: `service` is added to the Service's `metadata` and `spec`, `more` at the end.
    pub(crate) fn manifests(&self, port: u32, annotation: &str, more: &str) -> String {
        let (namespace, repository) = (&self.namespace, &self.repository);
        format!(
            "apiVersion: v1
kind: Namespace
metadata: {{name: {namespace}}}
---
apiVersion: v1
kind: Service
metadata:
  name: app
  namespace: {namespace}
  annotations: {{{annotation}}}
spec:
  type: LoadBalancer
  selector: {{app: app}}
  ports: [{{name: http, port: {port}, targetPort: 8000}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: app, namespace: {namespace}}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: app}}}}
  strategy: {{type: RollingUpdate, rollingUpdate: {{maxUnavailable: 0, maxSurge: 1}}}}
  template:
    metadata: {{labels: {{app: app}}}}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
      - name: app
        image: {repository}:latest
        readinessProbe: {{httpGet: {{path: /health, port: 8000}}, periodSeconds: 1}}
{more}"
        )
    }

    /// The step that deploys `image`.
    pub(crate) fn step(&self, image: &str, manifests: &str) -> FakeRunner {
        let commit = image.split(':').nth(1).unwrap();
        FakeRunner::new(env!("CARGO_BIN_EXE_azure-deploy"))
            .file("k8s/app.yaml", manifests)
            .input("image", image)
            .input("client-id", CLIENT)
            .input("tenant-id", TENANT)
            .input("subscription-id", SUBSCRIPTION)
            .input("authority-host", &self.azure.url())
            .input("resource-manager", &self.azure.url())
            .input("registry", "seaworthy")
            .input("resource-group", "seaworthy")
            .input("cluster", "seaworthy")
            .input("expect-commit", commit)
            .input("health-timeout", "10s")
            .env("ACTIONS_ID_TOKEN_REQUEST_URL", &self.azure.oidc_url())
            .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "oidc-request-token")
            .env("SSL_CERT_FILE", &self.ca_certificate().to_string_lossy())
    }

    /// The kubeconfig of the cluster's administrator.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The directory of certificates.
    pub(crate) fn tls(&self) -> PathBuf {
        self.state.join("tls")
    }

    fn ca_certificate(&self) -> PathBuf {
        self.tls().join("ca.crt")
    }

    /// What `kubectl` says.
    pub(crate) fn kubectl(&self, args: &[&str]) -> String {
        let done = Command::new("kubectl")
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(["--namespace", &self.namespace])
            .args(args)
            .output()
            .expect("kubectl is in PATH");
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        String::from_utf8(done.stdout).unwrap()
    }

    /// `kubectl create`, or another `verb`, with `manifests` as its file.
    pub(crate) fn kubectl_with(&self, verb: &str, manifests: &str) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), manifests).unwrap();
        self.kubectl(&[verb, "--filename", &file.path().to_string_lossy()]);
    }

    /// Whether `kubectl` succeeds.
    pub(crate) fn accepts(&self, args: &[&str]) -> bool {
        let mut kubectl = Command::new("kubectl");
        kubectl.arg("--kubeconfig").arg(&self.kubeconfig).args(args);
        kubectl.output().is_ok_and(|done| done.status.success())
    }

    /// The names of the Deployments.
    pub(crate) fn deployments(&self) -> String {
        let args = ["deployments", "--output", "name", "--ignore-not-found"];
        self.kubectl(&[&["get"], &args[..]].concat())
    }

    /// The `spec` of a live object.
    pub(crate) fn spec(&self, object: &str) -> Value {
        let text = self.kubectl(&["get", object, "--output", "json"]);
        serde_json::from_str::<Value>(&text).unwrap()["spec"].take()
    }

    /// Who owns which fields of a live object, but for its status: its `managedFields`, without their times.
    pub(crate) fn owners(&self, object: &str) -> Vec<Value> {
        let args = ["get", object, "--show-managed-fields", "--output=json"];
        let live: Value = serde_json::from_str(&self.kubectl(&args)).unwrap();
        let entries = live["metadata"]["managedFields"].as_array().unwrap().iter();
        let entries = entries.filter(|entry| entry["subresource"] != "status");
        let mut entries: Vec<_> = entries.cloned().collect();
        for entry in &mut entries {
            entry["time"] = Value::Null;
        }
        entries.sort_by_key(|entry| entry["manager"].to_string());
        entries
    }

    /// A client that trusts the registry.
    pub(crate) fn http(&self) -> Client {
        let pem = std::fs::read(self.ca_certificate()).unwrap();
        Client::trusting(&pem).unwrap()
    }

    /// A user and a password of the registry.
    pub(crate) async fn login(&self) -> Credentials {
        let token = format!("acr-{CLIENT}");
        let form = [
            ("grant_type", "access_token"),
            ("service", LOGIN_SERVER),
            ("tenant", TENANT),
            ("access_token", &token),
        ];
        let url = format!("https://{LOGIN_SERVER}/oauth2/exchange");
        let response = self.http().post(url).form(&form).send().await.unwrap();
        let response: Value = response.json(TOKEN_LIMIT).await.unwrap();
        Credentials {
            username: azure::TOKEN_USER.into(),
            password: response["refresh_token"].as_str().unwrap().into(),
        }
    }

    /// The registry, with that login.
    pub(crate) async fn registry(&self) -> Registry {
        let login = Auth::Password(self.login().await);
        Registry::new(self.http(), LOGIN_SERVER, login, |_| {})
    }

    /// Another front of the stack's registry, at any port of this machine's address `ip`.
    pub(crate) async fn registry_front(&self, ip: [u8; 4]) -> AzureRegistry {
        let tls = self.tls();
        let config = RegistryConfig {
            login_server: LOGIN_SERVER.into(),
            upstream: "http://127.0.0.1:7072".into(),
            signing: tls.clone(),
            node_identity: ("node".into(), "none".into()),
        };
        let registry = AzureRegistry::with_tls((ip, 0).into(), config, &self.azure, &tls);
        registry.await.unwrap()
    }

    /// The digest that `latest` points to.
    pub(crate) async fn latest(&self) -> String {
        let registry = self.registry().await;
        let manifest = registry.manifest(&self.repository, "latest").await.unwrap();
        manifest.expect("`latest` is there").digest.to_string()
    }

    /// A step without Azure, which finds kustomize: `registry` and `kubeconfig` are the stack's.
    pub(crate) async fn step_without_azure(&self, image: &str) -> FakeRunner {
        let login = self.login().await;
        let path = std::env::var("PATH").unwrap();
        FakeRunner::new(env!("CARGO_BIN_EXE_azure-deploy"))
            .input("image", image)
            .input("registry", LOGIN_SERVER)
            .input("username", &login.username)
            .input("password", &login.password)
            .input(
                "kubeconfig",
                &std::fs::read_to_string(&self.kubeconfig).unwrap(),
            )
            .input("health-timeout", "10s")
            .env("PATH", &path)
            .env("SSL_CERT_FILE", &self.ca_certificate().to_string_lossy())
    }

    /// Remove the images from Docker.
    pub(crate) async fn forget(&self, images: &[&str]) {
        for image in images {
            for name in [(*image).to_owned(), format!("{LOGIN_SERVER}/{image}")] {
                self.docker.untag(&name.parse().unwrap()).await.unwrap();
            }
        }
    }
}

fn state() -> PathBuf {
    let state = std::env::var_os("SEAWORTHY_STATE").map(PathBuf::from);
    state.expect("SEAWORTHY_STATE names the running stack")
}

fn kubeconfig() -> PathBuf {
    let path = std::env::var_os("SEAWORTHY_KUBECONFIG").map(PathBuf::from);
    path.unwrap_or_else(|| state().join("kubernetes/admin.kubeconfig"))
}

// The token of the identity that deploys.
fn deployer() -> String {
    let tokens = std::fs::read_to_string(state().join("kubernetes/pki/tokens.csv")).unwrap();
    tokens.split(',').next().unwrap().to_owned()
}

impl Drop for Stack {
    fn drop(&mut self) {
        // The test has its verdict: what can't be removed does not change it.
        let _ = Command::new("kubectl")
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(["delete", "namespace", &self.namespace])
            .args(["--ignore-not-found", "--wait=false"])
            .output();
    }
}

/// Run the step while the servers of this test respond.
pub(crate) async fn run(step: FakeRunner) -> Ran {
    tokio::task::spawn_blocking(move || step.run())
        .await
        .expect("the step runs")
}

/// The same; once the log has `line`, do what comes `then`.
pub(crate) async fn run_until(step: FakeRunner, line: &str, then: impl FnOnce()) -> Ran {
    let log = step.directory().join("log");
    let ran = tokio::spawn(run(step));
    let has_line = || std::fs::read_to_string(&log).is_ok_and(|text| text.contains(line));
    while !has_line() && !ran.is_finished() {
        tokio::task::yield_now().await;
    }
    then();
    ran.await.unwrap()
}

/// The response of a service. A pod that ends without a pause, as those of these tests do, may still get a connection in
/// the moment after a rollout, and refuses or never answers it then: such a connection is made again.
pub(crate) async fn get(url: &str) -> Value {
    let http = Client::direct().unwrap();
    let started = Instant::now();
    loop {
        let request = http.get(format!("{url}/health")).send();
        match tokio::time::timeout(CONNECTS, request).await {
            Err(_) if started.elapsed() < ENDS => {}
            Ok(Err(e)) if e.is_connect() && started.elapsed() < ENDS => {
                tokio::task::yield_now().await;
            }
            response => return response.unwrap().unwrap().json(ERROR_LIMIT).await.unwrap(),
        }
    }
}
