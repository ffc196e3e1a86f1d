//! The build context, as BuildKit reads it from the session: first the list of its files, then the content of those that
//! it requests (github.com/tonistiigi/fsutil, `send.go`; github.com/moby/buildkit, `session/filesync`).
//!
//! The Dockerfile and the ignore file are read on their own, so that the context has them only where the ignore file
//! does not exclude them, as with `docker build`.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail};
use bollard_buildkit_proto::fsutil::types::packet::PacketType;
use bollard_buildkit_proto::fsutil::types::{Packet, Stat};
use bollard_buildkit_proto::moby::filesync::packet::file_sync_server::FileSync;
use futures_util::Stream;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::dockerignore::each_file;
use super::place_of;

/// Bytes of one message.
const CHUNK: usize = 32 * 1024;
/// Messages that wait for BuildKit.
const QUEUE: usize = 16;
/// Of every file, so that equal contexts give equal images: nanoseconds since 1970, in 2006.
const TIME: i64 = 1_153_704_088_000_000_000;
/// Go's `os.ModeDir` and `os.ModeSymlink`.
const DIRECTORY: u32 = 1 << 31;
const SYMLINK: u32 = 1 << 27;

/// Serves the directory of a build.
#[derive(Clone)]
pub(crate) struct BuildContext {
    directory: PathBuf,
    /// Relative to the directory; it may be out of it.
    dockerfile: String,
    /// Further directories, each by its name.
    named: Arc<BTreeMap<String, PathBuf>>,
    /// Why a file could not be sent: BuildKit only reports that the context is incomplete.
    error: Arc<Mutex<Option<anyhow::Error>>>,
}

/// What BuildKit reads.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// The Dockerfile, and its own ignore file.
    Dockerfile,
    /// The ignore file of a context; the name is that of a further one.
    IgnoreFile(Option<String>),
    /// What the ignore file leaves.
    Context(Option<String>),
}

/// The files that BuildKit may request, by the number of their message; directories and links have no content.
type Files = Arc<Mutex<Vec<Option<PathBuf>>>>;

type Packets = mpsc::Sender<Result<Packet, Status>>;

impl BuildContext {
    pub(crate) fn new(directory: &Path, dockerfile: &str) -> Self {
        Self {
            directory: directory.to_owned(),
            dockerfile: dockerfile.to_owned(),
            named: Arc::default(),
            error: Arc::default(),
        }
    }

    /// The same with further directories, each of which has its own ignore file.
    pub(crate) fn with_named(self, named: BTreeMap<String, PathBuf>) -> Self {
        let named = Arc::new(named);
        Self { named, ..self }
    }

    /// Why it could not be read, if that is so.
    pub(crate) fn take_error(&self) -> Option<anyhow::Error> {
        let mut error = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        error.take()
    }

    // Its error is the build's, and BuildKit gets the text.
    fn fail(&self, error: anyhow::Error, packets: &Packets) {
        let packet = Packet {
            r#type: PacketType::PacketErr.into(),
            data: format!("{error:#}").into_bytes(),
            ..Packet::default()
        };
        // BuildKit may be gone.
        let _ = packets.blocking_send(Ok(packet));
        let mut first = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(error);
    }

    // The directory of the context `name`, and its Dockerfile, which may have its own ignore file.
    fn directory_of(&self, name: Option<&str>) -> anyhow::Result<(&Path, &str)> {
        let Some(name) = name else {
            return Ok((&self.directory, &self.dockerfile));
        };
        let directory = self.named.get(name);
        let directory = directory.with_context(|| format!("there is no build context `{name}`"))?;
        Ok((directory, ""))
    }

