use super::*;

#[test]
fn a_failure_has_the_package_managers_message() {
    let table: [(&[&str], &str, &[&str]); 11] = [
        (
            &[
                "#9 1.2 E: Unable to locate package vulnlib",
                "Error: failed to solve: exit code: 100",
            ],
            "E: Unable to locate package vulnlib",
            &["vulnlib: E: Unable to locate package vulnlib"],
        ),
        (
            &[
                "#9 0.3 E: Version '2.0' for 'zlib1g' was not found",
                "Error: x",
            ],
            "E: Version '2.0' for 'zlib1g' was not found",
            &["zlib1g: E: Version '2.0' for 'zlib1g' was not found"],
        ),
        (
            &["0.912 E: Package 'perl' has no installation candidate"],
            "E: Package 'perl' has no installation candidate",
            &["perl: E: Package 'perl' has no installation candidate"],
        ),
        (
            &[
                "#9 E: Failed to fetch http://d.o/pool/p/perl_5.40.1-6_amd64.deb  404  Not Found [IP: 1]",
            ],
            "E: Failed to fetch http://d.o/pool/p/perl_5.40.1-6_amd64.deb  404  Not Found [IP: 1]",
            &[
                "perl: E: Failed to fetch http://d.o/pool/p/perl_5.40.1-6_amd64.deb  404  Not Found [IP: 1]",
            ],
        ),
        (
            &[
                "time=\"2026-11-23T12:48:34Z\" level=error msg=\"downloaded package openssl version 1.0 lower than required 2.0 for update\"",
                "time=\"2026-11-23T12:48:34Z\" level=error msg=\"downloaded package libssl3 version 1.0 lower than required 2.1 for update\"",
                "Error: failed to solve: 2 errors occurred:",
            ],
            "Error: failed to solve: 2 errors occurred:",
            &[
                "libssl3: the archive has 1.0, but 2.1 is required",
                "openssl: the archive has 1.0, but 2.0 is required",
            ],
        ),
        (
            &[
                "time=\"x\" level=warning msg=\"apt-held packages found, not patched by Copa: [perl tzdata]\"",
                "#9 0.5 E: Held packages were changed and -y was used without --allow-change-held-packages.",
            ],
            "E: Held packages were changed and -y was used without --allow-change-held-packages.",
            &["perl: it is held back", "tzdata: it is held back"],
        ),
        (
            &[
                "level=warning msg=\"apt-held packages found, not patched by Copa: [perl]\"",
                "Error: no",
            ],
            "Error: no",
            &[],
        ),
        (
            &[
                "#9 0.6  vulnlib : Depends: other (>= 2) but it is not installable",
                "#9 0.6 E: Unable to correct problems, you have held broken packages.",
            ],
            "E: Unable to correct problems, you have held broken packages.",
            &["vulnlib: vulnlib : Depends: other (>= 2) but it is not installable"],
        ),
        (
            &[
                "Error: docker.io/library/debian:stable-slim: dial tcp: lookup registry-1.docker.io: no such host",
            ],
            "Error: docker.io/library/debian:stable-slim: dial tcp: lookup registry-1.docker.io: no such host; set `tooling-image` to an image that is available",
            &[],
        ),
        (
            &["Error: patch exceeded timeout 3s", ""],
            "Error: patch exceeded timeout 3s; raise `timeout`, or see in the log what took so long",
            &[],
        ),
        (&[], "exit code 2", &[]),
    ];
    for (tail, reason, packages) in table {
        let tail: Vec<String> = tail.iter().map(ToString::to_string).collect();
        let failure = Failure::from_output(&tail, "exit code 2");
        let blamed: Vec<_> = failure
            .packages
            .iter()
            .map(|(name, why)| format!("{name}: {why}"))
            .collect();
        assert_eq!(
            (failure.reason.as_str(), blamed),
            (reason, packages.iter().map(ToString::to_string).collect())
        );
    }
}

