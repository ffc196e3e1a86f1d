//! SBOMs: the packages in a report, in the formats that other tools read.
//!
//! Vulnerabilities are not included: they change daily, and are in the SARIF file.

mod contents;
mod cyclonedx;
mod inventory;
mod spdx;
#[cfg(test)]
mod tests;

use std::io::Write as _;
use std::path::Path;
use std::str::FromStr;

use anyhow::Context as _;
use serde::Serialize;

use contents::Contents;

/// A format of an SBOM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SbomFormat {
    /// CycloneDX 1.6, JSON (cyclonedx.org/docs/1.6/json).
    CycloneDx,
    /// SPDX 2.3, JSON (spdx.github.io/spdx-spec/v2.3).
    Spdx,
}

impl FromStr for SbomFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "cyclonedx" => Ok(Self::CycloneDx),
            "spdx" => Ok(Self::Spdx),
            _ => Err("is not `cyclonedx` or `spdx`".to_owned()),
        }
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

    /// Write the packages of the report `raw` to `file`; the same report gives the same bytes.
    ///
    /// # Errors
    /// When `raw` is not a report, or the file cannot be written.
    pub fn write(self, raw: &[u8], file: &Path) -> anyhow::Result<()> {
        let contents = Contents::parse(raw)?;
        match self {
            Self::CycloneDx => save(&cyclonedx::Document::new(&contents), file),
            Self::Spdx => save(&spdx::document(&contents)?, file),
        }
        .with_context(|| format!("failed to write `{}`", file.display()))
    }
}

fn save(document: &impl Serialize, file: &Path) -> anyhow::Result<()> {
    let mut writer = std::io::BufWriter::new(std::fs::File::create(file)?);
    serde_json::to_writer_pretty(&mut writer, document)?;
    writer.write_all(b"\n")?;
    Ok(writer.flush()?)
}
