//! The program with its options and exit codes.

use std::process::{Command, Output};

use tempfile::TempDir;

const WHOLE: &str = "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - uses: aquasecurity/trivy-action@v0.36.0\n        with:\n          image-ref: app:1\n";

fn run(directory: &TempDir, args: &[&str]) -> (i32, String, String) {
    let ran: Output = Command::new(env!("CARGO_BIN_EXE_migrate"))
        .args(args)
        .current_dir(directory.path())
        .output()
        .expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (
        ran.status.code().expect("a code"),
        text(ran.stdout),
        text(ran.stderr),
    )
}

fn directory() -> TempDir {
    let directory = TempDir::new().expect("a directory");
    let write = |name: &str, text: &str| {
        std::fs::write(directory.path().join(name), text).expect("written");
    };
    write("whole.yml", WHOLE);
    write(
        "loss.yml",
        &WHOLE.replace(
            "image-ref: app:1",
            "vuln-type: os\n          image-ref: app:1",
        ),
    );
    write("other.yml", "on: push\njobs: {}\n");
    write("bad.yml", "a: [b\n");
    directory
}

#[test]
fn a_diff_is_printed_and_the_file_stays() {
    let directory = directory();
    let (code, out, _) = run(&directory, &["whole.yml", "other.yml"]);
    assert_eq!(code, 0);
    assert!(
        out.contains("+      - uses: OWNER/seaworthy/actions/trivy-scan@v1"),
        "{out}"
    );
    assert!(out.contains("other.yml: nothing to move"), "{out}");
    let text = std::fs::read_to_string(directory.path().join("whole.yml")).expect("read");
    assert_eq!(text, WHOLE);
}

#[test]
fn files_are_changed_on_request_and_only_once() {
    let directory = directory();
    let args = [
        "--write",
        "--actions",
        "octo-org/seaworthy@0123abc",
        "whole.yml",
    ];
    assert_eq!(run(&directory, &args).0, 0);
    let text = std::fs::read_to_string(directory.path().join("whole.yml")).expect("read");
    assert!(
        text.contains("octo-org/seaworthy/actions/trivy-scan@0123abc"),
        "{text}"
    );
    let (code, out, _) = run(&directory, &args);
    assert_eq!((code, out.as_str()), (0, "whole.yml: nothing to move\n"));
}

#[test]
fn a_summary_has_one_line_for_each_file_and_the_worst_code() {
    let directory = directory();
    let (code, out, error) = run(
        &directory,
        &[
            "--summary",
            "whole.yml",
            "loss.yml",
            "other.yml",
            "bad.yml",
            "none.yml",
        ],
    );
    assert_eq!(code, 3);
    insta::assert_snapshot!(out, @r"
    whole.yml: whole (1 steps)
    loss.yml: with a loss (1 steps): line 6: `vuln-type`: set `pkg.types` in a file for `trivy-config`
    other.yml: nothing to move
    ");
    assert!(
        error.contains("`bad.yml`: it is not valid YAML") && error.contains("`none.yml`: "),
        "{error}"
    );
    assert_eq!(run(&directory, &["--summary", "loss.yml"]).0, 1);
    assert_eq!(run(&directory, &["--actions", "x", "loss.yml"]).0, 3);
    assert_eq!(run(&directory, &["--help"]).0, 0);
}
