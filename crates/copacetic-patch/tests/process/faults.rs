//! Faults of the real Docker, BuildKit and Copa: on every path no container and no temporary name is left, and a tag is
//! where it was, or at a verified image.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use testkit::wire::{Fault, Rule, Wire, first, second};
use testkit::{FakeDocker, Ran};

use crate::bench::{Bench, exited, files_of_the_run};
use crate::step;

#[test]
fn an_unreachable_registry_is_named() {
    let docker = FakeDocker::with("other:1");
    let ran = step()
        .env("DOCKER_HOST", &docker.host())
        .input("image", "127.0.0.1:9/team/app:1")
        .input("push", "true")
        .run();
    exited(&ran, 2, "error");
    insta::assert_snapshot!(ran.error(), @"copacetic-patch: failed to read `127.0.0.1:9/team/app:1`: `127.0.0.1:9` is unreachable; check that it is up and that this runner can reach it: error sending request: client error (Connect): tcp connect error: Connection refused (os error 111)");
    assert_eq!(ran.log.matches("::error").count(), 1, "{}", ran.log);
    assert_eq!(ran.output("image"), "");
}

// The next `copa` in PATH does the work at the second call.
const ONCE: &str = r#"
if [ ! -e "$TMPDIR/once" ]; then
  touch "$TMPDIR/once"
  echo '#9 0.112 runc run failed: no cgroup' >&2
  echo 'Error: failed to solve: process "apt-get" did not complete successfully: exit code: 1' >&2
  exit 1
fi
IFS=:
for directory in $PATH; do
  [ "$directory/copa" = "$0" ] || [ ! -x "$directory/copa" ] || exec "$directory/copa" "$@"
done
"#;

#[test]
#[ignore = "real: needs Docker, Copa, BuildKit and Trivy"]
fn a_build_step_that_fails_without_a_reason_is_tried_once_more() {
    let bench = Bench::new("once-more", "vulnlib", "").tool("copa", ONCE);
    let ran = bench.run();
    exited(&ran, 0, "patched");
    let warning = "::warning::running Copa once more: Error: failed to solve: process \"apt-get\" did not complete successfully: exit code: 1; last output: runc run failed: no cgroup";
    assert!(ran.log.contains(warning), "{}", ran.log);
    assert_eq!(bench.prints(&bench.patched, "vulnlib"), "vulnlib 1.0-2");
}

/// What Docker is asked for, in this order, each with `fault`.
fn stages(fault: Fault) -> [(&'static str, Rule); 10] {
    [
        ("Copa gets the image", first("GET /get", fault)),
        ("BuildKit is made", first("POST /containers/create", fault)),
        ("BuildKit starts", first("POST /containers /start", fault)),
        (
            "BuildKit is checked for readiness",
            first("POST /exec /start", fault),
        ),
        ("Copa connects", second("POST /exec /start", fault)),
        (
            "the patched image is loaded",
            first("POST /images/load", fault),
        ),
        ("BuildKit is removed", first("DELETE /containers", fault)),
        (
            "its container is made",
            second("POST /containers/create", fault),
        ),
        (
            "its health check starts",
            second("POST /containers /start", fault),
        ),
        ("it gets its tag", first("POST /images /tag", fault)),
    ]
}

#[test]
#[ignore = "real: needs Docker, Copa, BuildKit and Trivy"]
fn a_step_that_is_stopped_while_docker_works_leaves_nothing() {
    for (stage, rule) in stages(Fault::Terminate) {
        let bench = Bench::new("stopped", "vulnlib", "");
        let step = Arc::new(AtomicI32::new(0));
        let wire = Wire::to_docker(&[rule], &step);
        let bench = bench.env("DOCKER_HOST", &wire.address);
        let ran = bench.run_to(|| wire.settled());
        assert!(wire.is_met(), "{stage}: {}", ran.log);
        assert_eq!(
            (ran.code, ran.output("result"), ran.output("image")),
            (2, "error", ""),
            "{stage}: {}",
            ran.log
        );
        assert!(
            ran.error().contains("stopped by SIGTERM"),
            "{stage}: {}",
            ran.error()
        );
        if bench.inspect(&bench.patched).is_some() {
            assert_eq!(stage, "it gets its tag");
            assert_eq!(bench.prints(&bench.patched, "vulnlib"), "vulnlib 1.0-2");
        }
        assert_ne!(step.load(Ordering::SeqCst), 0);
    }
}

#[test]
#[ignore = "real: needs Docker, Copa, BuildKit and Trivy"]
fn what_a_step_that_is_killed_leaves_is_marked_for_the_next_one() {
    for (stage, rule) in stages(Fault::Kill) {
        let bench = Bench::new("sigkill", "vulnlib", "");
        let wire = Wire::to_docker(&[rule], &Arc::default());
        let bench = bench.env("DOCKER_HOST", &wire.address);
        let ran = bench.step.run();
        wire.settled();
        assert!(wire.is_met(), "{stage}: {}", ran.log);
        assert_eq!(ran.code, -1, "{stage}: {}", ran.log);
        bench.left_only_what_expires(stage);
        if let Some(patched) = bench.inspect(&bench.patched) {
            assert_eq!(stage, "it gets its tag", "{patched:?}");
        }
        // Its private files are removed by the next step on this runner.
        let docker = FakeDocker::with("other:1");
        let next = bench
            .env("DOCKER_HOST", &docker.host())
            .input("push", "true")
            .input("image", "127.0.0.1:9/app:1");
        let ran = next.step.run();
        assert_eq!(ran.code, 2, "{stage}: {}", ran.log);
        next.left_no_file(&ran);
        // What Docker was still making for the step that was killed.
        next.left_only_what_expires(stage);
    }
}

#[test]
#[ignore = "real: needs Docker, Copa, BuildKit and Trivy"]
fn a_step_that_is_stopped_while_a_tool_works_leaves_nothing() {
    let kill = "kill -TERM $PPID; exec sleep 1000";
    // The first scan is of the original, the second of the patched image.
    let after = format!(
        r#"case "$*" in *:staged*) {kill};; esac; exec {} "$@""#,
        real("trivy")
    );
    for (tool, script) in [("trivy", kill), ("trivy", &after), ("copa", kill)] {
        let bench = Bench::new("killed", "vulnlib", "").tool(tool, script);
        let ran = broken(&bench);
        assert!(
            ran.error().contains("stopped by SIGTERM"),
            "{}",
            ran.error()
        );
    }
}

#[test]
#[ignore = "real: needs Docker, Copa, BuildKit and Trivy"]
fn a_buildkit_that_is_killed_is_named() {
    // While apt-get works in it.
    let copa = format!(
        r#"{} "$@" 2>&1 | while read -r line; do
            echo "$line"
            case "$line" in *' Installing '*) docker kill $(docker ps --format '{{{{.ID}}}} {{{{.Image}}}}' | sed -n 's/ seaworthy-patch-real-killed-builder:buildkit$//p') >/dev/null 2>&1;; esac
        done; exit 1"#,
        real("copa")
    );
    let bench = Bench::new("killed-builder", "vulnlib", "").tool("copa", &copa);
    let ran = broken(&bench);
    assert_eq!(
        ran.error(),
        "copacetic-patch: Copa failed to patch the image: BuildKit exited with code 137 during the patch: it was killed, most often for lack of memory",
        "{}",
        ran.log
    );
}

