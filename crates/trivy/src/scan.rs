//! One run of Trivy.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use actions_toolkit::{Env, Log, choice};
use tokio::sync::Mutex;

use crate::error::{from_output, start_of};
use crate::isolated::Isolated;
use crate::{
    ABSENT, Database, DatabaseError, DatabaseRequest, EMPTY, HYGIENE, Origin, Report, ScanError,
    Server, tool, unread,
};

/// Bytes of the largest report that is read: about 100,000 vulnerabilities with their descriptions.
pub const REPORT_LIMIT: usize = 256 * limits::MIB;

/// Where other sources of images than Docker are: variables that their own programs read.
const SOURCE_VARIABLES: [(ImageSource, &[&str]); 2] = [
    (ImageSource::Podman, &["XDG_RUNTIME_DIR"]),
    (
        ImageSource::Containerd,
        &["CONTAINERD_ADDRESS", "CONTAINERD_NAMESPACE"],
    ),
];

/// Something to scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An image in Docker or, failing that, in its registry.
    Image(String),
    /// An image saved by `docker save`, or the directory of an OCI layout.
    Archive(PathBuf),
    /// Lock files and secrets in a directory, or one lock file.
    Filesystem(PathBuf),
    /// The root of an installed system, such as an unpacked image.
    Rootfs(PathBuf),
    /// An SBOM, whose packages are looked up.
    Sbom(PathBuf),
    /// Dockerfiles, Kubernetes manifests and similar configuration in a directory, or one such file.
    Config(PathBuf),
}

impl Target {
    /// The value of the input `scan-type`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Image(_) => "image",
            Self::Archive(_) => "archive",
            Self::Filesystem(_) => "fs",
            Self::Rootfs(_) => "rootfs",
            Self::Sbom(_) => "sbom",
            Self::Config(_) => "config",
        }
    }
}

choice! {
    /// What to look for in an image or a directory.
    #[derive(PartialEq, Eq)]
    pub enum Scanner {
        /// Vulnerable packages.
        Vulnerabilities = "vuln",
        /// Secrets in files.
        Secrets = "secret",
        /// Licenses of packages that are restricted.
        Licenses = "license",
    }
}

choice! {
    /// Where an image is looked for.
    #[derive(PartialEq, Eq)]
    pub enum ImageSource {
        /// The Docker daemon.
        Docker = "docker",
        /// Podman's socket.
        Podman = "podman",
        /// containerd's socket.
        Containerd = "containerd",
        /// The image's registry.
        Remote = "remote",
    }
}

/// Where VEX statements come from: findings with the status `not_affected` or `fixed` are suppressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VexSource {
    /// A document.
    File(PathBuf),
    /// The repositories that [`Scan::vex_home`] configures.
    Repositories,
}

