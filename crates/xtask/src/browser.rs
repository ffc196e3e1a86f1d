//! The application's page in a browser: the container as it is deployed, and Chromium from Debian.

use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::setup::builds::PIPELINE;
use crate::setup::command::{command, output, run, succeeds};
use crate::stack::RUN_LABEL;
use crate::{paths, progress};

/// What a deployment reports about itself.
const FACTS: &[&str] = &[
    "APP_VERSION=7",
    "APP_COMMIT=1f2e3d4c5b6a79880716253443526170f1e2d3c4",
    "APP_BUILT=2026-01-31T12:00:00Z",
    "DEPLOYED_AT=2026-01-31T12:05:00Z",
    "SCAN_BEFORE=critical=1,high=31,medium=40,low=12,unknown=0",
    "SCAN_AFTER=critical=0,high=3,medium=9,low=12,unknown=0",
    "PATCHED=true",
    "POD_NAME=flask-app-6d4cf56db6-x7k2p",
];

/// A running container of the application; it is removed with the value.
pub(crate) struct Application {
    id: String,
    /// Its address, `http://127.0.0.1:…`.
    pub(crate) url: String,
}

impl Application {
    /// Start `image` with the limits of its pod, `options` of `docker run`, and wait until it is ready.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn start(image: &str, options: &[&str]) -> anyhow::Result<Self> {
        let mut start = command("docker", ["run", "--detach", "--read-only", "--tmpfs=/tmp"]);
        start.args(["--cap-drop=ALL", "--security-opt=no-new-privileges"]);
        start.arg(format!("--label={RUN_LABEL}=page"));
        start.args(["--publish=127.0.0.1::8000"]).args(options);
        let id = output(start.arg(image))?.trim().to_owned();
        let mut started = Self {
            id,
            url: String::new(),
        };
        let port = output(&mut command("docker", ["port", &started.id, "8000/tcp"]))?;
        started.url = format!("http://{}", port.lines().next().unwrap_or_default().trim());
        let ready = format!("{}/ready", started.url);
        let probe = [
            "--silent",
            "--fail",
            "--retry",
            "30",
            "--retry-delay",
            "1",
            "--retry-all-errors",
            &ready,
        ];
        let ready = succeeds(&mut command("curl", probe));
        ensure!(
            ready,
            "timed out after 30s waiting for the application at `{}`: {}",
            started.url,
            started.logs()
        );
        Ok(started)
    }

    /// Its id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Its own address, without Docker's proxy in between, which accepts connections before the application does.
    ///
    /// # Errors
    /// When Docker reports none.
    pub(crate) fn address(&self) -> anyhow::Result<std::net::SocketAddr> {
        let format = "--format={{.NetworkSettings.IPAddress}}:8000";
        let address = output(&mut command("docker", ["inspect", format, &self.id]))?;
        let address = address.trim();
        address
            .parse()
            .with_context(|| format!("invalid address from Docker: `{address}`"))
    }

    // The end of its log.
    fn logs(&self) -> String {
        let mut logs = command("docker", ["logs", "--tail=20", &self.id]);
        let text = logs.output().map(|o| [o.stdout, o.stderr].concat());
        String::from_utf8_lossy(&text.unwrap_or_default()).into_owned()
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        // There is no caller to report to; `docker ps` lists what is left.
        let _ = run(&mut command("docker", ["rm", "--force", &self.id]));
    }
}

/// Build the application's image under the name `image`.
///
/// # Errors
/// When it can't be built.
pub(crate) fn build(image: &str) -> anyhow::Result<()> {
    let mut build = command("docker", ["build", "--quiet", "--tag", image, "app"]);
    // Docker's own builder: the other one needs a plug-in.
    run(build.current_dir(paths::root()).env("DOCKER_BUILDKIT", "0"))
}

/// The page's tests against a container of `image`; `screenshot` is where a picture of the page goes, if there is to be
/// one. The container lives as long as the first value.
///
/// # Errors
/// When the application does not start, or the test's packages is unavailable.
pub(crate) fn tests(
    image: &str,
    screenshot: Option<&std::path::Path>,
) -> anyhow::Result<(Application, Command)> {
    let digest = format!("IMAGE_DIGEST=sha256:{}", "5a".repeat(32));
    let facts = FACTS.iter().copied().chain([digest.as_str()]);
    let options: Vec<_> = facts.flat_map(|fact| ["--env", fact]).collect();
    let application = Application::start(image, &options)?;
    let python = python()?;
    let mut tests = command(
        &python,
        [
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            // The application's own tests set up what this one does not have.
            "--confcutdir=tests/browser",
            "tests/browser",
        ],
    );
    tests
        .current_dir(paths::root().join("app"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("RELEASE_BOARD_URL", &application.url);
    if let Some(path) = screenshot {
        tests.env("RELEASE_BOARD_SCREENSHOT", path);
    }
    Ok((application, tests))
}

/// Take the picture of the page that the README shows.
///
/// # Errors
/// When a test of the page fails.
pub(crate) fn screenshot() -> anyhow::Result<()> {
    const IMAGE: &str = "seaworthy/flask-app:browser";
    crate::stack::up(PIPELINE)?;
    let path = paths::root().join("docs/release-board.png");
    progress::step("building the application", || build(IMAGE))?;
    progress::step("taking the picture", || {
        let (_application, mut tests) = tests(IMAGE, Some(&path))?;
        run(&mut tests)
    })?;
    progress::line(format!("  {}", path.display()));
    Ok(())
}

/// Python with the packages of the browser tests, installed into the cache if they are not there.
///
/// # Errors
/// When a package is unavailable.
pub(crate) fn python() -> anyhow::Result<String> {
    let locked = paths::root().join("app/tests/browser/requirements.txt");
    let text = std::fs::read_to_string(&locked)
        .with_context(|| format!("failed to read `{}`", locked.display()))?;
    let directory = paths::cache()
        .join("tools/browser")
        .join(paths::key_of_text(&text));
    let python = directory.join("bin/python").to_string_lossy().into_owned();
    // Written last: an interrupted installation has none.
    let done = directory.join("installed");
    if !done.is_file() {
        progress::step("installing the browser test's packages", || {
            run(command("python3", ["-m", "venv"]).arg(&directory))?;
            let pip = ["-m", "pip", "install", "--quiet", "--require-hashes", "-r"];
            run(command(&python, pip).arg(&locked))?;
            std::fs::write(&done, "")?;
            Ok(())
        })?;
    }
    Ok(python)
}
