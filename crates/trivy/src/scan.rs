//! One run of Trivy.

use std::path::{Path, PathBuf};
use std::time::Duration;

use actions_toolkit::{Env, Log};

use crate::error::{of, start_of};
use crate::{HYGIENE, Report, ScanError, tool};

/// What is scanned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An image of Docker or, if it isn't there, of its registry.
    Image(String),
    /// An image saved by `docker save`, or the folder of an OCI layout.
    ImageTar(PathBuf),
    /// Lock files and secrets in a folder, or one lock file.
    Filesystem(PathBuf),
    /// Dockerfiles, Kubernetes manifests and the like in a folder, or one of them.
    Config(PathBuf),
}

impl Target {
    /// The kind of scan, as authors write it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Image(_) => "image",
            Self::ImageTar(_) => "archive",
            Self::Filesystem(_) => "fs",
            Self::Config(_) => "config",
        }
    }
}

/// What is looked for in an image or a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scanner {
    /// Vulnerable packages.
    Vulnerabilities,
    /// Secrets in files.
    Secrets,
}

/// One run of Trivy: everything that it depends on.
#[derive(Debug, Clone)]
pub struct Scan {
    /// What is scanned.
    pub target: Target,
    /// What is looked for; without a meaning for [`Target::Config`].
    pub scanners: Vec<Scanner>,
    /// Trivy's cache, which holds the database.
    pub cache: PathBuf,
    /// The folder that the paths of the target start from.
    pub folder: PathBuf,
    /// The file of findings to ignore.
    pub ignore_file: Option<PathBuf>,
    /// VEX documents: findings that they call not affected or fixed are taken out, with their reason.
    pub vex: Vec<PathBuf>,
    /// The platform of a multi-platform image, `linux/arm64`; without it, this machine's.
    pub platform: Option<String>,
    /// A folder with a `config.json` that has the credentials of registries.
    pub docker_config: Option<PathBuf>,
    /// Whether other runs use the same cache at the same time.
    pub shared_cache: bool,
    /// Files and folders of a folder's scan to leave out.
    pub skip: Vec<PathBuf>,
    /// Limit of the run.
    pub limit: Duration,
}

/// What Trivy answered.
#[derive(Debug, Clone)]
pub struct Scanned {
    /// The report.
    pub report: Report,
    /// The same as Trivy wrote it, for other tools.
    pub raw: Vec<u8>,
}

impl Scan {
    /// Look for vulnerable packages and secrets in `target`, ten minutes at most.
    pub fn new(target: Target, cache: impl Into<PathBuf>) -> Self {
        Self {
            target,
            scanners: vec![Scanner::Vulnerabilities, Scanner::Secrets],
            cache: cache.into(),
            folder: PathBuf::from("."),
            ignore_file: None,
            vex: Vec::new(),
            platform: None,
            docker_config: None,
            shared_cache: false,
            skip: Vec::new(),
            limit: Duration::from_secs(600),
        }
    }

    /// Whether it needs the database.
    pub fn needs_database(&self) -> bool {
        !matches!(self.target, Target::Config(_))
            && self.scanners.contains(&Scanner::Vulnerabilities)
    }

    /// The arguments of Trivy.
    pub fn argv(&self) -> Vec<String> {
        let mut argv: Vec<String> = vec![self.command().into()];
        argv.extend(HYGIENE.iter().map(ToString::to_string));
        let mut add = |parts: &[&str]| argv.extend(parts.iter().map(ToString::to_string));
        add(&["--format", "json", "--exit-code", "0"]);
        add(&["--cache-dir", &text(&self.cache)]);
        add(&["--timeout", &format!("{}s", self.limit.as_secs())]);
        if matches!(self.target, Target::Config(_)) {
            // The checks of this Trivy's own version: the same today and tomorrow.
            add(&["--skip-check-update"]);
        } else {
            add(&["--list-all-pkgs", "--show-suppressed", "--no-progress"]);
            add(&["--skip-db-update", "--skip-java-db-update"]);
            add(&["--skip-vex-repo-update", "--offline-scan"]);
            if self.shared_cache {
                // The cache on disk is for one run at a time: a second one gives up.
                add(&["--cache-backend", "memory"]);
            }
            let scanners: Vec<_> = self.scanners.iter().map(|s| s.name()).collect();
            add(&["--scanners", &scanners.join(",")]);
        }
        if let Some(file) = &self.ignore_file {
            add(&["--ignorefile", &text(file)]);
        }
        for file in self.vex.iter().filter(|_| self.needs_database()) {
            add(&["--vex", &text(file)]);
        }
        if let (Some(platform), Target::Image(_)) = (&self.platform, &self.target) {
            add(&["--platform", platform]);
        }
        for path in &self.skip {
            // Which of the two it is may not be known before the run.
            add(&["--skip-files", &text(path), "--skip-dirs", &text(path)]);
        }
        match &self.target {
            Target::Image(image) => add(&["--image-src", "docker,remote", "--", image]),
            Target::ImageTar(path) => add(&["--input", &text(path)]),
            Target::Filesystem(path) | Target::Config(path) => add(&["--", &text(path)]),
        }
        argv
    }

