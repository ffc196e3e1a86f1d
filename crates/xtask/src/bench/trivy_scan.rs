//! The trivy-scan action compared with Trivy itself, and its own cost on a large report.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::json;

use super::action::Action;
use super::process::{Cost, measure};
use super::{median, timed};
use crate::setup::builds::PIPELINE;
use crate::setup::command::{command, run as run_command};
use crate::stack::{self, Stack};
use crate::{browser, progress};

const ROUNDS: usize = 5;
const IMAGE: &str = "seaworthy/flask-app:bench";

/// Print every figure.
///
/// # Errors
/// When a part of it fails.
pub(super) fn run() -> anyhow::Result<()> {
    let stack = stack::up(PIPELINE)?;
    let bench = Bench {
        action: Action::build("trivy-scan")?,
        receiver: receiver()?,
    };
    bench.compare_with_trivy(&stack)?;
    bench.large_reports()
}

fn receiver() -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").context("failed to open a port")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A connection that breaks is the client's to report.
            let _ = respond(&stream);
        }
    });
    Ok(format!("http://{address}"))
}

// One request, its body read to the end, and one response.
fn respond(mut stream: &TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    let (status, body) = if first.starts_with("POST") {
        ("202 Accepted", r#"{"id":"1","url":"http://127.0.0.1/1"}"#)
    } else {
        (
            "200 OK",
            r#"{"processing_status":"complete","analyses_url":null,"errors":null}"#,
        )
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

struct Bench {
    action: Action,
    // Accepts uploads and drops them: the fake GitHub parses every result, which must not be measured.
    receiver: String,
}

impl Bench {
    // One step with every output against one bare run, and against the three that are commonly chained.
    fn compare_with_trivy(&self, stack: &Stack) -> anyhow::Result<()> {
        progress::step("building the image that is scanned", || {
            browser::build(IMAGE)
        })?;
        let trivy = stack.builds.wait("trivy")?;
        let cache = self.action.cache();
        self.action.database(stack)?;
        let path = format!("{}:/usr/bin:/bin", trivy.display());
        let server = stack::GITHUB;
        let mut step = self.action.step(&path);
        step.env("INPUT_IMAGE", IMAGE)
            .env("INPUT_CACHE-DIRECTORY", &cache)
            .env("INPUT_OFFLINE", "true")
            .env("INPUT_TOKEN", stack::GITHUB_TOKEN)
            .env("GITHUB_API_URL", format!("http://{server}"))
            .env("INPUT_SBOM", "cyclonedx,spdx");
        let bare = |format: &str, extra: &[&str]| {
            let mut trivy = command(
                &trivy.join("trivy").to_string_lossy(),
                ["image", "--format", format],
            );
            trivy
                .args([
                    "--skip-db-update",
                    "--skip-version-check",
                    "--disable-telemetry",
                    "--cache-dir",
                ])
                .arg(&cache)
                .args(["--output", "/dev/null", "--quiet"])
                .args(extra)
                .arg(IMAGE);
            trivy
        };
        let mut without = self.action.step(&path);
        without
            .env("INPUT_IMAGE", IMAGE)
            .env("INPUT_CACHE-DIRECTORY", &cache)
            .env("INPUT_OFFLINE", "true")
            .env("INPUT_TOKEN", stack::GITHUB_TOKEN)
            .env("GITHUB_API_URL", format!("http://{server}"));
        for fresh in [true, false] {
            let mut times: [Vec<Duration>; 4] = Default::default();
            for round in 0..=ROUNDS {
                self.forget(fresh);
                let step = measure(&mut step)?.wall;
                self.forget(fresh);
                let without = measure(&mut without)?.wall;
                let json = ["--list-all-pkgs", "--show-suppressed"];
                self.forget(fresh);
                let one = timed(|| run_command(&mut bare("json", &json)))?;
                self.forget(fresh);
                let three = timed(|| {
                    run_command(&mut bare("table", &[]))?;
                    run_command(&mut bare("sarif", &[]))?;
                    run_command(&mut bare(
                        "json",
                        &["--severity", "CRITICAL", "--exit-code", "1"],
                    ))
                })?;
                // The first round fills the caches.
                if round > 0 {
                    for (list, time) in times.iter_mut().zip([step, without, one, three]) {
                        list.push(time);
                    }
                }
            }
            print(fresh, times);
        }
        Ok(())
    }

    // A fresh runner has the database from its cache, and has looked at no layer yet.
    fn forget(&self, fresh: bool) {
        if fresh {
            let _ = std::fs::remove_dir_all(self.action.cache().join("fanal"));
        }
    }

    fn large_reports(&self) -> anyhow::Result<()> {
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

fn print(fresh: bool, times: [Vec<Duration>; 4]) {
    let [step, without, one, three] = times.map(|list| median(list).as_secs_f64());
    let runner = if fresh {
        "on a fresh runner"
    } else {
        "with every layer in Trivy's cache"
    };
    progress::line(format!(
        "\n{runner}: one step with every output: {step:.2} s; without the two SBOMs: {without:.2} s; one bare run: {one:.2} s; three runs (table, SARIF, gate): {three:.2} s"
    ));
    progress::line(format!(
        "  ÷ one bare run: {:.2} (without SBOMs {:.2}, goal 1.10)",
        step / one,
        without / one
    ));
    progress::line(format!(
        "  ÷ three runs: {:.2} (without SBOMs {:.2}, goal 0.45)",
        step / three,
        without / three
    ));
}
