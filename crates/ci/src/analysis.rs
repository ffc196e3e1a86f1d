//! Static analysis: linters from the environment of the test stage, or from the runner.
//!
//! A linter of the test stage has what the tests have: the versions and plugins that the project locked, and the types
//! of its packages.

mod findings;
mod linter_host;
pub(crate) mod linters;
mod settings;

use std::sync::Arc;

use ::findings::Finding;
use actions_toolkit::{PolicyFailure, text, with_timeout};
use anyhow::{Context as _, bail};
use docker::{Container, ContainerSpec, ImageInfo};
use futures_util::future::join_all;
use serde::Deserialize;
use trivy::Severity;

use crate::job::Job;
use crate::request::Linting;
use crate::request::build::DOCKERFILE_LIMIT;
use crate::source_map::SourceMap;

use findings::Places;
use linter_host::{LinterHost, LinterOutput};
use linters::{Diagnostic, Linter, output};

/// The result of the linters.
#[derive(Debug, Default)]
pub(crate) struct Analysis {
    /// The linters that ran, in the order of [`LINTERS`](linters::LINTERS).
    pub(crate) linted: Vec<Linted>,
    /// The names of the linters that are not installed.
    pub(crate) missing: Vec<&'static str>,
    /// The linters that are installed and could not run, with the reason.
    pub(crate) unusable: Vec<(&'static str, String)>,
    /// The files of the checkout from which they take settings, relative to the build context.
    pub(crate) settings: Vec<String>,
    /// Of the packages in the test stage.
    pub(crate) licenses: Vec<License>,
}

/// The result of a linter.
#[derive(Debug)]
pub(crate) struct Linted {
    pub(crate) linter: &'static Linter,
    /// `test stage` or `runner`.
    pub(crate) host: &'static str,
    /// The most severe first, at most 10,000.
    pub(crate) findings: Vec<Finding>,
    /// The severities of the others.
    pub(crate) not_kept: Vec<Severity>,
    /// Findings in installed packages, which are left out.
    pub(crate) of_packages: usize,
}

impl Linted {
    /// The severity of each finding.
    pub(crate) fn severities(&self) -> impl Iterator<Item = Severity> {
        let kept = self.findings.iter().map(|finding| finding.severity);
        kept.chain(self.not_kept.iter().copied())
    }
}

/// Name, version and license of a package, from its metadata.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct License(pub(crate) String, pub(crate) String, pub(crate) String);

/// Run the requested linters in a container of the test stage `image`, and add the results to `analysis`.
///
/// # Errors
/// A [`PolicyFailure`] when there is a finding at or over the threshold; another error when a linter fails.
pub(crate) async fn run(
    job: &Job<'_>,
    linting: &Linting,
    image: &ImageInfo,
    analysis: &mut Analysis,
) -> anyhow::Result<()> {
    let spec = ContainerSpec {
        image: image.id.clone(),
        entrypoint: vec!["sleep".to_owned()],
        cmd: vec![linting.timeout.as_secs().to_string()],
        network: Some("none".to_owned()),
        security_opt: vec!["no-new-privileges".to_owned()],
        auto_remove: true,
        run: job.run.to_owned(),
        ..ContainerSpec::default()
    };
    // A stage without `sleep` has no linters.
    let container = job.docker.start(&spec).await.ok();
    let limit = ("test-timeout", linting.timeout);
    let work = run_all(job, linting, image, container.as_ref(), analysis);
    // The container is removed with those of the run.
    with_timeout(job.ctx.log(), "the static analysis", limit, work).await??;
    for linted in &analysis.linted {
        let findings = text::plural(linted.severities().count(), "finding");
        let name = linted.linter.name;
        let left_out = match linted.of_packages {
            0 => String::new(),
            count => format!(", without {count} in installed packages"),
        };
        job.log
            .info(format!("{name} ({}): {findings}{left_out}", linted.host));
    }
    linting.check(&analysis.linted)
}

async fn run_all(
    job: &Job<'_>,
    linting: &Linting,
    image: &ImageInfo,
    container: Option<&Container>,
    analysis: &mut Analysis,
) -> anyhow::Result<()> {
    let places = Arc::new(Places::new(job.request, SourceMap::new(job.request, image)));
    let host = LinterHost::new(job, container, &image.config);
    let build = &job.request.build;
    let workspace = job.request.workspace.root();
    let dockerfile = build.dockerfile.in_workspace.as_ref();
    let dockerfile = limits::read(workspace, dockerfile, DOCKERFILE_LIMIT)
        .context("failed to read the Dockerfile")?;
    host.copy_dockerfile(&dockerfile).await;
    let (context, linters) = (build.context.clone(), linting.linters.clone());
    let settings = tokio::task::spawn_blocking(move || settings::of_linters(&context, &linters));
    let runs = linting.linters.iter();
    let runs = runs.map(|linter| run_one(&host, linter, &places));
    let (runs, licenses) = tokio::join!(join_all(runs), host.licenses());
    analysis.licenses = licenses;
    analysis.settings = settings.await.context("failed to look for settings")?;
    for (linter, run) in linting.linters.iter().zip(runs) {
        match run {
            Ok(Some(linted)) => analysis.linted.push(linted),
            Ok(None) => analysis.missing.push(linter.name),
            Err(e) if linting.required => {
                return Err(e.context(format!("failed to run {}", linter.name)));
            }
            // It was found, and not asked for: what it can't do is not a fault of the code.
            Err(e) => {
                let version = host.version(linter).await;
                let reason = match version {
                    Some(version) => format!("{version}: {e:#}"),
                    None => format!("{e:#}"),
                };
                job.log
                    .warning(format!("{} could not run: {reason}", linter.name));
                analysis.unusable.push((linter.name, reason));
            }
        }
    }
    if linting.required && !analysis.missing.is_empty() {
        bail!(
            "{} neither in the test stage nor on the runner; install it in {}, or remove it from `static-analysis`",
            with_verb(&analysis.missing),
            job.request
                .tests
                .as_ref()
                .map_or("the test stage".to_owned(), |tests| tests
                    .target
                    .to_string()),
        );
    }
    Ok(())
}

fn with_verb(names: &[&str]) -> String {
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", names.join(", "))
}

async fn run_one(
    host: &LinterHost<'_>,
    linter: &'static Linter,
    places: &Arc<Places>,
) -> anyhow::Result<Option<Linted>> {
    let Some(output) = host.run(linter).await? else {
        return Ok(None);
    };
    if output.is_old {
        let version = host.version(linter).await;
        let version = version.unwrap_or_else(|| format!("this version of {}", linter.name));
        host.note(format!(
            "{version} does not know the options of newer ones; its text is read"
        ));
    }
    // A report may be large, and be about thousands of files.
    let places = Arc::clone(places);
    let read = tokio::task::spawn_blocking(move || read(linter, &output, &places));
    read.await.context("failed to read its output")?.map(Some)
}

fn read(linter: &'static Linter, output: &LinterOutput, places: &Places) -> anyhow::Result<Linted> {
    let old = linter.old.as_ref().filter(|_| output.is_old);
    let parse = old.map_or(linter.parse, |old| old.parse);
    if !linter.exit_codes.contains(&output.code) {
        // A file that can't be parsed stops some of them, after they have named it.
        let mut named = output::unparsed(&output.text);
        named.extend(parse(&output.stdout).unwrap_or_default());
        let is_of_setup = |diagnostic: &Diagnostic| {
            let messages = ["Duplicate module named", "Source file found twice"];
            messages
                .iter()
                .any(|text| diagnostic.message.starts_with(text))
        };
        let of_setup = named.iter().find(|diagnostic| is_of_setup(diagnostic));
        if let Some(diagnostic) = of_setup {
            bail!("{}", shortened(&diagnostic.message));
        }
        if !named.is_empty() {
            return Ok(linted(linter, output.host, named, places));
        }
        let last: Vec<_> = output.text.lines().rev().take(3).collect();
        let last: Vec<_> = last.into_iter().rev().map(shortened).collect();
        bail!("exited with code {}: {}", output.code, last.join(" / "));
    }
    let diagnostics = parse(&output.stdout)
        .map_err(|e| anyhow::anyhow!("its output is invalid: {}", shortened(&e)))?;
    if output.code != 0 && diagnostics.is_empty() && linter.name != "pip check" {
        bail!("exited with code {} without a finding", output.code);
    }
    Ok(linted(linter, output.host, diagnostics, places))
}

fn linted(
    linter: &'static Linter,
    host: &'static str,
    mut diagnostics: Vec<Diagnostic>,
    places: &Places,
) -> Linted {
    let all = diagnostics.len();
    diagnostics.retain(|diagnostic| {
        let path = diagnostic.path.as_deref();
        !path.is_some_and(|path| is_of_package(places.inside(path)))
    });
    let of_packages = all - diagnostics.len();
    let (findings, not_kept) = findings::from_diagnostics(places, diagnostics);
    Linted {
        linter,
        host,
        findings,
        not_kept,
        of_packages,
    }
}

// In an environment or a package inside of the build context, such as uv's `.venv`.
fn is_of_package(path: &str) -> bool {
    const DIRECTORIES: &[&str] = &[
        ".eggs",
        ".nox",
        ".pixi",
        ".tox",
        ".venv",
        "__pypackages__",
        "dist-packages",
        "node_modules",
        "site-packages",
        "venv",
    ];
    path.split('/').any(|part| DIRECTORIES.contains(&part))
}

// A linter may quote a whole file in its message.
fn shortened(message: &str) -> &str {
    text::cut(message, 1000)
}

impl Linting {
    fn check(&self, linted: &[Linted]) -> anyhow::Result<()> {
        let Some(threshold) = self.fail_on else {
            return Ok(());
        };
        let over = |linted: &Linted| {
            let severities = linted.severities();
            severities.filter(|severity| *severity >= threshold).count()
        };
        let parts: Vec<_> = linted
            .iter()
            .filter(|linted| over(linted) > 0)
            .map(|linted| format!("{} {}", linted.linter.name, over(linted)))
            .collect();
        if parts.is_empty() {
            return Ok(());
        }
        let total = linted.iter().map(over).sum();
        let total = text::plural(total, "finding");
        let level = level(threshold);
        Err(PolicyFailure(format!(
            "static analysis: {total} of level `{level}` or worse ({})",
            parts.join(", ")
        ))
        .into())
    }
}

/// The level of a finding of a linter, as `fail-on-analysis` and GitHub's annotations name it.
pub(crate) const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Unknown => "note",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actions_toolkit::ExitStatus;

