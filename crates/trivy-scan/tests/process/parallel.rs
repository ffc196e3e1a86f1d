//! Several steps in one workspace, at the same time or one after the other.

use std::collections::BTreeSet;
use std::io::Write as _;

use serde_json::Value;
use testkit::FakeRunner;

use crate::real::{real, save};
use crate::step::{REPORT, scans, step, trivy, trivy_that};

/// `step` in the workspace of `first`.
fn in_workspace_of(first: &FakeRunner, step: FakeRunner) -> FakeRunner {
    let path = |name: &str| first.directory().join(name).to_string_lossy().into_owned();
    step.env("GITHUB_WORKSPACE", &path("workspace"))
        .env("RUNNER_TEMP", &path("temp"))
}

#[test]
fn a_step_does_not_write_the_files_of_another_one_that_runs() {
    let waiting = format!(
        "*) read line < \"$here/gate\"; cat <<'REPORT'\n{}\nREPORT\n;;",
        REPORT.replace("CVE-2026-00001", "CVE-2026-00009")
    );
    let table = |step: FakeRunner| step.input("table-file", "trivy.txt");
    let first = table(step().tool("trivy", &trivy_that(&waiting)));
    let gate = first.directory().join("tools/gate");
    let made = std::process::Command::new("mkfifo").arg(&gate).status();
    assert!(made.unwrap().success());
    let second = in_workspace_of(&first, table(step()));
    let (first_ran, second_ran) = std::thread::scope(|scope| {
        let running = scope.spawn(|| first.run());
        // Opens when the first step's Trivy does.
        let mut gate = std::fs::File::options().write(true).open(&gate).unwrap();
        let second = second.run();
        gate.write_all(b"go\n").unwrap();
        drop(gate);
        (running.join().unwrap(), second)
    });
    assert_eq!(
        (first_ran.code, second_ran.code),
        (0, 0),
        "{}",
        second_ran.log
    );
    assert_eq!(first_ran.output("sarif-file"), "trivy-results.sarif");
    assert_eq!(
        second_ran.output("sarif-file"),
        "trivy-results-step-2.sarif"
    );
    assert_eq!(second_ran.output("report-file"), "trivy-report-step-2.json");
    assert_eq!(second_ran.output("table-file"), "trivy-step-2.txt");
    for line in [
        "another step writes `trivy-results.sarif` at the same time: this one writes `trivy-results-step-2.sarif`, `trivy-report-step-2.json`",
        "another step writes `trivy.txt` at the same time: this one writes `trivy-step-2.txt`",
    ] {
        assert!(second_ran.log.contains(line), "{}", second_ran.log);
    }
    let text = |name: &str| std::fs::read_to_string(first.workspace().join(name)).unwrap();
    assert!(text("trivy-results.sarif").contains("CVE-2026-00009"));
    assert!(text("trivy-results-step-2.sarif").contains("CVE-2026-00001"));
    // A chosen name is free again, and the default ones have what the first step wrote.
    let again = second.run();
    assert_eq!(again.output("table-file"), "trivy.txt");
    assert_eq!(again.output("sarif-file"), "trivy-results-step-2.sarif");
}

#[test]
fn a_later_step_of_the_job_does_not_replace_the_files_of_an_earlier_one() {
    let of = |cve: &str| {
        let report = REPORT.replace("CVE-2026-00001", cve);
        step().tool("trivy", &trivy(&report)).input("sbom", "spdx")
    };
    let first = of("CVE-2026-00009");
    let second = in_workspace_of(&first, of("CVE-2026-00008"));
    let outputs = ["sarif-file", "report-file", "sbom-file"];
    let names = |step: &FakeRunner| {
        let ran = step.run();
        assert_eq!(ran.code, 0, "{}", ran.log);
        outputs.map(|output| ran.output(output).to_owned())
    };
    let own = names(&first);
    assert_eq!(
        own,
        [
            "trivy-results.sarif",
            "trivy-report.json",
            "trivy-report.spdx.json"
        ]
    );
    assert_eq!(
        names(&second),
        [
            "trivy-results-step-2.sarif",
            "trivy-report-step-2.json",
            "trivy-report-step-2.spdx.json"
        ]
    );
    // The files of the first step are still there, and the second one does not scan them.
    let text = |name: &str| std::fs::read_to_string(first.workspace().join(name)).unwrap();
    assert!(text("trivy-results.sarif").contains("CVE-2026-00009"));
    assert!(text("trivy-results-step-2.sarif").contains("CVE-2026-00008"));
    let scanned = scans(&second).join("\n");
    assert!(
        scanned.contains("/workspace/trivy-results.sarif "),
        "{scanned}"
    );
    // A chosen name stays, also that of another step's file.
    let second = second.input("sarif-file", "trivy-results.sarif");
    assert_eq!(
        names(&second)[..2],
        ["trivy-results.sarif", "trivy-report-step-2.json"]
    );
    // A later job, and another attempt, start again.
    let third = in_workspace_of(&first, of("CVE-2026-00007"));
    for (name, value) in [("GITHUB_JOB", "weekly"), ("GITHUB_RUN_ATTEMPT", "2")] {
        let third = in_workspace_of(&first, of("CVE-2026-00007")).env(name, value);
        assert_eq!(names(&third), own, "{name}");
    }
    assert_eq!(names(&third), own, "the files are of another job");
}

