//! Lock files that can't be read: Trivy skips them silently, and a scan of the rest has no finding.

use quick_xml::events::Event;
use serde::de::IgnoredAny;

/// A format of lock files.
#[derive(Debug, Clone, Copy)]
enum Format {
    Json,
    /// With comments, and a comma after the last element.
    LenientJson,
    Toml,
    Yaml,
    Xml,
    /// Lines, by the rules of one package manager: `Err` with the reason if no package can be read from them.
    Lines(fn(&str) -> Result<(), String>),
    /// Lines of which any may be valid.
    AnyLines,
}

/// The files that Trivy reads (trivy.dev/docs/latest/coverage/language), and their formats. A name that starts with `*` is
/// the end of one.
const LOCK_FILES: &[(&str, Format)] = &[
    ("package-lock.json", Format::Json),
    ("composer.lock", Format::Json),
    ("Pipfile.lock", Format::Json),
    ("packages.lock.json", Format::Json),
    ("*.deps.json", Format::Json),
    ("conan.lock", Format::Json),
    ("Package.resolved", Format::Json),
    ("build.sbt.lock", Format::Json),
    ("bun.lock", Format::LenientJson),
    ("Cargo.lock", Format::Toml),
    ("poetry.lock", Format::Toml),
    ("uv.lock", Format::Toml),
    ("pylock.toml", Format::Toml),
    ("Manifest.toml", Format::Toml),
    ("pnpm-lock.yaml", Format::Yaml),
    ("pubspec.lock", Format::Yaml),
    ("Podfile.lock", Format::Yaml),
    ("environment.yml", Format::Yaml),
    ("environment.yaml", Format::Yaml),
    ("pom.xml", Format::Xml),
    ("packages.config", Format::Xml),
    ("Directory.Packages.props", Format::Xml),
    ("yarn.lock", Format::Lines(yarn)),
    ("Gemfile.lock", Format::Lines(bundler)),
    ("go.mod", Format::Lines(go)),
    ("gradle.lockfile", Format::Lines(gradle)),
    ("mix.lock", Format::Lines(mix)),
    // What has no version there is reported by its name.
    ("requirements.txt", Format::AnyLines),
    // Trivy reads it for old versions of Go only.
    ("go.sum", Format::AnyLines),
];

/// Whether `name` is that of a lock file.
pub(super) fn is_lock_file(name: &str) -> bool {
    format(name).is_some()
}

fn format(name: &str) -> Option<Format> {
    let is_named = |own: &str| match own.strip_prefix('*') {
        Some(end) => name.ends_with(end),
        None => own == name,
    };
    let (_, format) = LOCK_FILES.iter().find(|(own, _)| is_named(own))?;
    Some(*format)
}

/// Why the file `name` can't be read, or not as a whole; `None` for one that can, and for what is not a lock file. Its
/// `text` is read only if it is one. A file from which packages `are_read` is valid.
pub(super) fn problem(
    name: &str,
    are_read: bool,
    text: impl FnOnce() -> Option<String>,
) -> Option<String> {
    let format = format(name)?;
    let text = text()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    // Other tools have files named `environment.yml` too, some of them with templates.
    let is_of_other_tool =
        name.starts_with("environment.") && !text.lines().any(|l| l.starts_with("dependencies:"));
    if is_of_other_tool {
        return None;
    }
    if let Some(line) = conflict(text) {
        return Some(format!(
            "has an unresolved merge conflict in line {line}; not all of its packages were scanned"
        ));
    }
    if are_read || text.trim().is_empty() {
        return None;
    }
    let problem = match format {
        Format::Json => json(text)?,
        Format::LenientJson => json(&strict_json(text))?,
        Format::Toml => format!(
            "is not valid TOML: {}",
            toml::from_str::<IgnoredAny>(text).err()?.message()
        ),
        Format::Yaml => format!("is not valid YAML: {}", yaml_error(text)?),
        Format::Xml => format!("is not valid XML: {}", xml_error(text)?),
        Format::Lines(check) => check(text).err()?,
        Format::AnyLines => return None,
    };
    Some(format!("{problem}; its packages were not scanned"))
}

