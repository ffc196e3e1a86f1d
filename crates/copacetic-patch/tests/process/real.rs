//! The real Copa, BuildKit, Trivy and Docker.

use serde_json::{Value, json};
use testkit::Ran;

use crate::bench::{Bench, exited};
use crate::step;

const FIXED: &str = "CVE-2099-0001";
const UNFIXED: &str = "CVE-2099-0005";

fn json(bench: &Bench, file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(bench.step.workspace().join(file)).unwrap()).unwrap()
}

fn ids(report: &Value) -> Vec<&str> {
    let results = report["Results"].as_array().unwrap();
    let findings = results
        .iter()
        .filter_map(|result| result["Vulnerabilities"].as_array());
    findings
        .flatten()
        .map(|v| v["VulnerabilityID"].as_str().unwrap())
        .collect()
}

// Assert that the patched image runs as the original does, with one layer more. Returns its id.
fn only_its_lineage_changed(bench: &Bench) -> String {
    let (was, is) = (
        bench.inspect(&bench.image).unwrap(),
        bench.inspect(&bench.patched).unwrap(),
    );
    let mut config = is.config.clone();
    let lineage: Vec<_> = [
        "BaseImage",
        "sh.copa.patch.origin.name",
        "sh.copa.patch.origin.digest",
    ]
    .map(|label| config.labels.remove(label).unwrap())
    .into();
    let origin = bench.image.to_string();
    assert_eq!(lineage, [origin.clone(), origin, was.id]);
    assert_eq!(config, was.config);
    assert_eq!(is.diff_ids.len(), was.diff_ids.len() + 1);
    is.id
}

