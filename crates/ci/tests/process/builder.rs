//! Builds that Docker's own BuildKit cannot make: several platforms in one index, caches elsewhere, attestations and outputs.

use std::path::Path;
use std::process::Command;

use docker::Docker;
use oci::{Credentials, ImageRef};
use serde_json::Value;
use testkit::{FakeRunner, Ran};

use crate::actions_cache::{self, ActionsCache};
use crate::push::Project;

/// An application in Go, and with an argument its tests.
const PROGRAM: &str = include_str!("../fixtures/platforms/main.go");
const PLATFORMS: &str = include_str!("../fixtures/platforms/Dockerfile");
const STAGES: &str = r#"
FROM debian:trixie-slim AS build
RUN date +%N >/one
FROM build AS test
RUN date +%N >/two
CMD ["/bin/sh", "-c", "mkdir /results && echo '<testsuite><testcase name=\"a\"/></testsuite>' >/results/junit.xml"]
FROM debian:trixie-slim
COPY --from=build /one /
"#;

fn program(directory: &Path, architecture: &str) {
    std::fs::write(directory.join("main.go"), PROGRAM).unwrap();
    let built = Command::new("go")
        .args(["build", "-o", &format!("app-{architecture}"), "main.go"])
        .envs([("CGO_ENABLED", "0"), ("GOARCH", architecture)])
        .current_dir(directory)
        .status()
        .unwrap();
    assert!(built.success());
}

fn remove(images: &[&str]) {
    let mut remove = Command::new("docker");
    remove.args(["image", "rm", "--force"]).args(images);
    assert!(remove.output().unwrap().status.success());
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// The lines of the log on the steps with `command`.
fn steps<'a>(ran: &'a Ran, command: &str) -> Vec<&'a str> {
    let lines = ran.log.lines();
    lines
        .filter(|line| line.contains(command) && line.starts_with('['))
        .collect()
}

#[test]
#[ignore = "real: needs Docker, BuildKit, Go, a registry and an emulator for arm64"]
fn each_platform_is_tested_and_all_are_pushed_in_one_index() {
    let project = Project::new(PLATFORMS)
        .signed_in()
        .input("platforms", "linux/arm64,linux/amd64")
        .input("provenance", "mode=max")
        .input("annotations", "index:org.opencontainers.image.title=app")
        .input("tags", "{branch}")
        .input("test-target", "test")
        .input("health-path", "/");
    for architecture in ["amd64", "arm64"] {
        program(&project.workspace(), architecture);
    }
    let ran = project.run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    for row in [
        "Tests (linux/amd64, native) | 1 passed",
        "Tests (linux/arm64, emulated) | 1 passed",
        "Smoke test (linux/amd64, native) | `GET /` healthy",
        "Smoke test (linux/arm64, emulated) | `GET /` healthy",
    ] {
        assert!(ran.summary.contains(row), "{row}\n{}", ran.summary);
    }
    assert!(ran.log.contains("tested on arm64"), "{}", ran.log);
    let index = project.manifest("1").unwrap();
    assert_eq!(index.digest.as_str(), ran.output("digest"));
    assert_eq!(project.manifest("main").unwrap().digest, index.digest);
    let parsed = json(&index.bytes);
    let title = "org.opencontainers.image.title";
    assert_eq!(parsed["annotations"][title], "app");
    let entries = parsed["manifests"].as_array().unwrap();
    let platforms: Vec<_> = entries
        .iter()
        .map(|entry| entry["platform"]["architecture"].as_str().unwrap())
        .collect();
    // The last two are the attestations of the first two.
    assert_eq!(platforms, ["arm64", "amd64", "unknown", "unknown"]);
    for entry in &entries[..2] {
        let architecture = entry["platform"]["architecture"].as_str().unwrap();
        let digest = entry["digest"].as_str().unwrap();
        let image = format!("{}/team/app@{digest}", project.host());
        assert_eq!(
            project.run_pushed(&image),
            format!("tested on {architecture}\n")
        );
    }
}

