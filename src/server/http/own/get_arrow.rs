//! The answer of `POST /v1/get` as an Arrow IPC stream of one batch.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, Field, Schema};
use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};

use crate::engine::get::Entity;
use crate::error::Error;
use crate::exchange::{ColumnBuilder, typed_field};
use crate::server::http::media::Media;
use crate::server::http::problem::Problem;
use crate::server::http::reading::Reading;
use crate::value::{DataType, Value};

/// What of a feature is told beside its value, in columns that are called after it.
const STATUS_SUFFIX: &str = "__status";
const EVENT_TIMESTAMP_SUFFIX: &str = "__event_timestamp";

/// A column of values for each feature, in the order asked for, then one of statuses for each, then one of event times for each. The schema's
/// metadata have `at` and `seq`.
pub(super) fn answer_in_arrow(
    reading: Reading<'_>,
    entities: &[Entity<'_>],
    full_names: bool,
) -> Result<Response, Problem> {
    let asked = reading.asked;
    let names = &asked.names(full_names)?.plain;
    let count = names.len();
    let mut fields: Vec<Field> = Vec::with_capacity(3 * count);
    fields.extend(names.iter().zip(&asked.columns).map(|(name, column)| typed_field(name, &column.dtype)));
    for (suffix, dtype) in [(STATUS_SUFFIX, DataType::String), (EVENT_TIMESTAMP_SUFFIX, DataType::Timestamp)] {
        fields.extend(names.iter().map(|name| typed_field(&format!("{name}{suffix}"), &dtype)));
    }
    check_distinct(&fields)?;
    let types = asked.columns.iter().map(|column| &column.dtype);
    let mut values: Vec<ColumnBuilder> = types.map(ColumnBuilder::new).collect();
    let mut statuses: Vec<ColumnBuilder> = (0..count).map(|_| ColumnBuilder::new(&DataType::String)).collect();
    let mut times: Vec<ColumnBuilder> = (0..count).map(|_| ColumnBuilder::new(&DataType::Timestamp)).collect();
    let (mut pushed, mut bytes) = (Ok(()), 0);
    let moment = reading.each(entities, |_, row| {
        for feature in 0..count {
            let (status, event_ts) = row.status(feature);
            statuses[feature].push_string(status.name());
            let time = times[feature].push(event_ts.map_or(Value::Null, |at| Value::Timestamp(at.micros())));
            let value = row.value(feature);
            bytes += value.bytes() + status.name().len() + size_of::<i64>();
            let value = values[feature].push(value);
            // What cannot be told leaves columns of different lengths, and there is no answer.
            pushed = std::mem::replace(&mut pushed, Ok(())).and(time).and(value);
        }
        bytes
    })?;
    pushed?;
    let columns: Vec<ArrayRef> =
        values.iter_mut().chain(&mut statuses).chain(&mut times).map(ColumnBuilder::finish).collect();
    let metadata =
        HashMap::from([("at".to_owned(), moment.at.to_string()), ("seq".to_owned(), moment.seq.to_string())]);
    let schema = Arc::new(Schema::new(fields).with_metadata(metadata));
    let write = || -> Result<Vec<u8>, ArrowError> {
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
        let mut writer = StreamWriter::try_new(Vec::new(), &schema)?;
        writer.write(&batch)?;
        writer.into_inner()
    };
    let stream = write().map_err(|error| Error::of_reader(error, "the answer cannot be written"))?;
    Ok(([(header::CONTENT_TYPE, Media::Arrow.name())], Body::from(stream)).into_response())
}

/// A feature may be called as another's status is.
fn check_distinct(fields: &[Field]) -> Result<(), Error> {
    let mut names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => Err(Error::invalid(format!("two columns of the answer would be called {}", pair[0]))
            .remedy("ask for them apart, or for JSON")),
    }
}
