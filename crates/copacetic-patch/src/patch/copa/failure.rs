//! Why Copa made no image.

use std::collections::BTreeMap;

use actions_toolkit::text;

/// Bytes of a reason that are shown: Copa repeats whole commands in its errors.
const REASON: usize = 600;

/// How BuildKit reports a command that failed.
const UNEXPLAINED: &str = "did not complete successfully";

/// How apt 3 introduces what its solver adds to the error before it.
const SOLVER: &str = "The following information from --solver";

/// The relations between packages that apt can't satisfy.
const RELATIONS: [&str; 4] = ["Depends", "PreDepends", "Conflicts", "Breaks"];

/// What to do where Copa does not say so: parts of its reason, and the hint.
const HINTS: &[(&[&str], &str)] = &[
    (
        &["registry-1.docker.io", "auth.docker.io", "ghcr.io"],
        "; set `tooling-image` to an image that is available",
    ),
    (
        &["patch exceeded timeout"],
        "; raise `timeout`, or see in the log what took so long",
    ),
    (
        &["failed to list workers"],
        "; check that BuildKit listens at `buildkit-address`",
    ),
    (
        &["mergeop is not supported"],
        "; leave `buildkit-address` empty to start a BuildKit that supports it",
    ),
];

/// Why Copa made no image.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The message of the package manager or of Copa.
    pub(crate) reason: String,
    /// The packages whose update is unavailable, each with the reason.
    pub(crate) packages: BTreeMap<String, String>,
    /// Whether a step of the build failed and the package manager did not say why: it would have named a problem of
    /// the packages.
    pub(crate) is_unexplained: bool,
}

impl Failure {
    /// From the last lines of Copa's output and how it exited, `ending`: the package manager's own lines say most,
    /// Copa's last error is the fallback.
    pub(crate) fn from_output(tail: &[String], ending: &str) -> Self {
        let lines: Vec<_> = tail.iter().map(|line| plain(line)).collect();
        let mut packages = unconfigured(&lines);
        let mut held = Vec::new();
        for line in &lines {
            held.extend(held_back(line));
            if let Some((package, reason)) = blamed(line) {
                packages.entry(package).or_insert(reason);
            }
        }
        if lines
            .iter()
            .any(|line| line.starts_with("E: Held packages were changed"))
        {
            packages.extend(
                held.into_iter()
                    .map(|name| (name, "it is held back".to_owned())),
            );
        }
        let last = |is: fn(&str) -> bool| lines.iter().rev().find(|line| is(line)).copied();
        let reason = last(|line| line.starts_with("E: ") && !line.contains(SOLVER))
            // As pip writes it; BuildKit puts the same word before its own.
            .or_else(|| last(|line| line.starts_with("ERROR: ") && !line.contains(UNEXPLAINED)))
            .or_else(|| last(|line| line.starts_with("Error:")))
            .or_else(|| last(|line| line.contains("level=error")))
            .or_else(|| last(|line| !line.is_empty()))
            .unwrap_or(ending);
        let is_unexplained = packages.is_empty() && reason.contains(UNEXPLAINED);
        let mut reason = text::cut(reason, REASON).to_owned();
        if let Some(output) = tail.iter().rev().find_map(|line| step_output(line))
            && is_unexplained
        {
            reason.push_str("; last output: ");
            reason.push_str(text::cut(output, REASON));
        }
        let hint = HINTS
            .iter()
            .find(|(parts, _)| parts.iter().any(|part| reason.contains(part)));
        if let Some((_, hint)) = hint {
            reason.push_str(hint);
        }
        Self {
            reason,
            packages,
            is_unexplained,
        }
    }
}

// What a step printed: BuildKit puts `#9 1.234 ` before it.
fn step_output(line: &str) -> Option<&str> {
    let (step, rest) = line.trim().strip_prefix('#')?.split_once(' ')?;
    let (seconds, output) = rest.split_once(' ')?;
    let number = |word: &str| word.parse::<f64>().is_ok();
    let output = output.trim();
    (number(step) && number(seconds) && seconds.contains('.') && !output.is_empty())
        .then_some(output)
}

