//! Variables of a compose file: where they come from, and what they become in a text
//! (docs.docker.com/reference/compose-file/interpolation, docs.docker.com/compose/how-tos/environment-variables/variable-interpolation).

use std::collections::{BTreeMap, BTreeSet};

/// Substitutions inside of each other.
const DEPTH: usize = 20;
/// Bytes of one text with its variables.
const SIZE: usize = 1024 * 1024;
/// Bytes of all values of an environment file: each may have those before it many times.
const VALUES: usize = 16 * limits::MIB;

/// The values of variables.
pub(super) type Variables = BTreeMap<String, String>;

/// Names of variables that have no value, which is empty then.
pub(super) type Unset = BTreeSet<String>;

/// `text` with the values of its variables: `$NAME`, `${NAME}`, and with `:-`, `-`, `:+`, `+`, `:?` or `?` before another text; `$$` is
/// a dollar sign.
///
/// # Errors
/// When a form is another one, or a variable is required and has no value.
pub(super) fn interpolate(
    text: &str,
    variables: &Variables,
    unset: &mut Unset,
) -> Result<String, String> {
    let mut reader = Reader {
        variables,
        unset,
        depth: 0,
    };
    let (value, rest) = reader.text(text, false)?;
    debug_assert!(rest.is_empty(), "only a nested text has an end");
    Ok(value)
}

struct Reader<'a> {
    variables: &'a Variables,
    unset: &'a mut Unset,
    depth: usize,
}

impl Reader<'_> {
    // The value of `text`, up to the brace that closes it if it is nested, and what follows.
    fn text<'t>(&mut self, text: &'t str, is_nested: bool) -> Result<(String, &'t str), String> {
        let mut value = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(if is_nested { ['$', '}'] } else { ['$', '$'] }) {
            value.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if text.as_bytes()[text.len() - rest.len() - 1] == b'}' {
                return Ok((value, rest));
            }
            if let Some(after) = rest.strip_prefix('$') {
                value.push('$');
                rest = after;
            } else if let Some(after) = rest.strip_prefix('{') {
                let (part, after) = self.braced(after)?;
                value.push_str(&part);
                rest = after;
            } else {
                let (name, after) = name(rest);
                if name.is_empty() {
                    // As in a shell; Compose rejects it.
                    value.push('$');
                } else {
                    value.push_str(&self.required(name));
                }
                rest = after;
            }
            if value.len() > SIZE {
                return Err(format!("is longer than {SIZE} bytes with its variables"));
            }
        }
        if is_nested {
            return Err("a `${` is not closed".to_owned());
        }
        value.push_str(rest);
        Ok((value, ""))
    }

    fn braced<'t>(&mut self, text: &'t str) -> Result<(String, &'t str), String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(format!("more than {DEPTH} variables inside of each other"));
        }
        let result = self.substitution(text);
        self.depth -= 1;
        result
    }

    fn substitution<'t>(&mut self, text: &'t str) -> Result<(String, &'t str), String> {
        let (name, rest) = name(text);
        let invalid = || {
            let form: String = text.chars().take(40).collect();
            format!("`${{{form}` is not a valid variable; a dollar sign is written `$$`")
        };
        if name.is_empty() {
            return Err(invalid());
        }
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((self.required(name), after));
        }
        let (also_empty, rest) = match rest.strip_prefix(':') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let operator = rest
            .chars()
            .next()
            .filter(|c| matches!(c, '-' | '+' | '?'))
            .ok_or_else(invalid)?;
        // A copy of one that is not used would take as long as all of them.
        let variables = self.variables;
        let value = variables.get(name);
        let value = value.filter(|value| !also_empty || !value.is_empty());
        // What is not used has no variables that are missing.
        let outer = std::mem::take(self.unset);
        let other = self.text(&rest[1..], true);
        let inner = std::mem::replace(self.unset, outer);
        let is_used = value.is_some() == (operator == '+');
        if is_used {
            self.unset.extend(inner);
        }
        let (other, after) = match other {
            Err(_) if !is_used && operator != '+' => (String::new(), end(&rest[1..])?),
            other => other?,
        };
        match (operator, value) {
            ('+', None) => Ok((String::new(), after)),
            ('+', Some(_)) | ('-', None) => Ok((other, after)),
            (_, Some(value)) => Ok((value.clone(), after)),
            (_, None) => {
                let why = if other.is_empty() {
                    "it is required".to_owned()
                } else {
                    other
                };
                Err(format!("the variable `{name}` has no value: {why}"))
            }
        }
    }

    fn required(&mut self, name: &str) -> String {
        let value = self.variables.get(name).cloned();
        value.unwrap_or_else(|| {
            self.unset.insert(name.to_owned());
            String::new()
        })
    }
}

