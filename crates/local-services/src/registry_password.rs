//! A password for the fake Azure Container Registry.

use anyhow::Context as _;
use xtask::stack;

/// Exchange the token of the deployment's identity for one of the registry.
///
/// # Errors
/// When the registry issues none.
pub(crate) fn get() -> anyhow::Result<String> {
    let ca = reqwest::Certificate::from_pem(&std::fs::read(stack::registry_ca())?)?;
    let http = reqwest::Client::builder().tls_certs_only([ca]).build()?;
    let token = format!("acr-{}", stack::CLIENT);
    let form = [
        ("grant_type", "access_token"),
        ("service", stack::LOGIN_SERVER),
        ("tenant", stack::TENANT),
        ("access_token", &token),
    ];
    crate::runtime()?.block_on(async {
        let url = format!("https://{}/oauth2/exchange", stack::LOGIN_SERVER);
        let response = http
            .post(url)
            .form(&form)
            .send()
            .await?
            .error_for_status()?;
        let response: serde_json::Value = response.json().await?;
        let token = response["refresh_token"].as_str();
        Ok(token
            .context("the registry's response has no token")?
            .to_owned())
    })
}
