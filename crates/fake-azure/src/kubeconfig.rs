//! The access file that a cluster's users get.

use std::path::Path;

use serde_json::{Value, json};

/// The application of every AKS cluster in Entra.
const SERVER_ID: &str = "6dae42f8-4368-4678-94ff-3960e28e3630";

/// Address and CA certificate of the first cluster of a kubeconfig; read every time, as the file
/// may come later than the server.
pub(super) fn cluster(file: &Path) -> Option<Value> {
    let text = std::fs::read_to_string(file).ok()?;
    let whole: Value = serde_saphyr::from_str(&text).ok()?;
    let mut cluster = whole.pointer("/clusters/0/cluster")?.clone();
    // A path on this machine is of no use to a client elsewhere.
    let ca = cluster.as_object_mut()?.remove("certificate-authority");
    if let Some(path) = ca.as_ref().and_then(Value::as_str) {
        let path = file.parent()?.join(path);
        cluster["certificate-authority-data"] = json!(testkit::base64(&std::fs::read(path).ok()?));
    }
    Some(cluster)
}

/// Cluster and CA certificate only: a user signs in with a token of Entra.
pub(super) fn for_user(name: &str, tenant: &str, cluster: &Value) -> Value {
    let user = json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1beta1", "command": "kubelogin", "env": null,
        "args": ["get-token", "--environment", "AzurePublicCloud", "--server-id", SERVER_ID, "--client-id", "80faf920-1908-4b52-b5ef-a8e7bedfc67a", "--tenant-id", tenant, "--login", "devicecode"],
        "installHint": "kubelogin is not installed which is required to connect to AAD enabled cluster.", "provideClusterInfo": false,
    }});
    kubeconfig(name, cluster, &user)
}

/// The access of a command that runs in the cluster: its token.
pub(super) fn with_token(name: &str, token: &str, cluster: &Value) -> Value {
    kubeconfig(name, cluster, &json!({"token": token}))
}

fn kubeconfig(name: &str, cluster: &Value, user: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": "clusterUser", "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "clusterUser"}}],
        "current-context": name,
    })
}
