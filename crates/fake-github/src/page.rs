//! Pages for a person: what landed here.

mod home;
mod security;

use actions_toolkit::text::html;

pub(super) use home::home;
pub(super) use security::security;

const STYLE: &str = "
:root { color-scheme: light dark; --ink: light-dark(#1f2328, #e6edf3); --quiet: light-dark(#59636e, #9198a1);
  --paper: light-dark(#ffffff, #0d1117); --line: light-dark(#d1d9e0, #3d444d); --card: light-dark(#f6f8fa, #151b23); }
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem } a { color: inherit }
p, small { color: var(--quiet) }
table { border: 1px solid var(--line); border-collapse: collapse; width: 100% }
td, th { border-bottom: 1px solid var(--line); padding: .45rem .7rem; text-align: left; vertical-align: top }
th { background: var(--card); font-weight: 600 } code { font: .9em ui-monospace, monospace }
details { margin: .8rem 0 } summary { cursor: pointer } pre { background: var(--card); border: 1px solid var(--line); padding: .7rem; overflow-x: auto; white-space: pre-wrap }
dl { display: flex; flex-wrap: wrap; gap: .5rem 2rem; margin: 0 } dt { color: var(--quiet) } dd { font-size: 1.4rem; margin: 0 }
:target { background: var(--card) } .scroll { overflow-x: auto } th:first-child, td:first-child { width: 6rem }
.badge { border: 1px solid; border-radius: 99px; font-size: .8rem; padding: 0 .55rem; white-space: nowrap }
.critical, .failure, .error { color: light-dark(#a40e26, #ff7b72) } .high { color: light-dark(#bc4c00, #ffa657) }
.medium { color: light-dark(#9a6700, #d29922) } .low, .unrated { color: var(--quiet) } .fixed, .success { color: light-dark(#1a7f37, #3fb950) }
";

/// A whole page; `body` is HTML.
fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>{0}</title><style>{STYLE}</style><h1>{0}</h1>{body}</html>\n",
        html(title)
    )
}

/// A table; heads are text, cells are HTML.
fn table(heads: &[&str], rows: &[Row]) -> String {
    let heads: Vec<_> = heads
        .iter()
        .map(|head| format!("<th>{}", html(head)))
        .collect();
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let cells: Vec<_> = row.cells.iter().map(|cell| format!("<td>{cell}")).collect();
            let id = row.id.as_ref();
            let id = id.map_or(String::new(), |id| format!(" id=\"{}\"", html(id)));
            format!("<tr{id}>{}</tr>\n", cells.concat())
        })
        .collect();
    let (heads, rows) = (heads.concat(), rows.concat());
    format!("<div class=\"scroll\"><table><tr>{heads}</tr>\n{rows}</table></div>")
}

/// A row of a table, to which an address may lead.
struct Row {
    id: Option<String>,
    cells: Vec<String>,
}

impl Row {
    fn new(cells: impl Into<Vec<String>>) -> Self {
        Self {
            id: None,
            cells: cells.into(),
        }
    }

    fn id(mut self, id: String) -> Self {
        self.id = Some(id);
        self
    }
}

fn badge(word: &str) -> String {
    format!("<span class=\"badge {0}\">{0}</span>", html(word))
}

fn code(text: &str) -> String {
    format!("<code>{}</code>", html(text))
}

/// A link, if it leads to the web; text otherwise.
fn link(address: &str, text: &str) -> String {
    if address.starts_with("https://") || address.starts_with("http://") {
        return format!("<a href=\"{}\">{}</a>", html(address), html(text));
    }
    html(text)
}
