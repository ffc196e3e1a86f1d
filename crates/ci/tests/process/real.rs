//! The application of this repository, working and broken, through the built binary and Docker.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};

use testkit::wire::{Fault, Wire, first, second};
use testkit::{FakeRunner, Ran};

/// A copy of the application.
struct App {
    step: FakeRunner,
    image: Image,
}

/// The name of a test's image, which is removed with the test.
struct Image(String);

impl Drop for Image {
    fn drop(&mut self) {
        let _ = Command::new("docker")
            .args(["image", "rm", "--force", &self.0])
            .output();
    }
}

impl App {
    fn new(name: &str) -> Self {
        let image = Image(format!("seaworthy-ci-real:{name}"));
        let step = FakeRunner::new(env!("CARGO_BIN_EXE_ci"))
            .input("context", "app")
            .input("image", &image.0);
        let application = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../app");
        copy(&application, &step.workspace().join("app"));
        Self { step, image }
    }

    fn input(self, name: &str, value: &str) -> Self {
        Self {
            step: self.step.input(name, value),
            ..self
        }
    }

    fn file(self, path: &str, content: &str) -> Self {
        Self {
            step: self.step.file(path, content),
            ..self
        }
    }

    /// With `lines` at the end of the file `path`.
    fn append(self, path: &str, lines: &str) -> Self {
        let text = std::fs::read_to_string(self.step.workspace().join(path)).unwrap();
        self.file(path, &format!("{text}\n{lines}\n"))
    }

