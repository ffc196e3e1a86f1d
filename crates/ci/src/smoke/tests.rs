use super::application::{is_numeric, is_root, port};
use super::*;

fn smoke() -> Smoke {
    crate::report::tests::request().smoke.unwrap()
}

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
        let smoke = Smoke {
            port: input,
            ..smoke()
        };
        let config = ImageConfig {
            exposed_ports: exposed,
            ..ImageConfig::default()
        };
        assert_eq!(
            port(&smoke, &config).map_err(|e| e.to_string()),
            expected.map(Some).map_err(str::to_owned)
        );
    }
}

#[test]
fn a_port_that_is_not_exposed_is_that_of_the_check_or_the_environment() {
    let port = |env: &[&str], exposed: &[&str], check: &[&str]| {
        let strings = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        let config = ImageConfig {
            env: strings(env),
            exposed_ports: strings(exposed),
            healthcheck: strings(check),
            ..ImageConfig::default()
        };
        port(&smoke(), &config).ok().flatten()
    };
    let check = ["CMD", "curl", "http://localhost:81/up"];
    assert_eq!(port(&[], &["80/tcp", "81/tcp"], &check), Some(81));
    assert_eq!(port(&["PORT=8080"], &[], &[]), Some(8080));
    assert_eq!(port(&["PORT=8080"], &[], &check), Some(81));
    assert_eq!(port(&["PORT=8080"], &["80/tcp", "90/tcp"], &[]), None);
    assert_eq!(port(&[], &[], &[]), None);
    // The check may have a variable, and no scheme.
    let check = ["CMD-SHELL", "curl -f localhost:${APP_PORT:-9000}/up"];
    assert_eq!(port(&["APP_PORT=7000"], &[], &check), Some(7000));
    assert_eq!(port(&[], &[], &check), Some(9000));
}

#[test]
fn every_relaxation_is_reported() {
    assert_eq!(relaxed(&smoke(), false), Vec::<String>::new());
    let smoke = Smoke {
        memory: 512,
        read_only: false,
        may_be_root: true,
        ..smoke()
    };
    assert_eq!(
        relaxed(&smoke, true),
        [
            "root, with Docker's default capabilities (`smoke-user: any`)",
            "writable root file system (`smoke-read-only: false`)",
            "512 MB of memory (`smoke-memory`)"
        ]
    );
    // An image that is not root needs no permission.
    assert_eq!(relaxed(&smoke, false).len(), 2);
}

#[test]
fn every_form_of_health_check() {
    let strings = |list: &[&str]| -> Vec<String> { list.iter().map(ToString::to_string).collect() };
    let table: [(&[&str], Option<&[&str]>); 4] = [
        (&[], None),
        (&["NONE"], None),
        (&["CMD", "curl", "x"], Some(&["curl", "x"])),
        (&["CMD-SHELL", "a || b"], Some(&["/bin/sh", "-c", "a || b"])),
    ];
    for (healthcheck, expected) in table {
        let config = ImageConfig {
            healthcheck: strings(healthcheck),
            ..ImageConfig::default()
        };
        assert_eq!(check_command(&config).as_deref(), expected);
    }
    // `SHELL ["/bin/bash", "-o", "pipefail", "-c"]`
    let config = ImageConfig {
        healthcheck: strings(&["CMD-SHELL", "[[ -e /x ]]"]),
        shell: strings(&["/bin/bash", "-o", "pipefail", "-c"]),
        ..ImageConfig::default()
    };
    assert_eq!(
        check_command(&config).unwrap(),
        ["/bin/bash", "-o", "pipefail", "-c", "[[ -e /x ]]"]
    );
}

#[test]
fn root_has_many_names() {
    for (user, root) in [
        ("", true),
        ("0:0", true),
        ("000:1", true),
        ("root", true),
        ("10001:10001", false),
        ("app", false),
    ] {
        assert_eq!(is_root(user), root, "{user}");
    }
    // The kubelet does not look up a name.
    for (user, numeric) in [("10001", true), ("10001:app", true), ("nobody", false)] {
        assert_eq!(is_numeric(user), numeric, "{user}");
    }
}

#[test]
fn a_known_problem_has_a_hint() {
    let lines = [
        "x".to_owned(),
        "OSError: [Errno 30] Read-only file system: '/log'".to_owned(),
    ];
    assert!(diagnosis::of_log(&lines, 256).unwrap().contains("/tmp"));
    assert_eq!(diagnosis::of_log(&lines[..1], 256), None);
    // As other languages say it.
    let table = [
        ("Error: EROFS: read-only file system, mkdir '/x'", "/tmp"),
        ("open /x: read-only file system", "/tmp"),
        (
            "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
            "256 MB, as `smoke-memory`",
        ),
        (
            "java.lang.OutOfMemoryError: Java heap space",
            "256 MB, as `smoke-memory`",
        ),
        (
            "java.lang.OutOfMemoryError: unable to create native thread",
            "128 processes and threads",
        ),
        ("RuntimeError: can't start new thread", "128 processes"),
        (
            "Error: EPERM: operation not permitted, chown",
            "capabilities",
        ),
    ];
    for (line, hint) in table {
        let text = diagnosis::of_log(&[line.to_owned()], 256).unwrap();
        assert!(text.contains(hint), "{text}");
    }
}
