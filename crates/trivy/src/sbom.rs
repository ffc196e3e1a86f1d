//! SBOMs: the packages in a report, in the formats that other tools read.
//!
//! Vulnerabilities are not included: they change daily, and are in the SARIF file.

mod contents;
mod cyclonedx;
mod inventory;
mod spdx;
#[cfg(test)]
mod tests;

use actions_toolkit::choice;
use serde::Serialize;

use contents::Contents;

choice! {
    /// A format of an SBOM.
    #[derive(PartialEq, Eq)]
    pub enum SbomFormat {
        /// CycloneDX 1.6, JSON (cyclonedx.org/docs/1.6/json).
        CycloneDx = "cyclonedx",
        /// SPDX 2.3, JSON (spdx.github.io/spdx-spec/v2.3).
        Spdx = "spdx",
    }
}

impl SbomFormat {
    /// The file extension that the format's specification recommends.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::CycloneDx => "cdx.json",
            Self::Spdx => "spdx.json",
        }
    }

    /// The SBOM of the report `raw`; the same report gives the same bytes.
    ///
    /// # Errors
    /// When `raw` is not a report.
    pub fn render(self, raw: &[u8]) -> anyhow::Result<Vec<u8>> {
        let contents = Contents::parse(raw)?;
        match self {
            Self::CycloneDx => to_json(&cyclonedx::Document::new(&contents)),
            Self::Spdx => to_json(&spdx::document(&contents)?),
        }
    }
}

fn to_json(document: &impl Serialize) -> anyhow::Result<Vec<u8>> {
    let mut json = serde_json::to_vec_pretty(document)?;
    json.push(b'\n');
    Ok(json)
}
