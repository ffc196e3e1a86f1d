use super::*;

/// Code, line, level and path of a diagnostic.
type Row = (String, u32, Level, Option<String>);

fn parse(name: &str, text: &str) -> Result<Vec<Row>, String> {
    let linter = LINTERS.iter().find(|linter| linter.name == name).unwrap();
    let diagnostics = (linter.parse)(text)?.into_iter();
    Ok(diagnostics
        .map(|d| (d.code, d.line, d.level, d.path))
        .collect())
}

#[test]
fn the_output_of_each_linter_is_parsed() {
    // As ruff 0.17, mypy 2.4, bandit 1.9, hadolint 2.15 and pip write them.
    let table = [
        (
            "ruff",
            r#"[{"cell":null,"code":"F401","end_location":{"column":14,"row":8},"filename":"/app/t.py","fix":null,
                "location":{"column":12,"row":8},"message":"`os` imported but unused","url":"https://docs.astral.sh/x"}]"#,
            ("F401", 8, Level::Error, Some("/app/t.py")),
        ),
        (
            "ruff-format",
            r#"[{"code":"unformatted","end_location":{"column":18,"row":6},"filename":"/app/t.py","fix":null,
                "location":{"column":1,"row":2},"message":"File would be reformatted","url":null}]"#,
            ("unformatted", 2, Level::Warning, Some("/app/t.py")),
        ),
        (
            "mypy",
            "{\"file\": \"m.py\", \"line\": 2, \"column\": 11, \"message\": \"Incompatible return value type\", \"hint\": null, \"code\": \"return-value\", \"severity\": \"error\"}\n",
            ("return-value", 2, Level::Error, Some("m.py")),
        ),
        (
            "bandit",
            r#"{"errors": [], "results": [{"filename": "./t.py", "issue_cwe": {"id": 703, "link": "x"}, "issue_severity": "MEDIUM",
                "issue_text": "Use of assert", "line_number": 4, "more_info": "https://bandit.readthedocs.io", "test_id": "B101"}]}"#,
            ("B101", 4, Level::Warning, Some("./t.py")),
        ),
        (
            "hadolint",
            r#"[{"code":"DL3015","column":1,"file":"/tmp/Dockerfile","level":"info","line":2,"message":"Avoid additional packages"}]"#,
            ("DL3015", 2, Level::Note, None),
        ),
        (
            "pip check",
            "flask 3.1.0 requires jinja2, which is not installed.\n",
            ("pip-check", 0, Level::Error, None),
        ),
    ];
    for (name, text, (code, line, level, path)) in table {
        let expected = (code.to_owned(), line, level, path.map(ToOwned::to_owned));
        assert_eq!(parse(name, text).unwrap(), [expected], "{name}");
    }
}

#[test]
fn no_finding_is_not_the_same_as_no_output() {
    for (name, clean) in [
        ("ruff", "[]"),
        ("ruff-format", "[]"),
        ("mypy", "Success: no issues found in 3 source files\n"),
        ("bandit", r#"{"errors": [], "results": []}"#),
        ("hadolint", "[]"),
        ("pip check", "No broken requirements found.\n"),
    ] {
        assert_eq!(parse(name, clean).unwrap(), [], "{name}");
    }
    for name in ["ruff", "ruff-format", "bandit", "hadolint"] {
        assert!(parse(name, "").is_err(), "{name}");
    }
    let unreadable =
        r#"{"errors": [{"filename": "a.py", "reason": "syntax error"}], "results": []}"#;
    let error = parse("bandit", unreadable).unwrap_err();
    assert_eq!(error, "failed to read `a.py`: syntax error");
}