/// The text as each kind of lock file.
#[cfg(fuzzing)]
pub(super) fn fuzz(text: &str) {
    for (name, _) in LOCK_FILES {
        problem(name.trim_start_matches('*'), false, || {
            Some(text.to_owned())
        });
    }
}

fn json(text: &str) -> Option<String> {
    let error = serde_json::from_str::<IgnoredAny>(text).err()?;
    Some(format!("is not valid JSON: {error}"))
}

// The same document with blanks in place of comments and of commas after a last element: lines and columns stay.
fn strict_json(text: &str) -> String {
    let mut strict = String::with_capacity(text.len());
    // Where the last comma is, if only blanks and comments are after it.
    let mut comma = None;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => string_length(rest),
            '/' => comment_length(rest).unwrap_or(1),
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        if first == '/' && token.len() > 1 {
            strict.extend(token.chars().map(|c| if c == '\n' { c } else { ' ' }));
            continue;
        }
        match first {
            ',' => comma = Some(strict.len()),
            '}' | ']' => {
                if let Some(at) = comma.take() {
                    strict.replace_range(at..=at, " ");
                }
            }
            _ if first.is_whitespace() => {}
            _ => comma = None,
        }
        strict.push_str(token);
    }
    strict
}

// The bytes of the string that `text` starts with, to its second quote, or to the end of a text that lacks one.
fn string_length(text: &str) -> usize {
    let mut is_escaped = true;
    for (at, c) in text.char_indices() {
        if c == '"' && !is_escaped {
            return at + 1;
        }
        // The first quote counts as escaped.
        is_escaped = c == '\\' && !is_escaped;
    }
    text.len()
}

// The bytes of the comment that `text` starts with.
fn comment_length(text: &str) -> Option<usize> {
    let length = if text.starts_with("//") {
        text.find('\n')
    } else if text.starts_with("/*") {
        text.find("*/").map(|at| at + 2)
    } else {
        return None;
    };
    Some(length.unwrap_or(text.len()))
}

// The parser does not report elements that have no end.
fn xml_error(text: &str) -> Option<String> {
    let mut reader = quick_xml::Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let (mut depth, mut has_root) = (0_usize, false);
    loop {
        match reader.read_event() {
            Ok(Event::Start(_)) => {
                has_root = true;
                depth += 1;
            }
            Ok(Event::End(_)) => depth = depth.saturating_sub(1),
            Ok(Event::Eof) if depth > 0 => return Some("an element has no end".to_owned()),
            Ok(Event::Eof) if !has_root => return Some("it has no element".to_owned()),
            Ok(Event::Eof) => return None,
            Ok(_) => {}
            Err(error) => return Some(error.to_string()),
        }
    }
}

/// The reason where a format has no other one.
const NO_PACKAGE: &str = "is damaged: no package could be read from it";

// A file of comments has no package, and no damage.
fn any_line(text: &str, comment: &str, is_valid: impl Fn(&str) -> bool) -> Result<(), String> {
    let mut lines = text.lines().filter(|line| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with(comment)
    });
    let Some(first) = lines.next() else {
        return Ok(());
    };
    if is_valid(first) || lines.any(is_valid) {
        return Ok(());
    }
    Err(NO_PACKAGE.to_owned())
}

// `a@^1.0.0:`, and its `  version "1.0.0"` or `  version: 1.0.0`. Development dependencies are valid and not read.
fn yarn(text: &str) -> Result<(), String> {
    let is_version = |line: &str| {
        let version = line.strip_prefix("  version");
        version.is_some_and(|rest| rest.starts_with([' ', ':']))
    };
    any_line(text, "#", is_version)
}

// `    rails (8.0.0)`. A project without gems has `DEPENDENCIES` all the same.
fn bundler(text: &str) -> Result<(), String> {
    let is_gem = |line: &str| {
        let gem = line.strip_prefix("    ");
        gem.is_some_and(|gem| !gem.starts_with(' ') && gem.contains(" (") && gem.ends_with(')'))
    };
    any_line(text, "#", |line| line == "DEPENDENCIES" || is_gem(line))
}

