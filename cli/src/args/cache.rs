//! The cache of readers.

use std::path::PathBuf;

use clap::Args;

/// The cache of readers.
#[derive(Debug, Clone, Args)]
pub(crate) struct CacheArgs {
    /// Keep segments, merged files and checkpoints that were read in a folder of your own, so that they are sent once
    #[arg(long, global = true, value_name = "DIR", env = "HINDCAST_CACHE", hide_env = true)]
    pub(crate) cache: Option<PathBuf>,
    /// How large that folder may become
    #[arg(
        long,
        global = true,
        value_name = "SIZE",
        default_value = "1GiB",
        value_parser = size,
        env = "HINDCAST_CACHE_SIZE",
        hide_env = true
    )]
    pub(crate) cache_size: u64,
}

/// The least: less holds nothing of use.
const LEAST: u64 = 1 << 20;

/// A number of bytes.
fn size(text: &str) -> Result<u64, String> {
    let form = || "a size is 500MB, 2GiB or a number of bytes, 1MiB at least".to_owned();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).ok_or_else(form)?;
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "m" | "mi" | "mib" => 1 << 20,
        "g" | "gi" | "gib" => 1 << 30,
        "t" | "ti" | "tib" => 1_u64 << 40,
        _ => return Err(form()),
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    bytes.filter(|bytes| *bytes >= LEAST).ok_or_else(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [("1GiB", 1 << 30), ("500MB", 500_000_000), ("2g", 2 << 30), ("1048576", 1 << 20)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "GiB", "1", "1KiB", "-1GiB", "99999999999TB", "1.5GiB", "1 XB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
