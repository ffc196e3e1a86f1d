//! Several targets in one step.

use crate::step::{REPORT, sarif, scans, step, trivy_that};

#[test]
fn each_target_is_scanned_once_and_all_are_in_one_file() {
    let config = r#"{"SchemaVersion":2,"Results":[{"Target":"Dockerfile","Class":"config","Type":"dockerfile","MisconfSummary":{"Failures":1},"Misconfigurations":[{"ID":"DS-0002","Title":"root","Message":"runs as root","Resolution":"Add USER","Severity":"HIGH","Status":"FAIL","CauseMetadata":{"StartLine":2,"EndLine":2}}]}]}"#;
    let scan = format!(
        "config*) echo \"$*\" >> \"$here/scans\"; echo '{config}' ;;\n*) echo \"$*\" >> \"$here/scans\"; cat <<'REPORT'\n{REPORT}\nREPORT\n;;"
    );
    let step = step()
        .tool("trivy", &trivy_that(&scan))
        .file("requirements.txt", "flask==3.1.2\nwerkzeug>=2\n")
        .input("image", "")
        .input("targets", "image app:1\nconfig app\nsecret .\n");
    let ran = step.run();
    assert_eq!((ran.code, ran.output("total")), (0, "7"), "{}", ran.log);
    let mut scanned = scans(&step);
    scanned.sort();
    assert_eq!(scanned.len(), 3);
    assert!(
        scanned[1].contains("--scanners secret") && scanned[1].contains("--cache-backend memory"),
        "{scanned:?}"
    );
    assert_eq!(
        ran.output("report-file"),
        "trivy-report.json\ntrivy-report-2.json\ntrivy-report-3.json"
    );
    let file = sarif(&step);
    let runs = file["runs"].as_array().unwrap();
    let ids: Vec<_> = runs
        .iter()
        .map(|run| run["automationDetails"]["id"].as_str().unwrap())
        .collect();
    let family = ".github/workflows/ci.yml:scan";
    assert_eq!(
        ids,
        [
            format!("{family}/image/app/"),
            format!("{family}/config/app/"),
            format!("{family}/secret/repository/")
        ]
    );
    insta::assert_snapshot!(ran.summary.lines().take(8).collect::<Vec<_>>().join("\n"));
}

#[test]
fn the_log_of_one_target_is_not_mixed_with_another() {
    let scan = "config*) echo 'config starts' >&2; echo 'config ends' >&2; echo '{\"SchemaVersion\":2}' ;;\n*) echo 'fs starts' >&2; echo 'fs ends' >&2; echo '{\"SchemaVersion\":2}' ;;";
    let ran = step()
        .tool("trivy", &trivy_that(scan))
        .input("image", "")
        .input("targets", "fs .\nconfig app\n")
        .run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    let at = |part: &str| ran.log.find(part).unwrap();
    let apart = at("fs ends") < at("config starts") || at("config ends") < at("fs starts");
    assert!(apart, "{}", ran.log);
}

#[test]
fn unpinned_packages_of_a_directory_are_reported() {
    let ran = step()
        .tool("trivy", &trivy_that("*) echo '{\"SchemaVersion\":2}' ;;"))
        .file("app/requirements.txt", "flask==3.1.2\nwerkzeug>=2\n")
        .input("scan-type", "fs")
        .input("image", "")
        .input("path", "app")
        .run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    assert!(
        ran.log.contains(
            "::warning::app/requirements.txt does not pin werkzeug; they were not scanned"
        ),
        "{}",
        ran.log
    );
}

#[test]
fn what_was_not_scanned_fails_the_step_if_that_is_requested() {
    let run = |requirements: &str, fail: &str| {
        let report = r#"{"SchemaVersion":2,"Results":[{"Target":"requirements.txt","Type":"pip","Packages":[{"Name":"flask"}]}]}"#;
        step()
            .tool("trivy", &crate::step::trivy(report))
            .file("app/requirements.txt", requirements)
            .input("scan-type", "fs")
            .input("image", "")
            .input("path", "app")
            .input("fail-on-not-scanned", fail)
            .run()
    };
    assert_eq!(run("flask==3.1.2\nwerkzeug>=2\n", "false").code, 0);
    assert_eq!(run("flask==3.1.2\n", "true").code, 0);
    let ran = run("flask==3.1.2\nwerkzeug>=2\n", "true");
    assert_eq!(
        (ran.code, ran.output("result")),
        (1, "failed"),
        "{}",
        ran.log
    );
    let message = "something was not scanned in 1 place (`fail-on-not-scanned`); see the warnings";
    assert!(ran.error().contains(message), "{}", ran.error());
}

