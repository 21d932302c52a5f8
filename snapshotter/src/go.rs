//! Durations as Go writes them, and with it Kubernetes and Velero: `30s`, `1h30m`, `1.5h`.

/// How many nanoseconds a duration is; none for what is no duration or too long to tell.
pub(crate) fn nanos(text: &str) -> Option<i128> {
    const UNITS: [(&str, i128); 8] = [
        ("h", 3_600_000_000_000),
        ("ms", 1_000_000),
        ("m", 60_000_000_000),
        ("us", 1_000),
        ("µs", 1_000),
        ("μs", 1_000),
        ("ns", 1),
        ("s", 1_000_000_000),
    ];
    let (mut rest, mut total) = (text, 0_i128);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let (unit, worth) = UNITS.iter().find(|(unit, _)| tail.starts_with(unit))?;
        rest = tail.get(unit.len()..)?;
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && part.is_empty() || part.contains('.') || whole.len() > 18 || part.len() > 18 {
            return None;
        }
        let digits = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<i128>().ok() };
        let scale = 10_i128.checked_pow(u32::try_from(part.len()).ok()?)?;
        let value = digits(whole)?.checked_mul(scale)?.checked_add(digits(part)?)?;
        total = total.checked_add(value.checked_mul(*worth)? / scale)?;
    }
    Some(total)
}
