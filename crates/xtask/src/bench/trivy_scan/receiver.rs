//! GitHub, as far as an upload needs it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use anyhow::Context as _;

/// An address that accepts uploads and drops them: the fake GitHub parses every result, which must not be measured.
///
/// # Errors
/// When no port is free.
pub(super) fn receiver() -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").context("failed to open a port")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A connection that breaks is the client's to report.
            let _ = respond(&stream);
        }
    });
    Ok(format!("http://{address}"))
}

// One request, its body read to the end, and one response.
fn respond(mut stream: &TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    let (status, body) = if first.starts_with("POST") {
        ("202 Accepted", r#"{"id":"1","url":"http://127.0.0.1/1"}"#)
    } else {
        (
            "200 OK",
            r#"{"processing_status":"complete","analyses_url":null,"errors":null}"#,
        )
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}
