//! The commands of a `run:` step that are simple enough to be read without a shell.

/// A command: its words, with variables as expressions.
pub(crate) type Command = Vec<String>;

/// The commands of a script in their order, pipelines joined by the word `|`; or what is not understood.
///
/// `variable` gives the value of a variable as an expression, where it is known.
pub(crate) fn commands(
    script: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<Command>, String> {
    let mut reader = Reader {
        rest: script,
        variable,
        commands: Vec::new(),
        words: Vec::new(),
        word: None,
        own: Vec::new(),
    };
    reader.read()?;
    let is_noise = |command: &Command| {
        let first = command.first().map(String::as_str);
        let is_echo = first == Some("echo") && !command.iter().any(|word| word == "|");
        is_echo || matches!(first, None | Some("set" | "true" | ":"))
    };
    Ok(reader
        .commands
        .into_iter()
        .filter(|command| !is_noise(command))
        .collect())
}

struct Reader<'a> {
    rest: &'a str,
    variable: &'a dyn Fn(&str) -> Option<String>,
    commands: Vec<Command>,
    words: Command,
    word: Option<String>,
    /// Variables that the script itself sets.
    own: Vec<(String, String)>,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<(), String> {
        while let Some(c) = self.rest.chars().next() {
            if self.expression() {
                continue;
            }
            self.rest = &self.rest[c.len_utf8()..];
            match c {
                '\\' => self.escape(),
                '\'' => self.single_quoted()?,
                '"' => self.double_quoted()?,
                '$' => self.variable()?,
                '#' if self.word.is_none() => {
                    self.rest = self.rest.find('\n').map_or("", |end| &self.rest[end..]);
                }
                '\n' | ';' => self.end_command(),
                '&' if self.take("&") => self.end_command(),
                '|' if self.take("|") => {
                    // Only `|| true`, which changes nothing that is moved.
                    self.rest = self.rest.trim_start_matches(' ');
                    if !self.take("true") {
                        return Err("it has `||`".to_owned());
                    }
                }
                '|' => {
                    self.end_word();
                    self.words.push("|".to_owned());
                }
                c if c.is_whitespace() => self.end_word(),
                '<' | '>' | '&' | '(' | ')' | '`' | '*' | '?' => {
                    return Err(format!("it has `{c}`"));
                }
                c => self.push(&c.to_string()),
            }
        }
        self.end_command();
        let control = [
            "if", "for", "while", "case", "cd", "export", "function", "source", "eval",
        ];
        let mut all = self.commands.iter().filter_map(|command| command.first());
        match all.find(|first| control.contains(&first.as_str()) || first.contains('=')) {
            Some(first) => Err(format!("it has `{first}`")),
            None => Ok(()),
        }
    }

    fn push(&mut self, text: &str) {
        self.word.get_or_insert_default().push_str(text);
    }

    fn end_word(&mut self) {
        self.words.extend(self.word.take());
    }

    fn end_command(&mut self) {
        self.end_word();
        let words = std::mem::take(&mut self.words);
        // After a pipe, a line goes on.
        if words.last().is_some_and(|word| word == "|") {
            self.words = words;
        } else if let Some((name, value)) = assignment(&words) {
            self.own.push((name, value));
        } else if !words.is_empty() {
            self.commands.push(words);
        }
    }

    fn take(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    // `${{ … }}` is replaced before the shell sees it.
    fn expression(&mut self) -> bool {
        let Some(end) = self
            .rest
            .starts_with("${{")
            .then(|| self.rest.find("}}"))
            .flatten()
        else {
            return false;
        };
        let (expression, rest) = self.rest.split_at(end + 2);
        self.rest = rest;
        self.push(expression);
        true
    }

    fn escape(&mut self) {
        if self.take("\r\n") || self.take("\n") {
            return;
        }
        if let Some(c) = self.rest.chars().next() {
            self.rest = &self.rest[c.len_utf8()..];
            self.push(&c.to_string());
        }
    }

    fn single_quoted(&mut self) -> Result<(), String> {
        let (text, rest) = self.rest.split_once('\'').ok_or("a quote is open")?;
        self.rest = rest;
        self.push(text);
        Ok(())
    }

    fn double_quoted(&mut self) -> Result<(), String> {
        self.push("");
        loop {
            if self.expression() {
                continue;
            }
            let c = self.rest.chars().next().ok_or("a quote is open")?;
            self.rest = &self.rest[c.len_utf8()..];
            match c {
                '"' => return Ok(()),
                // Before any other character it is text.
                '\\' if !self.rest.starts_with(['$', '`', '"', '\\', '\n', '\r']) => {
                    self.push("\\");
                }
                '\\' => self.escape(),
                '$' => self.variable()?,
                '`' => return Err("it has a command in backticks".to_owned()),
                c => self.push(&c.to_string()),
            }
        }
    }

    fn variable(&mut self) -> Result<(), String> {
        if self.rest.starts_with('(') {
            return Err("it has `$(…)`".to_owned());
        }
        let is_braced = self.take("{");
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        if name.is_empty() || (is_braced && !self.take("}")) {
            return Err("it has a variable that is not simple".to_owned());
        }
        let own = self.own.iter().rfind(|(other, _)| other == name);
        let value = own
            .map(|(_, value)| value.clone())
            .or_else(|| (self.variable)(name));
        let value = value.ok_or_else(|| format!("`${name}` is not set in the workflow"))?;
        self.push(&value);
        Ok(())
    }
}

// `NAME=value` or `export NAME=value`, and nothing else.
fn assignment(words: &[String]) -> Option<(String, String)> {
    let text = match words {
        [text] => text,
        [export, text] if export == "export" => text,
        _ => return None,
    };
    let (name, value) = text.split_once('=')?;
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!name.is_empty() && name.chars().all(is_part)).then(|| (name.to_owned(), value.to_owned()))
}

