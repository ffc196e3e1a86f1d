#![expect(
    clippy::allow_attributes,
    reason = "of `inputs!`, whose names are not all used by every action"
)]

use super::*;
use crate::{Example, Output, Secret, Workspace, choice, inputs};

inputs! {
    /// Who signs in to a registry: a group.
    struct LoginInputs {
        /// User for the registry.
        registry_username: Option<String>,
        /// Password or token for the registry.
        registry_password: Option<Secret>,
    }
}

inputs! {
    /// What a step was given.
    struct ScanInputs {
        "Common" {
            /// The image to scan.
            image: String,
            /// Lowest severity that fails.
            fail_on: OrNone<Level> = "none",
            /// Whether to upload.
            upload: bool = "true",
        }
        "Limits" {
            /// Timeout of each
            /// scan.
            timeout: Timeout = "5m",
        }
        "Registry" {
            ..login: LoginInputs,
        }
        "Common" {
            /// Formats to write, separated by commas.
            formats: List<String>,
            /// Token for GitHub.
            token: Option<GitHubToken>,
        }
    }
}

choice! {
    #[derive(PartialEq)]
    enum Level {
        High = "high",
        Low = "low",
    }
}

pub(crate) static SCAN: Action = Action {
    name: "scan",
    about: "Scan.",
    inputs: ScanInputs::declared,
    replaced: |old| (old == "img").then(|| "use `image`".to_owned()),
    outputs: &[Output::new("result", "The verdict.")],
    examples: &[Example::new(
        "Scan an image",
        "--image app:dev --upload false",
    )],
};

fn read(args: &[&str], env: &[(&str, &str)]) -> Result<ScanInputs, String> {
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    let env = Env::from_pairs(env.iter().copied());
    let scope = (Log::sink(), Workspace::new("/w"));
    Inputs::read(&SCAN, &args, &env)
        .and_then(|inputs| ScanInputs::read(&inputs, &Scope::new(&scope.0, &scope.1)))
        .map_err(|e| e.to_string())
}

#[test]
fn a_declaration_has_names_topics_defaults_and_what_is_required_or_secret() {
    let declared: Vec<_> = ScanInputs::declared()
        .into_iter()
        .map(|input| {
            let mark = match (input.required, input.secret) {
                (true, _) => "required",
                (_, true) => "secret",
                _ => "",
            };
            format!(
                "{}/{} {mark}: {} = {:?} {:?}",
                input.topic, input.name, input.help, input.default, input.workflow_default
            )
        })
        .collect();
    insta::assert_snapshot!(declared.join("\n"), @r#"
    Common/image required: The image to scan. = None None
    Common/fail-on : Lowest severity that fails. = Some("none") None
    Common/upload : Whether to upload. = Some("true") None
    Limits/timeout : Timeout of each scan. = Some("5m") None
    Registry/registry-username : User for the registry. = None None
    Registry/registry-password secret: Password or token for the registry. = None None
    Common/formats : Formats to write, separated by commas. = None None
    Common/token secret: Token for GitHub. = None Some("${{ github.token }}")
    "#);
}

#[test]
fn the_command_line_wins_over_the_environment_and_that_over_the_default() {
    let inputs = read(
        &["--image=b:2"],
        &[("INPUT_IMAGE", "a:1"), ("INPUT_FAIL-ON", "high")],
    )
    .unwrap();
    assert_eq!(inputs.image, "b:2");
    assert_eq!(inputs.fail_on, OrNone(Some(Level::High)));
    assert!(inputs.upload);
    assert_eq!(inputs.timeout.0.as_secs(), 300);
}

#[test]
fn an_empty_value_is_absent() {
    let inputs = read(&[], &[("INPUT_IMAGE", "a:1"), ("INPUT_FAIL-ON", "  ")]).unwrap();
    assert_eq!(inputs.fail_on, OrNone(None));
}

#[test]
fn mistakes_are_named() {
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);
    let table: [Case; 9] = [
        (
            &[],
            &[("INPUT_IMG", "x")],
            "input `img` is unknown; use `image`",
        ),
        (
            &["--image=x", "--upload=yes"],
            &[],
            "input `upload`: invalid value `yes`; expected one of `true`, `false`",
        ),
        (
            &["--image=x", "--fail-on=medium"],
            &[],
            "input `fail-on`: invalid value `medium`; expected one of `high`, `low`, `none`",
        ),
        (&[], &[], "input `image`: is required (The image to scan.)"),
        (
            &["--imaeg", "x"],
            &[],
            "input `imaeg` is unknown; did you mean `image`?",
        ),
        (
            &[],
            &[("INPUT_SEVERITY-LEVEL", "x")],
            "input `severity-level` is unknown; the inputs of `scan` are: image, fail-on, upload, timeout, registry-username, registry-password, formats, token",
        ),
        (
            &["--image"],
            &[],
            "input `image`: has no value on the command line",
        ),
        (
            &["image"],
            &[],
            "argument `image` is not an option; see --help",
        ),
        (
            &[],
            &[("INPUT_IMAGE", "\n")],
            "input `image`: is required (The image to scan.)",
        ),
    ];
    for (args, env, message) in table {
        assert_eq!(read(args, env).map(drop).unwrap_err(), message);
    }
}