#[test]
#[ignore = "real: needs Docker and BuildKit"]
fn a_platform_that_cannot_be_tested_here_is_an_error_before_a_build() {
    let ran = FakeRunner::new(env!("CARGO_BIN_EXE_ci"))
        .file("Dockerfile", PLATFORMS)
        .input("image", "seaworthy-ci-platform:1")
        .input("platforms", "linux/amd64,linux/s390x")
        .input("token", "")
        .run();
    assert_eq!(
        (ran.code, ran.error().as_str()),
        (
            2,
            "ci: this runner has no emulator for `linux/s390x` of `platforms`, so its image cannot be tested; add `docker/setup-qemu-action` before this step, use a runner of that architecture, or set `test-target: none` and `health-path: none`"
        ),
        "{}",
        ran.log
    );
    assert!(!ran.log.contains("Build stage"), "{}", ran.log);
}

// The steps of both stages are from the cache in the second run, and not in the first.
#[track_caller]
fn assert_cached(first: &Ran, second: &Ran) {
    for name in ["/one", "/two"] {
        let all_cached = |ran| {
            steps(ran, name)
                .iter()
                .all(|line| line.ends_with(": cached"))
        };
        assert!(!all_cached(first) && all_cached(second), "{}", second.log);
    }
}

#[test]
#[ignore = "real: needs Docker, BuildKit and a registry"]
fn a_cache_in_a_registry_has_the_steps_of_every_stage() {
    let project = Project::new(STAGES)
        .signed_in()
        .input("test-target", "test")
        .input("cache-to", "type=registry,ref=HOST/team/app:cache,mode=max")
        .input("cache-from", "type=registry,ref=HOST/team/app:cache");
    let first = project.run();
    assert_eq!(first.code, 0, "{}", first.log);
    let second = project.run();
    assert_eq!(second.code, 0, "{}", second.log);
    assert_cached(&first, &second);
}

#[test]
#[ignore = "real: needs Docker and BuildKit"]
fn a_cache_in_a_directory_is_read_and_written() {
    let step = FakeRunner::new(env!("CARGO_BIN_EXE_ci"))
        .file("Dockerfile", STAGES)
        .file(".dockerignore", "*\n")
        .input("image", "seaworthy-ci-cache:1")
        .input("cache-from", "type=local,src=cache")
        .input("cache-to", "type=local,dest=cache,mode=max")
        .input("static-analysis", "none")
        .input("health-path", "none")
        .input("token", "");
    let runs: Vec<_> = (0..3)
        .map(|_| {
            let ran = step.run();
            assert_eq!(ran.code, 0, "{}", ran.log);
            steps(&ran, "/two").join("; ")
        })
        .collect();
    remove(&["seaworthy-ci-cache:1"]);
    assert!(!runs[0].ends_with("cached"));
    // From the cache that was written over itself, too.
    for steps in &runs[1..] {
        assert!(steps.ends_with("cached"), "{steps}");
    }
}

#[test]
#[ignore = "real: needs Docker and BuildKit"]
fn the_cache_of_github_actions_has_the_steps_of_every_stage() {
    let cache = ActionsCache::start();
    let step = FakeRunner::new(env!("CARGO_BIN_EXE_ci"))
        .file("Dockerfile", STAGES)
        .env("ACTIONS_RESULTS_URL", &cache.url())
        .env("ACTIONS_RUNTIME_TOKEN", &actions_cache::token())
        .input("image", "seaworthy-ci-gha:1")
        .input("cache-from", "type=gha,scope=app")
        .input("cache-to", "type=gha,scope=app,mode=max")
        .input("static-analysis", "none")
        .input("health-path", "none")
        .input("token", "");
    let first = step.run();
    assert_eq!(first.code, 0, "{}", first.log);
    let second = step.run();
    assert_eq!(second.code, 0, "{}", second.log);
    remove(&["seaworthy-ci-gha:1"]);
    assert_cached(&first, &second);
    // The index of each build, which the other one does not replace.
    let keys = cache.keys().join("\n");
    for scope in ["index-app-test", "index-app"] {
        assert!(keys.contains(scope), "{keys}");
    }
    assert!(!first.log.contains(&actions_cache::token()));
}

