use super::*;
use crate::{Input, Output};

static SCAN: Action = Action {
    name: "scan",
    about: "Scan.",
    inputs: &[
        Input::new("image", "The image to scan.").required(),
        Input::new("fail-on", "Lowest severity that fails.").default("none"),
        Input::new("upload", "Whether to upload.").default("true"),
        Input::new("timeout", "Limit.").default("5m"),
    ],
    outputs: &[Output::new("result", "The verdict.")],
};

fn read(args: &[&str], env: &[(&str, &str)]) -> Result<Inputs, String> {
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    let env = Env::from_pairs(env.iter().copied());
    Inputs::read(&SCAN, &args, &env).map_err(|e| e.to_string())
}

#[test]
fn the_command_line_wins_over_the_environment_and_that_over_the_default() {
    let inputs = read(
        &["--image=b:2"],
        &[("INPUT_IMAGE", "a:1"), ("INPUT_FAIL-ON", "high")],
    )
    .unwrap();
    assert_eq!(inputs.text("image"), Some("b:2"));
    assert_eq!(inputs.text("fail-on"), Some("high"));
    assert!(inputs.flag("upload").unwrap());
    assert_eq!(inputs.duration("timeout").unwrap().as_secs(), 300);
}

#[test]
fn an_empty_value_is_no_value() {
    let inputs = read(&[], &[("INPUT_IMAGE", "a:1"), ("INPUT_FAIL-ON", "  ")]).unwrap();
    assert_eq!(inputs.text("fail-on"), Some("none"));
}

#[test]
fn mistakes_are_named() {
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);
    let table: [Case; 6] = [
        (
            &[],
            &[],
            "input `image`: is required and was empty or absent (The image to scan.)",
        ),
        (
            &["--imaeg", "x"],
            &[],
            "input `imaeg` is unknown; did you mean `image`?",
        ),
        (
            &[],
            &[("INPUT_SEVERITY-LEVEL", "x")],
            "input `severity-level` is unknown; the inputs of `scan` are: image, fail-on, upload, timeout",
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
            "input `image`: is required and was empty or absent (The image to scan.)",
        ),
    ];
    for (args, env, message) in table {
        assert_eq!(read(args, env).unwrap_err(), message);
    }
    let inputs = read(&["--image=x", "--upload=yes"], &[]).unwrap();
    assert_eq!(
        inputs.flag("upload").unwrap_err().to_string(),
        "input `upload`: `yes` is neither `true` nor `false`"
    );
}

#[test]
fn a_length_of_time_has_units_and_an_end() {
    let form = "is no length of time such as `90s` or `5m`";
    let end = "is longer than any job lasts; give 120h at most";
    let table = [
        ("90s", Ok(90)),
        ("90", Ok(90)),
        ("5m", Ok(300)),
        ("1h30m", Ok(5400)),
        ("1h30s", Ok(3630)),
        ("120h", Ok(432_000)),
        ("0s", Err(form)),
        ("0h0m", Err(form)),
        ("h", Err(form)),
        ("30m1h", Err(form)),
        ("1h30", Err(form)),
        ("1.5h", Err(form)),
        ("-1s", Err(form)),
        ("99999999999999999999s", Err(form)),
        ("120h1s", Err(end)),
        ("9999999999999999h", Err(end)),
        ("18446744073709551615s", Err(end)),
    ];
    for (text, expected) in table {
        let inputs = read(&["--image=x", "--timeout", text], &[]).unwrap();
        let found = inputs.duration("timeout").map_err(|e| e.to_string());
        let expected = expected.map_err(|problem| format!("input `timeout`: `{text}` {problem}"));
        assert_eq!(found.map(|limit| limit.as_secs()), expected, "{text}");
    }
    // An age is compared, and a year is an age.
    let inputs = read(&["--image=x", "--timeout=8760h"], &[]).unwrap();
    assert_eq!(inputs.age("timeout").unwrap().as_secs(), 31_536_000);
}
