//! On which Dockerfile the findings of an image are shown.

use serde_json::{Value, json};

use crate::step::{sarif, step, trivy_that};

/// The report of an image whose one package is in a layer that `created_by` made.
fn report(created_by: &str) -> Value {
    json!({
        "SchemaVersion": 2, "ArtifactType": "container_image",
        "Metadata": {"DiffIDs": ["sha256:a", "sha256:b"], "ImageConfig": {"history": [{"created_by": "base"}, {"created_by": created_by}]}},
        "Results": [{"Target": "x (debian 13)", "Class": "os-pkgs", "Type": "debian", "Packages": [{"ID": "p@1", "Name": "p"}], "Vulnerabilities": [
            {"VulnerabilityID": "CVE-2026-1", "PkgID": "p@1", "PkgName": "p", "InstalledVersion": "1", "Severity": "HIGH", "Layer": {"DiffID": "sha256:b"}},
        ]}],
    })
}

#[test]
fn of_several_images_each_is_shown_on_its_own_dockerfile() {
    let scan = format!(
        "*web:1*) cat <<'REPORT'\n{}\nREPORT\n;;\n*postgres*) cat <<'REPORT'\n{}\nREPORT\n;;\n*) cat <<'REPORT'\n{}\nREPORT\n;;",
        report("RUN /bin/sh -c apt-get install p # buildkit"),
        report("/bin/sh -c install postgres"),
        report("RUN |1 V=2 /bin/sh -c apk add p # buildkit"),
    );
    let step = step()
        .tool("trivy", &trivy_that(&scan))
        .file("api/Dockerfile", "FROM a\nARG V\nRUN apk add p\n")
        .file(
            "web/Dockerfile",
            "FROM a AS web\nRUN apt-get install p\nFROM b\nRUN test\n",
        )
        .input("dockerfile", "api/Dockerfile\nweb/Dockerfile")
        .input("image", "")
        .input("targets", "image web:1\nimage api:1\nimage postgres:17");
    let ran = step.run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    let file = sarif(&step);
    let place = |run: &Value| {
        let place = &run["results"][0]["locations"][0]["physicalLocation"];
        let path = place["artifactLocation"]["uri"].as_str().unwrap();
        format!("{path}:{}", place["region"]["startLine"])
    };
    let places: Vec<_> = file["runs"].as_array().unwrap().iter().map(place).collect();
    assert_eq!(
        places,
        ["web/Dockerfile:2", "api/Dockerfile:3", "postgres:1"]
    );
    let reported = "image `web` (1 package, built from web/Dockerfile)";
    assert!(ran.log.contains(reported), "{}", ran.log);
}
