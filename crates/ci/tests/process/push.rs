//! Registries with a password: base images from them, and the push of what was tested.

use std::process::{Command, Stdio};

use docker::Docker;
use fake_github::{GitHub, Refusal};
use oci::{Credentials, ImageRef, Logins, RawManifest, Registry};
use serde_json::Value;
use testkit::wire::{Fault, Wire, first, second};
use testkit::{FakeRunner, PrivateRegistry, Ran};

use crate::any_image::docker;

const SCRATCH: &str = "FROM scratch\nCOPY app /\n";

/// A project whose image is pushed to a registry.
pub(crate) struct Project {
    registry: PrivateRegistry,
    step: FakeRunner,
    runtime: tokio::runtime::Runtime,
}

impl Project {
    pub(crate) fn new(dockerfile: &str) -> Self {
        let registry = PrivateRegistry::start();
        let dockerfile = dockerfile.replace("HOST", registry.host());
        let image = format!("{}/team/app:1", registry.host());
        let step = FakeRunner::new(env!("CARGO_BIN_EXE_ci"))
            .file("Dockerfile", &dockerfile)
            .file("app", registry.host())
            .input("image", &image)
            .input("push", "true")
            .input("test-target", "none")
            .input("health-path", "none")
            .input("static-analysis", "none")
            .input("token", "");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        Self {
            registry,
            step,
            runtime,
        }
    }

    pub(crate) fn input(self, name: &str, value: &str) -> Self {
        let value = value.replace("HOST", self.registry.host());
        let step = self.step.input(name, &value);
        Self { step, ..self }
    }

    pub(crate) fn signed_in(self) -> Self {
        self.input("registries", "HOST seaworthy secret")
    }

