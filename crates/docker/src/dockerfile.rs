//! The instructions and stages of a Dockerfile: enough to name a stage and the lines that created a layer.

use std::collections::HashMap;

/// Stages that a message names.
const NAMES: usize = 50;
/// Heredocs without an end, each of which is looked for to the end of the file.
const UNCLOSED: usize = 100;

/// The instructions of a Dockerfile in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    instructions: Vec<Instruction>,
    stages: Vec<Stage>,
}

/// One instruction, with its continued lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// `FROM`, `RUN` …, in upper case.
    pub keyword: String,
    /// The rest of the instruction in one line, with single spaces between words.
    pub body: String,
    /// Its first line, from 1.
    pub line: u32,
    /// Its last line; that of a heredoc is the line that ends it.
    pub end_line: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Stage {
    name: Option<String>,
    from: String,
    // Its `FROM` among the instructions.
    at: usize,
}

impl Dockerfile {
    /// Parse `text`: continued lines, comments, the `escape` directive and heredocs follow the Dockerfile reference.
    /// The arguments of instructions are not checked, so there are no errors.
    pub fn parse(text: &str) -> Self {
        let text = text.trim_start_matches('\u{feff}');
        let escape = escape_character(text);
        let mut instructions: Vec<Instruction> = Vec::new();
        let mut stages = Vec::new();
        let mut unclosed = 0;
        let mut lines = (1_u32..).zip(text.lines());
        while let Some((first, line)) = lines.next() {
            let mut whole = String::new();
            let mut is_blank = true;
            let mut last = first;
            let mut next = Some((first, line));
            while let Some((number, line)) = next {
                let line = line.trim();
                // Comments and blank lines do not end a continued instruction.
                let (part, continues) = match line.strip_suffix(escape) {
                    _ if line.starts_with('#') => ("", !whole.is_empty()),
                    // Two of them are a character.
                    Some(part) if !part.ends_with(escape) => (part, true),
                    _ => (line, line.is_empty() && !whole.is_empty()),
                };
                is_blank &= part.trim().is_empty();
                if !is_blank {
                    whole.push_str(part);
                    whole.push(' ');
                }
                last = number;
                next = if continues { lines.next() } else { None };
            }
            for heredoc in heredocs(&whole) {
                let mut ahead = lines.clone();
                let end = if unclosed < UNCLOSED {
                    ahead.find(|(_, line)| heredoc.ends_at(line))
                } else {
                    None
                };
                match end {
                    Some((number, _)) => {
                        last = number;
                        lines = ahead;
                    }
                    // It may be none: the rest of the file still has stages.
                    None => unclosed += 1,
                }
            }
            let mut words = whole.split_whitespace();
            let Some(keyword) = words.next() else {
                continue;
            };
            let body: Vec<_> = words.collect();
            if let Some((from, name)) = from(keyword, &body) {
                stages.push(Stage {
                    name,
                    from,
                    at: instructions.len(),
                });
            }
            instructions.push(Instruction {
                keyword: keyword.to_ascii_uppercase(),
                body: body.join(" "),
                line: first,
                end_line: last,
            });
        }
        Self {
            instructions,
            stages,
        }
    }

    /// The instructions of the last stage, after those of the stages that it builds on; the first one is the `FROM` of
    /// the base image.
    pub fn chain(&self) -> Vec<&Instruction> {
        self.chains().next().unwrap_or_default()
    }

    /// The same for each stage, the last one first.
    pub fn chains(&self) -> impl Iterator<Item = Vec<&Instruction>> {
        let by_name = self.by_name();
        let stages = (0..self.stages.len()).rev();
        stages.map(move |stage| self.chain_of(stage, &by_name))
    }