    // Send the list of the files.
    fn list(&self, part: &Part, packets: &Packets, files: &Files) -> anyhow::Result<()> {
        let mut list = List {
            packets,
            files,
            parents: PathBuf::new(),
        };
        match part {
            Part::Context(name) => {
                let is_canceled = || packets.is_closed();
                let (directory, dockerfile) = self.directory_of(name.as_deref())?;
                each_file(directory, dockerfile, is_canceled, |entry, path| {
                    list.add(entry.path(), path)
                })?;
            }
            Part::IgnoreFile(name) => {
                let (directory, _) = self.directory_of(name.as_deref())?;
                list.add_own(directory, ".dockerignore")?;
            }
            Part::Dockerfile => {
                let (directory, dockerfile) = place_of(&self.directory, &self.dockerfile);
                list.add_own(&directory, &dockerfile)?;
                let ignore = format!("{dockerfile}.dockerignore");
                list.add_own(&directory, &ignore)?;
            }
        }
        send(
            packets,
            Packet {
                r#type: PacketType::PacketStat.into(),
                ..Packet::default()
            },
        )
    }
}

/// The list of the files that is sent.
struct List<'a> {
    packets: &'a Packets,
    files: &'a Files,
    /// The directory that was listed last, with its parents.
    parents: PathBuf,
}

impl List<'_> {
    // The file or link `source` at `path` of the context, after the directories that it is in.
    fn add(&mut self, source: &Path, path: &Path) -> anyhow::Result<()> {
        let what = || format!("failed to read `{}` of the build context", path.display());
        let parent = path.parent().unwrap_or(Path::new(""));
        if !self.parents.starts_with(parent) {
            let mut directory = PathBuf::new();
            for part in parent.components() {
                directory.push(part);
                if !self.parents.starts_with(&directory) {
                    self.send(stat(&directory, DIRECTORY | 0o755)?, None)?;
                }
            }
        }
        parent.clone_into(&mut self.parents);
        let metadata = source.symlink_metadata().with_context(what)?;
        if metadata.is_symlink() {
            let target = std::fs::read_link(source).with_context(what)?;
            let linkname = text(&target)?;
            let stat = stat(path, SYMLINK | 0o777)?;
            return self.send(Stat { linkname, ..stat }, None);
        }
        let is_program = metadata.permissions().mode() & 0o100 != 0;
        let stat = stat(path, if is_program { 0o755 } else { 0o644 })?;
        let size = i64::try_from(metadata.len()).unwrap_or(i64::MAX);
        self.send(Stat { size, ..stat }, Some(source.to_owned()))
    }

    // The file `name` of `directory`, if there is one; a link to a file in the directory is that file.
    fn add_own(&mut self, directory: &Path, name: &str) -> anyhow::Result<()> {
        let Ok(source) = directory.join(name).canonicalize() else {
            return Ok(());
        };
        let root = directory
            .canonicalize()
            .context("failed to read the build context")?;
        if !source.starts_with(root) || !source.is_file() {
            bail!("`{name}` is not a file of `{}`", directory.display());
        }
        self.add(&source, Path::new(name))
    }

    fn send(&self, stat: Stat, source: Option<PathBuf>) -> anyhow::Result<()> {
        // Known before it is requested.
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.push(source);
        drop(files);
        let packet = Packet {
            r#type: PacketType::PacketStat.into(),
            stat: Some(stat),
            ..Packet::default()
        };
        send(self.packets, packet)
    }
}

fn stat(path: &Path, mode: u32) -> anyhow::Result<Stat> {
    Ok(Stat {
        path: text(path)?,
        mode,
        mod_time: TIME,
        ..Stat::default()
    })
}

// Messages are UTF-8.
fn text(path: &Path) -> anyhow::Result<String> {
    let text = path.to_str();
    let text = text.with_context(|| {
        format!(
            "the name `{}` in the build context is not UTF-8",
            path.display()
        )
    })?;
    Ok(text.to_owned())
}

fn send(packets: &Packets, packet: Packet) -> anyhow::Result<()> {
    let sent = packets.blocking_send(Ok(packet));
    sent.context("the build context is no longer needed")
}

