//! Tables as kubectl lays them out: columns as wide as their widest cell, three spaces between.
//!
//! **Invariant.** Cells are escaped before they are measured, so that a hostile name cannot shift a column.

use crate::printer::escape;

/// The lines of a table with its headings.
pub(crate) fn lines<H: AsRef<str>>(headings: &[H], rows: Vec<Vec<String>>) -> Vec<String> {
    let headings: Vec<String> = headings.iter().map(|h| h.as_ref().to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(headings)
        .chain(rows)
        .map(|row| row.iter().map(|cell| escape(cell, false).into_owned()).collect())
        .collect();
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|c| c.chars().count()).max();
    let widths: Vec<usize> = (0..count).map(|at| width(at).unwrap_or(0)).collect();
    rows.iter()
        .map(|row| {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', width + 3 - cell.chars().count()));
            }
            line.truncate(line.trim_end().len());
            line
        })
        .collect()
}
