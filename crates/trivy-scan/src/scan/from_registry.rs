//! The scan of an image that a registry listed: not at all if its report is known, from its SBOM, or from its layers.

use actions_toolkit::Log;
use anyhow::Context as _;
use oci::ImageRef;
use trivy::{Scanned, Scanner, Target};

use super::attached_sbom::{attached_sbom, is_attached};
use super::records::{Record, Records};
use super::{Scans, trivy_scan};
use crate::request::{Listed, TargetRequest};
use crate::vex::TargetVex;

impl Scans<'_> {
    /// The report of `target`, and how it came about, for the summary.
    ///
    /// # Errors
    /// When the scan fails.
    pub(super) async fn scanned(
        &self,
        target: &TargetRequest,
        log: &Log,
        records: Option<&Records>,
    ) -> anyhow::Result<((Scanned, TargetVex), String)> {
        let (Some(listed), Target::Image(image)) = (&target.listed, &target.target) else {
            return Ok((self.run(target, log).await?, String::new()));
        };
        let image: ImageRef = image.parse()?;
        // What refers to an image, and what a repository has, may change at any time.
        let request = self.request;
        let is_fixed = !request.vex.has_referrers() && request.vex.repositories.is_empty();
        let records = records.filter(|_| is_fixed);
        let mut vex = TargetVex::default();
        let scan = trivy_scan(self.request, target);
        let known = records.and_then(|records| records.read(&scan, &image));
        let is_known = known.is_some();
        let record = if let Some(known) = known {
            log.info(format!(
                "{} was scanned before with this database",
                target.input
            ));
            known
        } else {
            let from_sbom = self.scan_sbom(target, listed, &image, log).await?;
            let is_from_sbom = from_sbom.is_some();
            let scanned;
            (scanned, vex) = match from_sbom {
                Some(scanned) => scanned,
                None => self.run(target, log).await?,
            };
            let record = Record {
                scanned,
                is_from_sbom,
            };
            if let Some(Err(error)) = records.map(|records| records.write(&scan, &image, &record)) {
                log.warning(format!(
                    "failed to keep the report of {} for the next run: {error}",
                    target.input
                ));
            }
            record
        };
        let mut note = String::new();
        if record.is_from_sbom {
            note.push_str(", from its SBOM");
        } else if !is_known
            && scan.scanners.contains(&Scanner::Secrets)
            && self.has_sbom(&image).await
        {
            note.push_str(", from its layers: its SBOM has no files to search for secrets");
        }
        if is_known {
            note.push_str(", scanned before with this database");
        }
        if !listed.also.is_empty() {
            note.push_str(&format!(", also tagged {}", listed.also.join(", ")));
        }
        Ok(((record.scanned, vex), note))
    }

    // Only a hint depends on it: a registry that does not list what refers to the image is not a problem here.
    async fn has_sbom(&self, image: &ImageRef) -> bool {
        let (Some(registry), Some(digest)) = (&self.registry, image.digest()) else {
            return false;
        };
        let attached = is_attached(registry, image.repository(), digest).await;
        attached.unwrap_or(false)
    }

    // The scan of the SBOM that is attached to the image; `None` if there is none, or it can't be scanned, or files are to be scanned.
    async fn scan_sbom(
        &self,
        target: &TargetRequest,
        listed: &Listed,
        image: &ImageRef,
        log: &Log,
    ) -> anyhow::Result<Option<(Scanned, TargetVex)>> {
        let request = self.request;
        let mut scan = trivy_scan(request, target);
        let (Some(registry), Some(digest)) = (&self.registry, image.digest()) else {
            return Ok(None);
        };
        if scan.scanners.contains(&Scanner::Secrets) {
            return Ok(None);
        }
        let sbom = attached_sbom(registry, image.repository(), &listed.root, digest).await;
        let sbom = match sbom {
            Ok(Some(sbom)) => sbom,
            Ok(None) => return Ok(None),
            Err(error) => {
                log.warning(format!(
                    "{error:#}; scanning the layers of {}",
                    target.input
                ));
                return Ok(None);
            }
        };
        let directory = self.ctx.private_directory("sbom")?;
        let file = directory.path().join("sbom.json");
        std::fs::write(&file, sbom).context("failed to write the SBOM")?;
        scan.target = Target::Sbom(file.clone());
        // It is bound to the digest, which its report does not have.
        let vex = self.vex.add_to(&mut scan, self.ctx, request, target);
        let vex = vex.await?;
        scan.config.clone_from(&self.trivy_config);
        let scanned = match scan.run(self.ctx.env(), log).await {
            Ok(scanned) => scanned,
            Err(error) => {
                log.warning(format!(
                    "failed to scan the SBOM of {}: {error:#}; scanning its layers",
                    target.input
                ));
                return Ok(None);
            }
        };
        // The file is gone after the run.
        let (path, name) = (file.to_string_lossy().into_owned(), image.to_string());
        let renamed = move || {
            let raw = String::from_utf8_lossy(&scanned.raw).replace(&path, &name);
            Scanned::parse(raw.into_bytes())
        };
        let scanned = tokio::task::spawn_blocking(renamed).await??;
        Ok(Some((scanned, vex)))
    }
}
