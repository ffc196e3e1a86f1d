//! The environment of a container action, around a built binary.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

/// A step about to run.
pub struct FakeRunner {
    program: PathBuf,
    directory: tempfile::TempDir,
    env: BTreeMap<String, String>,
    args: Vec<OsString>,
    process: Arc<AtomicI32>,
    memory: Option<u32>,
}

/// A step that has run.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; -1 if a signal ended it.
    pub code: i32,
    /// The job log: both streams.
    pub log: String,
    /// The outputs.
    pub outputs: BTreeMap<String, String>,
    /// The job summary.
    pub summary: String,
}

impl FakeRunner {
    /// A step that runs `program` (`env!("CARGO_BIN_EXE_…")`) in an empty workspace, after a push to
    /// `main` of `octo-org/app`.
    ///
    /// # Panics
    /// When the temporary directory cannot be made.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
        for name in ["workspace", "temp", "home"] {
            std::fs::create_dir(path(name)).expect("a directory of the runner");
        }
        for name in ["output", "summary"] {
            std::fs::write(path(name), "").expect("a file of the runner");
        }
        std::fs::write(path("event.json"), "{}").expect("a file of the runner");
        let pairs = [
            ("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned()),
            ("HOME", path("home")),
            ("CI", "true".into()),
            ("GITHUB_ACTIONS", "true".into()),
            ("GITHUB_OUTPUT", path("output")),
            ("GITHUB_STEP_SUMMARY", path("summary")),
            ("GITHUB_WORKSPACE", path("workspace")),
            ("GITHUB_EVENT_PATH", path("event.json")),
            ("GITHUB_EVENT_NAME", "push".into()),
            ("GITHUB_REPOSITORY", "octo-org/app".into()),
            (
                "GITHUB_SHA",
                "0123456789abcdef0123456789abcdef01234567".into(),
            ),
            ("GITHUB_REF", "refs/heads/main".into()),
            ("GITHUB_RUN_ID", "42".into()),
            ("GITHUB_JOB", "scan".into()),
            ("GITHUB_SERVER_URL", "https://github.com".into()),
            (
                "GITHUB_WORKFLOW_REF",
                "octo-org/app/.github/workflows/ci.yml@refs/heads/main".into(),
            ),
            ("RUNNER_TEMP", path("temp")),
            ("ACTIONS_RUNTIME_TOKEN", "runtime-token".into()),
        ];
        let env = pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        Self {
            program: program.into(),
            directory,
            env,
            args: Vec::new(),
            process: Arc::default(),
            memory: None,
        }
    }

    /// Give the input `name` a value.
    #[must_use]
    pub fn input(self, name: &str, value: &str) -> Self {
        let name = format!("INPUT_{}", name.replace(' ', "_").to_uppercase());
        self.env(&name, value)
    }

    /// Set a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Give the program an argument, as a person at a terminal does.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Let the kernel give the program no more memory than this, in megabytes: it is aborted if it needs more.
    #[must_use]
    pub fn memory(self, megabytes: u32) -> Self {
        let memory = Some(megabytes);
        Self { memory, ..self }
    }

    /// Put a file into the workspace.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn file(self, path: &str, content: &str) -> Self {
        let path = self.workspace().join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("a directory in the workspace");
        }
        std::fs::write(path, content).expect("a file in the workspace");
        self
    }

    /// Put a program into `PATH`, before all others: a shell script.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn tool(mut self, name: &str, script: &str) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = self.directory.path().join("tools");
        std::fs::create_dir_all(&directory).expect("a directory for tools");
        let path = directory.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}")).expect("a tool");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("a tool");
        let rest = self.env.get("PATH").cloned().unwrap_or_default();
        if !rest.starts_with(&*directory.to_string_lossy()) {
            self.env
                .insert("PATH".into(), format!("{}:{rest}", directory.display()));
        }
        self
    }

    /// The directory of the checkout.
    pub fn workspace(&self) -> PathBuf {
        self.directory.path().join("workspace")
    }

    /// The directory of everything that belongs to the runner.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The step's process, once it runs.
    pub fn process(&self) -> &Arc<AtomicI32> {
        &self.process
    }

    /// Run the step. It can be run again, as a workflow may.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn run(&self) -> Ran {
        for name in ["output", "summary"] {
            std::fs::write(self.directory.path().join(name), "").expect("a file of the runner");
        }
        let log = self.directory.path().join("log");
        let file = std::fs::File::create(&log).expect("the job log");
        let mut step = match self.memory {
            None => Command::new(&self.program),
            // Of what it can write to: setrlimit(2), `RLIMIT_DATA`.
            Some(megabytes) => {
                let mut limited = Command::new("prlimit");
                limited.arg(format!("--data={megabytes}000000"));
                limited.arg(&self.program);
                limited
            }
        };
        let mut step = step
            .args(&self.args)
            .env_clear()
            .envs(&self.env)
            .current_dir(self.workspace())
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("the job log"))
            .stderr(file)
            .spawn()
            .expect("the program starts");
        let id = i32::try_from(step.id()).expect("a process id");
        self.process.store(id, Ordering::SeqCst);
        let status = step.wait().expect("the program ends");
        let read = |name: &str| {
            std::fs::read_to_string(self.directory.path().join(name)).unwrap_or_default()
        };
        Ran {
            code: status.code().unwrap_or(-1),
            log: read("log").replace(&*self.directory.path().to_string_lossy(), "[runner]"),
            outputs: outputs(&read("output")),
            summary: read("summary"),
        }
    }
}

impl Ran {
    /// The output `name`.
    ///
    /// # Panics
    /// When it was not set.
    pub fn output(&self, name: &str) -> &str {
        self.outputs
            .get(name)
            .unwrap_or_else(|| panic!("output `{name}` was not set; the log:\n{}", self.log))
    }

    /// The last `::error` line, without the command.
    pub fn error(&self) -> String {
        let mut errors = self
            .log
            .lines()
            .filter_map(|line| line.strip_prefix("::error::"));
        errors
            .next_back()
            .unwrap_or_default()
            .replace("%0A", "\n")
            .replace("%25", "%")
    }
}

// The file command's form: `name<<delimiter`, lines, `delimiter` (Runner.Worker/FileCommandManager.cs).
fn outputs(text: &str) -> BTreeMap<String, String> {
    let mut outputs = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some((name, delimiter)) = line.split_once("<<") {
            let value: Vec<_> = lines
                .by_ref()
                .take_while(|line| *line != delimiter)
                .collect();
            outputs.insert(name.to_owned(), value.join("\n"));
        } else if let Some((name, value)) = line.split_once('=') {
            outputs.insert(name.to_owned(), value.to_owned());
        }
    }
    outputs
}