#[test]
#[ignore = "real: needs Docker and BuildKit"]
fn outputs_are_written_when_every_check_has_passed() {
    let dockerfile = "FROM scratch\nCOPY --from=shared lib.txt /\nCOPY own.txt /\n";
    let step = FakeRunner::new(env!("CARGO_BIN_EXE_ci"))
        .file("app/Dockerfile", dockerfile)
        .file("app/own.txt", "own")
        .file("shared/lib.txt", "lib")
        .file("shared/secret.txt", "not in the context")
        .file("shared/.dockerignore", "secret.txt\n")
        .input("context", "app")
        .input("image", "seaworthy-ci-outputs:1")
        .input("build-contexts", "shared=shared")
        .input(
            "outputs",
            "type=oci,dest=out/image.tar\ntype=oci,tar=false,dest=out/layout\ntype=local,dest=out/files\ntype=tar,dest=out/files.tar",
        )
        .input("test-target", "none")
        .input("health-path", "none")
        .input("token", "");
    let ran = step.run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    remove(&["seaworthy-ci-outputs:1"]);
    let out = step.workspace().join("out");
    let read = |path: &str| std::fs::read_to_string(out.join(path)).unwrap();
    assert_eq!(
        (read("files/lib.txt"), read("files/own.txt")),
        ("lib".into(), "own".into())
    );
    let names = |archive: &str| -> Vec<String> {
        let mut archive = tar::Archive::new(std::fs::File::open(out.join(archive)).unwrap());
        let entries = archive.entries().unwrap();
        entries
            .map(|entry| {
                entry
                    .unwrap()
                    .path()
                    .unwrap()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect()
    };
    assert_eq!(names("files.tar"), ["lib.txt", "own.txt"]);
    assert!(names("image.tar").contains(&"index.json".to_owned()));
    let index = json(read("layout/index.json").as_bytes());
    let digest = index["manifests"][0]["digest"].as_str().unwrap();
    let manifest = json(read(&format!("layout/blobs/{}", digest.replace(':', "/"))).as_bytes());
    assert_eq!(manifest["config"]["digest"], ran.output("image-id"));
}

#[test]
#[ignore = "real: needs Docker and an SSH agent"]
fn a_build_reaches_an_ssh_agent_and_the_secrets_of_files() {
    // The request for the identities of an agent, and its answer (RFC draft-ietf-sshm-ssh-agent).
    let dockerfile = r#"
FROM debian:trixie-slim
RUN --mount=type=ssh,required --mount=type=secret,id=netrc,required perl -MIO::Socket::UNIX -e 'my $s = IO::Socket::UNIX->new($ENV{SSH_AUTH_SOCK}) or die $!; \
    print $s "\x00\x00\x00\x01\x0b"; $s->flush; sysread($s, my $answer, 5); print "answer ", ord(substr($answer, 4)), "\n"; \
    open(my $f, "<", "/run/secrets/netrc"); print "secret ", length(<$f>), "\n"; exit 0'
"#;
    let step = FakeRunner::new(env!("CARGO_BIN_EXE_ci"))
        .file("Dockerfile", dockerfile)
        .file("netrc", "machine example.com password hunter2hunter2\n")
        .input("image", "seaworthy-ci-ssh:1")
        .input("no-cache", "true")
        .input("secret-files", "netrc=netrc")
        .input("test-target", "none")
        .input("health-path", "none")
        .input("token", "");
    let socket = step.directory().join("agent.sock");
    let mut agent = Command::new("ssh-agent")
        .arg("-D")
        .arg("-a")
        .arg(&socket)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // It prints its variables when it listens.
    let mut line = String::new();
    let output = agent.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).unwrap();
    let ran = step
        .input("ssh", &format!("default={}", socket.display()))
        .run();
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert_eq!(ran.code, 0, "{}", ran.log);
    remove(&["seaworthy-ci-ssh:1"]);
    assert!(ran.log.contains("answer 12"), "{}", ran.log);
    assert!(ran.log.contains("secret 44"), "{}", ran.log);
}

impl Project {
    /// What the tests of the pushed `image` print.
    fn run_pushed(&self, image: &str) -> String {
        let name: ImageRef = image.parse().unwrap();
        let credentials = Credentials {
            username: testkit::PrivateRegistry::USER.into(),
            password: testkit::PrivateRegistry::PASSWORD.into(),
        };
        self.block_on(async {
            let host = std::env::var("DOCKER_HOST").ok();
            let docker = Docker::connect(host.as_deref()).await.unwrap();
            docker.pull(&name, Some(&credentials)).await.unwrap();
        });
        let ran = Command::new("docker")
            .args([
                "run",
                "--rm",
                "--tmpfs=/results:mode=777",
                image,
                "/app",
                "test",
            ])
            .output()
            .unwrap();
        remove(&[image]);
        String::from_utf8(ran.stdout).unwrap()
    }
}
