//! Floating-point numbers of increments: `INCRBYFLOAT`, `HINCRBYFLOAT`.
//!
//! Redis computes with C's `long double`, which on x86-64 has 64 bits of precision and 15 of exponent, and prints up to 17
//! decimals. So 0.1 + 0.2 is 0.3 there, which float64 cannot give. Here each step is done exactly, in integers of any size, and
//! rounded once, to nearest, ties to even.

use std::fmt;

use num_bigint::{BigInt, BigUint, Sign};

/// Bits of precision.
const PRECISION_BITS: u64 = 64;
/// Exponent of the last bit of the least number there is.
const EXPONENT_MIN: i64 = -16_445;
/// Exponent of the last bit of the greatest numbers there are.
const EXPONENT_MAX: i64 = 16_320;
/// Decimals that are printed.
const DECIMALS: usize = 17;
/// Longest text that is read, in bytes: what Redis has room for.
const TEXT_BYTES_MAX: usize = 5 * 1024 - 1;
/// Powers of ten (and of two, over three) beyond which every text of that length is zero or infinite.
const POWER_MAX: i64 = 12_000;

/// A number with 64 bits of precision, or an infinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongDouble {
    is_negative: bool,
    magnitude: Magnitude,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Magnitude {
    /// `significand` x 2^`exponent`.
    Finite {
        significand: u64,
        exponent: i64,
    },
    Infinite,
}

impl LongDouble {
    /// Reads what C's `strtold` reads, all of it: decimal or hexadecimal, with or without exponent, `inf`, `infinity`.
    /// `None` for anything else, white space around it, NaN, and numbers too large, or too small to differ from zero.
    ///
    /// ```
    /// use asof::server::resp::long_double::LongDouble;
    ///
    /// let sum = LongDouble::parse(b"0.1").unwrap().checked_add(LongDouble::parse(b"2e-1").unwrap()).unwrap();
    /// assert_eq!(sum.to_string(), "0.3");
    /// ```
    pub fn parse(text: &[u8]) -> Option<LongDouble> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let (is_negative, text) = match text {
            [b'-', text @ ..] => (true, text),
            [b'+', text @ ..] => (false, text),
            text => (false, text),
        };
        let lower = text.to_ascii_lowercase();
        if lower == b"inf" || lower == b"infinity" {
            return Some(LongDouble { is_negative, magnitude: Magnitude::Infinite });
        }
        let (digits, radix, power_mark) = match lower.strip_prefix(b"0x") {
            Some(digits) => (digits, 16, b'p'),
            None => (&lower[..], 10, b'e'),
        };
        let (digits, power) = match digits.iter().position(|&byte| byte == power_mark) {
            Some(mark) => (&digits[..mark], parse_power(&digits[mark + 1..])?),
            None => (digits, 0),
        };
        let point = digits.iter().position(|&byte| byte == b'.');
        let decimals = point.map_or(0, |point| digits.len() - point - 1);
        let digits: Vec<u8> = digits.iter().enumerate().filter(|(i, _)| Some(*i) != point).map(|(_, d)| *d).collect();
        if digits.is_empty() {
            return None;
        }
        // It takes underscores between digits; a number has none.
        let all_digits = digits.iter().all(|&digit| char::from(digit).is_digit(radix));
        let significand = all_digits.then(|| BigUint::parse_bytes(&digits, radix)).flatten()?;
        if significand == BigUint::ZERO {
            return Some(LongDouble { is_negative, magnitude: Magnitude::Finite { significand: 0, exponent: 0 } });
        }
        let decimals = i64::try_from(decimals).ok()?;
        let (base, power) = if radix == 16 { (2_u32, power - 4 * decimals) } else { (10, power - decimals) };
        let bound = if radix == 16 { 4 * POWER_MAX } else { POWER_MAX };
        if power.abs() > bound {
            return None;
        }
        let scale = BigUint::from(base).pow(u32::try_from(power.unsigned_abs()).ok()?);
        let read = match power >= 0 {
            true => round(is_negative, significand * scale, BigUint::from(1_u32)),
            false => round(is_negative, significand, scale),
        };
        let is_zero = matches!(read.magnitude, Magnitude::Finite { significand: 0, .. });
        (!is_zero && read.is_finite()).then_some(read)
    }

    /// Whether it is no infinity.
    pub fn is_finite(self) -> bool {
        self.magnitude != Magnitude::Infinite
    }

    /// The sum, rounded; `None` where it is infinite, or none.
    pub fn checked_add(self, other: LongDouble) -> Option<LongDouble> {
        let least = self.exponent()?.min(other.exponent()?);
        let sum = self.units(least)? + other.units(least)?;
        let is_negative = match sum.sign() {
            Sign::NoSign => self.is_negative && other.is_negative,
            sign => sign == Sign::Minus,
        };
        let power = BigUint::from(1_u32) << usize::try_from(least.unsigned_abs()).ok()?;
        let sum = match least >= 0 {
            true => round(is_negative, sum.magnitude() * power, BigUint::from(1_u32)),
            false => round(is_negative, sum.magnitude().clone(), power),
        };
        sum.is_finite().then_some(sum)
    }

    fn exponent(self) -> Option<i64> {
        match self.magnitude {
            Magnitude::Finite { exponent, .. } => Some(exponent),
            Magnitude::Infinite => None,
        }
    }

    /// How many times 2^`least` it is.
    fn units(self, least: i64) -> Option<BigInt> {
        let Magnitude::Finite { significand, exponent } = self.magnitude else { return None };
        let units = BigInt::from(significand) << usize::try_from(exponent - least).ok()?;
        Some(if self.is_negative { -units } else { units })
    }
}

