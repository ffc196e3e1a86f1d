//! Where a linter is installed, and how it runs there.

use actions_toolkit::Env;
use anyhow::Context as _;
use docker::{Container, ExecOutput, ImageConfig};
use tokio::sync::OnceCell;
use tool::Tool;

use super::linters::{BanditFile, LINTERS, Linter, LinterArgs};
use super::settings::Texts;
use super::{License, settings};
use crate::job::Job;

/// Exit code of `env` when it does not find the program (POSIX).
const NOT_FOUND: i64 = 127;
/// Copy of the Dockerfile in the container of the test stage, where it may be missing.
const DOCKERFILE_COPY: (&str, &str) = ("/tmp", "Dockerfile.seaworthy-ci");
/// Packages whose licenses are shown.
const PACKAGES: usize = 5000;
/// Prints name, version and license of every installed package (packaging.python.org, core metadata).
const LICENSES: &str = r"
import importlib.metadata, json
def license(about):
    classifiers = about.get_all('Classifier') or []
    names = [c.rsplit(' :: ', 1)[-1] for c in classifiers if c.startswith('License :: ')]
    text = (about.get('License') or '').strip().splitlines()
    return about.get('License-Expression') or ', '.join(names) or (text[0] if text else '')
packages = {d.metadata['Name']: (d.version, license(d.metadata)) for d in importlib.metadata.distributions()}
print(json.dumps([[name, *about] for name, about in sorted(packages.items(), key=lambda i: i[0].lower())]))
";

/// The test stage, and the runner for linters that it does not have.
pub(super) struct LinterHost<'a> {
    job: &'a Job<'a>,
    container: Option<&'a Container>,
    path: String,
    /// The working directory in the container.
    workdir: String,
    /// Of that directory.
    texts: OnceCell<Texts>,
}

/// The output of a linter.
pub(super) struct LinterOutput {
    /// `test stage` or `runner`.
    pub(super) host: &'static str,
    pub(super) code: i64,
    pub(super) stdout: String,
    /// Standard output and standard error.
    pub(super) text: String,
    /// Of a version that does not know the options of today's; it has been run by those that it knows.
    pub(super) is_old: bool,
}

impl<'a> LinterHost<'a> {
    pub(super) fn new(
        job: &'a Job<'a>,
        container: Option<&'a Container>,
        config: &ImageConfig,
    ) -> Self {
        Self {
            job,
            container,
            path: format!("PATH={}", search_path(config)),
            workdir: config.working_dir.clone(),
            texts: OnceCell::new(),
        }
    }

    /// Copy the Dockerfile to where a linter of the test stage can read it.
    pub(super) async fn copy_dockerfile(&self, dockerfile: &[u8]) {
        if let Some(container) = self.container {
            // A linter that needs it reports that it is missing.
            let _ = container
                .copy_in(DOCKERFILE_COPY.0, DOCKERFILE_COPY.1, dockerfile)
                .await;
        }
    }

    /// Run `linter` in the test stage, or else on the runner; `None` if it is not installed in either.
    pub(super) async fn run(&self, linter: &Linter) -> anyhow::Result<Option<LinterOutput>> {
        if let Some(container) = self.container {
            let copy = format!("{}/{}", DOCKERFILE_COPY.0, DOCKERFILE_COPY.1);
            let none = Texts::default();
            let texts = if linter.reads_texts() {
                let texts = || Texts::of_container(container, &self.workdir);
                self.texts.get_or_init(texts).await
            } else {
                &none
            };
            let settings = arguments(texts, &copy, None);
            let mut done = self
                .exec(container, linter, &(linter.args)(&settings))
                .await?;
            let old = linter.old.as_ref();
            let old = old.filter(|_| done.code != 0 && is_unknown_option(&done.output));
            if let Some(old) = old {
                done = self.exec(container, linter, &(old.args)(&settings)).await?;
            }
            let absent = done.code == NOT_FOUND
                || done.output.contains("No module named pip")
                || done.output.contains("executable file not found");
            if !absent {
                return Ok(Some(LinterOutput {
                    host: "test stage",
                    code: done.code,
                    stdout: done.stdout,
                    text: done.output,
                    is_old: old.is_some(),
                }));
            }
        }
        self.on_runner(linter).await
    }

    async fn exec(
        &self,
        container: &Container,
        linter: &Linter,
        args: &[String],
    ) -> anyhow::Result<ExecOutput> {
        let mut command = vec!["/usr/bin/env", &self.path, linter.program];
        command.extend(args.iter().map(String::as_str));
        container.exec(&command).await
    }

    /// Log a line.
    pub(super) fn note(&self, line: String) {
        self.job.log.info(line);
    }

    /// The version of `linter` in the test stage, as it prints it: `mypy 1.10.0 (compiled: yes)`; `None` if it does not.
    pub(super) async fn version(&self, linter: &Linter) -> Option<String> {
        let args = ["--version".to_owned()];
        let done = self.exec(self.container?, linter, &args).await.ok()?;
        let line = done.stdout.lines().next()?.trim().to_owned();
        (done.code == 0 && !line.is_empty()).then_some(line)
    }

