//! Two registries: the one behind the fake Azure Container Registry, which requires its tokens,
//! and an open one that mirrors the Trivy database.

use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use super::{LOGIN_SERVER, MIRROR, REGISTRY, host, process};
use crate::paths;
use crate::setup::command::{command, output};

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

/// A password for the registry, for an hour or so, from the program `services`.
///
/// # Errors
/// When the fake Azure Container Registry issues none.
pub(crate) fn password(services: &Path) -> anyhow::Result<String> {
    let mut password = command(&services.to_string_lossy(), ["registry-password"]);
    let password = output(password.env("SEAWORTHY_STATE", paths::state()))?;
    Ok(password.trim().to_owned())
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
