//! The files that a step writes: no step replaces by chance what another step of its job wrote.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::{Context, Env, Log, Scope, Value, WorkspacePath, text};

/// Steps of one job that have one name by default.
const STEPS: usize = 100;
/// Bytes of a record, at most.
const RECORD_LIMIT: u64 = 4096;

/// A file that the step writes, in the workspace. Its default is not in `action.yml`: a name that a workflow gives is that
/// of the file, and one that is not given may get a suffix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultFile {
    path: WorkspacePath,
    is_chosen: bool,
}

impl Value for ResultFile {
    const WORKFLOW_DEFAULT: Option<&'static str> = Some("");

    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String> {
        let path = WorkspacePath::parse(text, scope)?;
        if path.relative().is_empty() {
            return Err(format!("`{text}` is not the path of a file"));
        }
        Ok(Self {
            path,
            is_chosen: !scope.is_default(),
        })
    }
}

impl ResultFile {
    /// The file, after [`Context::claim`] under the name that no other step uses.
    pub fn into_path(self) -> WorkspacePath {
        self.path
    }

    // The name for the step that is this one of those that have it by default.
    fn numbered(&self, number: usize) -> WorkspacePath {
        match number {
            1 => self.path.clone(),
            number => self.path.suffixed(&format!("step-{number}")),
        }
    }
}

/// The names of the files of a step of a workflow. No other step gets them while this is alive, and later ones of the job not by
/// default.
#[derive(Debug, Default)]
pub struct FileClaim {
    claimed: Vec<Claimed>,
    others: Vec<WorkspacePath>,
    record: Option<Record>,
}

impl Context {
    /// Give `files` the names that this step writes. A default name has `leg`, the leg of the job in its matrix; if another
    /// step of this job has written a file of the name, or writes it now, the default names of this step get the suffix
    /// `step-2`, `step-3`, …. A chosen name stays, unless another step writes the file now.
    pub fn claim(&self, leg: Option<&str>, files: &mut [&mut ResultFile]) -> FileClaim {
        FileClaim::new(self.env(), &self.places(), self.log(), leg, files)
    }

    /// Record that this step publishes under `name`, such as the category of an analysis; whether another step of this job has
    /// done so before.
    pub fn record_publication(&self, name: &str) -> bool {
        let record = Record::new(self.env());
        record.is_some_and(|record| record.publish(&self.places(), name))
    }

    // The directories of the records, which the steps of a job share.
    fn places(&self) -> Vec<PathBuf> {
        // act gives each action its own `RUNNER_TEMP`; the directory of these files is one for the job everywhere.
        let output = self.env().get("GITHUB_OUTPUT").map(Path::new);
        let commands = output.and_then(Path::parent).map(Path::to_owned);
        let places = [Some(self.temp_dir()), commands].into_iter().flatten();
        // Two locks of one file would exclude each other.
        let places: BTreeSet<_> = places
            .filter_map(|place| place.canonicalize().ok())
            .collect();
        places.into_iter().collect()
    }
}

impl FileClaim {
    /// The files of other steps that have the names that this one would have.
    pub fn others(&self) -> &[WorkspacePath] {
        &self.others
    }

    fn new(
        env: &Env,
        places: &[PathBuf],
        log: &Log,
        leg: Option<&str>,
        files: &mut [&mut ResultFile],
    ) -> Self {
        let mut claim = Self {
            claimed: Vec::new(),
            others: Vec::new(),
            record: Record::new(env),
        };
        let mut default = Vec::new();
        for file in files {
            if file.is_chosen {
                claim.take(places, log, &mut [&mut **file]);
                continue;
            }
            if let Some(leg) = leg {
                file.path = file.path.suffixed(leg);
            }
            default.push(&mut **file);
        }
        claim.take(places, log, &mut default);
        claim
    }

    // All with the first number with which all are free: files of one step are seen to belong together.
    fn take(&mut self, places: &[PathBuf], log: &Log, files: &mut [&mut ResultFile]) {
        let mut first = None;
        for number in 1..=STEPS {
            let claimed = files.iter().map(|file| self.claim(places, file, number));
            match claimed.collect::<Result<Vec<_>, Taken>>() {
                Ok(claimed) => {
                    if let Some(taken) = first {
                        report(log, &taken, &claimed);
                    }
                    for (file, claimed) in files.iter_mut().zip(&claimed) {
                        file.path.clone_from(&claimed.path);
                    }
                    self.claimed.extend(claimed);
                    return;
                }
                Err(taken) => {
                    let others = files.iter().map(|file| file.numbered(number));
                    self.others.extend(others);
                    first.get_or_insert(taken);
                }
            }
        }
    }