    async fn on_runner(&self, linter: &Linter) -> anyhow::Result<Option<LinterOutput>> {
        let env = self.job.ctx.env();
        // The packages of the runner's Python are not those of the project.
        if linter.program == "python" || !in_path(env, linter.program) {
            return Ok(None);
        }
        let build = &self.job.request.build;
        let settings = settings::on_runner(&build.context, linter)?;
        let texts = Texts::of_context(&build.context);
        let dockerfile = &build.dockerfile.in_context;
        let args = (linter.args)(&arguments(&texts, dockerfile, Some(settings)));
        let done = Tool::new(linter.program, env)
            .args(args)
            .current_directory(&build.context)
            .capture(self.job.log, linter.name)
            .await?;
        let stdout = String::from_utf8_lossy(&done.stdout).into_owned();
        let mut text = done.tail.join("\n");
        if text.is_empty() {
            text.clone_from(&stdout);
        }
        Ok(Some(LinterOutput {
            host: "runner",
            code: done.code().map_or(-1, i64::from),
            stdout,
            text,
            is_old: false,
        }))
    }

    /// The licenses of the installed packages; empty without Python.
    pub(super) async fn licenses(&self) -> Vec<License> {
        let Some(container) = self.container else {
            return Vec::new();
        };
        let argv = ["/usr/bin/env", &self.path, "python", "-c", LICENSES];
        let licenses = async {
            let done = container.exec(&argv).await?;
            let mut licenses: Vec<License> =
                serde_json::from_str(&done.stdout).context("failed to read the licenses")?;
            licenses.truncate(PACKAGES);
            anyhow::Ok(licenses)
        };
        licenses.await.unwrap_or_default()
    }
}

// What the arguments of a linter depend on, next to files with `texts`.
fn arguments<'a>(
    texts: &Texts,
    dockerfile: &'a str,
    mypy_settings: Option<&'a str>,
) -> LinterArgs<'a> {
    let named = |name: &str| LINTERS.iter().find(|linter| linter.name == name);
    let has_targets = |text| {
        named("bandit").is_some_and(|bandit| settings::has_key(text, "", bandit, &["targets"]))
    };
    LinterArgs {
        dockerfile,
        has_bandit_settings: texts
            .get("pyproject.toml")
            .is_some_and(|text| text.contains("[tool.bandit")),
        has_mypy_files: named("mypy")
            .is_some_and(|mypy| texts.has_key(mypy, &["files", "modules", "packages"])),
        bandit_file: match texts.get(".bandit") {
            None => BanditFile::Absent,
            Some(text) if has_targets(text) => BanditFile::WithTargets,
            Some(_) => BanditFile::Present,
        },
        mypy_settings,
    }
}

// As argparse (mypy) and clap (ruff) say it.
fn is_unknown_option(output: &str) -> bool {
    let messages = [
        "unrecognized arguments",
        "no such option",
        "unexpected argument",
    ];
    messages.iter().any(|message| output.contains(message))
}

// A virtual environment may be missing in PATH: the image's command contains the path of its Python.
fn search_path(config: &ImageConfig) -> String {
    let value = |name: &str| {
        let value = config.env.iter().find_map(|pair| pair.strip_prefix(name));
        value.filter(|value| !value.is_empty())
    };
    let command = config.entrypoint.iter().chain(&config.cmd);
    let directories = command
        .filter(|word| word.starts_with('/'))
        .filter_map(|word| Some(word.rsplit_once('/')?.0.to_owned()));
    let environment = value("VIRTUAL_ENV=").map(|directory| format!("{directory}/bin"));
    let path = value("PATH=").unwrap_or("/usr/local/bin:/usr/bin:/bin");
    let mut all: Vec<String> = Vec::new();
    for directory in directories
        .chain(environment)
        .chain(path.split(':').map(ToOwned::to_owned))
    {
        if !directory.is_empty() && !all.contains(&directory) {
            all.push(directory);
        }
    }
    all.join(":")
}

fn in_path(env: &Env, program: &str) -> bool {
    let path = env.get("PATH").unwrap_or_default();
    std::env::split_paths(path).any(|directory| directory.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_those_of_the_files_next_to_the_linter() {
        let directory = tempfile::tempdir().unwrap();
        let arguments = || {
            let texts = Texts::of_context(directory.path());
            let args = arguments(&texts, "Dockerfile", None);
            (
                args.has_mypy_files,
                args.has_bandit_settings,
                args.bandit_file,
            )
        };
        assert_eq!(arguments(), (false, false, BanditFile::Absent));
        let write = |name: &str, text: &str| {
            std::fs::write(directory.path().join(name), text).unwrap();
        };
        write(
            "pyproject.toml",
            "[tool.mypy]\nfiles = 'app'\n[tool.bandit]\n",
        );
        assert_eq!(arguments(), (true, true, BanditFile::Absent));
        write(".bandit", "[bandit]\nskips: B101\n");
        assert_eq!(arguments(), (true, true, BanditFile::Present));
        write(".bandit", "[bandit]\ntargets: app\n");
        assert_eq!(arguments(), (true, true, BanditFile::WithTargets));
    }

    #[test]
    fn the_directory_of_the_command_comes_first() {
        let config = ImageConfig {
            cmd: vec!["/opt/venv/bin/python".into(), "run_tests.py".into()],
            env: vec!["PATH=/usr/bin:/bin".into(), "VIRTUAL_ENV=/opt/venv".into()],
            ..ImageConfig::default()
        };
        assert_eq!(search_path(&config), "/opt/venv/bin:/usr/bin:/bin");
        let plain = ImageConfig::default();
        assert_eq!(search_path(&plain), "/usr/local/bin:/usr/bin:/bin");
    }
}
