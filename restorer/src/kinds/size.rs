//! Quantities as Kubernetes writes them (`10Gi`, `1.5e3`, `100m`), only to compare them.

/// How many billionths a quantity is; none for what is no quantity or too big to tell.
pub(crate) fn parse(text: &str) -> Option<i128> {
    let split = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let (tens, twos) = scale(suffix)?;
    let (negative, number) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{part}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut value: i128 = digits.parse().ok()?;
    value = value.checked_mul(1_i128.checked_shl(twos)?)?;
    let tens = tens + 9 - i32::try_from(part.len()).ok()?;
    value = match u32::try_from(tens) {
        Ok(up) => value.checked_mul(10_i128.checked_pow(up)?)?,
        // What is smaller than a billionth does not decide anything.
        Err(_) => value / 10_i128.checked_pow(tens.unsigned_abs())?,
    };
    Some(if negative { -value } else { value })
}

/// The power of ten and the power of two that a suffix stands for.
fn scale(suffix: &str) -> Option<(i32, u32)> {
    Some(match suffix {
        "n" => (-9, 0),
        "u" => (-6, 0),
        "m" => (-3, 0),
        "" => (0, 0),
        "k" => (3, 0),
        "M" => (6, 0),
        "G" => (9, 0),
        "T" => (12, 0),
        "P" => (15, 0),
        "E" => (18, 0),
        "Ki" => (0, 10),
        "Mi" => (0, 20),
        "Gi" => (0, 30),
        "Ti" => (0, 40),
        "Pi" => (0, 50),
        "Ei" => (0, 60),
        _ => (suffix.strip_prefix(['e', 'E'])?.parse().ok().filter(|tens| (-18..=18).contains(tens))?, 0),
    })
}

#[cfg(test)]
mod tests;