/// One run of Trivy, with everything that it depends on.
#[derive(Debug, Clone)]
pub struct Scan {
    /// What to scan.
    pub target: Target,
    /// What to look for; ignored for [`Target::Config`].
    pub scanners: Vec<Scanner>,
    /// Trivy's cache, which holds the database.
    pub cache: PathBuf,
    /// The Java database, for a target with JAR files; without one, such a target is an error.
    pub java: Option<DatabaseRequest>,
    /// The server that looks up the packages, in place of the database in the cache.
    pub server: Option<Server>,
    /// The directory that relative paths start from.
    pub directory: PathBuf,
    /// The file of findings to ignore; without one, Trivy does not look for one either.
    pub ignore_file: Option<PathBuf>,
    /// VEX statements; of several sources on one finding, the first one counts.
    pub vex: Vec<VexSource>,
    /// The directory with `.trivy/vex/repository.yaml`, the configuration of the VEX repositories
    /// (`pkg/vex/repo/manager.go` of Trivy). Their documents are in `vex/repositories` of the cache.
    pub vex_home: Option<PathBuf>,
    /// The platform of a multi-platform image, `linux/arm64`; without it, `linux/amd64` of an index in a registry, on any machine.
    pub platform: Option<String>,
    /// A directory whose `config.json` has the credentials of registries.
    pub docker_config: Option<PathBuf>,
    /// Whether other runs use the same cache in parallel.
    pub shared_cache: bool,
    /// Files and directories to exclude from the scan of a directory.
    pub skip: Vec<PathBuf>,
    /// A file with settings of Trivy, which options replace; without one, Trivy does not look for one either.
    pub config: Option<PathBuf>,
    /// Whether `config` names a file with rules for secrets.
    pub config_has_secret_rules: bool,
    /// A file in Rego that decides which findings are ignored.
    pub ignore_policy: Option<PathBuf>,
    /// Files and directories with checks of configuration in addition to Trivy's.
    pub checks: Vec<PathBuf>,
    /// The namespaces of those checks.
    pub check_namespaces: Vec<String>,
    /// Where an image is looked for, in this order.
    pub image_sources: Vec<ImageSource>,
    /// Globs of directories to exclude, also in an image.
    pub skip_dirs: Vec<String>,
    /// Globs of files to exclude, also in an image.
    pub skip_files: Vec<String>,
    /// Timeout of the run.
    pub timeout: Duration,
}

/// The output of a scan.
#[derive(Debug, Clone)]
pub struct Scanned {
    /// The parsed report.
    pub report: Report,
    /// The bytes that Trivy wrote, for other tools.
    pub raw: Vec<u8>,
}

impl Scan {
    /// Look for vulnerable packages and secrets in `target`, with a timeout of ten minutes.
    pub fn new(target: Target, cache: impl Into<PathBuf>) -> Self {
        Self {
            target,
            scanners: vec![Scanner::Vulnerabilities, Scanner::Secrets],
            cache: cache.into(),
            java: None,
            server: None,
            directory: PathBuf::from("."),
            ignore_file: None,
            vex: Vec::new(),
            vex_home: None,
            platform: None,
            docker_config: None,
            shared_cache: false,
            skip: Vec::new(),
            config: None,
            config_has_secret_rules: false,
            ignore_policy: None,
            checks: Vec::new(),
            check_namespaces: Vec::new(),
            image_sources: vec![ImageSource::Docker, ImageSource::Remote],
            skip_dirs: Vec::new(),
            skip_files: Vec::new(),
            timeout: Duration::from_secs(600),
        }
    }

    /// Whether the scan reads the vulnerability database.
    pub fn needs_database(&self) -> bool {
        !matches!(self.target, Target::Config(_))
            && self.scanners.contains(&Scanner::Vulnerabilities)
    }

    // The server, if the scan needs what it has.
    fn server(&self) -> Option<&Server> {
        self.server.as_ref().filter(|_| self.needs_database())
    }

