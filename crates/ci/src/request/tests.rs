use super::*;
use actions_toolkit::{Env, Inputs, Log};

fn read(args: &[&str]) -> Result<Request, String> {
    read_with(("GITHUB_ACTION", "__OWNER_seaworthy"), args)
}

// `of_runner` is a further variable of the runner.
fn read_with(of_runner: (&str, &str), args: &[&str]) -> Result<Request, String> {
    let directory = tempfile::tempdir().unwrap();
    let app = directory.path().join("app");
    std::fs::create_dir(&app).unwrap();
    std::fs::write(
        app.join("Dockerfile"),
        "FROM a AS build\nFROM build AS test\nFROM build\n",
    )
    .unwrap();
    std::fs::write(app.join("empty"), "# nothing\n").unwrap();
    let others = [
        ("plain.Dockerfile", "FROM a AS build\nFROM build\n"),
        ("tests.Dockerfile", "FROM a AS unit-tests\nFROM a\n"),
    ];
    for (name, text) in others {
        std::fs::write(app.join(name), text).unwrap();
    }
    let env = Env::from_pairs([
        ("GITHUB_WORKSPACE", directory.path().to_str().unwrap()),
        ("GITHUB_REPOSITORY", "octo-org/app"),
        ("GITHUB_SHA", "f00"),
        ("GITHUB_JOB", "image"),
        of_runner,
        (
            "GITHUB_WORKFLOW_REF",
            "octo-org/app/.github/workflows/ci.yml@refs/heads/main",
        ),
    ]);
    let args: Vec<_> = args.iter().map(ToString::to_string).collect();
    let inputs = Inputs::read(&crate::ACTION, &args, &env).map_err(|e| e.to_string())?;
    let (_stop, stopped) = tokio::sync::watch::channel(None);
    let ctx = Context::new(env, inputs, Log::sink(), stopped);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let request = runtime.block_on(Request::read(&ctx));
    request.map_err(|e| e.to_string())
}

#[test]
fn the_defaults_fit_a_plain_project() {
    let request = read(&[
        "--context=./app/",
        "--image=app:1",
        "--build-args=A=1\n B_2= x=y ",
    ])
    .unwrap();
    assert_eq!(request.build.dockerfile.in_workspace, "app/Dockerfile");
    assert_eq!(request.build.target, None);
    assert_eq!(
        request.build.args,
        [("A".into(), "1".into()), ("B_2".into(), " x=y".into())]
    );
    let labels: Vec<_> = request
        .build
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_eq!(
        labels,
        [
            "org.opencontainers.image.revision=f00",
            "org.opencontainers.image.source=https://github.com/octo-org/app"
        ]
    );
    let tests = request.tests.unwrap();
    assert_eq!(tests.target, TestImage::Stage("test".into()));
    assert_eq!(tests.junit_file.relative(), "junit.xml");
    let smoke = request.smoke.unwrap();
    assert_eq!(
        (smoke.health, smoke.port, smoke.timeout.as_secs()),
        (HealthTarget::Path("/health".into()), None, 60)
    );
}

