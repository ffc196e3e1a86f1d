//! Whether an image holds programs for the architecture that its configuration says, and whether its base images are
//! pinned to one platform.

use std::time::Duration;

use actions_toolkit::PolicyFailure;
use docker::{BuildWarning, Container, ContainerSpec, FileHead, ImageConfig, ImageInfo};
use futures_util::future::join_all;
use oci::{ImageRef, Index, Registry, is_index};

use crate::job::Job;

/// Links that are followed to one file.
const LINKS: usize = 10;
/// Docker's own `PATH` (github.com/moby/moby, `container/env.go`).
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// For each pinned base image; without a response nothing is known.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Pinned base images that are looked at.
const PINNED: usize = 20;

/// Compare the program that the image starts, and its shell, with the architecture of its configuration.
///
/// # Errors
/// A [`PolicyFailure`] when one of them is for another architecture; another error when Docker fails.
pub(crate) async fn check(job: &Job<'_>, image: &ImageInfo) -> anyhow::Result<()> {
    if image.os != "linux" {
        return Ok(());
    }
    let spec = ContainerSpec {
        image: image.id.clone(),
        // Never started; an image without a command has none otherwise.
        entrypoint: vec!["/".to_owned()],
        network: Some("none".to_owned()),
        run: job.run.to_owned(),
        ..ContainerSpec::default()
    };
    let container = job.docker.create(&spec).await?;
    let checked = programs(&container, image).await;
    container.remove().await;
    checked
}

async fn programs(container: &Container, image: &ImageInfo) -> anyhow::Result<()> {
    let config = &image.config;
    let mut words: Vec<&str> = Vec::new();
    let command = config.entrypoint.iter().chain(&config.cmd).next();
    words.extend(command.map(String::as_str));
    words.push("/bin/sh");
    words.dedup();
    for word in words {
        let Some((path, mut head)) = find(container, config, word).await? else {
            continue;
        };
        let mut path = path;
        // A script is as good as its interpreter.
        if let Some(interpreter) = interpreter(&head) {
            let Some(found) = find(container, config, &interpreter).await? else {
                continue;
            };
            (path, head) = found;
        }
        if let Some(machine) = machine(&head)
            && !runs_on(machine, &image.architecture)
        {
            return Err(PolicyFailure(format!(
                "the image says that it is for `{}`, but `{path}` is a program for `{machine}`; is a stage built from an image of another platform, or was the program built for another one?",
                image.architecture
            ))
            .into());
        }
    }
    Ok(())
}

// The file that `word` names in a container: its path, and its first bytes.
async fn find(
    container: &Container,
    config: &ImageConfig,
    word: &str,
) -> anyhow::Result<Option<(String, Vec<u8>)>> {
    for candidate in candidates(config, word) {
        let mut path = candidate.clone();
        for _ in 0..LINKS {
            match container.head(&path).await? {
                Some(FileHead::File(head)) => return Ok(Some((candidate, head))),
                Some(FileHead::Link(target)) => path = join(parent(&path), &target),
                Some(FileHead::Other) | None => break,
            }
        }
    }
    Ok(None)
}

// As the runtime looks for the first word of a command.
fn candidates(config: &ImageConfig, word: &str) -> Vec<String> {
    if word.contains('/') {
        let directory = match config.working_dir.as_str() {
            "" => "/",
            directory => directory,
        };
        return vec![join(directory, word)];
    }
    let own = config
        .env
        .iter()
        .find_map(|pair| pair.strip_prefix("PATH="));
    let directories = own
        .unwrap_or(PATH)
        .split(':')
        .filter(|directory| !directory.is_empty());
    directories.map(|directory| join(directory, word)).collect()
}

fn join(directory: &str, path: &str) -> String {
    if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{}/{path}", directory.trim_end_matches('/'))
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

// `#!/usr/bin/env -S python3 -u` means `python3`.
fn interpreter(head: &[u8]) -> Option<String> {
    let line = head
        .strip_prefix(b"#!")?
        .split(|byte| *byte == b'\n')
        .next()?;
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_whitespace();
    let first = words.next()?;
    if first.rsplit('/').next() != Some("env") {
        return Some(first.to_owned());
    }
    let mut words = words.skip_while(|word| word.starts_with('-') || word.contains('='));
    Some(words.next().unwrap_or(first).to_owned())
}

// The architecture of an ELF file, as Go and images call it (refspecs.linuxbase.org/elf/gabi4+/ch4.eheader.html).
fn machine(head: &[u8]) -> Option<&'static str> {
    let ident = head.get(..20)?;
    if !ident.starts_with(b"\x7fELF") {
        return None;
    }
    let is_little = ident[5] == 1;
    let pair = [ident[18], ident[19]];
    let number = if is_little {
        u16::from_le_bytes(pair)
    } else {
        u16::from_be_bytes(pair)
    };
    Some(match (number, is_little) {
        (0x03, _) => "386",
        (0x15, true) => "ppc64le",
        (0x15, false) => "ppc64",
        (0x16, _) => "s390x",
        (0x28, _) => "arm",
        (0x3e, _) => "amd64",
        (0xb7, _) => "arm64",
        (0xf3, _) => "riscv64",
        (0x102, _) => "loong64",
        _ => return None,
    })
}

