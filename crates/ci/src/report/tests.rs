use super::*;
use crate::build::Stage;
use crate::request::{Smoke, Tests};

fn request() -> Request {
    Request {
        workspace: "/w".into(),
        context: "/w/app".into(),
        dockerfile: "Dockerfile".into(),
        image: "flask-app:f00".parse().unwrap(),
        target: None,
        build_args: Vec::new(),
        labels: Vec::new(),
        build_timeout: Duration::from_secs(60),
        tests: Some(Tests {
            target: "test".into(),
            junit_path: "/results/junit.xml".into(),
            junit_file: "junit.xml".into(),
            timeout: Duration::from_secs(60),
        }),
        smoke: Some(Smoke {
            path: "/health".into(),
            port: None,
            timeout: Duration::from_secs(60),
        }),
    }
}

fn tested(cases: &str) -> TestRun {
    TestRun {
        junit: Junit::parse(&format!("<testsuite>{cases}</testsuite>")).unwrap(),
        time: Duration::from_millis(1500),
        map: Map {
            workspace: "/w".into(),
            context: "/w/app".into(),
            workdir: "/app".into(),
        },
    }
}

#[test]
fn a_good_run() {
    let proof = Proof {
        builds: vec![Build {
            title: "stage `test`".into(),
            time: Duration::from_secs(9),
            stages: vec![Stage {
                name: "build".into(),
                steps: 3,
                cached: 1,
                seconds: 8.25,
            }],
        }],
        tests: Some(tested(
            "<testcase name='a'/><testcase name='b'><skipped/></testcase><testcase name='c'><flakyFailure/></testcase>",
        )),
        image: Some(container::ImageInfo {
            id: "sha256:0a".into(),
            size: 81_234_567,
            ..Default::default()
        }),
        health: Some(Health {
            request: "GET /health".into(),
            healthy_after: Some(Duration::from_millis(800)),
            stopped: Some((0, Duration::from_millis(300))),
            problem: None,
        }),
        ..Proof::default()
    };
    insta::assert_snapshot!(summary(&request(), &proof), @"
    ## ci: `flask-app:f00`

    | | Check | |
    |---|---|---|
    | ✅ | Tests | 2 passed, 1 skipped, 1 only after a rerun in 1.5 s |
    | ✅ | Image | `sha256:0a`, 81.2 MB |
    | ✅ | Smoke test | `GET /health` healthy after 0.8 s; stopped in 0.3 s (exit code 0) |

    <details><summary>Build: 9.0 s</summary>

    | Build | Stage | Steps | From cache | Time |
    |---|---|--:|--:|--:|
    | stage test | build | 3 | 1 | 8.2 s |

    </details>
    ");
    let outputs: Vec<_> = outputs(&request(), &proof)
        .into_iter()
        .map(|(n, v)| format!("{n}={v}"))
        .collect();
    assert_eq!(
        outputs.join(" "),
        "image=flask-app:f00 image-id=sha256:0a size=81234567 tests=3 tests-failed=0 tests-skipped=1 health-status=healthy"
    );
}

#[test]
fn failed_tests_are_told_in_full() {
    let proof = Proof {
        tests: Some(tested(
            "<testcase classname='m' name='f[&lt;b&gt;]'><failure message='assert 1 == 2'>E ```\nboom</failure></testcase>",
        )),
        evidence: Some(Evidence {
            title: "Last lines".into(),
            lines: vec!["::error::x".into()],
        }),
        ..Proof::default()
    };
    insta::assert_snapshot!(summary(&request(), &proof), @"
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
fn the_log_ends_with_what_was_shown() {
    let full = request();
    assert_eq!(
        last_line(&full),
        "`flask-app:f00` is built, tested, serves and stops"
    );
    let bare = Request {
        tests: None,
        smoke: None,
        ..full
    };
    assert_eq!(last_line(&bare), "`flask-app:f00` is built");
}

#[test]
fn what_was_left_out_is_said() {
    let request = Request {
        tests: None,
        smoke: None,
        ..request()
    };
    insta::assert_snapshot!(summary(&request, &Proof::default()), @"
    ## ci: `flask-app:f00`

    | | Check | |
    |---|---|---|
    | ➖ | Tests | left out (`test-target: none`) |
    | ❔ | Image | not built |
    | ➖ | Smoke test | left out (`health-path: none`) |
    ");
    assert_eq!(
        outputs(&request, &Proof::default()),
        [("health-status", "skipped".to_owned())]
    );
}

#[test]
fn annotations_leave_room_for_the_last_word() {
    for (failed, shown, more) in [
        (0, 0, 0),
        (1, 1, 0),
        (9, 9, 0),
        (10, 9, 1),
        (10_000, 9, 9_991),
    ] {
        let run = tested(&"<testcase name='t'><failure message='no'/></testcase>".repeat(failed));
        let (list, rest) = annotations(&run.junit, &run.map);
        assert_eq!((list.len(), rest), (shown, more));
        assert!(
            list.iter()
                .all(|(place, message)| place.is_none() && message == "t: no")
        );
    }
    let many = Proof {
        tests: Some(tested(
            &"<testcase name='t'><failure>no</failure></testcase>".repeat(10_000),
        )),
        ..Proof::default()
    };
    let text = summary(&request(), &many);
    assert!(text.len() < 1024 * 1024 && text.contains("9980 more are in the JUnit report."));
}
