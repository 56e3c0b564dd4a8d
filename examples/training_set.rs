//! A training set: past decisions joined with what was known when each was made, and the same again after the
//! past was corrected. `cargo run --example training_set`

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, RecordBatchIterator, StringArray, UInt8Array};
use asof::definition::{Definitions, FeatureView, Source};
use asof::time::Timestamp;
use asof::value::{DataType, Value};
use asof::{ApplyOptions, BulkOptions, HistoricalRequest, KnownAt, Row, Store};

const HOUR_US: i64 = 3_600_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = Store::temporary()?;
    let definitions = Definitions::new("flights").entity("airport", [("origin", DataType::String)]).view(
        FeatureView::new("weather")
            .entity("airport")
            .ttl(Duration::from_secs(3 * 3_600))
            .feature("visib", DataType::Float64)
            .source(Source::default().event_timestamp("observed")),
    );
    store.apply(&definitions, ApplyOptions::default())?;

    // A year of hourly observations at three airports goes in past the log, in one commit.
    let start: Timestamp = "2013-01-01T00:00:00Z".parse()?;
    let mut import = store.bulk_writer("weather", BulkOptions::default())?;
    for airport in ["EWR", "JFK", "LGA"] {
        let hours: Vec<i64> = (0..365 * 24).collect();
        let observed = Int64Array::from_iter_values(hours.iter().map(|hour| start.0 + hour * HOUR_US));
        let columns: [(&str, ArrayRef); 3] = [
            ("origin", Arc::new(StringArray::from(vec![airport; hours.len()]))),
            ("observed", Arc::new(observed.reinterpret_cast::<arrow_array::types::TimestampMicrosecondType>())),
            ("visib", Arc::new(Float64Array::from_iter_values(hours.iter().map(|hour| (hour % 11) as f64)))),
        ];
        import.write(&RecordBatch::try_from_iter(columns)?)?;
    }
    println!("{} observations imported", import.commit()?.rows_written);

    // The spine: the departures, when each was due to leave, and what became of it.
    let spine = || -> Result<RecordBatch, arrow_schema::ArrowError> {
        let minutes = [70, 71, 9 * 60, 400 * 24 * 60];
        let due = Int64Array::from_iter_values(minutes.iter().map(|minute| start.0 + minute * 60_000_000));
        RecordBatch::try_from_iter([
            ("origin", Arc::new(StringArray::from(vec!["JFK", "LGA", "JFK", "EWR"])) as ArrayRef),
            ("due", Arc::new(due.reinterpret_cast::<arrow_array::types::TimestampMicrosecondType>())),
            ("was_late", Arc::new(UInt8Array::from(vec![0, 1, 0, 1]))),
        ])
    };
    let mut request = HistoricalRequest::features(["weather:visib"])?;
    request.timestamp_column = "due".to_owned();
    let train = |request: &HistoricalRequest| -> Result<Vec<Value>, Box<dyn std::error::Error>> {
        let spine = spine()?;
        let schema = spine.schema();
        let mut values = Vec::new();
        // Batch by batch, in the spine's order, every row of it: a spine of any length streams.
        for batch in store.get_historical_features(RecordBatchIterator::new([Ok(spine)], schema), request)? {
            let batch = batch?;
            let visib = batch.column_by_name("visib").ok_or("the training set has what was asked for")?;
            values.extend((0..batch.num_rows()).map(|row| asof::value_at(visib, &DataType::Float64, row)));
        }
        Ok(values)
    };
    let first = train(&request)?;
    println!("visibility when each flight was due: {first:?}");
    assert_eq!(first[3], Value::Null, "the last observation before is too old by then");

    // A name for what is known now; then the past is corrected.
    let snapshot = store.snapshot("first_model")?;
    let corrected = Timestamp(start.0 + HOUR_US);
    store.write_rows("weather", [Row::new().at(corrected).set("origin", "JFK").set("visib", 0.25)])?;
    assert_eq!(train(&request)?[0], Value::Float64(0.25), "a model trained today learns what is known today");
    request.known_at = Some(KnownAt::Snapshot(snapshot.name));
    assert_eq!(train(&request)?, first, "and the first model can be trained again, bit for bit");
    println!("trained again as of the snapshot: the same");
    Ok(())
}
