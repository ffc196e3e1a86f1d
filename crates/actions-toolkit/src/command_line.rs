//! The command line of an action: every input is an option of the same name.

use std::io::{self, Write as _};

use clap::builder::styling::{AnsiColor, Styles};
use clap::builder::{PossibleValuesParser, StyledStr};
use clap::error::{ContextKind, ErrorKind};
use clap::{Arg, ArgAction, Command};

use crate::{Action, BadInput, Input, VERSION};

/// The options that are not inputs; an input can't have their names.
pub const RESERVED: &[&str] = &["help", "version", "output", "completions", "man"];

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// What the command line requests.
pub(crate) enum CommandLine {
    /// To print a text and to do nothing.
    Print(StyledStr),
    /// To write the completions of a shell.
    Completions(clap_complete::Shell),
    /// To write the manual page.
    ManPage,
    /// To run.
    Run(Options),
}

/// The options of a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// The texts of the inputs that have an option, by their names.
    pub(crate) inputs: Vec<(&'static str, String)>,
    /// Whether the outputs are one JSON object on standard output.
    pub(crate) json: bool,
}

impl CommandLine {
    /// Parse `args`, without the program's name, for `action`.
    ///
    /// # Errors
    /// [`BadInput`] on an option that the action does not have, or one without a value.
    pub(crate) fn parse(action: &'static Action, args: &[String]) -> Result<Self, BadInput> {
        let name = [action.name.to_owned()];
        let parsed = command(action).try_get_matches_from(name.iter().chain(args));
        let matches = match parsed {
            Ok(matches) => matches,
            Err(e) if matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
                return Ok(Self::Print(e.render()));
            }
            Err(e) => return Err(refused(action, &e)),
        };
        if let Some(shell) = matches.get_one("completions") {
            return Ok(Self::Completions(*shell));
        }
        if matches.get_flag("man") {
            return Ok(Self::ManPage);
        }
        let inputs = (action.inputs)().into_iter().filter_map(|input| {
            let value = matches.get_one::<String>(input.name)?;
            Some((input.name, value.clone()))
        });
        Ok(Self::Run(Options {
            inputs: inputs.collect(),
            json: matches
                .get_one::<String>("output")
                .is_some_and(|to| to == "json"),
        }))
    }

    /// Print what was requested instead of a run, with colors where the terminal shows them and `NO_COLOR` is not set;
    /// the options of a run otherwise.
    ///
    /// # Errors
    /// When standard output is closed.
    pub(crate) fn print(self, action: &'static Action) -> io::Result<Option<Options>> {
        match self {
            Self::Run(options) => return Ok(Some(options)),
            Self::Print(text) => write!(anstream::stdout(), "{}", text.ansi())?,
            Self::Completions(shell) => {
                let mut command = with_choices(action);
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut command, action.name, &mut script);
                io::stdout().write_all(&script)?;
            }
            Self::ManPage => clap_mangen::Man::new(command(action)).render(&mut io::stdout())?,
        }
        Ok(None)
    }
}

// For completions alone: an invalid value of a run has a message of its type.
fn with_choices(action: &'static Action) -> Command {
    let inputs = (action.inputs)().into_iter();
    let choices = inputs.filter(|input| !input.choices.is_empty());
    choices.fold(command(action), |command, input| {
        let choices = PossibleValuesParser::new(input.choices);
        command.mut_arg(input.name, |option| option.value_parser(choices))
    })
}

