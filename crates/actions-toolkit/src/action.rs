//! What an action declares of itself: the one source of `--help`, `action.yml` and the README table.

/// An action: its name, its inputs and its outputs.
#[derive(Debug, Clone, Copy)]
pub struct Action {
    /// The name of the binary and of the folder under `actions/`.
    pub name: &'static str,
    /// One sentence on what it does.
    pub about: &'static str,
    /// Every input it reads; any other input is refused.
    pub inputs: &'static [Input],
    /// Every output it sets, on every path.
    pub outputs: &'static [Output],
}

/// One input of an action.
#[derive(Debug, Clone, Copy)]
pub struct Input {
    /// The name as written in a workflow: lower case, words joined by `-`.
    pub name: &'static str,
    /// What it is, for a workflow author.
    pub help: &'static str,
    /// The value taken when the input is absent or empty.
    pub default: Option<&'static str>,
    /// Whether the action refuses to start without a value.
    pub required: bool,
    /// Whether the value is masked before anything else happens.
    pub secret: bool,
}

impl Input {
    /// An optional input without a default.
    pub const fn new(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            default: None,
            required: false,
            secret: false,
        }
    }

    /// Refuse to start without a value.
    #[must_use]
    pub const fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }

    /// Take `value` when the input is absent or empty.
    #[must_use]
    pub const fn default(self, value: &'static str) -> Self {
        Self {
            default: Some(value),
            ..self
        }
    }

    /// Mask the value before anything else happens.
    #[must_use]
    pub const fn secret(self) -> Self {
        Self {
            secret: true,
            ..self
        }
    }
}

/// One output of an action.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// The name that later steps read.
    pub name: &'static str,
    /// What it holds.
    pub help: &'static str,
}

impl Output {
    /// An output named `name` that holds what `help` says.
    pub const fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, help }
    }
}

impl Action {
    /// The text of `--help`.
    pub fn help(&self) -> String {
        use std::fmt::Write as _;
        let mut text = format!(
            "{} {}\n{}\n\nInputs:\n",
            self.name,
            crate::VERSION,
            self.about
        );
        for input in self.inputs {
            let mark = match (input.required, input.default) {
                (true, _) => " (required)".to_owned(),
                (false, Some(value)) => format!(" [default: {value}]"),
                (false, None) => String::new(),
            };
            let _ = writeln!(
                text,
                "  --{} <value>{mark}\n      {}",
                input.name, input.help
            );
        }
        text.push_str("\nOutputs:\n");
        for output in self.outputs {
            let _ = writeln!(text, "  {}\n      {}", output.name, output.help);
        }
        text.push_str(
            "\nExit codes: 0 done, 1 a policy said no, 2 a tool or service failed, 3 bad input\n",
        );
        text
    }

    /// The declared input called `name`.
    pub fn input(&self, name: &str) -> Option<&'static Input> {
        self.inputs.iter().find(|input| input.name == name)
    }
}