    /// Run it; Trivy's own log goes to `log` in a group.
    ///
    /// # Errors
    /// [`ScanError`] when there is no report.
    pub async fn run(&self, env: &Env, log: &Log) -> Result<Scanned, ScanError> {
        // Trivy ends itself at the limit, with a better message; a Trivy that hangs is stopped.
        let last = self.limit + self.limit / 10;
        let mut tool = tool(env)
            .args(self.argv())
            .folder(&self.folder)
            .limit(last * 2);
        if let Some(folder) = &self.docker_config {
            tool = tool.env("DOCKER_CONFIG", folder);
        }
        let title = format!("trivy {} {}", self.command(), self.subject());
        let done = tokio::time::timeout(last, tool.capture(log, &title))
            .await
            .map_err(|_| ScanError::Timeout(self.limit))?
            .map_err(ScanError::Start)?;
        if done.code() != Some(0) {
            return Err(of(&done, &self.subject(), self.limit));
        }
        Scanned::read(done.stdout)
    }

    fn command(&self) -> &'static str {
        match self.target {
            Target::Image(_) | Target::ImageTar(_) => "image",
            Target::Filesystem(_) => "fs",
            Target::Config(_) => "config",
        }
    }

    fn subject(&self) -> String {
        match &self.target {
            Target::Image(image) => image.clone(),
            Target::ImageTar(path) | Target::Filesystem(path) | Target::Config(path) => text(path),
        }
    }
}

impl Scanned {
    /// Read a report.
    ///
    /// # Errors
    /// [`ScanError::NotJson`] when `raw` is something else.
    pub fn read(raw: Vec<u8>) -> Result<Self, ScanError> {
        match serde_json::from_slice::<Report>(&raw) {
            Ok(report) if report.schema_version == 2 => Ok(Self { report, raw }),
            _ => Err(ScanError::NotJson {
                what: "to the scan".into(),
                start: start_of(&raw),
            }),
        }
    }
}

impl Scanner {
    const fn name(self) -> &'static str {
        match self {
            Self::Vulnerabilities => "vuln",
            Self::Secrets => "secret",
        }
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
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
        insta::assert_snapshot!(line(Target::Image("app:1".into()), |_| {}), @"image --config /dev/null --skip-version-check --disable-telemetry --format json --exit-code 0 --cache-dir /c --timeout 600s --list-all-pkgs --show-suppressed --no-progress --skip-db-update --skip-java-db-update --skip-vex-repo-update --offline-scan --scanners vuln,secret --image-src docker,remote -- app:1");
        insta::assert_snapshot!(line(Target::ImageTar("a.tar".into()), |scan| {
            scan.scanners = vec![Scanner::Vulnerabilities];
            scan.ignore_file = Some(".trivyignore".into());
        }), @"image --config /dev/null --skip-version-check --disable-telemetry --format json --exit-code 0 --cache-dir /c --timeout 600s --list-all-pkgs --show-suppressed --no-progress --skip-db-update --skip-java-db-update --skip-vex-repo-update --offline-scan --scanners vuln --ignorefile .trivyignore --input a.tar");
        insta::assert_snapshot!(line(Target::Filesystem("app".into()), |scan| {
            scan.skip = vec!["app/report.json".into()];
        }), @"fs --config /dev/null --skip-version-check --disable-telemetry --format json --exit-code 0 --cache-dir /c --timeout 600s --list-all-pkgs --show-suppressed --no-progress --skip-db-update --skip-java-db-update --skip-vex-repo-update --offline-scan --scanners vuln,secret --skip-files app/report.json --skip-dirs app/report.json -- app");
        insta::assert_snapshot!(line(Target::Config("k8s".into()), |_| {}), @"config --config /dev/null --skip-version-check --disable-telemetry --format json --exit-code 0 --cache-dir /c --timeout 600s --skip-check-update -- k8s");
    }

    #[test]
    fn what_is_no_report_is_refused() {
        for raw in [
            "",
            "{\"SchemaVersion\":2,\"Res",
            "[]",
            "{}",
            "{\"SchemaVersion\":3}",
        ] {
            let error = Scanned::read(raw.into()).unwrap_err();
            assert!(matches!(error, ScanError::NotJson { .. }), "{raw}");
        }
        assert!(Scanned::read("{\"SchemaVersion\":2}".into()).is_ok());
    }

    #[test]
    fn only_packages_need_the_database() {
        assert!(Scan::new(Target::Image("a".into()), "/c").needs_database());
        assert!(!Scan::new(Target::Config("k".into()), "/c").needs_database());
    }
}
