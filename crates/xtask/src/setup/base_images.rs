//! The images that our Dockerfiles start from: pulled where a registry answers, made otherwise.

use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::command::{command, output, run, succeeds};
use super::go_tools::Builds;
use crate::{paths, say};

/// The image that the application and the actions start from.
pub(crate) const DEBIAN: &str = "debian:trixie-slim";
/// The image that the actions are compiled in.
pub(crate) const RUST: &str = "rust:1.95-slim-trixie";
/// The image that the tools are compiled in.
pub(crate) const GO: &str = "golang:1.26-trixie";
pub(crate) const BUILDKIT: &str = "moby/buildkit:v0.34.2";
/// The image in which `act` runs the steps of a job.
pub(crate) const RUNNER: &str = "drydock/runner:local";
/// The image of a pod's sandbox.
pub(crate) const PAUSE: &str = "drydock/pause:local";
/// All of them.
pub(crate) const MADE: &[&str] = &[DEBIAN, RUST, GO, BUILDKIT, RUNNER, PAUSE];
/// What an image was made from, so that it is made anew only when that changes.
pub(crate) const KEY_LABEL: &str = "dev.drydock.key";

/// Packages of the base image that are older than the archive's, as an image in a registry is after
/// some weeks: Debian's security updates then have something to mend. Version, and sha256 of the
/// package, which is taken from the archive's pool.
const AGED: &[(&str, &str)] = &[
    (
        "openssl/libssl3t64_3.5.7-1~deb13u2_amd64.deb",
        "916f7f40b34a06e6ebfaefcdab331bff458328411da672598f126a760472467d",
    ),
    (
        "openssl/openssl_3.5.7-1~deb13u2_amd64.deb",
        "4ff006f431d8c2e69fa736885a3b6e779f2448535f69dbde821d9f0ff87ad8ea",
    ),
    (
        "openssl/openssl-provider-legacy_3.5.7-1~deb13u2_amd64.deb",
        "f155c8191ae6d41da73d792f4182680aeafeb85c3dd223934ee9fdd115c4f1fa",
    ),
];

/// Where the base images came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// From a registry.
    Pulled,
    /// Made here, under the same names.
    Made,
}

