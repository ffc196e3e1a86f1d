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
