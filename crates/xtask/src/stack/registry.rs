//! Two registries: the one behind the stand-in for Azure Container Registry, which wants its tokens,
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
/// When one does not come up.
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
/// When the stand-in for Azure Container Registry does not give one.
pub(crate) fn password() -> anyhow::Result<String> {
    let authority = reqwest::Certificate::from_pem(&std::fs::read(super::registry_authority())?)?;
    super::install_tls();
    let http = reqwest::Client::builder()
        .tls_certs_only([authority])
        .build()?;
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
        let answer = http
            .post(url)
            .form(&form)
            .send()
            .await?
            .error_for_status()?;
        let answer: serde_json::Value = answer.json().await?;
        let token = answer["refresh_token"].as_str();
        Ok(token
            .context("the registry's answer has no token")?
            .to_owned())
    })
}

/// Stop both.
pub(super) fn stop() {
    process::stop("mirror");
    process::stop("registry");
}

fn one(name: &str, address: &str, auth: &str) -> anyhow::Result<()> {
    let folder = paths::state().join(name);
    std::fs::create_dir_all(&folder)?;
    let config = folder.join("config.yml");
    std::fs::write(&config, configuration(&folder, address, auth))?;
    process::start(name, command("docker-registry", ["serve"]).arg(&config))?;
    process::wait(name, Duration::from_secs(20), || {
        TcpStream::connect(address).is_ok()
    })
}

fn configuration(folder: &Path, address: &str, auth: &str) -> String {
    format!(
        "version: 0.1\nlog:\n  level: warn\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  addr: {address}\n  relativeurls: true\n{auth}",
        folder.join("data").display()
    )
}
