//! Python packages, with the real Copa, BuildKit, Trivy, Docker and pip.

use crate::bench::{Bench, exited};

fn remaining(summary: &str) -> String {
    let rows = summary.lines().skip_while(|line| !line.contains("Reason"));
    rows.skip(2).collect::<Vec<_>>().join("\n")
}

#[test]
#[ignore = "real: needs Docker, Copa, BuildKit and Trivy"]
fn a_python_package_is_patched_within_its_major_version_with_os_library() {
    let bench = Bench::python("python", "vulnlib", "vulnpy==1.0.0").input("package-types", "os");
    let ran = bench.run();
    exited(&ran, 0, "patched");
    assert_eq!(bench.prints(&bench.patched, "vulnlib"), "vulnlib 1.0-2");
    assert_eq!(bench.imports(&bench.patched, "vulnpy"), "1.0.0");
    insta::assert_snapshot!(remaining(&ran.summary), @r"
    | CVE-2099-0006 | `vulnpy` | high | it is a Python package; set \`package-types: os,library\`, or rebuild the image |
    | CVE-2099-0007 | `vulnpy` | medium | only another major version fixes it (2.0.0); rebuild the image with it |
    ");

    // An existing patch without Python packages does not prevent a further one.
    let bench = bench.input("package-types", "os,library");
    let ran = bench.run();
    exited(&ran, 0, "patched");
    assert_eq!(bench.prints(&bench.patched, "vulnlib"), "vulnlib 1.0-2");
    assert_eq!(bench.imports(&bench.image, "vulnpy"), "1.0.0");
    assert_eq!(bench.imports(&bench.patched, "vulnpy"), "1.0.2");
    assert_eq!(
        (ran.output("fixed-count"), ran.output("remaining-count")),
        ("2", "1")
    );
    insta::assert_snapshot!(remaining(&ran.summary), @"| CVE-2099-0007 | `vulnpy` | medium | only another major version fixes it (2.0.0); rebuild the image with it |");
}

#[test]
#[ignore = "real: needs Docker, Copa, BuildKit and Trivy"]
fn packages_in_conflict_are_skipped_and_the_rest_is_patched() {
    let bench = Bench::python("python-strict", "vulnlib", "vulnpy==1.0.0 strict==1.0");
    let ran = bench.run();
    exited(&ran, 0, "partial");
    assert_eq!(bench.prints(&bench.patched, "vulnlib"), "vulnlib 1.0-2");
    assert_eq!(bench.imports(&bench.patched, "vulnpy"), "1.0.0");
    insta::assert_snapshot!(remaining(&ran.summary), @r"
    | CVE-2099-0006 | `vulnpy` | high | \`pip check\` reports: strict 1.0 has requirement vulnpy&lt;1.0.1, but you have vulnpy 1.0.2. |
    | CVE-2099-0007 | `vulnpy` | medium | only another major version fixes it (2.0.0); rebuild the image with it |
    ");
}

#[test]
#[ignore = "real: needs Docker, Copa, BuildKit and Trivy"]
fn python_packages_alone_are_patched_or_the_tag_is_untouched() {
    // The image's own command queries a package that it does not have.
    let alone = |name, wheels| Bench::python(name, "", wheels).input("smoke-command", "true");
    let bench = alone("python-alone", "vulnpy==1.0.0");
    let ran = bench.run();
    exited(&ran, 0, "patched");
    assert_eq!(bench.imports(&bench.patched, "vulnpy"), "1.0.2");

    let bench = alone("python-rejected", "vulnpy==1.0.0 strict==1.0");
    let ran = bench.run();
    exited(&ran, 1, "failed");
    insta::assert_snapshot!(ran.error(), @"copacetic-patch: `pip check` reports: strict 1.0 has requirement vulnpy<1.0.1, but you have vulnpy 1.0.2.; `seaworthy-patch-real-python-rejected:python-rejected-patched` is untouched");
    assert_eq!(bench.inspect(&bench.patched), None);
}
