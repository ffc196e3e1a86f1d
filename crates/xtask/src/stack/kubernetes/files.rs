//! The files of the node: certificates, kubeconfigs, configurations.

use std::path::Path;

use serde_json::json;
use testkit::pki::{CertificateAuthority, Leaf};

use super::super::serve::{CLUSTER_TOKEN, NODE_IDENTITY};
use super::super::{LOGIN_SERVER, NODE_ADDRESS, registry_ca};
use crate::setup::base_images;

/// The name of the node.
pub(super) const NODE: &str = "seaworthy";

/// Write what is missing.
pub(super) fn write(directory: &Path, pki: &Path, plugins: &Path) -> anyhow::Result<()> {
    for name in [
        "etcd",
        "containerd",
        "kubelet",
        "pod-logs",
        "network",
        "certs.d",
    ] {
        std::fs::create_dir_all(directory.join(name))?;
    }
    if !pki.join("admin.key").is_file() {
        certificates(directory, pki)?;
    }
    std::fs::write(
        directory.join("network/10-seaworthy.conflist"),
        network(directory),
    )?;
    std::fs::write(
        directory.join("containerd.toml"),
        containerd(directory, plugins),
    )?;
    std::fs::write(directory.join("kubelet.yaml"), kubelet(directory, pki))?;
    let certs = directory.join("certs.d").join(LOGIN_SERVER);
    std::fs::create_dir_all(&certs)?;
    let ca = registry_ca();
    let hosts = format!(
        "server = \"https://{LOGIN_SERVER}\"\n[host.\"https://{LOGIN_SERVER}\"]\n  ca = {}\n",
        quoted(&ca)
    );
    std::fs::write(certs.join("hosts.toml"), hosts)?;
    Ok(())
}

fn certificates(directory: &Path, pki: &Path) -> anyhow::Result<()> {
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
    access(directory, pki, "admin")?;
    access(directory, pki, "node")
}

fn access(directory: &Path, pki: &Path, name: &str) -> anyhow::Result<()> {
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

fn network(directory: &Path) -> String {
    json!({
        "cniVersion": "1.0.0",
        "name": "seaworthy",
        "plugins": [
            {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true, "ipam": {
                "type": "host-local", "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}],
                "dataDir": directory.join("network/addresses"),
            }},
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
    .to_string()
}

// A path as a string of TOML.
fn quoted(path: &Path) -> String {
    serde_json::Value::from(path.to_string_lossy()).to_string()
}

fn containerd(directory: &Path, plugins: &Path) -> String {
    let path = |name: &str| quoted(&directory.join(name));
    format!(
        r#"version = 2
root = {}
state = {}
[grpc]
  address = {}
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/{}"
  # Where the process may not lower its score, every sandbox would fail.
  restrict_oom_score_adj = true
  # The pods' network namespaces lie under `state`, so that only these are removed with the node.
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = {}
    conf_dir = {}
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = {}
    [plugins."io.containerd.grpc.v1.cri".registry.configs."{LOGIN_SERVER}".auth]
      username = "{}"
      password = "{}"
"#,
        path("containerd/root"),
        path("containerd/state"),
        path("containerd.sock"),
        base_images::PAUSE,
        quoted(plugins),
        path("network"),
        path("certs.d"),
        NODE_IDENTITY.0,
        NODE_IDENTITY.1,
    )
}

fn kubelet(directory: &Path, pki: &Path) -> String {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": super::cgroups::ROOT,
        "failCgroupV1": false,
        "failSwapOn": false,
        "oomScoreAdj": 0,
        "containerRuntimeEndpoint": format!("unix://{}", directory.join("containerd.sock").display()),
        "authentication": {"anonymous": {"enabled": false}, "webhook": {"enabled": true}, "x509": {"clientCAFile": pki.join("ca.crt")}},
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": pki.join("node.crt"),
        "tlsPrivateKeyFile": pki.join("node.key"),
        "podLogsDir": directory.join("pod-logs"),
        "resolvConf": "",
        "clusterDNS": ["10.96.0.10"],
        "clusterDomain": "cluster.local",
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "100Mi", "imagefs.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,
    })
    .to_string()
}
