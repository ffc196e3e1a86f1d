//! What a registry requires: the `WWW-Authenticate` headers of its response (RFC 9110, section 11.6.1).

use http_client::header::{HeaderMap, WWW_AUTHENTICATE};

/// The longest header that is read, in bytes.
const MAX_HEADER: usize = 8 * 1024;

/// What a registry requires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    Basic,
    Bearer {
        /// The URL of the token service.
        realm: String,
        service: Option<String>,
    },
}

/// One scheme of a header, in lower case, with its parameters.
struct Offer {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// The challenge of a response; a token is preferred to the password. A malformed header is as good as none.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let headers = headers.get_all(WWW_AUTHENTICATE).iter();
        let offers = headers.filter_map(|header| offers(header.to_str().ok()?));
        let all: Vec<_> = offers.flatten().filter_map(Self::from_offer).collect();
        let is_bearer = |challenge: &&Self| matches!(challenge, Self::Bearer { .. });
        all.iter().find(is_bearer).or(all.first()).cloned()
    }

    fn from_offer(offer: Offer) -> Option<Self> {
        let mut parameters = offer.parameters.into_iter();
        match offer.scheme.as_str() {
            "basic" => Some(Self::Basic),
            "bearer" => {
                let (mut realm, mut service) = (None, None);
                for (name, value) in &mut parameters {
                    match name.as_str() {
                        "realm" => realm = Some(value),
                        "service" => service = Some(value),
                        _ => {}
                    }
                }
                realm.map(|realm| Self::Bearer { realm, service })
            }
            _ => None,
        }
    }
}

// `None` if the header is malformed, or longer than any registry's.
fn offers(header: &str) -> Option<Vec<Offer>> {
    if header.len() > MAX_HEADER {
        return None;
    }
    let mut text = Text(header);
    let mut offers: Vec<Offer> = Vec::new();
    loop {
        text.take_while(|c| c == ',' || is_space(c));
        if text.0.is_empty() {
            return Some(offers);
        }
        let word = text.word()?.to_ascii_lowercase();
        text.take_while(is_space);
        let Some(rest) = text.0.strip_prefix('=') else {
            offers.push(Offer {
                scheme: word,
                parameters: Vec::new(),
            });
            continue;
        };
        text = Text(rest);
        // The padding of a token68, which has no name.
        if text.0.is_empty() || text.0.starts_with(['=', ',']) {
            text.take_while(|c| c == '=');
            continue;
        }
        text.take_while(is_space);
        let value = text.value()?;
        let parameters = &mut offers.last_mut()?.parameters;
        // Of two values, another client may take the other one.
        if parameters.iter().any(|(name, _)| *name == word) {
            return None;
        }
        parameters.push((word, value));
    }
}

/// What is left of a header.
struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    fn take_while(&mut self, matches: impl Fn(char) -> bool) -> &'a str {
        let end = self.0.find(|c| !matches(c)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    // A token, or the start of a token68.
    fn word(&mut self) -> Option<&'a str> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/".contains(c);
        Some(self.take_while(is_word)).filter(|word| !word.is_empty())
    }

    fn value(&mut self) -> Option<String> {
        let Some(quoted) = self.0.strip_prefix('"') else {
            // Registries write URLs without quotes, too.
            let value = self.take_while(|c| c != ',' && c != '"' && !is_space(c));
            return Some(value.to_owned()).filter(|value| !value.is_empty());
        };
        let mut value = String::new();
        let mut characters = quoted.chars();
        loop {
            match characters.next()? {
                '"' => break,
                '\\' => value.push(characters.next()?),
                other => value.push(other),
            }
        }
        self.0 = characters.as_str();
        Some(value)
    }
}

fn is_space(c: char) -> bool {
    c == ' ' || c == '\t'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(headers: &[&str]) -> Option<Challenge> {
        let name = |header: &&str| (WWW_AUTHENTICATE, header.parse().unwrap());
        let mut map = HeaderMap::new();
        for (name, value) in headers.iter().map(name) {
            map.append(name, value);
        }
        Challenge::of(&map)
    }

    #[test]
    fn challenges_in_every_form() {
        let bearer = |service: Option<&str>| {
            Some(Challenge::Bearer {
                realm: "https://auth.example/token".to_owned(),
                service: service.map(ToOwned::to_owned),
            })
        };
        let realm = "realm=\"https://auth.example/token\"";
        let table: [(&[&str], _); 20] = [
            (&["Basic realm=\"r\""], Some(Challenge::Basic)),
            (&["basic"], Some(Challenge::Basic)),
            (
                &[&format!("Bearer {realm},service=\"registry\",scope=\"x\"")],
                bearer(Some("registry")),
            ),
            (&[&format!("bearer {realm}")], bearer(None)),
            (
                &[&format!("Bearer scope=\"a,b realm=\", {realm}")],
                bearer(None),
            ),
            (
                &["Bearer realm=https://auth.example/token, service=registry"],
                bearer(Some("registry")),
            ),
            (
                &[&format!("Bearer xrealm=\"https://evil.example\", {realm}")],
                bearer(None),
            ),
            (&["Bearer xrealm=\"https://evil.example\""], None),
            (
                &["Bearer error=\"realm=\\\"https://evil.example\\\"\""],
                None,
            ),
            (
                &["Bearer realm = \"https:\\//auth.example/token\" , SERVICE=r"],
                bearer(Some("r")),
            ),
            (
                &[&format!("Basic realm=\"r\", Bearer {realm}")],
                bearer(None),
            ),
            (
                &[&format!("Negotiate abc/d+e==, Bearer {realm}")],
                bearer(None),
            ),
            (
                &["Basic realm=\"r\"", &format!("Bearer {realm}")],
                bearer(None),
            ),
            (
                &[&format!("Digest {realm}"), "Basic"],
                Some(Challenge::Basic),
            ),
            (
                &[&format!("Bearer {realm}, realm=\"https://evil.example\"")],
                None,
            ),
            (&["Bearer realm=\"https://auth.example/token"], None),
            (&["Bearer service=\"registry\""], None),
            (&["Negotiate realm=\"r\""], None),
            (&["realm=\"https://evil.example\""], None),
            (&[""], None),
        ];
        for (headers, expected) in table {
            assert_eq!(challenge(headers), expected, "{headers:?}");
        }
        let long = format!("Basic realm=\"{}\"", "x".repeat(MAX_HEADER));
        assert_eq!(challenge(&[&long]), None);
    }

    proptest::proptest! {
        #[test]
        fn any_header_is_read(header in "[ =,\\\\\"a-b/+]{0,40}") {
            let _ = offers(&header);
        }

        #[test]
        fn a_quoted_realm_is_read_as_it_is(realm in "[ -~]{0,40}") {
            let quoted = realm.replace('\\', "\\\\").replace('"', "\\\"");
            let header = format!("Basic realm=x, Bearer service=\"r\", realm=\"{quoted}\"");
            let service = Some("r".to_owned());
            proptest::prop_assert_eq!(challenge(&[&header]), Some(Challenge::Bearer { realm, service }));
        }
    }
}
