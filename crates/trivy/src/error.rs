//! Why a scan has no report.

use std::time::Duration;

use tool::Finished;

use crate::DatabaseError;

/// Why a scan has no report; each message ends in a hint.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The program could not be started or followed.
    #[error("{0:#}")]
    Start(anyhow::Error),
    /// The version was published by an attacker.
    #[error(
        "Trivy {0} is one of the versions that were published by an attacker (CVE-2026-33634); replace it, and every secret that it could read"
    )]
    Rejected(String),
    /// The image is neither in Docker nor in its registry, or the registry does not show it.
    #[error(
        "image `{image}` was found neither in Docker nor in its registry; build it first, or check its name and the login to its registry\n{detail}"
    )]
    ImageNotFound {
        /// The image.
        image: String,
        /// Trivy's message.
        detail: String,
    },
    /// The file is not a saved image.
    #[error("`{path}` is neither a saved image (`docker save`) nor an OCI layout\n{detail}")]
    InvalidArchive {
        /// The file.
        path: String,
        /// Trivy's message.
        detail: String,
    },
    /// The database is missing or damaged.
    #[error("Trivy failed to open its database; remove the cache directory and run again\n{0}")]
    Database(String),
    /// The target has JAR files, and the cache has no Java database.
    #[error(
        "Trivy needs its Java database for the JAR files of the target, and the cache has none\n{0}"
    )]
    NoJavaDatabase(String),
    /// There is no Java database.
    #[error(transparent)]
    JavaDatabase(#[from] DatabaseError),
    /// Another run has the cache on disk.
    #[error("another program uses Trivy's cache; give it its own `cache-directory`\n{0}")]
    CacheInUse(String),
    /// The server rejected a request, or failed.
    #[error(
        "the Trivy server at `{address}` failed; check `trivy-server` and `trivy-server-token`\n{detail}"
    )]
    Server {
        /// Its address.
        address: String,
        /// Trivy's message.
        detail: String,
    },
    /// A VEX document is malformed.
    #[error("failed to read a VEX document; check the files of `vex`\n{0}")]
    Vex(String),
    /// The scan took longer than its timeout.
    #[error("Trivy timed out after {}s (`timeout`); raise it, or scan less", .0.as_secs())]
    Timeout(Duration),
    /// Trivy crashed.
    #[error("Trivy crashed; report it at https://github.com/aquasecurity/trivy/discussions\n{0}")]
    Panic(String),
    /// Any other error of Trivy.
    #[error("Trivy failed with {ending}\n{detail}")]
    Failed {
        /// `exit code 1` or `signal: 9`.
        ending: String,
        /// Trivy's message.
        detail: String,
    },
    /// The output is not what Trivy prints.
    #[error(
        "the output of `{command}` is not the expected JSON; is another program called `trivy` in `PATH`? It starts with {start:?}"
    )]
    NotJson {
        /// `trivy version`, or the command of the scan.
        command: String,
        /// The first characters of the output.
        start: String,
    },
}

/// The first characters of an output, for a message.
pub(crate) fn start_of(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]);
    text.chars().take(60).collect()
}

// Trivy logs its error as one `FATAL` line, followed by the lines of a list of causes.
pub(crate) fn detail(tail: &[String]) -> String {
    let panic = tail.iter().position(|line| line.starts_with("panic:"));
    let fatal = tail.iter().rposition(|line| line.contains("\tFATAL\t"));
    let lines = match (panic, fatal) {
        (Some(at), _) => &tail[at..tail.len().min(at + 1)],
        (None, Some(at)) => &tail[at..],
        (None, None) => &tail[tail.len().saturating_sub(5)..],
    };
    let lines: Vec<_> = lines
        .iter()
        .map(|line| {
            let line = line.rsplit('\t').next().unwrap_or(line);
            line.trim().trim_start_matches("run error: ")
        })
        .filter(|line| !line.is_empty())
        .collect();
    lines.join("\n")
}

/// The error of a run whose exit code is not 0.
pub(crate) fn from_output(output: &Finished, subject: &str, timeout: Duration) -> ScanError {
    let detail = detail(&output.tail);
    let has = |part: &str| detail.contains(part);
    // Go ends a program that panics with exit code 2.
    if output.tail.iter().any(|line| line.starts_with("panic:")) {
        ScanError::Panic(detail)
    } else if has("context deadline exceeded") {
        ScanError::Timeout(timeout)
    } else if has("unable to find the specified image") {
        ScanError::ImageNotFound {
            image: subject.to_owned(),
            detail,
        }
    } else if has("unable to initialize archive image") {
        ScanError::InvalidArchive {
            path: subject.to_owned(),
            detail,
        }
    } else if has("'--skip-java-db-update' cannot be specified on the first run") {
        ScanError::NoJavaDatabase(detail)
    } else if has("cache may be in use by another process") {
        ScanError::CacheInUse(detail)
    } else if has("twirp error") {
        // The errors of the protocol between the two (github.com/twitchtv/twirp, errors.go).
        ScanError::Server {
            address: String::new(),
            detail,
        }
    } else if has("VEX error") {
        ScanError::Vex(detail)
    } else if has("DB error") || has("vulnerability DB") || has("database error") {
        ScanError::Database(detail)
    } else {
        ScanError::Failed {
            ending: output.ending(),
            detail,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn exited(code: i32, lines: &[&str]) -> Finished {
        Finished {
            status: std::process::ExitStatus::from_raw(code << 8),
            stdout: Vec::new(),
            tail: lines.iter().map(ToString::to_string).collect(),
            kept: Vec::new(),
        }
    }

    #[test]
    fn each_failure_of_trivy_has_its_error() {
        let fatal = |text: &str| {
            vec![
                "2026-11-23T12:08:56Z\tINFO\t[vuln] Vulnerability scanning is enabled".to_owned(),
                format!("2026-11-23T12:08:56Z\tFATAL\tFatal error\trun error: {text}"),
            ]
        };
        let table: [(i32, Vec<String>, &str); 9] = [
            (
                1,
                fatal(
                    "scan error: failed to detect vulnerabilities via RPC: twirp error unauthenticated: invalid token",
                ),
                "the Trivy server at",
            ),
            (
                1,
                fatal(
                    "unable to initialize fs cache: cache may be in use by another process: timeout",
                ),
                "another program uses Trivy's cache",
            ),
            (
                1,
                fatal(
                    "image scan error: unable to find the specified image \"app:1\" in [\"docker\" \"remote\"]: 2 errors occurred:",
                ),
                "image `app:1` was found neither",
            ),
            (
                1,
                fatal(
                    "scan error: unable to initialize archive image: unable to open as a Docker image",
                ),
                "`app:1` is neither a saved image",
            ),
            (
                1,
                fatal(
                    "init error: DB error: failed to download vulnerability DB: OCI artifact error",
                ),
                "Trivy failed to open its database",
            ),
            (
                1,
                fatal("filter error: filtering error: VEX error: unable to load VEX"),
                "failed to read a VEX document",
            ),
            (
                1,
                fatal("scan error: context deadline exceeded"),
                "Trivy timed out after 600s",
            ),
            (
                2,
                vec![
                    "panic: runtime error: invalid memory address".into(),
                    "goroutine 1 [running]:".into(),
                ],
                "Trivy crashed",
            ),
            (
                1,
                fatal("unknown flag: --x"),
                "Trivy failed with exit code 1\nunknown flag: --x",
            ),
        ];
        for (code, lines, expected) in table {
            let lines: Vec<_> = lines.iter().map(String::as_str).collect();
            let error =
                from_output(&exited(code, &lines), "app:1", Duration::from_secs(600)).to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