    #[test]
    fn findings_under_the_threshold_do_not_fail() {
        let linted = [Linted {
            linter: &linters::LINTERS[0],
            host: "test stage",
            findings: findings::tests::findings(&[Severity::Medium, Severity::Low]),
            not_kept: Vec::new(),
            of_packages: 0,
        }];
        let check = |fail_on| {
            let linting = Linting {
                linters: Vec::new(),
                required: false,
                fail_on,
                timeout: std::time::Duration::from_secs(1),
            };
            let verdict = linting.check(&linted).err();
            verdict.map(|e| (ExitStatus::from_error(&e).code(), e.to_string()))
        };
        assert_eq!(check(None), None);
        assert_eq!(check(Some(Severity::High)), None);
        let failure = |count: &str, level: &str, number| {
            let text =
                format!("static analysis: {count} of level `{level}` or worse (ruff {number})");
            Some((1, text))
        };
        assert_eq!(
            check(Some(Severity::Medium)),
            failure("1 finding", "warning", 1)
        );
        assert_eq!(check(Some(Severity::Low)), failure("2 findings", "note", 2));
    }

    fn read_output(
        name: &str,
        code: i64,
        stdout: &str,
        stderr: &str,
        is_old: bool,
    ) -> Result<Vec<String>, String> {
        let linter = linters::LINTERS.iter().find(|linter| linter.name == name);
        let request = crate::report::tests::request();
        let source_map = SourceMap::new(&request, &ImageInfo::default());
        let places = Places::new(&request, source_map);
        let output = LinterOutput {
            host: "test stage",
            code,
            stdout: stdout.to_owned(),
            text: format!("{stdout}{stderr}"),
            is_old,
        };
        let linted = read(linter.unwrap(), &output, &places).map_err(|e| e.to_string())?;
        let findings = linted.findings.iter();
        let mut rows: Vec<_> = findings
            .map(|f| format!("{} {}:{}", f.rule.id, f.location.path, f.location.line))
            .collect();
        if linted.of_packages > 0 {
            rows.push(format!("{} in packages", linted.of_packages));
        }
        Ok(rows)
    }

