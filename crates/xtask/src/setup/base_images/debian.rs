//! The image that all others start from, made from Debian's archive.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::json;

use super::{DEBIAN, DEBIAN_ARM64, KEY_LABEL, has_key};
use crate::setup::command::{command, output, run};
use crate::setup::timings;
use crate::{paths, progress};

/// The form in which [`load`] hands an image to Docker: a change makes the image again, from the same files.
const FORM: &str = "with a history";

/// Packages of the base image that are older than the archive's, as an image in a registry is after
/// some weeks: Debian's security updates then have something to fix. Version, and sha256 of the
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
    let mirror = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .find_map(word);
    mirror
        .unwrap_or_else(|| "http://deb.debian.org/debian".into())
        .trim_end_matches('/')
        .to_owned()
}

// Where this machine's own CA certificates are, if it has some.
const CERTIFICATES: &str = "/usr/local/share/ca-certificates";

/// Make the image, if the one that Docker has is not made from the same.
///
/// # Errors
/// When Debian's archive does not give it.
pub(super) fn provide() -> anyhow::Result<()> {
    make(DEBIAN, None, AGED)
}

/// The same for arm64, with the archive's own versions.
///
/// # Errors
/// As [`provide`].
pub(super) fn provide_arm64() -> anyhow::Result<()> {
    make(DEBIAN_ARM64, Some("arm64"), &[])
}

fn make(image: &str, architecture: Option<&str>, aged: &[(&str, &str)]) -> anyhow::Result<()> {
    let archive = archive();
    let certificates = Path::new(CERTIFICATES);
    let mut made_of = format!("{archive} {aged:?}");
    made_of.extend(architecture);
    if certificates.is_dir() {
        made_of.push_str(&paths::key(certificates, "")?);
    }
    let key = paths::key(Path::new("/usr/share/keyrings"), &made_of)?;
    let image_key = paths::key_of_text(format!("{key} {FORM}"));
    if has_key(image, &image_key) {
        return Ok(());
    }
    let directory = paths::cache().join("base-images");
    std::fs::create_dir_all(&directory)?;
    let rootfs = directory.join(format!("debian-trixie-{key}.tar"));
    if !rootfs.is_file() {
        timings::step(
            image,
            &format!("making {image} from Debian's archive"),
            || {
                debootstrap(
                    &archive,
                    architecture,
                    &aged_packages(&archive, aged)?,
                    &rootfs,
                )
            },
        )?;
    }
    load(image, architecture, &image_key, &rootfs)
}

// `docker import` can set no architecture, so the image is loaded (github.com/moby/moby, image/spec/spec.md).
fn load(image: &str, architecture: Option<&str>, key: &str, rootfs: &Path) -> anyhow::Result<()> {
    use sha2::{Digest as _, Sha256};
    let mut hash = Sha256::new();
    std::io::copy(&mut File::open(rootfs)?, &mut hash)?;
    let digest = paths::hex(&hash.finalize());
    let architecture = architecture.unwrap_or(match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    });
    // Where this machine has its own CA certificates, tools that ignore the system's store get them by a variable.
    let bundle = "/etc/ssl/certs/ca-certificates.crt";
    let env = [
        "SSL_CERT_FILE",
        "PIP_CERT",
        "REQUESTS_CA_BUNDLE",
        "CARGO_HTTP_CAINFO",
    ];
    // BuildKit puts the steps of a build beside the wrong layers if the base image has none of its layer.
    let created = ["--utc", "+%Y-%m-%dT%H:%M:%SZ", "--reference"];
    let created = output(command("date", created).arg(rootfs))?;
    let created = created.trim();
    let config = json!({
        "os": "linux", "architecture": architecture, "created": created,
        "history": [{"created": created, "comment": "made from Debian's archive"}],
        "config": {"Cmd": ["bash"], "Labels": {KEY_LABEL: key}, "Env": env.map(|name| format!("{name}={bundle}"))},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": [image], "Layers": ["layer.tar"]}]);
    let directory = rootfs.with_extension("image");
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory)?;
    std::fs::write(directory.join("config.json"), config.to_string())?;
    std::fs::write(directory.join("manifest.json"), manifest.to_string())?;
    std::fs::hard_link(rootfs, directory.join("layer.tar"))?;
    let archive = directory.join("image.tar");
    let mut pack = command("tar", ["--create", "--file"]);
    let files = ["manifest.json", "config.json", "layer.tar"];
    run(pack
        .arg(&archive)
        .arg("--directory")
        .arg(&directory)
        .args(files))?;
    run(command("docker", ["load", "--quiet", "--input"]).arg(&archive))?;
    std::fs::remove_dir_all(&directory).context("failed to remove the archive of an image")
}