// BuildKit puts `#9 1.234 ` before a line of a step, and `1.234 ` where it repeats the last of them.
fn plain(line: &str) -> &str {
    let number = |word: &str| {
        let digits = word.strip_prefix('#').unwrap_or(word);
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    };
    let mut rest = line.trim();
    while let Some((word, after)) = rest.split_once(' ') {
        if !number(word) {
            break;
        }
        rest = after.trim_start();
    }
    rest
}

// Copa logs: apt-held packages found, not patched by Copa: [perl tzdata]
fn held_back(line: &str) -> Vec<String> {
    let list = line
        .split_once("apt-held packages found, not patched by Copa: [")
        .and_then(|(_, rest)| rest.split_once(']'));
    let names = list.map(|(names, _)| names.split(' ').map(ToOwned::to_owned));
    names.into_iter().flatten().collect()
}

// The packages that dpkg could not install: the line that names one is followed by the reason.
//
//     dpkg: error processing package edited (--configure):
//      end of file on stdin at conffile prompt
fn unconfigured(lines: &[&str]) -> BTreeMap<String, String> {
    let pairs = lines.windows(2).filter_map(|pair| {
        let (_, rest) = pair[0].split_once("dpkg: error processing ")?;
        let (kind, rest) = rest.split_once(' ')?;
        let (name, _) = rest.split_once(' ')?;
        let name = match kind {
            "package" => name,
            // A file, `/var/cache/apt/archives/vulnlib_1.0-2_all.deb`.
            _ => name.rsplit('/').next()?.split_once('_')?.0,
        };
        Some((without_architecture(name).to_owned(), pair[1].to_owned()))
    });
    let packages: BTreeMap<_, _> = pairs.collect();
    // Those that only depend on one that failed can be installed without its update.
    let is_own = |reason: &String| !reason.starts_with("dependency problems");
    let mut own = packages.clone();
    own.retain(|_, reason| is_own(reason));
    if own.is_empty() { packages } else { own }
}

// `vulnlib:amd64` is `vulnlib`.
fn without_architecture(name: &str) -> &str {
    name.split_once(':').map_or(name, |(name, _)| name)
}

// A relation of the package that can't be satisfied: `vulnlib : Depends: other (>= 2) but it is not installable`.
fn unsatisfied(line: &str) -> Option<&str> {
    let (name, rest) = line.split_once(" : ")?;
    let (relation, _) = rest.split_once(": ")?;
    RELATIONS
        .contains(&relation)
        .then_some(without_architecture(name))
}

// The package that apk can't have in the version that Copa requires, which is in apk's list of wishes, `world`:
// `breaks: world[openssl>3.3.3]`, `required by: world[openssl=3.3.3-r0]`.
fn wished(line: &str) -> Option<&str> {
    let rest = line
        .strip_prefix("breaks: world[")
        .or_else(|| line.strip_prefix("required by: world["))?;
    let end = rest.find(['<', '>', '=', '~', '@', ']'])?;
    Some(&rest[..end])
}

