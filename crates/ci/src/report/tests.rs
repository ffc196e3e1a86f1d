use actions_toolkit::Workspace;

use super::outputs::outputs;
use super::*;
use crate::build::{Build, Stage};
use crate::outcome::{BuildOutcome, Health, ImageOutcome, TestOutcome, TestRun};
use crate::request::{self, Smoke, Tests};
use crate::source_map::SourceMap;
use crate::test_run::coverage::changed::ChangedCoverage;
use crate::test_run::coverage::{Coverage, FileCoverage};
use crate::test_run::junit::Junit;

pub(crate) fn request() -> Request {
    let workspace = Workspace::new("/w");
    let file = |input, path| workspace.path(input, path).unwrap();
    Request {
        workspace: Workspace::new("/w"),
        build: request::Build {
            context: "/w/app".into(),
            dockerfile: request::path::DockerfilePath {
                in_context: "Dockerfile".into(),
                in_workspace: "app/Dockerfile".into(),
            },
            image: "flask-app:f00".parse().unwrap(),
            bases: Vec::new(),
            ssh: docker::SshAgents::default(),
            builder: None,
            pinned: Vec::new(),
            target: None,
            args: Vec::new(),
            secrets: docker::BuildSecrets::default(),
            labels: Vec::new(),
            cache: docker::Cache::default(),
            timeout: Duration::from_secs(60),
        },
        names: request::Names {
            names: vec!["flask-app:f00".parse().unwrap()],
            left_out: Vec::new(),
        },
        registries: registries::Registries::default(),
        push: request::Push::No,
        push_timeout: Duration::from_secs(60),
        linting: None,
        dependencies: None,
        sarif_file: file("sarif-file", "ci.sarif"),
        _files: std::sync::Arc::default(),
        category: "local:local".into(),
        records: None,
        github: github::GitHubInputs {
            token: None,
            upload: true,
            comment: true,
        },
        tests: Some(Tests {
            service: None,
            target: request::TestImage::Stage("test".into()),
            command: None,
            env: Vec::new(),
            application: None,
            outside: crate::services::Outside::Unreachable,
            junit_paths: Vec::new(),
            junit_file: file("junit-file", "junit.xml"),
            coverage_path: None,
            coverage_file: None,
            base_coverage: request::test_stage::BaseCoverage::Known(Coverage {
                files: vec![FileCoverage {
                    covered: 9,
                    total: 10,
                    ..FileCoverage::default()
                }],
                claimed: None,
            }),
            min_coverage: None,
            baseline: None,
            memory: None,
            cpus: None,
            timeout: Duration::from_secs(60),
        }),
        services: Vec::new(),
        services_timeout: Duration::from_secs(60),
        smoke: Some(Smoke {
            service: None,
            health: request::HealthTarget::Path("/health".into()),
            port: None,
            env: Vec::new(),
            command: Vec::new(),
            memory: 256,
            may_be_root: false,
            read_only: true,
            timeout: Duration::from_secs(60),
            stop_timeout: Duration::from_secs(10),
        }),
    }
}

