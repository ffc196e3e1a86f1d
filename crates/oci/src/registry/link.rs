//! The `Link` header of a list (RFC 8288).

use http_client::header::{HeaderMap, LINK};

/// The target of the link to the next page.
pub(crate) fn next(headers: &HeaderMap) -> Option<&str> {
    let mut headers = headers.get_all(LINK).iter();
    headers.find_map(|header| next_in(header.to_str().ok()?))
}

// </v2/_catalog?last=app&n=1000>; rel="next", <…>; rel="prev"
fn next_in(header: &str) -> Option<&str> {
    let mut rest = header;
    loop {
        let (target, after) = rest.trim_start().strip_prefix('<')?.split_once('>')?;
        let mut parameters = split_unquoted(after, ',');
        let own = parameters.next()?;
        if split_unquoted(own, ';').any(is_next) {
            return Some(target);
        }
        rest = after.get(own.len() + 1..)?;
    }
}

fn is_next(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else {
        return false;
    };
    let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
    name.trim().eq_ignore_ascii_case("rel")
        && relations.any(|relation| relation.eq_ignore_ascii_case("next"))
}

fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        let is_end = c == separator && !quoted;
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && quoted && !escaped;
        is_end
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_next_page_is_in_the_link_header() {
        let table = [
            (
                "</v2/_catalog?last=app>; rel=\"next\"",
                Some("/v2/_catalog?last=app"),
            ),
            (
                "<https://r.example/v2/a>; rel=next",
                Some("https://r.example/v2/a"),
            ),
            ("</a>; REL=\"prev Next\"; title=\"x\"", Some("/a")),
            ("</a>; rel=\"prev\", </b,c>; rel=\"next\"", Some("/b,c")),
            (
                "</a>; title=\"</b>; rel=next, <x\"; rel=prev, </c>; rel=next",
                Some("/c"),
            ),
            ("</a>; title=\"\\\"; rel=next\"", None),
            ("</a>; rel=\"prev\"", None),
            ("</a>; xrel=\"next\"", None),
            ("</a>; rel=\"nextly\"", None),
            ("/a; rel=next", None),
            ("</a", None),
            ("", None),
        ];
        for (link, target) in table {
            assert_eq!(super::next_in(link), target, "{link}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_header_is_read(header in "[ <>;,=\\\\\"a-z]{0,40}") {
            let _ = super::next_in(&header);
        }
    }
}