    // The indices of the stages of each name, in lower case.
    fn by_name(&self) -> HashMap<String, Vec<usize>> {
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, stage) in self.stages.iter().enumerate() {
            if let Some(name) = &stage.name {
                let indices = by_name.entry(name.to_ascii_lowercase()).or_default();
                indices.push(index);
            }
        }
        by_name
    }

    fn chain_of(&self, stage: usize, by_name: &HashMap<String, Vec<usize>>) -> Vec<&Instruction> {
        // The last stage of a name that is above counts.
        let earlier = |from: &str, index: usize| {
            let indices = by_name.get(&from.to_ascii_lowercase())?;
            let above = indices.partition_point(|other| *other < index);
            indices.get(above.checked_sub(1)?).copied()
        };
        let mut stages = Vec::new();
        let mut at = Some(stage);
        while let Some(index) = at {
            let stage = &self.stages[index];
            stages.push(stage);
            at = earlier(&stage.from, index);
        }
        let own = |stage: &Stage| {
            let own = self.instructions[stage.at..].iter().enumerate();
            own.take_while(|(index, i)| *index == 0 || i.keyword != "FROM")
                .map(|(_, instruction)| instruction)
        };
        stages.into_iter().rev().flat_map(own).collect()
    }

    /// The image or stage that each stage is built from, as it is written, with the line of its `FROM`.
    pub fn bases(&self) -> impl Iterator<Item = (&str, u32)> {
        let stages = self.stages.iter();
        stages.map(|stage| (stage.from.as_str(), self.instructions[stage.at].line))
    }

    /// Whether there are no stages.
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// Whether `target` is the name of a stage, in any case. Its number is only for `--from` (`resolveTarget` in
    /// `frontend/dockerfile/dockerfile2llb/convert.go` of github.com/moby/buildkit).
    pub fn has(&self, target: &str) -> bool {
        self.named().any(|name| name.eq_ignore_ascii_case(target))
    }

    /// The names of the stages, for a message.
    pub fn names(&self) -> String {
        let names = self.named().take(NAMES).map(|name| format!("`{name}`"));
        let names: Vec<_> = names.collect();
        match self.named().count() {
            0 => "none has a name".to_owned(),
            count if count > NAMES => format!("{}, …", names.join(", ")),
            _ => names.join(", "),
        }
    }

    fn named(&self) -> impl Iterator<Item = &str> {
        self.stages.iter().filter_map(|stage| stage.name.as_deref())
    }
}

// `# escape=` counts only among the directives at the very top; a comment ends them.
fn escape_character(text: &str) -> char {
    let mut directives = text.lines().map_while(|line| {
        let (name, value) = line.trim().strip_prefix('#')?.split_once('=')?;
        let name = name.trim();
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric());
        is_name.then_some((name, value))
    });
    directives
        .find(|(name, _)| name.eq_ignore_ascii_case("escape"))
        .and_then(|(_, value)| value.trim().chars().next())
        .unwrap_or('\\')
}

/// The start of a text in the lines after an instruction.
struct Heredoc {
    /// What ends it.
    name: String,
    /// Whether the tabs before its end do not count (`<<-`).
    without_tabs: bool,
}

impl Heredoc {
    // As `heredocsFromLine` in `frontend/dockerfile/parser/parser.go` of github.com/moby/buildkit.
    fn parse(word: &str) -> Option<Self> {
        let digits = word.trim_start_matches(|c: char| c.is_ascii_digit());
        let rest = digits.strip_prefix("<<")?;
        let without_tabs = rest.starts_with('-');
        let rest = rest.strip_prefix('-').unwrap_or(rest);
        let name: String = rest.chars().filter(|c| !matches!(c, '"' | '\'')).collect();
        let is_heredoc = !name.is_empty() && !name.contains('<');
        is_heredoc.then_some(Self { name, without_tabs })
    }

    fn ends_at(&self, line: &str) -> bool {
        let line = if self.without_tabs {
            line.trim_start_matches('\t')
        } else {
            line
        };
        line == self.name
    }
}