    /// With `code` at the end of the module that gunicorn loads, and without the tests, which do not depend on it.
    fn serving(self, code: &str) -> Self {
        self.append("app/wsgi.py", code)
            .input("test-target", "none")
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn red(ran: &Ran, code: i32, message: &str) {
    assert_eq!(ran.code, code, "{}", ran.log);
    assert!(ran.error().contains(message), "{}", ran.log);
    assert_eq!(
        ran.output("result"),
        if code == 1 { "failed" } else { "error" }
    );
}

#[test]
#[ignore = "real: needs Docker"]
fn the_application_is_built_tested_and_healthy() {
    let app = App::new("good").input("build-args", "APP_VERSION=7\nAPP_COMMIT=f00");
    let ran = app.step.run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    assert_eq!(ran.output("result"), "passed");
    assert_eq!(ran.output("image"), app.image.0);
    assert_eq!(ran.output("health-status"), "healthy");
    assert_eq!(ran.output("failures"), "0");
    assert!(ran.output("tests").parse::<u32>().unwrap() > 0);
    let format =
        "{{.Id}} {{index .Config.Labels \"org.opencontainers.image.source\"}} {{.Config.Env}}";
    let image = docker(&["image", "inspect", "--format", format, &app.image.0]);
    let expected = format!(
        "{} https://github.com/octo-org/app ",
        ran.output("image-id")
    );
    assert!(
        image.starts_with(&expected) && image.contains("APP_VERSION=7"),
        "{image}"
    );
    let junit = app.step.workspace().join(ran.output("junit-file"));
    assert!(
        std::fs::read_to_string(junit)
            .unwrap()
            .contains("<testcase")
    );
    assert!(
        ran.summary
            .contains("| ✅ | Smoke test | `GET /health` healthy after"),
        "{}",
        ran.summary
    );
    assert!(!ran.log.contains("::error"), "{}", ran.log);
}

#[test]
#[ignore = "real: needs Docker"]
fn a_failing_test_is_annotated_on_its_line() {
    let text = "\"\"\"Wrong.\"\"\"\n\n\ndef test_sum():\n    \"\"\"It fails.\"\"\"\n    assert 1 + 1 == 3\n";
    let app = App::new("tests")
        .file("app/tests/test_wrong.py", text)
        .input("junit-file", "out/junit.xml");
    let ran = app.step.run();
    red(&ran, 1, "1 of ");
    assert_eq!(ran.output("failures"), "1");
    // Code that fails its tests does not become an image.
    assert_eq!(ran.output("image"), "");
    let annotation = "::error file=app/tests/test_wrong.py,line=6::tests.test_wrong::test_sum: ";
    assert!(
        ran.log.lines().any(|line| line.starts_with(annotation)),
        "{}",
        ran.log
    );
    assert!(app.step.workspace().join("out/junit.xml").is_file());
    assert!(ran.summary.contains("### Failed tests"), "{}", ran.summary);
}

#[test]
#[ignore = "real: needs Docker"]
fn a_failing_step_of_the_build_is_named() {
    let app = App::new("step")
        .append("app/Dockerfile", "RUN echo before && exit 7")
        .serving("");
    let ran = app.step.run();
    red(
        &ran,
        1,
        "RUN echo before && exit 7`: its command exited with code 7",
    );
    assert!(ran.summary.contains("\nbefore\n"), "{}", ran.summary);
}

#[test]
#[ignore = "real: needs Docker"]
fn a_missing_report_is_an_error() {
    let app = App::new("junit").input("junit-path", "/results/other.xml");
    red(
        &app.step.run(),
        2,
        "left no JUnit report at `/results/other.xml`",
    );
}

#[test]
#[ignore = "real: needs Docker"]
fn tests_that_hang_are_stopped() {
    let code = "import time\n\n\ndef test_hang():\n    time.sleep(300)\n";
    let app = App::new("hang")
        .file("app/tests/test_hang.py", code)
        .input("test-timeout", "5s");
    let ran = app.step.run();
    red(
        &ran,
        2,
        "the test run timed out after 5 seconds (`test-timeout`)",
    );
    assert_eq!(ran.output("tests"), "");
}

#[test]
#[ignore = "real: needs Docker"]
fn an_unhealthy_application_fails() {
    let code = "app.view_functions['health'] = lambda: ('down', 500)";
    let app = App::new("unhealthy")
        .serving(code)
        .input("smoke-timeout", "3s");
    let ran = app.step.run();
    red(
        &ran,
        1,
        "`GET /health` was not healthy within 3 seconds (`smoke-timeout`): it responded with 500 Internal Server Error",
    );
    assert_eq!(ran.output("health-status"), "unhealthy");
}

#[test]
#[ignore = "real: needs Docker"]
fn an_application_that_crashes_fails_at_once() {
    let ran = App::new("crash")
        .serving("raise RuntimeError('no config')")
        .step
        .run();
    red(&ran, 1, "the application exited with code");
    assert!(
        ran.summary.contains("RuntimeError: no config"),
        "{}",
        ran.summary
    );
}

#[test]
#[ignore = "real: needs Docker"]
fn an_application_that_writes_to_its_root_fails_with_a_hint() {
    let ran = App::new("root")
        .serving("open('/app/state', 'w').close()")
        .step
        .run();
    red(
        &ran,
        1,
        "its root file system is read-only, as in production; write only to `/tmp`",
    );
}

#[test]
#[ignore = "real: needs Docker"]
fn an_application_that_does_not_stop_fails() {
    // The shell is the first process, and drops the signal.
    let command = "CMD [\"/bin/sh\", \"-c\", \"trap '' TERM; /opt/venv/bin/gunicorn --chdir /app --config /app/gunicorn.conf.py wsgi:app & wait; sleep 60\"]";
    let ran = App::new("stop")
        .append("app/Dockerfile", command)
        .serving("")
        .step
        .run();
    red(&ran, 1, "it was still running 10 seconds after SIGTERM");
    assert_eq!(ran.output("health-status"), "unhealthy");
}

#[test]
#[ignore = "real: needs Docker"]
fn nothing_remains_after_a_cancellation() {
    let app = App::new("cancel").append("app/Dockerfile", "CMD [\"/bin/sleep\", \"300\"]");
    let output = app.step.directory().join("cancelled");
    std::fs::write(&output, "").unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_ci"))
        .args([
            "--context=app",
            "--test-target=none",
            "--image",
            &app.image.0,
        ])
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_OUTPUT", &output)
        .env("GITHUB_WORKSPACE", app.step.workspace())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut log = String::new();
    while !log.contains("Smoke test: ") {
        assert!(lines.read_line(&mut log).unwrap() > 0, "{log}");
    }
    let containers = || {
        let command = "command=/bin/sleep 300";
        let all = docker(&[
            "ps",
            "--all",
            "--no-trunc",
            "--format",
            "command={{.Command}}",
        ]);
        all.replace('"', "")
            .lines()
            .filter(|line| *line == command)
            .count()
    };
    assert_eq!(containers(), 1);
    let format = "{{.Command}} {{.Image}}";
    let all = docker(&["ps", "--no-trunc", "--format", format]);
    let line = all.lines().find(|line| line.contains("/bin/sleep 300"));
    let image = line.unwrap().rsplit(' ').next().unwrap().to_owned();
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    lines.read_to_string(&mut log).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2), "{log}");
    assert!(
        log.contains("::error::ci: stopped by SIGTERM before a verdict was reached"),
        "{log}"
    );
    assert_eq!(containers(), 0);
    let inspect = Command::new("docker")
        .args(["image", "inspect", &image])
        .output();
    assert!(!inspect.unwrap().status.success(), "{image}");
    let outputs = std::fs::read_to_string(output).unwrap();
    assert!(
        outputs.contains("\nerror\n") && !outputs.contains(&app.image.0),
        "{outputs}"
    );
}

