//! On which Dockerfile the findings of an image are shown.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::real::{real, succeed};
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

#[test]
fn one_dockerfile_is_that_of_the_image_that_was_built_from_it() {
    let scan = format!(
        "*postgres*) cat <<'REPORT'\n{}\nREPORT\n;;\n*) cat <<'REPORT'\n{}\nREPORT\n;;",
        report("/bin/sh -c install postgres"),
        report("RUN /bin/sh -c apk add p # buildkit"),
    );
    let step = step()
        .tool("trivy", &trivy_that(&scan))
        .file("app/Dockerfile", "FROM a\nRUN apk add p\n")
        .input("image", "")
        .input("targets", "image app:1\nimage postgres:17");
    let ran = step.run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    let file = sarif(&step);
    let place = |run: &Value| {
        let place = &run["results"][0]["locations"][0]["physicalLocation"];
        let path = place["artifactLocation"]["uri"].as_str().unwrap();
        format!("{path}:{}", place["region"]["startLine"])
    };
    let places: Vec<_> = file["runs"].as_array().unwrap().iter().map(place).collect();
    assert_eq!(places, ["app/Dockerfile:2", "postgres:1"]);
}

/// A BuildKit of its own; it ends with the test.
struct BuildKit(Child);

impl BuildKit {
    fn start(directory: &Path) -> Self {
        let address = Self::address(directory);
        let log = std::fs::File::create(directory.join("log")).unwrap();
        let child = Command::new("buildkitd")
            .arg("--root")
            .arg(directory.join("root"))
            .args([
                "--addr",
                &address,
                "--oci-worker-net=host",
                "--containerd-worker=false",
            ])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        Self(child.expect("`buildkitd` is in PATH"))
    }

    fn address(directory: &Path) -> String {
        format!("unix://{}/socket", directory.display())
    }
}

impl Drop for BuildKit {
    fn drop(&mut self) {
        // SIGTERM: it unmounts what it mounted.
        let id = self.0.id().to_string();
        let _ = Command::new("kill").arg(id).status();
        let _ = self.0.wait();
    }
}

/// Installs a package in a directory of this name.
const PUT: &str = r#"#!/bin/sh
mkdir -p "/opt/$1/jinja2-3.1.2.dist-info"
printf 'Metadata-Version: 2.1\nName: Jinja2\nVersion: 3.1.2\n' >"/opt/$1/jinja2-3.1.2.dist-info/METADATA"
"#;
const METADATA: &str = "Metadata-Version: 2.1\nName: Jinja2\nVersion: 3.1.2\n";

const INSTRUCTIONS: &str = r#"ARG DEST=/srv
FROM scratch AS base
ADD rootfs.tar /
COPY put /usr/bin/put

FROM base AS build
RUN put build && touch /out

FROM base AS app
ARG DEST
ARG NAME="two words"
RUN put shell
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN put bash \
  # why
  && true
RUN ["put", "exec"]
RUN ["/bin/sh", "-c", "put 'sh exec'"]
RUN <<EOF
put heredoc
# a comment stays
EOF
RUN <<-'SCRIPT'
	#!/bin/sh
	put script
	SCRIPT
RUN <<EOF bash -e && true
put piped
EOF
RUN --mount=type=bind,source=put,target=/p \
    --network=none /p mounted
ENV V=variable
RUN put $V-$NAME
WORKDIR /w
WORKDIR sub
COPY --chown=1:1 --chmod=755 m1 /m1
COPY --link m2 /m2
COPY m3 $DEST/m3
COPY ["m4", "/with space/"]
COPY --from=build /out /out
COPY --from=build /opt/build /built
ADD m5 /m5
ADD m6.tar /m6/
COPY <<A <<B /etc/
a
A
b
B
USER 1
USER 0
RUN put last

FROM app AS final
RUN put never
"#;

#[test]
#[ignore = "real: needs BuildKit, Docker and Trivy"]
fn a_package_is_shown_at_the_instruction_with_which_buildkit_brought_it() {
    let step = real()
        .file("Dockerfile", INSTRUCTIONS)
        .file("put", PUT)
        .input("scan-type", "archive")
        .input("path", "app.tar")
        .input("dockerfile", "Dockerfile")
        .input("scanners", "vuln");
    let step = ["m1", "m2", "m3", "m4", "m5"]
        .into_iter()
        .fold(step, |step, name| {
            step.file(&format!("{name}/jinja2-3.1.2.dist-info/METADATA"), METADATA)
        });
    let workspace = step.workspace();
    let mut m6 = tar::Builder::new(std::fs::File::create(workspace.join("m6.tar")).unwrap());
    m6.append_dir_all("x", workspace.join("m5")).unwrap();
    m6.finish().unwrap();
    succeed(Command::new("chmod").arg("755").arg(workspace.join("put")));
    let created = Command::new("docker")
        .args(["create", "debian:trixie-slim", "true"])
        .output()
        .unwrap();
    let container = String::from_utf8(created.stdout).unwrap().trim().to_owned();
    succeed(
        Command::new("docker")
            .args(["export", "--output"])
            .arg(workspace.join("rootfs.tar"))
            .arg(&container),
    );
    succeed(Command::new("docker").args(["rm", &container]));
    let directory = tempfile::tempdir().unwrap();
    let daemon = BuildKit::start(directory.path());
    let local = |name: &str| format!("{name}={}", workspace.display());
    succeed(
        Command::new("buildctl")
            .args([
                "--addr",
                &BuildKit::address(directory.path()),
                "--wait",
                "build",
            ])
            .args(["--frontend", "dockerfile.v0", "--opt", "target=app"])
            .args([
                "--local",
                &local("context"),
                "--local",
                &local("dockerfile"),
            ])
            .arg("--output")
            .arg(format!(
                "type=docker,name=team/app:1,dest={}",
                workspace.join("app.tar").display()
            )),
    );
    drop(daemon);
    let ran = step.run();
    assert_eq!(ran.code, 0, "{}", ran.log);
    let file = sarif(&step);
    let lines: Vec<&str> = INSTRUCTIONS.lines().collect();
    // The findings of one package are told apart by its place alone.
    let mut found: Vec<String> = file["runs"][0]["results"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|result| {
            let location = &result["locations"][0];
            if location["logicalLocations"][0]["name"] != "Jinja2" {
                return None;
            }
            let line = location["physicalLocation"]["region"]["startLine"].as_u64()?;
            let line = usize::try_from(line).ok()?;
            Some(format!("{line}: {}", lines[line - 1]))
        })
        .collect();
    found.sort_by_key(|text| {
        text.split(':')
            .next()
            .and_then(|line| line.parse::<usize>().ok())
    });
    found.dedup();
    insta::assert_snapshot!(found.join("\n"));
}
