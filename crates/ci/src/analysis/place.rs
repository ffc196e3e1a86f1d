//! Where a linter is found, and how it is run there.

use actions_toolkit::Env;
use anyhow::Context as _;
use docker::{Container, ImageConfig};
use tool::Tool;

use super::{Dockerfile, Licence, Linter};
use crate::job::Job;

/// `env` of the test stage when it does not find the program (POSIX).
const NOT_FOUND: i64 = 127;
/// The Dockerfile in a container of the test stage, whose build may have left it out.
const COPY: (&str, &str) = ("/tmp", "Dockerfile.seaworthy-ci");
/// Prints name, version and licence of every installed package (packaging.python.org, core metadata).
const LICENCES: &str = r"
import importlib.metadata, json
def licence(about):
    classifiers = about.get_all('Classifier') or []
    named = [c.rsplit(' :: ', 1)[-1] for c in classifiers if c.startswith('License :: ')]
    text = (about.get('License') or '').strip().splitlines()
    return about.get('License-Expression') or ', '.join(named) or (text[0] if text else '')
found = {d.metadata['Name']: (d.version, licence(d.metadata)) for d in importlib.metadata.distributions()}
print(json.dumps([[name, *about] for name, about in sorted(found.items(), key=lambda i: i[0].lower())]))
";

/// The test stage and the runner.
pub(super) struct Home<'a> {
    job: &'a Job<'a>,
    container: Option<&'a Container>,
    path: String,
}

/// How a linter ended.
pub(super) struct Ended {
    /// Where it was found.
    pub(super) home: &'static str,
    /// Its exit code.
    pub(super) code: i64,
    /// Its standard output.
    pub(super) stdout: String,
    /// All that it printed.
    pub(super) words: String,
}

impl<'a> Home<'a> {
    pub(super) fn new(
        job: &'a Job<'a>,
        container: Option<&'a Container>,
        config: &ImageConfig,
    ) -> Self {
        Self {
            job,
            container,
            path: format!("PATH={}", search_path(config)),
        }
    }

    /// Put the Dockerfile where a linter of the test stage can read it.
    pub(super) async fn keep(&self, dockerfile: &[u8]) {
        if let Some(container) = self.container {
            // A linter that needs it says so itself.
            let _ = container.copy_in(COPY.0, COPY.1, dockerfile).await;
        }
    }

    /// Run `linter` in the test stage, or else on the runner; nothing if it is at neither.
    pub(super) async fn run(&self, linter: &Linter) -> anyhow::Result<Option<Ended>> {
        if let Some(container) = self.container {
            let copy = format!("{}/{}", COPY.0, COPY.1);
            let own = (linter.argv)(&Dockerfile {
                path: &copy,
                has_bandit_settings: self.has_bandit_settings(),
            });
            let mut argv = vec!["/usr/bin/env", &self.path, linter.program];
            argv.extend(own.iter().map(String::as_str));
            let done = container.exec(&argv).await?;
            let absent = done.code == NOT_FOUND
                || done.output.contains("No module named pip")
                || done.output.contains("executable file not found");
            if !absent {
                return Ok(Some(Ended {
                    home: "test stage",
                    code: done.code,
                    stdout: done.stdout,
                    words: done.output,
                }));
            }
        }
        self.on_runner(linter).await
    }

    async fn on_runner(&self, linter: &Linter) -> anyhow::Result<Option<Ended>> {
        let env = self.job.ctx.env();
        // The runner's own packages are nobody's dependencies.
        if linter.program == "python" || !in_path(env, linter.program) {
            return Ok(None);
        }
        let args = (linter.argv)(&Dockerfile {
            path: &self.job.request.dockerfile,
            has_bandit_settings: self.has_bandit_settings(),
        });
        let done = Tool::new(linter.program, env)
            .args(args)
            .folder(&self.job.request.context)
            .capture(self.job.log, linter.name)
            .await?;
        let stdout = String::from_utf8_lossy(&done.stdout).into_owned();
        let mut words = done.tail.join("\n");
        if words.is_empty() {
            words.clone_from(&stdout);
        }
        Ok(Some(Ended {
            home: "runner",
            code: done.code().map_or(-1, i64::from),
            stdout,
            words,
        }))
    }

    /// The installed packages with their licences; nothing where there is no Python.
    pub(super) async fn licences(&self) -> Vec<Licence> {
        let Some(container) = self.container else {
            return Vec::new();
        };
        let argv = ["/usr/bin/env", &self.path, "python", "-c", LICENCES];
        let read = async {
            let done = container.exec(&argv).await?;
            serde_json::from_str(&done.stdout).context("while reading the licences")
        };
        read.await.unwrap_or_default()
    }

    fn has_bandit_settings(&self) -> bool {
        let file = self.job.request.context.join("pyproject.toml");
        std::fs::read_to_string(file).is_ok_and(|text| text.contains("[tool.bandit"))
    }
}

// A virtual environment need not be in PATH: the image's command names its Python.
fn search_path(config: &ImageConfig) -> String {
    let value = |name: &str| {
        let value = config.env.iter().find_map(|pair| pair.strip_prefix(name));
        value.filter(|value| !value.is_empty())
    };
    let command = config.entrypoint.iter().chain(&config.cmd);
    let folders = command
        .filter(|word| word.starts_with('/'))
        .filter_map(|word| Some(word.rsplit_once('/')?.0.to_owned()));
    let environment = value("VIRTUAL_ENV=").map(|folder| format!("{folder}/bin"));
    let path = value("PATH=").unwrap_or("/usr/local/bin:/usr/bin:/bin");
    let mut all: Vec<String> = Vec::new();
    for folder in folders
        .chain(environment)
        .chain(path.split(':').map(ToOwned::to_owned))
    {
        if !folder.is_empty() && !all.contains(&folder) {
            all.push(folder);
        }
    }
    all.join(":")
}

fn in_path(env: &Env, program: &str) -> bool {
    let path = env.get("PATH").unwrap_or_default();
    std::env::split_paths(path).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_own_folder_comes_first() {
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
