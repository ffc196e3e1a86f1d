//! XML reports in one pass. No tree is built: memory and time depend on what a reader keeps, and are linear in the size
//! of the report.

use std::borrow::Cow;

use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};

/// Maximum depth of elements. Reports have less than ten levels; more of them are made to exhaust a parser.
pub(super) const DEPTH: usize = 100;

/// Takes the parts of a report in their order.
pub(super) trait Reader {
    /// An element starts. The first one is the root.
    fn start(&mut self, element: &Element<'_>) -> Result<(), String>;

    /// Text in the innermost open element; a text may come in several parts.
    fn text(&mut self, text: &str);

    /// The innermost open element ends.
    fn end(&mut self) -> Result<(), String>;
}

/// The start of an element.
pub(super) struct Element<'a>(BytesStart<'a>);

impl Element<'_> {
    /// Its name without a namespace.
    pub(super) fn name(&self) -> &str {
        self.0.local_name().into_inner()
    }

    /// The value of an attribute.
    ///
    /// # Errors
    /// When an attribute up to it is malformed.
    pub(super) fn attribute(&self, name: &str) -> Result<Option<Cow<'_, str>>, String> {
        // The check for duplicates compares each attribute with all others.
        for attribute in self.0.attributes().with_checks(false) {
            let attribute = attribute.map_err(invalid)?;
            if attribute.key.local_name().into_inner() == name {
                let value = attribute.normalized_value(XmlVersion::Implicit1_0);
                return value.map(Some).map_err(invalid);
            }
        }
        Ok(None)
    }
}

/// Read `text`. A document type is accepted only if `has_doctype` allows it; what it declares is not used.
///
/// # Errors
/// When it is not XML, is nested deeper than [`DEPTH`], or `reader` rejects it.
pub(super) fn read(text: &str, has_doctype: bool, reader: &mut impl Reader) -> Result<(), String> {
    let mut xml = quick_xml::Reader::from_str(text.trim_start_matches('\u{feff}'));
    xml.config_mut().expand_empty_elements = true;
    let (mut depth, mut has_root) = (0_usize, false);
    loop {
        match xml.read_event().map_err(invalid)? {
            Event::Start(start) => {
                if depth == 0 && has_root {
                    return Err(invalid("it has more than one root element"));
                }
                has_root = true;
                depth += 1;
                if depth > DEPTH {
                    return Err(format!(
                        "its elements are nested deeper than {DEPTH} levels"
                    ));
                }
                reader.start(&Element(start))?;
            }
            Event::End(_) => {
                depth -= 1;
                reader.end()?;
            }
            Event::Text(text) if depth > 0 => reader.text(&text.xml10_content()),
            Event::CData(text) if depth > 0 => reader.text(&text.xml10_content()),
            Event::GeneralRef(reference) if depth > 0 => {
                if let Some(character) = reference.resolve_char_ref().map_err(invalid)? {
                    reader.text(character.encode_utf8(&mut [0; 4]));
                } else {
                    let text = resolve_predefined_entity(&reference);
                    reader.text(text.ok_or_else(|| invalid("unknown entity"))?);
                }
            }
            Event::Text(text) if text.trim().is_empty() => {}
            Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) => {
                return Err(invalid("it has text outside of its root element"));
            }
            Event::DocType(_) if !has_doctype => return Err(invalid("it has a document type")),
            Event::Eof if depth > 0 => return Err(invalid("an element has no end")),
            Event::Eof if !has_root => return Err(invalid("it has no root element")),
            Event::Eof => return Ok(()),
            _ => {}
        }
    }
}

fn invalid(problem: impl std::fmt::Display) -> String {
    format!("not valid XML: {problem}")
}
