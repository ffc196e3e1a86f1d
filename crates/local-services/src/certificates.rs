//! The certificates of the local services: those of the registry, and those of the cluster.

use std::path::Path;

use serde_json::json;
use testkit::pki::{CertificateAuthority, Leaf};
use xtask::stack::{self, CLUSTER_TOKEN, HOST_ADDRESS, LOGIN_SERVER, NODE, NODE_ADDRESS};

/// Write what is missing.
///
/// # Errors
/// When a file can't be written.
pub(crate) fn write() -> anyhow::Result<()> {
    let tls = stack::registry_tls();
    if !tls.join("ca.crt").is_file() {
        of_registry(&tls)?;
    }
    let pki = stack::cluster_pki();
    if !pki.join("admin.key").is_file() {
        of_cluster(&pki)?;
    }
    Ok(())
}

fn of_registry(directory: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory)?;
    let ca = CertificateAuthority::new("seaworthy local registry")?;
    ca.issue(&Leaf::server(LOGIN_SERVER, &[LOGIN_SERVER, HOST_ADDRESS]))?
        .write(directory, "registry")?;
    ca.issue(&Leaf::server("token signer", &[]))?
        .write(directory, "token")?;
    std::fs::write(directory.join("ca.crt"), ca.certificate())?;
    Ok(())
}

fn of_cluster(pki: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(pki)?;
    let ca = CertificateAuthority::new("seaworthy local cluster")?;
    let names = [
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "127.0.0.1",
        "10.96.0.1",
        NODE_ADDRESS,
    ];
    ca.issue(&Leaf::server("kube-apiserver", &names))?
        .write(pki, "apiserver")?;
    ca.issue(&Leaf::client("kubelet-client", "system:masters"))?
        .write(pki, "kubelet-client")?;
    let node = format!("system:node:{NODE}");
    ca.issue(&Leaf::client(&node, "system:nodes").names(&[NODE, NODE_ADDRESS]))?
        .write(pki, "node")?;
    testkit::pki::signing_key(pki, "accounts")?;
    std::fs::write(pki.join("ca.crt"), ca.certificate())?;
    // The deployment's identity: who Entra's token belongs to in the cluster.
    std::fs::write(
        pki.join("tokens.csv"),
        format!("{CLUSTER_TOKEN},deployer,deployer,\"seaworthy:deployers\"\n"),
    )?;
    let admin = ca.issue(&Leaf::client("admin", "system:masters"))?;
    admin.write(pki, "admin")?;
    access(pki, "admin")?;
    access(pki, "node")
}

// A kubeconfig for the identity `name`, next to the directory of the certificates.
fn access(pki: &Path, name: &str) -> anyhow::Result<()> {
    let directory = pki.parent().unwrap_or(pki);
    let text = |file: &str| {
        std::fs::read_to_string(pki.join(file)).map(|pem| testkit::base64(pem.as_bytes()))
    };
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "seaworthy", "cluster": {
            "server": format!("https://{NODE_ADDRESS}:6443"),
            "certificate-authority-data": text("ca.crt")?,
        }}],
        "users": [{"name": name, "user": {
            "client-certificate-data": text(&format!("{name}.crt"))?,
            "client-key-data": text(&format!("{name}.key"))?,
        }}],
        "contexts": [{"name": "seaworthy", "context": {"cluster": "seaworthy", "user": name}}],
        "current-context": "seaworthy",
    });
    std::fs::write(
        directory.join(format!("{name}.kubeconfig")),
        serde_json::to_vec_pretty(&config)?,
    )?;
    Ok(())
}
