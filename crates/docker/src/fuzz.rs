//! Entry points for fuzzing: each parses bytes from outside, and must neither panic nor take long.
//!
//! Compiled by `cargo xtask fuzz` alone. The targets are listed in `crates/fuzz/src/lib.rs`.

use std::path::Path;

use bollard::moby::buildkit::v1::{StatusResponse, Vertex, VertexLog};

use crate::build::{Ignore, Trace};
use crate::{Dockerfile, ImageInfo};

/// A Dockerfile.
pub fn dockerfile(text: &str) {
    let dockerfile = Dockerfile::parse(text);
    dockerfile.chain();
    dockerfile.names();
    dockerfile.has("test");
}

/// A `.dockerignore`, and paths that it may match.
pub fn dockerignore(text: &str) {
    if let Ok(ignore) = Ignore::parse(text) {
        for path in ["a", "a/b/c.txt", "node_modules/x/y"] {
            ignore.ignores(Path::new(path));
        }
    }
}

/// The images that Docker saves, unpacked into the directory `into`.
pub fn saved_images(archive: &Path, into: &Path) {
    crate::local_registry::fuzz_saved(archive, into);
}

/// A file of a container, copied into the directory `into`.
pub fn container_file(archive: &Path, into: &Path) {
    crate::container::fuzz(archive, into);
}

/// The index and the manifests of an OCI image layout.
pub fn layout(bytes: &[u8]) {
    crate::local_registry::fuzz_layout(bytes);
}

/// The configuration of an image, with what a container is started by.
pub fn image_config(bytes: &[u8]) {
    let _ = ImageInfo::from_config(bytes);
}

/// BuildKit's messages about a build: a line of output of the step before it after `#`, else a step with an error after `!`.
pub fn build_trace(text: &str) {
    let mut trace = Trace::default();
    let mut step = Vertex::default();
    for line in text.lines() {
        let mut status = StatusResponse::default();
        if let Some(output) = line.strip_prefix('#') {
            status.logs.push(VertexLog {
                vertex: step.digest.clone(),
                msg: output.as_bytes().to_vec().into(),
                ..VertexLog::default()
            });
        } else {
            let (name, error) = line.split_once('!').unwrap_or((line, ""));
            step = Vertex {
                digest: name.to_owned(),
                name: name.to_owned(),
                error: error.to_owned(),
                ..Vertex::default()
            };
            status.vertexes.push(step.clone());
        }
        trace.read(status, &mut |_| ());
    }
    if let Some(failure) = trace.failure(text) {
        let _ = failure.to_string();
    }
}
