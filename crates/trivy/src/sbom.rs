//! The software bill of materials.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use actions_toolkit::{Env, Log};

use crate::error::of;
use crate::{ScanError, tool};

const LIMIT: Duration = Duration::from_secs(120);

/// A format of a software bill of materials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sbom {
    /// CycloneDX, JSON.
    CycloneDx,
    /// SPDX 2.3, JSON.
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

    /// Write the packages of the report at `report` to `file`. Nothing is scanned again.
    ///
    /// # Errors
    /// [`ScanError`] when Trivy does not take the report.
    pub async fn write(
        self,
        report: &Path,
        file: &Path,
        env: &Env,
        log: &Log,
    ) -> Result<(), ScanError> {
        let format = match self {
            Self::CycloneDx => "cyclonedx",
            Self::Spdx => "spdx-json",
        };
        let tool = tool(env)
            // It looks nothing up, and knows none of the flags that keep a scan from it.
            .args(["convert", "--config", "/dev/null"])
            .args(["--format", format, "--output"])
            .arg(file)
            .arg("--")
            .arg(report)
            .limit(LIMIT);
        let title = format!("trivy convert to {format}");
        let done = tool.capture(log, &title).await.map_err(ScanError::Start)?;
        if done.code() == Some(0) {
            return Ok(());
        }
        Err(of(&done, &report.to_string_lossy(), LIMIT))
    }
}
