//! Reading a body within a limit.

use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{StatusCode, Url};
use serde::de::DeserializeOwned;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use crate::Error;
use crate::error::host;

/// The most bytes that are read of the body of an error response.
pub const ERROR_LIMIT: u64 = 64 * 1024;

/// Bytes of the limit for each value of JSON: a short one, such as `0`, takes 32 bytes of memory.
const BYTES_PER_VALUE: u64 = 32;

/// A response whose body is still to be read.
#[derive(Debug)]
pub struct Response {
    inner: reqwest::Response,
    is_redirected: bool,
}

/// The body of a response, piece by piece.
#[derive(Debug)]
pub struct Chunks {
    inner: reqwest::Response,
    limit: u64,
    read: u64,
}

impl Response {
    pub(crate) fn new(inner: reqwest::Response, is_redirected: bool) -> Self {
        Self {
            inner,
            is_redirected,
        }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.inner.status()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// The URL that responded: the last one, after redirects.
    pub fn url(&self) -> &Url {
        self.inner.url()
    }

    /// The host that responded, with its port if it has one.
    pub fn host(&self) -> String {
        host(self.inner.url())
    }

    /// Whether a redirect was followed.
    pub fn is_redirected(&self) -> bool {
        self.is_redirected
    }

    /// The body, `limit` bytes at most.
    pub fn chunks(self, limit: u64) -> Chunks {
        Chunks {
            inner: self.inner,
            limit,
            read: 0,
        }
    }

    /// The body, `limit` bytes at most.
    ///
    /// # Errors
    /// When it is larger, or breaks off.
    pub async fn bytes(self, limit: u64) -> Result<Vec<u8>, Error> {
        let mut chunks = self.chunks(limit);
        // What is too large never becomes one piece: growing it would take three times the limit.
        let mut pieces = Vec::new();
        while let Some(chunk) = chunks.next_chunk().await? {
            pieces.push(chunk);
        }
        Ok(pieces.concat())
    }

    /// The body as text, `limit` bytes at most; what is not UTF-8 is replaced.
    ///
    /// # Errors
    /// When it is larger, or breaks off.
    pub async fn text(self, limit: u64) -> Result<String, Error> {
        Ok(String::from_utf8_lossy(&self.bytes(limit).await?).into_owned())
    }

    /// The body as JSON, `limit` bytes and a value for each 32 of them at most.
    ///
    /// # Errors
    /// When it is larger, breaks off, or is not such JSON.
    pub async fn json<T: DeserializeOwned>(self, limit: u64) -> Result<T, Error> {
        let host = self.host();
        let bytes = self.json_bytes(limit).await?;
        serde_json::from_slice(&bytes).map_err(|error| Error::Json { host, error })
    }

    /// The text of JSON that another crate parses, within the limits of [`Response::json`].
    ///
    /// # Errors
    /// When it is larger, or breaks off.
    pub async fn json_bytes(self, limit: u64) -> Result<Vec<u8>, Error> {
        let host = self.host();
        let bytes = self.bytes(limit).await?;
        let limit = usize::try_from(limit / BYTES_PER_VALUE).unwrap_or(usize::MAX);
        if values(&bytes) > limit {
            return Err(Error::TooManyValues { host, limit });
        }
        Ok(bytes)
    }

    /// The start of the body of an error response, [`ERROR_LIMIT`] at most; what is not UTF-8 is replaced. A body that
    /// breaks off is as good as none.
    pub async fn error_text(self) -> String {
        let mut chunks = self.chunks(u64::MAX);
        let mut bytes = Vec::new();
        let limit = usize::try_from(ERROR_LIMIT).unwrap_or(usize::MAX);
        while bytes.len() < limit {
            let Ok(Some(chunk)) = chunks.next_chunk().await else {
                break;
            };
            let room = limit - bytes.len();
            bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Write the body to `file`, `limit` bytes at most, and show each piece to `seen`.
    ///
    /// # Errors
    /// When it is larger, breaks off, or can't be written.
    pub async fn save(
        self,
        file: &mut File,
        limit: u64,
        mut seen: impl FnMut(&[u8]),
    ) -> Result<(), Error> {
        let host = self.host();
        let write = |error| Error::Write {
            host: host.clone(),
            error,
        };
        let mut chunks = self.chunks(limit);
        while let Some(chunk) = chunks.next_chunk().await? {
            seen(&chunk);
            file.write_all(&chunk).await.map_err(write)?;
        }
        file.flush().await.map_err(write)
    }
}

impl Chunks {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// When the body is over the limit, or breaks off.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, Error> {
        // What the header says is enough to stop; a compressed body has no known length.
        let announced = self.inner.content_length().unwrap_or_default();
        if self.read == 0 && announced > self.limit {
            return Err(self.too_large());
        }
        let Some(chunk) = self.inner.chunk().await? else {
            return Ok(None);
        };
        self.read = self.read.saturating_add(chunk.len() as u64);
        if self.read > self.limit {
            return Err(self.too_large());
        }
        Ok(Some(chunk))
    }

    fn too_large(&self) -> Error {
        Error::TooLarge {
            host: host(self.inner.url()),
            limit: self.limit,
        }
    }
}

// How many values the JSON text has, at most.
fn values(json: &[u8]) -> usize {
    let (mut count, mut quoted, mut escaped) = (1, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' | b'[' | b'{' if !quoted => count += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    #[test]
    fn values_are_counted_outside_of_strings() {
        let table = [
            ("0", 1),
            ("[0,0]", 3),
            (r#"{"a": [1, 2], "b": "x"}"#, 5),
            (r#"{"a,[{": "\",[{"}"#, 2),
            (r#"["\\", 0]"#, 3),
        ];
        for (json, count) in table {
            assert_eq!(super::values(json.as_bytes()), count, "{json}");
        }
    }
}