// A module that requires nothing has no package.
fn go(text: &str) -> Result<(), String> {
    let mut block: Option<(usize, bool)> = None;
    let (mut has_module, mut requires) = (false, false);
    for (number, line) in (1_usize..).zip(text.lines()) {
        let line = line.split("//").next().unwrap_or_default().trim();
        match block {
            Some(_) if line == ")" => block = None,
            Some((_, is_require)) => requires |= is_require && !line.is_empty(),
            None => {
                let directive = line.split([' ', '\t', '(']).next().unwrap_or_default();
                has_module |= directive == "module";
                if line.ends_with('(') {
                    block = Some((number, directive == "require"));
                } else {
                    requires |= directive == "require";
                }
            }
        }
    }
    if let Some((number, _)) = block {
        return Err(format!(
            "is not valid: the block in line {number} has no end"
        ));
    }
    if has_module && !requires {
        return Ok(());
    }
    any_line(text, "//", |_| false)
}

// `group:name:1.0=runtimeClasspath`, or `empty=` with configurations that have no package.
fn gradle(text: &str) -> Result<(), String> {
    any_line(text, "#", |line| {
        let coordinates = line.split_once('=').map(|(start, _)| start);
        coordinates.is_some_and(|start| start == "empty" || start.split(':').count() == 3)
    })
}

// `  "a": {:hex, :a, "1.0.0", …`, or `:git`, which Trivy does not look up; `%{}` without any.
fn mix(text: &str) -> Result<(), String> {
    if text.split_whitespace().collect::<String>() == "%{}" {
        return Ok(());
    }
    any_line(text, "#", |line| {
        line.trim_start().trim_start_matches("%{").starts_with('"') && line.contains("\": {:")
    })
}

// The rest of the message is an excerpt.
fn yaml_error(text: &str) -> Option<String> {
    let error = serde_saphyr::from_str::<IgnoredAny>(text)
        .err()?
        .to_string();
    let first = error.lines().next().unwrap_or_default();
    Some(first.strip_prefix("error: ").unwrap_or(first).to_owned())
}

