//! Columns of text forms, as text files have them: read as values, one by one.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::builder::PrimitiveBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, StringArray};

use super::Refusal;
use crate::definition::FeatureView;
use crate::error::{Error, Result};
use crate::format::columns::array_from_values;
use crate::format::value::canonical_f64;
use crate::text::{TimestampFormat, clip, parse_json_text, parse_value};
use crate::value::{DataType, Value};

/// A column of text forms as `dtype`.
pub(super) fn accept_text(
    view: &FeatureView,
    dtype: &DataType,
    column: &ArrayRef,
    form: &str,
    refused: &mut Vec<Refusal>,
) -> Result<ArrayRef> {
    let strings = column.as_string_opt::<i32>().ok_or_else(|| Error::invalid("a column of text forms is no utf8"))?;
    let format = view.source.timestamp_format.as_deref().filter(|_| *dtype == DataType::Timestamp);
    let format = format.map(TimestampFormat::new).transpose()?;
    if form == "text" && *dtype == DataType::String {
        return Ok(column.clone());
    }
    let parse = |text: &str| match (form, &format) {
        ("json", Some(format)) => match serde_json::from_str::<Option<Cow<'_, str>>>(text) {
            Ok(None) => Ok(Value::Null),
            Ok(Some(text)) => format.parse(&text).map(Value::Timestamp),
            // %s and its like are numbers in JSON.
            Err(_) => format.parse(text).map(Value::Timestamp),
        },
        ("json", None) => parse_json_text(dtype, text),
        (_, Some(format)) => format.parse(text).map(Value::Timestamp),
        _ => parse_value(dtype, text),
    };
    if *dtype == DataType::Float64 && form == "text" {
        return Ok(parse_floats(strings, parse, refused));
    }
    let mut values = Vec::with_capacity(strings.len());
    for (row, text) in strings.iter().enumerate() {
        values.push(match text.map(parse) {
            None => Value::Null,
            Some(Ok(value)) => value,
            Some(Err(error)) => {
                refused.push(Refusal::new(row, clip_long(&error.to_string())));
                Value::Null
            }
        });
    }
    array_from_values(dtype, &values)
}

/// The commonest column by far, without a value for each cell.
fn parse_floats(strings: &StringArray, parse: impl Fn(&str) -> Result<Value>, refused: &mut Vec<Refusal>) -> ArrayRef {
    let mut builder = PrimitiveBuilder::<Float64Type>::with_capacity(strings.len());
    for (row, text) in strings.iter().enumerate() {
        match text.map(&parse) {
            Some(Ok(Value::Float64(value))) => builder.append_value(canonical_f64(value)),
            Some(Err(error)) => {
                refused.push(Refusal::new(row, clip_long(&error.to_string())));
                builder.append_null();
            }
            Some(Ok(_)) | None => builder.append_null(),
        }
    }
    Arc::new(builder.finish())
}

fn clip_long(text: &str) -> String {
    if text.len() > 400 { clip(text) } else { text.to_owned() }
}
