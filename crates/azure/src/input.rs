//! Inputs that say who signs in to Azure, and where, as every action checks them.

use actions_toolkit::BadInput;

/// `text` as an id of Entra, the value of the input `input`. A name in its place is the commonest mistake, and
/// Entra's answer to it does not say so.
///
/// # Errors
/// [`BadInput`] when it is no GUID.
pub fn id(input: &str, text: &str) -> Result<String, BadInput> {
    let parts: Vec<_> = text.split('-').map(str::len).collect();
    if parts != [8, 4, 4, 4, 12] || !text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()) {
        return Err(BadInput::new(
            input,
            format!("`{text}` is no id such as `00000000-0000-0000-0000-000000000000`"),
        ));
    }
    Ok(text.to_owned())
}

/// `text` as the address of a service that is shown credentials, the value of the input `input`; without a scheme
/// it is one with TLS. A stand-in on this machine needs none.
///
/// # Errors
/// [`BadInput`] when it is no address, or when the credentials would be read on the way.
pub fn address(input: &str, text: &str) -> Result<String, BadInput> {
    let full = if text.contains("://") {
        text.to_owned()
    } else {
        format!("https://{text}")
    };
    let url = reqwest::Url::parse(&full)
        .map_err(|e| BadInput::new(input, format!("`{text}` is no address: {e}")))?;
    let local = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    match url.scheme() {
        "https" => Ok(full),
        "http" if local => Ok(full),
        _ => Err(BadInput::new(
            input,
            format!("`{text}` would send credentials in the clear; use https"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_guid_is_an_id() {
        let sound = "0a1B2c3d-4444-4444-8444-0123456789ab";
        assert_eq!(id("client-id", sound).unwrap(), sound);
        for text in [
            "",
            "contoso.com",
            "0a1B2c3d44444444844440123456789ab",
            "0a1B2c3d-4444-4444-8444-0123456789ag",
            "{0a1B2c3d-4444-4444-8444-0123456789ab}",
        ] {
            assert_eq!(
                id("client-id", text).unwrap_err().0,
                format!(
                    "input `client-id`: `{text}` is no id such as `00000000-0000-0000-0000-000000000000`"
                )
            );
        }
    }

    #[test]
    fn credentials_leave_this_machine_by_tls_alone() {
        let table = [
            (
                "https://login.microsoftonline.us",
                Ok("https://login.microsoftonline.us"),
            ),
            (
                "login.microsoftonline.us",
                Ok("https://login.microsoftonline.us"),
            ),
            ("http://127.0.0.1:8080", Ok("http://127.0.0.1:8080")),
            ("http://[::1]:8080", Ok("http://[::1]:8080")),
            ("http://localhost:8080", Ok("http://localhost:8080")),
            (
                "http://login.example",
                Err("would send credentials in the clear; use https"),
            ),
            (
                "http://127.0.0.1.login.example",
                Err("would send credentials in the clear; use https"),
            ),
            (
                "http://localhost@login.example",
                Err("would send credentials in the clear; use https"),
            ),
            (
                "ftp://login.example",
                Err("would send credentials in the clear; use https"),
            ),
            ("https://", Err("is no address: empty host")),
        ];
        for (text, expected) in table {
            let found = address("authority-host", text).map_err(|e| e.0);
            let expected = expected.map(ToOwned::to_owned);
            let expected =
                expected.map_err(|problem| format!("input `authority-host`: `{text}` {problem}"));
            assert_eq!(found, expected);
        }
    }
}