// The package that a line of the package manager or of Copa's own check blames, and the reason.
fn blamed(line: &str) -> Option<(String, String)> {
    let between = |before: &str, after: &str| {
        let (_, rest) = line.split_once(before)?;
        Some(rest.split_once(after).map_or(rest, |(name, _)| name))
    };
    let package = if line.starts_with("E: Unable to locate package ") {
        between("package ", " ")
    } else if line.starts_with("E: Package ") {
        // E: Package 'vulnlib' has no installation candidate
        between("E: Package '", "'")
    } else if line.starts_with("E: Version ") {
        // E: Version '1.0-2' for 'vulnlib' was not found
        between("' for '", "'")
    } else if line.starts_with("E: Failed to fetch ") {
        // E: Failed to fetch http://deb.debian.org/…/vulnlib_1.0-2_amd64.deb  404  Not Found
        let url = between("E: Failed to fetch ", " ")?;
        url.rsplit('/')
            .next()?
            .split_once('_')
            .map(|(name, _)| name)
    } else if line.starts_with("No match for argument: ") {
        // dnf and yum: No match for argument: openssl-libs
        between("argument: ", " ")
    } else if let Some(name) = unsatisfied(line).or_else(|| wished(line)) {
        Some(name)
    } else {
        // downloaded package vulnlib version 1.0-1 lower than required 1.0-2 for update
        let package = between("downloaded package ", " version ")?;
        let versions = between(" version ", " for update")?;
        let (has, required) = versions.split_once(" lower than required ")?;
        let reason = format!("the archive has {has}, but {required} is required");
        return Some((package.to_owned(), reason));
    };
    Some((package?.to_owned(), line.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_has_the_package_managers_message() {
        let table: [(&[&str], &str, &[&str]); 11] = [
            (
                &[
                    "#9 1.2 E: Unable to locate package vulnlib",
                    "Error: failed to solve: exit code: 100",
                ],
                "E: Unable to locate package vulnlib",
                &["vulnlib: E: Unable to locate package vulnlib"],
            ),
            (
                &[
                    "#9 0.3 E: Version '2.0' for 'zlib1g' was not found",
                    "Error: x",
                ],
                "E: Version '2.0' for 'zlib1g' was not found",
                &["zlib1g: E: Version '2.0' for 'zlib1g' was not found"],
            ),
            (
                &["0.912 E: Package 'perl' has no installation candidate"],
                "E: Package 'perl' has no installation candidate",
                &["perl: E: Package 'perl' has no installation candidate"],
            ),
            (
                &[
                    "#9 E: Failed to fetch http://d.o/pool/p/perl_5.40.1-6_amd64.deb  404  Not Found [IP: 1]",
                ],
                "E: Failed to fetch http://d.o/pool/p/perl_5.40.1-6_amd64.deb  404  Not Found [IP: 1]",
                &[
                    "perl: E: Failed to fetch http://d.o/pool/p/perl_5.40.1-6_amd64.deb  404  Not Found [IP: 1]",
                ],
            ),
            (
                &[
                    "time=\"2026-11-23T12:48:34Z\" level=error msg=\"downloaded package openssl version 1.0 lower than required 2.0 for update\"",
                    "time=\"2026-11-23T12:48:34Z\" level=error msg=\"downloaded package libssl3 version 1.0 lower than required 2.1 for update\"",
                    "Error: failed to solve: 2 errors occurred:",
                ],
                "Error: failed to solve: 2 errors occurred:",
                &[
                    "libssl3: the archive has 1.0, but 2.1 is required",
                    "openssl: the archive has 1.0, but 2.0 is required",
                ],
            ),
            (
                &[
                    "time=\"x\" level=warning msg=\"apt-held packages found, not patched by Copa: [perl tzdata]\"",
                    "#9 0.5 E: Held packages were changed and -y was used without --allow-change-held-packages.",
                ],
                "E: Held packages were changed and -y was used without --allow-change-held-packages.",
                &["perl: it is held back", "tzdata: it is held back"],
            ),
            (
                &[
                    "level=warning msg=\"apt-held packages found, not patched by Copa: [perl]\"",
                    "Error: no",
                ],
                "Error: no",
                &[],
            ),
            (
                &[
                    "#9 0.6  vulnlib : Depends: other (>= 2) but it is not installable",
                    "#9 0.6 E: Unable to correct problems, you have held broken packages.",
                ],
                "E: Unable to correct problems, you have held broken packages.",
                &["vulnlib: vulnlib : Depends: other (>= 2) but it is not installable"],
            ),
            (
                &[
                    "Error: docker.io/library/debian:stable-slim: dial tcp: lookup registry-1.docker.io: no such host",
                ],
                "Error: docker.io/library/debian:stable-slim: dial tcp: lookup registry-1.docker.io: no such host; set `tooling-image` to an image that is available",
                &[],
            ),
            (
                &["Error: patch exceeded timeout 3s", ""],
                "Error: patch exceeded timeout 3s; raise `timeout`, or see in the log what took so long",
                &[],
            ),
            (&[], "exit code 2", &[]),
        ];
        for (tail, reason, packages) in table {
            let tail: Vec<String> = tail.iter().map(ToString::to_string).collect();
            let failure = Failure::from_output(&tail, "exit code 2");
            let blamed: Vec<_> = failure
                .packages
                .iter()
                .map(|(name, why)| format!("{name}: {why}"))
                .collect();
            assert_eq!(
                (failure.reason.as_str(), blamed),
                (reason, packages.iter().map(ToString::to_string).collect())
            );
        }
    }

    // As apt 3 and dpkg of Debian 13 print it.
    #[test]
    fn what_dpkg_and_the_solver_blame_is_named() {
        let of = |output: &[&str]| {
            let lines: Vec<_> = output.iter().map(|line| format!("#9 0.5 {line}")).collect();
            let failure = Failure::from_output(&lines, "exit code 1");
            format!("{}\n{:?}", failure.reason, failure.packages)
        };
        insta::assert_snapshot!(of(&[
            "Setting up failing (1.0-2) ...",
            "dpkg: error processing package failing (--configure):",
            " installed failing package post-installation script subprocess returned error exit status 3",
            "dpkg: dependency problems prevent configuration of user:amd64:",
            " user:amd64 depends on failing; however:",
            "  Package failing is not configured yet.",
            "dpkg: error processing package user:amd64 (--configure):",
            " dependency problems - leaving unconfigured",
            "*** edited.conf (Y/I/N/O/D/Z) [default=N] ? dpkg: error processing package edited (--configure):",
            " end of file on stdin at conffile prompt",
            "Errors were encountered while processing:",
            " failing",
            " edited",
            "E: Sub-process /usr/bin/dpkg returned an error code (1)",
        ]), @r#"
        E: Sub-process /usr/bin/dpkg returned an error code (1)
        {"edited": "end of file on stdin at conffile prompt", "failing": "installed failing package post-installation script subprocess returned error exit status 3"}
        "#);
        insta::assert_snapshot!(of(&[
            "The following packages have unmet dependencies:",
            " pinned : Conflicts: fine but 1.0-2 is to be installed",
            "E: Unable to correct problems, you have held broken packages.",
            "E: The following information from --solver 3.0 may provide additional context:",
            "   Unable to satisfy dependencies. Reached two conflicting decisions:",
            "   1. fine:amd64=1.0-2 is not selected for install because:",
        ]), @r#"
        E: Unable to correct problems, you have held broken packages.
        {"pinned": "pinned : Conflicts: fine but 1.0-2 is to be installed"}
        "#);
        insta::assert_snapshot!(of(&[
            "ERROR: unable to select packages:",
            "  openssl-3.3.2-r1:",
            "    breaks: world[openssl>3.3.3]",
            "    satisfies: libssl3-3.3.2-r1[openssl]",
        ]), @r#"
        ERROR: unable to select packages:
        {"openssl": "breaks: world[openssl>3.3.3]"}
        "#);
        insta::assert_snapshot!(of(&["No match for argument: openssl-libs", "Error: Unable to find a match: openssl-libs"]), @r#"
        Error: Unable to find a match: openssl-libs
        {"openssl-libs": "No match for argument: openssl-libs"}
        "#);
    }

    #[test]
    fn a_step_that_fails_without_a_reason_has_its_last_output() {
        let of = |output: &str| {
            let failed = "process \"install\" did not complete successfully: exit code: 1";
            let tail = [
                format!("#9 0.112 {output}"),
                format!("#9 ERROR: {failed}"),
                format!("Error: failed to solve: {failed}"),
            ];
            let failure = Failure::from_output(&tail, "exit code 1");
            (failure.reason, failure.is_unexplained)
        };
        let pip = "ERROR: No matching distribution found for flask==3.0.9";
        assert_eq!(of(pip), (pip.to_owned(), false));
        let (reason, is_unexplained) = of("runc run failed: no cgroup");
        assert!(is_unexplained);
        assert_eq!(
            reason,
            "Error: failed to solve: process \"install\" did not complete successfully: exit code: 1; last output: runc run failed: no cgroup"
        );
    }
}
