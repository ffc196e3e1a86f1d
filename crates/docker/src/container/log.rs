//! The log of a container.

use anyhow::Context as _;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::{Stream, StreamExt as _};

use super::Container;

impl Container {
    /// The lines of its log, both streams, until it exits.
    pub fn logs(&self) -> impl Stream<Item = anyhow::Result<String>> + '_ {
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .follow(true)
            .build();
        let chunks = self.docker.api.logs(&self.id, Some(options));
        lines(chunks.map(|chunk| {
            Ok(chunk
                .context("failed to read a container's log")?
                .into_bytes())
        }))
    }

    /// The last `count` lines of its log.
    pub async fn log_tail(&self, count: usize) -> Vec<String> {
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .tail(&count.to_string())
            .build();
        let chunks = self.docker.api.logs(&self.id, Some(options));
        lines(chunks.map(|chunk| Ok(chunk?.into_bytes())))
            .filter_map(|line| async { line.ok() })
            .collect()
            .await
    }
}

fn lines(
    chunks: impl Stream<Item = anyhow::Result<bytes::Bytes>>,
) -> impl Stream<Item = anyhow::Result<String>> {
    let chunks = Box::pin(chunks);
    futures_util::stream::unfold(
        (chunks, Vec::new(), false),
        |(mut chunks, mut buffer, mut end)| async move {
            loop {
                if let Some(at) = buffer.iter().position(|b| *b == b'\n') {
                    let line: Vec<u8> = buffer.drain(..=at).collect();
                    let line = String::from_utf8_lossy(&line)
                        .trim_end_matches(['\n', '\r'])
                        .to_owned();
                    return Some((Ok(line), (chunks, buffer, end)));
                }
                if end {
                    let rest = String::from_utf8_lossy(&buffer).into_owned();
                    buffer.clear();
                    return (!rest.is_empty()).then_some((Ok(rest), (chunks, buffer, end)));
                }
                match chunks.next().await {
                    Some(Ok(chunk)) => buffer.extend(chunk),
                    Some(Err(e)) => return Some((Err(e), (chunks, Vec::new(), true))),
                    None => end = true,
                }
            }
        },
    )
}