#[test]
fn a_leg_of_a_matrix_has_its_own_files() {
    let ran = step()
        .input("matrix", r#"{"python": "3.13", "os": "ubuntu-24.04"}"#)
        .input("report-file", "report.json")
        .run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    let leg = "trivy-results-os-ubuntu-24.04-python-3.13.sarif";
    assert_eq!(ran.output("sarif-file"), leg);
    assert_eq!(ran.output("report-file"), "report.json");
}

#[test]
fn a_scan_goes_on_without_a_cache_that_another_program_uses() {
    let busy = "2026-11-29T06:24:19Z\\tFATAL\\tFatal error\\trun error: unable to initialize fs cache: cache may be in use by another process: timeout";
    let scan = format!(
        "*--cache-backend*memory*) echo \"$*\" >> \"$here/scans\"; cat <<'REPORT'\n{REPORT}\nREPORT\n;;\n*) printf '{busy}\\n' >&2; exit 1 ;;"
    );
    let step = step().tool("trivy", &trivy_that(&scan));
    let ran = step.run();
    assert_eq!((ran.code, ran.output("total")), (0, "3"), "{}", ran.log);
    assert_eq!(scans(&step).len(), 1);
    assert!(
        ran.log.contains("this scan goes on without it"),
        "{}",
        ran.log
    );
}

#[test]
#[ignore = "real: needs Trivy"]
fn ten_steps_at_the_same_time_have_their_own_results() {
    let first = real();
    let cache = first.directory().join("cache");
    let steps: Vec<_> = (0..10)
        .map(|number| {
            let file = format!("app{number}.tar");
            let text = format!("{number} plain text\n").repeat(200_000);
            save(
                &first.workspace().join(&file),
                &format!("team/app{number}:1"),
                &text,
            );
            in_workspace_of(&first, FakeRunner::new(env!("CARGO_BIN_EXE_trivy-scan")))
                .env("PATH", &std::env::var("PATH").unwrap())
                .input("cache-directory", &cache.to_string_lossy())
                .input("offline", "true")
                .input("token", "")
                .input("scan-type", "archive")
                .input("path", &file)
                .input("sbom", "cyclonedx")
        })
        .collect();
    let ran: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = steps
            .iter()
            .map(|step| scope.spawn(|| step.run()))
            .collect();
        running
            .into_iter()
            .map(|step| step.join().unwrap())
            .collect()
    });
    let mut names = BTreeSet::new();
    for (number, ran) in ran.iter().enumerate() {
        assert_eq!(ran.code, 0, "{}", ran.log);
        let read = |output: &str| -> Value {
            let text = std::fs::read(first.workspace().join(ran.output(output))).unwrap();
            serde_json::from_slice(&text).unwrap()
        };
        let name = format!("team/app{number}");
        assert_eq!(
            read("report-file")["ArtifactName"],
            format!("[runner]/workspace/app{number}.tar")
                .replace("[runner]", &first.directory().to_string_lossy())
        );
        let id = read("sarif-file")["runs"][0]["automationDetails"]["id"].clone();
        assert_eq!(id, format!(".github/workflows/ci.yml:scan/archive/{name}/"));
        assert!(read("sbom-file").to_string().contains("libssl3t64"));
        names.extend(
            ["report-file", "sarif-file", "sbom-file"].map(|output| ran.output(output).to_owned()),
        );
    }
    assert_eq!(names.len(), 30, "{names:?}");
}