#[test]
fn a_directory_that_trivy_skips_by_its_name_is_a_gap_until_it_is_a_target() {
    let run = |targets: &str| {
        step()
            .tool("trivy", &trivy_that("*) echo '{\"SchemaVersion\":2}' ;;"))
            .file("k8s/dev/pod.yaml", "kind: Pod\n")
            .input("image", "")
            .input("targets", targets)
            .run()
    };
    let gap = "::warning::k8s/dev has the name of a system directory, which Trivy skips at the top of a target; it was not scanned: add the line `config k8s/dev` to `targets`";
    for (targets, is_gap) in [
        ("config k8s", true),
        ("config k8s\nconfig k8s/dev", false),
        ("config .", false),
    ] {
        let ran = run(targets);
        assert_eq!(ran.code, 0, "{}", ran.log);
        assert_eq!(ran.log.contains(gap), is_gap, "{targets}: {}", ran.log);
    }
}

#[test]
fn what_is_skipped_is_no_gap() {
    let run = |path: &str, input: &str, value: &str| {
        step()
            .tool("trivy", &trivy_that("*) echo '{\"SchemaVersion\":2}' ;;"))
            .file("app/lib/requirements.txt", "werkzeug>=2\n")
            .file("app/lib/main.tf", "# trivy:ignore:x\n")
            .input("image", "")
            .input("targets", &format!("fs {path}\nconfig {path}\n"))
            .input(input, value)
            .run()
    };
    let gaps = [
        "app/lib/requirements.txt does not pin werkzeug",
        "a comment in app/lib/main.tf:1 suppresses checks there",
    ];
    let table = [
        (".", "skip-dirs", "app/web", [true, true]),
        (".", "skip-dirs", "app/lib", [false, false]),
        ("app", "skip-dirs", "lib", [false, false]),
        ("app", "skip-dirs", "**/lib", [false, false]),
        (".", "skip-files", "**/*.txt", [false, true]),
        ("app", "skip-files", "lib/main.tf", [true, false]),
        (".", "baseline", "app/lib", [false, false]),
    ];
    for (path, input, value, expected) in table {
        let ran = run(path, input, value);
        assert_eq!(ran.code, 0, "{}", ran.log);
        let found = gaps.map(|gap| ran.log.contains(gap));
        assert_eq!(found, expected, "{path} {input} {value}: {}", ran.log);
    }
}

#[test]
fn a_saved_image_has_the_name_in_its_report() {
    let report = REPORT.replace("\"ImageID\"", "\"RepoTags\": [\"team/app:7\"], \"ImageID\"");
    let step = step()
        .tool("trivy", &crate::step::trivy(&report))
        .file("out/image-4711.tar", "tar")
        .input("scan-type", "archive")
        .input("image", "")
        .input("path", "out/image-4711.tar");
    let ran = step.run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    let id = sarif(&step)["runs"][0]["automationDetails"]["id"].clone();
    assert_eq!(id, ".github/workflows/ci.yml:scan/archive/team/app/");
}

#[test]
fn skipped_directories_and_files_are_passed_to_every_scan() {
    let step = step()
        .input("baseline", "image:app:main")
        .input("skip-dirs", "**/testdata\n\n  usr/share/doc\n")
        .input("skip-files", "*.min.js");
    let ran = step.run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    let scanned = scans(&step);
    assert_eq!(scanned.len(), 2, "the image and its baseline: {scanned:?}");
    let arguments = "--skip-dirs **/testdata --skip-dirs usr/share/doc --skip-files *.min.js ";
    for line in &scanned {
        assert!(line.contains(arguments), "{line}");
    }
}

