//! The log of a container.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Context as _;
use bollard::query_parameters::LogsOptionsBuilder;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use limits::Lines;

use super::Container;

/// For reading the end of a log.
const TAIL_TIMEOUT: Duration = Duration::from_secs(10);

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

    /// The last `count` lines of its log, of what Docker sends in ten seconds.
    pub async fn log_tail(&self, count: usize) -> Vec<String> {
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .tail(&count.to_string())
            .build();
        let chunks = self.docker.api.logs(&self.id, Some(options));
        let mut chunks = std::pin::pin!(lines(chunks.map(|chunk| Ok(chunk?.into_bytes()))));
        let mut tail = VecDeque::new();
        let read = async {
            while let Some(Ok(line)) = chunks.next().await {
                if tail.len() == count {
                    tail.pop_front();
                }
                tail.push_back(line);
            }
        };
        // What was read until then is better than nothing.
        let _ = tokio::time::timeout(TAIL_TIMEOUT, read).await;
        tail.into()
    }
}

fn lines(
    chunks: impl Stream<Item = anyhow::Result<Bytes>>,
) -> impl Stream<Item = anyhow::Result<String>> {
    chunks
        .map(Some)
        .chain(stream::once(async { None }))
        .scan(Lines::default(), |lines, chunk| {
            let mut complete = Vec::new();
            match chunk {
                Some(Ok(bytes)) => lines.push(&bytes, |line| complete.push(Ok(line))),
                Some(Err(e)) => complete.push(Err(e)),
                None => complete.extend(lines.finish().map(Ok)),
            }
            async move { Some(stream::iter(complete)) }
        })
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(chunks: Vec<anyhow::Result<Bytes>>) -> Vec<String> {
        let lines = lines(stream::iter(chunks));
        let text = |line: anyhow::Result<String>| line.unwrap_or_else(|e| format!("error: {e}"));
        lines.map(text).collect().await
    }

    #[tokio::test]
    async fn a_log_is_read_in_lines() {
        let chunk = |text: &'static str| Ok(Bytes::from_static(text.as_bytes()));
        let chunks = vec![chunk("a\nb"), chunk("c\r\n\n"), chunk("end")];
        assert_eq!(read(chunks).await, ["a", "bc", "", "end"]);
        let chunks = vec![chunk("a\nlost"), Err(anyhow::anyhow!("reset"))];
        assert_eq!(read(chunks).await, ["a", "error: reset", "lost"]);
    }

    #[tokio::test]
    async fn a_log_without_line_breaks_is_read_in_one_pass() {
        // Looking for a line break from the start at every chunk would look at 2 TB.
        let chunks = vec![Bytes::from(vec![b'x'; 1000]); 65_536];
        let lines = read(chunks.into_iter().map(Ok).collect()).await;
        assert_eq!(lines.len(), 1);
        assert!(lines[0].len() < 2 * limits::LINE);
    }
}
