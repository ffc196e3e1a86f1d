//! Azure Container Registry in front of the real registry (Debian's `docker-registry`).

use std::fmt::Write as _;
use std::time::Duration;

use fake_azure::{Azure, AzureConfig, AzureRegistry, RegistryConfig};
use reqwest::{Certificate, Client, Method, StatusCode};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::pki::{CertificateAuthority, Leaf};

use crate::docker_registry::DockerRegistry;

const NAME: &str = "seaworthy.azurecr.io";

/// The real registry, its front, and a client that trusts the front.
struct Stack {
    front: AzureRegistry,
    http: Client,
    upstream: DockerRegistry,
    _azure: Azure,
    _files: TempDir,
}

async fn stack() -> Stack {
    let files = tempfile::tempdir().unwrap();
    let directory = files.path();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ca = CertificateAuthority::new("test").unwrap();
    let server = Leaf::server(NAME, &[NAME]);
    let issue = |leaf: &Leaf, name| ca.issue(leaf).unwrap().write(directory, name).unwrap();
    issue(&server, "registry");
    issue(&Leaf::server("token signer", &[]), "token");
    let upstream = DockerRegistry::start(directory, NAME);
    let azure = Azure::start(AzureConfig::new("tenant", "client", "subscription"))
        .await
        .unwrap();
    let registry = RegistryConfig {
        login_server: NAME.into(),
        upstream: upstream.address.clone(),
        signing: directory.to_owned(),
        node_identity: ("node".into(), "secret".into()),
    };
    let address = ([127, 0, 0, 1], 0).into();
    let front = AzureRegistry::with_tls(address, registry, &azure, directory)
        .await
        .unwrap();
    let http = Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .tls_certs_only([Certificate::from_pem(ca.certificate().as_bytes()).unwrap()])
        .resolve(NAME, front.address())
        .build()
        .unwrap();
    let stack = Stack {
        front,
        http,
        upstream,
        _azure: azure,
        _files: files,
    };
    // Until the upstream registry responds at all.
    for _ in 0..200 {
        let response = stack.call(Method::GET, "/v2/", "").send().await.unwrap();
        if response.status() == StatusCode::UNAUTHORIZED {
            return stack;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!(
        "docker-registry does not respond at {}",
        stack.upstream.address
    );
}

impl Stack {
    fn address(&self, path: &str) -> String {
        format!("https://{NAME}:{}{path}", self.front.address().port())
    }

    fn call(&self, method: Method, path: &str, token: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, self.address(path));
        if token.is_empty() {
            request
        } else {
            request.bearer_auth(token)
        }
    }

    async fn form(&self, path: &str, fields: &[(&str, &str)]) -> (StatusCode, Value) {
        let response = self.http.post(self.address(path)).form(fields);
        let response = response.send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    async fn refresh_token(&self) -> String {
        let fields = [
            ("grant_type", "access_token"),
            ("service", NAME),
            ("tenant", "tenant"),
            ("access_token", "acr-client"),
        ];
        let (status, body) = self.form("/oauth2/exchange", &fields).await;
        assert_eq!(status, 200, "{body}");
        body["refresh_token"].as_str().unwrap().to_owned()
    }

    async fn access_token(&self, scope: &str) -> String {
        let refresh = self.refresh_token().await;
        let fields = [
            ("grant_type", "refresh_token"),
            ("service", NAME),
            ("scope", scope),
            ("refresh_token", &refresh),
        ];
        let (status, body) = self.form("/oauth2/token", &fields).await;
        assert_eq!(status, 200, "{body}");
        body["access_token"].as_str().unwrap().to_owned()
    }
}

fn gzip() -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut packed, &vec![7; 300_000]).unwrap();
    packed.finish().unwrap()
}

#[tokio::test]
#[ignore = "real: needs a registry"]
async fn a_blob_is_pushed_and_pulled_byte_for_byte() {
    let stack = stack().await;
    let token = stack.access_token("repository:app:pull,push").await;
    let blob = gzip();
    let started = stack.call(Method::POST, "/v2/app/blobs/uploads/", &token);
    let started = started.header("content-length", "0").send().await.unwrap();
    assert_eq!(started.status(), 202);
    let location = started.headers()["location"].to_str().unwrap();
    // It leads back to the front, not to the upstream registry.
    let path = location.strip_prefix(&format!("https://{NAME}")).unwrap();
    let digest = digest(&SHA256, &blob);
    let hex = |text: String, byte: &u8| format!("{text}{byte:02x}");
    let digest = digest.as_ref().iter().fold(String::new(), hex);
    let done = stack.call(
        Method::PUT,
        &format!("{path}&digest=sha256:{digest}"),
        &token,
    );
    let done = done.body(blob.clone()).send().await.unwrap();
    assert_eq!(done.status(), 201);
    let pulled = stack.call(
        Method::GET,
        &format!("/v2/app/blobs/sha256:{digest}"),
        &token,
    );
    let pulled = pulled.header("accept-encoding", "gzip");
    let pulled = pulled.send().await.unwrap();
    assert_eq!(pulled.status(), 200);
    assert!(pulled.bytes().await.unwrap() == blob);
}