#[test]
#[ignore = "real: needs Docker, Copa, BuildKit and Trivy"]
fn an_error_of_copa_has_a_hint() {
    let context = "Copa failed to patch the image: Error: ";
    let table = [
        (
            ("timeout", "1s"),
            "patch exceeded timeout 1s; raise `timeout`, or see in the log what took so long",
        ),
        (
            ("buildkit-address", "unix:///nonexistent.sock"),
            "connect: no such file or directory\"; check that BuildKit listens at `buildkit-address`",
        ),
        // Another server answers there; the gRPC error depends on which side is faster.
        (
            ("buildkit-address", "unix:///var/run/docker.sock"),
            "; check that BuildKit listens at `buildkit-address`",
        ),
    ];
    for ((input, value), message) in table {
        let bench = Bench::new("hint", "vulnlib", "").input(input, value);
        let ran = broken(&bench);
        let error = ran.error();
        assert!(
            error.contains(context) && error.ends_with(message),
            "{error}"
        );
    }
}

/// Run it to its error: there is no verdict, and no patched image.
fn broken(bench: &Bench) -> Ran {
    let ran = bench.run();
    let ending = (ran.code, ran.output("result"));
    assert_eq!(ending, (2, "error"), "{}", ran.log);
    assert_eq!(bench.inspect(&bench.patched), None);
    ran
}

/// A directory in memory of `size`, until it is dropped.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn new(size: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(directory.path())
            .status();
        assert!(done.unwrap().success());
        Self(directory)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
#[ignore = "real: needs Docker, Copa, BuildKit and Trivy, and to be root"]
fn a_full_disk_is_named() {
    // Full by the time Copa runs, but for the little that Copa itself needs.
    let fill = format!(
        r#"cat /dev/zero > "$TMPDIR/../fill" 2>/dev/null; truncate --size=-8K "$TMPDIR/../fill"; exec {} "$@""#,
        real("copa")
    );
    for (size, copa, message) in [
        (
            "1m",
            "exit 9",
            "failed to read `seaworthy-patch-real-full:full` from Docker",
        ),
        ("400m", fill.as_str(), "failed to store Copa's image"),
    ] {
        let temp = Tmpfs::new(size);
        let bench = Bench::new("full", "vulnlib", "").tool("copa", copa);
        let bench = bench.env("RUNNER_TEMP", &temp.0.path().to_string_lossy());
        let ran = broken(&bench);
        assert_eq!(
            ran.error(),
            format!(
                "copacetic-patch: {message}: No space left on device (os error 28); free space on the runner (`docker system prune`)"
            ),
            "{}",
            ran.log
        );
        assert_eq!(files_of_the_run(temp.0.path()), [""; 0]);
    }
}

/// The program `name` that a script of the same name hides.
fn real(name: &str) -> String {
    let path = std::env::var_os("PATH").unwrap();
    let mut paths = std::env::split_paths(&path).map(|directory| directory.join(name));
    let path = paths.find(|path| path.is_file()).unwrap();
    path.to_string_lossy().into_owned()
}
