//! What passed before: a check with the real tools that passed today is not repeated while nothing changed, as `go test`
//! does with its results (go.dev/cmd/go, "Test packages"). A CI service repeats everything.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::paths;
use crate::setup::base_images::DEBIAN;
use crate::setup::command::{command, output};

/// How long a result counts, in seconds: the tests patch with what Debian's archive has today.
const COUNTS_FOR: u64 = 24 * 60 * 60;

/// The results of earlier runs that count for this one.
pub(super) struct Passed {
    /// Of everything that a result depends on.
    key: String,
    records: BTreeMap<String, Record>,
}

/// That a check passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    key: String,
    /// Seconds since 1970.
    time: u64,
    /// How many tests it had.
    tests: u64,
}

impl Passed {
    /// What is known about this checkout with the `tools` at these places; nothing with `again`.
    ///
    /// # Errors
    /// When the checkout can't be read.
    pub(super) fn load(tools: &[PathBuf], again: bool) -> anyhow::Result<Self> {
        let key = key(tools)?;
        let text = std::fs::read(file()).unwrap_or_default();
        let mut records: BTreeMap<String, Record> =
            serde_json::from_slice(&text).unwrap_or_default();
        let now = now();
        records.retain(|_, record| !again && record.key == key && now < record.time + COUNTS_FOR);
        Ok(Self { key, records })
    }

    /// How many tests the check `name` had when it passed with all that is here; `None` if it has to run.
    pub(super) fn tests_of(&self, name: &str) -> Option<u64> {
        self.records.get(name).map(|record| record.tests)
    }

    /// Keep that the check `name` passed with so many `tests`.
    ///
    /// # Errors
    /// When that can't be written.
    pub(super) fn record(&mut self, name: &str, tests: u64) -> anyhow::Result<()> {
        let (key, time) = (self.key.clone(), now());
        let record = Record { key, time, tests };
        self.records.insert(name.to_owned(), record);
        std::fs::create_dir_all(paths::cache())?;
        let part = file().with_extension("part");
        std::fs::write(&part, serde_json::to_vec_pretty(&self.records)?)?;
        std::fs::rename(part, file()).context("failed to keep what passed")
    }
}

fn file() -> PathBuf {
    paths::cache().join("passed.json")
}

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

// The files of the checkout (what git does not ignore), the compiler, the tools, the base image.
fn key(tools: &[PathBuf]) -> anyhow::Result<String> {
    let mut hash = Sha256::new();
    let mut list = command(
        "git",
        "ls-files -z --cached --others --exclude-standard".split(' '),
    );
    for name in output(list.current_dir(paths::root()))?.split('\0') {
        hash.update(name);
        // A file that was removed and is still tracked has no content.
        hash.update(std::fs::read(paths::root().join(name)).unwrap_or_default());
        hash.update([0]);
    }
    hash.update(output(&mut command("rustc", ["--version"]))?);
    for tool in tools {
        hash.update(tool.as_os_str().as_encoded_bytes());
    }
    let inspect = ["image", "inspect", "--format", "{{.Id}}", DEBIAN];
    hash.update(output(&mut command("docker", inspect))?);
    Ok(paths::short(hash))
}
