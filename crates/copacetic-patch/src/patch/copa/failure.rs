//! Why Copa made no image.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use actions_toolkit::text;

/// Bytes of a reason that are shown: Copa repeats whole commands in its errors.
const REASON: usize = 600;

/// How BuildKit reports a command that failed.
const UNEXPLAINED: &str = "did not complete successfully";

/// How apt 3 introduces what its solver adds to the error before it.
const SOLVER: &str = "The following information from --solver";

/// How a step exits whose program is not in the image, or can't be run: once more, it is the same.
const ABSENT: [&str; 2] = ["exit code: 127", "exit code: 126"];

/// How dnf begins a conflict, before the lines that say what is missing.
const CANDIDATE: &str = "cannot install the best update candidate for package ";

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
    (
        &["not have a Release file", "no longer has a Release file"],
        "; use a newer base image, or package sources that keep the release, such as `archive.debian.org`",
    ),
    (
        &ABSENT,
        "; the image lacks a program that Copa runs, such as its package manager: rebuild it on a newer base",
    ),
];

/// Why Copa made no image.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The message of the package manager or of Copa.
    pub(crate) reason: String,
    /// The packages whose update is unavailable, each with the reason.
    pub(crate) packages: BTreeMap<String, String>,
    /// Whether a step of the build failed, and may pass the next time: the package manager, which is in the image, did not say why,
    /// and would have named a problem of the packages.
    pub(crate) is_unexplained: bool,
}

impl Failure {
    /// From the last lines of Copa's output and how it exited, `ending`: the package manager's own lines say most,
    /// Copa's last error is the fallback.
    pub(crate) fn from_output(tail: &[String], ending: &str) -> Self {
        let lines: Vec<_> = tail.iter().map(|line| plain(line)).collect();
        let mut packages = unconfigured(&lines);
        let mut held = Vec::new();
        let mut candidates = Vec::new();
        for line in &lines {
            held.extend(held_back(line));
            candidates.extend(candidate(line));
            if let Some((package, reason)) = blamed(line) {
                packages.entry(package).or_insert(reason);
            }
        }
        for (package, reason) in candidates {
            packages.entry(package).or_insert(reason);
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
        let lacks_reason = packages.is_empty() && reason.contains(UNEXPLAINED);
        let is_unexplained = lacks_reason && !ABSENT.iter().any(|code| reason.ends_with(code));
        let mut reason = text::cut(reason, REASON).to_owned();
        if let Some(output) = tail.iter().rev().find_map(|line| step_output(line))
            && lacks_reason
        {
            reason.push_str("; last output: ");
            reason.push_str(text::cut(output, REASON));
        }
        let hint = HINTS
            .iter()
            .find(|(parts, _)| parts.iter().any(|part| reason.contains(part)));
        if let Some((_, hint)) = hint {
            reason.truncate(reason.trim_end_matches('.').len());
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

// The name in `name-version-release`, as rpm and apk write a package.
fn without_version(package: &str) -> Option<&str> {
    package.rsplitn(3, '-').nth(2)
}

// The installed package that dnf can't update. The lines after it say why, if they name the package.
fn candidate(line: &str) -> Option<(String, String)> {
    let (_, package) = line.split_once(CANDIDATE)?;
    let name = without_version(package)?;
    Some((name.to_owned(), line.to_owned()))
}

// The package that needs what the archive does not have: in lines of dnf,
// `nothing provides libfoo.so.1 needed by openssl-libs-1:3.0.8-1.el9.x86_64` and
// `package openssl-libs-1:3.0.8-1.el9.x86_64 requires libfoo, but none of the providers can be installed`, and of apk,
// `required by: postgresql-17.2-r0[so:libfoo.so.1]`.
fn needs(line: &str) -> Option<&str> {
    let rest = if line.starts_with("nothing provides ") {
        line.split_once(" needed by ")?.1
    } else if line.contains(", but none of the providers can be installed") {
        line.strip_prefix("package ")?
    } else {
        line.strip_prefix("required by: ")?
    };
    without_version(rest.split([' ', '[']).next()?)
}

// The package that the archive does not have at all, by apk, microdnf, tdnf and zypper.
fn absent(line: &str) -> Option<&str> {
    let between = |before: &str, after: &str| {
        let rest = line.strip_prefix(before)?;
        rest.split_once(after).map(|(name, _)| name)
    };
    between("error: No package matches '", "'")
        .or_else(|| between("No provider of '", "' found"))
        .or_else(|| line.strip_suffix(" (no such package):"))
        .or_else(|| line.strip_suffix(" package not found or not installed"))
}

// The package that a line of the package manager or of Copa's own check blames, and the reason.
fn blamed(line: &str) -> Option<(String, String)> {
    // dnf lists them.
    let line = line.strip_prefix("- ").unwrap_or(line);
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
    } else if let Some(name) = unsatisfied(line)
        .or_else(|| wished(line))
        .or_else(|| needs(line))
        .or_else(|| absent(line))
    {
        Some(name)
    } else {
        // downloaded package vulnlib version 1.0-1 lower than required 1.0-2 for update
        let package = between("downloaded package ", " version ")?;
        let versions = between(" version ", " for update")?;
        let (has, required) = versions.split_once(" lower than required ")?;
        let reason = format!("the archive has {has}, but {required} is required");
        return Some((package.to_owned(), reason));
    };
    let reason = line.strip_suffix(':').unwrap_or(line);
    Some((package?.to_owned(), reason.to_owned()))
}
