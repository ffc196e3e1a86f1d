//! The inputs of the sign-in to Azure, the same for every action.

use actions_toolkit::{Scope, Value, inputs};

use crate::{AUDIENCE, AUTHORITY, Cloud};

inputs! {
    /// The application that the run signs in as: a group.
    #[derive(Debug, Clone)]
    pub struct EntraInputs {
        /// Application (client) ID in Entra that the run signs in as, for resources in Azure.
        client_id: Option<EntraId>,
        /// ID of the tenant of that application.
        tenant_id: Option<EntraId>,
        /// URL of Entra, for a sovereign cloud.
        authority_host: Address = AUTHORITY,
        /// Audience of the run's OIDC token, for a sovereign cloud.
        token_audience: String = AUDIENCE,
    }
}

impl EntraInputs {
    /// The cloud of these inputs, with Resource Manager at `resource_manager`.
    pub fn cloud(&self, resource_manager: &str) -> Cloud {
        let authority = &self.authority_host.0;
        Cloud::new(authority, resource_manager, &self.token_audience)
    }
}

/// An ID in Entra, a GUID. A name in its place is the most frequent mistake, and Entra's response to it does not say
/// so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntraId(pub String);

impl Value for EntraId {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        let parts: Vec<_> = text.split('-').map(str::len).collect();
        if parts != [8, 4, 4, 4, 12] || !text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()) {
            return Err(format!(
                "invalid ID `{text}`; use a form such as `00000000-0000-0000-0000-000000000000`"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// The URL of a service that gets credentials: with TLS, which is also the default scheme. A fake on this machine
/// needs none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(pub String);

impl Value for Address {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        let full = if text.contains("://") {
            text.to_owned()
        } else {
            format!("https://{text}")
        };
        let url =
            http_client::Url::parse(&full).map_err(|e| format!("invalid URL `{text}`: {e}"))?;
        match url.scheme() {
            "https" => Ok(Self(full)),
            "http" if http_client::is_local(&url) => Ok(Self(full)),
            _ => Err(format!(
                "`{text}` would send credentials unencrypted; use https"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use actions_toolkit::{Log, Workspace};

    use super::*;

    fn parse<T: Value>(text: &str) -> Result<T, String> {
        T::parse(text, &Scope::new(&Log::sink(), &Workspace::new("/w")))
    }

    #[test]
    fn only_a_guid_is_an_id() {
        let valid = "0a1B2c3d-4444-4444-8444-0123456789ab";
        assert_eq!(parse::<EntraId>(valid).unwrap().0, valid);
        for text in [
            "",
            "contoso.com",
            "0a1B2c3d44444444844440123456789ab",
            "0a1B2c3d-4444-4444-8444-0123456789ag",
            "{0a1B2c3d-4444-4444-8444-0123456789ab}",
        ] {
            assert_eq!(
                parse::<EntraId>(text).unwrap_err(),
                format!(
                    "invalid ID `{text}`; use a form such as `00000000-0000-0000-0000-000000000000`"
                )
            );
        }
    }

    #[test]
    fn credentials_leave_this_machine_only_with_tls() {
        let unencrypted = |text| {
            Err(format!(
                "`{text}` would send credentials unencrypted; use https"
            ))
        };
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
            ("http://login.example", unencrypted("http://login.example")),
            (
                "http://127.0.0.1.login.example",
                unencrypted("http://127.0.0.1.login.example"),
            ),
            (
                "http://localhost@login.example",
                unencrypted("http://localhost@login.example"),
            ),
            ("ftp://login.example", unencrypted("ftp://login.example")),
            ("https://", Err("invalid URL `https://`: empty host".into())),
        ];
        for (text, expected) in table {
            let address = parse::<Address>(text).map(|address| address.0);
            assert_eq!(address, expected.map(ToOwned::to_owned), "{text}");
        }
    }
}
