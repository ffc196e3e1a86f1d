//! URLs of files that a step reads.

use http_client::Url;

/// `text` as a URL with `https`, or of this machine.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn web_url(text: &str) -> Result<Url, String> {
    let url: Url = text
        .parse()
        .map_err(|e| format!("invalid URL `{text}`: {e}"))?;
    http_client::is_confidential(&url)
        .then_some(url)
        .ok_or_else(|| format!("`{text}` must be a URL with `https`"))
}

/// As in messages: without a query, a user or a password, which may be a token.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}
