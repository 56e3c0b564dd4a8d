//! Types of columns that nobody gave a type: a guess from the first rows.
//!
//! The rule, over the first [`INFER_ROWS`] rows, nulls left out: `int64` if every value is a whole
//! number of 64 bits written without `+` or leading zeros (a postal code is no number); else
//! `float64` if every value is a number; else `bool` if every value is true or false; else
//! `timestamp` if every value is a date with a time; else `string`. In JSON, quoted numbers are
//! strings and objects and arrays are `json`. A column without values is `string`. A later row that
//! breaks the guess is an error that names it.

use serde_json::Value as Json;

use crate::time::Timestamp;
use crate::value::DataType;

/// How many rows are looked at.
pub(super) const INFER_ROWS: usize = 10_000;

/// What all values of a column so far could be.
#[derive(Clone, Debug)]
pub(super) struct TextGuess {
    seen: bool,
    int64: bool,
    float64: bool,
    bool: bool,
    timestamp: bool,
    json: bool,
}

impl Default for TextGuess {
    fn default() -> Self {
        TextGuess { seen: false, int64: true, float64: true, bool: true, timestamp: true, json: false }
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
        self.timestamp = self.timestamp && is_timestamp(text);
    }

    /// Takes note of a JSON value.
    pub fn see_json(&mut self, value: &Json) {
        match value {
            Json::Null => {}
            Json::Bool(_) => self.see_text("true"),
            Json::Number(number) => self.see_text(&number.to_string()),
            Json::String(text) => {
                self.see_text(text);
                (self.int64, self.float64, self.bool) = (false, false, false);
            }
            Json::Array(_) | Json::Object(_) => {
                self.see_text("");
                self.json = true;
            }
        }
    }

    /// The type that fits every value seen.
    pub fn dtype(&self) -> DataType {
        match self {
            TextGuess { json: true, .. } => DataType::Json,
            TextGuess { seen: false, .. } => DataType::String,
            TextGuess { int64: true, .. } => DataType::Int64,
            TextGuess { float64: true, .. } => DataType::Float64,
            TextGuess { bool: true, .. } => DataType::Bool,
            TextGuess { timestamp: true, .. } => DataType::Timestamp,
            _ => DataType::String,
        }
    }
}

fn is_int64(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let written_plainly = digits == "0" || !digits.starts_with(['0', '+']);
    written_plainly && text.parse::<i64>().is_ok()
}

fn is_float64(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let leading_zero = digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_digit();
    let written_plainly = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') && !leading_zero;
    (written_plainly && text.parse::<f64>().is_ok()) || matches!(text, "NaN" | "Infinity" | "-Infinity")
}

fn is_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    let has_date_and_time = bytes.len() > 11 && bytes[4] == b'-' && matches!(bytes[10], b'T' | b't' | b' ');
    has_date_and_time && text.parse::<Timestamp>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_value_counts_and_a_postal_code_is_no_number() {
        let table: [(&[&str], &str); 10] = [
            (&["1", "-20", "0"], "int64"),
            (&["1", "2.5", "1e3", "NaN"], "float64"),
            (&["01234", "12345"], "string"),
            (&["9223372036854775808"], "float64"),
            (&["true", "False"], "bool"),
            (&["2026-03-01T13:00:00Z", "2026-03-01 13:00:00.5"], "timestamp"),
            (&["2026-03-01"], "string"),
            (&["1", "x"], "string"),
            (&["inf", "+1"], "string"),
            (&[], "string"),
        ];
        for (texts, dtype) in table {
            let mut guess = TextGuess::default();
            texts.iter().for_each(|text| guess.see_text(text));
            assert_eq!(guess.dtype().to_string(), dtype, "{texts:?}");
        }
    }

    #[test]
    fn json_says_more_of_itself() {
        let table = [
            (json!([1, null, 2]), "int64"),
            (json!([1, 2.5]), "float64"),
            (json!(["1", "2"]), "string"),
            (json!(["true"]), "string"),
            (json!(["2026-03-01T13:00:00Z", null]), "timestamp"),
            (json!([[1], null]), "json"),
            (json!([{"a": 1}]), "json"),
            (json!([1, "x"]), "string"),
        ];
        for (values, dtype) in table {
            let mut guess = TextGuess::default();
            values.as_array().unwrap().iter().for_each(|value| guess.see_json(value));
            assert_eq!(guess.dtype().to_string(), dtype, "{values}");
        }
    }
}