// The line, from 1, at which git has left both sides of a conflict.
fn conflict(text: &str) -> Option<usize> {
    let mut lines = text.lines().enumerate();
    let (start, _) = lines.find(|(_, line)| line.starts_with("<<<<<<< "))?;
    let has_end = lines.any(|(_, line)| line.starts_with(">>>>>>> "));
    has_end.then_some(start + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_that_cannot_be_read_is_named_with_the_reason() {
        let conflict = "a\n<<<<<<< HEAD\nb\n=======\nc\n>>>>>>> other\n";
        let line =
            "has an unresolved merge conflict in line 2; not all of its packages were scanned";
        let table = [
            (
                "package-lock.json",
                r#"{"packages": {"#,
                "is not valid JSON: EOF while parsing an object at line 1 column 14; its packages were not scanned",
            ),
            ("package-lock.json", r#"{"packages": {}}"#, ""),
            (
                "Cargo.lock",
                "[[package]]\nname = \"x\n",
                "is not valid TOML: invalid basic string, expected `\"`; its packages were not scanned",
            ),
            ("Cargo.lock", "version = 4\n[[package]]\nname = \"x\"\n", ""),
            ("poetry.lock", "", ""),
            ("pnpm-lock.yaml", "packages:\n  a: 1\n", ""),
            ("yarn.lock", conflict, line),
            ("Gemfile.lock", conflict, line),
            ("README.md", conflict, ""),
        ];
        for (name, text, expected) in table {
            let found = problem(name, false, || Some(text.to_owned()));
            assert_eq!(found.unwrap_or_default(), expected, "{name} {text}");
        }
        let broken = || Some(String::from("{"));
        assert_eq!(problem("package-lock.json", true, broken), None);
        let yaml = problem("pnpm-lock.yaml", false, || {
            Some("packages:\n  a: {\n".to_owned())
        });
        assert_eq!(
            yaml.unwrap(),
            "is not valid YAML: line 2 column 6: unclosed bracket '{'; its packages were not scanned"
        );
    }

    const DAMAGED: &str =
        "is damaged: no package could be read from it; its packages were not scanned";
    const OPEN: &str =
        "is not valid: the block in line 3 has no end; its packages were not scanned";
    const BUN: &str =
        "{\n  // by bun\n  \"a\": [\"http://x,]\", /* , */ {},],\n  \"b\\\"\": {\"c\": 1,},\n}\n";

    /// Name and text of a file, and the problem.
    const LINES: &[(&str, &str, &str)] = &[
        ("yarn.lock", "# yarn lockfile v1\n\n\n", ""),
        (
            "yarn.lock",
            "# yarn lockfile v1\n\na@^1:\n  version \"1.0.0\"\n",
            "",
        ),
        (
            "yarn.lock",
            "__metadata:\n  version: 8\n\n\"a@npm:1\":\n  version: 1.0.0\n",
            "",
        ),
        ("yarn.lock", "# yarn lockfile v1\n\na@^1:\n  vers", DAMAGED),
        ("yarn.lock", "<html>\n", DAMAGED),
        ("Gemfile.lock", "GEM\n  specs:\n    a (1.0)\n", ""),
        (
            "Gemfile.lock",
            "GEM\n  specs:\n\nPLATFORMS\n  ruby\n\nDEPENDENCIES\n",
            "",
        ),
        (
            "Gemfile.lock",
            "GEM\n  remote: https://rubygems.org/\n  spe",
            DAMAGED,
        ),
        ("go.mod", "module a\n\ngo 1.25\n", ""),
        ("go.mod", "module a\n\nrequire (\n)\n", ""),
        ("go.mod", "// no module\n", ""),
        ("go.mod", "module a\n\nrequire (\n\tx v1.0.0\n", OPEN),
        ("go.mod", "module a\nrequire x\n", DAMAGED),
        ("go.mod", "garbage\n", DAMAGED),
        ("go.sum", "garbage\n", ""),
        ("requirements.txt", "garbage\n", ""),
        ("gradle.lockfile", "# Gradle\nempty=runtimeClasspath\n", ""),
        ("gradle.lockfile", "a:b:1=compileClasspath\nempty=\n", ""),
        ("gradle.lockfile", "a:b\n", DAMAGED),
        ("mix.lock", "%{\n}\n", ""),
        (
            "mix.lock",
            "%{\n  \"a\": {:git, \"https://a\", \"0\", []},\n}\n",
            "",
        ),
        ("mix.lock", "%{\n  \"a\n", DAMAGED),
    ];

    #[test]
    fn lines_from_which_no_package_was_read_are_named() {
        for &(name, text, expected) in LINES {
            let found = problem(name, false, || Some(text.to_owned()));
            assert_eq!(found.unwrap_or_default(), expected, "{name} {text}");
            assert_eq!(problem(name, true, || Some(text.to_owned())), None);
        }
    }

    /// Name and text of a file, and the start of the problem.
    const FORMATS: &[(&str, &str, Option<&str>)] = &[
        ("bun.lock", BUN, None),
        ("bun.lock", "{\"a\": [1,,]}", Some("is not valid JSON: ")),
        (
            "bun.lock",
            "{\"packages\": {\"a\": [\"a@1\",",
            Some("is not valid JSON: "),
        ),
        ("build.sbt.lock", "{", Some("is not valid JSON: ")),
        ("x.deps.json", "{", Some("is not valid JSON: ")),
        ("deps.json", "{", None),
        ("Manifest.toml", "[[deps.A]\n", Some("is not valid TOML: ")),
        (
            "environment.yml",
            "dependencies:\n  - {\n",
            Some("is not valid YAML: "),
        ),
        ("environment.yml", "x: {\n", None),
        ("pom.xml", "<project/>", None),
        (
            "pom.xml",
            "<?xml version=\"1.0\"?>\n<project>\n</project>\n",
            None,
        ),
        (
            "pom.xml",
            "<project>",
            Some("is not valid XML: an element has no end"),
        ),
        (
            "pom.xml",
            "<project></packages>",
            Some("is not valid XML: "),
        ),
        (
            "packages.config",
            "garbage",
            Some("is not valid XML: it has no element"),
        ),
        (
            "Directory.Packages.props",
            "<Project>\n",
            Some("is not valid XML: "),
        ),
    ];

    #[test]
    fn each_format_is_parsed() {
        for &(name, text, expected) in FORMATS {
            let found = problem(name, false, || Some(text.to_owned()));
            match expected {
                Some(start) => assert!(
                    found.as_ref().is_some_and(|found| found.starts_with(start)),
                    "{name} {text}: {found:?}"
                ),
                None => assert_eq!(found, None, "{name} {text}"),
            }
        }
    }
}
