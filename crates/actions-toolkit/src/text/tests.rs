use proptest::prelude::*;

use super::*;

/// GitHub's Markdown, as HTML.
fn rendered(markdown: &str) -> String {
    let mut options = comrak::Options::default();
    options.extension.autolink = true;
    options.extension.footnotes = true;
    options.extension.math_dollars = true;
    options.extension.strikethrough = true;
    options.extension.table = true;
    options.extension.tasklist = true;
    options.render.r#unsafe = true;
    comrak::markdown_to_html(markdown, &options)
}

/// What a reader should see of `text` on one line, as HTML.
fn seen(text: &str) -> String {
    let text = one_line(text).replace(ZERO_WIDTH_SPACE, "");
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

/// Text of an attacker: what Markdown, GitHub and the runner give a meaning to, in any order.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = [
        "`",
        "``",
        "```",
        "~~~",
        "|",
        "\\",
        "\n",
        "\r",
        "\r\n",
        "\n\n",
        "\t",
        " ",
        "    ",
        "@name",
        "@",
        "#1",
        "#",
        "o/r#2",
        "GH-3",
        "gh-",
        "https://evil.example",
        "://",
        "www.evil.example",
        "me@evil.example",
        "<img src=x>",
        "<!--",
        "-->",
        "</details>",
        "</code>",
        "<",
        "![a](b)",
        "[a](b)",
        "[^1]",
        "[x]",
        "**",
        "_",
        "~~",
        "$",
        "$$",
        "&lt;",
        "&#124;",
        "&",
        "- ",
        "+ ",
        "1. ",
        "2)",
        "> ",
        "---",
        "===",
        "===\n",
        "::error::x",
        "##[error]x",
        "::",
        "##[",
        "\u{1b}[31m",
        "\u{202e}",
        "\u{2028}",
        "\u{85}",
        "\u{0}",
        "%0A",
        "a",
        "é",
        "👩‍🚀",
    ];
    let piece = prop_oneof![
        4 => prop::sample::select(pieces.to_vec()).prop_map(ToOwned::to_owned),
        1 => ".{0,4}",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// The lines that the runner takes for commands: `ReadLine`, then either grammar of
/// `Runner.Common/ActionCommand.cs`.
pub(crate) fn commands(log: &str) -> Vec<&str> {
    let is_command = |line: &&str| {
        let old = line.find("##[").is_some();
        old || line.trim_start().starts_with("::")
    };
    log.split(['\n', '\r']).filter(is_command).collect()
}

#[test]
fn commands_are_disarmed() {
    for line in [
        "::error::x",
        "  ::add-mask::x",
        "text ##[error] y",
        "a\r::x::y",
        "\u{85}::x::",
    ] {
        let safe = log_line(line);
        assert_eq!(commands(&safe), Vec::<&str>::new(), "{line:?}");
    }
    assert_eq!(log_line("a::b"), "a::b");
}

#[test]
fn text_keeps_its_place() {
    let table = [
        ("a|b\nc <img>", "a\\|b c &lt;img&gt;"),
        ("- 1", "\\- 1"),
        ("1. x", "1\\. x"),
        ("fixes #1, GH-2", "fixes \\#\u{200b}1, GH-\u{200b}2"),
        (
            "@me http://x www.y",
            "@\u{200b}me http:\u{200b}//x www\u{200b}.y",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(markdown(text), expected);
    }
    assert_eq!(code("a`b"), "`` a`b ``");
    assert_eq!(code("a\\|b"), "<code>a&#92;&#124;b</code>");
    assert_eq!(code_block("```\nx\r```"), "````text\n```\nx\n```\n````\n");
    assert_eq!(html("a\n\n# b @c"), "a  #\u{200b} b @\u{200b}c");
    assert_eq!(plural(1, "finding"), "1 finding");
}

proptest! {
    #[test]
    fn markdown_is_text_wherever_it_is(text in hostile()) {
        let seen = seen(&text);
        let (start, inside) = (seen.trim(), seen.trim_start().trim_end());
        let alone = rendered(&markdown(&text)).replace(ZERO_WIDTH_SPACE, "");
        let expected = if start.is_empty() { String::new() } else { format!("<p>{start}</p>\n") };
        prop_assert_eq!(alone, expected);
        let cell = rendered(&format!("| a |\n|---|\n| {} |\n", markdown(&text)));
        let cell = cell.replace(ZERO_WIDTH_SPACE, "");
        prop_assert!(cell.contains(&format!("<tbody>\n<tr>\n<td>{inside}</td>\n</tr>\n</tbody>")), "{}", cell);
    }

    #[test]
    fn code_is_code_wherever_it_is(text in hostile()) {
        let seen = seen(&text);
        let html = rendered(&format!("a {} b", code(&text))).replace(ZERO_WIDTH_SPACE, "");
        prop_assert_eq!(html.replace("&#39;", "'"), format!("<p>a <code>{seen}</code> b</p>\n"));
        let cell = rendered(&format!("| a |\n|---|\n| {} |\n", code(&text)));
        let cell = cell.replace(ZERO_WIDTH_SPACE, "");
        prop_assert!(cell.contains(&format!("<tbody>\n<tr>\n<td><code>{seen}</code></td>\n</tr>\n</tbody>")), "{}", cell);
    }

    #[test]
    fn a_block_is_one_block(text in hostile()) {
        let html = rendered(&format!("<details>\n\n{}\n</details>\n", code_block(&text)));
        let inside = html.strip_prefix("<details>\n<pre><code class=\"language-text\">");
        let inside = inside.and_then(|html| html.strip_suffix("\n</code></pre>\n</details>\n"));
        prop_assert!(inside.is_some_and(|inside| !inside.contains('<')), "{}", html);
    }

    #[test]
    fn html_is_text(text in hostile()) {
        let line = format!("<details><summary>{}</summary>\n\nx\n</details>\n", html(&text));
        let shown = rendered(&line);
        prop_assert_eq!(shown, line.replace("\n\nx\n", "\n<p>x</p>\n"));
        prop_assert!(!html(&text).contains(['\n', '\r', '<', '"']));
    }

    #[test]
    fn no_mention_reference_or_link_is_left(text in hostile()) {
        for text in [markdown(&text), html(&text)] {
            for sign in ["@n", "@e", "#1", "#2", "GH-3", "://", "www."] {
                prop_assert!(!text.contains(sign), "{}", text);
            }
        }
    }

    #[test]
    fn no_text_becomes_a_command(text in hostile()) {
        let line = log_line(&text);
        prop_assert_eq!(commands(&line), Vec::<&str>::new());
    }

    #[test]
    fn a_cut_is_no_longer_than_it_may_be(text in ".{0,20}", max in 0_usize..20) {
        prop_assert!(cut(&text, max).len() <= max);
        prop_assert!(text.starts_with(cut(&text, max)));
    }
}