#[test]
fn of_two_inputs_that_belong_together_the_missing_one_is_named() {
    let table = [
        (Some(1), Some('b'), Ok(Some((1, 'b')))),
        (None, None, Ok(None)),
        (
            Some(1),
            None,
            Err("input `password`: is required with `user`"),
        ),
        (
            None,
            Some('b'),
            Err("input `user`: is required with `password`"),
        ),
    ];
    for (user, password, expected) in table {
        let pair = both(("user", user), ("password", password));
        assert_eq!(
            pair.map_err(|e| e.to_string()),
            expected.map_err(ToOwned::to_owned)
        );
    }
}

#[test]
fn a_list_is_separated_by_commas_or_lines() {
    let inputs = read(&["--image=x", "--formats=a, b\n\nc,"], &[]).unwrap();
    assert_eq!(inputs.formats.0, ["a", "b", "c"]);
    assert!(inputs.token.is_none());
    // A shell knows no `-` in the name of a variable.
    let of_shell = [("INPUT_REGISTRY_PASSWORD", "p")];
    let inputs_of_shell = read(&["--image=x"], &of_shell).unwrap();
    assert!(inputs_of_shell.login.registry_password.is_some());
    let inputs = read(&["--image=x", "--token=t", "--registry-username=u"], &[]).unwrap();
    assert_eq!(inputs.token.unwrap().0.expose(), "t");
    assert_eq!(inputs.login.registry_username.as_deref(), Some("u"));
    assert!(inputs.login.registry_password.is_none());
}

#[test]
fn a_duration_has_units_and_an_end() {
    let form = "invalid";
    let end = "is longer than any job can run; use at most `120h`";
    let table = [
        ("90s", Ok(90)),
        ("90", Ok(90)),
        ("5m", Ok(300)),
        ("1h30m", Ok(5400)),
        ("1h30s", Ok(3630)),
        ("1.5h", Ok(5400)),
        ("120h", Ok(432_000)),
        ("0s", Err(form)),
        ("0h0m", Err(form)),
        ("h", Err(form)),
        ("30m1h", Err(form)),
        ("1h30", Err(form)),
        ("-1s", Err(form)),
        ("3d", Ok(259_200)),
        ("1mo", Err(form)),
        ("99999999999999999999s", Err(form)),
        ("120h1s", Err(end)),
        ("999999999999999h", Err(end)),
        ("18446744073709551615s", Err(form)),
    ];
    for (text, expected) in table {
        let found = duration::timeout(text).map(|timeout| timeout.as_secs());
        let expected = expected.map_err(|problem| match problem {
            "invalid" => {
                format!("invalid duration `{text}`; use a form such as `90s`, `5m` or `1h30m`")
            }
            _ => format!("duration `{text}` {problem}"),
        });
        assert_eq!(found, expected, "{text}");
    }
    // An age is compared, and a year is an age.
    assert_eq!(duration::age("8760h").unwrap().as_secs(), 31_536_000);
    assert_eq!(duration::age("365d").unwrap().as_secs(), 31_536_000);
}
