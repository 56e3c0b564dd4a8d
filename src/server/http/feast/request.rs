//! The body of `/get-online-features`, and what is wrong with one.

use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::{Value as Json, json};

use super::flag::Flag;
use super::refusal::Refusal;

/// Most columns of a request.
const COLUMNS_MAX: usize = 2_000;
/// Most faults of a body that are told, and longest JSON that is said again with one.
const FAULTS_MAX: usize = 100;
const INPUT_BYTES_MAX: usize = 4 << 10;

/// Which features of which entities.
#[derive(Debug, Default, Deserialize)]
pub(super) struct OnlineRequest {
    pub entities: Columns,
    #[serde(default)]
    pub features: Option<Vec<String>>,
    #[serde(default)]
    pub feature_service: Option<String>,
    #[serde(default)]
    pub full_feature_names: Flag,
    #[serde(default)]
    pub include_feature_view_version_metadata: Flag,
}

/// Columns by name, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Columns(pub Vec<(String, Vec<Json>)>);

impl<'de> Deserialize<'de> for Columns {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Columns, D::Error> {
        struct OfColumns;
        impl<'de> Visitor<'de> for OfColumns {
            type Value = Columns;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of columns")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Columns, A::Error> {
                let mut columns: Vec<(String, Vec<Json>)> = Vec::new();
                while let Some((name, values)) = map.next_entry::<String, _>()? {
                    // As in any JSON object, the last one of a name is it.
                    columns.retain(|(other, _)| *other != name);
                    if columns.len() == COLUMNS_MAX {
                        return Err(serde::de::Error::custom(format!("there are more than {COLUMNS_MAX} columns")));
                    }
                    columns.push((name, values));
                }
                Ok(Columns(columns))
            }
        }
        deserializer.deserialize_map(OfColumns)
    }
}

/// Rows for the views of a push source.
#[derive(Debug, Deserialize)]
pub(super) struct PushRequest {
    pub push_source_name: String,
    pub df: Columns,
    #[serde(default = "online")]
    pub to: String,
    /// These make no difference here.
    #[serde(default, rename = "allow_registry_cache")]
    _allow_registry_cache: Flag,
    #[serde(default, rename = "transform_on_write")]
    _transform_on_write: Flag,
}

fn online() -> String {
    "online".to_owned()
}

/// Rows for a view.
#[derive(Debug, Deserialize)]
pub(super) struct WriteRequest {
    pub feature_view_name: String,
    pub df: Columns,
    /// These make no difference here.
    #[serde(default, rename = "allow_registry_cache")]
    _allow_registry_cache: Flag,
    #[serde(default, rename = "transform_on_write")]
    _transform_on_write: Flag,
}

/// Whose sources are to be imported, over which span of time.
#[derive(Debug, Deserialize)]
pub(super) struct MaterializeRequest {
    pub start_ts: Option<String>,
    pub end_ts: Option<String>,
    pub feature_views: Option<Vec<String>>,
    #[serde(default)]
    pub disable_event_timestamp: Flag,
}

/// Reads the body of `/materialize`.
///
/// # Errors
/// As [`online_request`].
pub(super) fn materialize_request(body: &[u8]) -> Result<MaterializeRequest, Refusal> {
    const FIELDS: [Field; 4] = [
        Field { name: "start_ts", wanted: TEXT, is_required: false },
        Field { name: "end_ts", wanted: TEXT, is_required: false },
        Field { name: "feature_views", wanted: NAMES, is_required: false },
        Field { name: "disable_event_timestamp", wanted: FLAG, is_required: false },
    ];
    read(body, &FIELDS)
}

/// Reads the body of `/materialize-incremental`.
///
/// # Errors
/// As [`online_request`].
pub(super) fn incremental_request(body: &[u8]) -> Result<MaterializeRequest, Refusal> {
    const FIELDS: [Field; 2] = [
        Field { name: "end_ts", wanted: TEXT, is_required: true },
        Field { name: "feature_views", wanted: NAMES, is_required: false },
    ];
    let request: MaterializeRequest = read(body, &FIELDS)?;
    match request.end_ts {
        Some(_) => Ok(request),
        None => {
            let json = serde_json::from_slice(body).unwrap_or_default();
            Err(Refusal::faults(vec![fault("missing", &["body", "end_ts"], "Field required", &json)]))
        }
    }
}

