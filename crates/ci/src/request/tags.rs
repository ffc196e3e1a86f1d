//! The names that the image gets: of the input `image`, and of `tags`, whose placeholders the run fills.

use std::collections::BTreeMap;

use actions_toolkit::{BadInput, GithubEnv, Scope, Value};
use oci::ImageRef;

use crate::action::Inputs;

/// The length of `{short-sha}`, as docker/metadata-action has it.
const SHORT_SHA: usize = 7;

const PLACEHOLDERS: [&str; 8] = [
    "sha",
    "short-sha",
    "branch",
    "tag",
    "version",
    "major",
    "minor",
    "pr",
];

/// The names of the image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Without duplicates, as they were written.
    pub(crate) names: Vec<ImageRef>,
    /// Lines of `tags` that this run has no value for, each with the reason.
    pub(crate) left_out: Vec<(String, String)>,
}

/// A line of `tags`: a tag of `image`, or a whole `name:tag`; placeholders are in the tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TagLine {
    line: String,
    /// The repository, of a whole name.
    name: Option<String>,
    tag: String,
}

impl Value for TagLine {
    fn parse(line: &str, _: &Scope<'_>) -> Result<Self, String> {
        let (name, tag) = match line.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (Some(name), tag),
            _ if line.contains('/') => {
                return Err(format!(
                    "`{line}` has no tag; use a tag alone, or `name:tag`"
                ));
            }
            _ => (None, line),
        };
        let parsed = Self {
            line: line.to_owned(),
            name: name.map(ToOwned::to_owned),
            tag: tag.to_owned(),
        };
        let example: ImageRef = "image".parse().map_err(|e| format!("{e}"))?;
        let filled = parsed.fill(|_| Ok("1".to_owned()))?;
        parsed
            .on(&example, &filled)
            .map_err(|problem| format!("`{line}`: {problem}"))?;
        Ok(parsed)
    }
}

