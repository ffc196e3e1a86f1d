//! A registry with images: Debian's layers, which all have in common, and one more with a package.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::paths;
use crate::setup::base_images::DEBIAN;
use crate::setup::command::{command, run};
use crate::stack::process;

const NAME: &str = "bench-registry";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// A registry for these runs; stopped with the value.
pub(super) struct Registry {
    pub(super) host: String,
    directory: PathBuf,
}

/// An image in it.
pub(super) struct Image {
    digest: String,
    /// Of its manifest.
    size: usize,
    /// Of everything that a pull downloads.
    pub(super) bytes: u64,
}

/// Layers in the registry, and the digests of their content.
pub(super) struct Base {
    layers: Vec<Value>,
    diff_ids: Vec<String>,
}

impl Registry {
    /// Start one that stores in `directory`.
    ///
    /// # Errors
    /// When it does not start.
    pub(super) fn start(directory: &Path) -> anyhow::Result<Self> {
        let directory = directory.join("registry");
        std::fs::create_dir_all(&directory)?;
        let host = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let config = directory.join("config.yml");
        let text = format!(
            "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {host}\n  relativeurls: true\n",
            directory.join("data").display()
        );
        std::fs::write(&config, text)?;
        process::start(NAME, command("docker-registry", ["serve"]).arg(&config))?;
        let started = Self { host, directory };
        process::wait(NAME, Duration::from_secs(60), || {
            TcpStream::connect(&started.host).is_ok()
        })?;
        Ok(started)
    }

    /// Push Debian's layers.
    ///
    /// # Errors
    /// When Docker does not have them.
    pub(super) fn base(&self, repository: &str) -> anyhow::Result<Base> {
        let saved = self.directory.join("debian");
        std::fs::create_dir_all(&saved)?;
        let file = self.directory.join("debian.tar");
        run(command("docker", ["save", "--output"])
            .arg(&file)
            .arg(DEBIAN))?;
        run(command("tar", ["--extract", "--file"])
            .arg(&file)
            .arg("--directory")
            .arg(&saved))?;
        let manifest = std::fs::read(saved.join("manifest.json"))?;
        let manifest: Value = serde_json::from_slice(&manifest)?;
        let mut base = Base {
            layers: Vec::new(),
            diff_ids: Vec::new(),
        };
        for layer in manifest[0]["Layers"].as_array().into_iter().flatten() {
            let layer = saved.join(layer.as_str().context("a layer without a name")?);
            base.diff_ids.push(digest(&std::fs::read(&layer)?));
            run(command("gzip", ["-1", "--force", "--keep"]).arg(&layer))?;
            let mut packed = layer.into_os_string();
            packed.push(".gz");
            let kind = format!("{LAYER}+gzip");
            base.layers
                .push(self.blob(repository, &kind, &std::fs::read(packed)?)?);
        }
        ensure!(!base.layers.is_empty(), "`{DEBIAN}` has no layer");
        Ok(base)
    }

