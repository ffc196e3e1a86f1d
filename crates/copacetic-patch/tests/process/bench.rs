//! An image with packages that are fixtures, an archive that has their updates, and a database that has their findings: the
//! real Copa, BuildKit and Trivy, and no network.

use std::path::{Path, PathBuf};
use std::process::Command;

use docker::{BuildRequest, Container, ContainerSpec, Docker, ImageInfo};
use oci::ImageRef;
use testkit::{FakeRunner, Ran};

use crate::step;

/// Debian for arm64, as `cargo xtask up` makes it.
const ARM64: &str = "seaworthy/debian-arm64:local";

/// An image of the bench, and the step that patches it.
pub(crate) struct Bench {
    /// The image.
    pub(crate) image: ImageRef,
    /// The name that the patched image gets.
    pub(crate) patched: ImageRef,
    pub(crate) step: FakeRunner,
    docker: Docker,
    runtime: tokio::runtime::Runtime,
    names: Names,
}

/// The names of the images, removed with the test.
struct Names(Vec<ImageRef>);

impl Bench {
    /// An image `name` with the first versions of `packages`, of which `held` are held back.
    pub(crate) fn new(name: &str, packages: &str, held: &str) -> Self {
        Self::build(name, &[("PACKAGES", packages), ("HELD", held)])
    }

    /// The same with a Python environment that has `wheels`.
    pub(crate) fn python(name: &str, packages: &str, wheels: &str) -> Self {
        let base: ImageRef = format!("{}:base", repository(name)).parse().unwrap();
        build("Dockerfile.python", &base, &[("WHEELS", wheels)]);
        let image = base.to_string();
        let mut bench = Self::build(
            name,
            &[("PACKAGES", packages), ("HELD", ""), ("BASE", &image)],
        );
        bench.names.0.push(base);
        bench.input("package-types", "os,library")
    }

    /// The image with the first versions of `packages` for arm64, which QEMU runs.
    pub(crate) fn arm64(&mut self, packages: &str) -> ImageRef {
        let tag = self.image.tag().unwrap_or_default();
        let image = self.image.with_tag(&format!("{tag}-arm64")).unwrap();
        let arguments = [
            ("PACKAGES", packages),
            ("HELD", ""),
            ("BASE", ARM64),
            ("PLATFORM", "linux/arm64"),
        ];
        build("Dockerfile", &image, &arguments);
        self.names.0.push(image.clone());
        image
    }

    fn build(name: &str, arguments: &[(&str, &str)]) -> Self {
        let image: ImageRef = format!("{}:{name}", repository(name)).parse().unwrap();
        let (runtime, docker) = build("Dockerfile", &image, arguments);
        let patched = image.with_tag(&format!("{name}-patched")).unwrap();
        let mut names = vec![patched.clone(), image.clone()];
        // With its own names, the bench does not mistake containers of other runs for its own.
        for (own, of) in [
            ("buildkit", "moby/buildkit:v0.34.2"),
            ("other", "debian:trixie-slim"),
        ] {
            let own = image.with_tag(own).unwrap();
            runtime
                .block_on(docker.tag(&of.parse().unwrap(), &own))
                .unwrap();
            names.push(own);
        }
        let step = step_for(&image);
        Self {
            names: Names(names),
            patched,
            image,
            step,
            docker,
            runtime,
        }
    }

    /// The same with another step.
    pub(crate) fn with(self, change: impl FnOnce(FakeRunner) -> FakeRunner) -> Self {
        let step = change(self.step);
        Self { step, ..self }
    }

    pub(crate) fn input(self, name: &str, value: &str) -> Self {
        self.with(|step| step.input(name, value))
    }

    pub(crate) fn env(self, name: &str, value: &str) -> Self {
        self.with(|step| step.env(name, value))
    }

    /// Replace the program `name` with `script`.
    pub(crate) fn tool(self, name: &str, script: &str) -> Self {
        self.with(|step| step.tool(name, script))
    }

