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
    let row = (
        "syntax-error".to_owned(),
        0,
        Level::Error,
        Some("a.py".to_owned()),
    );
    assert_eq!(parse("bandit", unreadable).unwrap(), [row]);
}

#[test]
fn the_text_of_old_versions_is_parsed() {
    let row = |d: Diagnostic| (d.code, d.message, d.path.unwrap(), d.line, d.level);
    // As mypy 1.10 and ruff 0.4 write it.
    let text = "app.py:3: error: Name \"x\" is not defined  [name-defined]\napp.py:3: note: See a: b\nFound 1 error in 1 file (checked 2 source files)\n";
    let rows: Vec<_> = output::mypy_text(text).into_iter().map(row).collect();
    let name = "Name \"x\" is not defined";
    assert_eq!(
        rows,
        [
            (
                "name-defined".into(),
                name.into(),
                "app.py".into(),
                3,
                Level::Error
            ),
            (
                "mypy".into(),
                "See a: b".into(),
                "app.py".into(),
                3,
                Level::Note
            )
        ]
    );
    assert_eq!(
        output::mypy_text("Success: no issues found in 2 source files\n"),
        []
    );
    let text = "Would reformat: a b.py\nWould reformat: c.py\n2 files would be reformatted, 1 file already formatted\n";
    let paths: Vec<_> = output::ruff_format_text(text)
        .into_iter()
        .map(|d| d.path.unwrap())
        .collect();
    assert_eq!(paths, ["a b.py", "c.py"]);
    let text = "error: Failed to parse pkg/bad.py:1:8: Expected an identifier\n1 file would be reformatted\n";
    let rows: Vec<_> = output::unparsed(text).into_iter().map(row).collect();
    let message = "Expected an identifier";
    assert_eq!(
        rows,
        [(
            "syntax-error".into(),
            message.into(),
            "pkg/bad.py".into(),
            1,
            Level::Error
        )]
    );
}

#[test]
fn the_projects_settings_decide_what_is_checked() {
    let args = |name: &str, has_mypy_files, bandit_file| {
        let linter = LINTERS.iter().find(|linter| linter.name == name).unwrap();
        let args = (linter.args)(&LinterArgs {
            dockerfile: "Dockerfile",
            has_bandit_settings: false,
            has_mypy_files,
            bandit_file,
            mypy_settings: None,
        });
        args.join(" ")
    };
    assert_eq!(
        args("mypy", false, BanditFile::Absent),
        "--output json --cache-dir /dev/null ."
    );
    assert_eq!(
        args("mypy", true, BanditFile::Absent),
        "--output json --cache-dir /dev/null"
    );
    assert!(args("bandit", false, BanditFile::Absent).contains("/.venv/,/venv/,/site-packages/"));
    assert_eq!(
        args("bandit", false, BanditFile::Present),
        "--quiet --format json --recursive ."
    );
    assert_eq!(
        args("bandit", false, BanditFile::WithTargets),
        "--quiet --format json --recursive --ini .bandit"
    );
}
