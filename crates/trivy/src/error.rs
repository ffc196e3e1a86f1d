//! Why a scan has no answer.

use std::time::Duration;

use tool::Finished;

/// Why a scan has no answer; each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The program could not be started or followed.
    #[error("{0:#}")]
    Start(anyhow::Error),
    /// The version was published by an attacker.
    #[error(
        "Trivy {0} is one of the versions that were published by an attacker (CVE-2026-33634); replace it, and every secret that it could see"
    )]
    Refused(String),
    /// The image is neither in Docker nor in its registry, or the registry does not show it.
    #[error(
        "image `{image}` was found neither in Docker nor in its registry: build it first, or check its name and the login to its registry\n{detail}"
    )]
    ImageNotFound {
        /// The image.
        image: String,
        /// Trivy's own words.
        detail: String,
    },
    /// The file is no saved image.
    #[error("`{path}` is neither a saved image (`docker save`) nor an OCI layout\n{detail}")]
    NoArchive {
        /// The file.
        path: String,
        /// Trivy's own words.
        detail: String,
    },
    /// The database is absent or broken.
    #[error("Trivy could not use its database: remove the cache folder and run again\n{0}")]
    Database(String),
    /// A VEX document is malformed.
    #[error("a VEX document could not be read: check the files of the input `vex`\n{0}")]
    Vex(String),
    /// Trivy ran out of its time.
    #[error("Trivy had not finished after {} s: raise the limit of time, or scan less", .0.as_secs())]
    Timeout(Duration),
    /// Trivy broke down.
    #[error(
        "Trivy broke down; please report it at https://github.com/aquasecurity/trivy/discussions\n{0}"
    )]
    Panic(String),
    /// Trivy ended with an error.
    #[error("Trivy failed with {ending}\n{detail}")]
    Failed {
        /// `exit code 1`.
        ending: String,
        /// Trivy's own words.
        detail: String,
    },
    /// The answer is no report.
    #[error(
        "what Trivy answered {what} is not the JSON that was expected; is another program called `trivy` in PATH? It starts with {start:?}"
    )]
    NotJson {
        /// Which answer.
        what: String,
        /// Its first characters.
        start: String,
    },
}

/// The first characters of an answer, for a message.
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

/// What a run that did not end with exit code 0 means.
pub(crate) fn of(done: &Finished, subject: &str, limit: Duration) -> ScanError {
    let detail = detail(&done.tail);
    let has = |part: &str| detail.contains(part);
    // Go ends a program that panics with exit code 2.
    if done.tail.iter().any(|line| line.starts_with("panic:")) {
        ScanError::Panic(detail)
    } else if has("context deadline exceeded") {
        ScanError::Timeout(limit)
    } else if has("unable to find the specified image") {
        ScanError::ImageNotFound {
            image: subject.to_owned(),
            detail,
        }
    } else if has("unable to initialize archive image") {
        ScanError::NoArchive {
            path: subject.to_owned(),
            detail,
        }
    } else if has("VEX error") {
        ScanError::Vex(detail)
    } else if has("DB error") || has("vulnerability DB") || has("database error") {
        ScanError::Database(detail)
    } else {
        ScanError::Failed {
            ending: done.ending(),
            detail,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn ended(code: i32, lines: &[&str]) -> Finished {
        Finished {
            status: std::process::ExitStatus::from_raw(code << 8),
            stdout: Vec::new(),
            tail: lines.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn each_ending_of_trivy_is_told_apart() {
        let fatal = |text: &str| {
            vec![
                "2026-11-23T12:08:56Z\tINFO\t[vuln] Vulnerability scanning is enabled".to_owned(),
                format!("2026-11-23T12:08:56Z\tFATAL\tFatal error\trun error: {text}"),
            ]
        };
        let table: [(i32, Vec<String>, &str); 7] = [
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
                "Trivy could not use its database",
            ),
            (
                1,
                fatal("filter error: filtering error: VEX error: unable to load VEX"),
                "a VEX document could not be read",
            ),
            (
                1,
                fatal("scan error: context deadline exceeded"),
                "Trivy had not finished after 600 s",
            ),
            (
                2,
                vec![
                    "panic: runtime error: invalid memory address".into(),
                    "goroutine 1 [running]:".into(),
                ],
                "Trivy broke down",
            ),
            (
                1,
                fatal("unknown flag: --x"),
                "Trivy failed with exit code 1\nunknown flag: --x",
            ),
        ];
        for (code, lines, expected) in table {
            let lines: Vec<_> = lines.iter().map(String::as_str).collect();
            let error = of(&ended(code, &lines), "app:1", Duration::from_secs(600)).to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