/// Reads the body of `/get-online-features`.
///
/// # Errors
/// 422, with each fault and its place, in the words of what checks bodies for Feast.
pub(super) fn online_request(body: &[u8]) -> Result<OnlineRequest, Refusal> {
    const FIELDS: [Field; 5] = [
        Field { name: "entities", wanted: COLUMNS, is_required: true },
        Field { name: "features", wanted: NAMES, is_required: false },
        Field { name: "feature_service", wanted: TEXT, is_required: false },
        Field { name: "full_feature_names", wanted: FLAG, is_required: false },
        Field { name: "include_feature_view_version_metadata", wanted: FLAG, is_required: false },
    ];
    read(body, &FIELDS)
}

/// Reads the body of `/push`.
///
/// # Errors
/// As [`online_request`].
pub(super) fn push_request(body: &[u8]) -> Result<PushRequest, Refusal> {
    const FIELDS: [Field; 5] = [
        Field { name: "push_source_name", wanted: TEXT, is_required: true },
        Field { name: "df", wanted: COLUMNS, is_required: true },
        Field { name: "to", wanted: TEXT, is_required: false },
        Field { name: "allow_registry_cache", wanted: FLAG, is_required: false },
        Field { name: "transform_on_write", wanted: FLAG, is_required: false },
    ];
    read(body, &FIELDS)
}

/// Reads the body of `/write-to-online-store`.
///
/// # Errors
/// As [`online_request`].
pub(super) fn write_request(body: &[u8]) -> Result<WriteRequest, Refusal> {
    const FIELDS: [Field; 4] = [
        Field { name: "feature_view_name", wanted: TEXT, is_required: true },
        Field { name: "df", wanted: COLUMNS, is_required: true },
        Field { name: "allow_registry_cache", wanted: FLAG, is_required: false },
        Field { name: "transform_on_write", wanted: FLAG, is_required: false },
    ];
    read(body, &FIELDS)
}

/// Reads a body of these fields; what is wrong with one that cannot be read is looked for only then.
fn read<'a, T: Deserialize<'a>>(body: &'a [u8], fields: &[Field]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| match serde_json::from_slice(body) {
        Ok(json) => Refusal::faults(faults(&json, fields, &error)),
        Err(error) => Refusal::faults(vec![not_json(body, &error)]),
    })
}

fn not_json(body: &[u8], error: &serde_json::Error) -> Json {
    // The place is counted in characters, as a program sees the text.
    let before = body.split_inclusive(|byte| *byte == b'\n').take(error.line().saturating_sub(1));
    let at = before.map(<[u8]>::len).sum::<usize>() + error.column().saturating_sub(1);
    let at = String::from_utf8_lossy(&body[..at.min(body.len())]).chars().count();
    let why = error.to_string();
    json!({ "type": "json_invalid", "loc": ["body", at], "msg": "JSON decode error", "input": {}, "ctx": { "error": why } })
}

/// What a value is to be, and what is said where it is not.
#[derive(Clone, Copy)]
struct Wanted {
    is_it: fn(&Json) -> bool,
    kind: &'static str,
    says: &'static str,
    /// What its elements are to be, if it has any.
    of: Option<&'static Wanted>,
}

const LIST: Wanted =
    Wanted { is_it: Json::is_array, kind: "list_type", says: "Input should be a valid list", of: None };
const COLUMNS: Wanted =
    Wanted { is_it: Json::is_object, kind: "dict_type", says: "Input should be a valid dictionary", of: Some(&LIST) };
const TEXT: Wanted =
    Wanted { is_it: Json::is_string, kind: "string_type", says: "Input should be a valid string", of: None };
const NAMES: Wanted = Wanted { of: Some(&TEXT), ..LIST };
const FLAG: Wanted = Wanted {
    is_it: |json| Flag::of(json).is_some(),
    kind: "bool_type",
    says: "Input should be a valid boolean",
    of: None,
};
/// Of what could say either, and does not.
const UNREADABLE_FLAG: Wanted =
    Wanted { kind: "bool_parsing", says: "Input should be a valid boolean, unable to interpret input", ..FLAG };

/// A field of a body.
struct Field {
    name: &'static str,
    wanted: Wanted,
    is_required: bool,
}