    /// The command line after `trivy`.
    pub fn argv(&self) -> Vec<String> {
        let mut argv: Vec<String> = vec![self.command().into()];
        let mut add = |parts: &[&str]| argv.extend(parts.iter().map(ToString::to_string));
        add(&[
            "--config",
            &text(self.config.as_deref().unwrap_or(Path::new(EMPTY))),
        ]);
        add(HYGIENE);
        add(&["--format", "json", "--exit-code", "0"]);
        add(&["--cache-dir", &text(&self.cache)]);
        add(&["--timeout", &format!("{}s", self.timeout.as_secs())]);
        if matches!(self.target, Target::Config(_)) {
            // The checks that are built into this version, so that a result depends on the version alone.
            add(&["--skip-check-update"]);
            for path in &self.checks {
                add(&["--config-check", &csv_field(&text(path))]);
            }
            for namespace in &self.check_namespaces {
                add(&["--check-namespaces", namespace]);
            }
        } else {
            add(&["--list-all-pkgs", "--show-suppressed", "--no-progress"]);
            add(&["--skip-db-update", "--skip-java-db-update"]);
            add(&["--skip-vex-repo-update", "--offline-scan"]);
            if let Some(server) = self.server() {
                add(&["--server", &server.to_string()]);
            }
            if self.shared_cache {
                // The cache on disk is locked by one run; a second one fails.
                add(&["--cache-backend", "memory"]);
            }
            let scanners: Vec<_> = self.scanners.iter().map(ToString::to_string).collect();
            add(&["--scanners", &scanners.join(",")]);
            if self.scanners.contains(&Scanner::Secrets) && !self.config_has_secret_rules {
                add(&["--secret-config", ABSENT]);
            }
        }
        let ignore_file = self.ignore_file.as_deref().unwrap_or(Path::new(EMPTY));
        add(&["--ignorefile", &text(ignore_file)]);
        if let Some(policy) = &self.ignore_policy {
            add(&["--ignore-policy", &text(policy)]);
        }
        for source in self.vex.iter().filter(|_| self.needs_database()) {
            match source {
                VexSource::File(path) => add(&["--vex", &csv_field(&text(path))]),
                VexSource::Repositories => add(&["--vex", "repo"]),
            }
        }
        if let (Some(platform), Target::Image(_)) = (&self.platform, &self.target) {
            add(&["--platform", platform]);
        }
        // `trivy sbom` has no such options.
        let excludes = !matches!(self.target, Target::Sbom(_));
        for path in self.skip.iter().filter(|_| excludes) {
            // The path may not exist yet, so it can become either.
            let path = text(path);
            let path = csv_field(&path);
            add(&["--skip-files", &path, "--skip-dirs", &path]);
        }
        for glob in self.skip_dirs.iter().filter(|_| excludes) {
            add(&["--skip-dirs", &csv_field(glob)]);
        }
        for glob in self.skip_files.iter().filter(|_| excludes) {
            add(&["--skip-files", &csv_field(glob)]);
        }
        match &self.target {
            Target::Image(image) => {
                let sources: Vec<_> = self.image_sources.iter().map(ToString::to_string).collect();
                add(&["--image-src", &sources.join(","), "--", image]);
            }
            Target::Archive(path) => add(&["--input", &text(path)]),
            Target::Filesystem(path)
            | Target::Rootfs(path)
            | Target::Sbom(path)
            | Target::Config(path) => add(&["--", &text(path)]),
        }
        argv
    }

    /// Run Trivy; its log goes to `log` in a group.
    ///
    /// Whether a target has JAR files is known only when Trivy finds them: without the Java database it stops there, and is
    /// run again with it. Most images have none, and the database is a download of about 1 GiB. The second run finds the
    /// layers that the first one has finished in the cache.
    ///
    /// # Errors
    /// [`ScanError`] without a report.
    pub async fn run(&self, env: &Env, log: &Log) -> Result<Scanned, ScanError> {
        let Some(java) = self.java.as_ref().filter(|_| self.needs_database()) else {
            return self.run_once(env, log).await;
        };
        // A cache that has the database is of targets that need it.
        let updated = if java.is_cached() {
            provide_java(java, log).await
        } else {
            Ok(())
        };
        match self.run_once(env, log).await {
            Err(ScanError::NoJavaDatabase(_)) => {
                log.info("the target has JAR files, for which Trivy needs the Java database");
                provide_java(java, log).await?;
                self.run_once(env, log).await
            }
            Ok(scanned) if scanned.report.results.iter().any(|r| r.r#type == "jar") => {
                updated.map(|()| scanned).map_err(ScanError::from)
            }
            scanned => scanned,
        }
    }

    async fn run_once(&self, env: &Env, log: &Log) -> Result<Scanned, ScanError> {
        match self.attempt(env, log).await {
            // Another step, or a program that is not part of this run.
            Err(ScanError::CacheInUse(_)) if !self.shared_cache => {
                log.info("another program uses the cache of scanned layers: this scan goes on without it");
                let scan = Self {
                    shared_cache: true,
                    ..self.clone()
                };
                scan.attempt(env, log).await
            }
            outcome => outcome,
        }
    }

