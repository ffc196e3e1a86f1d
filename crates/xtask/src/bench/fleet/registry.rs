//! A registry with many images, each with its own digest.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::setup::command::command;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Images that are made of one base.
const OF_BASE: usize = 20;
/// Bytes of a base's layer, next to its packages.
const BASE_BYTES: usize = 2 << 20;

/// Debian's `docker-registry` with its own directory, on its own port, until it is dropped.
pub(super) struct Registry {
    pub(super) address: String,
    process: Child,
}

impl Registry {
    /// Start one whose files are in `directory`.
    ///
    /// # Errors
    /// When it does not start.
    pub(super) fn start(directory: &Path) -> anyhow::Result<Self> {
        // Free until it is taken.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let config = directory.join("registry.yml");
        let data = directory.join("registry");
        let text = format!(
            "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {port}\n  relativeurls: true\n",
            data.display()
        );
        std::fs::write(&config, text)?;
        let process = command("docker-registry", ["serve"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("failed to start the registry")?;
        let registry = Self {
            address: port.to_string(),
            process,
        };
        let started = Instant::now();
        while TcpStream::connect(port).is_err() {
            let elapsed = started.elapsed();
            ensure!(
                elapsed < Duration::from_mins(1),
                "the registry did not start"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(registry)
    }

    /// Push `count` images, 20 of each base; returns the bytes of their layers, those of a base for each image.
    ///
    /// # Errors
    /// When it does not take one.
    pub(super) fn fill(&self, count: usize) -> anyhow::Result<u64> {
        let mut connection = Connection::new(&self.address)?;
        let mut bytes = 0;
        for base in 0..count.div_ceil(OF_BASE) {
            let repository = format!("fleet/base-{base}");
            let layer = base_layer(base)?;
            let shared = connection.push_blob(&repository, &layer)?;
            for image in (base * OF_BASE..count).take(OF_BASE) {
                bytes += connection.push_image(&repository, (&shared, layer.len()), image, 0)?;
            }
        }
        Ok(bytes)
    }

    /// Give the first image of each of `count` bases a new build.
    ///
    /// # Errors
    /// When the registry does not take one.
    pub(super) fn change(&self, count: usize) -> anyhow::Result<()> {
        let mut connection = Connection::new(&self.address)?;
        for base in 0..count {
            let repository = format!("fleet/base-{base}");
            let layer = base_layer(base)?;
            let shared = digest(&layer);
            let image = base * OF_BASE;
            connection.push_image(&repository, (&shared, layer.len()), image, 1)?;
        }
        Ok(())
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

// Debian with one package, whose version has known vulnerabilities, and bytes that no other base has.
fn base_layer(base: usize) -> anyhow::Result<Vec<u8>> {
    let status = format!(
        "Package: libssl3t64\nStatus: install ok installed\nSource: openssl\nArchitecture: amd64\nVersion: 3.5.7-1~deb13u{}\n\n",
        base % 4
    );
    let release = "ID=debian\nVERSION_ID=\"13\"\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n";
    let mut filler = Vec::with_capacity(BASE_BYTES);
    while filler.len() < BASE_BYTES {
        let part = (base as u64, filler.len() as u64);
        filler.extend(Sha256::digest(format!("{part:?}")));
    }
    tar(&[
        ("etc/os-release", release.as_bytes()),
        ("etc/debian_version", b"13.1\n"),
        ("var/lib/dpkg/status", status.as_bytes()),
        ("opt/base", &filler),
    ])
}

// The `ustar` format (pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html).
fn tar(files: &[(&str, &[u8])]) -> anyhow::Result<Vec<u8>> {
    let mut out = Vec::new();
    for (name, content) in files {
        let mut header = [0_u8; 512];
        let mut put = |at: usize, text: &[u8]| -> anyhow::Result<()> {
            let field = header.get_mut(at..at + text.len());
            field.context("a field is too long")?.copy_from_slice(text);
            Ok(())
        };
        put(0, name.as_bytes())?;
        put(100, b"0000644\0")?;
        put(108, b"0000000\0")?;
        put(116, b"0000000\0")?;
        put(124, format!("{:011o}\0", content.len()).as_bytes())?;
        put(136, b"00000000000\0")?;
        put(148, b"        ")?;
        put(156, b"0")?;
        put(257, b"ustar\x0000")?;
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        let sum = format!("{sum:06o}\0 ");
        header[148..156].copy_from_slice(sum.as_bytes());
        out.extend(header);
        out.extend(*content);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    Ok(out)
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

/// A connection that is kept for all requests.
struct Connection {
    reader: BufReader<TcpStream>,
    host: String,
}

impl Connection {
    fn new(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).context("failed to connect to the registry")?;
        stream.set_nodelay(true)?;
        Ok(Self {
            reader: BufReader::new(stream),
            host: address.to_owned(),
        })
    }

    // An image of the base's layer, which the repository has, and one of its own; returns the bytes of both.
    fn push_image(
        &mut self,
        repository: &str,
        (base, base_size): (&str, usize),
        image: usize,
        build: usize,
    ) -> anyhow::Result<u64> {
        let content = format!("{image} {build}\n");
        let own = tar(&[("opt/app", content.as_bytes())])?;
        let own_digest = self.push_blob(repository, &own)?;
        let config = json!({
            "os": "linux", "architecture": "amd64", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [base, own_digest]},
        });
        let config = config.to_string();
        let config_digest = self.push_blob(repository, config.as_bytes())?;
        let descriptor = |kind: &str, digest: &str, size: usize| -> Value {
            json!({"mediaType": kind, "digest": digest, "size": size})
        };
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": descriptor(CONFIG, &config_digest, config.len()),
            "layers": [descriptor(LAYER, base, base_size), descriptor(LAYER, &own_digest, own.len())],
        });
        let path = format!("/v2/{repository}/manifests/{}", image % OF_BASE + 1);
        let kind = [("content-type", MANIFEST)];
        let (status, _) = self.send("PUT", &path, &kind, manifest.to_string().as_bytes())?;
        ensure!(status == 201, "the registry rejected a manifest: {status}");
        Ok((base_size + own.len()) as u64)
    }

    fn push_blob(&mut self, repository: &str, bytes: &[u8]) -> anyhow::Result<String> {
        let digest = digest(bytes);
        let path = format!("/v2/{repository}/blobs/uploads/");
        let (status, location) = self.send("POST", &path, &[], b"")?;
        let location = location.filter(|_| status == 202);
        let location = location.context("the registry opened no upload")?;
        let separator = if location.contains('?') { '&' } else { '?' };
        let path = format!("{location}{separator}digest={}", digest.replace(':', "%3A"));
        let kind = [("content-type", "application/octet-stream")];
        let (status, _) = self.send("PUT", &path, &kind, bytes)?;
        ensure!(status == 201, "the registry rejected a blob: {status}");
        Ok(digest)
    }

    // The status, and the header `Location`.
    fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> anyhow::Result<(u16, Option<String>)> {
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n",
            self.host,
            body.len()
        );
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        let mut stream = self.reader.get_ref();
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.context("the registry did not respond")?;
        let (mut location, mut length) = (None, 0);
        loop {
            line.clear();
            if self.reader.read_line(&mut line)? == 0 {
                bail!("the registry closed the connection");
            }
            let header = line.trim();
            if header.is_empty() {
                break;
            }
            let (name, value) = header.split_once(':').context("an invalid header")?;
            match name.to_ascii_lowercase().as_str() {
                "location" => location = Some(value.trim().to_owned()),
                "content-length" => length = value.trim().parse()?,
                _ => {}
            }
        }
        std::io::copy(&mut (&mut self.reader).take(length), &mut std::io::sink())?;
        Ok((status, location))
    }
}
