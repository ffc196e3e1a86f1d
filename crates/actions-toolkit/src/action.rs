//! The declaration of an action: the one source of `--help`, the manual page, `action.yml` and the README's tables.

/// An action: its name, its inputs and its outputs.
#[derive(Debug, Clone, Copy)]
pub struct Action {
    /// The name of the binary and of the directory under `actions/`.
    pub name: &'static str,
    /// One sentence on what it does.
    pub about: &'static str,
    /// Every input it reads, as [`inputs!`](crate::inputs!) declares them; any other input is rejected.
    pub inputs: fn() -> Vec<Input>,
    /// What to do instead of an input of an action that it replaces, by its name. It ends the message that rejects the
    /// input.
    pub replaced: fn(&str) -> Option<String>,
    /// Every output it sets, on every path.
    pub outputs: &'static [Output],
    /// How it is used on a terminal, for `--help` and the manual page.
    pub examples: &'static [Example],
}

/// A use of an action on a terminal.
#[derive(Debug, Clone, Copy)]
pub struct Example {
    /// What it does, in the imperative.
    pub about: &'static str,
    /// The options, in a shell's syntax.
    pub options: &'static str,
}

impl Example {
    /// The `options` that do what `about` says.
    pub const fn new(about: &'static str, options: &'static str) -> Self {
        Self { about, options }
    }
}

/// One input of an action.
#[derive(Debug, Clone, Copy)]
pub struct Input {
    /// The name as written in a workflow: lower case, words joined by `-`.
    pub name: &'static str,
    /// A noun phrase for a workflow author, with the values that are allowed.
    pub help: &'static str,
    /// The heading that `--help` and the README show it under. The first topic of an action is for what most people need.
    pub topic: &'static str,
    /// The value taken when the input is absent or empty.
    pub default: Option<&'static str>,
    /// Whether the action refuses to start without a value.
    pub required: bool,
    /// Whether the value is masked before anything else happens.
    pub secret: bool,
    /// A default that only the runner can resolve, such as `${{ github.token }}`: it is in `action.yml` alone. If it is empty,
    /// `action.yml` has none, and the step knows whether a value was given.
    pub workflow_default: Option<&'static str>,
    /// Every text that is allowed, if they can be listed.
    pub choices: &'static [&'static str],
}

/// One output of an action: a value that later steps read.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// The name as written in a workflow: lower case, words joined by `-`.
    pub name: &'static str,
    /// A noun phrase for a workflow author.
    pub help: &'static str,
}

impl Output {
    /// An output that holds what `help` says.
    pub const fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, help }
    }
}

impl Action {
    /// The declared inputs by topic, in the order in which each topic first appears.
    pub fn topics(&self) -> Vec<(&'static str, Vec<Input>)> {
        let mut topics: Vec<(&'static str, Vec<Input>)> = Vec::new();
        for input in (self.inputs)() {
            match topics.iter_mut().find(|(topic, _)| *topic == input.topic) {
                Some((_, inputs)) => inputs.push(input),
                None => topics.push((input.topic, vec![input])),
            }
        }
        topics
    }
}
