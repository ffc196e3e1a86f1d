//! What fails the step.

use crate::step::{fingerprints, sarif, scans, step};

#[test]
fn the_gate_is_apart_from_the_report() {
    let table = [
        ("critical", "false", 0),
        ("high", "false", 1),
        ("low", "true", 1),
        ("none", "false", 0),
    ];
    for (fail_on, fixable_only, code) in table {
        let ran = step()
            .input("fail-on", fail_on)
            .input("fail-on-fixable-only", fixable_only)
            .run();
        assert_eq!((ran.code, ran.output("total")), (code, "3"), "{fail_on}");
    }
    let ran = step().input("fail-on", "high").run();
    assert_eq!(
        ran.error(),
        "trivy-scan: 2 findings of severity high or worse; update what has a fixed version, or list in `ignore-file` what cannot do harm here"
    );
    assert_eq!(ran.output("result"), "failed");
}

#[test]
fn only_what_the_baseline_does_not_have_is_new() {
    let first = step();
    first.run();
    let mut base = sarif(&first);
    let results = base["runs"][0]["results"].as_array_mut().unwrap();
    let mut gone = results.remove(0);
    gone["ruleId"] = "CVE-2020-1".into();
    results.push(gone);
    let of = |new_only: &str| {
        step()
            .file("base.sarif", &base.to_string())
            .input("baseline", "base.sarif")
            .input("fail-on", "low")
            .input("fail-on-new-only", new_only)
    };
    let ran = of("true").run();
    assert_eq!(
        (ran.output("new"), ran.output("fixed")),
        ("1", "1"),
        "{}",
        ran.log
    );
    assert!(
        ran.error()
            .starts_with("trivy-scan: 1 new finding of severity low or worse"),
        "{}",
        ran.error()
    );
    let same = step()
        .file("base.sarif", &sarif(&first).to_string())
        .input("baseline", "base.sarif")
        .input("fail-on", "low")
        .input("fail-on-new-only", "true")
        .run();
    assert_eq!((same.code, same.output("new")), (0, "0"), "{}", same.log);
}

#[test]
fn of_several_targets_each_is_compared_with_its_own_analysis() {
    let first = step();
    first.run();
    let ran = step()
        .file("base.sarif", &sarif(&first).to_string())
        .input("image", "")
        .input("targets", "image app:1\nfs .")
        .input("baseline", "base.sarif")
        .run();
    assert_eq!(
        (ran.code, ran.output("new"), ran.output("fixed")),
        (0, "0", "0"),
        "{}",
        ran.log
    );
    let warning = "::warning::new findings in fs `repository` are unknown: the baseline file has no analysis of it";
    assert!(ran.log.contains(warning), "{}", ran.log);
}

#[test]
fn the_base_image_is_scanned_with_the_same_database() {
    let step = step().input("baseline", "image:app:main");
    let ran = step.run();
    assert_eq!(
        (ran.code, ran.output("new"), ran.output("fixed")),
        (0, "0", "0"),
        "{}",
        ran.log
    );
    let scanned = scans(&step);
    assert!(
        scanned.len() == 2 && scanned[1].ends_with("-- app:main"),
        "{scanned:?}"
    );
    assert_eq!(fingerprints(&step).len(), 4);
}

#[test]
fn of_several_images_the_base_image_is_that_of_its_repository() {
    let step = step()
        .input("image", "")
        .input("targets", "image app:2\nimage db:1")
        .input("baseline", "image:app:main")
        .input("fail-on", "high")
        .input("fail-on-new-only", "true");
    let ran = step.run();
    // What the base of one image has is not known in another one.
    assert_eq!((ran.code, ran.output("new")), (1, "0"), "{}", ran.log);
    let warning = "::warning::new findings in image `db` are unknown: the baseline is an image of another repository";
    assert!(ran.log.contains(warning), "{}", ran.log);
    let scanned = scans(&step);
    let of_base = scanned.iter().filter(|line| line.ends_with("-- app:main"));
    assert_eq!((of_base.count(), scanned.len()), (1, 3), "{scanned:?}");
}

#[test]
fn without_a_baseline_every_finding_counts_as_new_with_a_warning() {
    let ran = step()
        .env("GITHUB_EVENT_NAME", "pull_request")
        .env("GITHUB_BASE_REF", "main")
        .input("fail-on", "high")
        .input("fail-on-new-only", "true")
        .run();
    assert_eq!(ran.code, 1);
    assert!(
        ran.log
            .contains("::warning::new findings in image `app` are unknown: there is no token"),
        "{}",
        ran.log
    );
    assert!(
        ran.log
            .contains("without a baseline every finding counts as new"),
        "{}",
        ran.log
    );
}
