//! The nodes of a YAML document, each with its place in the text.

use std::collections::BTreeMap;
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle};

/// The largest workflow that is read. GitHub's own limit for a workflow file is 512 KiB.
const SIZE_LIMIT: usize = 1024 * 1024;

/// Why a text is not a document.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// It is larger than a workflow can be.
    #[error("it is larger than 1 MiB")]
    TooLarge,
    /// A syntax error.
    #[error("it is not valid YAML: {0}")]
    Syntax(String),
}

/// A node of a document.
pub(crate) type Id = usize;

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// From its first byte to its last, without the line break, comments and blank lines that follow it.
    pub(crate) range: Range<usize>,
    /// Where its anchor or its tag begins, if it has one; the start of `range` otherwise.
    pub(crate) start: usize,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Scalar(String),
    Sequence {
        items: Vec<Id>,
        is_flow: bool,
    },
    Mapping {
        entries: Vec<(Id, Id)>,
        is_flow: bool,
    },
    /// The node of its anchor. Never expanded, so that no number of aliases costs anything.
    Alias(Id),
}

/// The first document of a text.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    pub(crate) text: &'a str,
    nodes: Vec<Node>,
    root: Option<Id>,
}

impl<'a> Document<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, Invalid> {
        if text.len() > SIZE_LIMIT {
            return Err(Invalid::TooLarge);
        }
        let options = granit_parser::options! { emit_comments: false, emit_anchor_events: true };
        let mut tree = Tree::new(text);
        for event in Parser::new_from_str_with_options(text, options) {
            let (event, span) = event.map_err(|e| Invalid::Syntax(e.to_string()))?;
            if matches!(event, Event::DocumentEnd) {
                tree.is_done = true;
            }
            tree.take(event, span);
        }
        Ok(Self {
            text,
            nodes: tree.nodes,
            root: tree.root,
        })
    }

    pub(crate) fn root(&self) -> Option<Id> {
        self.root
    }

    pub(crate) fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    /// The node itself, or the one that it is an alias of.
    pub(crate) fn target(&self, id: Id) -> Id {
        match self.nodes[id].kind {
            // The anchor of an alias is not an alias itself.
            Kind::Alias(target) => target,
            _ => id,
        }
    }

    /// The node, or that of its alias.
    pub(crate) fn resolved(&self, id: Id) -> &Node {
        &self.nodes[self.target(id)]
    }

    pub(crate) fn is_alias(&self, id: Id) -> bool {
        matches!(self.nodes[id].kind, Kind::Alias(_))
    }

    pub(crate) fn scalar(&self, id: Id) -> Option<&str> {
        match &self.resolved(id).kind {
            Kind::Scalar(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn entries(&self, id: Id) -> &[(Id, Id)] {
        match &self.resolved(id).kind {
            Kind::Mapping { entries, .. } => entries,
            _ => &[],
        }
    }

    pub(crate) fn items(&self, id: Id) -> &[Id] {
        match &self.resolved(id).kind {
            Kind::Sequence { items, .. } => items,
            _ => &[],
        }
    }

    pub(crate) fn is_mapping(&self, id: Id) -> bool {
        matches!(self.resolved(id).kind, Kind::Mapping { .. })
    }

    pub(crate) fn is_flow(&self, id: Id) -> bool {
        match self.node(id).kind {
            Kind::Sequence { is_flow, .. } | Kind::Mapping { is_flow, .. } => is_flow,
            _ => false,
        }
    }

    /// The entry of a mapping.
    pub(crate) fn entry(&self, id: Id, key: &str) -> Option<(Id, Id)> {
        let mut entries = self.entries(id).iter().copied();
        entries.find(|(name, _)| self.scalar(*name) == Some(key))
    }

    pub(crate) fn get(&self, id: Id, key: &str) -> Option<Id> {
        self.entry(id, key).map(|(_, value)| value)
    }

    /// The text of an entry of a mapping.
    pub(crate) fn text_of(&self, id: Id, key: &str) -> Option<&str> {
        self.scalar(self.get(id, key)?)
    }

    pub(crate) fn line_start(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// After the line break of the line.
    pub(crate) fn line_end(&self, at: usize) -> usize {
        self.text[at..]
            .find('\n')
            .map_or(self.text.len(), |newline| at + newline + 1)
    }

    /// From 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        1 + self.text[..at].matches('\n').count()
    }

    /// The number of bytes before it in its line.
    pub(crate) fn column(&self, at: usize) -> usize {
        at - self.line_start(at)
    }
}

struct Tree<'a> {
    text: &'a str,
    nodes: Vec<Node>,
    root: Option<Id>,
    anchors: BTreeMap<usize, Id>,
    open: Vec<(Id, Vec<Id>)>,
    is_done: bool,
}

impl<'a> Tree<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            nodes: Vec::new(),
            root: None,
            anchors: BTreeMap::new(),
            open: Vec::new(),
            is_done: false,
        }
    }

    fn take(&mut self, event: Event<'_>, span: Span) {
        if self.is_done {
            return;
        }
        let range = span.byte_range().unwrap_or_default();
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let mut range = range;
                if matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
                    range = self.block(range);
                }
                self.add(Kind::Scalar(text.into_owned()), range, span, anchor);
            }
            Event::Alias(anchor) => {
                let target = self.anchors.get(&anchor).copied();
                let kind = target.map_or(Kind::Scalar(String::new()), Kind::Alias);
                self.add(kind, range, span, 0);
            }
            Event::SequenceStart(style, anchor, _) => {
                let is_flow = style == StructureStyle::Flow;
                let kind = Kind::Sequence {
                    items: Vec::new(),
                    is_flow,
                };
                self.begin(kind, range, span, anchor);
            }
            Event::MappingStart(style, anchor, _) => {
                let is_flow = style == StructureStyle::Flow;
                let kind = Kind::Mapping {
                    entries: Vec::new(),
                    is_flow,
                };
                self.begin(kind, range, span, anchor);
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(&range),
            Event::Anchor(anchor, _) => {
                if let Some(&id) = self.anchors.get(&anchor) {
                    let node = &mut self.nodes[id];
                    node.start = node.start.min(range.start);
                }
            }
            _ => {}
        }
    }

    // The span of a block scalar begins after its first line, which has its style, and ends after the blank lines that
    // follow it.
    fn block(&self, range: Range<usize>) -> Range<usize> {
        let siblings = self.open.last().and_then(|(_, children)| children.last());
        let from = siblings.map_or(0, |key| self.nodes[*key].range.end);
        let before = &self.text[from.min(range.start)..range.start];
        let style = before.char_indices().find(|(at, c)| {
            let is_first = before[..*at].ends_with([' ', '\t', '\n']) || *at == 0;
            matches!(c, '|' | '>') && is_first
        });
        let start = style.map_or(range.start, |(at, _)| from + at);
        let end = self.text[..range.end].trim_end().len();
        start..end.max(start)
    }

    fn add(&mut self, kind: Kind, range: Range<usize>, span: Span, anchor: usize) -> Id {
        let tag = span.tag_start().and_then(|mark| mark.byte_offset());
        let start = tag.unwrap_or(range.start).min(range.start);
        let id = self.nodes.len();
        self.nodes.push(Node { kind, range, start });
        if anchor != 0 {
            self.anchors.insert(anchor, id);
        }
        match self.open.last_mut() {
            Some((_, children)) => children.push(id),
            None => self.root = self.root.or(Some(id)),
        }
        id
    }

    fn begin(&mut self, kind: Kind, range: Range<usize>, span: Span, anchor: usize) {
        let id = self.add(kind, range, span, anchor);
        self.open.push((id, Vec::new()));
    }

    fn end(&mut self, range: &Range<usize>) {
        let Some((id, children)) = self.open.pop() else {
            return;
        };
        let last = children.last().map(|child| self.nodes[*child].range.end);
        let node = &mut self.nodes[id];
        let is_flow = match &mut node.kind {
            Kind::Sequence { items, is_flow } => {
                *items = children;
                *is_flow
            }
            Kind::Mapping { entries, is_flow } => {
                let pairs = children.chunks_exact(2).map(|pair| (pair[0], pair[1]));
                *entries = pairs.collect();
                *is_flow
            }
            _ => false,
        };
        // A block collection ends with its last node.
        node.range.end = match last {
            Some(last) if !is_flow => last.max(node.range.start),
            _ => range.end,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slices(text: &str) -> Vec<String> {
        let document = Document::parse(text).unwrap();
        let slice = |node: &Node| text[node.start..node.range.end].to_owned();
        document.nodes.iter().map(slice).collect()
    }

    #[test]
    fn a_node_ends_where_its_text_ends() {
        let text = "a: |\n  x\n  y\n\n# c\nb:\n  - {c: [d, 'e']} # f\n\n  - &g \"h\n    i\" \nj: k l\n  m\n\n";
        assert_eq!(
            slices(text),
            [
                "a: |\n  x\n  y\n\n# c\nb:\n  - {c: [d, 'e']} # f\n\n  - &g \"h\n    i\" \nj: k l\n  m",
                "a",
                "|\n  x\n  y",
                "b",
                "- {c: [d, 'e']} # f\n\n  - &g \"h\n    i\"",
                "{c: [d, 'e']}",
                "c",
                "[d, 'e']",
                "d",
                "'e'",
                "&g \"h\n    i\"",
                "j",
                "k l\n  m",
            ]
        );
    }

    #[test]
    fn an_empty_value_is_at_its_key() {
        let document =
            Document::parse("on:\n  push:\n\n  # c\n  pull_request:\njobs: {}\n").unwrap();
        for node in &document.nodes {
            assert!(node.range.start <= node.range.end, "{node:?}");
        }
    }

    #[test]
    fn aliases_are_not_expanded() {
        let mut text = "a0: &a0 [x, x]\n".to_owned();
        for n in 1..60 {
            text.push_str(&format!("a{n}: &a{n} [*a{0}, *a{0}]\n", n - 1));
        }
        let document = Document::parse(&text).unwrap();
        assert!(document.nodes.len() < 400);
    }

    #[test]
    fn what_is_no_document_is_an_error() {
        assert!(matches!(Document::parse("a: [b"), Err(Invalid::Syntax(_))));
        assert!(matches!(
            Document::parse(&" ".repeat(SIZE_LIMIT + 1)),
            Err(Invalid::TooLarge)
        ));
        assert!(Document::parse("").unwrap().root().is_none());
    }
}
