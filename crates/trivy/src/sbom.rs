//! The software bill of materials: what a report says is in the artifact, in the formats that others read.
//!
//! Packages only. What is known against them changes by the day, and is in the SARIF file.

mod bill;
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

use bill::Bill;

/// A format of a software bill of materials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sbom {
    /// CycloneDX 1.6, JSON (cyclonedx.org/docs/1.6/json).
    CycloneDx,
    /// SPDX 2.3, JSON (spdx.github.io/spdx-spec/v2.3).
    Spdx,
}

impl FromStr for Sbom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "cyclonedx" => Ok(Self::CycloneDx),
            "spdx" => Ok(Self::Spdx),
            _ => Err("is none of `cyclonedx`, `spdx`".to_owned()),
        }
    }
}

impl Sbom {
    /// The end of a file's name, as the formats' own sites have it.
    pub const fn ending(self) -> &'static str {
        match self {
            Self::CycloneDx => "cdx.json",
            Self::Spdx => "spdx.json",
        }
    }

    /// Write what the report `raw` lists to `file`: the same report gives the same bytes.
    ///
    /// # Errors
    /// When `raw` is no report, or the file can't be written.
    pub fn write(self, raw: &[u8], file: &Path) -> anyhow::Result<()> {
        let bill = Bill::of(raw)?;
        match self {
            Self::CycloneDx => save(&cyclonedx::Document::of(&bill), file),
            Self::Spdx => save(&spdx::Document::of(&bill), file),
        }
        .with_context(|| format!("while writing `{}`", file.display()))
    }
}

fn save(document: &impl Serialize, file: &Path) -> anyhow::Result<()> {
    let mut writer = std::io::BufWriter::new(std::fs::File::create(file)?);
    serde_json::to_writer_pretty(&mut writer, document)?;
    writer.write_all(b"\n")?;
    Ok(writer.flush()?)
}
