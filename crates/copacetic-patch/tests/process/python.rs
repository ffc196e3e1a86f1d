//! Packages of Python, with the real Copa, BuildKit, Trivy, Docker and pip.

use crate::bench::{Bench, ended};

fn remains(summary: &str) -> String {
    let rows = summary.lines().skip_while(|line| !line.contains("Why"));
    rows.skip(2).collect::<Vec<_>>().join("\n")
}

#[test]
#[ignore = "real: needs Docker, Copa, BuildKit and Trivy"]
fn a_package_of_python_is_patched_within_its_major_version_if_that_is_wanted() {
    let bench = Bench::python("python", "vulnlib", "vulnpy==1.0.0").input("package-types", "os");
    let ran = bench.run();
    ended(&ran, 0, "patched");
    assert_eq!(bench.prints(&bench.patched, "vulnlib"), "vulnlib 1.0-2");
    assert_eq!(bench.imports(&bench.patched, "vulnpy"), "1.0.0");
    insta::assert_snapshot!(remains(&ran.summary), @r"
    | CVE-2099-0006 | `vulnpy` | high | it is a package of Python: \`package-types: os,library\` or a new build mends it |
    | CVE-2099-0007 | `vulnpy` | medium | only another major version mends it, 2.0.0: that takes a new build |
    ");

    // What was patched so far is no reason to leave it at that.
    let bench = bench.input("package-types", "os,library");
    let ran = bench.run();
    ended(&ran, 0, "patched");
    assert_eq!(bench.prints(&bench.patched, "vulnlib"), "vulnlib 1.0-2");
    assert_eq!(bench.imports(&bench.image, "vulnpy"), "1.0.0");
    assert_eq!(bench.imports(&bench.patched, "vulnpy"), "1.0.2");
    assert_eq!(
        (ran.output("fixed-count"), ran.output("remaining-count")),
        ("2", "1")
    );
    insta::assert_snapshot!(remains(&ran.summary), @"| CVE-2099-0007 | `vulnpy` | medium | only another major version mends it, 2.0.0: that takes a new build |");
}

#[test]
#[ignore = "real: needs Docker, Copa, BuildKit and Trivy"]
fn what_pip_objects_to_is_left_out_and_the_rest_is_patched() {
    let bench = Bench::python("python-strict", "vulnlib", "vulnpy==1.0.0 strict==1.0");
    let ran = bench.run();
    ended(&ran, 0, "partial");
    assert_eq!(bench.prints(&bench.patched, "vulnlib"), "vulnlib 1.0-2");
    assert_eq!(bench.imports(&bench.patched, "vulnpy"), "1.0.0");
    insta::assert_snapshot!(remains(&ran.summary), @r"
    | CVE-2099-0006 | `vulnpy` | high | \`pip check\` objects: strict 1.0 has requirement vulnpy&lt;1.0.1, but you have vulnpy 1.0.2. |
    | CVE-2099-0007 | `vulnpy` | medium | only another major version mends it, 2.0.0: that takes a new build |
    ");
}

#[test]
#[ignore = "real: needs Docker, Copa, BuildKit and Trivy"]
fn packages_of_python_alone_are_patched_or_the_tag_is_untouched() {
    // The image's own command asks for a package that it does not have.
    let alone = |name, wheels| Bench::python(name, "", wheels).input("smoke-command", "true");
    let bench = alone("python-alone", "vulnpy==1.0.0");
    let ran = bench.run();
    ended(&ran, 0, "patched");
    assert_eq!(bench.imports(&bench.patched, "vulnpy"), "1.0.2");

    let bench = alone("python-refused", "vulnpy==1.0.0 strict==1.0");
    let ran = bench.run();
    ended(&ran, 1, "failed");
    insta::assert_snapshot!(ran.error(), @"copacetic-patch: `pip check` objects: strict 1.0 has requirement vulnpy<1.0.1, but you have vulnpy 1.0.2.; `seaworthy-patch-real:python-refused-patched` is untouched");
    assert_eq!(bench.inspect(&bench.patched), None);
}
