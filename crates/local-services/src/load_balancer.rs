//! The load balancer's controller: what a cloud does for a Service of type `LoadBalancer`.
//!
//! Each such Service gets the next address of 10.77.1.0/24 in its status; kube-proxy does the rest. A
//! Service annotated `seaworthy/no-address: "true"` never gets one.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

const PERIOD: Duration = Duration::from_millis(500);

/// Assign addresses. The cluster may come and go: the Services are read every half second.
pub(crate) async fn run(pki: &Path, server: &str) {
    loop {
        if let Err(e) = serve(pki, server).await {
            xtask::progress::line(format!("load balancer: {e:#}"));
        }
        tokio::time::sleep(PERIOD * 4).await;
    }
}

async fn serve(pki: &Path, server: &str) -> anyhow::Result<()> {
    // Until the cluster's files are there, there is no cluster.
    let Ok(ca) = std::fs::read(pki.join("ca.crt")) else {
        return Ok(());
    };
    let mut identity = std::fs::read(pki.join("admin.crt"))?;
    identity.extend(std::fs::read(pki.join("admin.key"))?);
    let http = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&ca)?])
        .identity(reqwest::Identity::from_pem(&identity)?)
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .build()?;
    loop {
        let Ok(response) = http.get(format!("{server}/api/v1/services")).send().await else {
            return Ok(());
        };
        // A new cluster rejects the certificate of the old one: read the files again.
        let response = response
            .error_for_status()
            .context("failed to list the Services")?;
        let services: Value = response
            .json()
            .await
            .context("failed to read the Services")?;
        let services = services["items"].as_array().cloned().unwrap_or_default();
        // One at a time: its address is then among those taken.
        if let Some(service) = services.iter().find(|service| waits(service)) {
            let address = free_address(&services).context("no address is left")?;
            let meta = &service["metadata"];
            let (namespace, name) = (
                meta["namespace"].as_str().unwrap_or_default(),
                meta["name"].as_str().unwrap_or_default(),
            );
            http.patch(format!(
                "{server}/api/v1/namespaces/{namespace}/services/{name}/status"
            ))
            .header("content-type", "application/merge-patch+json")
            .body(json!({"status": {"loadBalancer": {"ingress": [{"ip": address}]}}}).to_string())
            .send()
            .await?
            .error_for_status()
            .with_context(|| format!("failed to assign an address to `{namespace}/{name}`"))?;
        }
        tokio::time::sleep(PERIOD).await;
    }
}

fn address(service: &Value) -> Option<&str> {
    service
        .pointer("/status/loadBalancer/ingress/0/ip")?
        .as_str()
}

fn waits(service: &Value) -> bool {
    service.pointer("/spec/type") == Some(&json!("LoadBalancer"))
        && service.pointer("/metadata/annotations/seaworthy~1no-address") != Some(&json!("true"))
        && service.pointer("/metadata/deletionTimestamp").is_none()
        && address(service).is_none()
}

fn free_address(services: &[Value]) -> Option<String> {
    let taken: Vec<_> = services.iter().filter_map(address).collect();
    (10..=250)
        .map(|last| format!("10.77.1.{last}"))
        .find(|free| !taken.contains(&free.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_load_balancer_without_an_address_waits_for_one() {
        let service = |kind: &str, ip: Option<&str>, annotation: &str| {
            let ingress: Vec<_> = ip.iter().map(|ip| json!({"ip": ip})).collect();
            json!({"metadata": {"annotations": {"seaworthy/no-address": annotation}}, "spec": {"type": kind}, "status": {"loadBalancer": {"ingress": ingress}}})
        };
        assert!(waits(&service("LoadBalancer", None, "false")));
        assert!(!waits(&service(
            "LoadBalancer",
            Some("10.77.1.10"),
            "false"
        )));
        assert!(!waits(&service("LoadBalancer", None, "true")));
        assert!(!waits(&service("ClusterIP", None, "false")));
        let taken = [service("LoadBalancer", Some("10.77.1.10"), "")];
        assert_eq!(free_address(&taken).unwrap(), "10.77.1.11");
    }
}