/// The command of `action`, from its declaration.
fn command(action: &'static Action) -> Command {
    let mut command = Command::new(action.name)
        .version(VERSION)
        .about(action.about)
        .styles(STYLES)
        .max_term_width(120)
        .next_line_help(true)
        // The last one counts, as in a file of settings.
        .args_override_self(true)
        .override_usage(format!("{} [--<INPUT> <VALUE>]…", action.name))
        .after_help(epilog(action));
    for (topic, inputs) in action.topics() {
        let heading = if topic.is_empty() { "Inputs" } else { topic };
        let options = inputs.into_iter().map(option);
        command = command.next_help_heading(heading).args(options);
    }
    command.next_help_heading("On a terminal").args([
        Arg::new("output")
            .long("output")
            .value_name("FORMAT")
            .value_parser(PossibleValuesParser::new(["text", "json"]))
            .hide_possible_values(true)
            .help("Format of the outputs on standard output: `text`, or `json` with the log on standard error. [default: text]"),
        Arg::new("completions")
            .long("completions")
            .value_name("SHELL")
            .value_parser(clap::value_parser!(clap_complete::Shell))
            .help("Print the completions of a shell and exit."),
        Arg::new("man")
            .long("man")
            .action(ArgAction::SetTrue)
            .help("Print the manual page and exit."),
    ])
}

fn option(input: Input) -> Arg {
    let is_switch = input.choices == <bool as crate::Value>::CHOICES;
    let option = Arg::new(input.name)
        .long(input.name)
        .value_name(if is_switch { "BOOL" } else { "VALUE" })
        .help(help(&input))
        // A value may begin with a hyphen.
        .allow_hyphen_values(!is_switch);
    if is_switch {
        option.num_args(0..=1).default_missing_value("true")
    } else {
        option
    }
}

fn help(input: &Input) -> String {
    let mark = match (input.required, input.default) {
        (true, _) => " [required]".to_owned(),
        (false, Some(value)) => format!(" [default: {}]", value.replace('\n', ", ")),
        (false, None) => String::new(),
    };
    // Every user of a machine sees the arguments of a process.
    let variable = if input.secret {
        format!(" [env: {}]", super::inputs::variable_of_a_shell(input.name))
    } else {
        String::new()
    };
    format!("{}{mark}{variable}", input.help)
}

fn epilog(action: &Action) -> StyledStr {
    use std::fmt::Write as _;
    let (header, literal) = (STYLES.get_header(), STYLES.get_literal());
    let mut text = StyledStr::new();
    // Writing into a text does not fail.
    if !action.examples.is_empty() {
        let _ = writeln!(text, "{header}Examples:{header:#}");
        for example in action.examples {
            let (about, name, options) = (example.about, action.name, example.options);
            let _ = writeln!(
                text,
                "  {about}:\n      {literal}{name} {options}{literal:#}"
            );
        }
        let _ = writeln!(text);
    }
    let _ = writeln!(text, "{header}Outputs:{header:#}");
    for output in action.outputs {
        let _ = writeln!(
            text,
            "  {literal}{}{literal:#}\n      {}",
            output.name, output.help
        );
    }
    let _ = write!(
        text,
        "\n{header}Exit codes:{header:#}\n  0 done, 1 a policy failed, 2 a tool or service failed, 3 invalid input"
    );
    text
}

fn refused(action: &Action, error: &clap::Error) -> BadInput {
    let argument = error.get(ContextKind::InvalidArg).map(ToString::to_string);
    let argument = argument.unwrap_or_default();
    // `--name <VALUE>` where the option is known.
    let name = argument.split([' ', '=']).next().unwrap_or_default();
    let option = name.strip_prefix("--");
    let value = error
        .get(ContextKind::InvalidValue)
        .map(ToString::to_string);
    match (error.kind(), option) {
        (ErrorKind::UnknownArgument, Some(option)) => {
            super::inputs::unknown(action, &(action.inputs)(), option)
        }
        (ErrorKind::InvalidValue, Some(option))
            if value.as_deref().is_some_and(|value| !value.is_empty()) =>
        {
            let value = value.unwrap_or_default();
            BadInput(format!(
                "invalid value `{value}` for `--{option}`; see --help"
            ))
        }
        (ErrorKind::InvalidValue, Some(option)) => BadInput(format!(
            "input `{option}`: has no value on the command line"
        )),
        (ErrorKind::UnknownArgument, None) => BadInput(format!(
            "argument `{argument}` is not an option; see --help"
        )),
        _ => BadInput(format!("{}; see --help", first_line(error))),
    }
}

fn first_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let line = text.lines().next().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests;
