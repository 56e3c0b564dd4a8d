use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, RecordBatchReader};
use arrow_schema::{DataType as ArrowType, Field, Schema, TimeUnit};
use parquet::arrow::add_encoded_arrow_schema_to_metadata;
use parquet::data_type::{ByteArray, ByteArrayType, Int96, Int96Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::*;
use crate::definition::{Definitions, FeatureView, Source as ViewSource};
use crate::request::{ApplyOptions, Features, HistoricalRequest, ScanOptions};
use crate::store::Store;
use crate::time::{MICROS_PER_DAY, Timestamp};

const JULIAN_DAY_OF_1970: i64 = 2_440_588;
const TIMES: [&str; 3] = ["2024-01-01T00:00:00.000001Z", "9999-12-31T00:00:00Z", "1066-10-14T09:00:00Z"];

fn micros(times: &[&str]) -> Vec<i64> {
    times.iter().map(|time| time.parse::<Timestamp>().unwrap().0).collect()
}

fn int96(day: i64, micros: i64) -> Int96 {
    let nanos = u64::try_from(micros * 1_000).unwrap();
    let mut time = Int96::new();
    time.set_data(nanos as u32, (nanos >> 32) as u32, i32::try_from(day).unwrap().cast_unsigned());
    time
}

fn int96_of(micros: i64) -> Int96 {
    int96(JULIAN_DAY_OF_1970 + micros.div_euclid(MICROS_PER_DAY), micros.rem_euclid(MICROS_PER_DAY))
}

/// A Parquet file as Spark writes it: keys `a`, `b` and so on, each with a time, and with a list of that time alone. `zone` is
/// what an Arrow schema in the file says of the times.
fn write_int96(path: &Path, times: &[Int96], zone: Option<&str>) {
    let message = "message spark { required binary k (UTF8); required int96 t; \
                   required group ts (LIST) { repeated group list { required int96 element; } } }";
    let mut properties = WriterProperties::builder().build();
    if let Some(zone) = zone {
        let nanos = ArrowType::Timestamp(TimeUnit::Nanosecond, Some(zone.into()));
        let list = ArrowType::List(Field::new("element", nanos.clone(), false).into());
        let fields =
            [("k", ArrowType::Utf8), ("t", nanos), ("ts", list)].map(|(name, dtype)| Field::new(name, dtype, false));
        add_encoded_arrow_schema_to_metadata(&Schema::new(fields.to_vec()), &mut properties);
    }
    let schema = Arc::new(parse_message_type(message).unwrap());
    let mut writer = SerializedFileWriter::new(fs::File::create(path).unwrap(), schema, Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let keys: Vec<ByteArray> = (b'a'..).take(times.len()).map(|key| ByteArray::from(vec![key])).collect();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&keys, None, None).unwrap();
    column.close().unwrap();
    for (definition, repetition) in [(0, None), (1, Some(vec![0; times.len()]))] {
        let mut column = group.next_column().unwrap().unwrap();
        let definitions = repetition.as_ref().map(|_| vec![definition; times.len()]);
        column.typed::<Int96Type>().write_batch(times, definitions.as_deref(), repetition.as_deref()).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}

fn times_of(column: &dyn Array) -> Vec<i64> {
    column.as_primitive::<TimestampMicrosecondType>().values().to_vec()
}

/// In nanoseconds, as which the library has them of itself, 9999 is 1816.
#[test]
fn times_of_any_century_are_read_in_microseconds() {
    let folder = Folder::new();
    let path = folder.path("spark.parquet");
    let expected = micros(&TIMES);
    let times: Vec<Int96> = expected.iter().map(|&micros| int96_of(micros)).collect();
    for zone in [None, Some("UTC")] {
        write_int96(&path, &times, zone);
        for batch_rows in [1, 2, 100] {
            let options = SourceOptions { batch_rows, ..SourceOptions::default() };
            let rows = read(&path, &options).unwrap();
            assert_eq!(times_of(rows.column(1)), expected, "{zone:?}");
            assert_eq!(times_of(rows.column(2).as_list::<i32>().values()), expected, "{zone:?}");
            let in_micros = ArrowType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
            assert_eq!(rows.column(1).data_type(), &in_micros);
        }
        let only = |name: &str| SourceOptions { projection: Some(vec![name.to_owned()]), ..SourceOptions::default() };
        assert_eq!(times_of(read(&path, &only("t")).unwrap().column(0)), expected);
        assert_eq!(read(&path, &only("k")).unwrap().num_columns(), 1);
    }
}

#[test]
fn a_time_that_microseconds_do_not_hold_is_an_error() {
    let folder = Folder::new();
    let path = folder.path("spark.parquet");
    // The last days that fit, and the first that do not.
    let reach = i64::MAX / MICROS_PER_DAY;
    for day in [reach - 1, 1 - reach] {
        write_int96(&path, &[int96(JULIAN_DAY_OF_1970 + day, 5)], None);
        let rows = read(&path, &SourceOptions::default()).unwrap();
        assert_eq!(times_of(rows.column(1)), [day * MICROS_PER_DAY + 5]);
    }
    for day in [JULIAN_DAY_OF_1970 + reach + 1, JULIAN_DAY_OF_1970 - reach - 2, i32::MAX.into(), i32::MIN.into()] {
        write_int96(&path, &[int96_of(0), int96_of(1), int96(day, 0)], None);
        for (column, batch_rows) in [("t", 100), ("ts", 100), ("t", 1), ("ts", 2)] {
            let projection = Some(vec!["k".to_owned(), column.to_owned()]);
            let options = SourceOptions { projection, batch_rows, ..SourceOptions::default() };
            let error = folder.text_of(&read(&path, &options).unwrap_err());
            let expected = format!("spark.parquet: column {column}: an INT96 time is out of range in microseconds");
            assert_eq!(error, expected, "day {day}");
        }
    }
}

#[test]
fn times_out_of_spark_are_imported_and_joined_as_what_they_are() {
    let folder = Folder::new();
    let path = folder.path("spark.parquet");
    let expected = micros(&TIMES);
    write_int96(&path, &expected.iter().map(|&micros| int96_of(micros)).collect::<Vec<_>>(), None);
    let store = Store::temporary().unwrap();
    let view = FeatureView::new("v").entity("e").source(ViewSource::default().event_timestamp("t"));
    let view = view.feature("ts", dtype("list<timestamp>"));
    let definitions = Definitions::new("p").entity("e", [("k", DataType::String)]).view(view);
    store.apply(&definitions, ApplyOptions::default()).unwrap();
    let import = |allow_future| {
        let options = ImportOptions { allow_future, ..ImportOptions::default() };
        store.import_files("v", std::slice::from_ref(&path), &options)
    };
    let error = import(false).unwrap_err().to_string();
    assert!(error.contains("9999-12-31T00:00:00Z"), "{error}");
    assert_eq!(import(true).unwrap().rows_written, 3);

    let mut found = Vec::new();
    for batch in store.scan("v", &ScanOptions::default()).unwrap() {
        let batch = batch.unwrap();
        let lists = times_of(batch.column_by_name("ts").unwrap().as_list::<i32>().values());
        found.extend(times_of(batch.column_by_name("t").unwrap()).into_iter().zip(lists));
    }
    found.sort_unstable();
    let mut rows: Vec<(i64, i64)> = expected.iter().map(|&time| (time, time)).collect();
    rows.sort_unstable();
    assert_eq!(found, rows);

    let request = HistoricalRequest {
        timestamp_column: "t".to_owned(),
        full_names: true,
        ..HistoricalRequest::new(Features::list(["v:ts"]).unwrap())
    };
    let spine = open_source(&path, &SourceOptions::default()).unwrap();
    assert_eq!(RecordBatchReader::schema(spine.as_ref()).fields().len(), 3);
    let joined: Vec<RecordBatch> =
        store.get_historical_features(*spine, &request).unwrap().map(|batch| batch.unwrap()).collect();
    let [joined] = &joined[..] else { panic!("{} batches", joined.len()) };
    for name in ["t", "ts", "v__ts"] {
        let column = joined.column_by_name(name).unwrap();
        let times = column.as_list_opt::<i32>().map_or_else(|| times_of(column), |lists| times_of(lists.values()));
        assert_eq!(times, expected, "{name}");
    }
}