#[test]
#[ignore = "real: needs Docker"]
fn what_a_run_that_is_killed_leaves_is_marked_for_the_next_one() {
    let stages = [
        ("the build", first("POST /build", Fault::Kill)),
        (
            "the tests' container",
            first("POST /containers/create", Fault::Kill),
        ),
        ("the tests", first("POST /containers /start", Fault::Kill)),
        ("the report", first("GET /containers /archive", Fault::Kill)),
        (
            "the application's container",
            second("POST /containers/create", Fault::Kill),
        ),
        (
            "the application",
            second("POST /containers /start", Fault::Kill),
        ),
        ("the removal", first("DELETE /containers", Fault::Kill)),
    ];
    let mut seen = 0;
    for (stage, rule) in stages {
        let app = App::new("killed");
        let wire = Wire::to_docker(&[rule], app.step.process());
        let step = app.step.env("DOCKER_HOST", &wire.address);
        let ran = step.run();
        wire.settled();
        assert!(wire.is_met(), "{stage}: {}", ran.log);
        assert_eq!(ran.code, -1, "{stage}: {}", ran.log);
        for [id, expires] in containers() {
            assert!(expires.parse::<u64>().is_ok(), "{stage}: {id} {expires}");
            docker(&["rm", "--force", "--volumes", &id]);
            seen += 1;
        }
        let names = docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
        let own = names
            .lines()
            .filter(|name| name.starts_with("seaworthy-ci-"));
        for name in own.filter(|name| *name != app.image.0) {
            let mut parts = name.split('-');
            let expires = parts.any(|part| part.len() == 10 && part.parse::<u64>().is_ok());
            assert!(expires, "{stage}: {name}");
            docker(&["rmi", name]);
        }
    }
    assert!(seen >= 5, "{seen}");
}

// The containers of these tests' images: id, and the time after which a later run removes it.
fn containers() -> Vec<[String; 2]> {
    let images = docker(&["images", "--format", "{{.ID}} {{.Repository}}"]);
    let own = images.lines().filter_map(|line| {
        let (id, repository) = line.split_once(' ')?;
        repository.starts_with("seaworthy-ci-").then_some(id)
    });
    let own: Vec<_> = own.collect();
    let format = "{{.Image}} {{.ID}} {{.Label \"dev.seaworthy.expires\"}}";
    let all = docker(&["ps", "--all", "--format", format]);
    let containers = all.lines().filter_map(|line| {
        let fields: Vec<_> = line.split(' ').collect();
        let is_own = own.contains(&fields[0]) || fields[0].starts_with("seaworthy-ci-");
        is_own.then(|| [fields[1].to_owned(), fields[2].to_owned()])
    });
    containers.collect()
}

/// Run a step until it says `notice`: what is overdue may be removed by a step of another action before, which runs beside
/// this one.
pub(crate) fn eventually_said(notice: &str, mut run: impl FnMut() -> Ran) {
    let mut logs = (0..5).map(|_| {
        let ran = run();
        assert_eq!(ran.code, 0, "{}", ran.log);
        ran.log
    });
    assert!(logs.any(|log| log.contains(notice)), "never: {notice}");
}

#[test]
#[ignore = "real: needs Docker"]
fn what_a_killed_run_has_left_is_removed_when_it_is_overdue() {
    let start = |label: &str| {
        let label = format!("--label={label}");
        docker(&[
            "run",
            "--detach",
            &label,
            "debian:trixie-slim",
            "sleep",
            "600",
        ])
    };
    let later = start("dev.seaworthy.expires=4000000000");
    let other = start("other=1700000000");
    let run = "0123456789abcdef0123456789abcdef";
    let names = [1_700_000_000_u64, 4_000_000_000]
        .map(|time| format!("seaworthy-ci-real-overdue:{run}-{time}"));
    docker(&["tag", "debian:trixie-slim", &names[1]]);
    let app = App::new("overdue").input("test-target", "none");
    let app = app.input("health-path", "none");
    let mut overdue = String::new();
    eventually_said(
        "removed 1 container and 1 temporary name of images that earlier runs had left",
        || {
            overdue = start("dev.seaworthy.expires=1700000000");
            docker(&["tag", "debian:trixie-slim", &names[0]]);
            app.step.run()
        },
    );
    let exists = |kind: &str, name: &str| {
        let inspect = Command::new("docker")
            .args([kind, "inspect", name])
            .output();
        inspect.unwrap().status.success()
    };
    let left = [&overdue, &later, &other].map(|id| exists("container", id));
    assert_eq!(left, [false, true, true]);
    assert_eq!(
        names.each_ref().map(|name| exists("image", name)),
        [false, true]
    );
    docker(&["rm", "--force", &later, &other]);
    docker(&["rmi", &names[1]]);
}