// As apt 3 and dpkg of Debian 13 print it.
#[test]
fn what_dpkg_and_the_solver_blame_is_named() {
    let of = |output: &[&str]| {
        let lines: Vec<_> = output.iter().map(|line| format!("#9 0.5 {line}")).collect();
        let failure = Failure::from_output(&lines, "exit code 1");
        format!("{}\n{:?}", failure.reason, failure.packages)
    };
    insta::assert_snapshot!(of(&[
        "Setting up failing (1.0-2) ...",
        "dpkg: error processing package failing (--configure):",
        " installed failing package post-installation script subprocess returned error exit status 3",
        "dpkg: dependency problems prevent configuration of user:amd64:",
        " user:amd64 depends on failing; however:",
        "  Package failing is not configured yet.",
        "dpkg: error processing package user:amd64 (--configure):",
        " dependency problems - leaving unconfigured",
        "*** edited.conf (Y/I/N/O/D/Z) [default=N] ? dpkg: error processing package edited (--configure):",
        " end of file on stdin at conffile prompt",
        "Errors were encountered while processing:",
        " failing",
        " edited",
        "E: Sub-process /usr/bin/dpkg returned an error code (1)",
    ]), @r#"
    E: Sub-process /usr/bin/dpkg returned an error code (1)
    {"edited": "end of file on stdin at conffile prompt", "failing": "installed failing package post-installation script subprocess returned error exit status 3"}
    "#);
    insta::assert_snapshot!(of(&[
        "The following packages have unmet dependencies:",
        " pinned : Conflicts: fine but 1.0-2 is to be installed",
        "E: Unable to correct problems, you have held broken packages.",
        "E: The following information from --solver 3.0 may provide additional context:",
        "   Unable to satisfy dependencies. Reached two conflicting decisions:",
        "   1. fine:amd64=1.0-2 is not selected for install because:",
    ]), @r#"
    E: Unable to correct problems, you have held broken packages.
    {"pinned": "pinned : Conflicts: fine but 1.0-2 is to be installed"}
    "#);
    insta::assert_snapshot!(of(&[
        "ERROR: unable to select packages:",
        "  openssl-3.3.2-r1:",
        "    breaks: world[openssl>3.3.3]",
        "    satisfies: libssl3-3.3.2-r1[openssl]",
    ]), @r#"
    ERROR: unable to select packages:
    {"openssl": "breaks: world[openssl>3.3.3]"}
    "#);
    insta::assert_snapshot!(of(&["No match for argument: openssl-libs", "Error: Unable to find a match: openssl-libs"]), @r#"
    Error: Unable to find a match: openssl-libs
    {"openssl-libs": "No match for argument: openssl-libs"}
    "#);
}

// As the tests and the bug reports of each package manager have it.
#[test]
fn what_each_package_manager_does_not_have_is_named() {
    let of = |output: &[&str]| {
        let lines: Vec<_> = output.iter().map(|line| format!("#9 0.5 {line}")).collect();
        let failure = Failure::from_output(&lines, "exit code 1");
        let blamed = failure.packages.into_iter();
        let blamed: Vec<_> = blamed.map(|(name, why)| format!("{name}: {why}")).collect();
        blamed.join("\n")
    };
    // apk
    insta::assert_snapshot!(of(&[
        "ERROR: unable to select packages:",
        "  openssl (no such package):",
        "    required by: world[openssl]",
        "  so:libldap.so.2 (no such package):",
        "    required by: postgresql-17.2-r0[so:libldap.so.2]",
    ]), @r"
    openssl: openssl (no such package)
    postgresql: required by: postgresql-17.2-r0[so:libldap.so.2]
    so:libldap.so.2: so:libldap.so.2 (no such package)
    ");
    // dnf
    insta::assert_snapshot!(of(&[
        "Error: ",
        " Problem 1: cannot install the best update candidate for package openssl-libs-1:3.0.7-1.el9.x86_64",
        "  - nothing provides libfoo.so.1()(64bit) needed by openssl-libs-1:3.0.8-1.el9.x86_64 from updates",
        " Problem 2: cannot install the best update candidate for package zlib-1.2.11-40.el9.x86_64",
        "  - cannot install both zlib-1.2.12-1.el9.x86_64 and zlib-1.2.11-40.el9.x86_64",
        " Problem 3: package curl-7.76.2-1.el9.x86_64 requires libcurl = 7.76.2, but none of the providers can be installed",
        "  - package curl-7.76.2-1.el9.x86_64 requires libcurl = 7.76.2, but none of the providers can be installed",
    ]), @r"
    curl: package curl-7.76.2-1.el9.x86_64 requires libcurl = 7.76.2, but none of the providers can be installed
    openssl-libs: nothing provides libfoo.so.1()(64bit) needed by openssl-libs-1:3.0.8-1.el9.x86_64 from updates
    zlib: Problem 2: cannot install the best update candidate for package zlib-1.2.11-40.el9.x86_64
    ");
    // microdnf, tdnf and zypper
    insta::assert_snapshot!(of(&["error: No package matches 'openssl-libs'"]), @"openssl-libs: error: No package matches 'openssl-libs'");
    insta::assert_snapshot!(of(&["openssl package not found or not installed"]), @"openssl: openssl package not found or not installed");
    insta::assert_snapshot!(of(&["No provider of 'libopenssl3' found."]), @"libopenssl3: No provider of 'libopenssl3' found.");
}

#[test]
fn a_release_that_the_archive_no_longer_has_is_explained() {
    let line = "E: The repository 'http://deb.debian.org/debian buster Release' does not have a Release file.";
    let failure = Failure::from_output(&[format!("#9 0.5 {line}")], "exit code 1");
    insta::assert_snapshot!(failure.reason, @"E: The repository 'http://deb.debian.org/debian buster Release' does not have a Release file; use a newer base image, or package sources that keep the release, such as `archive.debian.org`");
}

#[test]
fn a_program_that_the_image_lacks_is_not_tried_twice() {
    let failed = "process \"apt-get update\" did not complete successfully: exit code: 127";
    let tail = [
        "#9 0.112 /bin/sh: 1: apt-get: not found".to_owned(),
        format!("#9 ERROR: {failed}"),
        format!("Error: failed to solve: {failed}"),
    ];
    let failure = Failure::from_output(&tail, "exit code 1");
    assert!(!failure.is_unexplained);
    insta::assert_snapshot!(failure.reason, @r#"Error: failed to solve: process "apt-get update" did not complete successfully: exit code: 127; last output: /bin/sh: 1: apt-get: not found; the image lacks a program that Copa runs, such as its package manager: rebuild it on a newer base"#);
}

#[test]
fn a_step_that_fails_without_a_reason_has_its_last_output() {
    let of = |output: &str| {
        let failed = "process \"install\" did not complete successfully: exit code: 1";
        let tail = [
            format!("#9 0.112 {output}"),
            format!("#9 ERROR: {failed}"),
            format!("Error: failed to solve: {failed}"),
        ];
        let failure = Failure::from_output(&tail, "exit code 1");
        (failure.reason, failure.is_unexplained)
    };
    let pip = "ERROR: No matching distribution found for flask==3.0.9";
    assert_eq!(of(pip), (pip.to_owned(), false));
    let (reason, is_unexplained) = of("runc run failed: no cgroup");
    assert!(is_unexplained);
    assert_eq!(
        reason,
        "Error: failed to solve: process \"install\" did not complete successfully: exit code: 1; last output: runc run failed: no cgroup"
    );
}
