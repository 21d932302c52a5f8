//! Sets of numbers that are dense: which segments there are, in an eighth of a byte each.

use std::{collections::BTreeMap, ops::Range};

/// Numbers in one block.
const BLOCK: u64 = 4096;

/// A set of numbers.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    blocks: BTreeMap<u64, Box<[u64; (BLOCK / 64) as usize]>>,
    first: Option<u64>,
    last: u64,
}

impl Numbers {
    pub(super) fn insert(&mut self, number: u64) {
        let block = self.blocks.entry(number / BLOCK).or_insert_with(|| Box::new([0; (BLOCK / 64) as usize]));
        if let Some(word) = block.get_mut((number % BLOCK / 64) as usize) {
            *word |= 1 << (number % 64);
        }
        self.first = Some(self.first.map_or(number, |first| first.min(number)));
        self.last = self.last.max(number);
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        let word = self.blocks.get(&(number / BLOCK)).and_then(|block| block.get((number % BLOCK / 64) as usize));
        word.is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    /// The lowest; `None` if there is none.
    pub(super) fn first(&self) -> Option<u64> {
        self.first
    }

    /// The highest; 0 if there is none.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Those of a range, as ranges.
    pub(super) fn ranges(&self, within: Range<u64>) -> Vec<Range<u64>> {
        let mut out: Vec<Range<u64>> = Vec::new();
        for number in within.filter(|number| self.contains(*number)) {
            match out.last_mut() {
                Some(range) if range.end == number => range.end += 1,
                _ => out.push(number..number + 1),
            }
        }
        out
    }
}
