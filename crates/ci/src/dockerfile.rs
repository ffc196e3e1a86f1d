//! The stages of a Dockerfile: enough of it to refuse a wrong target before anything starts.

/// The stages of a Dockerfile, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dockerfile {
    stages: Vec<Stage>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Stage {
    name: Option<String>,
}

impl Dockerfile {
    /// Find the stages in `text`. Continued lines, comments, the `escape` directive and heredocs are
    /// understood as the Dockerfile reference has them; nothing else of the file is looked at.
    pub(crate) fn parse(text: &str) -> Self {
        let text = text.trim_start_matches('\u{feff}');
        let escape = escape_character(text);
        let mut stages = Vec::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let mut instruction = String::new();
            let mut next = Some(line);
            while let Some(line) = next {
                let line = line.trim();
                // Comments and blank lines do not end an instruction that goes on.
                let (part, goes_on) = match line.strip_suffix(escape) {
                    _ if line.starts_with('#') => ("", !instruction.is_empty()),
                    Some(part) => (part, true),
                    None => (line, line.is_empty() && !instruction.is_empty()),
                };
                instruction.push_str(part);
                next = if goes_on { lines.next() } else { None };
            }
            for end in heredocs(&instruction) {
                lines
                    .by_ref()
                    .find(|line| line.trim_start_matches('\t') == end);
            }
            if let Some(stage) = stage(&instruction) {
                stages.push(stage);
            }
        }
        Self { stages }
    }

    /// Whether there is no stage at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// Whether `target` names a stage: by name in any case, or by its index from 0.
    pub(crate) fn has(&self, target: &str) -> bool {
        self.named().any(|name| name.eq_ignore_ascii_case(target))
            || target
                .parse()
                .is_ok_and(|index: usize| index < self.stages.len())
    }

    /// The names of the stages, for a message.
    pub(crate) fn names(&self) -> String {
        let names: Vec<_> = self.named().map(|name| format!("`{name}`")).collect();
        if names.is_empty() {
            "none has a name".to_owned()
        } else {
            names.join(", ")
        }
    }

    fn named(&self) -> impl Iterator<Item = &str> {
        self.stages.iter().filter_map(|stage| stage.name.as_deref())
    }
}

// `# escape=` counts only among the directives at the very top.
fn escape_character(text: &str) -> char {
    text.lines()
        .map_while(|line| line.trim().strip_prefix('#'))
        .filter_map(|directive| directive.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("escape"))
        .and_then(|(_, value)| value.trim().chars().next())
        .unwrap_or('\\')
}

// The words that end the heredocs which `instruction` opens.
fn heredocs(instruction: &str) -> Vec<String> {
    let command = instruction.split_whitespace().next().unwrap_or_default();
    if !["RUN", "COPY", "ADD"]
        .iter()
        .any(|name| command.eq_ignore_ascii_case(name))
    {
        return Vec::new();
    }
    instruction
        .split_whitespace()
        .filter_map(|word| {
            word.trim_start_matches(|c: char| c.is_ascii_digit())
                .strip_prefix("<<")
        })
        .map(|word| word.trim_start_matches('-'))
        .map(|word| word.trim_matches(['"', '\'']))
        .filter(|word| {
            let mut letters = word.chars();
            letters
                .next()
                .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
                && letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
        })
        .map(ToOwned::to_owned)
        .collect()
}

fn stage(instruction: &str) -> Option<Stage> {
    let mut words = instruction.split_whitespace();
    if !words.next()?.eq_ignore_ascii_case("FROM") {
        return None;
    }
    let mut words = words.skip_while(|word| word.starts_with("--"));
    words.next()?;
    let named = words
        .next()
        .is_some_and(|word| word.eq_ignore_ascii_case("AS"));
    Some(Stage {
        name: words.next().filter(|_| named).map(ToOwned::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_of_every_form() {
        let table: [(&str, &[Option<&str>]); 9] = [
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
    fn a_target_is_a_name_or_an_index() {
        let file = Dockerfile::parse("FROM a AS build\nFROM b");
        for (target, there) in [
            ("build", true),
            ("BUILD", true),
            ("1", true),
            ("2", false),
            ("test", false),
        ] {
            assert_eq!(file.has(target), there, "{target}");
        }
        assert_eq!(file.names(), "`build`");
    }
}
