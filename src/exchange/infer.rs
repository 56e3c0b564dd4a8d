//! Types of text columns that nobody gave a type: the one in which every value of the column keeps all it says.
//!
//! The rule, over every row, nulls left out: `int64` if every value is a whole number of 64 bits; else `float64` if every
//! value is a number that a float64 keeps to its last digit; else `bool` if every value is true or false, in any case; else `timestamp`
//! if every value is an instant in UTC, written with a `Z`, of microseconds at most; else `string`. A number is written as
//! programs write numbers: without `+` or leading zeros (a postal code is no number) and without zeros at the end of a
//! fraction (nor is version 1.10), but for `.0`, which is how whole numbers are told to be floats. A column without values
//! is `string`.
//!
//! In JSON, quoted numbers are strings (but for `"NaN"` and the infinities beside numbers), and a column whose values are
//! of several kinds, lists, objects or numbers that fit neither type is `json`: every value as it is written.

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::source_options::SourceOptions;
use crate::text::is_float_word;
use crate::time::Timestamp;
use crate::value::DataType;

/// How many rows are looked at before progress is told.
pub(super) const LOOK_ROWS: u64 = 4_096;
/// Most columns whose types are guessed in JSON Lines: a key that says something itself, as of a map, would make one each.
pub(super) const COLUMNS_MAX: usize = 10_000;
/// So many significant digits every float64 in its normal range keeps.
const FLOAT64_DIGITS_KEPT: usize = 15;
/// And so many tell it from any other.
const FLOAT64_DIGITS_MAX: usize = 17;

/// What all values of a column so far could be.
#[derive(Clone, Debug)]
pub(super) struct TextGuess {
    seen: bool,
    int64: bool,
    float64: bool,
    bool: bool,
    timestamp: bool,
    /// What nothing else fits.
    other: DataType,
}

impl Default for TextGuess {
    fn default() -> Self {
        TextGuess { seen: false, int64: true, float64: true, bool: true, timestamp: true, other: DataType::String }
    }
}

impl TextGuess {
    /// Takes note of a value's text.
    pub fn see_text(&mut self, text: &str) {
        self.seen = true;
        // What was ruled out once stays so, and most columns are settled by their first value.
        self.int64 = self.int64 && is_int64(text);
        self.float64 = self.float64 && is_float64(text);
        self.bool = self.bool && (text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false"));
        self.timestamp = self.timestamp && is_utc_timestamp(text);
    }

    /// Takes note of a JSON value.
    pub fn see_json(&mut self, value: &RawValue) {
        let raw = value.get();
        let text = raw.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        if raw == "null" {
            return;
        }
        if text.is_some_and(is_float_word) {
            // How a float that is no number is written in JSON.
            (self.int64, self.bool, self.timestamp) = (false, false, false);
            return;
        }
        // Strings alone are text. Beside anything else their quotes tell them apart from it.
        let other = if text.is_some() { DataType::String } else { DataType::Json };
        if self.seen && self.other != other {
            self.other = DataType::Json;
            (self.int64, self.float64, self.bool, self.timestamp) = (false, false, false, false);
            return;
        }
        self.other = other;
        // An instant holds nothing that JSON would escape.
        self.see_text(text.unwrap_or(raw));
        match text {
            Some(_) => (self.int64, self.float64, self.bool) = (false, false, false),
            None => self.timestamp = false,
        }
    }

    /// The type that fits every value seen.
    pub fn dtype(&self) -> DataType {
        match self {
            TextGuess { seen: false, .. } => DataType::String,
            TextGuess { int64: true, .. } => DataType::Int64,
            TextGuess { float64: true, .. } => DataType::Float64,
            TextGuess { bool: true, .. } => DataType::Bool,
            TextGuess { timestamp: true, .. } => DataType::Timestamp,
            TextGuess { other, .. } => other.clone(),
        }
    }
}

/// Guesses of columns by their names, in the order in which these first appear.
#[derive(Debug, Default)]
pub(super) struct ColumnGuesses {
    columns: Vec<(String, TextGuess)>,
    places: HashMap<String, usize>,
}

impl ColumnGuesses {
    /// Where a column stands among them; from now on it does.
    pub fn place(&mut self, name: &str) -> usize {
        if let Some(&place) = self.places.get(name) {
            return place;
        }
        self.places.insert(name.to_owned(), self.columns.len());
        self.columns.push((name.to_owned(), TextGuess::default()));
        self.columns.len() - 1
    }