    /// An image `base:1` in the registry, and not in Docker.
    fn with_base(self) -> Self {
        let name: ImageRef = format!("{}/base:1", self.registry.host()).parse().unwrap();
        let mut import = Command::new("docker")
            .args(["import", "-", &name.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut tar = tar::Builder::new(import.stdin.take().unwrap());
        let mut header = tar::Header::new_gnu();
        header.set_size(4);
        header.set_mode(0o644);
        tar.append_data(&mut header, "base", &b"base"[..]).unwrap();
        drop(tar.into_inner().unwrap());
        assert!(import.wait().unwrap().success());
        let credentials = Credentials {
            username: PrivateRegistry::USER.into(),
            password: PrivateRegistry::PASSWORD.into(),
        };
        self.runtime.block_on(async {
            let host = std::env::var("DOCKER_HOST").ok();
            let docker = Docker::connect(host.as_deref()).await.unwrap();
            docker.push(&name, &credentials).await.unwrap();
            docker.untag(&name).await.unwrap();
        });
        self
    }

    /// Run the step; the image is removed from Docker.
    pub(crate) fn run(&self) -> Ran {
        let ran = self.step.run();
        let names: Vec<_> = ran.output("tags").lines().collect();
        if !names.is_empty() {
            let remove = Command::new("docker")
                .args(["image", "rm", "--force"])
                .args(names)
                .output();
            assert!(remove.unwrap().status.success());
        }
        ran
    }

    fn file(self, path: &str, content: &str) -> Self {
        let step = self.step.file(path, content);
        Self { step, ..self }
    }

    pub(crate) fn host(&self) -> &str {
        self.registry.host()
    }

    pub(crate) fn workspace(&self) -> std::path::PathBuf {
        self.step.workspace()
    }

    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    pub(crate) fn manifest(&self, tag: &str) -> Option<RawManifest> {
        self.stored("team/app", tag)
    }

    fn stored(&self, repository: &str, tag: &str) -> Option<RawManifest> {
        let client = self.client();
        let found = client.manifest(repository, tag);
        self.runtime.block_on(found).unwrap()
    }

    fn client(&self) -> Registry {
        let login = Credentials {
            username: PrivateRegistry::USER.into(),
            password: PrivateRegistry::PASSWORD.into(),
        };
        let host = self.registry.host();
        let logins: Logins = [(host.to_owned(), login)].into_iter().collect();
        let http = http_client::Client::new().unwrap();
        Registry::new(http, host, logins.auth(host), |_| {})
    }

    /// The requests that changed `team/app`; those without a login, which are repeated with it, did not.
    fn changes(&self) -> Vec<String> {
        let requests = self.registry.requests().into_iter();
        let is_change = |request: &String| {
            let method = request.split(' ').next().unwrap_or_default();
            let is_read = matches!(method, "GET" | "HEAD");
            request.contains("/team/app/") && !is_read && !request.ends_with(" 401")
        };
        requests.filter(is_change).collect()
    }
}

#[test]
#[ignore = "real: needs Docker and a registry"]
fn what_was_tested_is_pushed_once_and_tagged_by_digest() {
    let project = Project::new("FROM HOST/base:1\nCOPY app /\n")
        .with_base()
        .signed_in()
        .input("tags", "{branch}\n{version}\nHOST/team/app:sha-{short-sha}");
    let artifacts = project.step.directory().join("artifacts");
    std::fs::write(&artifacts, "").unwrap();
    let step = project
        .step
        .env("GITHUB_ARTIFACTS", &artifacts.to_string_lossy());
    let project = Project { step, ..project };
    let ran = project.run();
    assert_eq!(
        (ran.code, ran.output("result")),
        (0, "passed"),
        "{}",
        ran.log
    );

    // BuildKit read the base image with the login.
    let base = "GET /v2/base/manifests/";
    let requests = project.registry.requests();
    let read = |request: &String| request.starts_with(base) && request.ends_with(" 200");
    assert!(requests.iter().any(read), "{requests:#?}");

    let host = project.registry.host();
    let digest = ran.output("digest");
    assert_eq!(ran.output("image"), format!("{host}/team/app@{digest}"));
    let tags = ["1", "main", "sha-0123456"];
    let names = tags.map(|tag| format!("{host}/team/app:{tag}"));
    assert_eq!(ran.output("tags"), names.join("\n"));
    for tag in tags {
        let manifest = project.manifest(tag).unwrap();
        assert_eq!(manifest.digest.as_str(), digest);
        let json: Value = serde_json::from_slice(&manifest.bytes).unwrap();
        assert_eq!(json["config"]["digest"], ran.output("image-id"));
    }
    // Docker pushes the first tag alone.
    let puts: Vec<_> = project
        .changes()
        .into_iter()
        .filter(|r| r.contains("/manifests/"))
        .collect();
    assert_eq!(
        puts,
        tags.map(|tag| format!("PUT /v2/team/app/manifests/{tag} 201"))
    );
    let declared = std::fs::read_to_string(&artifacts).unwrap();
    assert_eq!(declared, format!("oci://{host}/team/app@{digest}\n"));
    assert!(
        ran.summary
            .contains("; `{version}` left out: the run is for "),
        "{}",
        ran.summary
    );

    // The registry has it all: the second push moves no layer.
    let before = project.changes().len();
    let again = project.run();
    assert_eq!(
        (again.code, again.output("digest")),
        (0, digest),
        "{}",
        again.log
    );
    let moved = project.changes().split_off(before);
    assert_eq!(
        moved,
        tags.map(|tag| format!("PUT /v2/team/app/manifests/{tag} 201"))
    );
}

#[test]
#[ignore = "real: needs Docker and a registry"]
fn a_pushed_image_is_recorded_on_github() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let github = runtime.block_on(GitHub::start("t")).unwrap();
    let project = Project::new(SCRATCH)
        .signed_in()
        .input("storage-record", "true")
        .input("token", "t")
        .input("comment", "false")
        .input("upload", "false");
    let step = project.step.env("GITHUB_API_URL", &github.url());
    let project = Project { step, ..project };
    let ran = project.run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    let (host, digest) = (project.host(), ran.output("digest"));
    let record = serde_json::json!({
        "name": format!("{host}/team/app"), "digest": digest, "registry_url": format!("https://{host}"),
        "repository": "team/app", "github_repository": "app",
    });
    assert_eq!(github.storage_records(), [record]);

    github.expect(Refusal::NoPermission.fault("/storage-record"));
    let ran = project.run();
    assert_eq!((ran.code, ran.output("digest")), (0, digest), "{}", ran.log);
    let notice = format!(
        "::notice::GitHub has no storage record of {host}/team/app@{digest}: GitHub responded with 403 (Resource not accessible by integration); give the job `permissions: artifact-metadata: write`"
    );
    assert!(ran.log.contains(&notice), "{}", ran.log);
}

#[test]
#[ignore = "real: needs Docker and a registry"]
fn a_missing_login_is_an_error_that_names_the_host_and_the_line() {
    let project = Project::new("FROM HOST/base:1\nCOPY app /\n").with_base();
    let ran = project.run();
    let host = project.registry.host();
    let hint =
        format!("`{host}` requires a login; add a line to `registries`: `{host} USER SECRET`");
    assert_eq!(
        (ran.code, ran.output("result")),
        (2, "error"),
        "{}",
        ran.log
    );
    assert!(ran.error().contains(&hint), "{}", ran.error());

    let project = Project::new(SCRATCH);
    let ran = project.run();
    let host = project.registry.host();
    let hint =
        format!("`{host}` requires a login; add a line to `registries`: `{host} USER SECRET`");
    assert_eq!((ran.code, ran.output("digest")), (2, ""), "{}", ran.log);
    assert!(ran.error().contains(&hint), "{}", ran.error());
    assert_eq!(project.manifest("1").map(|manifest| manifest.digest), None);

    let project = Project::new(SCRATCH).input("registries", "HOST seaworthy wr0ng-word");
    let ran = project.run();
    let host = project.registry.host();
    let hint = format!("`{host}` refused the login of its line in `registries`");
    assert_eq!(ran.code, 2, "{}", ran.log);
    assert!(ran.error().contains(&hint), "{}", ran.error());
    let masks = |line: &&str| !line.starts_with("::add-mask::");
    let shown: Vec<_> = ran.log.lines().filter(masks).collect();
    assert!(!shown.join("\n").contains("wr0ng-word"), "{}", ran.log);
    assert!(
        ran.log.starts_with("::add-mask::wr0ng-word\n"),
        "{}",
        ran.log
    );
}

#[test]
#[ignore = "real: needs Docker and a registry"]
fn a_cache_that_needs_a_login_is_reported() {
    let project = Project::new(SCRATCH)
        .with_base()
        .input("push", "false")
        .input("cache-from", "HOST/base:1");
    let ran = project.run();
    let host = project.registry.host();
    assert_eq!(ran.code, 0, "{}", ran.log);
    let note =
        format!("::warning::the cache `{host}/base:1` cannot be read: `{host}` requires a login");
    assert!(ran.log.contains(&note), "{}", ran.log);
}

#[test]
#[ignore = "real: needs Docker and a registry"]
fn nothing_is_pushed_when_a_check_fails() {
    let dockerfile = format!("FROM debian:trixie-slim AS test\nCMD [\"false\"]\n{SCRATCH}");
    let project = Project::new(&dockerfile)
        .signed_in()
        .input("test-target", "test");
    let ran = project.run();
    assert_eq!((ran.code, ran.output("image")), (2, ""), "{}", ran.log);
    assert_eq!(project.changes(), Vec::<String>::new());
}

#[test]
#[ignore = "real: needs Docker and a registry"]
fn a_pull_request_from_a_fork_pushes_nothing() {
    // The secret is empty in such a run.
    let project = Project::new(SCRATCH).input("registries", "HOST seaworthy ");
    let event = project.step.directory().join("event.json");
    let fork = r#"{"pull_request": {"number": 7, "head": {"repo": {"full_name": "me/app"}}}}"#;
    std::fs::write(event, fork).unwrap();
    let ran = project.run();
    assert_eq!((ran.code, ran.output("digest")), (0, ""), "{}", ran.log);
    let notice = "::notice::nothing is pushed: the pull request is from a fork, whose runs have no credentials";
    assert!(ran.log.contains(notice), "{}", ran.log);
    assert_eq!(project.registry.requests(), Vec::<String>::new());
}

#[test]
#[ignore = "real: needs Docker and a registry"]
fn a_digest_of_one_platform_is_a_warning_on_its_line() {
    let project = Project::new(SCRATCH).with_base().signed_in();
    let base = project.stored("base", "1").unwrap();
    let entry = |digest: &oci::Digest, architecture: &str| {
        serde_json::json!({
            "mediaType": base.media_type, "digest": digest.as_str(), "size": base.bytes.len(),
            "platform": {"os": "linux", "architecture": architecture},
        })
    };
    let index = serde_json::json!({
        "schemaVersion": 2, "mediaType": oci::INDEX,
        "manifests": [entry(&base.digest, "amd64")],
    });
    let bytes = serde_json::to_vec(&index).unwrap();
    let index = RawManifest {
        digest: oci::Digest::sha256(&bytes),
        media_type: oci::INDEX.to_owned(),
        bytes,
    };
    let tagged = async { project.client().tag("base", "multi", &index).await };
    project.runtime.block_on(tagged).unwrap();
    let host = project.registry.host();
    let pinned = format!("{host}/base:multi@{}", base.digest);
    let project = project.file(
        "Dockerfile",
        &format!("# A comment.\nFROM {pinned}\nCOPY app /\n"),
    );
    let ran = project.run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    let host = project.registry.host();
    let warning = format!(
        "::warning file=Dockerfile,line=2::PlatformDigest: `{host}/base@{}` is the image of linux/amd64 alone, for each platform that is built; pin the digest of the index of `multi`, now {}",
        base.digest, index.digest
    );
    assert!(ran.log.contains(&warning), "{}", ran.log);
    // The digest of the index is right.
    let pinned = format!("{host}/base:multi@{}", index.digest);
    let project = project.file("Dockerfile", &format!("FROM {pinned}\nCOPY app /\n"));
    let ran = project.run();
    assert!(!ran.log.contains("PlatformDigest"), "{}", ran.log);
}

#[test]
#[ignore = "real: needs Docker"]
fn a_program_for_another_architecture_fails_the_step() {
    let project = Project::new(
        "FROM scratch\nCOPY app /bin/app\nCOPY run /run\nENV PATH=/bin\nENTRYPOINT [\"/run\"]\n",
    )
    .input("push", "false")
    .file("run", "#!/usr/bin/env app\n");
    for (machine, architecture, code) in [(0x3e, "amd64", 0), (0xb7, "arm64", 1)] {
        // A program's header is enough: it is not started.
        let mut header = b"\x7fELF\x02\x01".to_vec();
        header.resize(18, 0);
        header.extend([machine, 0]);
        std::fs::write(project.step.workspace().join("app"), header).unwrap();
        let ran = project.run();
        assert_eq!(ran.code, code, "{}", ran.log);
        if code == 1 {
            let problem = format!(
                "the image says that it is for `amd64`, but `/bin/app` is a program for `{architecture}`"
            );
            assert!(ran.error().contains(&problem), "{}", ran.error());
            assert_eq!(ran.output("image"), "");
        }
    }
}

#[test]
#[ignore = "real: needs Docker and a registry"]
fn a_push_that_is_killed_is_completed_by_the_next_run() {
    // Docker pushes the first tag, and the step sets the second one itself.
    for in_docker in [true, false] {
        let known = names();
        let project = Project::new(SCRATCH).signed_in();
        let process = project.step.process();
        let registry = project.host().to_owned();
        let (wire, host) = if in_docker {
            let push = first("POST /images /push", Fault::Kill);
            (Wire::to_docker(&[push], process), registry)
        } else {
            let wire = Wire::to_server(registry, process);
            wire.rules(&[second("PUT /manifests", Fault::Kill)]);
            let host = wire.address.clone();
            (wire, host)
        };
        let image = format!("{host}/team/app:1");
        let step = project
            .step
            .input("image", &image)
            .input("tags", "{short-sha}")
            .input("registries", &format!("{host} seaworthy secret"));
        let step = if in_docker {
            step.env("DOCKER_HOST", &wire.address)
        } else {
            step
        };
        let project = Project { step, ..project };
        let ran = project.step.run();
        wire.settled();
        assert!(wire.is_met(), "{}", ran.log);
        assert_eq!(ran.code, -1, "{}", ran.log);
        // A tag has the whole image, or is not there.
        let before = project.manifest("1");
        assert!(in_docker || before.is_some(), "{}", ran.log);
        wire.rules(&[]);

        let again = project.run();
        assert_eq!(again.code, 0, "{}", again.log);
        let digest = again.output("digest").to_owned();
        if let Some(before) = before {
            assert_eq!(before.digest.as_str(), digest);
        }
        for tag in ["1", "0123456"] {
            assert_eq!(project.manifest(tag).unwrap().digest.as_str(), digest);
        }
        // Under a random name, with the time when it is overdue.
        for name in names().into_iter().filter(|name| !known.contains(name)) {
            let remove = Command::new("docker").args(["image", "rm", &name]).output();
            assert!(remove.unwrap().status.success(), "{name}");
        }
    }
}

fn names() -> Vec<String> {
    let list = docker(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]);
    list.lines().map(str::to_owned).collect()
}