fn test_run(cases: &str) -> TestRun {
    TestRun {
        junit: Junit::parse(&format!("<testsuite>{cases}</testsuite>")).unwrap(),
        new_failures: None,
        time: Duration::from_millis(1500),
        source_map: SourceMap {
            workspace: Workspace::new("/w"),
            context: "/w/app".into(),
            workdir: "/app".into(),
            module: None,
            index: crate::source_map::FileIndex::default(),
        },
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one snapshot of everything")]
fn a_successful_run() {
    let outcome = Outcome {
        tests: TestOutcome {
            build: BuildOutcome {
                build: Some(Build {
                    title: "stage `test`".into(),
                    time: Duration::from_secs(9),
                    stages: vec![Stage {
                        name: "build".into(),
                        steps: 3,
                        cached: 1,
                        seconds: 8.25,
                    }],
                }),
                ..BuildOutcome::default()
            },
            run: Some(test_run(
                "<testcase name='a' time='0.5'/><testcase name='b'><skipped/></testcase><testcase name='c'><flakyFailure/></testcase>",
            )),
            coverage: Some(Coverage {
                files: vec![FileCoverage {
                    path: "app/page.py".into(),
                    covered: 19,
                    total: 20,
                    missing: vec![7],
                    executed: Vec::new(),
                }],
                claimed: None,
            }),
            changed: Some(ChangedCoverage {
                covered: 2,
                total: 3,
                missing: vec![("app/page.py".into(), vec![7])],
                differing: 0,
            }),
            ..TestOutcome::default()
        },
        image: ImageOutcome {
            image: Some(docker::ImageInfo {
                id: "sha256:0a".into(),
                size: 81_234_567,
                created: "2026-01-31T12:00:00Z".into(),
                ..Default::default()
            }),
            layers: vec![docker::Layer {
                instruction: "COPY a b".into(),
                size: 1_500_000,
            }],
            health: Some(Health {
                request: "GET /health".into(),
                relaxed: vec!["writable root file system (`smoke-read-only: false`)".into()],
                healthy_after: Some(Duration::from_millis(800)),
                checked: Some(true),
                stopped: Some((0, Duration::from_millis(300))),
                problem: None,
            }),
            is_tagged: true,
            ..ImageOutcome::default()
        },
        ..Outcome::default()
    };
    insta::assert_snapshot!(summary(&request(), &outcome, &[]), @"
    ## ci: `flask-app:f00`

    | | Check | |
    |---|---|---|
    | ✅ | Tests | 2 passed, 1 skipped, 1 only after a rerun in 1.5 s |
    | ✅ | Coverage | 95.00 % (19 of 20 lines and branches); +5.00 from the base branch (90.00 %) |
    | ➖ | Changed lines | 66.66 % covered (2 of 3 that are measured) |
    | ✅ | Image | `sha256:0a`, 81.2 MB |
    | ✅ | Smoke test | `GET /health` healthy after 0.8 s; HEALTHCHECK passed; stopped in 0.3 s (exit code 0); less strict than in production: writable root file system (\\`smoke-read-only: false\\`) |

    ### Flaky tests

    - `c` passed only after a rerun

    <details><summary>Changed lines that no test covers</summary>

    | File | Lines |
    |---|---|
    | `app/page.py` | 7 |

    </details>

    <details><summary>Not covered by tests</summary>

    | File | Coverage | Lines |
    |---|--:|---|
    | `app/page.py` | 95.00 % | 7 |

    </details>

    <details><summary>Slowest tests</summary>

    | Test | Time |
    |---|--:|
    | `a` | 0.50 s |

    </details>

    <details><summary>Layers</summary>

    | Instruction | Size |
    |---|--:|
    | `COPY a b` | 1.5 MB |

    </details>

    <details><summary>Build: 9.0 s</summary>

    | Build | Stage | Steps | From cache | Time |
    |---|---|--:|--:|--:|
    | stage test | build | 3 | 1 | 8.2 s |

    </details>
    ");
    let outputs: Vec<_> = outputs(&request(), &outcome)
        .into_iter()
        .map(|(n, v)| format!("{n}={v}"))
        .collect();
    assert_eq!(
        outputs.join(" "),
        "image=flask-app:f00 tags=flask-app:f00 image-id=sha256:0a created=2026-01-31T12:00:00Z size=81234567 tests=3 failures=0 skipped=1 flaky=1 coverage=95.00 coverage-change=+5.00 changed-coverage=66.66 health-status=healthy"
    );
}

#[test]
fn failed_tests_are_reported_in_full() {
    let outcome = Outcome {
        tests: TestOutcome {
            run: Some(test_run(
                "<testcase classname='m' name='f[&lt;b&gt;]'><failure message='assert 1 == 2'>E ```\nboom</failure></testcase>",
            )),
            build: BuildOutcome {
                log_tail: Some(LogTail {
                    title: "Last lines".into(),
                    lines: vec!["::error::x".into()],
                }),
                ..BuildOutcome::default()
            },
            ..TestOutcome::default()
        },
        ..Outcome::default()
    };
    insta::assert_snapshot!(summary(&request(), &outcome, &[]), @"
    ## ci: `flask-app:f00`

    | | Check | |
    |---|---|---|
    | ❌ | Tests | 0 passed, 1 failed in 1.5 s |
    | ❔ | Image | not built |
    | ❔ | Smoke test | not run |

    ### Failed tests

    <details><summary>m::f[&lt;b&gt;]</summary>

    ````text
    E ```
    boom
    ````

    </details>

    ### Last lines

    ```text
    ::error::x
    ```
    ");
}

#[test]
fn the_last_line_of_the_log() {
    let full = request();
    assert_eq!(
        last_line(&full),
        "`flask-app:f00` is built, tested, healthy"
    );
    let bare = Request {
        tests: None,
        smoke: None,
        ..full
    };
    assert_eq!(last_line(&bare), "`flask-app:f00` is built");
}

#[test]
fn skipped_checks_are_reported() {
    let request = Request {
        tests: None,
        smoke: None,
        ..request()
    };
    insta::assert_snapshot!(summary(&request, &Outcome::default(), &[]), @"
    ## ci: `flask-app:f00`

    | | Check | |
    |---|---|---|
    | ➖ | Tests | skipped (`test-target: none`) |
    | ❔ | Image | not built |
    | ➖ | Smoke test | skipped (`health-path: none`) |
    ");
    assert_eq!(
        outputs(&request, &Outcome::default()),
        [("health-status", "skipped".to_owned())]
    );
}

#[test]
fn every_failed_test_is_an_annotation_and_the_summary_is_limited() {
    let many = Outcome {
        tests: TestOutcome {
            run: Some(test_run(
                &"<testcase name='t'><failure>no</failure></testcase>".repeat(10_000),
            )),
            ..TestOutcome::default()
        },
        ..Outcome::default()
    };
    let all = annotations::all(&request(), &many);
    assert_eq!(all.len(), 10_000);
    assert!(
        all.iter()
            .all(|(_, location, message)| location.is_none() && message == "t: no")
    );
    let text = summary(&request(), &many, &["something else".into()]);
    assert!(text.len() < 1024 * 1024 && text.contains("9980 more are in the JUnit report."));
    assert!(text.contains("\n- something else\n"));
}
