use std::time::Duration;

use super::super::LocalRegistry;
use super::super::saved::tests::tar;
use super::*;

type Chunk = Result<Bytes, io::Error>;

fn archive() -> Vec<u8> {
    let layer = vec![7; 70_000];
    tar(&[("a/layer.tar", &layer), ("manifest.json", b"[]")])
}

fn chunks(bytes: &[u8], size: usize) -> Vec<Chunk> {
    let chunks = bytes.chunks(size);
    chunks
        .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
        .collect()
}

async fn open() -> (tempfile::TempDir, LocalRegistry) {
    let directory = tempfile::tempdir().unwrap();
    let registry = LocalRegistry::open(directory.path()).await.unwrap();
    (directory, registry)
}

// The size of one file and the text of the other; else the error.
async fn received(registry: &LocalRegistry, chunks: Vec<Chunk>) -> Result<(u64, String), String> {
    let stream = futures_util::stream::iter(chunks);
    let read = |directory: &Path| {
        let size = std::fs::metadata(directory.join("a/layer.tar"))?.len();
        Ok((
            size,
            std::fs::read_to_string(directory.join("manifest.json"))?,
        ))
    };
    let received = receive(stream, &registry.shared, read).await;
    received.map_err(|e| format!("{e:#}"))
}

fn left(registry: &LocalRegistry) -> usize {
    std::fs::read_dir(registry.shared.directory.path())
        .unwrap()
        .count()
}

#[tokio::test]
async fn an_archive_is_unpacked_from_chunks_of_any_size() {
    let (_directory, registry) = open().await;
    for (count, size) in [1000, 4096, 1_000_000].into_iter().enumerate() {
        let got = received(&registry, chunks(&archive(), size)).await;
        assert_eq!(got, Ok((70_000, "[]".to_owned())), "{size}");
        assert_eq!(left(&registry), count + 1);
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_reported_and_nothing_is_left() {
    let (_directory, registry) = open().await;
    let whole = archive();
    // In the first header, in a file, between two files, in the padding after the end.
    for at in [100, 30_000, 71_168, whole.len() - 100] {
        let mut some = chunks(&whole[..at], 8192);
        some.push(Err(io::Error::other("connection reset")));
        let got = received(&registry, some).await;
        let message = "failed to read Docker's archive: connection reset";
        assert_eq!(got, Err(message.to_owned()), "{at}");
        assert_eq!(left(&registry), 0, "{at}");
    }
}

#[tokio::test]
async fn the_error_that_docker_appends_is_reported() {
    let (_directory, registry) = open().await;
    let error = br#"{"errorDetail":{"message":"content digest sha256:ab: not found"},"error":"x"}"#;
    let half = &archive()[..30_000];
    let mut some = chunks(half, 8192);
    some.push(Ok(Bytes::copy_from_slice(&[error, &b"\r\n"[..]].concat())));
    let got = received(&registry, some).await;
    assert_eq!(got, Err("content digest sha256:ab: not found".to_owned()));

    let got = received(&registry, chunks(half, 8192)).await.unwrap_err();
    let message = "Docker's archive is damaged: failed to unpack `";
    assert!(got.starts_with(message), "{got}");
    assert!(got.ends_with("failed to write entire file"), "{got}");
    assert_eq!(left(&registry), 0);
}

#[test]
fn a_full_disk_is_reported_as_such() {
    #[derive(Debug, thiserror::Error)]
    #[error("failed to unpack `x`")]
    struct AsTarDoes(#[source] io::Error);
    let full = io::Error::from_raw_os_error(28);
    let error = unpack_error(io::Error::new(full.kind(), AsTarDoes(full)));
    assert_eq!(
        format!("{error:#}"),
        "No space left on device (os error 28)"
    );
}

#[tokio::test]
async fn a_canceled_archive_is_removed() {
    let (_directory, registry) = open().await;
    let some = futures_util::stream::iter(chunks(&archive()[..30_000], 8192));
    let stalled = some.chain(futures_util::stream::pending());
    let read = |_: &Path| -> anyhow::Result<()> { panic!("it is not complete") };
    let receive = receive(Box::pin(stalled), &registry.shared, read);
    let timed_out = tokio::time::timeout(Duration::from_millis(100), receive).await;
    assert!(timed_out.is_err());
    while left(&registry) > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
