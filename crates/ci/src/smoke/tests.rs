use super::*;

#[test]
fn the_port_is_that_of_the_input_or_the_only_one() {
    type Row = (
        Option<u16>,
        &'static [&'static str],
        Result<u16, &'static str>,
    );
    let table: [Row; 5] = [
        (Some(9), &["8000/tcp"], Ok(9)),
        (None, &["8000/tcp", "53/udp"], Ok(8000)),
        (None, &["8000"], Ok(8000)),
        (
            None,
            &["53/udp"],
            Err(
                "the image exposes no port for the smoke test; add `EXPOSE` to the Dockerfile, or set `port`",
            ),
        ),
        (
            None,
            &["80/tcp", "81/tcp"],
            Err("the image exposes 2 ports; set `port` for the smoke test"),
        ),
    ];
    for (input, exposed, expected) in table {
        let exposed: Vec<_> = exposed.iter().map(ToString::to_string).collect();
        assert_eq!(
            port(input, &exposed).map_err(|e| e.to_string()),
            expected.map_err(str::to_owned)
        );
    }
}

#[test]
fn an_application_has_to_exit_after_sigterm() {
    let stop_problem = |code| stop_problem(code, Duration::from_secs(10));
    assert_eq!(stop_problem(0), None);
    assert_eq!(stop_problem(143), None);
    assert!(
        stop_problem(137)
            .unwrap()
            .contains("10 seconds after SIGTERM")
    );
    assert!(stop_problem(1).unwrap().contains("exited with code 1"));
}

#[test]
fn every_form_of_health_check() {
    let table: [(&[&str], Option<&[&str]>); 4] = [
        (&[], None),
        (&["NONE"], None),
        (&["CMD", "curl", "x"], Some(&["curl", "x"])),
        (&["CMD-SHELL", "a || b"], Some(&["/bin/sh", "-c", "a || b"])),
    ];
    for (healthcheck, expected) in table {
        let healthcheck: Vec<_> = healthcheck.iter().map(ToString::to_string).collect();
        assert_eq!(check_command(&healthcheck).as_deref(), expected);
    }
}

#[test]
fn root_has_many_names() {
    for (user, root) in [
        ("", true),
        ("0:0", true),
        ("root", true),
        ("10001:10001", false),
        ("app", false),
    ] {
        assert_eq!(is_root(user), root, "{user}");
    }
}

#[test]
fn a_known_problem_has_a_hint() {
    let lines = [
        "x".to_owned(),
        "OSError: [Errno 30] Read-only file system: '/log'".to_owned(),
    ];
    assert!(hint(&lines).unwrap().contains("/tmp"));
    assert_eq!(hint(&lines[..1]), None);
}
