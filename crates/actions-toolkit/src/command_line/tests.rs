use super::*;
use crate::inputs::tests::SCAN;

fn parse(args: &[&str]) -> Result<CommandLine, String> {
    let args: Vec<_> = args.iter().map(ToString::to_string).collect();
    CommandLine::parse(&SCAN, &args).map_err(|e| e.0)
}

fn options(args: &[&str]) -> Options {
    match parse(args) {
        Ok(CommandLine::Run(options)) => options,
        Ok(_) => panic!("{args:?} ask for no run"),
        Err(e) => panic!("{e}"),
    }
}

#[test]
fn help_has_topics_examples_outputs_and_exit_codes() {
    let Ok(CommandLine::Print(help)) = parse(&["--image", "x", "--help"]) else {
        panic!("no help");
    };
    insta::assert_snapshot!(help, @r"
    Scan.

    Usage: scan [--<INPUT> <VALUE>]…

    Options:
      -h, --help
              Print help
      -V, --version
              Print version

    Common:
          --image <VALUE>
              The image to scan. [required]
          --fail-on <VALUE>
              Lowest severity that fails. [default: none]
          --upload [<BOOL>]
              Whether to upload. [default: true]
          --formats <VALUE>
              Formats to write, separated by commas.
          --token <VALUE>
              Token for GitHub. [env: INPUT_TOKEN]

    Limits:
          --timeout <VALUE>
              Timeout of each scan. [default: 5m]

    Registry:
          --registry-username <VALUE>
              User for the registry.
          --registry-password <VALUE>
              Password or token for the registry. [env: INPUT_REGISTRY_PASSWORD]

    On a terminal:
          --output <FORMAT>
              Format of the outputs on standard output: `text`, or `json` with the log on standard
              error. [default: text]
          --completions <SHELL>
              Print the completions of a shell and exit. [possible values: bash, elvish, fish,
              powershell, zsh]
          --man
              Print the manual page and exit.

    Examples:
      Scan an image:
          scan --image app:dev --upload false

    Outputs:
      result
          The verdict.

    Exit codes:
      0 done, 1 a policy failed, 2 a tool or service failed, 3 invalid input
    ");
}

#[test]
fn an_option_has_a_value_and_a_switch_needs_none() {
    for (args, expected) in [
        (&["--image=b:2"][..], vec![("image", "b:2")]),
        (&["--image", "a", "--image", "b"], vec![("image", "b")]),
        (&["--image", ""], vec![("image", "")]),
        (&["--image", "-x"], vec![("image", "-x")]),
        (
            &["--upload", "--image=x"],
            vec![("image", "x"), ("upload", "true")],
        ),
        (&["--upload", "false"], vec![("upload", "false")]),
        (&["--upload=no"], vec![("upload", "no")]),
        (&[], vec![]),
    ] {
        let expected = expected
            .into_iter()
            .map(|(name, value)| (name, value.to_owned()));
        assert_eq!(
            options(args).inputs,
            expected.collect::<Vec<_>>(),
            "{args:?}"
        );
    }
}

#[test]
fn outputs_are_text_or_json() {
    assert!(!options(&["--image=x"]).json);
    assert!(!options(&["--output=text"]).json);
    assert!(options(&["--image=x", "--output", "json"]).json);
}

#[test]
fn mistakes_are_named() {
    for (args, message) in [
        (
            &["--imaeg", "x"][..],
            "input `imaeg` is unknown; did you mean `image`?",
        ),
        (&["--img=x"], "input `img` is unknown; use `image`"),
        (
            &["--image"],
            "input `image`: has no value on the command line",
        ),
        (&["image"], "argument `image` is not an option; see --help"),
        (
            &["--image=x", "--", "y"],
            "argument `y` is not an option; see --help",
        ),
        (&["-x"], "argument `-x` is not an option; see --help"),
        (
            &["--output=xml"],
            "invalid value `xml` for `--output`; see --help",
        ),
        (
            &["--output"],
            "input `output`: has no value on the command line",
        ),
        (
            &["--completions=tcsh"],
            "invalid value `tcsh` for `--completions`; see --help",
        ),
        (
            &["--man=x"],
            "unexpected value 'x' for '--man' found; no more were expected; see --help",
        ),
    ] {
        assert_eq!(parse(args).map(drop).unwrap_err(), message, "{args:?}");
    }
}

#[test]
fn completions_know_the_choices_and_the_manual_page_the_examples() {
    let Ok(CommandLine::Completions(shell)) = parse(&["--completions", "bash"]) else {
        panic!("no completions");
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut with_choices(&SCAN), "scan", &mut script);
    let script = String::from_utf8(script).unwrap();
    assert!(
        script.contains("--fail-on") && script.contains("compgen -W \"true false\""),
        "{script}"
    );
    assert!(matches!(parse(&["--man"]), Ok(CommandLine::ManPage)));
    let mut page = Vec::new();
    clap_mangen::Man::new(command(&SCAN))
        .render(&mut page)
        .unwrap();
    let page = String::from_utf8(page).unwrap();
    assert!(
        page.contains("\\-\\-image") && page.contains("Scan an image"),
        "{page}"
    );
}