#[test]
fn two_tags_and_two_registries_of_one_name_are_told_apart() {
    let step = step()
        .input("image", "")
        .input("targets", "image app:1\nimage app:2\nimage ghcr.io/app:1\n");
    let ran = step.run();
    assert_eq!((ran.code, ran.output("total")), (0, "9"), "{}", ran.log);
    let file = sarif(&step);
    let runs = file["runs"].as_array().unwrap();
    let id = |run: &serde_json::Value| run["automationDetails"]["id"].as_str().unwrap().to_owned();
    let family = ".github/workflows/ci.yml:scan/image/app";
    assert_eq!(
        runs.iter().map(id).collect::<Vec<_>>(),
        [
            format!("{family}/"),
            format!("{family}-2/"),
            format!("{family}-3/")
        ]
    );
    let prints = |run: &serde_json::Value| run["results"][0]["partialFingerprints"].to_string();
    assert_ne!(prints(&runs[0]), prints(&runs[1]));
}

/// A Trivy that does not find `app:2`.
fn trivy_without_one() -> String {
    trivy_that(&format!(
        "*app:2*) echo '2026 FATAL Fatal error run error: unable to find the specified image \"app:2\"' >&2; exit 1 ;;\n*) cat <<'REPORT'\n{REPORT}\nREPORT\n;;"
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_fails_leaves_the_results_of_the_others() {
    let server = fake_github::GitHub::start("t").await.unwrap();
    let ran = crate::github::with_github(&server, |step| {
        let step = step
            .tool("trivy", &trivy_without_one())
            .input("image", "")
            .input("fail-on", "low")
            .input("targets", "image app:1\nimage app:2\nimage web:1\n");
        crate::github::pull_request(step)
    })
    .await;
    assert_eq!(
        (ran.code, ran.output("result"), ran.output("total")),
        (2, "error", "6"),
        "{}",
        ran.log
    );
    let failure = "failed to scan image `app:2`: image `app:2` was found neither";
    assert!(ran.error().contains(failure), "{}", ran.error());
    let uploads = server.uploads();
    let runs = uploads[0]["sarif"]["runs"].as_array().unwrap();
    let id = |run: &serde_json::Value| run["automationDetails"]["id"].as_str().unwrap().to_owned();
    let family = ".github/workflows/ci.yml:scan/image";
    assert_eq!(
        runs.iter().map(id).collect::<Vec<_>>(),
        [format!("{family}/app/"), format!("{family}/web/")]
    );
    assert!(
        ran.summary.contains("failed to scan image `app:2`"),
        "{}",
        ran.summary
    );
    assert!(server.comments()[0].contains("failed to scan image"));
}

#[test]
fn a_report_and_its_sbom_have_the_number_of_their_target() {
    let step = step()
        .tool("trivy", &trivy_without_one())
        .input("image", "")
        .input("sbom", "cyclonedx")
        .input("targets", "image app:2\nimage web:1\nimage api:1\n");
    let ran = step.run();
    assert_eq!(ran.code, 2, "{}", ran.log);
    assert_eq!(
        (ran.output("report-file"), ran.output("sbom-file")),
        (
            "trivy-report-2.json\ntrivy-report-3.json",
            "trivy-report-2.cdx.json\ntrivy-report-3.cdx.json"
        )
    );
    for name in ["trivy-report-2.cdx.json", "trivy-report-3.cdx.json"] {
        assert!(step.workspace().join(name).is_file(), "{name}");
    }
}

#[test]
fn targets_that_all_fail_are_one_error() {
    let ran = step()
        .tool("trivy", &trivy_that("*) exit 1 ;;"))
        .input("image", "")
        .input("targets", "image a:1\nimage b:1\n")
        .run();
    assert_eq!(
        (ran.code, ran.output("result")),
        (2, "error"),
        "{}",
        ran.log
    );
    assert!(
        ran.error().contains("failed to scan image `a:1`"),
        "{}",
        ran.error()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn more_targets_than_one_file_may_have_are_uploaded_in_several() {
    let server = fake_github::GitHub::start("t").await.unwrap();
    let targets: Vec<_> = (1..=21)
        .map(|number| format!("image app{number}:1"))
        .collect();
    let ran = crate::github::with_github(&server, |step| {
        step.input("image", "")
            .input("targets", &targets.join("\n"))
    })
    .await;
    assert_eq!((ran.code, ran.output("total")), (0, "63"), "{}", ran.log);
    let runs = |upload: &serde_json::Value| upload["sarif"]["runs"].as_array().unwrap().len();
    let uploads: Vec<_> = server.uploads().iter().map(runs).collect();
    assert_eq!(uploads, [20, 1]);
    assert_eq!(ran.output("sarif-id").lines().count(), 2);
}