    async fn attempt(&self, env: &Env, log: &Log) -> Result<Scanned, ScanError> {
        // Trivy enforces its timeout itself, with a better message; one that hangs is stopped.
        let deadline = self.timeout + self.timeout / 10;
        let mut tool = tool(env)
            .args(self.argv())
            .current_directory(&self.directory)
            .capture_limit(REPORT_LIMIT)
            .keep(unread::is_about)
            .timeout(deadline * 2);
        if let Some(directory) = &self.docker_config {
            tool = tool.env("DOCKER_CONFIG", directory);
        }
        if let Some(directory) = &self.vex_home {
            // What Trivy takes for the home directory (`pkg/utils/fsutils/fs.go`).
            tool = tool.env("XDG_DATA_HOME", directory);
        }
        if let Some(token) = self.server().and_then(|server| server.token.as_ref()) {
            // In its arguments, every process of the machine could read it.
            tool = tool.env("TRIVY_TOKEN", token.0.expose());
        }
        for (source, names) in SOURCE_VARIABLES {
            for name in names
                .iter()
                .filter(|_| self.image_sources.contains(&source))
            {
                if let Some(value) = env.get(name) {
                    tool = tool.env(name, value);
                }
            }
        }
        let isolated = match self.target {
            Target::Config(_) => Some(Isolated::create(env).map_err(unwritable)?),
            _ => None,
        };
        if let Some(isolated) = &isolated {
            tool = isolated.apply(tool);
        }
        let title = format!("trivy {} {}", self.command(), self.subject());
        let output = tokio::time::timeout(deadline, tool.capture(log, &title))
            .await
            .map_err(|_| ScanError::Timeout(self.timeout))?
            .map_err(ScanError::Start)?;
        if output.code() != Some(0) {
            let error = from_output(&output, &self.subject(), self.timeout);
            return Err(match (error, self.server()) {
                (ScanError::Server { detail, .. }, Some(server)) => ScanError::Server {
                    address: server.to_string(),
                    detail,
                },
                (error, _) => error,
            });
        }
        let mut scanned = Scanned::parse_apart(output.stdout).await?;
        scanned.report.unread = unread::of(&output.kept);
        Ok(scanned)
    }

    // A saved image is an option of `trivy image`.
    fn command(&self) -> &'static str {
        match self.target {
            Target::Archive(_) => "image",
            _ => self.target.kind(),
        }
    }

    fn subject(&self) -> String {
        match &self.target {
            Target::Image(image) => image.clone(),
            Target::Archive(path)
            | Target::Filesystem(path)
            | Target::Rootfs(path)
            | Target::Sbom(path)
            | Target::Config(path) => text(path),
        }
    }
}

impl Scanned {
    /// Parse a report outside of the runtime's thread: a large one takes seconds.
    ///
    /// # Errors
    /// As [`Scanned::parse`].
    pub async fn parse_apart(raw: Vec<u8>) -> Result<Self, ScanError> {
        let parsed = tokio::task::spawn_blocking(|| Self::parse(raw)).await;
        parsed.unwrap_or_else(|e| Err(ScanError::Start(e.into())))
    }

    /// Parse a report.
    ///
    /// # Errors
    /// [`ScanError::NotJson`] when `raw` is not a report of schema version 2.
    pub fn parse(raw: Vec<u8>) -> Result<Self, ScanError> {
        // At once, which is faster than string by string.
        let parsed: serde_json::Result<Report> = match std::str::from_utf8(&raw) {
            Ok(text) => serde_json::from_str(text),
            Err(_) => serde_json::from_slice(&raw),
        };
        match parsed {
            Ok(report) if report.schema_version == 2 => Ok(Self { report, raw }),
            _ => Err(ScanError::NotJson {
                command: "trivy".into(),
                start: start_of(&raw),
            }),
        }
    }
}

