//! True and false, in all the forms that what checks bodies for Feast takes for them.

use serde::Deserialize;
use serde_json::Value as Json;

const TRUE: [&str; 6] = ["1", "true", "t", "yes", "y", "on"];
const FALSE: [&str; 6] = ["0", "false", "f", "no", "n", "off"];

/// Such a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Json")]
pub(super) struct Flag(pub bool);

impl Flag {
    /// What a value says, if it says either.
    pub(super) fn of(json: &Json) -> Option<Flag> {
        match json {
            Json::Bool(flag) => Some(Flag(*flag)),
            Json::Number(number) => match number.as_f64() {
                Some(0.0) => Some(Flag(false)),
                Some(1.0) => Some(Flag(true)),
                _ => None,
            },
            Json::String(text) => {
                let is_one_of = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(text));
                is_one_of(&TRUE).then_some(Flag(true)).or_else(|| is_one_of(&FALSE).then_some(Flag(false)))
            }
            _ => None,
        }
    }
}

impl TryFrom<Json> for Flag {
    type Error = &'static str;

    fn try_from(json: Json) -> Result<Flag, &'static str> {
        Flag::of(&json).ok_or("neither true nor false")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn true_and_false_have_many_forms_and_null_is_neither() {
        for json in [json!(true), json!(1), json!(1.0), json!("yes"), json!("ON"), json!("T")] {
            assert_eq!(Flag::of(&json), Some(Flag(true)), "{json}");
        }
        for json in [json!(false), json!(0), json!("n"), json!("Off"), json!("0")] {
            assert_eq!(Flag::of(&json), Some(Flag(false)), "{json}");
        }
        for json in [json!(null), json!(2), json!(""), json!(" true"), json!([]), json!({})] {
            assert_eq!(Flag::of(&json), None, "{json}");
        }
    }
}
