//! Two registries: the one behind the fake Azure Container Registry, which requires its tokens,
//! and an open one that mirrors the Trivy database.

use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use super::{LOGIN_SERVER, MIRROR, REGISTRY, host, process};
use crate::paths;
use crate::setup::command::command;

/// Start both.
///
/// # Errors
/// When one does not start.
pub(super) fn start() -> anyhow::Result<()> {
    let certificate = host::tls().join("token.crt");
    let token = format!(
        "auth:\n  token:\n    realm: https://{LOGIN_SERVER}/oauth2/token\n    service: {LOGIN_SERVER}\n    issuer: {LOGIN_SERVER}\n    rootcertbundle: {}\n",
        certificate.display()
    );
    one("registry", REGISTRY, &token)?;
    one("mirror", MIRROR, "")
}

/// A password for the registry, for an hour or so: what `az acr login --expose-token` would print.
///
/// # Errors
/// When the fake Azure Container Registry issues none.
pub(crate) fn password() -> anyhow::Result<String> {
    let ca = reqwest::Certificate::from_pem(&std::fs::read(super::registry_ca())?)?;
    super::install_tls();
    let http = reqwest::Client::builder().tls_certs_only([ca]).build()?;
    let token = format!("acr-{}", super::CLIENT);
    let form = [
        ("grant_type", "access_token"),
        ("service", LOGIN_SERVER),
        ("tenant", super::TENANT),
        ("access_token", &token),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let url = format!("https://{LOGIN_SERVER}/oauth2/exchange");
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

/// Stop both.
pub(super) fn stop() {
    process::stop("mirror");
    process::stop("registry");
}

fn one(name: &str, address: &str, auth: &str) -> anyhow::Result<()> {
    let directory = paths::state().join(name);
    std::fs::create_dir_all(&directory)?;
    let config = directory.join("config.yml");
    std::fs::write(&config, configuration(&directory, address, auth))?;
    process::start(name, command("docker-registry", ["serve"]).arg(&config))?;
    process::wait(name, Duration::from_secs(20), || {
        TcpStream::connect(address).is_ok()
    })
}

fn configuration(directory: &Path, address: &str, auth: &str) -> String {
    format!(
        "version: 0.1\nlog:\n  level: warn\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  addr: {address}\n  relativeurls: true\n{auth}",
        directory.join("data").display()
    )
}