fn heredocs(instruction: &str) -> Vec<Heredoc> {
    let mut keywords = instruction.split_whitespace();
    let keyword = keywords.find(|word| !word.eq_ignore_ascii_case("ONBUILD"));
    let has_some = ["RUN", "COPY", "ADD"]
        .iter()
        .any(|name| keyword.is_some_and(|keyword| keyword.eq_ignore_ascii_case(name)));
    if !has_some || !instruction.contains("<<") {
        return Vec::new();
    }
    let words = words(instruction).into_iter();
    words.filter_map(Heredoc::parse).collect()
}

// The words of an instruction; what is quoted is a part of one.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut start, mut quote, mut is_escaped) = (None, None, false);
    for (at, c) in text.char_indices() {
        if c.is_whitespace() && quote.is_none() && !is_escaped {
            words.extend(start.take().map(|start| &text[start..at]));
            continue;
        }
        start.get_or_insert(at);
        let was_escaped = std::mem::replace(&mut is_escaped, false);
        match (quote, c) {
            _ if was_escaped => {}
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None | Some('"'), '\\') => is_escaped = true,
            _ => {}
        }
    }
    words.extend(start.map(|start| &text[start..]));
    words
}

// The image or stage of a `FROM`, and the name of its stage.
fn from(keyword: &str, body: &[&str]) -> Option<(String, Option<String>)> {
    if !keyword.eq_ignore_ascii_case("FROM") {
        return None;
    }
    let mut words = body.iter().skip_while(|word| word.starts_with("--"));
    let from = (*words.next()?).to_owned();
    let named = words
        .next()
        .is_some_and(|word| word.eq_ignore_ascii_case("AS"));
    let name = words.next().filter(|_| named).map(ToString::to_string);
    Some((from, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_of_every_form() {
        let table: [(&str, &[Option<&str>]); 11] = [
            // A comment ends the directives, and two backslashes do not continue a line.
            (
                "# syntax=docker/dockerfile:1\n# The base.\n# escape=`\nFROM a AS x\nRUN b \\\n  FROM c AS no\n",
                &[Some("x")],
            ),
            (
                "FROM a AS x\nRUN echo \\\\\nFROM b AS y",
                &[Some("x"), Some("y")],
            ),
            ("", &[]),
            ("# FROM a AS b\nRUN x\n", &[]),
            ("FROM debian", &[None]),
            (
                "\u{feff}from debian as Build\nFROM Build\n",
                &[Some("Build"), None],
            ),
            (
                "FROM --platform=$BUILDPLATFORM \\\n  # why\n\n  a@sha256:00 \\\n  AS test",
                &[Some("test")],
            ),
            (
                "# escape=`\nFROM a `\n AS x\nRUN c:\\\nFROM b AS y",
                &[Some("x"), Some("y")],
            ),
            (
                "FROM a AS x\nRUN <<-'EOT' cat\nFROM no AS no\n\tEOT\nFROM b AS y",
                &[Some("x"), Some("y")],
            ),
            (
                "FROM a AS x\nRUN echo $((1<<2)) \\\n && true\nFROM b AS y",
                &[Some("x"), Some("y")],
            ),
            ("FROM a AS x\nRUN true \\\n  FROM b AS no\n", &[Some("x")]),
        ];
        for (text, stages) in table {
            let file = Dockerfile::parse(text);
            let names: Vec<_> = file.stages.iter().map(|s| s.name.as_deref()).collect();
            assert_eq!(names, stages, "{text}");
        }
    }

    #[test]
    fn the_last_stage_is_followed_back_to_its_base_image() {
        let text = "ARG B=x\nFROM ${B} AS base\nRUN a \\\n  && b\nFROM base AS build\nRUN c\nFROM --platform=linux/amd64 base\nCOPY --from=build /a /a\n";
        let file = Dockerfile::parse(text);
        let chain: Vec<_> = file
            .chain()
            .iter()
            .map(|i| format!("{}-{} {} {}", i.line, i.end_line, i.keyword, i.body))
            .collect();
        assert_eq!(
            chain,
            [
                "2-2 FROM ${B} AS base",
                "3-4 RUN a && b",
                "7-7 FROM --platform=linux/amd64 base",
                "8-8 COPY --from=build /a /a",
            ]
        );
        assert!(Dockerfile::parse("").chain().is_empty());
    }

    #[test]
    fn a_long_file_is_parsed_in_one_pass() {
        // Each of these takes minutes if a stage or a line is compared with all others.
        let comments = format!("FROM a\nRUN b \\\n{}c", "#\n".repeat(500_000));
        let stages: Vec<_> = (0..50_000)
            .map(|i| format!("FROM s{} AS s{i}\nRUN a\n", i - 1))
            .collect();
        let stages = stages.concat();
        let same_name = "FROM s AS s\nRUN a\n".repeat(50_000);
        for (text, length) in [(comments, 2), (stages, 100_000), (same_name, 100_000)] {
            assert_eq!(Dockerfile::parse(&text).chain().len(), length);
        }
    }

    #[test]
    fn heredocs_anywhere_in_an_instruction() {
        let table: [(&str, &[&str]); 9] = [
            // In quotes it is a text, as is what has no end.
            (
                "FROM a\nRUN sh -c \"cat <<EOF\" > /x\nUSER 1\nEOF",
                &["1-1 FROM", "2-2 RUN", "3-3 USER", "4-4 EOF"],
            ),
            (
                "FROM a\nRUN echo $(( 1 <<2 ))\nUSER 1",
                &["1-1 FROM", "2-2 RUN", "3-3 USER"],
            ),
            // Any name ends it, after tabs only with `-`.
            (
                "FROM a\nCOPY <<'end-of.file' /x\nFROM no\n\tend-of.file\nend-of.file\nUSER 1",
                &["1-1 FROM", "2-5 COPY", "6-6 USER"],
            ),
            (
                "FROM a\nONBUILD RUN <<EOF\nFROM no\nEOF\nUSER 1",
                &["1-1 FROM", "2-4 ONBUILD", "5-5 USER"],
            ),
            (
                "FROM a\nRUN echo it\\'s <<EOF\nFROM no\nEOF\nUSER 1",
                &["1-1 FROM", "2-4 RUN", "5-5 USER"],
            ),
            (
                "FROM a\nRUN cat <<EOF > /x\nFROM no\nEOF\nuser 1\n",
                &["1-1 FROM", "2-4 RUN", "5-5 USER"],
            ),
            (
                "FROM a\nRUN --mount=type=cache,target=/c <<A cat <<B\nx\nA\ny\nB\nRUN z",
                &["1-1 FROM", "2-6 RUN", "7-7 RUN"],
            ),
            (
                "ARG V=1\nFROM a:${V}\nONBUILD RUN make\n# c\nRUN a \\\n# c\n b",
                &["2-2 FROM", "3-3 ONBUILD", "5-7 RUN"],
            ),
            (
                "# escape=`\nfrom a\nrun a `\n b\ncmd c",
                &["2-2 FROM", "3-4 RUN", "5-5 CMD"],
            ),
        ];
        for (text, expected) in table {
            let file = Dockerfile::parse(text);
            let lines: Vec<_> = file
                .chain()
                .iter()
                .map(|i| format!("{}-{} {}", i.line, i.end_line, i.keyword))
                .collect();
            assert_eq!(lines, expected, "{text}");
        }
    }

    #[test]
    fn a_target_is_the_name_of_a_stage() {
        let file = Dockerfile::parse("FROM a AS build\nFROM b");
        for (target, exists) in [
            ("build", true),
            ("BUILD", true),
            ("1", false),
            ("test", false),
        ] {
            assert_eq!(file.has(target), exists, "{target}");
        }
        assert_eq!(file.names(), "`build`");
    }
}