// The content of the file with the number `id`, and an empty message at its end.
fn content(id: u32, files: &Files, packets: &Packets) -> anyhow::Result<()> {
    let known = files.lock().unwrap_or_else(PoisonError::into_inner);
    let path = usize::try_from(id)
        .ok()
        .and_then(|id| known.get(id)?.clone());
    drop(known);
    let path = path.context("BuildKit requested a file that is not in the build context")?;
    let what = || format!("failed to read `{}` of the build context", path.display());
    let mut file = std::fs::File::open(&path).with_context(what)?;
    loop {
        let mut data = vec![0; CHUNK];
        let count = file.read(&mut data).with_context(what)?;
        data.truncate(count);
        let packet = Packet {
            r#type: PacketType::PacketData.into(),
            id,
            data,
            ..Packet::default()
        };
        send(packets, packet)?;
        if count == 0 {
            return Ok(());
        }
    }
}

impl BuildContext {
    // Send the files of `part` until BuildKit has all that it requests.
    async fn serve(self, part: Part, mut incoming: Streaming<Packet>, packets: Packets) {
        let files = Files::default();
        let (requests, mut requested) = mpsc::unbounded_channel::<u32>();
        let (own, sent, listed) = (self.clone(), packets.clone(), Arc::clone(&files));
        let list = tokio::task::spawn_blocking(move || {
            if let Err(e) = own.list(&part, &sent, &listed) {
                own.fail(e, &sent);
            }
        });
        let (own, sent) = (self, packets.clone());
        let read = tokio::task::spawn_blocking(move || {
            while let Some(id) = requested.blocking_recv() {
                if let Err(e) = content(id, &files, &sent) {
                    return own.fail(e, &sent);
                }
            }
        });
        while let Ok(Some(packet)) = incoming.message().await {
            match packet.r#type() {
                PacketType::PacketReq => drop(requests.send(packet.id)),
                PacketType::PacketFin => {
                    let fin = Packet {
                        r#type: PacketType::PacketFin.into(),
                        ..Packet::default()
                    };
                    // BuildKit may be gone.
                    let _ = packets.send(Ok(fin)).await;
                    break;
                }
                _ => break,
            }
        }
        drop((requests, packets));
        // Each ends with what it has to send, or when BuildKit no longer reads.
        let _ = tokio::join!(list, read);
    }
}

#[async_trait]
impl FileSync for BuildContext {
    type DiffCopyStream = Pin<Box<dyn Stream<Item = Result<Packet, Status>> + Send>>;
    type TarStreamStream = futures_util::stream::Empty<Result<Packet, Status>>;

    async fn diff_copy(
        &self,
        request: Request<Streaming<Packet>>,
    ) -> Result<Response<Self::DiffCopyStream>, Status> {
        let metadata = request.metadata();
        let directory = metadata.get("dir-name");
        let directory = directory.map(tonic::metadata::MetadataValue::as_bytes);
        let only: Vec<_> = metadata
            .get_all("followpaths")
            .iter()
            .map(|path| path.as_bytes().to_vec())
            .collect();
        let part = part(directory.unwrap_or_default(), &only, &self.named)
            .ok_or_else(|| Status::not_found("the session has no such directory"))?;
        let (packets, mut out) = mpsc::channel(QUEUE);
        tokio::spawn(self.clone().serve(part, request.into_inner(), packets));
        let stream = futures_util::stream::poll_fn(move |cx| out.poll_recv(cx));
        Ok(Response::new(Box::pin(stream)))
    }

    async fn tar_stream(
        &self,
        _: Request<Streaming<Packet>>,
    ) -> Result<Response<Self::TarStreamStream>, Status> {
        Err(Status::unimplemented("BuildKit calls `DiffCopy`"))
    }
}

