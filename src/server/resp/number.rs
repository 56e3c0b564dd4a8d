//! Numbers as Redis reads them in commands and values.

/// An integer as Redis writes one: no sign but a minus, no leading zeros, nothing around it.
///
/// ```
/// use asof::server::resp::number::parse_i64;
///
/// assert_eq!(parse_i64(b"-12"), Some(-12));
/// assert_eq!((parse_i64(b"+1"), parse_i64(b"01"), parse_i64(b" 1"), parse_i64(b"-0")), (None, None, None, None));
/// ```
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let (&first, rest) = digits.split_first()?;
    if first == b'0' {
        return (rest.is_empty() && !is_negative).then_some(0);
    }
    // Below zero, where there is one number more.
    let mut number = -digit(first)?;
    for &byte in rest {
        number = number.checked_mul(10)?.checked_sub(digit(byte)?)?;
    }
    if is_negative { Some(number) } else { number.checked_neg() }
}

fn digit(byte: u8) -> Option<i64> {
    byte.is_ascii_digit().then(|| i64::from(byte - b'0'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::parse_i64;

    proptest! {
        #[test]
        fn an_integer_is_read_if_it_is_written_as_it_is_printed(text in "[-+ ]?[0-9]{0,21}", number: i64) {
            let expected = text.parse::<i64>().ok().filter(|parsed| parsed.to_string() == text);
            prop_assert_eq!(parse_i64(text.as_bytes()), expected);
            prop_assert_eq!(parse_i64(number.to_string().as_bytes()), Some(number));
        }
    }

    #[test]
    fn the_ends_of_the_range_are_read_and_what_lies_beyond_is_not() {
        for number in [i64::MIN, i64::MAX, 0] {
            assert_eq!(parse_i64(number.to_string().as_bytes()), Some(number));
        }
        for text in ["9223372036854775808", "-9223372036854775809", "", "-", "1a", "1 ", "-0", "00", "0x1"] {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text}");
        }
    }
}
