//! The files of the node: certificates, kubeconfigs, configurations.

use std::path::Path;

use serde_json::json;

use super::super::serve::NODE_IDENTITY;
use super::super::{LOGIN_SERVER, registry_ca};
use crate::setup::base_images;

/// Write what is missing.
pub(super) fn write(directory: &Path, pki: &Path, plugins: &Path) -> anyhow::Result<()> {
    for name in [
        "etcd",
        "containerd",
        "kubelet",
        super::POD_LOGS,
        "network",
        "certs.d",
    ] {
        std::fs::create_dir_all(directory.join(name))?;
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
        "podLogsDir": directory.join(super::POD_LOGS),
        "resolvConf": "",
        "clusterDNS": ["10.96.0.10"],
        "clusterDomain": "cluster.local",
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "100Mi", "imagefs.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,
    })
    .to_string()
}
