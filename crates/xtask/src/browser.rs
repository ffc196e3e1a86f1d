//! The application's page in a browser: the container as it is deployed, and Chromium from Debian.

use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::setup::command::{command, output, run, succeeds};
use crate::{paths, say};

/// What a deployment would say of itself.
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
    /// Where it answers, `http://127.0.0.1:…`.
    pub(crate) url: String,
}

impl Application {
    /// Start `image` with the limits of its pod, `more` options of `docker run`, and wait until it answers.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn start(image: &str, more: &[&str]) -> anyhow::Result<Self> {
        let mut start = command("docker", ["run", "--detach", "--read-only", "--tmpfs=/tmp"]);
        start.args(["--cap-drop=ALL", "--security-opt=no-new-privileges"]);
        start.arg(format!("--label={}=page", docker::RUN_LABEL));
        start.args(["--publish=127.0.0.1::8000"]).args(more);
        let id = output(start.arg(image))?.trim().to_owned();
        let mut started = Self {
            id,
            url: String::new(),
        };
        let place = output(&mut command("docker", ["port", &started.id, "8000/tcp"]))?;
        started.url = format!("http://{}", place.lines().next().unwrap_or_default().trim());
        let ready = format!("{}/ready", started.url);
        let answers = [
            "--silent",
            "--fail",
            "--retry",
            "30",
            "--retry-delay",
            "1",
            "--retry-all-errors",
            &ready,
        ];
        let answered = succeeds(&mut command("curl", answers));
        ensure!(
            answered,
            "the application did not answer at `{}` within 30 s: {}",
            started.url,
            started.said()
        );
        Ok(started)
    }

    /// Its id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Its own address, without Docker's proxy in between, which takes connections that nobody answers.
    ///
    /// # Errors
    /// When Docker does not say.
    pub(crate) fn place(&self) -> anyhow::Result<std::net::SocketAddr> {
        let format = "--format={{.NetworkSettings.IPAddress}}:8000";
        let said = output(&mut command("docker", ["inspect", format, &self.id]))?;
        let said = said.trim();
        said.parse()
            .with_context(|| format!("Docker gives the address `{said}`"))
    }

    // The end of what it said.
    fn said(&self) -> String {
        let mut logs = command("docker", ["logs", "--tail=20", &self.id]);
        let said = logs.output().map(|o| [o.stdout, o.stderr].concat());
        String::from_utf8_lossy(&said.unwrap_or_default()).into_owned()
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        // Nobody can be told here; what is left over is named by `docker ps`.
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
/// When the application does not start, or the test's packages can't be had.
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
    crate::stack::up()?;
    let path = paths::root().join("docs/release-board.png");
    say::step("building the application", || build(IMAGE))?;
    say::step("taking the picture", || {
        let (_application, mut tests) = tests(IMAGE, Some(&path))?;
        run(&mut tests)
    })?;
    say::line(format!("  {}", path.display()));
    Ok(())
}

// Python with the packages of the lock file, installed into the cache if they are not there.
fn python() -> anyhow::Result<String> {
    let locked = paths::root().join("app/tests/browser/requirements.txt");
    let text = std::fs::read_to_string(&locked)
        .with_context(|| format!("while reading `{}`", locked.display()))?;
    let folder = paths::cache()
        .join("tools/browser")
        .join(paths::key_of_text(&text));
    let python = folder.join("bin/python").to_string_lossy().into_owned();
    // Written last: an installation that was cut off has none.
    let done = folder.join("installed");
    if !done.is_file() {
        say::step("installing the browser test's packages", || {
            run(command("python3", ["-m", "venv"]).arg(&folder))?;
            let pip = ["-m", "pip", "install", "--quiet", "--require-hashes", "-r"];
            run(command(&python, pip).arg(&locked))?;
            std::fs::write(&done, "")?;
            Ok(())
        })?;
    }
    Ok(python)
}