/// Whether a machine of `architecture` runs programs for `machine`. A kernel of 64 bits runs programs of 32, too; an architecture
/// without a rule here is not judged.
pub(crate) fn runs_on(machine: &str, architecture: &str) -> bool {
    match architecture {
        "amd64" => matches!(machine, "amd64" | "386"),
        "arm64" => matches!(machine, "arm64" | "arm"),
        "386" | "arm" | "ppc64le" | "ppc64" | "s390x" | "riscv64" | "loong64" => {
            machine == architecture
        }
        _ => true,
    }
}

/// A warning for each of the `pinned` base images whose digest is that of one platform, where its tag is an index of
/// several. A registry that does not respond says nothing.
pub(crate) async fn pinned_platforms(
    job: &Job<'_>,
    pinned: &[(ImageRef, u32)],
) -> Vec<BuildWarning> {
    let found = pinned.iter().take(PINNED).map(|(image, line)| async move {
        let looked = tokio::time::timeout(TIMEOUT, one_platform(job, image)).await;
        match looked {
            Ok(Ok(message)) => message.map(|message| BuildWarning {
                message,
                url: String::new(),
                line: Some(*line),
            }),
            Ok(Err(e)) => {
                job.log.debug(format!("`{image}`: {e:#}"));
                None
            }
            Err(_) => None,
        }
    });
    join_all(found).await.into_iter().flatten().collect()
}

async fn one_platform(job: &Job<'_>, image: &ImageRef) -> anyhow::Result<Option<String>> {
    let Some(digest) = image.digest() else {
        return Ok(None);
    };
    let (host, repository) = image.in_registry();
    let http = job.ctx.http()?.clone();
    let registry =
        Registry::new(http, host, job.logins.auth(host), job.log.masker()).without_retries();
    let own = registry.manifest(&repository, digest.as_str()).await?;
    if own.is_none_or(|own| is_index(&own.media_type)) {
        return Ok(None);
    }
    let tag = image.tag().unwrap_or("latest");
    let tagged = registry.manifest(&repository, tag).await?;
    let Some(index) = tagged.filter(|tagged| is_index(&tagged.media_type)) else {
        return Ok(None);
    };
    let entries: Index = serde_json::from_slice(&index.bytes)?;
    let own = entries
        .manifests
        .iter()
        .find(|entry| entry.digest == digest.as_str());
    let platform = own.and_then(|entry| entry.platform.as_ref()).map_or_else(
        || "one platform".to_owned(),
        |platform| format!("{}/{}", platform.os, platform.architecture),
    );
    Ok(Some(format!(
        "PlatformDigest: `{}@{digest}` is the image of {platform} alone, for each platform that is built; pin the digest of the index of `{tag}`, now {}",
        image.without_version(),
        index.digest
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(order: u8, machine: [u8; 2]) -> Vec<u8> {
        let mut head = b"\x7fELF\x02".to_vec();
        head.push(order);
        head.resize(18, 0);
        head.extend(machine);
        head
    }

    #[test]
    fn the_machine_of_a_program() {
        let table = [
            (elf(1, [0x3e, 0]), Some("amd64")),
            (elf(1, [0xb7, 0]), Some("arm64")),
            (elf(1, [0x15, 0]), Some("ppc64le")),
            (elf(2, [0, 0x15]), Some("ppc64")),
            (elf(2, [0, 0x16]), Some("s390x")),
            (elf(1, [0xff, 0xff]), None),
            (b"\x7fELF".to_vec(), None),
            (b"#!/bin/sh\n".to_vec(), None),
            (Vec::new(), None),
        ];
        for (head, expected) in table {
            assert_eq!(machine(&head), expected, "{head:?}");
        }
        for (machine, architecture, runs) in [
            ("amd64", "amd64", true),
            ("386", "amd64", true),
            ("amd64", "386", false),
            ("amd64", "arm64", false),
            ("arm64", "amd64", false),
            ("arm", "arm64", true),
            ("amd64", "wasm", true),
        ] {
            assert_eq!(
                runs_on(machine, architecture),
                runs,
                "{machine} {architecture}"
            );
        }
    }

    #[test]
    fn a_script_has_an_interpreter() {
        let table = [
            ("#!/bin/sh -e\necho", Some("/bin/sh")),
            ("#! /usr/bin/env python3\n", Some("python3")),
            ("#!/usr/bin/env -S A=1 node --flag\n", Some("node")),
            ("#!/usr/bin/env", Some("/usr/bin/env")),
            ("#!\n", None),
            ("echo", None),
        ];
        for (head, expected) in table {
            assert_eq!(interpreter(head.as_bytes()).as_deref(), expected, "{head}");
        }
    }

    #[test]
    fn a_command_is_found_as_the_runtime_finds_it() {
        let config = ImageConfig {
            env: vec!["PATH=/venv/bin::/bin/".to_owned()],
            working_dir: "/app".to_owned(),
            ..ImageConfig::default()
        };
        assert_eq!(
            candidates(&config, "python"),
            ["/venv/bin/python", "/bin/python"]
        );
        assert_eq!(candidates(&config, "./run"), ["/app/./run"]);
        assert_eq!(candidates(&config, "/run"), ["/run"]);
        assert_eq!(
            candidates(&ImageConfig::default(), "sh").last().unwrap(),
            "/bin/sh"
        );
        assert_eq!(
            join(parent("/usr/bin/python"), "python3"),
            "/usr/bin/python3"
        );
        assert_eq!(join(parent("/bin"), "usr/bin"), "/usr/bin");
    }
}