// What follows the brace that closes a nested text.
fn end(text: &str) -> Result<&str, String> {
    let mut depth = 1usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Ok(&text[at + 1..]);
        }
    }
    Err("a `${` is not closed".to_owned())
}

fn name(text: &str) -> (&str, &str) {
    let is_part =
        |at: usize, c: char| c == '_' || c.is_ascii_alphabetic() || (at > 0 && c.is_ascii_digit());
    let end = text.char_indices().find(|(at, c)| !is_part(*at, *c));
    text.split_at(end.map_or(text.len(), |(at, _)| at))
}

/// The lines of an environment file, with `variables` for what they refer to: `NAME=value`, also after `export`, with quotes and
/// comments as Compose has them. A name alone takes its value from `variables`.
///
/// # Errors
/// With the number of the line that is invalid.
pub(super) fn env_file(
    text: &str,
    variables: &Variables,
    unset: &mut Unset,
) -> Result<Vec<(String, String)>, String> {
    // The file's own lines count after what is set outside of it.
    let mut known = variables.clone();
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut room = VALUES;
    let mut lines = text
        .strip_prefix('\u{feff}')
        .unwrap_or(text)
        .lines()
        .zip(1..);
    while let Some((line, number)) = lines.next() {
        let at = |problem: String| format!("line {number}: {problem}");
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, value)) = line.split_once(['=', ':']) else {
            if let Some(value) = variables.get(line) {
                room = count(room, value).map_err(at)?;
                pairs.push((line.to_owned(), value.clone()));
            }
            continue;
        };
        let (name, value) = (name.trim_end(), value.trim_start());
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(at(format!("`{name}` is not a valid name of a variable")));
        }
        let quote = value.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let value = if let Some(quote) = quote {
            let mut quoted = value[1..].to_owned();
            let mut end = closing(&quoted, quote);
            // A quoted value may have several lines, of which each is looked at once.
            while end.is_none() {
                let Some((next, _)) = lines.next() else {
                    return Err(at(format!("the quotes of `{name}` are not closed")));
                };
                quoted.push('\n');
                let start = quoted.len();
                quoted.push_str(next);
                end = closing(next, quote).map(|end| start + end);
            }
            let end = end.unwrap_or_default();
            quoted.truncate(end);
            if quote == '"' {
                let value = interpolate(&quoted, &known, unset).map_err(at)?;
                unescape(&value)
            } else {
                quoted
            }
        } else {
            interpolate(without_comment(value), &known, unset).map_err(at)?
        };
        room = count(room, &value).map_err(at)?;
        if !variables.contains_key(name) {
            known.insert(name.to_owned(), value.clone());
        }
        pairs.push((name.to_owned(), value));
    }
    Ok(pairs)
}

/// The lines of an environment file with `format: raw`, as `docker run --env-file` reads them.
///
/// # Errors
/// With the number of the line that is invalid.
pub(super) fn raw_env_file(
    text: &str,
    variables: &Variables,
) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    let mut room = VALUES;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (line, number) in text.lines().zip(1..) {
        let at = |problem: String| format!("line {number}: {problem}");
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (line, variables.get(line).map(String::as_str)),
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(at(format!("`{name}` is not a valid name of a variable")));
        }
        if let Some(value) = value {
            room = count(room, value).map_err(at)?;
            pairs.push((name.to_owned(), value.to_owned()));
        }
    }
    Ok(pairs)
}

