//! Decimals as text: every digit of their scale, and exactly or not at all back.

use crate::value::DECIMAL_PRECISION_MAX;

pub(super) fn format_decimal(unscaled: i128, scale: u8) -> String {
    let scale = usize::from(scale);
    let sign = if unscaled < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

pub(super) fn significant_digits(text: &str) -> usize {
    let mantissa = text.split(['e', 'E']).next().unwrap_or(text);
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.trim_start_matches('0').trim_end_matches('0').len()
}

/// The unscaled number, when the text is a number that `decimal(precision,scale)` holds exactly.
pub(crate) fn parse_decimal(text: &str, precision: u8, scale: u8) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.as_bytes().first()? {
        b'-' => (true, &mantissa[1..]),
        b'+' => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut unscaled: i128 = 0;
    for byte in whole.bytes().chain(fraction.bytes()) {
        if !byte.is_ascii_digit() {
            return None;
        }
        unscaled = unscaled.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
    }
    let from = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    let unscaled = rescale(unscaled, from, i32::from(scale), precision)?;
    Some(if negative { -unscaled } else { unscaled })
}

/// `unscaled` of `from` decimal places with `to` places: exactly, and within `precision` digits.
pub(crate) fn rescale(unscaled: i128, from: i32, to: i32, precision: u8) -> Option<i128> {
    if unscaled == 0 {
        return Some(0);
    }
    let shift = to.checked_sub(from)?;
    let power = 10_i128.checked_pow(shift.unsigned_abs())?;
    let scaled = match shift {
        0.. => unscaled.checked_mul(power)?,
        _ if unscaled % power == 0 => unscaled / power,
        _ => return None,
    };
    let limit = 10_u128.pow(u32::from(precision.min(DECIMAL_PRECISION_MAX)));
    (scaled.unsigned_abs() < limit).then_some(scaled)
}