    /// Run the step; on every path it leaves no container and no temporary name.
    pub(crate) fn run(&self) -> Ran {
        self.run_to(|| ())
    }

    /// The same; `end` waits until the servers are done too.
    pub(crate) fn run_to(&self, end: impl FnOnce()) -> Ran {
        let ran = self.step.run();
        end();
        self.left_nothing(&ran);
        ran
    }

    /// Assert that no container, no name in Docker and no file of the run is left.
    pub(crate) fn left_nothing(&self, ran: &Ran) {
        let own_images = format!("{}:", self.image.repository());
        let containers = docker(&["ps", "--all", "--format", "{{.Image}}"]);
        let own = |image: &&str| image.starts_with(&own_images);
        let left = containers.lines().find(own);
        assert_eq!(left, None, "a container is left; the log:\n{}", ran.log);
        let names = docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
        let own = |name: &&str| {
            name.starts_with(&format!("{own_images}staging-"))
                || name.contains(&format!("/{own_images}"))
        };
        assert_eq!(names.lines().find(own), None, "{}", ran.log);
        self.left_no_file(ran);
    }

    /// Assert that no file of the run is left.
    pub(crate) fn left_no_file(&self, ran: &Ran) {
        let temp = files_of_the_run(&self.step.directory().join("temp"));
        assert!(temp.is_empty(), "{temp:?} are left; the log:\n{}", ran.log);
    }

    /// Assert that each container and temporary name that the killed step left has the time after which a later step removes
    /// it, and remove them.
    pub(crate) fn left_only_what_expires(&self, stage: &str) {
        let own_images = format!("{}:", self.image.repository());
        let format = "{{.ID}} {{.Image}} {{.Label \"dev.seaworthy.expires\"}}";
        for container in docker(&["ps", "--all", "--format", format]).lines() {
            let fields: Vec<_> = container.split(' ').collect();
            if fields[1].starts_with(&own_images) {
                assert!(fields[2].parse::<u64>().is_ok(), "{stage}: {container}");
                docker(&["rm", "--force", "--volumes", fields[0]]);
            }
        }
        for name in docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).lines() {
            if name.starts_with(&format!("{own_images}staging-")) {
                let mut parts = name.split('-');
                assert!(
                    parts.any(|part| part.len() == 10 && part.parse::<u64>().is_ok()),
                    "{stage}: {name}"
                );
                docker(&["rmi", name]);
            }
        }
    }

    /// Docker's description of `image`.
    pub(crate) fn inspect(&self, image: &ImageRef) -> Option<ImageInfo> {
        self.runtime.block_on(self.docker.inspect(image)).unwrap()
    }

    /// Trivy's report of the image.
    pub(crate) fn report(&self) -> serde_json::Value {
        let done = Command::new("trivy")
            .args(["image", "--quiet", "--format", "json", "--scanners", "vuln"])
            .args(["--list-all-pkgs", "--skip-db-update", "--offline-scan"])
            .arg("--cache-dir")
            .arg(database(&self.image))
            .arg(self.image.to_string())
            .output()
            .unwrap();
        serde_json::from_slice(&done.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&done.stderr)))
    }

    /// What a container of `image` prints: the version of `package`.
    pub(crate) fn prints(&self, image: &ImageRef, package: &str) -> String {
        self.output(image, &[], &[package])
    }

    /// The version of `module` in the Python environment of `image`.
    pub(crate) fn imports(&self, image: &ImageRef, module: &str) -> String {
        let script = format!("import {module}; print({module}.version)");
        self.output(image, &["/opt/venv/bin/python", "-c"], &[&script])
    }

    fn output(&self, image: &ImageRef, entrypoint: &[&str], cmd: &[&str]) -> String {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        let spec = ContainerSpec {
            image: image.to_string(),
            entrypoint: words(entrypoint),
            cmd: words(cmd),
            network: Some("none".into()),
            run: "copacetic-patch-test".into(),
            ..ContainerSpec::default()
        };
        self.runtime.block_on(async {
            let container: Container = self.docker.start(&spec).await.unwrap();
            container.wait().await.unwrap();
            let lines = container.log_tail(1).await;
            container.remove().await;
            lines.join("\n")
        })
    }
}