/// See to it that the engine has every base image.
///
/// # Errors
/// When one can be neither pulled nor made.
pub(crate) fn provide(builds: &Builds) -> anyhow::Result<Origin> {
    let origin = if registry_answers() {
        Origin::Pulled
    } else {
        Origin::Made
    };
    if origin == Origin::Pulled {
        for image in [DEBIAN, RUST, GO, BUILDKIT] {
            if !succeeds(&mut command("docker", ["image", "inspect", image])) {
                say::step(&format!("pulling {image}"), || {
                    run(&mut command("docker", ["pull", "-q", image]))
                })?;
            }
        }
    } else {
        debian()?;
        let sysroot = PathBuf::from(output(&mut command("rustc", ["--print", "sysroot"]))?.trim());
        let version = output(&mut command("rustc", ["--version"]))?;
        derived(
            RUST,
            &version,
            |container| {
                inside(container, &["apt-get", "update", "-qq"])?;
                inside(
                    container,
                    &[
                        "apt-get",
                        "install",
                        "-y",
                        "-qq",
                        "--no-install-recommends",
                        "gcc",
                        "libc6-dev",
                    ],
                )?;
                copy_in(&sysroot, &["bin", "lib"], container, "/usr/local/")
            },
            &["ENV CARGO_HOME=/usr/local/cargo"],
        )?;
        let goroot = PathBuf::from(output(&mut command("go", ["env", "GOROOT"]))?.trim());
        let version = output(&mut command("go", ["version"]))?;
        derived(
            GO,
            &version,
            |container| {
                inside(container, &["mkdir", "-p", "/usr/local/go"])?;
                copy_in(
                    &goroot,
                    &["bin", "pkg", "src", "lib", "go.env", "VERSION"],
                    container,
                    "/usr/local/go/",
                )
            },
            &[
                "ENV PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            ],
        )?;
        let buildkit = builds.wait("buildkit")?;
        derived(
            BUILDKIT,
            &key_of(&buildkit),
            |container| {
                inside(container, &["apt-get", "update", "-qq"])?;
                inside(
                    container,
                    &[
                        "apt-get",
                        "install",
                        "-y",
                        "-qq",
                        "--no-install-recommends",
                        "runc",
                    ],
                )?;
                copy_in(
                    &buildkit,
                    &["buildkitd", "buildctl"],
                    container,
                    "/usr/local/bin/",
                )
            },
            &["ENTRYPOINT [\"/usr/local/bin/buildkitd\"]", "CMD []"],
        )?;
    }
    run(&mut command("docker", ["tag", DEBIAN, RUNNER]))?;
    pause(&builds.wait("kubernetes-pause")?)?;
    Ok(origin)
}

fn key_of(folder: &Path) -> String {
    folder
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

// Docker Hub, if it answers within a moment.
fn registry_answers() -> bool {
    let addresses = ("registry-1.docker.io", 443).to_socket_addrs();
    let Some(address) = addresses.ok().and_then(|mut found| found.next()) else {
        return false;
    };
    TcpStream::connect_timeout(&address, Duration::from_secs(3)).is_ok()
        && succeeds(&mut command(
            "timeout",
            ["10", "docker", "manifest", "inspect", DEBIAN],
        ))
}

fn has_key(image: &str, key: &str) -> bool {
    let format = format!("{{{{index .Config.Labels \"{KEY_LABEL}\"}}}}");
    let found = output(&mut command(
        "docker",
        ["image", "inspect", "--format", &format, image],
    ));
    found.is_ok_and(|found| found.trim() == key)
}

// The archive that this machine's own packages come from.
fn archive() -> String {
    let mut text = std::fs::read_to_string("/etc/apt/sources.list").unwrap_or_default();
    for entry in std::fs::read_dir("/etc/apt/sources.list.d")
        .into_iter()
        .flatten()
        .flatten()
    {
        text.push_str(&std::fs::read_to_string(entry.path()).unwrap_or_default());
    }
    let word = |line: &str| {
        let words = line.split_whitespace();
        words
            .clone()
            .find(|w| w.starts_with("http") && w.trim_end_matches('/').ends_with("/debian"))
            .map(ToOwned::to_owned)
    };
    let found = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .find_map(word);
    found
        .unwrap_or_else(|| "http://deb.debian.org/debian".into())
        .trim_end_matches('/')
        .to_owned()
}

fn debian() -> anyhow::Result<()> {
    let archive = archive();
    let authorities = Path::new("/usr/local/share/ca-certificates");
    let mut made_of = format!("{archive} {AGED:?}");
    if authorities.is_dir() {
        made_of.push_str(&paths::key(authorities, "")?);
    }
    let key = paths::key(Path::new("/usr/share/keyrings"), &made_of)?;
    if has_key(DEBIAN, &key) {
        return Ok(());
    }
    let folder = paths::cache().join("base-images");
    std::fs::create_dir_all(&folder)?;
    let rootfs = folder.join(format!("debian-trixie-{key}.tar"));
    if !rootfs.is_file() {
        say::step(&format!("making {DEBIAN} from Debian's archive"), || {
            debootstrap(&archive, authorities, &rootfs)
        })?;
    }
    let label = format!("LABEL {KEY_LABEL}={key}");
    let mut import = command("docker", ["import", "-c", "CMD [\"bash\"]", "-c", &label]);
    // Where this machine has authorities of its own, tools that ignore the system's store are told of it.
    let bundle = "/etc/ssl/certs/ca-certificates.crt";
    for name in [
        "SSL_CERT_FILE",
        "PIP_CERT",
        "REQUESTS_CA_BUNDLE",
        "CARGO_HTTP_CAINFO",
    ] {
        import.arg("-c").arg(format!("ENV {name}={bundle}"));
    }
    run(import.arg(&rootfs).arg(DEBIAN))
}

fn debootstrap(archive: &str, authorities: &Path, rootfs: &Path) -> anyhow::Result<()> {
    let part = rootfs.with_extension("part.tar");
    let aged = aged_packages(archive)?;
    let mut make = command(
        "mmdebstrap",
        ["--variant=minbase", "--include=ca-certificates"],
    );
    for folder in ["doc", "man", "locale", "info"] {
        make.arg(format!("--dpkgopt=path-exclude=/usr/share/{folder}/*"));
    }
    if !aged.is_empty() {
        make.arg("--customize-hook=mkdir -p \"$1/aged\"");
        for package in &aged {
            make.arg(format!(
                "--customize-hook=copy-in {} /aged",
                package.display()
            ));
        }
        make.arg(
            "--customize-hook=chroot \"$1\" sh -c 'dpkg --install /aged/*.deb && rm -r /aged'",
        );
    }
    if authorities.is_dir() {
        make.arg(format!(
            "--customize-hook=copy-in {} /usr/local/share/",
            authorities.display()
        ));
        make.arg("--customize-hook=chroot \"$1\" update-ca-certificates");
    }
    let suites = [
        format!("deb {archive} trixie main"),
        format!("deb {archive} trixie-updates main"),
        format!("deb {archive}-security trixie-security main"),
    ];
    let list = rootfs.with_extension("sources.list");
    std::fs::write(&list, suites.join("\n") + "\n")?;
    make.arg(format!(
        "--customize-hook=upload {} /etc/apt/sources.list",
        list.display()
    ));
    make.arg("trixie").arg(&part).arg(&suites[0]);
    run(make.env("SOURCE_DATE_EPOCH", "1700000000"))?;
    std::fs::rename(&part, rootfs).context("while keeping the root file system")
}

// Packages that the pool no longer has are left out: the image is then simply up to date.
fn aged_packages(archive: &str) -> anyhow::Result<Vec<PathBuf>> {
    use sha2::{Digest as _, Sha256};
    let folder = paths::cache().join("base-images/aged");
    std::fs::create_dir_all(&folder)?;
    let mut found = Vec::new();
    if std::env::consts::ARCH != "x86_64" {
        return Ok(found);
    }
    for (path, sha256) in AGED {
        let name = path.rsplit('/').next().unwrap_or(path);
        let first = &path[..1];
        let url = format!("{archive}/pool/main/{first}/{path}");
        let answer = reqwest_get(&url)?;
        let Some(bytes) = answer else {
            say::line(format!(
                "  {name} is no longer in the archive: the base image will be up to date"
            ));
            return Ok(Vec::new());
        };
        let hash = Sha256::digest(&bytes)
            .iter()
            .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        if hash != *sha256 {
            bail!("`{name}` from the archive has the sha256 {hash}, not {sha256}");
        }
        let target = folder.join(name);
        std::fs::write(&target, bytes)?;
        found.push(target);
    }
    Ok(found)
}

fn reqwest_get(url: &str) -> anyhow::Result<Option<Vec<u8>>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let answer = crate::stack::http_client()?
            .get(url)
            .send()
            .await
            .context("while asking Debian's archive")?;
        match answer.status() {
            status if status.is_success() => Ok(Some(answer.bytes().await?.to_vec())),
            status if status == 404 => Ok(None),
            status => bail!("Debian's archive answered {status} for `{url}`"),
        }
    })
}

