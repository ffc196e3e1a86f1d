//! `severity` and `ignore-unfixed`: what is shown and uploaded, and what the gate counts.

use fake_github::GitHub;

use crate::github::{pull_request, with_github};
use crate::step::{sarif, step, trivy};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_filter_hides_is_counted_and_neither_shown_nor_uploaded() {
    for (input, value) in [("severity", "CRITICAL,HIGH"), ("ignore-unfixed", "true")] {
        let server = GitHub::start("t").await.unwrap();
        let ran = with_github(&server, |step| {
            pull_request(
                step.input(input, value)
                    .input("table-file", "out/trivy.txt"),
            )
        })
        .await;
        assert_eq!(
            (ran.code, ran.output("total"), ran.output("hidden")),
            (0, "2", "1"),
            "{}",
            ran.log
        );
        let message = format!("hidden by `{input}`: 1 low (0 fixable); the gate counts them");
        assert!(ran.log.contains(&message), "{}", ran.log);
        assert!(ran.summary.contains(&message), "{}", ran.summary);
        let uploads = server.uploads()[0]["sarif"].to_string();
        let comment = &server.comments()[0];
        assert!(comment.contains(&message), "{comment}");
        for text in [&ran.summary, &uploads, comment] {
            assert!(text.contains("CVE-2026-84782"), "{text}");
            assert!(!text.contains("CVE-2026-00001"), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_without_findings_names_what_is_hidden() {
    let server = GitHub::start("t").await.unwrap();
    let ran = with_github(&server, pull_request).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let ran = with_github(&server, |step| {
        pull_request(step.input("severity", "critical").input("fail-on", "low"))
    })
    .await;
    assert_eq!((ran.code, ran.output("total")), (1, "0"), "{}", ran.log);
    insta::assert_snapshot!(server.comments()[0], @"
    <!-- seaworthy trivy-scan .github/workflows/ci.yml:scan -->
    ### 🔎 Trivy: no findings shown

    hidden by `severity`: 2 high, 1 low (2 fixable); the gate counts them


    [Everything in the summary of the run](https://github.com/octo-org/app/actions/runs/42)
    ");
}

#[test]
fn the_text_file_has_a_line_for_each_finding_that_is_shown() {
    let step = step()
        .input("severity", "high")
        .input("table-file", "out/trivy.txt");
    let ran = step.run();
    assert_eq!(ran.output("table-file"), "out/trivy.txt", "{}", ran.log);
    let text = std::fs::read_to_string(step.workspace().join("out/trivy.txt")).unwrap();
    insta::assert_snapshot!(text, @"
    image app (debian 13.8, 2 packages): 2 high (2 fixable)
    high      CVE-2026-84782      libssl3t64 3.5.7 → 3.5.9
    high      CVE-2026-84782      openssl 3.5.7 → 3.5.9
    hidden by `severity`: 1 low (0 fixable); the gate counts them
    ");
    assert_eq!(
        sarif(&step)["runs"][0]["results"].as_array().unwrap().len(),
        3
    );
}

#[test]
fn the_gate_counts_what_is_hidden_and_names_how_many() {
    let run = |fixable: &str| {
        step()
            .input("severity", "critical")
            .input("fail-on", "low")
            .input("fail-on-fixable-only", fixable)
            .run()
    };
    let ran = run("false");
    assert_eq!((ran.code, ran.output("total")), (1, "0"), "{}", ran.log);
    insta::assert_snapshot!(ran.error(), @"trivy-scan: 3 findings of severity low or worse (3 hidden by the filters); update what has a fixed version, or list in `ignore-file` what cannot do harm here");
    let ran = run("true");
    assert!(
        ran.error().contains("2 fixable findings"),
        "{}",
        ran.error()
    );
}

#[test]
fn a_hidden_finding_is_new_by_a_scan_of_the_base_and_undecided_by_an_upload() {
    let base = step();
    base.run();
    let file = std::fs::read_to_string(base.workspace().join("trivy-results.sarif")).unwrap();
    let new = crate::step::REPORT.replace("CVE-2026-00001", "CVE-2026-00009");
    let filtered = || {
        step()
            .tool("trivy", &trivy(&new))
            .input("ignore-unfixed", "true")
            .input("fail-on", "low")
            .input("fail-on-new-only", "true")
    };
    let ran = filtered()
        .file("base.sarif", &file)
        .input("baseline", "base.sarif")
        .run();
    assert_eq!(
        (ran.code, ran.output("new"), ran.output("fixed")),
        (0, "0", "1"),
        "{}",
        ran.log
    );
    let remark = "has no findings that `ignore-unfixed` hides, so it is unknown whether 1 finding of them are new";
    assert!(ran.log.contains(remark), "{}", ran.log);
    let both = format!(
        "*app:main*) cat <<'REPORT'\n{}\nREPORT\n;;\n*) cat <<'REPORT'\n{new}\nREPORT\n;;",
        crate::step::REPORT
    );
    let ran = filtered()
        .tool("trivy", &crate::step::trivy_that(&both))
        .input("baseline", "image:app:main")
        .run();
    assert_eq!(
        (ran.code, ran.output("new"), ran.output("fixed")),
        (1, "0", "0"),
        "{}",
        ran.log
    );
    assert!(ran.error().contains("1 new finding"), "{}", ran.error());
}