// Build `image` from the file `dockerfile` of the bench.
fn build(
    dockerfile: &str,
    image: &ImageRef,
    arguments: &[(&str, &str)],
) -> (tokio::runtime::Runtime, Docker) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let host = std::env::var("DOCKER_HOST").ok();
    let docker = runtime.block_on(Docker::connect(host.as_deref())).unwrap();
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    // Images of two tests are never one image: while one test removes it, Docker cannot name it for the other.
    let of_test = ("NAME", &*image.to_string());
    let request = BuildRequest {
        build_args: arguments.iter().chain([&of_test]).map(owned).collect(),
        ..BuildRequest::new(here(), dockerfile, image.clone())
    };
    runtime.block_on(docker.build(&request, |_| ())).unwrap();
    (runtime, docker)
}

/// Assert that the step exited with `code` and has `result`; the failure shows its log.
#[track_caller]
pub(crate) fn exited(ran: &Ran, code: i32, result: &str) {
    assert_eq!(
        (ran.code, ran.output("result")),
        (code, result),
        "{}",
        ran.log
    );
}

/// A step that patches `image`.
pub(crate) fn step_for(image: &ImageRef) -> FakeRunner {
    step()
        .env("PATH", &std::env::var("PATH").unwrap())
        .input("image", &image.to_string())
        .input("tooling-image", &image.to_string())
        .input(
            "buildkit-image",
            &image.with_tag("buildkit").unwrap().to_string(),
        )
        .input("cache-directory", &database(image).to_string_lossy())
        .input("offline", "true")
}

impl Drop for Names {
    fn drop(&mut self) {
        for name in &self.0 {
            docker(&["image", "rm", "--force", &name.to_string()]);
        }
    }
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/process/bench")
}

pub(crate) fn docker(args: &[&str]) -> String {
    let done = Command::new("docker").args(args).output().unwrap();
    String::from_utf8(done.stdout).unwrap()
}

// Trivy's cache for the image, with a database that this repository's tool writes: one Trivy at a time can use a cache.
fn database(image: &ImageRef) -> PathBuf {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join(image.repository());
    if !cache.is_dir() {
        let done = Command::new(writer())
            .arg(here().join("advisories.yaml"))
            .arg(cache.join("db"))
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    }
    cache
}

// Two tests run at a time: what one of them makes in Docker has its name.
fn repository(name: &str) -> String {
    format!("seaworthy-patch-real-{name}")
}

/// Trivy's cache with a database that asks for a later version of `vulnlib` than there is.
pub(crate) fn later_database(directory: &Path) -> PathBuf {
    let known = std::fs::read_to_string(here().join("advisories.yaml")).unwrap();
    let later = known.replace(
        "package: vulnlib, fixed: 1.0-2",
        "package: vulnlib, fixed: 1.0-3",
    );
    let file = directory.join("later.yaml");
    std::fs::write(&file, later).unwrap();
    let cache = directory.join("later");
    let done = Command::new(writer())
        .arg(&file)
        .arg(cache.join("db"))
        .output();
    assert!(done.unwrap().status.success());
    cache
}

// In PATH, or where `cargo xtask up` puts it.
fn writer() -> PathBuf {
    let name = Path::new("trivy-db");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|directory| directory.join(name));
    let cache = std::env::var_os("SEAWORTHY_CACHE").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/seaworthy"),
        PathBuf::from,
    );
    let built = std::fs::read_dir(cache.join("tools/trivy-db")).into_iter();
    let built = built.flatten().flatten().map(|e| e.path().join(name));
    in_path
        .chain(built)
        .find(|path| path.is_file())
        .expect("`trivy-db` is neither in PATH nor in the cache: run `cargo xtask up`")
}

/// The files in a temporary `directory`, without what is there for the later steps of the job: which step wrote which file.
pub(crate) fn files_of_the_run(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| !name.starts_with("seaworthy-file-"))
        .collect()
}