impl fmt::Display for LongDouble {
    /// As Redis prints values of increments: 17 decimals at most, no exponent, no zeros at the end, no minus before zero.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Magnitude::Finite { significand, exponent } = self.magnitude else {
            return f.write_str(if self.is_negative { "-inf" } else { "inf" });
        };
        let scaled = BigUint::from(significand) * BigUint::from(10_u32).pow(17);
        let shift = usize::try_from(exponent.unsigned_abs()).unwrap_or(0);
        let scaled = match exponent >= 0 {
            true => scaled << shift,
            false => divide_to_nearest(scaled, &(BigUint::from(1_u32) << shift)),
        };
        let digits = format!("{scaled:0>width$}", width = DECIMALS + 1);
        let (whole, decimals) = digits.split_at(digits.len() - DECIMALS);
        let decimals = decimals.trim_end_matches('0');
        let sign = if self.is_negative && scaled != BigUint::ZERO { "-" } else { "" };
        let point = if decimals.is_empty() { "" } else { "." };
        write!(f, "{sign}{whole}{point}{decimals}")
    }
}

/// The exponent of a text's number; one out of all range stands for any other.
fn parse_power(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let power = digits.iter().fold(0_i64, |power, digit| (power * 10 + i64::from(digit - b'0')).min(1 << 40));
    Some(if text[0] == b'-' { -power } else { power })
}

/// The quotient, to the nearest integer, ties to even.
fn divide_to_nearest(numerator: BigUint, denominator: &BigUint) -> BigUint {
    let quotient = &numerator / denominator;
    let twice_rest = (numerator - &quotient * denominator) << 1_usize;
    match twice_rest.cmp(denominator) {
        std::cmp::Ordering::Greater => quotient + 1_u32,
        std::cmp::Ordering::Equal if quotient.bit(0) => quotient + 1_u32,
        _ => quotient,
    }
}