// Scans in parallel download it once.
async fn provide_java(request: &DatabaseRequest, log: &Log) -> Result<(), DatabaseError> {
    static ONE: Mutex<()> = Mutex::const_new(());
    let _one = ONE.lock().await;
    let database = Database::provide(request, log).await?;
    if let Origin::Stale(errors) = &database.origin {
        log.warning(format!(
            "no mirror has a newer Java database, so new JAR files may be unknown ({})",
            errors.join("; ")
        ));
    }
    Ok(())
}

fn unwritable(error: std::io::Error) -> ScanError {
    let error = anyhow::Error::new(error);
    ScanError::Start(error.context("failed to create a directory for temporary files"))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

// Trivy reads each value of a list as a line of CSV (github.com/spf13/pflag, string_slice.go), so that a glob such as
// `{a,b}` would be two.
fn csv_field(value: &str) -> Cow<'_, str> {
    if value.contains([',', '"']) {
        format!("\"{}\"", value.replace('"', "\"\"")).into()
    } else {
        value.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_follow_from_the_target() {
        let line = |target, change: fn(&mut Scan)| {
            let mut scan = Scan::new(target, "/c");
            change(&mut scan);
            scan.argv().join(" ")
        };
        insta::assert_snapshot!(line(Target::Image("app:1".into()), |_| {}), @"image --config /dev/null --skip-version-check --disable-telemetry --format json --exit-code 0 --cache-dir /c --timeout 600s --list-all-pkgs --show-suppressed --no-progress --skip-db-update --skip-java-db-update --skip-vex-repo-update --offline-scan --scanners vuln,secret --secret-config /nonexistent/trivy-secret.yaml --ignorefile /dev/null --image-src docker,remote -- app:1");
        insta::assert_snapshot!(line(Target::Archive("a.tar".into()), |scan| {
            scan.scanners = vec![Scanner::Vulnerabilities];
            scan.ignore_file = Some(".trivyignore".into());
        }), @"image --config /dev/null --skip-version-check --disable-telemetry --format json --exit-code 0 --cache-dir /c --timeout 600s --list-all-pkgs --show-suppressed --no-progress --skip-db-update --skip-java-db-update --skip-vex-repo-update --offline-scan --scanners vuln --ignorefile .trivyignore --input a.tar");
        insta::assert_snapshot!(line(Target::Filesystem("app".into()), |scan| {
            scan.skip = vec!["app/report.json".into()];
            scan.skip_dirs = vec!["**/{testdata,docs}".into(), "say \"so\"".into()];
            scan.skip_files = vec!["*.min.js".into()];
        }), @r#"fs --config /dev/null --skip-version-check --disable-telemetry --format json --exit-code 0 --cache-dir /c --timeout 600s --list-all-pkgs --show-suppressed --no-progress --skip-db-update --skip-java-db-update --skip-vex-repo-update --offline-scan --scanners vuln,secret --secret-config /nonexistent/trivy-secret.yaml --ignorefile /dev/null --skip-files app/report.json --skip-dirs app/report.json --skip-dirs "**/{testdata,docs}" --skip-dirs "say ""so""" --skip-files *.min.js -- app"#);
        insta::assert_snapshot!(line(Target::Sbom("a.cdx.json".into()), |scan| {
            scan.scanners = vec![Scanner::Vulnerabilities, Scanner::Licenses];
            scan.skip_dirs = vec!["x".into()];
            scan.ignore_policy = Some("ignore.rego".into());
        }), @"sbom --config /dev/null --skip-version-check --disable-telemetry --format json --exit-code 0 --cache-dir /c --timeout 600s --list-all-pkgs --show-suppressed --no-progress --skip-db-update --skip-java-db-update --skip-vex-repo-update --offline-scan --scanners vuln,license --ignorefile /dev/null --ignore-policy ignore.rego -- a.cdx.json");
        insta::assert_snapshot!(line(Target::Rootfs("root".into()), |scan| {
            scan.config = Some("trivy.yaml".into());
            scan.config_has_secret_rules = true;
        }), @"rootfs --config trivy.yaml --skip-version-check --disable-telemetry --format json --exit-code 0 --cache-dir /c --timeout 600s --list-all-pkgs --show-suppressed --no-progress --skip-db-update --skip-java-db-update --skip-vex-repo-update --offline-scan --scanners vuln,secret --ignorefile /dev/null -- root");
        insta::assert_snapshot!(line(Target::Config("k8s".into()), |scan| {
            scan.checks = vec!["policies".into(), "more".into()];
            scan.check_namespaces = vec!["user".into()];
            scan.vex = vec![VexSource::Repositories];
        }), @"config --config /dev/null --skip-version-check --disable-telemetry --format json --exit-code 0 --cache-dir /c --timeout 600s --skip-check-update --config-check policies --config-check more --check-namespaces user --ignorefile /dev/null -- k8s");
        insta::assert_snapshot!(line(Target::Image("app:1".into()), |scan| {
            scan.image_sources = vec![ImageSource::Containerd, ImageSource::Podman];
            scan.scanners = vec![Scanner::Licenses];
        }), @"image --config /dev/null --skip-version-check --disable-telemetry --format json --exit-code 0 --cache-dir /c --timeout 600s --list-all-pkgs --show-suppressed --no-progress --skip-db-update --skip-java-db-update --skip-vex-repo-update --offline-scan --scanners license --ignorefile /dev/null --image-src containerd,podman -- app:1");
        let server = |target, scanners: &[Scanner]| {
            let mut scan = Scan::new(target, "/c");
            scan.scanners = scanners.to_vec();
            let token = actions_toolkit::Secret::new("token", &Log::sink());
            scan.server = Some(Server::new(
                "https://t.example.com/x/".parse().unwrap(),
                Some(token),
            ));
            scan.argv().join(" ")
        };
        let image = || Target::Image("app:1".into());
        let line_with_server = server(image(), &[Scanner::Vulnerabilities]);
        assert!(
            line_with_server.contains(" --server https://t.example.com/x ")
                && !line_with_server.contains("token"),
            "{line_with_server}"
        );
        for local in [
            server(image(), &[Scanner::Secrets]),
            server(Target::Config("k8s".into()), &[Scanner::Vulnerabilities]),
        ] {
            assert!(!local.contains("--server"), "{local}");
        }
        let vex = line(Target::Sbom("a.json".into()), |scan| {
            scan.vex = vec![VexSource::File("a,b.json".into()), VexSource::Repositories];
        });
        assert!(
            vex.contains(r#" --vex "a,b.json" --vex repo "#)
                && vex.contains("--skip-vex-repo-update"),
            "{vex}"
        );
        insta::assert_snapshot!(line(Target::Config("k8s".into()), |_| {}), @"config --config /dev/null --skip-version-check --disable-telemetry --format json --exit-code 0 --cache-dir /c --timeout 600s --skip-check-update --ignorefile /dev/null -- k8s");
    }

    #[test]
    fn an_output_that_is_not_a_report_is_rejected() {
        for raw in [
            "",
            "{\"SchemaVersion\":2,\"Res",
            "[]",
            "{}",
            "{\"SchemaVersion\":3}",
        ] {
            let error = Scanned::parse(raw.into()).unwrap_err();
            assert!(matches!(error, ScanError::NotJson { .. }), "{raw}");
        }
        assert!(Scanned::parse("{\"SchemaVersion\":2}".into()).is_ok());
    }

    #[test]
    fn only_packages_need_the_database() {
        assert!(Scan::new(Target::Image("a".into()), "/c").needs_database());
        assert!(!Scan::new(Target::Config("k".into()), "/c").needs_database());
    }
}
