//! Two registries: the one behind the stand-in for Azure Container Registry, which wants its tokens,
//! and an open one that mirrors the Trivy database.

use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

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
