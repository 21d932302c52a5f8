//! Quantities, as Kubernetes writes them: `10Gi`, `1.5T`, `1e9`, `500m`.
//!
//! **Invariant.** Two spellings of one quantity are equal: it is kept in billionths of one, the finest there is, and rounded up to
//! them as Kubernetes does.
//!
//! Not here: writing one.

/// A quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Quantity(i128);

const ONE: i128 = 1_000_000_000;

/// What a suffix multiplies by, in billionths.
const SUFFIXES: [(&str, i128); 16] = [
    ("n", 1),
    ("u", 1_000),
    ("m", 1_000_000),
    ("", ONE),
    ("k", 1_000 * ONE),
    ("M", 1_000_000 * ONE),
    ("G", 1_000_000_000 * ONE),
    ("T", 1_000_000_000_000 * ONE),
    ("P", 1_000_000_000_000_000 * ONE),
    ("E", 1_000_000_000_000_000_000 * ONE),
    ("Ki", (1 << 10) * ONE),
    ("Mi", (1 << 20) * ONE),
    ("Gi", (1 << 30) * ONE),
    ("Ti", (1 << 40) * ONE),
    ("Pi", (1 << 50) * ONE),
    ("Ei", (1 << 60) * ONE),
];

impl Quantity {
    /// Reads a quantity.
    pub fn parse(text: &str) -> Option<Self> {
        let (sign, rest) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(end);
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && part.is_empty() || part.contains('.') {
            return None;
        }
        let digits = format!("{whole}{part}");
        let digits: i128 = digits.parse().ok()?;
        let scale = u32::try_from(part.len()).ok()?;
        let suffixed = SUFFIXES.iter().find(|(name, _)| *name == suffix).map(|(_, worth)| *worth);
        let (top, bottom) = match suffixed {
            Some(worth) => (digits.checked_mul(worth)?, power(scale)?),
            None => {
                let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
                let up = power(exponent.max(0).unsigned_abs())?;
                let down = power(exponent.min(0).unsigned_abs())?;
                (digits.checked_mul(ONE)?.checked_mul(up)?, power(scale)?.checked_mul(down)?)
            }
        };
        // Away from zero, so that what is not nothing does not become nothing.
        let rounded = top / bottom + i128::from(top % bottom != 0);
        Some(Self(sign * rounded))
    }

    /// How many whole ones it is, rounded up: of a size, its bytes. What is below zero is none.
    pub fn ceil(self) -> u64 {
        let above = self.0.max(0);
        u64::try_from(above / ONE + i128::from(above % ONE != 0)).unwrap_or(u64::MAX)
    }

    /// Whether it is nothing.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}

fn power(of: u32) -> Option<i128> {
    10_i128.checked_pow(of)
}

#[cfg(test)]
mod tests;