    #[test]
    fn findings_of_packages_are_left_out() {
        let finding = |path: &str| {
            format!(
                r#"{{"filename": "{path}", "issue_severity": "LOW", "issue_text": "t", "line_number": 4, "test_id": "B101"}}"#
            )
        };
        let paths = [
            "./.venv/lib/python3.13/site-packages/x.py",
            "./venv/y.py",
            "./my_venv/z.py",
            "./.hidden/a.py",
        ];
        let report = format!(
            r#"{{"errors": [], "results": [{}]}}"#,
            paths.map(finding).join(",")
        );
        assert_eq!(
            read_output("bandit", 1, &report, "", false).unwrap(),
            [
                "B101 .hidden/a.py:4",
                "B101 my_venv/z.py:4",
                "2 in packages"
            ]
        );
    }

    #[test]
    fn the_directory_of_the_project_is_not_one_of_packages() {
        let request = crate::report::tests::request();
        let image = ImageInfo {
            config: docker::ImageConfig {
                working_dir: "/opt/venv/app".into(),
                ..docker::ImageConfig::default()
            },
            ..ImageInfo::default()
        };
        let places = Places::new(&request, SourceMap::new(&request, &image));
        let is_package = |path: &str| is_of_package(places.inside(path));
        assert!(!is_package("/opt/venv/app/api/main.py"));
        assert!(is_package("/opt/venv/app/.venv/x.py"));
        assert!(is_package("/opt/venv/lib/python3.13/site-packages/x.py"));
        assert!(!is_package("api/main.py"));
    }