    /// The guess at a place.
    pub fn guess(&mut self, place: usize) -> &mut TextGuess {
        &mut self.columns[place].1
    }

    /// The columns' types: those that are given, and guessed ones.
    pub fn into_types(self, options: &SourceOptions) -> Vec<(String, DataType)> {
        let dtype = |name: &str, guess: &TextGuess| options.type_of(name).unwrap_or_else(|| guess.dtype());
        self.columns.into_iter().map(|(name, guess)| (name.clone(), dtype(&name, &guess))).collect()
    }
}

fn is_int64(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_plain = text == "0" || !digits.starts_with(['0', '+']);
    is_plain && text.parse::<i64>().is_ok()
}

/// Whether a float64 keeps a text's value and says it again: the same digits come out.
fn is_float64(text: &str) -> bool {
    if is_float_word(text) {
        return true;
    }
    let number = text.strip_prefix('-').unwrap_or(text);
    let mantissa = number.split(['e', 'E']).next().unwrap_or(number);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let has_leading_zero = whole.len() > 1 && whole.starts_with('0');
    let has_trailing_zero = fraction.ends_with('0') && fraction != "0";
    let has_digits = (mantissa.starts_with('.') || !whole.is_empty()) && !fraction.is_empty();
    if !has_digits || has_leading_zero || has_trailing_zero || number.starts_with('+') {
        return false;
    }
    let Some(value) = text.parse::<f64>().ok().filter(|value| value.is_finite()) else { return false };
    if number.bytes().all(|b| b.is_ascii_digit()) && text.parse::<i64>().is_err() {
        return false;
    }
    if number.len() <= FLOAT64_DIGITS_KEPT && mantissa.len() == number.len() {
        return true;
    }
    let digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    let digits = trim_zeros(&digits);
    if digits.is_empty() || value == 0.0 {
        return digits.is_empty() && value == 0.0;
    }
    if digits.len() <= FLOAT64_DIGITS_KEPT && value.abs() >= f64::MIN_POSITIVE {
        return true;
    }
    if digits.len() > FLOAT64_DIGITS_MAX {
        return false;
    }
    // By its shortest text or, as printf writes it, by one of a given length: these differ in how they round halves.
    let kept =
        |again: String| again.bytes().take_while(|&b| b != b'e').filter(u8::is_ascii_digit).eq(digits.iter().copied());
    kept(format!("{:e}", value.abs())) || kept(format!("{:.*e}", digits.len() - 1, value.abs()))
}

/// The digits without zeros at either end.
fn trim_zeros(digits: &[u8]) -> &[u8] {
    let first = digits.iter().position(|&b| b != b'0').unwrap_or(digits.len());
    let end = digits.iter().rposition(|&b| b != b'0').map_or(first, |last| last + 1);
    &digits[first..end]
}

/// Whether an instant keeps all that a text says: no other zone is lost, no finer digits are.
fn is_utc_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_date_and_time = bytes.len() >= 20 && text.is_ascii() && matches!(bytes[10], b'T' | b't' | b' ');
    if !is_date_and_time || !matches!(bytes[bytes.len() - 1], b'Z' | b'z') {
        return false;
    }
    let fraction = &text[19..text.len() - 1];
    let Ok(instant) = text.parse::<Timestamp>() else { return false };
    let shown = instant.to_string();
    fraction.len() <= ".123456".len()
        && shown.get(..10) == Some(&text[..10])
        && shown.get(11..19) == Some(&text[11..19])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(texts: &[&str]) -> String {
        let mut guess = TextGuess::default();
        texts.iter().for_each(|text| guess.see_text(text));
        guess.dtype().to_string()
    }