// What BuildKit means by the name of a directory; `only` are the paths that it needs of it.
fn part(directory: &[u8], only: &[Vec<u8>], named: &BTreeMap<String, PathBuf>) -> Option<Part> {
    let name = match directory {
        b"dockerfile" => return Some(Part::Dockerfile),
        b"context" => None,
        name => Some(
            named
                .get_key_value(std::str::from_utf8(name).ok()?)?
                .0
                .clone(),
        ),
    };
    match only {
        [only] if only == b".dockerignore" => Some(Part::IgnoreFile(name)),
        // All of it, also where only a part is needed: which that is may depend on links.
        _ => Some(Part::Context(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paths, modes and links that are listed, as `mode path -> link`.
    fn listed(context: &BuildContext, part: &Part) -> Vec<String> {
        let (packets, mut out) = mpsc::channel(100);
        context.list(part, &packets, &Files::default()).unwrap();
        drop(packets);
        let mut lines = Vec::new();
        while let Some(packet) = out.blocking_recv() {
            let line = packet.unwrap().stat.map_or("end".to_owned(), |stat| {
                format!("{:o} {} {}", stat.mode, stat.path, stat.linkname)
            });
            lines.push(line.trim_end().to_owned());
        }
        lines
    }

    #[test]
    fn the_dockerfile_is_read_on_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("docker/Dockerfile", "FROM scratch\nCOPY . /\n");
        write(".dockerignore", "docker\n.dockerignore\na/*\n!a/b\n");
        write("a/b/c/d", "d");
        write("a/b/e", "e");
        write("a/f", "f");
        write("g", "g");
        std::os::unix::fs::symlink("../g", directory.path().join("a/b/link")).unwrap();
        let context = BuildContext::new(directory.path(), "docker/Dockerfile");
        insta::assert_snapshot!(listed(&context, &Part::Context(None)).join("\n"), @r"
        20000000755 a
        20000000755 a/b
        20000000755 a/b/c
        644 a/b/c/d
        644 a/b/e
        1000000777 a/b/link ../g
        644 g
        end
        ");
        let dockerfile = listed(&context, &Part::Dockerfile);
        assert_eq!(
            dockerfile,
            ["20000000755 docker", "644 docker/Dockerfile", "end"]
        );
        assert_eq!(
            listed(&context, &Part::IgnoreFile(None)),
            ["644 .dockerignore", "end"]
        );
    }

    #[test]
    fn a_dockerfile_out_of_the_context_is_read_with_its_own_ignore_file() {
        let directory = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("docker/api.Dockerfile", "FROM scratch\nCOPY . /\n");
        write("docker/api.Dockerfile.dockerignore", "*.md\n");
        write("api/.dockerignore", "*.py\n");
        write("api/app.py", "a");
        write("api/README.md", "a");
        let context = BuildContext::new(&directory.path().join("api"), "../docker/api.Dockerfile");
        assert_eq!(
            listed(&context, &Part::Dockerfile),
            [
                "644 api.Dockerfile",
                "644 api.Dockerfile.dockerignore",
                "end"
            ]
        );
        assert_eq!(
            listed(&context, &Part::Context(None)),
            ["644 .dockerignore", "644 app.py", "end"]
        );
    }

    #[test]
    fn a_link_out_of_the_context_is_not_a_dockerfile() {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", directory.path().join("Dockerfile")).unwrap();
        let context = BuildContext::new(directory.path(), "Dockerfile");
        let (packets, _out) = mpsc::channel(100);
        let error = context.list(&Part::Dockerfile, &packets, &Files::default());
        assert_eq!(
            error.unwrap_err().to_string(),
            format!(
                "`Dockerfile` is not a file of `{}`",
                directory.path().display()
            )
        );
    }

    #[test]
    fn buildkit_names_what_it_reads() {
        let paths = |paths: &[&str]| -> Vec<_> {
            paths.iter().map(|path| path.as_bytes().to_vec()).collect()
        };
        let named = BTreeMap::from([("shared".to_owned(), PathBuf::from("/shared"))]);
        let shared = || Some("shared".to_owned());
        let table: [(&[u8], &[&str], _); 7] = [
            (b"dockerfile", &["Dockerfile"], Some(Part::Dockerfile)),
            (b"context", &[".dockerignore"], Some(Part::IgnoreFile(None))),
            (
                b"context",
                &["app", ".dockerignore"],
                Some(Part::Context(None)),
            ),
            (b"context", &[], Some(Part::Context(None))),
            (
                b"shared",
                &[".dockerignore"],
                Some(Part::IgnoreFile(shared())),
            ),
            (b"shared", &["lib"], Some(Part::Context(shared()))),
            (b"/etc", &[], None),
        ];
        for (directory, only, expected) in table {
            assert_eq!(part(directory, &paths(only), &named), expected);
        }
    }
}