// What is left of `room` after `value`.
fn count(room: usize, value: &str) -> Result<usize, String> {
    let left = room.checked_sub(value.len());
    left.ok_or_else(|| format!("the values have more than {} MiB", VALUES / limits::MIB))
}

fn without_comment(value: &str) -> &str {
    let starts = |(at, c): &(usize, char)| {
        *c == '#' && (*at == 0 || value[..*at].ends_with(char::is_whitespace))
    };
    let end = value.char_indices().find(starts);
    value[..end.map_or(value.len(), |(at, _)| at)].trim_end()
}

// The place of the quote that ends a value.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let was_escaped = is_escaped;
        is_escaped = c == '\\' && quote == '"' && !was_escaped;
        (c == quote && !was_escaped).then_some(at)
    })
}

fn unescape(text: &str) -> String {
    let mut value = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('n')) => value.push('\n'),
            ('\\', Some('r')) => value.push('\r'),
            ('\\', Some('t')) => value.push('\t'),
            ('\\', Some(escaped @ ('"' | '\\' | '$'))) => value.push(escaped),
            ('\\', Some(other)) => value.extend(['\\', other]),
            (c, _) => value.push(c),
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        let pairs = pairs.iter();
        pairs.map(|(n, v)| ((*n).into(), (*v).into())).collect()
    }

    #[test]
    fn variables_are_those_of_compose() {
        let known = variables(&[("A", "1"), ("EMPTY", ""), ("B_2", "two")]);
        let table = [
            ("", Ok(""), ""),
            ("plain", Ok("plain"), ""),
            ("$A-${B_2}}", Ok("1-two}"), ""),
            ("$$A $${A}", Ok("$A ${A}"), ""),
            ("$MISSING.${ALSO}", Ok("."), "ALSO MISSING"),
            ("${EMPTY:-x}${EMPTY-x}", Ok("x"), ""),
            ("${NO:-a}${NO-b}", Ok("ab"), ""),
            ("${NO:-${A}/${NO:-${B_2}}}!", Ok("1/two!"), ""),
            ("${A:-${NO}}", Ok("1"), ""),
            ("${A:-${NO:?never}}", Ok("1"), ""),
            (
                "${A:+yes}${NO+no}${EMPTY:+no}${EMPTY+yes}",
                Ok("yesyes"),
                "",
            ),
            (
                "${NO:-127.0.0.1:8000}:${PORT:-8000}",
                Ok("127.0.0.1:8000:8000"),
                "",
            ),
            ("costs 5$ or $5", Ok("costs 5$ or $5"), ""),
            (
                "${NO:?set it}",
                Err("the variable `NO` has no value: set it"),
                "",
            ),
            (
                "${EMPTY:?}",
                Err("the variable `EMPTY` has no value: it is required"),
                "",
            ),
            ("${EMPTY?}", Ok(""), ""),
            (
                "${A",
                Err("`${A` is not a valid variable; a dollar sign is written `$$`"),
                "",
            ),
            ("${A:-b", Err("a `${` is not closed"), ""),
            (
                "${1}",
                Err("`${1}` is not a valid variable; a dollar sign is written `$$`"),
                "",
            ),
            (
                "${A:=b}",
                Err("`${A:=b}` is not a valid variable; a dollar sign is written `$$`"),
                "",
            ),
        ];
        for (text, expected, missing) in table {
            let mut unset = Unset::new();
            let value = interpolate(text, &known, &mut unset);
            let value = value.as_deref().map_err(String::as_str);
            assert_eq!(value, expected, "{text}");
            if value.is_ok() {
                let unset: Vec<_> = unset.iter().map(String::as_str).collect();
                assert_eq!(unset.join(" "), missing, "{text}");
            }
        }
        let deep = "${A+".repeat(30) + &"}".repeat(30);
        let error = interpolate(&deep, &known, &mut Unset::new()).unwrap_err();
        assert_eq!(error, "more than 20 variables inside of each other");
    }

    #[test]
    fn values_that_refer_to_each_other_do_not_fill_the_memory() {
        let mut text = format!("A0={}\n", "x".repeat(1000));
        for at in 1..100 {
            use std::fmt::Write as _;
            let before = at - 1;
            writeln!(text, "A{at}=${{A{before}}}${{A{before}}}").unwrap();
        }
        let error = env_file(&text, &Variables::new(), &mut Unset::new()).unwrap_err();
        assert_eq!(
            error,
            "line 12: is longer than 1048576 bytes with its variables"
        );
        let text = format!("A={}\n", "x".repeat(500_000)) + &"B=$A\n".repeat(100);
        let error = env_file(&text, &Variables::new(), &mut Unset::new()).unwrap_err();
        assert_eq!(error, "line 34: the values have more than 16 MiB");
    }

    #[test]
    fn a_long_text_is_read_in_one_pass() {
        let lines = format!("A='{}", "x\n".repeat(400_000));
        let error = env_file(&lines, &Variables::new(), &mut Unset::new()).unwrap_err();
        assert_eq!(error, "line 1: the quotes of `A` are not closed");
        let mut text = String::new();
        for number in 0..50_000 {
            use std::fmt::Write as _;
            write!(text, "$V{number}${{A-}}").unwrap();
        }
        let mut unset = Unset::new();
        assert_eq!(
            interpolate(&text, &Variables::new(), &mut unset).unwrap(),
            ""
        );
        assert_eq!(unset.len(), 50_000);
    }

    #[test]
    fn a_raw_environment_file_is_read_as_it_is() {
        let known = variables(&[("HOST", "db")]);
        let text = "# comment\nA=\"quoted\" # no comment\nB=$A\nHOST\nNOWHERE\nC=\n";
        let pairs = raw_env_file(text, &known).unwrap();
        let pairs: Vec<_> = pairs.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let expected = ["A=\"quoted\" # no comment", "B=$A", "HOST=db", "C="];
        assert_eq!(pairs, expected);
        let problem = "line 1: `a b` is not a valid name of a variable";
        assert_eq!(raw_env_file("a b=1", &known).unwrap_err(), problem);
    }

    #[test]
    fn environment_files_are_read_as_compose_reads_them() {
        let known = variables(&[("HOST", "db"), ("FROM_OUTSIDE", "yes")]);
        let text = "\u{feff}# comment\n\nA=1\nexport B = two words # comment\nC='$A # \"x\"' # c\nD=\"$A\\n\\\"${HOST}\\\"\"\nE=\nF=a#b\n\
                    G: yaml\nFROM_OUTSIDE\nNOWHERE\nURL=postgres://u:p@${HOST}:5432/x?a=b\nHOST=other\nI=$HOST\nKEY=\"one\ntwo\"\nN=${NO}\nZ=#x\n";
        let mut unset = Unset::new();
        let pairs = env_file(text, &known, &mut unset).unwrap();
        let pairs: Vec<_> = pairs.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(
            pairs,
            [
                "A=1",
                "B=two words",
                "C=$A # \"x\"",
                "D=1\n\"db\"",
                "E=",
                "F=a#b",
                "G=yaml",
                "FROM_OUTSIDE=yes",
                "URL=postgres://u:p@db:5432/x?a=b",
                "HOST=other",
                "I=db",
                "KEY=one\ntwo",
                "N=",
                "Z=",
            ]
        );
        assert_eq!(unset.iter().collect::<Vec<_>>(), ["NO"]);
        for (text, problem) in [
            ("A=1\nB='x\n", "line 2: the quotes of `B` are not closed"),
            ("=x", "line 1: `` is not a valid name of a variable"),
            ("a b=x", "line 1: `a b` is not a valid name of a variable"),
            (
                "A=${",
                "line 1: `${` is not a valid variable; a dollar sign is written `$$`",
            ),
        ] {
            assert_eq!(env_file(text, &known, &mut unset).unwrap_err(), problem);
        }
    }
}