    #[test]
    fn a_column_of_text_has_the_type_that_keeps_all_its_values_say() {
        let table: [(&[&str], &str); 31] = [
            (&["1", "-20", "0"], "int64"),
            (&["-9223372036854775808", "9223372036854775807"], "int64"),
            (&["1", "2.5", "1e3", "NaN", "1.0", "-0", ".5"], "float64"),
            (&["-0"], "float64"),
            (&["01234", "12345"], "string"),
            (&["007"], "string"),
            (&["1.10", "1.9"], "string"),
            (&["1.0", "1.00"], "string"),
            (&["01.5"], "string"),
            (&["5."], "string"),
            (&["."], "string"),
            (&["1e400"], "string"),
            (&["1e-400"], "string"),
            (&["4.9406564584124654e-324"], "float64"),
            (&["4.9406564584124651e-324"], "string"),
            // Beyond 64 bits, and beyond what a float64 tells apart.
            (&["9223372036854775808"], "string"),
            (&["100000000000000000000"], "string"),
            (&["17446744073709551615"], "string"),
            (&["9007199254740993"], "int64"),
            (&["9007199254740993", "0.5"], "string"),
            (&["9007199254740992", "0.5"], "float64"),
            // As printf writes them with %.17g.
            (&["0.10000000000000001", "1.5e+300", "1e-05"], "float64"),
            // A half, which the shortest text rounds up and printf to the even digit.
            (&["1056324865531041.3", "1056324865531041.2"], "float64"),
            (&["3.14159265358979323846"], "string"),
            (&["true", "False"], "bool"),
            (&["2026-03-01T13:00:00Z", "2026-03-01 13:00:00.123456Z"], "timestamp"),
            // Of no zone, of another, of nanoseconds; a second that no instant has.
            (&["2026-03-01T13:00:00"], "string"),
            (&["2026-03-01T13:00:00+01:00"], "string"),
            (&["2026-03-01T13:00:00.123456789Z"], "string"),
            (&["1", "x"], "string"),
            (&[], "string"),
        ];
        for (texts, dtype) in table {
            assert_eq!(guess(texts), dtype, "{texts:?}");
        }
        for text in ["2016-12-31T23:59:60Z", "2026-03-01", "inf", "nan", "+1", "1 ", "", "1e", "e5", "0x1f", "1.2.3"] {
            assert_eq!(guess(&[text]), "string", "{text}");
        }
    }

    #[test]
    fn json_says_more_of_itself() {
        let table = [
            ("[1, null, 2]", "int64"),
            ("[1, 2.5]", "float64"),
            (r#"["1", "2"]"#, "string"),
            (r#"["true"]"#, "string"),
            (r#"["2026-03-01T13:00:00Z", null]"#, "timestamp"),
            (r#"["2026-03-01T13:00:00Z", "then"]"#, "string"),
            ("[[1], null]", "json"),
            (r#"[{"a": 1}]"#, "json"),
            (r#"[1, "x"]"#, "json"),
            (r#"["2026-03-01T13:00:00Z", 1]"#, "json"),
            ("[true, 1]", "json"),
            ("[true, false]", "bool"),
            ("[17446744073709551615]", "json"),
            ("[1.10]", "json"),
            ("[1e400]", "json"),
            (r#"[1, "NaN", null, "-Infinity"]"#, "float64"),
            (r#"["NaN"]"#, "string"),
            (r#"["NaN", "x"]"#, "string"),
            (r#"["NaN", true]"#, "json"),
            ("[null]", "string"),
        ];
        for (values, dtype) in table {
            let mut guess = TextGuess::default();
            let values: Vec<&RawValue> = serde_json::from_str(values).unwrap();
            values.iter().for_each(|value| guess.see_json(value));
            assert_eq!(guess.dtype().to_string(), dtype, "{values:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_float_is_a_number_by_its_shortest_text_and_by_seventeen_digits(bits: u64) {
            let value = f64::from_bits(bits);
            proptest::prop_assume!(value.is_finite());
            for text in [format!("{value:?}"), format!("{value:e}")] {
                proptest::prop_assert!(is_float64(&text), "{}", text);
            }
            // Zeros at the end of 17 digits are what such a text has by itself, one time in ten.
            let long = format!("{value:.16e}");
            let mantissa = long.split('e').next().unwrap();
            proptest::prop_assert!(is_float64(&long) || mantissa.ends_with('0'), "{}", long);
        }

        #[test]
        fn a_number_comes_back_as_the_number_it_was(
            text in "-?(0|[1-9][0-9]{0,19})(\\.[0-9]{0,18}[1-9])?(e-?[0-9]{1,3})?",
        ) {
            if is_float64(&text) {
                let value: f64 = text.parse().unwrap();
                let digits = |text: &str| -> Vec<u8> {
                    let mantissa = text.split('e').next().unwrap();
                    trim_zeros(&mantissa.bytes().filter(u8::is_ascii_digit).collect::<Vec<_>>()).to_vec()
                };
                let wanted = digits(&text);
                let shown = [format!("{value:e}"), format!("{:.*e}", wanted.len().max(1) - 1, value)];
                proptest::prop_assert!(shown.iter().any(|shown| digits(shown) == wanted), "{} as {:?}", text, shown);
            }
        }
    }
}