/// The value of a variable that the runner sets, as an expression.
pub(crate) fn default_variable(name: &str) -> Option<String> {
    let context = match name {
        "GITHUB_SHA" => "sha",
        "GITHUB_REF" => "ref",
        "GITHUB_REF_NAME" => "ref_name",
        "GITHUB_REPOSITORY" => "repository",
        "GITHUB_REPOSITORY_OWNER" => "repository_owner",
        "GITHUB_RUN_NUMBER" => "run_number",
        "GITHUB_RUN_ID" => "run_id",
        "GITHUB_ACTOR" => "actor",
        "GITHUB_WORKSPACE" => "workspace",
        "GITHUB_HEAD_REF" => "head_ref",
        _ => return None,
    };
    Some(format!("${{{{ github.{context} }}}}"))
}

/// Options and operands of a command.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    /// Each option with its value; an empty one for a switch.
    pub(crate) options: Vec<(String, String)>,
    pub(crate) operands: Vec<String>,
}

impl Arguments {
    /// The words after the command's name. Options that are in `switches` have no value; each of `short` is another name.
    pub(crate) fn parse(words: &[String], switches: &[&str], short: &[(&str, &str)]) -> Self {
        let mut arguments = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if !word.starts_with('-') || word == "-" {
                arguments.operands.push(word.clone());
                continue;
            }
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            let long = short.iter().find(|(short, _)| *short == name);
            let name = long.map_or(name, |(_, long)| long).trim_start_matches('-');
            let value = match value {
                Some(value) => value,
                None if switches.contains(&name) => String::new(),
                None => words.next().cloned().unwrap_or_default(),
            };
            arguments.options.push((name.to_owned(), value));
        }
        arguments
    }

    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        let found = self.options.iter().find(|(option, _)| option == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let found = self.options.iter().filter(|(option, _)| option == name);
        found.map(|(_, value)| value.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(script: &str) -> Result<Vec<String>, String> {
        let variable = |name: &str| (name == "TAG").then(|| "${{ env.TAG }}".to_owned());
        let commands = commands(script, &variable)?;
        Ok(commands.iter().map(|words| words.join("·")).collect())
    }

    #[test]
    fn commands_have_words_and_variables() {
        let table = [
            (
                "docker build -t \"a:$TAG\" \\\n  .",
                "docker·build·-t·a:${{ env.TAG }}·.",
            ),
            ("set -e\n# c\necho hi\ntrue && x 'a b'", "x·a b"),
            (
                "x ${{ a && 'b c' }}:${TAG}",
                "x·${{ a && 'b c' }}:${{ env.TAG }}",
            ),
            ("x || true", "x"),
            ("x \"a\\.b\\\"\" 'c\\.d'", "x·a\\.b\"·c\\.d"),
            ("echo a | docker login", "echo·a·|·docker·login"),
            ("A=b:$TAG\nexport B=c\nx $A $B", "x·b:${{ env.TAG }}·c"),
        ];
        for (script, expected) in table {
            assert_eq!(read(script).unwrap().join("\n"), expected, "{script}");
        }
    }

    #[test]
    fn what_needs_a_shell_is_named() {
        let table = [
            ("x $(y)", "it has `$(…)`"),
            ("x > y", "it has `>`"),
            ("x $OTHER", "`$OTHER` is not set in the workflow"),
            ("if x; then y; fi", "it has `if`"),
            ("A=b x", "it has `A=b`"),
            ("x 'y", "a quote is open"),
            ("x ${TAG:-1}", "it has a variable that is not simple"),
        ];
        for (script, expected) in table {
            assert_eq!(read(script).unwrap_err(), expected, "{script}");
        }
    }

    #[test]
    fn options_have_long_and_short_names() {
        let words: Vec<_> = ["-t", "a", "--pull", "--build-arg=B=c", "."]
            .map(str::to_owned)
            .into();
        let arguments = Arguments::parse(&words, &["pull"], &[("-t", "tag")]);
        assert_eq!(arguments.option("tag"), Some("a"));
        assert_eq!(arguments.option("build-arg"), Some("B=c"));
        assert_eq!(arguments.option("pull"), Some(""));
        assert_eq!(arguments.operands, ["."]);
    }
}