    /// Push the image `number` of `repository`, with this number as its tag.
    ///
    /// # Errors
    /// When the registry rejects it.
    pub(super) fn image(
        &self,
        repository: &str,
        base: &Base,
        number: usize,
    ) -> anyhow::Result<Image> {
        let root = self.directory.join("layer");
        let package = root.join("opt/app/lib/python3/site-packages/flask-2.2.2.dist-info");
        std::fs::create_dir_all(&package)?;
        let about = "Metadata-Version: 2.1\nName: flask\nVersion: 2.2.2\n";
        std::fs::write(package.join("METADATA"), about)?;
        std::fs::write(root.join("opt/app/number"), number.to_string())?;
        let file = self.directory.join("layer.tar");
        run(command("tar", ["--create", "--file"])
            .arg(&file)
            .arg("--directory")
            .arg(&root)
            .arg("."))?;
        let layer = std::fs::read(&file)?;
        let mut diff_ids = base.diff_ids.clone();
        diff_ids.push(digest(&layer));
        let config = json!({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        let mut layers = base.layers.clone();
        layers.push(self.blob(repository, LAYER, &layer)?);
        let config = self.blob(repository, CONFIG, config.to_string().as_bytes())?;
        let size = |blob: &Value| blob["size"].as_u64().unwrap_or_default();
        let bytes = size(&config) + layers.iter().map(size).sum::<u64>();
        let manifest =
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        let (digest, size) =
            self.manifest(repository, MANIFEST, &manifest, Some(&number.to_string()))?;
        Ok(Image {
            digest,
            size,
            bytes,
        })
    }

    /// Attach `sbom` to `image`, by the tag that lists what refers to it: this registry does not list them.
    ///
    /// # Errors
    /// When the registry rejects it.
    pub(super) fn attach(
        &self,
        repository: &str,
        image: &Image,
        sbom: &[u8],
    ) -> anyhow::Result<()> {
        let kind = "application/vnd.cyclonedx+json";
        let layer = self.blob(repository, kind, sbom)?;
        let empty = self.blob(repository, EMPTY, b"{}")?;
        let subject = json!({"mediaType": MANIFEST, "digest": image.digest, "size": image.size});
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": kind, "config": empty, "layers": [layer], "subject": subject});
        let (digest, size) = self.manifest(repository, MANIFEST, &manifest, None)?;
        let entry =
            json!({"mediaType": MANIFEST, "digest": digest, "size": size, "artifactType": kind});
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]});
        let tag = image.digest.replace(':', "-");
        self.manifest(repository, INDEX, &index, Some(&tag))?;
        Ok(())
    }

    // The descriptor of `bytes`.
    fn blob(&self, repository: &str, kind: &str, bytes: &[u8]) -> anyhow::Result<Value> {
        let digest = digest(bytes);
        let path = format!("/v2/{repository}/blobs/uploads/");
        let upload = self.send("POST", &path, "", b"")?;
        let upload = upload.context("the registry names no place for an upload")?;
        let mark = if upload.contains('?') { '&' } else { '?' };
        let place = format!("{upload}{mark}digest={digest}");
        self.send("PUT", &place, "application/octet-stream", bytes)?;
        Ok(json!({"mediaType": kind, "digest": digest, "size": bytes.len()}))
    }

    fn manifest(
        &self,
        repository: &str,
        kind: &str,
        manifest: &Value,
        tag: Option<&str>,
    ) -> anyhow::Result<(String, usize)> {
        let text = manifest.to_string();
        let digest = digest(text.as_bytes());
        let path = format!("/v2/{repository}/manifests/{}", tag.unwrap_or(&digest));
        self.send("PUT", &path, kind, text.as_bytes())?;
        Ok((digest, text.len()))
    }

    // The `location` of the response.
    fn send(
        &self,
        method: &str,
        path: &str,
        kind: &str,
        body: &[u8],
    ) -> anyhow::Result<Option<String>> {
        let mut stream = TcpStream::connect(&self.host)?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            self.host,
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut response = String::new();
        stream.read_to_string(&mut response)?;
        let status = response.split(' ').nth(1).unwrap_or_default();
        ensure!(status.starts_with('2'), "{method} {path}: {response}");
        let is_location = |line: &&str| line.to_ascii_lowercase().starts_with("location:");
        let location = response.lines().find(is_location);
        let location = location.and_then(|line| line.split_once(':'));
        Ok(location.map(|(_, place)| place.trim().to_owned()))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        process::stop(NAME);
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", paths::hex(&Sha256::digest(bytes)))
}

/// The address of a proxy in front of `host`, and the bytes that it has delivered.
///
/// # Errors
/// When no port is free.
pub(super) fn counted(host: &str) -> anyhow::Result<(String, Arc<AtomicU64>)> {
    let listener = TcpListener::bind("127.0.0.1:0").context("failed to open a port")?;
    let address = listener.local_addr()?.to_string();
    let delivered = Arc::new(AtomicU64::new(0));
    let (host, counter) = (host.to_owned(), Arc::clone(&delivered));
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(&host) else {
                return;
            };
            let counter = Arc::clone(&counter);
            // A connection that breaks is the client's to report.
            let _ = forward(client, server, counter);
        }
    });
    Ok((address, delivered))
}

fn forward(
    mut client: TcpStream,
    mut server: TcpStream,
    counter: Arc<AtomicU64>,
) -> std::io::Result<()> {
    let (mut requests, mut to_server) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut requests, &mut to_server);
        let _ = to_server.shutdown(std::net::Shutdown::Write);
    });
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = server.read(&mut buffer) {
            counter.fetch_add(length as u64, Ordering::Relaxed);
            if client.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = client.shutdown(std::net::Shutdown::Both);
    });
    Ok(())
}