    fn claim(
        &self,
        places: &[PathBuf],
        file: &ResultFile,
        number: usize,
    ) -> Result<Claimed, Taken> {
        let path = file.numbered(number);
        let Some(record) = &self.record else {
            return Ok(Claimed {
                before: None,
                path,
                locks: Vec::new(),
            });
        };
        let name = lock_name(&path.absolute().to_string_lossy());
        // Where no lock can be made, nothing is known of other steps.
        let locks = places
            .iter()
            .filter_map(|place| open(&place.join(&name)).ok());
        let mut locks: Vec<_> = locks.collect();
        for lock in &mut locks {
            if matches!(lock.try_lock(), Err(TryLockError::WouldBlock)) {
                return Err(Taken::Now(path));
            }
            if !file.is_chosen && record.is_of_another_step(&read(lock)) {
                return Err(Taken::Earlier(path));
            }
        }
        Ok(Claimed {
            before: state(&path),
            path,
            locks,
        })
    }
}

/// What was written is recorded, for the steps that follow.
impl Drop for FileClaim {
    fn drop(&mut self) {
        let Some(record) = &self.record else {
            return;
        };
        for claimed in &mut self.claimed {
            let state = state(&claimed.path);
            if state.is_none() || state == claimed.before {
                continue;
            }
            for lock in &mut claimed.locks {
                // Without the record, a later step does what it would do without this one.
                let _ = record.write(lock);
            }
        }
    }
}

/// A name that this step has.
#[derive(Debug)]
struct Claimed {
    path: WorkspacePath,
    /// The file that was there before.
    before: Option<FileState>,
    /// The kernel lets go of them with the process, however that ends.
    locks: Vec<File>,
}

/// A name that another step has.
enum Taken {
    Now(WorkspacePath),
    Earlier(WorkspacePath),
}

/// Which step of which job wrote a file.
#[derive(Debug)]
struct Record {
    job: String,
    step: String,
}

impl Record {
    // `None` outside of a workflow. A file of an earlier job, or attempt, may be replaced.
    fn new(env: &Env) -> Option<Self> {
        let run = env.get("GITHUB_RUN_ID")?;
        let part = |name| env.get(name).unwrap_or_default();
        let (attempt, job) = (part("GITHUB_RUN_ATTEMPT"), part("GITHUB_JOB"));
        // The runner gives each step its own file for outputs; steps of two composite actions may have one name.
        let (action, output) = (part("GITHUB_ACTION"), part("GITHUB_OUTPUT"));
        Some(Self {
            job: format!("{run} {attempt} {job}"),
            step: format!("{action} {output}"),
        })
    }

    fn is_of_another_step(&self, text: &str) -> bool {
        let mut lines = text.lines();
        lines.next() == Some(&*self.job) && lines.next() != Some(&*self.step)
    }

    // Whether another step has published under `name`; this one has from now on.
    fn publish(&self, places: &[PathBuf], name: &str) -> bool {
        // No path of a file starts like that.
        let name = lock_name(&format!("published {name}"));
        let mut is_taken = false;
        for place in places {
            // Where no lock can be made, nothing is known of other steps.
            let Ok(mut lock) = open(&place.join(&name)) else {
                continue;
            };
            if matches!(lock.try_lock(), Err(TryLockError::WouldBlock)) {
                is_taken = true;
                continue;
            }
            is_taken |= self.is_of_another_step(&read(&mut lock));
            let _ = self.write(&mut lock);
        }
        is_taken
    }

    fn write(&self, file: &mut File) -> std::io::Result<()> {
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "{}\n{}\n", self.job, self.step)
    }
}

fn lock_name(of: &str) -> String {
    format!("seaworthy-file-{:016x}.lock", text::hash(of))
}

fn open(place: &Path) -> std::io::Result<File> {
    let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags)
        .open(place)
}

// Empty if it can't be read.
fn read(file: &mut File) -> String {
    let mut text = String::new();
    let _ = file.take(RECORD_LIMIT).read_to_string(&mut text);
    text
}

/// Its inode and when that last changed, in seconds and nanoseconds.
type FileState = (u64, i64, i64);

// A file is written under another name and then renamed, which changes it.
fn state(path: &WorkspacePath) -> Option<FileState> {
    let metadata = path.absolute().symlink_metadata().ok()?;
    Some((metadata.ino(), metadata.ctime(), metadata.ctime_nsec()))
}

fn report(log: &Log, taken: &Taken, claimed: &[Claimed]) {
    let names = claimed.iter().map(|claimed| claimed.path.relative());
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    let names = names.join(", ");
    log.info(match taken {
        Taken::Now(path) => format!(
            "another step writes `{}` at the same time: this one writes {names}",
            path.relative()
        ),
        Taken::Earlier(path) => format!(
            "another step of this job wrote `{}`: this one writes {names}",
            path.relative()
        ),
    });
}

#[cfg(test)]
mod tests;
