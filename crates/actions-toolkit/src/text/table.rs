//! A table in Markdown.

use std::fmt;

/// A table in GitHub's Markdown (github.github.com/gfm, "Tables"). Cells are Markdown: text from outside is escaped
/// by [`markdown`](super::markdown) or [`code`](super::code) before.
#[derive(Debug, Clone)]
pub struct Table<const N: usize> {
    header: [String; N],
    is_number: [bool; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// A table with these headings and no rows yet.
    pub fn new(header: [&str; N]) -> Self {
        Self {
            header: header.map(ToOwned::to_owned),
            is_number: [false; N],
            rows: Vec::new(),
        }
    }

    /// Align the columns at these indices, counted from 0, to the right.
    #[must_use]
    pub fn numbers<const M: usize>(mut self, columns: [usize; M]) -> Self {
        for column in columns {
            if let Some(is_number) = self.is_number.get_mut(column) {
                *is_number = true;
            }
        }
        self
    }

    /// Add a row.
    pub fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl<const N: usize> Extend<[String; N]> for Table<N> {
    fn extend<I: IntoIterator<Item = [String; N]>>(&mut self, rows: I) {
        self.rows.extend(rows);
    }
}

impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, &self.header)?;
        f.write_str("|")?;
        for is_number in self.is_number {
            f.write_str(if is_number { "--:|" } else { "---|" })?;
        }
        f.write_str("\n")?;
        self.rows.iter().try_for_each(|row| line(f, row))
    }
}

fn line(f: &mut fmt::Formatter<'_>, cells: &[String]) -> fmt::Result {
    f.write_str("|")?;
    for cell in cells {
        // An empty cell is `| |`.
        let gap = if cell.is_empty() { "" } else { " " };
        write!(f, "{gap}{cell} |")?;
    }
    f.write_str("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_numbers_and_rows() {
        let mut table = Table::new(["Package", "", "Findings"]).numbers([2]);
        assert!(table.is_empty());
        table.row(["`curl`".into(), String::new(), "3".into()]);
        table.extend([["`zlib`".into(), "new".into(), "12".into()]]);
        insta::assert_snapshot!(table, @r"
        | Package | | Findings |
        |---|---|--:|
        | `curl` | | 3 |
        | `zlib` | new | 12 |
        ");
    }
}
