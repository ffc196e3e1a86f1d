//! Entra and Resource Manager.

use fake_azure::{Azure, AzureConfig};
use serde_json::Value;

use super::client;

const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const MANAGEMENT: &str = "https://management.azure.com/.default";
/// A token of Resource Manager that does not expire soon.
const VALID: &str = "arm-client~9999999999999";

fn config() -> AzureConfig {
    AzureConfig::new("tenant", "client", "sub")
}

async fn assertion(azure: &Azure, audience: &str) -> String {
    let address = format!("{}&audience={audience}", azure.oidc_url());
    let request = client().get(address).bearer_auth("oidc-request-token");
    let body: Value = request.send().await.unwrap().json().await.unwrap();
    body["value"].as_str().unwrap().to_owned()
}

async fn entra(azure: &Azure, tenant: &str, fields: &[(&str, &str)]) -> (u16, Value) {
    let address = format!("{}/{tenant}/oauth2/v2.0/token", azure.url());
    let response = client().post(address).form(fields).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn federated<'a>(assertion: &'a str, scope: &'a str) -> [(&'a str, &'a str); 5] {
    [
        ("grant_type", "client_credentials"),
        ("client_id", "client"),
        ("scope", scope),
        ("client_assertion_type", ASSERTION),
        ("client_assertion", assertion),
    ]
}

#[tokio::test]
async fn a_federated_assertion_is_exchanged() {
    let azure = Azure::start(config()).await.unwrap();
    let good = assertion(&azure, "api://AzureADTokenExchange").await;
    let (status, body) = entra(&azure, "tenant", &federated(&good, MANAGEMENT)).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 3599);
}

#[tokio::test]
async fn each_mistake_has_its_number() {
    let mut other_subject = config();
    other_subject.run_subject = "repo:octo-org/app:ref:refs/heads/fix".into();
    let mut expired = config();
    expired.run_token_life = -60;
    let exchange = "api://AzureADTokenExchange";
    let table = [
        (config(), "elsewhere", exchange, MANAGEMENT, 90002),
        (config(), "tenant", "api://other", MANAGEMENT, 700_212),
        (
            config(),
            "tenant",
            exchange,
            "https://example.com/.default",
            70011,
        ),
        (other_subject, "tenant", exchange, MANAGEMENT, 700_213),
        (expired, "tenant", exchange, MANAGEMENT, 700_024),
    ];
    for (config, tenant, audience, scope, code) in table {
        let azure = Azure::start(config).await.unwrap();
        let token = assertion(&azure, audience).await;
        let (status, body) = entra(&azure, tenant, &federated(&token, scope)).await;
        assert!(status == 400 || status == 401, "{body}");
        assert_eq!(body["error_codes"][0], code, "{body}");
        let description = body["error_description"].as_str().unwrap();
        assert!(description.starts_with(&format!("AADSTS{code}: ")));
        for field in ["timestamp", "trace_id", "correlation_id", "error_uri"] {
            assert!(body[field].is_string(), "{field}");
        }
    }
}

#[tokio::test]
async fn an_assertion_of_another_issuers_key_is_refused() {
    let (azure, stranger) = (Azure::start(config()).await, Azure::start(config()).await);
    let (azure, stranger) = (azure.unwrap(), stranger.unwrap());
    let forged = assertion(&stranger, "api://AzureADTokenExchange").await;
    let (status, body) = entra(&azure, "tenant", &federated(&forged, MANAGEMENT)).await;
    assert_eq!((status, &body["error_codes"][0]), (401, &50027.into()));
}

#[tokio::test]
async fn a_client_secret_is_taken_or_refused() {
    let mut config = config();
    config.client_secret = Some("right".into());
    let azure = Azure::start(config).await.unwrap();
    for (secret, expected) in [("right", 200), ("wrong", 401)] {
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", "client"),
            ("scope", MANAGEMENT),
            ("client_secret", secret),
        ];
        let (status, body) = entra(&azure, "tenant", &fields).await;
        assert_eq!(status, expected, "{body}");
        if expected == 401 {
            assert_eq!(body["error_codes"][0], 7_000_215);
        }
    }
}

#[tokio::test]
async fn resource_manager_wants_its_token_and_a_version() {
    let azure = Azure::start(config()).await.unwrap();
    let cluster = "/subscriptions/sub/resourceGroups/seaworthy/providers/Microsoft.ContainerService/managedClusters/seaworthy";
    let version = "?api-version=2025-10-01";
    let table = [
        ("", version, 401, "AuthenticationFailed"),
        (
            "acr-client",
            version,
            401,
            "InvalidAuthenticationTokenAudience",
        ),
        ("nonsense", version, 401, "InvalidAuthenticationToken"),
        (VALID, "", 400, "MissingApiVersionParameter"),
        (VALID, "-2?api-version=2025-10-01", 404, "ResourceNotFound"),
    ];
    for (token, rest, status, code) in table {
        let request = client().get(format!("{}{cluster}{rest}", azure.url()));
        let request = if token.is_empty() {
            request
        } else {
            request.bearer_auth(token)
        };
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{code}");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["error"]["code"], code);
    }
    let request = client().get(format!("{}{cluster}{version}", azure.url()));
    let body: Value = request
        .bearer_auth(VALID)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(body["type"], "Microsoft.ContainerService/managedClusters");
}
