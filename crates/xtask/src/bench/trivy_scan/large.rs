//! Large reports: what the step itself costs.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use anyhow::ensure;
use serde_json::json;

use super::{Bench, IMAGE, line};
use crate::bench::median;
use crate::bench::process::{Cost, measure};
use crate::{progress, stack};

/// Findings of the report that has goals, the most that GitHub accepts in one analysis: seconds of CPU, and MB at the peak.
const GOALS: (u32, f64, f64) = (25_000, 0.3, 100.0);

impl Bench {
    /// Reports of 1,000 to 100,000 findings, without Trivy.
    ///
    /// # Errors
    /// When a run fails.
    pub(super) fn large_reports(&self) -> anyhow::Result<()> {
        progress::line("\na report of this many findings, prepared, compressed and uploaded:");
        progress::line("findings   rules   report     CPU      peak     CPU per 1,000");
        for (findings, rules) in [
            (1_000, 200),
            (10_000, 2_000),
            (25_000, 5_000),
            (100_000, 20_000),
        ] {
            let size = self.report(findings, rules)?;
            let mut costs = Vec::new();
            for _ in 0..3 {
                costs.push(self.measured()?);
            }
            costs.sort_by_key(|cost| cost.cpu);
            let cost = costs[costs.len() / 2];
            let per = cost.cpu.as_secs_f64() * 1e6 / f64::from(findings);
            progress::line(format!(
                "{findings:>8}  {rules:>6}  {:>4} MB  {:>5.2} s  {:>5} MB  {per:>8.2} ms",
                size >> 20,
                cost.cpu.as_secs_f64(),
                cost.memory >> 20
            ));
            let (of, seconds, megabytes) = GOALS;
            if findings == of {
                let peak = f64::from(u32::try_from(cost.memory >> 10)?) / 1024.0;
                progress::line(line("seconds of CPU", cost.cpu.as_secs_f64(), seconds));
                progress::line(line("MB at the peak", peak, megabytes));
            }
        }
        let mut first: Vec<Duration> = Vec::new();
        self.report(10, 10)?;
        for _ in 0..11 {
            first.push(self.measured()?.first_line);
        }
        let first = median(first).as_secs_f64() * 1000.0;
        progress::line(format!(
            "\nfrom start to the first line of the log: {first:.1} ms (goal 10)"
        ));
        Ok(())
    }

    fn measured(&self) -> anyhow::Result<Cost> {
        let path = format!(
            "{}:/usr/bin:/bin",
            self.action.directory.join("tools").display()
        );
        let cache = self.action.cache();
        let mut step = self.action.step(&path);
        step.env("INPUT_IMAGE", IMAGE)
            .env("INPUT_CACHE-DIRECTORY", &cache)
            .env("INPUT_OFFLINE", "true")
            .env("INPUT_TOKEN", stack::GITHUB_TOKEN)
            .env("GITHUB_API_URL", &self.receiver);
        measure(&mut step)
    }

    // A Trivy that prints a report of this many findings, and the report's size.
    fn report(&self, findings: u32, rules: u32) -> anyhow::Result<u64> {
        let tools = self.action.directory.join("tools");
        std::fs::create_dir_all(&tools)?;
        let file = tools.join("report.json");
        let mut out = std::io::BufWriter::new(std::fs::File::create(&file)?);
        let severities = ["CRITICAL", "HIGH", "MEDIUM", "LOW"];
        // As long as an advisory's text is on average.
        let text = "A flaw in the handling of crafted input leads to an out-of-bounds write, which may crash the process or execute code. ".repeat(4);
        out.write_all(br#"{"SchemaVersion":2,"ArtifactName":"bench","Metadata":{"OS":{"Family":"debian","Name":"13.8"}},"Results":[{"Target":"bench (debian 13.8)","Class":"os-pkgs","Type":"debian","Packages":["#)?;
        let packages = findings / rules;
        for package in 0..packages * 20 {
            let comma = if package == 0 { "" } else { "," };
            let listed = json!({"ID": format!("p{package}@1.0"), "Name": format!("p{package}"), "Version": "1.0", "Identifier": {"PURL": format!("pkg:deb/debian/p{package}@1.0")}});
            write!(out, "{comma}{listed}")?;
        }
        write!(out, "],\"Vulnerabilities\":[")?;
        for index in 0..findings {
            let (rule, package) = (index % rules, index / rules);
            let comma = if index == 0 { "" } else { "," };
            let id = format!("CVE-2026-{:05}", 10_000 + rule);
            let severity = severities[usize::try_from(rule % 4)?];
            let finding = json!({
                "VulnerabilityID": id, "PkgID": format!("p{package}@1.0"), "PkgName": format!("p{package}"),
                "PkgIdentifier": {"PURL": format!("pkg:deb/debian/p{package}@1.0?arch=amd64&distro=debian-13.8"), "UID": format!("{index:016x}")},
                "InstalledVersion": "1.0", "FixedVersion": "1.1", "Status": "fixed", "SeveritySource": "debian",
                "PrimaryURL": format!("https://avd.aquasec.com/nvd/cve-2026-{rule}"), "Title": format!("p: out-of-bounds write number {rule}"),
                "Description": text, "Severity": severity, "CweIDs": ["CWE-787"], "CVSS": {"nvd": {"V3Vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "V3Score": 9.8}},
                "References": ["https://example.com/a", "https://example.com/b", "https://example.com/c"],
                "PublishedDate": "2026-01-01T00:00:00Z", "LastModifiedDate": "2026-01-01T00:00:00Z",
            });
            write!(out, "{comma}{finding}")?;
        }
        write!(out, "]}}]}}")?;
        out.flush()?;
        let script = format!(
            "#!/bin/sh\ncase \"$1\" in version) echo '{{\"Version\":\"0.72.0\"}}' ;; *) exec cat '{}' ;; esac\n",
            file.display()
        );
        let trivy = tools.join("trivy");
        std::fs::write(&trivy, script)?;
        std::fs::set_permissions(&trivy, std::fs::Permissions::from_mode(0o755))?;
        let size = file.metadata()?.len();
        ensure!(size > 0, "the report is empty");
        Ok(size)
    }
}
