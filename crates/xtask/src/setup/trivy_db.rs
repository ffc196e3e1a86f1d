//! The local vulnerability database, in the registry from which Trivy downloads it.

use std::path::Path;

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};

use super::command::{command, run};
use crate::paths;

/// The media type of the one layer: an archive of `trivy.db` and `metadata.json`
/// (aquasecurity/trivy, pkg/db).
const LAYER: &str = "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.aquasec.trivy.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Write the database with the tool in `tools`, and push it to `registry` as `trivy-db:2`.
///
/// # Errors
/// When the advisories have a mistake, or the registry rejects it.
pub(crate) fn publish(tools: &Path, registry: &str) -> anyhow::Result<()> {
    let directory = paths::state().join("trivy-db");
    let advisories = paths::root().join("tools/trivy-db/advisories.yaml");
    let writer = tools.join("trivy-db");
    run(&mut command(
        &writer.to_string_lossy(),
        [&advisories, &directory],
    ))
    .context("failed to write the Trivy database")?;
    let archive = directory.join("db.tar.gz");
    let mut tar = command(
        "tar",
        [
            "--create",
            "--gzip",
            "--sort=name",
            "--mtime=@0",
            "--owner=0",
            "--group=0",
            "--directory",
        ],
    );
    run(tar
        .arg(&directory)
        .arg("--file")
        .arg(&archive)
        .args(["metadata.json", "trivy.db"]))?;
    let layer = std::fs::read(&archive)?;
    let config = b"{}".to_vec();
    let manifest = serde_json::to_vec(&serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": digest(&config), "size": config.len()},
        "layers": [{
            "mediaType": LAYER, "digest": digest(&layer), "size": layer.len(),
            "annotations": {"org.opencontainers.image.title": "db.tar.gz"},
        }],
    }))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime
        .block_on(async {
            let http = crate::stack::http_client()?;
            let base = format!("http://{registry}/v2/trivy-db");
            for blob in [config, layer] {
                let upload = http.post(format!("{base}/blobs/uploads/")).send().await?;
                let location = upload
                    .headers()
                    .get("location")
                    .and_then(|l| l.to_str().ok())
                    .map(ToOwned::to_owned);
                let location =
                    location.context("the registry returned no location for the upload")?;
                let mut url = reqwest::Url::parse(&base)?.join(&location)?;
                url.query_pairs_mut().append_pair("digest", &digest(&blob));
                let put = http
                    .put(url)
                    .header("content-type", "application/octet-stream")
                    .body(blob);
                check(&put.send().await?)?;
            }
            let put = http
                .put(format!("{base}/manifests/2"))
                .header("content-type", MANIFEST)
                .body(manifest);
            check(&put.send().await?)
        })
        .context("failed to publish the Trivy database")
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold("sha256:".to_owned(), |text, byte| {
            format!("{text}{byte:02x}")
        })
}

fn check(response: &reqwest::Response) -> anyhow::Result<()> {
    if !response.status().is_success() {
        bail!("the registry responded with {}", response.status());
    }
    Ok(())
}
