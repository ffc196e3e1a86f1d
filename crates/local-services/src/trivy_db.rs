//! Publishing the local vulnerability database in the registry from which Trivy downloads it.

use std::path::Path;

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};

/// The media type of the one layer: an archive of `trivy.db` and `metadata.json`
/// (aquasecurity/trivy, pkg/db).
const LAYER: &str = "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.aquasec.trivy.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Push the database in `archive` to `registry` as `trivy-db:2`.
///
/// # Errors
/// When the registry rejects it.
pub(crate) fn publish(registry: &str, archive: &Path) -> anyhow::Result<()> {
    let layer = std::fs::read(archive)
        .with_context(|| format!("failed to read `{}`", archive.display()))?;
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
    crate::runtime()?
        .block_on(async {
            let http = reqwest::Client::new();
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