    #[test]
    fn a_file_with_a_syntax_error_is_a_finding_and_a_wrong_setup_is_not() {
        let syntax = r#"{"file": "bad.py", "line": 1, "column": 4, "message": "Invalid syntax", "hint": null, "code": "syntax", "severity": "error"}"#;
        assert_eq!(
            read_output("mypy", 2, syntax, "", false).unwrap(),
            ["syntax bad.py:1"]
        );
        let parsed = "error: Failed to parse bad.py:1:5: Expected an expression\n";
        assert_eq!(
            read_output("ruff-format", 2, "[]", parsed, false).unwrap(),
            ["syntax-error bad.py:1"]
        );
        let twice = r#"{"file": "b/app.py", "line": 1, "column": 0, "message": "Duplicate module named \"app\"", "code": null, "hint": null, "severity": "error"}"#;
        assert_eq!(
            read_output("mypy", 2, twice, "", false).unwrap_err(),
            "Duplicate module named \"app\""
        );
        assert_eq!(
            read_output("mypy", 2, "", "mypy: can't read file 'x'\n", false).unwrap_err(),
            "exited with code 2: mypy: can't read file 'x'"
        );
        let old = "app.py:3: error: Name \"x\" is not defined  [name-defined]\n";
        assert_eq!(
            read_output("mypy", 1, old, "", true).unwrap(),
            ["name-defined app.py:3"]
        );
    }
}