#[tokio::test]
#[ignore = "real: needs a registry"]
async fn without_the_right_token_there_is_no_way_in() {
    let stack = stack().await;
    let upload = "/v2/app/blobs/uploads/";
    let anonymous = stack.call(Method::POST, upload, "").send().await.unwrap();
    assert_eq!(anonymous.status(), 401);
    let challenge = anonymous.headers()["www-authenticate"].to_str().unwrap();
    // The registry names the actions in no fixed order.
    let challenge = challenge.replace("push,pull", "pull,push");
    let expected = format!(
        "Bearer realm=\"https://{NAME}/oauth2/token\",service=\"{NAME}\",scope=\"repository:app:pull,push\""
    );
    assert_eq!(challenge, expected);
    let pull_only = stack.access_token("repository:app:pull").await;
    let other = stack.access_token("repository:other:pull,push").await;
    let expired = stack.front.token(
        &json!([{"type": "repository", "name": "app", "actions": ["pull", "push"]}]),
        -3600,
    );
    for token in [&pull_only, &other, &expired.unwrap(), "no.token.atall"] {
        let response = stack.call(Method::POST, upload, token).send().await;
        assert_eq!(response.unwrap().status(), 401, "{token}");
    }
}

#[tokio::test]
#[ignore = "real: needs a registry"]
async fn the_exchange_takes_only_entras_token_for_this_registry() {
    let stack = stack().await;
    for (service, access) in [(NAME, "arm-client"), ("other.azurecr.io", "acr-client")] {
        let fields = [
            ("grant_type", "access_token"),
            ("service", service),
            ("access_token", access),
        ];
        let (status, body) = stack.form("/oauth2/exchange", &fields).await;
        assert_eq!(status, 401);
        assert_eq!(body["errors"][0]["code"], "UNAUTHORIZED");
    }
    let fields = [
        ("grant_type", "refresh_token"),
        ("service", NAME),
        ("scope", "repository:app:pull"),
        ("refresh_token", "forged"),
    ];
    let (status, _) = stack.form("/oauth2/token", &fields).await;
    assert_eq!(status, 401);
}

#[tokio::test]
#[ignore = "real: needs a registry"]
async fn a_node_pulls_with_its_password_and_does_not_push() {
    let stack = stack().await;
    let path = format!("/oauth2/token?service={NAME}&scope=repository:app:pull,push");
    let request = stack.http.get(stack.address(&path));
    let response = request
        .basic_auth("node", Some("secret"))
        .send()
        .await
        .unwrap();
    let body: Value = response.json().await.unwrap();
    let token = body["access_token"].as_str().unwrap();
    let push = stack.call(Method::POST, "/v2/app/blobs/uploads/", token);
    assert_eq!(push.send().await.unwrap().status(), 401);
    let pull = stack.call(Method::GET, "/v2/app/tags/list", token);
    // Let in; there is nothing yet.
    assert_eq!(pull.send().await.unwrap().status(), 404);
}

#[tokio::test]
#[ignore = "real: needs a registry"]
async fn a_token_for_two_repositories_mounts_a_blob_of_one_in_the_other() {
    let stack = stack().await;
    let content = b"content".as_slice();
    let hash = digest(&SHA256, content);
    let mut blob = "sha256:".to_owned();
    for byte in hash.as_ref() {
        write!(blob, "{byte:02x}").unwrap();
    }
    let token = stack.access_token("repository:dev:pull,push").await;
    let open = stack.call(Method::POST, "/v2/dev/blobs/uploads/", &token);
    let response = open.send().await.unwrap();
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let path = location
        .split_once(NAME)
        .map_or(&*location, |(_, rest)| rest);
    let path = &path[path.find("/v2/").unwrap()..];
    let put = stack.call(Method::PUT, &format!("{path}&digest={blob}"), &token);
    assert_eq!(put.body(content).send().await.unwrap().status(), 201);

    // As Docker and our own client ask: each scope is a parameter.
    let refresh = stack.refresh_token().await;
    let query = format!(
        "/oauth2/token?service={NAME}&scope=repository:prod:pull,push&scope=repository:dev:pull"
    );
    let user = "00000000-0000-0000-0000-000000000000";
    let request = stack
        .call(Method::GET, &query, "")
        .basic_auth(user, Some(refresh));
    let response: Value = request.send().await.unwrap().json().await.unwrap();
    let token = response["access_token"].as_str().unwrap();
    let mount = format!("/v2/prod/blobs/uploads/?mount={blob}&from=dev");
    let mounted = stack
        .call(Method::POST, &mount, token)
        .send()
        .await
        .unwrap();
    assert_eq!(mounted.status(), 201);
}