#[test]
fn legs_and_contexts_have_their_own_category() {
    let category = |args: &[&str]| {
        let mut all = vec!["--image=app:1", "--test-target=none"];
        all.extend_from_slice(args);
        read(&all).unwrap().category
    };
    let job = ".github/workflows/ci.yml:image";
    let table: [(&[&str], &str); 4] = [
        (&["--dockerfile=app/Dockerfile"], ""),
        (&["--context=app"], "/app"),
        (
            &["--context=app", r#"--matrix={"py": "3.13"}"#],
            "/py:3.13/app",
        ),
        (
            &["--context=./app/", r#"--matrix={"py": "3.14"}"#],
            "/py:3.14/app",
        ),
    ];
    for (args, end) in table {
        assert_eq!(category(args), format!("{job}{end}"));
    }

    let category = |of_runner: (&str, &str)| {
        let args = ["--image=app:1", "--context=app", "--test-target=none"];
        read_with(of_runner, &args).unwrap().category
    };
    for (step, end) in [("__OWNER_seaworthy_2", "/2"), ("unit", "/unit")] {
        let category = category(("GITHUB_ACTION", step));
        assert_eq!(category, format!("{job}/app{end}"));
    }
    // Two calls of one reusable workflow, with the same inputs.
    for call in ["web", "worker"] {
        let id = format!("327d153d.{call}.image.__default");
        let category = category(("ACTIONS_ORCHESTRATION_ID", id.as_str()));
        let expected = format!(".github/workflows/ci.yml:{call}/image/app");
        assert_eq!(category, expected);
    }
}

#[test]
fn tests_and_smoke_test_can_be_skipped() {
    let request = read(&[
        "--context=app",
        "--image=app:1",
        "--target=BUILD",
        "--test-target=none",
        "--health-path=none",
    ]);
    let request = request.unwrap();
    assert_eq!((request.tests, request.smoke), (None, None));
    assert_eq!(request.build.target.as_deref(), Some("BUILD"));
}

#[test]
fn the_image_that_the_tests_run_in_is_detected() {
    let target = |dockerfile: &str, args: &[&str]| {
        let file = format!("--dockerfile={dockerfile}");
        let mut all = vec!["--context=app", "--image=app:1", &file];
        all.extend_from_slice(args);
        let request = read(&all).unwrap();
        request.tests.map(|tests| tests.target.to_string())
    };
    let table: [(&str, &[&str], &str); 4] = [
        ("Dockerfile", &[], "stage `test`"),
        ("tests.Dockerfile", &[], "stage `unit-tests`"),
        ("plain.Dockerfile", &["--test-command=pytest"], "the image"),
        (
            "plain.Dockerfile",
            &["--test-command=pytest", "--test-target=build"],
            "stage `build`",
        ),
    ];
    for (dockerfile, args, expected) in table {
        assert_eq!(target(dockerfile, args).as_deref(), Some(expected));
    }
    // Without a command and a stage there is nothing to run, which is not a success.
    assert!(
        read(&[
            "--context=app",
            "--image=app:1",
            "--dockerfile=plain.Dockerfile"
        ])
        .is_err()
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn every_error_names_its_input_and_what_is_valid() {
    let table: &[(&[&str], &str)] = &[
        (
            &["--image=App:1"],
            "input `image`: `App:1`: invalid repository name `App`; use lower-case letters and digits, separated by single `.`, `_` or `-`",
        ),
        (
            &["--image=app"],
            "input `image`: `app` has no tag; write it as `name:tag`, or set `tags`",
        ),
        (
            &["--context=src"],
            "input `context`: there is no directory `src` in the workspace",
        ),
        (
            &["--context=../x"],
            "input `context`: `../x` must not contain `..`",
        ),
        (
            &["--dockerfile=Nope"],
            "input `dockerfile`: `Nope` in `app` cannot be read: No such file or directory (os error 2)",
        ),
        (
            &["--dockerfile=../../Dockerfile"],
            "input `dockerfile`: `../../Dockerfile` must be a path that is relative to `context`, in the workspace",
        ),
        (
            &["--dockerfile=app/plain.Dockerfile"],
            "input `dockerfile`: `app/plain.Dockerfile` in `app` cannot be read: No such file or directory (os error 2); it is relative to `context`: write `plain.Dockerfile`",
        ),
        (
            &["--dockerfile=empty"],
            "input `dockerfile`: `empty` has no FROM instruction",
        ),
        (
            &["--target=prod"],
            "input `target`: `Dockerfile` has no stage `prod`; its stages: `build`, `test`",
        ),
        (
            &["--test-target=unit"],
            "input `test-target`: `Dockerfile` has no stage `unit`; its stages: `build`, `test`; `none` builds without tests, and `test-command` runs them in the image itself",
        ),
        (
            &["--test-target=0"],
            "input `test-target`: `Dockerfile` has no stage `0`; its stages: `build`, `test`; `none` builds without tests, and `test-command` runs them in the image itself",
        ),
        (
            &["--junit-path=out.xml\nresults/"],
            "input `junit-path`: `results/` is not the path of a file",
        ),
        (
            &["--coverage-path=a{b"],
            "input `coverage-path`: `a{b`: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)",
        ),
        (
            &["--junit-file=/etc/x"],
            "input `junit-file`: `/etc/x` is outside the workspace; use a path relative to it",
        ),
        (
            &["--health-path=health"],
            "input `health-path`: `health` must start with `/` and contain no whitespace, or be `auto`, `tcp`, `healthcheck` or `none`",
        ),
        (
            &["--test-command=pytest", "--test-target=none"],
            "input `test-command`: is set, and `test-target: none` is for no tests",
        ),
        (
            &["--test-env=A"],
            "input `test-env`: line `A` is not of the form `NAME=value`",
        ),
        (
            &["--smoke-env=A=1\nA=2"],
            "input `smoke-env`: `A` is set twice",
        ),
        (
            &["--smoke-command='a"],
            "input `smoke-command`: the quotes of `'a` are not closed",
        ),
        (
            &["--smoke-user=root"],
            "input `smoke-user`: invalid value `root`; expected one of `non-root`, `any`",
        ),
        (
            &["--services=db:\n  image: x\n  options: --privileged=true"],
            "input `services`: `db`: `--privileged` in `options` is not supported; supported are `--health-cmd`, `--health-interval`, `--health-retries`, `--health-start-period`, `--health-timeout`, `--no-healthcheck`, `--entrypoint`, `--env`, `--tmpfs`, `--user`",
        ),
        (
            &["--port=0"],
            "input `port`: `0`: number would be zero for non-zero type",
        ),
        (
            &["--port=http"],
            "input `port`: `http`: invalid digit found in string",
        ),
        (
            &["--smoke-timeout=soon"],
            "input `smoke-timeout`: invalid duration `soon`; use a form such as `90s`, `5m` or `1h30m`",
        ),
        (
            &["--build-args=A"],
            "input `build-args`: line `A` is not of the form `NAME=value`",
        ),
        (
            &["--build-args=A-B=1"],
            "input `build-args`: `A-B` is not a valid name of a build argument",
        ),
        (
            &["--build-args=A=1\nA=2"],
            "input `build-args`: `A` is set twice",
        ),
        (
            &["--build-secrets=token=x\ns3cr3t"],
            "input `build-secrets`: line 2 is not of the form `id=value`",
        ),
        (
            &["--build-secrets=a=1\na=2"],
            "input `build-secrets`: `a` is set twice",
        ),
        (
            &["--junit-file=."],
            "input `junit-file`: `.` is not the path of a file",
        ),
        (
            &["--static-analysis=ruff, pylint"],
            "input `static-analysis`: invalid value `pylint`; expected one of `ruff`, `ruff-format`, `mypy`, `bandit`, `hadolint`, `pip check`, `auto`, `none`",
        ),
        (
            &["--fail-on-analysis=info"],
            "input `fail-on-analysis`: invalid value `info`; expected one of `error`, `warning`, `note`, `none`",
        ),
        (
            &["--fail-on=bad"],
            "input `fail-on`: invalid value `bad`; expected one of `critical`, `high`, `medium`, `low`, `none`",
        ),
        (
            &["--min-coverage=101"],
            "input `min-coverage`: `101` is not a percentage between 0 and 100",
        ),
        (
            &["--lock-file=requirements.txt"],
            "input `lock-file`: there is no `requirements.txt` in the workspace",
        ),
        (
            &["--lock-file=app/empty", "--trivy-image=trivy:1"],
            "input `trivy-image`: `trivy:1`: must be pinned by digest (`name@sha256:…`)",
        ),
    ];
    for (args, message) in table {
        let mut all = vec!["--context=app", "--image=app:1"];
        all.extend_from_slice(args);
        assert_eq!(read(&all).unwrap_err(), *message);
    }
}