impl Wanted {
    fn faults(self, place: &[&str], found: &Json, faults: &mut Vec<Json>) {
        if faults.len() >= FAULTS_MAX {
            return;
        }
        if !(self.is_it)(found) {
            let loc = [&["body"], place].concat();
            let told = match self.kind == FLAG.kind && (found.is_string() || found.is_number()) {
                true => UNREADABLE_FLAG,
                false => self,
            };
            faults.push(fault(told.kind, &loc, told.says, found));
            return;
        }
        let Some(of) = self.of else { return };
        for (name, element) in found.as_object().into_iter().flatten() {
            of.faults(&[place, &[name]].concat(), element, faults);
        }
        for (at, element) in found.as_array().into_iter().flatten().enumerate() {
            of.faults(&[place, &[&at.to_string()]].concat(), element, faults);
        }
    }
}

/// One fault and its place. What it was found in is said again, if it is short.
fn fault(kind: &str, loc: &[&str], says: &str, input: &Json) -> Json {
    let mut fault = json!({ "type": kind, "loc": loc, "msg": says });
    // An object or a list of very many would take long to be written only to be found too long.
    let is_short = match input {
        Json::Array(items) => items.len() <= INPUT_BYTES_MAX / 2,
        Json::Object(members) => members.len() <= INPUT_BYTES_MAX / 4,
        _ => true,
    };
    if is_short && input.to_string().len() <= INPUT_BYTES_MAX {
        fault["input"] = input.clone();
    }
    fault
}

/// What is wrong with a body; `error` is why it could not be read.
fn faults(body: &Json, fields: &[Field], error: &serde_json::Error) -> Vec<Json> {
    let Some(given) = body.as_object() else {
        let says = "Input should be a valid dictionary or object to extract fields from";
        return vec![fault("model_attributes_type", &["body"], says, body)];
    };
    let mut faults = Vec::new();
    for field in fields {
        match given.get(field.name) {
            None if field.is_required => {
                let loc = ["body", field.name];
                faults.push(fault("missing", &loc, "Field required", body));
            }
            // Of what may be left out, a null mostly says the same.
            None | Some(Json::Null) if !field.is_required => {}
            None => {}
            Some(found) => field.wanted.faults(&[field.name], found, &mut faults),
        }
    }
    if faults.is_empty() {
        faults.push(fault("value_error", &["body"], &error.to_string(), body));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_keep_their_order_and_the_last_of_a_name_counts() {
        let request = online_request(br#"{"entities": {"b": [1], "a": [2], "b": [3]}, "more": 1}"#).unwrap();
        let names: Vec<&str> = request.entities.0.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(request.entities.0[1].1, [json!(3)]);
    }

    /// They took gigabytes, one fault for each of millions of wrong elements.
    #[test]
    fn faults_are_few_and_short_however_long_the_body_is() {
        let ones = "1,".repeat(100_000) + "1";
        for body in [format!("{{\"entities\": {{}}, \"features\": [{ones}]}}"), format!("{{\"features\": [{ones}]}}")] {
            let refusal = online_request(body.as_bytes()).unwrap_err();
            assert!(format!("{refusal:?}").len() < 100_000);
        }
        let columns: Vec<String> = (0..=COLUMNS_MAX).map(|at| format!("\"c{at}\": []")).collect();
        let body = format!("{{\"entities\": {{{}}}}}", columns.join(","));
        let refusal = online_request(body.as_bytes()).unwrap_err();
        assert!(format!("{refusal:?}").contains("more than 2000 columns"));
    }

    #[test]
    fn whatever_is_not_read_has_a_fault() {
        for body in [
            "",
            "[]",
            "{}",
            "nul",
            "{\"entities\": 1}",
            "{\"entities\": {\"a\": 1}}",
            "{\"entities\": {}, \"features\": \"a\"}",
            "{\"entities\": {}, \"features\": [1]}",
            "{\"entities\": {}, \"feature_service\": 1}",
            "{\"entities\": {}, \"full_feature_names\": \"perhaps\"}",
            "{\"entities\": {}, \"full_feature_names\": null}",
        ] {
            let refusal = online_request(body.as_bytes()).expect_err(body);
            let said = format!("{refusal:?}");
            assert!(said.contains("loc"), "{body}: {said}");
        }
    }
}
