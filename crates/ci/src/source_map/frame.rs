//! A line of a traceback that names a file and a line, as many languages print it.

/// Such a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    /// A path, or the name of the file in `package`.
    pub(super) file: &'a str,
    pub(super) line: u32,
    /// `com/example`, where the file is named by its package.
    pub(super) package: Option<String>,
    /// Whether the traceback begins with the last call, as it does everywhere but in Python.
    pub(super) is_last_call_first: bool,
}

impl<'a> Frame<'a> {
    /// The frame in `line`; `None` if it names no file and line.
    pub(super) fn new(line: &'a str) -> Option<Self> {
        // pytest marks lines of an error, Python the frames of a group of exceptions.
        let line = line.trim_start();
        let marked = line.strip_prefix("E ").or_else(|| line.strip_prefix('|'));
        let line = marked.unwrap_or(line).trim();
        let python = of_python(line).map(|(file, line)| Self::at(file, line, false));
        let python = python.or_else(|| of_call(line));
        python.or_else(|| of_path(line).map(|(file, line)| Self::at(file, line, false)))
    }

    fn at(file: &'a str, line: u32, is_last_call_first: bool) -> Self {
        Self {
            file,
            line,
            package: None,
            is_last_call_first,
        }
    }
}

// `File "/app/tests/test_app.py", line 12, in test_sum`, as Python and so unittest, nose2 and pytest's `--tb=native`
// print it.
fn of_python(line: &str) -> Option<(&str, u32)> {
    let (file, rest) = line.strip_prefix("File \"")?.split_once("\", line ")?;
    (!file.is_empty()).then_some((file, number(rest)?))
}

// `at sum (file:///app/sum.test.js:6:10)` or `at /app/sum.js:6:10` of JavaScript, `at com.example.AppTest.sum(AppTest.java:12)` of
// the JVM, `at Tests.Sum() in /app/Sum.cs:line 12` of .NET.
fn of_call(line: &str) -> Option<Frame<'_>> {
    if let Some(place) = line.split_once("panicked at ").map(|(_, place)| place) {
        // Rust, since 1.73.
        return of_path(place).map(|(file, line)| Frame::at(file, line, true));
    }
    if let Some(place) = line.strip_prefix("❯ ") {
        // Vitest: `❯ src/sum.test.ts:5:20`, or with the function before it.
        let place = place.rsplit(' ').next()?;
        return of_path(place).map(|(file, line)| Frame::at(file, line, true));
    }
    let call = line.strip_prefix("at ")?;
    if let Some((_, place)) = call.rsplit_once(" in ")
        && let Some((file, line)) = place.rsplit_once(":line ")
    {
        return Some(Frame::at(file, number(line)?, true));
    }
    let in_parentheses = call
        .strip_suffix(')')
        .and_then(|call| call.rsplit_once('('));
    let (method, place) = in_parentheses.unwrap_or(("", call));
    if let Some(package) = package(method, place) {
        let (file, line) = place.split_once(':')?;
        return Some(Frame {
            package: Some(package),
            ..Frame::at(file, number(line)?, true)
        });
    }
    let place = place.strip_prefix("async ").unwrap_or(place);
    let place = place.strip_prefix("file://").unwrap_or(place);
    of_path(place).map(|(file, line)| Frame::at(file, line, true))
}

// The directory of the class in `app//com.example.AppTest.sum`, if `place` is the name of a source of the JVM.
fn package(method: &str, place: &str) -> Option<String> {
    let file = place.split(':').next()?;
    if !is_of_jvm(file) || file.contains('/') {
        return None;
    }
    let class = method.rsplit('/').next()?;
    let mut parts: Vec<_> = class.split('.').collect();
    // The method, and its class.
    parts.truncate(parts.len().checked_sub(2)?);
    Some(parts.join("/"))
}

/// Whether `file` is a source of the JVM.
pub(super) fn is_of_jvm(file: &str) -> bool {
    [".java", ".kt", ".scala", ".groovy"]
        .iter()
        .any(|end| file.ends_with(end))
}

// `tests/test_app.py:12: AssertionError`, the last line of a frame of pytest; `sum_test.go:9: got 3` of Go, and `/app/sum.go:5 +0x1d`
// of its panics; `# ./spec/sum_spec.rb:5:in` of RSpec; a path with line and column.
fn of_path(line: &str) -> Option<(&str, u32)> {
    let line = line.strip_prefix("# ").unwrap_or(line);
    let line = line.split_once(" +0x").map_or(line, |(place, _)| place);
    let (file, rest) = line.split_once(':')?;
    let is_path = !file.is_empty() && !file.contains(char::is_whitespace);
    let line = rest.split(':').next()?;
    let line = line.parse().ok().filter(|line| *line > 0)?;
    is_path.then_some((file, line))
}

// The number that `text` begins with.
fn number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit());
    let number = &text[..end.unwrap_or(text.len())];
    number.parse().ok().filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_names_its_places() {
        let table = [
            (
                "File \"/app/a.py\", line 12, in f",
                Some(("/app/a.py", 12, None)),
            ),
            ("E   a.py:3: AssertionError", Some(("a.py", 3, None))),
            (
                "    at TestContext.<anonymous> (file:///app/sum.test.js:6:10)",
                Some(("/app/sum.test.js", 6, None)),
            ),
            ("    at async Promise.all (index 0)", None),
            (
                "    at /app/sum.test.js:6:10",
                Some(("/app/sum.test.js", 6, None)),
            ),
            (
                "    at Test.run (node:internal/test_runner/test:797:9)",
                None,
            ),
            (
                "\tat com.example.AppTest.sum(AppTest.java:12)",
                Some(("AppTest.java", 12, Some("com/example"))),
            ),
            (
                "\tat app//com.example.AppTest.sum(AppTest.kt:12)",
                Some(("AppTest.kt", 12, Some("com/example"))),
            ),
            (
                "\tat AppTest.sum(AppTest.java:12)",
                Some(("AppTest.java", 12, Some(""))),
            ),
            (
                "\tat java.base/java.lang.reflect.Method.invoke(Unknown Source)",
                None,
            ),
            (
                "   at Tests.Sum.Adds() in /app/Sum.cs:line 12",
                Some(("/app/Sum.cs", 12, None)),
            ),
            (
                " ❯ src/sum.test.ts:5:20",
                Some(("src/sum.test.ts", 5, None)),
            ),
            (
                "thread 'tests::sum' panicked at src/lib.rs:10:5:",
                Some(("src/lib.rs", 10, None)),
            ),
            ("    sum_test.go:9: got 3", Some(("sum_test.go", 9, None))),
            (
                "./spec/sum_spec.rb:5:in `block'",
                Some(("./spec/sum_spec.rb", 5, None)),
            ),
            (
                "     # ./spec/sum_spec.rb:5:in `block'",
                Some(("./spec/sum_spec.rb", 5, None)),
            ),
            ("\t/app/sum.go:5 +0x1d", Some(("/app/sum.go", 5, None))),
            (
                "    at async file:///app/sum.test.js:6:10",
                Some(("/app/sum.test.js", 6, None)),
            ),
            ("expected: 3", None),
            ("", None),
        ];
        for (line, expected) in table {
            let frame = Frame::new(line);
            let actual = frame.as_ref();
            let actual = actual.map(|frame| (frame.file, frame.line, frame.package.as_deref()));
            assert_eq!(actual, expected, "{line}");
        }
    }
}