/// The number nearest to a fraction.
fn round(is_negative: bool, numerator: BigUint, denominator: BigUint) -> LongDouble {
    let signed = |magnitude| LongDouble { is_negative, magnitude };
    let bits = |number: &BigUint| i64::try_from(number.bits()).unwrap_or(i64::MAX);
    // The quotient then has 64 bits, or 65.
    let exponent = bits(&numerator) - bits(&denominator) - i64::try_from(PRECISION_BITS).unwrap_or(0);
    let at = |exponent: i64| {
        let shift = usize::try_from(exponent.unsigned_abs()).unwrap_or(0);
        match exponent >= 0 {
            true => divide_to_nearest(numerator.clone(), &(denominator.clone() << shift)),
            false => divide_to_nearest(numerator.clone() << shift, &denominator),
        }
    };
    let mut exponent = exponent.max(EXPONENT_MIN);
    let mut significand = at(exponent);
    if significand.bits() > PRECISION_BITS {
        exponent += 1;
        significand = at(exponent);
    }
    // Rounded up to the next power of two.
    if significand.bits() > PRECISION_BITS {
        exponent += 1;
        significand >>= 1_usize;
    }
    match u64::try_from(significand) {
        Ok(significand) if exponent <= EXPONENT_MAX => signed(Magnitude::Finite { significand, exponent }),
        _ => signed(Magnitude::Infinite),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Option<LongDouble> {
        LongDouble::parse(text.as_bytes())
    }

    fn sum(left: &str, right: &str) -> Option<String> {
        Some(parse(left)?.checked_add(parse(right)?)?.to_string())
    }

    #[test]
    fn sums_are_what_redis_prints() {
        // Read off Redis 7.0.15 on x86-64: INCRBYFLOAT of the second to a key that holds the first.
        let cases = [
            ("0.1", "0.2", "0.3"),
            ("3.0", "1.000000000000000005", "4.00000000000000001"),
            ("0.3333333333333333333333", "0.66666666666666666", "0.99999999999999999"),
            ("123456789012345678", "0.12345678901234567", "123456789012345678.125"),
            ("0.000000000000000004", "0.000000000000000001", "0"),
            ("1e22", "0.1", "10000000000000000000000"),
            ("10.50", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("1", "-1.1", "-0.1"),
            ("-0", "-0", "0"),
            ("17179869184", "1.5", "17179869185.5"),
            ("0", "1e-18", "0"),
        ];
        for (left, right, expected) in cases {
            assert_eq!(sum(left, right).as_deref(), Some(expected), "{left} + {right}");
        }
    }

    #[test]
    fn what_strtold_reads_is_read_and_nothing_else() {
        let shown = |text: &str| parse(text).map(|number| number.to_string());
        for (text, expected) in [
            ("+1.5", "1.5"),
            (".5", "0.5"),
            ("5.", "5"),
            ("1e3", "1000"),
            ("1E+3", "1000"),
            ("0x1.8p1", "3"),
            ("0XFF", "255"),
            ("0x.8", "0.5"),
            ("inf", "inf"),
            ("-Infinity", "-inf"),
            ("1e-20", "0"),
            ("1e-4950", "0"),
            ("0e99999999999999999999", "0"),
            ("-0.0", "0"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
        }
        let refused = [
            "",
            " 1",
            "1 ",
            "1a",
            ".",
            "e5",
            "1e",
            "1e+",
            "0x",
            "nan",
            "--1",
            "1_0",
            "1e5000",
            "1e-5000",
            "0x1p20000",
            "1e99999999999999999999",
            "1..2",
            "1.2.3",
        ];
        for text in refused {
            assert_eq!(shown(text), None, "{text}");
        }
        assert!(parse(&"1".repeat(TEXT_BYTES_MAX + 1)).is_none());
        assert!(sum("inf", "1").is_none() && sum("inf", "-inf").is_none());
        let greatest = "1.18973149535723176502e4932";
        assert!(sum(greatest, greatest).is_none() && sum(greatest, "1").is_some());
    }

    proptest! {
        /// Float64's numbers and their sums by halves have few enough bits to be exact.
        #[test]
        fn numbers_of_few_bits_are_exact(left in -1_i64 << 40..1 << 40, right in -1_i64 << 40..1 << 40) {
            let (left, right) = (left as f64 / 1024.0, right as f64 / 1024.0);
            // Ten decimals hold a whole number of 1024ths.
            let shown = |number: f64| format!("{number:.10}");
            let expected = (left + right).to_string();
            let read = |text: &str| text.parse::<f64>().unwrap();
            let found = sum(&shown(left), &shown(right)).unwrap();
            prop_assert_eq!((read(&found), found.len()), (read(&expected), shown(left + right).trim_end_matches('0').trim_end_matches('.').len()));
        }

        /// Rounded to 53 bits, a text read with 64 is what float64 reads, but for double rounding, which is a bit at most.
        #[test]
        fn a_text_is_read_to_the_nearest_number(number in -1e15..1e15_f64) {
            let shown = parse(&format!("{number:e}")).unwrap().to_string();
            let again: f64 = shown.parse().unwrap();
            // Seventeen decimals are kept.
            prop_assert!((again - number).abs() <= f64::EPSILON * number.abs() + 1e-17, "{} {}", number, shown);
        }
    }
}