impl TagLine {
    // The tag with a value for each placeholder.
    fn fill(&self, value: impl Fn(&str) -> Result<String, String>) -> Result<String, String> {
        let mut filled = String::new();
        let mut rest = self.tag.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            let (placeholder, after) = after.split_once('}').unwrap_or(("", ""));
            if !PLACEHOLDERS.contains(&placeholder) {
                let known: Vec<_> = PLACEHOLDERS.iter().map(|p| format!("`{{{p}}}`")).collect();
                return Err(format!(
                    "`{}` has an unknown placeholder; expected one of {}",
                    self.line,
                    known.join(", ")
                ));
            }
            filled.push_str(&value(placeholder)?);
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    // The name with the filled `tag`: of its own repository, or of `image`.
    fn on(&self, image: &ImageRef, tag: &str) -> Result<ImageRef, String> {
        let own = match &self.name {
            Some(name) => &name.parse::<ImageRef>().map_err(|e| e.to_string())?,
            None => image,
        };
        if own.digest().is_some() {
            return Err("has a digest, which only a build can assign".to_owned());
        }
        own.with_tag(tag).map_err(|e| e.to_string())
    }
}

impl Names {
    /// The names of `image` in the run of `github`.
    ///
    /// # Errors
    /// [`BadInput`] when there is no tag at all.
    pub(super) fn new(
        image: &ImageRef,
        lines: &[TagLine],
        github: &GithubEnv<'_>,
    ) -> Result<Self, BadInput> {
        let bad = |problem| BadInput::new(Inputs::image, format!("`{image}` {problem}"));
        if image.digest().is_some() {
            return Err(bad(
                "has a digest, which only a build can assign; write it as `name:tag`",
            ));
        }
        if image.tag().is_none() && lines.is_empty() {
            return Err(bad("has no tag; write it as `name:tag`, or set `tags`"));
        }
        let values = values(github);
        let mut names = Self::default();
        names.names.extend(image.tag().map(|_| image.clone()));
        for line in lines {
            let filled = line.fill(|placeholder| values[placeholder].clone());
            match filled.and_then(|tag| line.on(image, &tag)) {
                Ok(name) if names.names.contains(&name) => {}
                Ok(name) => names.names.push(name),
                Err(reason) => names.left_out.push((line.line.clone(), reason)),
            }
        }
        Ok(names)
    }
}

// The value of each placeholder, or why there is none.
fn values(github: &GithubEnv<'_>) -> BTreeMap<&'static str, Result<String, String>> {
    let git_ref = github.git_ref().unwrap_or_default();
    let shown = match git_ref {
        "" => "outside of a workflow".to_owned(),
        name => format!("for `{name}`"),
    };
    let no = |what: &str| Err::<String, _>(format!("the run is {shown}, not for {what}"));
    let sha = github
        .sha()
        .map_or_else(|| no("a commit"), |sha| Ok(sha.to_owned()));
    let short = sha
        .clone()
        .map(|sha| sha.chars().take(SHORT_SHA).collect::<String>());
    let event = github.event().unwrap_or_default();
    let pull_request = event
        .pointer("/pull_request/number")
        .map(ToString::to_string)
        .or_else(|| {
            let number = git_ref.strip_prefix("refs/pull/")?.split('/').next()?;
            Some(number.to_owned())
        });
    // `pull_request_target` runs for the base branch, with the code of the pull request.
    let branch = git_ref
        .strip_prefix("refs/heads/")
        .filter(|_| pull_request.is_none());
    let tag = git_ref.strip_prefix("refs/tags/");
    let version: Result<Version, String> = match tag {
        Some(tag) => {
            Version::parse(tag).ok_or_else(|| format!("the Git tag `{tag}` is not a version"))
        }
        None => Err(format!("the run is {shown}, not for a Git tag")),
    };
    let part = |index: usize| {
        let version = version.clone()?;
        if version.is_prerelease {
            return Err(format!("`{}` is a prerelease", version.text));
        }
        let part = version.parts.get(index).cloned();
        part.ok_or_else(|| format!("`{}` has no such part", version.text))
    };
    let optional = |value: Option<&str>, what: &str| {
        value.map_or_else(|| no(what), |value| Ok(allowed(value)))
    };
    BTreeMap::from([
        ("sha", sha),
        ("short-sha", short),
        ("branch", optional(branch, "a branch")),
        ("tag", optional(tag, "a Git tag")),
        ("pr", optional(pull_request.as_deref(), "a pull request")),
        ("major", part(0)),
        ("minor", part(1)),
        ("version", version.map(|version| version.text)),
    ])
}

/// A Git tag that names a version: `v1.2.3`, `1.2.3-rc.1`, `1.2rc1`, `2026.11`.
#[derive(Debug, Clone)]
struct Version {
    /// Without the `v`, as a tag of an image.
    text: String,
    parts: Vec<String>,
    is_prerelease: bool,
}

impl Version {
    fn parse(tag: &str) -> Option<Self> {
        let text = tag.strip_prefix(['v', 'V']).unwrap_or(tag);
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (numbers, rest) = text.split_at(end.unwrap_or(text.len()));
        // `1.2.post1`: the dot is the rest's.
        let numbers = numbers.trim_end_matches('.');
        let parts: Vec<_> = numbers.split('.').map(ToOwned::to_owned).collect();
        if parts.iter().any(String::is_empty) {
            return None;
        }
        // Semantic Versioning and PEP 440: a build and a post-release are no prereleases.
        let is_release = rest.is_empty() || rest.starts_with('+') || rest.starts_with("post");
        Some(Self {
            text: allowed(text),
            parts,
            is_prerelease: !is_release,
        })
    }
}

// With a `-` for what a tag may not contain, as docker/metadata-action has it.
fn allowed(text: &str) -> String {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let mut out = String::new();
    for c in text.chars() {
        if is_allowed(c) {
            out.push(c);
        } else if !out.ends_with('-') {
            out.push('-');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use actions_toolkit::{Env, Log, Workspace};

    use super::*;

    const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

    fn line(text: &str) -> Result<TagLine, String> {
        TagLine::parse(text, &Scope::new(&Log::sink(), &Workspace::new("/w")))
    }

    /// The names in a run for `git_ref`, then what is left out.
    fn names(git_ref: &str, event: &str, lines: &[&str]) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("event.json");
        std::fs::write(&file, event).unwrap();
        let env = Env::from_pairs([
            ("GITHUB_REF", git_ref),
            ("GITHUB_SHA", SHA),
            ("GITHUB_EVENT_PATH", file.to_str().unwrap()),
        ]);
        let (_stop, stopped) = tokio::sync::watch::channel(None);
        let inputs = actions_toolkit::Inputs::read(&crate::ACTION, &[], &env).unwrap();
        let ctx = actions_toolkit::Context::new(env, inputs, Log::sink(), stopped);
        let lines: Vec<_> = lines.iter().map(|text| line(text).unwrap()).collect();
        let image = "ghcr.io/octo-org/app".parse().unwrap();
        let names = Names::new(&image, &lines, &ctx.github()).unwrap();
        let left_out = names.left_out.iter();
        let left_out = left_out.map(|(line, reason)| format!("{line}: {reason}"));
        let names = names.names.iter().map(|name| {
            let name = name.to_string();
            name.replace("ghcr.io/octo-org/app:", "")
        });
        names.chain(left_out).collect()
    }

    #[test]
    fn a_tag_follows_from_the_run() {
        let all = [
            "latest",
            "{branch}",
            "sha-{short-sha}",
            "{version}",
            "{major}.{minor}",
            "pr-{pr}",
            "{tag}",
            "latest",
        ];
        insta::assert_debug_snapshot!(names("refs/heads/feature/Ä b", "{}", &all), @r#"
        [
            "latest",
            "feature-b",
            "sha-0123456",
            "{version}: the run is for `refs/heads/feature/Ä b`, not for a Git tag",
            "{major}.{minor}: the run is for `refs/heads/feature/Ä b`, not for a Git tag",
            "pr-{pr}: the run is for `refs/heads/feature/Ä b`, not for a pull request",
            "{tag}: the run is for `refs/heads/feature/Ä b`, not for a Git tag",
        ]
        "#);
        insta::assert_debug_snapshot!(names("refs/tags/v1.20.3", "{}", &all), @r#"
        [
            "latest",
            "sha-0123456",
            "1.20.3",
            "1.20",
            "v1.20.3",
            "{branch}: the run is for `refs/tags/v1.20.3`, not for a branch",
            "pr-{pr}: the run is for `refs/tags/v1.20.3`, not for a pull request",
        ]
        "#);
        insta::assert_debug_snapshot!(names("refs/pull/7/merge", "{}", &["pr-{pr}", "{branch}"]), @r#"
        [
            "pr-7",
            "{branch}: the run is for `refs/pull/7/merge`, not for a branch",
        ]
        "#);
        // The code is that of a pull request.
        let target = r#"{"pull_request": {"number": 8}}"#;
        insta::assert_debug_snapshot!(names("refs/heads/main", target, &["pr-{pr}", "{branch}"]), @r#"
        [
            "pr-8",
            "{branch}: the run is for `refs/heads/main`, not for a branch",
        ]
        "#);
    }

    #[test]
    fn versions_are_those_of_semver_and_of_python() {
        let table = [
            ("v1.2.3", vec!["1.2.3", "1"]),
            ("1.2.3+build.5", vec!["1.2.3-build.5", "1"]),
            ("v1.2.post1", vec!["1.2.post1", "1"]),
            ("2026.11", vec!["2026.11", "2026"]),
            (
                "v1.2.3-rc.1",
                vec!["1.2.3-rc.1", "{major}: `1.2.3-rc.1` is a prerelease"],
            ),
            (
                "1.2rc1",
                vec!["1.2rc1", "{major}: `1.2rc1` is a prerelease"],
            ),
        ];
        for (tag, expected) in table {
            let git_ref = format!("refs/tags/{tag}");
            assert_eq!(names(&git_ref, "{}", &["{version}", "{major}"]), expected);
        }
        for tag in ["nightly", "v", "app-1.2", "1..2", ".1"] {
            let git_ref = format!("refs/tags/{tag}");
            let expected = [format!("{{version}}: the Git tag `{tag}` is not a version")];
            assert_eq!(names(&git_ref, "{}", &["{version}"]), expected);
        }
    }

    #[test]
    fn a_line_may_be_a_whole_name() {
        let lines = ["docker.io/team/app:{branch}", "127.0.0.1:5000/app:1"];
        assert_eq!(
            names("refs/heads/main", "{}", &lines),
            ["docker.io/team/app:main", "127.0.0.1:5000/app:1"]
        );
        let long = "x".repeat(200);
        let names = names(&format!("refs/heads/{long}"), "{}", &["{branch}"]);
        assert!(
            names[0].starts_with("{branch}: invalid tag `xxx"),
            "{names:?}"
        );
    }

    #[test]
    fn an_invalid_line_says_what_is_valid() {
        let table = [
            (
                "{main}",
                "`{main}` has an unknown placeholder; expected one of `{sha}`, `{short-sha}`, `{branch}`, `{tag}`, `{version}`, `{major}`, `{minor}`, `{pr}`",
            ),
            (
                "{sha",
                "`{sha` has an unknown placeholder; expected one of `{sha}`, `{short-sha}`, `{branch}`, `{tag}`, `{version}`, `{major}`, `{minor}`, `{pr}`",
            ),
            (
                "{{version}}",
                "`{{version}}` has an unknown placeholder; expected one of `{sha}`, `{short-sha}`, `{branch}`, `{tag}`, `{version}`, `{major}`, `{minor}`, `{pr}`",
            ),
            (
                "ghcr.io/a/b",
                "`ghcr.io/a/b` has no tag; use a tag alone, or `name:tag`",
            ),
            (
                "a b",
                "`a b`: invalid tag `a b`; use up to 128 letters, digits, `_`, `.` and `-`, not starting with `.` or `-`",
            ),
            (
                "ghcr.io/Octo/app:1",
                "`ghcr.io/Octo/app:1`: invalid repository name `Octo`; use lower-case letters and digits, separated by single `.`, `_` or `-`",
            ),
        ];
        for (text, problem) in table {
            assert_eq!(line(text).unwrap_err(), problem);
        }
    }
}