// An image made from the base image by some steps in a container of it.
fn derived(
    image: &str,
    made_of: &str,
    steps: impl FnOnce(&str) -> anyhow::Result<()>,
    changes: &[&str],
) -> anyhow::Result<()> {
    let base = output(&mut command(
        "docker",
        ["image", "inspect", "--format", "{{.Id}}", DEBIAN],
    ))?;
    let key = paths::key_of_text(&format!("{} {} {changes:?}", base.trim(), made_of.trim()));
    if has_key(image, &key) {
        return Ok(());
    }
    say::step(&format!("making {image}"), || {
        let id = output(&mut command(
            "docker",
            ["run", "--detach", DEBIAN, "sleep", "infinity"],
        ))?;
        let id = id.trim();
        let made = steps(id).and_then(|()| {
            let mut commit = command(
                "docker",
                ["commit", "--change", &format!("LABEL {KEY_LABEL}={key}")],
            );
            for change in changes {
                commit.arg("--change").arg(change);
            }
            run(commit.arg(id).arg(image))
        });
        // The container is a means only, whatever became of it.
        let _ = run(&mut command("docker", ["rm", "--force", id]));
        made
    })
}

fn inside(container: &str, args: &[&str]) -> anyhow::Result<()> {
    let mut exec = command(
        "docker",
        ["exec", "--env", "DEBIAN_FRONTEND=noninteractive", container],
    );
    run(exec.args(args))
}

// `docker cp` of a folder would keep the host's links as they are: a tar resolves them.
fn copy_in(from: &Path, names: &[&str], container: &str, to: &str) -> anyhow::Result<()> {
    use std::process::Stdio;
    let present = names.iter().filter(|name| from.join(name).exists());
    let mut tar = command(
        "tar",
        [
            "--create",
            "--dereference",
            "--owner=0",
            "--group=0",
            "--directory",
        ],
    );
    let mut tar = tar
        .arg(from)
        .args(present)
        .stdout(Stdio::piped())
        .spawn()
        .context("while starting `tar`")?;
    let stream = tar.stdout.take().context("while reading from `tar`")?;
    let mut copy = command("docker", ["cp", "-", &format!("{container}:{to}")]);
    run(copy.stdin(stream))?;
    if !tar.wait()?.success() {
        bail!("`tar` could not read `{}`", from.display());
    }
    Ok(())
}

// One static program and nothing else.
fn pause(built: &Path) -> anyhow::Result<()> {
    use std::process::Stdio;
    let key = key_of(built);
    if has_key(PAUSE, &key) {
        return Ok(());
    }
    let mut tar = command("tar", ["--create", "--directory"]);
    let mut tar = tar
        .arg(built)
        .arg(".")
        .stdout(Stdio::piped())
        .spawn()
        .context("while starting `tar`")?;
    let stream = tar.stdout.take().context("while reading from `tar`")?;
    let label = format!("LABEL {KEY_LABEL}={key}");
    let mut import = command(
        "docker",
        [
            "import",
            "-c",
            "ENTRYPOINT [\"/kubernetes-pause\"]",
            "-c",
            &label,
            "-",
            PAUSE,
        ],
    );
    run(import.stdin(stream))?;
    tar.wait()?;
    Ok(())
}
