//! JSON documents: what is one.
//!
//! One that some readers refuse would keep them from every answer that it is in, so the strictest tell: no text without a meaning in
//! Unicode, no number beyond a float64, and no deeper nesting than they follow.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Deepest nesting of a document. Many readers, serde_json among them, follow 127 levels, and an answer has some of its own.
const DEPTH_MAX: usize = 100;

/// Why a text is no document; `None` where it is one.
pub(super) fn document_fault(text: &str) -> Option<serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    Levels(DEPTH_MAX).deserialize(&mut reader).and_then(|()| reader.end()).err()
}

/// Reads a value that may nest so deep, and keeps nothing of it.
#[derive(Clone, Copy)]
struct Levels(usize);

impl Levels {
    fn within<E: serde::de::Error>(self) -> Result<Levels, E> {
        self.0.checked_sub(1).map(Levels).ok_or_else(|| E::custom(format!("nests more than {DEPTH_MAX} deep")))
    }
}

impl<'de> DeserializeSeed<'de> for Levels {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Levels {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let element = self.within()?;
        while elements.next_element_seed(element)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let value = self.within()?;
        while members.next_key_seed(value)?.is_some() {
            members.next_value_seed(value)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;
    use crate::text::clip;

    #[test]
    fn a_document_is_what_strict_readers_read_within_an_answer() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        for (text, fault) in [
            (
                r#" {"a": [1, -2, 1.50, 1e300, "\u00e9\ud83d\ude00", null, true, {}], "a": 12345678901234567890123} "#,
                "",
            ),
            (&nested(100), ""),
            (&format!("{{\"a\": \"{}\\\"[\"}}", "[".repeat(1_000)), ""),
            (&format!("[{}]", "{},".repeat(1_000).trim_end_matches(',')), ""),
            (&nested(101), "nests more than 100 deep at line 1 column 10"),
            (&nested(100_000), "nests more than 100 deep"),
            (&"{\"a\":".repeat(101), "nests more than 100 deep"),
            (r#"{"a": "\ud800"}"#, "hex escape"),
            (r#"{"\udc00": 1}"#, "surrogate"),
            ("[1e999]", "number out of range"),
            ("[01]", "invalid number"),
            ("[NaN]", "expected value"),
            ("1 2", "trailing characters"),
            ("", "EOF while parsing a value"),
            ("{\"a\": 1", "EOF while parsing an object"),
        ] {
            let found = document_fault(text).map(|fault| fault.to_string());
            assert_eq!(found.is_none(), fault.is_empty(), "{}: {found:?}", clip(text));
            assert!(found.as_ref().is_none_or(|found| found.contains(fault)), "{}: {found:?}", clip(text));
            let answer = serde_json::from_str::<Json>(&format!(r#"{{"rows":[{{"values":[{text}]}}]}}"#));
            assert!(!fault.is_empty() || answer.is_ok(), "{}", clip(text));
        }
    }
}