fn debootstrap(
    archive: &str,
    architecture: Option<&str>,
    aged: &[PathBuf],
    rootfs: &Path,
) -> anyhow::Result<()> {
    let part = rootfs.with_extension("part.tar");
    let certificates = Path::new(CERTIFICATES);
    let mut make = command(
        "mmdebstrap",
        ["--variant=minbase", "--include=ca-certificates"],
    );
    for directory in ["doc", "man", "locale", "info"] {
        make.arg(format!("--dpkgopt=path-exclude=/usr/share/{directory}/*"));
    }
    if let Some(architecture) = architecture {
        make.arg(format!("--architectures={architecture}"));
    }
    if !aged.is_empty() {
        make.arg("--customize-hook=mkdir -p \"$1/aged\"");
        for package in aged {
            make.arg(format!(
                "--customize-hook=copy-in {} /aged",
                package.display()
            ));
        }
        make.arg(
            "--customize-hook=chroot \"$1\" sh -c 'dpkg --install /aged/*.deb && rm -r /aged'",
        );
    }
    if certificates.is_dir() {
        make.arg(format!(
            "--customize-hook=copy-in {} /usr/local/share/",
            certificates.display()
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
    std::fs::rename(&part, rootfs).context("failed to store the root file system")
}

// Packages that the pool no longer has are skipped: the image is then simply up to date.
fn aged_packages(archive: &str, aged: &[(&str, &str)]) -> anyhow::Result<Vec<PathBuf>> {
    use sha2::{Digest as _, Sha256};
    let directory = paths::cache().join("base-images/aged");
    std::fs::create_dir_all(&directory)?;
    let mut packages = Vec::new();
    if std::env::consts::ARCH != "x86_64" {
        return Ok(packages);
    }
    for (path, sha256) in aged {
        let name = path.rsplit('/').next().unwrap_or(path);
        let first = &path[..1];
        let url = format!("{archive}/pool/main/{first}/{path}");
        let Some(bytes) = get(&url)? else {
            progress::line(format!(
                "  {name} is no longer in the archive: the base image will be up to date"
            ));
            return Ok(Vec::new());
        };
        let hash = paths::hex(&Sha256::digest(&bytes));
        if hash != *sha256 {
            bail!("`{name}` from the archive has the sha256 {hash}, not {sha256}");
        }
        let target = directory.join(name);
        std::fs::write(&target, bytes)?;
        packages.push(target);
    }
    Ok(packages)
}

// The body of a response; nothing if the archive does not have it.
fn get(url: &str) -> anyhow::Result<Option<Vec<u8>>> {
    let args = [
        "--silent",
        "--show-error",
        "--location",
        "--write-out",
        "%{http_code}",
    ];
    let file = paths::cache().join("base-images/download");
    let mut curl = command("curl", args);
    let status = output(curl.arg("--output").arg(&file).arg(url))
        .context("failed to reach Debian's archive")?;
    match status.trim() {
        "200" => {
            let bytes = std::fs::read(&file).context("failed to read what was downloaded")?;
            std::fs::remove_file(&file)?;
            Ok(Some(bytes))
        }
        "404" => Ok(None),
        status => bail!("Debian's archive responded with {status} for `{url}`"),
    }
}