#[test]
#[ignore = "real: needs Docker, Copa, BuildKit and Trivy"]
fn a_patched_image_runs_as_before_and_has_the_new_version() {
    let bench = Bench::new("patched", "vulnlib unfixed", "");
    // A report that names a package which is not installed: Copa would install it.
    let mut report = bench.report();
    let findings = &mut report["Results"][0]["Vulnerabilities"];
    findings.as_array_mut().unwrap().push(json!({"VulnerabilityID": "CVE-2099-9", "PkgID": "newpkg@1.0-1", "PkgName": "newpkg", "InstalledVersion": "1.0-1", "FixedVersion": "1.0-2"}));
    // And a secret, which the second scan does not look for.
    let secret = json!({"Target": "/etc/key.pem", "Class": "secret", "Secrets": [{"RuleID": "private-key", "Severity": "HIGH", "Title": "Key", "StartLine": 1, "EndLine": 1}]});
    report["Results"].as_array_mut().unwrap().push(secret);
    std::fs::write(bench.step.workspace().join("r.json"), report.to_string()).unwrap();
    let bench = bench.input("report", "r.json");
    let ran = bench.run();
    assert_eq!(ran.code, 0, "{}", ran.log);

    let names = [
        "result",
        "image",
        "patched-tag",
        "fixed-count",
        "remaining-count",
        "before",
        "after",
    ];
    let patched = "seaworthy-patch-real-patched:patched-patched";
    assert_eq!(
        names.map(|name| ran.output(name)),
        [
            "patched",
            patched,
            "patched-patched",
            "1",
            "1",
            "critical=1,high=0,medium=0,low=1,unknown=0",
            "critical=0,high=0,medium=0,low=1,unknown=0"
        ]
    );
    assert_eq!(bench.prints(&bench.patched, "vulnlib"), "vulnlib 1.0-2");
    assert!(!bench.prints(&bench.patched, "newpkg").contains("1.0-2"));

    assert_eq!(ran.output("digest"), only_its_lineage_changed(&bench));

    let report = json(&bench, ran.output("report-file"));
    assert_eq!(report["ArtifactName"], patched);
    assert_eq!(ids(&report), [UNFIXED]);
    let vex = json(&bench, ran.output("vex-file"));
    assert_eq!(vex["statements"].as_array().unwrap().len(), 1);
    assert_eq!(vex["statements"][0]["vulnerability"]["name"], FIXED);
    insta::assert_snapshot!(ran.summary.trim_end(), @r"
    ## 🩹 Patched: 1 finding fixed, 1 remaining

    `seaworthy-patch-real-patched:patched` → `seaworthy-patch-real-patched:patched-patched`

    | Severity | Before | After |
    |---|---|---|
    | critical | 1 | 0 |
    | low | 1 | 1 |

    | Package | Before | After | Fixed |
    |---|---|---|---|
    | `vulnlib` | 1.0-1 | 1.0-2 | CVE-2099-0001 |

    | Remaining | Package | Severity | Reason |
    |---|---|---|---|
    | CVE-2099-0005 | `unfixed` | low | there is no fixed version yet |
    ");

    // There are no new updates: Copa does not run. The scan of the original was uploaded again before this step, so what
    // remains is uploaded again too.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(fake_github::GitHub::start("t")).unwrap();
    let bench = bench
        .input("token", "t")
        .env("GITHUB_API_URL", &server.url())
        .tool("copa", "exit 9");
    let ran = bench.run();
    assert_eq!(
        (ran.code, ran.output("result"), ran.output("image")),
        (0, "up-to-date", patched),
        "{}",
        ran.log
    );
    // The input's report still has the findings of the original.
    assert_eq!(
        (ran.output("before"), ran.output("after")),
        (
            "critical=1,high=0,medium=0,low=1,unknown=0",
            "critical=0,high=0,medium=0,low=1,unknown=0"
        )
    );
    let run = &server.uploads()[0]["sarif"]["runs"][0];
    let rules: Vec<_> = run["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| &r["ruleId"])
        .collect();
    assert_eq!(rules, ["private-key", UNFIXED]);
    let id = run["automationDetails"]["id"].as_str().unwrap();
    let category = "/image/seaworthy-patch-real-patched/patched";
    assert!(id.ends_with(category), "{id}");

    // The patched image has nothing to fix either.
    let again = bench.input("report", "").input("image", patched);
    let ran = again.run();
    assert_eq!(
        (ran.code, ran.output("result"), ran.output("image")),
        (0, "up-to-date", patched),
        "{}",
        ran.log
    );
    assert_eq!(ran.output("report-file"), "trivy-report-patched.json");
    assert_eq!(
        (ran.output("patched-tag"), ran.output("vex-file")),
        ("", "")
    );
}

#[test]
#[ignore = "real: needs Docker, Copa, BuildKit and Trivy"]
fn packages_without_an_available_update_are_skipped_and_named() {
    let bench = Bench::new("partial", "vulnlib heldlib lagging", "heldlib");
    // Nothing listens there: what the step serves itself is not requested from a proxy.
    let bench = bench.env("HTTP_PROXY", "http://127.0.0.1:9");
    let ran = bench.run();
    exited(&ran, 0, "partial");
    assert_eq!(
        (ran.output("fixed-count"), ran.output("remaining-count")),
        ("1", "2")
    );
    assert_eq!(bench.prints(&bench.patched, "vulnlib"), "vulnlib 1.0-2");
    assert_eq!(bench.prints(&bench.patched, "heldlib"), "heldlib 1.0-1");
    insta::assert_snapshot!(reasons(&ran), @r"
    | CVE-2099-0002 | `heldlib` | high | it is held back |
    | CVE-2099-0003 | `lagging` | high | the archive has 1.0-2, but 1.0-3 is required |
    ");
}

#[test]
#[ignore = "real: needs Docker, Copa, BuildKit and Trivy"]
fn packages_that_cannot_be_installed_are_left_as_they_were() {
    let bench = Bench::new("uninstallable", "vulnlib lone failing edited", "");
    let ran = bench.run();
    exited(&ran, 0, "partial");
    assert_eq!(bench.prints(&bench.patched, "vulnlib"), "vulnlib 1.0-2");
    for package in ["lone", "failing", "edited"] {
        let version = bench.prints(&bench.patched, package);
        assert_eq!(version, format!("{package} 1.0-1"));
    }
    insta::assert_snapshot!(reasons(&ran), @r"
    | CVE-2099-0013 | `edited` | high | end of file on stdin at conffile prompt |
    | CVE-2099-0012 | `failing` | high | installed failing package post-installation script subprocess returned error exit status 3 |
    | CVE-2099-0011 | `lone` | high | lone : Depends: absent but it is not installable |
    ");
}

// The table of what remains.
fn reasons(ran: &Ran) -> String {
    let rows = ran
        .summary
        .lines()
        .skip_while(|line| !line.contains("Reason"));
    rows.skip(2).collect::<Vec<_>>().join("\n")
}

#[test]
#[ignore = "real: needs Docker, Copa, BuildKit and Trivy"]
fn without_an_update_in_the_archive_there_is_no_patched_image() {
    let bench = Bench::new("lagging", "lagging", "");
    let ran = bench.run();
    assert_eq!(
        (ran.code, ran.output("result"), ran.output("image")),
        (2, "error", ""),
        "{}",
        ran.log
    );
    assert_eq!(
        ran.error(),
        "copacetic-patch: Copa failed to patch the image: `lagging`: the archive has 1.0-2, but 1.0-3 is required"
    );
    assert_eq!(bench.inspect(&bench.patched), None);
}

#[test]
#[ignore = "real: needs Docker, Copa, BuildKit and Trivy"]
fn a_patch_that_installs_a_new_package_is_rejected() {
    let bench = Bench::new("needy", "needy", "");
    let ran = bench.run();
    exited(&ran, 1, "failed");
    assert_eq!(
        ran.error(),
        "copacetic-patch: the patch installed new packages: newpkg; `seaworthy-patch-real-needy:needy-patched` is untouched"
    );
    assert_eq!(bench.inspect(&bench.patched), None);
}

#[test]
#[ignore = "real: needs Docker, Copa, BuildKit and Trivy"]
fn nothing_to_fix_is_not_a_failure_and_does_not_need_copa() {
    let bench = Bench::new("current", "unfixed", "").tool("copa", "exit 9");
    let ran = bench.run();
    exited(&ran, 0, "up-to-date");
    assert_eq!(ran.output("image"), bench.image.to_string());
    assert_eq!(
        (ran.output("fixed-count"), ran.output("remaining-count")),
        ("0", "1")
    );
    assert!(!ran.log.contains("Copa"), "{}", ran.log);
}

#[test]
#[ignore = "real: needs Docker, Copa, BuildKit and Trivy"]
fn faults_leave_the_tag_alone_and_nothing_behind() {
    let table = [
        // Copa with nothing to do exits with code 0 and makes no image.
        (
            "buildkit-image",
            "seaworthy-patch-real-faults:buildkit",
            "exit 0",
            "Copa exited with code 0 but made no image",
        ),
        (
            "buildkit-image",
            "seaworthy-patch-real-faults:buildkit",
            "echo 'panic: nil' >&2; exit 2",
            "Copa failed to patch the image: panic: nil",
        ),
        (
            "buildkit-image",
            "seaworthy-patch-real-faults:other",
            "exit 0",
            "failed to start a container of `seaworthy-patch-real-faults:other`",
        ),
        // The runner stops the step while Copa works.
        (
            "buildkit-image",
            "seaworthy-patch-real-faults:buildkit",
            "kill -TERM $PPID; exec sleep 1000",
            "stopped by SIGTERM before a verdict was reached",
        ),
    ];
    for (input, value, copa, error) in table {
        let bench = Bench::new("faults", "vulnlib", "")
            .input(input, value)
            .tool("copa", copa);
        let ran = bench.run();
        assert_eq!(
            (ran.code, ran.output("result"), ran.output("image")),
            (2, "error", ""),
            "{}",
            ran.log
        );
        assert!(ran.error().contains(error), "{}", ran.error());
        assert_eq!(bench.inspect(&bench.patched), None);
    }
}

#[test]
#[ignore = "real: needs Docker, Copa, BuildKit and Trivy"]
fn buildkit_ends_with_a_run_that_is_killed() {
    let bench = Bench::new("killed", "vulnlib", "").tool("copa", "kill -KILL $PPID; exit 1");
    let ran = bench.step.run();
    assert_eq!(ran.code, -1, "{}", ran.log);
    // Other steps have containers of the same image, by another name.
    let name = format!("{}:buildkit", bench.image.repository());
    let containers = || -> Vec<[String; 3]> {
        let format = "{{.Image}} {{.ID}} {{.State}} {{.Label \"dev.seaworthy.expires\"}}";
        let all = crate::bench::docker(&["ps", "--all", "--format", format]);
        let fields = all.lines().filter_map(|line| line.split_once(' '));
        let own = fields.filter(|(image, _)| *image == name);
        own.map(|(_, fields)| {
            let fields: Vec<_> = fields.splitn(3, ' ').map(ToOwned::to_owned).collect();
            fields.try_into().unwrap()
        })
        .collect()
    };
    let started = std::time::Instant::now();
    while containers().iter().any(|[_, state, _]| state == "running") {
        assert!(started.elapsed().as_secs() < 60, "BuildKit still runs");
        std::thread::yield_now();
    }
    // It has the time after which a later run removes it; here, the test does.
    let left = containers();
    let [[id, _, expires]] = &left[..] else {
        panic!("{left:?}");
    };
    assert!(expires.parse::<u64>().is_ok(), "{left:?}");
    crate::bench::docker(&["rm", "--force", "--volumes", id]);
}

#[test]
#[ignore = "real: needs Docker, Copa, BuildKit and Trivy"]
fn a_report_without_a_list_of_packages_is_not_enough() {
    let bench = Bench::new("unlisted", "unfixed", "");
    let mut report = bench.report();
    report["Results"][0]
        .as_object_mut()
        .unwrap()
        .remove("Packages");
    std::fs::write(bench.step.workspace().join("r.json"), report.to_string()).unwrap();
    let ran = bench.input("report", "r.json").run();
    exited(&ran, 0, "up-to-date");
    assert!(ran.log.contains("scanning again"), "{}", ran.log);
}

#[test]
#[ignore = "real: needs Docker"]
fn an_image_that_does_not_exist_is_bad_input() {
    let ran = step().input("image", "no-such-image:1").run();
    assert_eq!(ran.code, 3);
    assert_eq!(
        ran.error(),
        "copacetic-patch: input `image`: Docker has no image `no-such-image:1`; build or pull it in an earlier step"
    );
}

#[test]
#[ignore = "real: needs Docker"]
fn a_report_that_is_not_of_this_image_is_rejected_before_buildkit_starts() {
    let foreign = r#"{"SchemaVersion": 2, "ArtifactName": "other:1", "ArtifactType": "container_image", "Metadata": {"DiffIDs": ["sha256:0"]}}"#;
    let table = [
        ("{}", "is not a JSON report of Trivy"),
        ("[]", "is not a JSON report of Trivy"),
        (
            "{\"SchemaVersion\": 2, \"Res",
            "is not a JSON report of Trivy",
        ),
        (
            foreign,
            "is of `other:1`, whose layers differ from the image's",
        ),
    ];
    for (report, message) in table {
        let ran = step()
            .input("image", "debian:trixie-slim")
            .file("r.json", report)
            .input("report", "r.json")
            .run();
        assert_eq!(ran.code, 3, "{}", ran.log);
        assert!(ran.error().contains(message), "{}", ran.error());
        assert!(!ran.log.contains("Copa"), "{}", ran.log);
    }
}

#[test]
#[ignore = "real: needs Docker, Copa, BuildKit and Trivy"]
fn a_health_check_that_the_original_fails_too_says_nothing_about_the_patch() {
    // Its container shows a package that it does not have.
    let bench = Bench::new("unhealthy", "heldlib", "");
    let ran = bench.run();
    exited(&ran, 0, "patched");
    let warning = "::warning::a container of the patched image exited with code 1: dpkg-query: no packages found matching vulnlib; the original does not work either (a container of the original exited with code 1: dpkg-query: no packages found matching vulnlib), so this is not the patch's fault; set `smoke-command`";
    assert!(ran.log.contains(warning), "{}", ran.log);
}
