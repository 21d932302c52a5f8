//! Tables as kubectl lays them out: columns as wide as their widest cell, three spaces between.
//!
//! **Invariants.** (1) Cells are escaped before they are measured, so that a hostile name cannot shift a column. (2) A cell that
//! is wider than [`WIDEST`] widens no other row: its own goes on three spaces behind it.

use crate::printer::escape;

#[cfg(test)]
mod tests;

/// The widest that a column is: names of most kinds have at most so many characters.
const WIDEST: usize = 63;

/// The lines of a table with its headings.
pub(crate) fn lines<H: AsRef<str>>(headings: &[H], rows: Vec<Vec<String>>) -> Vec<String> {
    let headings: Vec<String> = headings.iter().map(|h| h.as_ref().to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(headings)
        .chain(rows)
        .map(|row| row.iter().map(|cell| escape(cell, false).into_owned()).collect())
        .collect();
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
        cells.filter(|width| *width <= WIDEST).max()
    };
    let widths: Vec<usize> = (0..count).map(|at| width(at).unwrap_or(0)).collect();
    rows.iter()
        .map(|row| {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count()) + 3));
            }
            line.truncate(line.trim_end().len());
            line
        })
        .collect()
}
