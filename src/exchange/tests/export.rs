use std::sync::Arc;

use arrow_array::cast::AsArray;

use super::*;
use crate::definition::FeatureView;
use crate::disk::{Disk, RealDisk};
use crate::error::ErrorKind;
use crate::time::MICROS_PER_DAY;

fn view() -> FeatureView {
    let json = serde_json::json!({ "name": "weather", "version": 2, "entities": [], "join_keys": [], "features": [] });
    serde_json::from_value(json).unwrap()
}

/// Rows whose event times lie on the given days, numbered as they come.
fn rows(first: i64, days: &[i64]) -> RecordBatch {
    let numbers = (first..).take(days.len());
    batch(&[
        ("n", "int64", numbers.clone().map(Value::Int64).collect()),
        ("event_timestamp", "timestamp", days.iter().map(|day| Value::Timestamp(day * MICROS_PER_DAY + 5)).collect()),
        ("temp", "string", numbers.map(|n| Value::String(format!("t{n}"))).collect()),
    ])
}

fn numbers(path: &Path) -> Vec<i64> {
    let rows = read(path, &SourceOptions::default()).unwrap();
    rows.column(0).as_primitive::<arrow_array::types::Int64Type>().values().to_vec()
}

#[test]
fn an_export_by_day_keeps_the_order_within_a_day_however_little_it_may_hold() {
    for buffer_bytes_max in [0, 20_000, usize::MAX] {
        let folder = Folder::new();
        let schema = rows(0, &[]).schema();
        let mut writer =
            PartitionedWriter::with_buffer(&folder.0, &view(), Partition::Date, &schema, vec![], buffer_bytes_max)
                .unwrap();
        for batch in [rows(0, &[1, 0, 1, -1]), rows(4, &[0, 0, 1]), rows(7, &[-1])] {
            writer.write(&batch).unwrap();
        }
        let report = writer.finish().unwrap();
        let target = folder.path("weather/v2");
        assert_eq!((report.rows, report.files, &report.folder), (8, 3, &target));
        assert_eq!(numbers(&target.join("date=1969-12-31/part-00000.parquet")), [3, 7]);
        assert_eq!(numbers(&target.join("date=1970-01-01/part-00000.parquet")), [1, 4, 5]);
        assert_eq!(numbers(&target.join("date=1970-01-02/part-00000.parquet")), [0, 2, 6]);
        assert_eq!(numbers(&target), [3, 7, 1, 4, 5, 0, 2, 6]);
        assert_eq!(fs::read_dir(&target).unwrap().count(), 3, "no spill stays");
        assert_eq!(fs::read_dir(folder.path("weather")).unwrap().count(), 1, "no temporary folder stays");
    }
}

#[test]
fn parquet_says_what_times_and_dates_are_whatever_their_unit_and_refuses_what_it_has_no_form_for() {
    use arrow_array::{Date64Array, Int64Array, StructArray, TimestampSecondArray, UnionArray};
    use arrow_schema::{DataType as ArrowType, TimeUnit, UnionFields};

    let folder = Folder::new();
    let path = folder.path("times.parquet");
    let seconds: ArrayRef = Arc::new(TimestampSecondArray::from(vec![Some(-5), None]));
    let days: ArrayRef = Arc::new(Date64Array::from(vec![Some(-86_400_000), Some(86_400_000)]));
    let inner = Arc::new(Field::new("at", seconds.data_type().clone(), true));
    let nested: ArrayRef = Arc::new(StructArray::from(vec![(inner, seconds.clone())]));
    write(&path, &[RecordBatch::try_from_iter([("s", seconds), ("d", days), ("n", nested)]).unwrap()]);
    let found = read(&path, &SourceOptions::default()).unwrap();
    let milliseconds = ArrowType::Timestamp(TimeUnit::Millisecond, None);
    assert_eq!((found.column(0).data_type(), found.column(1).data_type()), (&milliseconds, &ArrowType::Date32));
    assert_eq!(found.column(0).as_primitive::<arrow_array::types::TimestampMillisecondType>().value(0), -5_000);
    assert_eq!(found.column(1).as_primitive::<arrow_array::types::Date32Type>().values(), &[-1, 1]);
    assert_eq!(found.column(2).as_struct().column(0).data_type(), &milliseconds);

    let fields = UnionFields::try_new([0], [Field::new("x", ArrowType::Int64, true)]).unwrap();
    let one = UnionArray::try_new(fields, vec![0].into(), None, vec![Arc::new(Int64Array::from(vec![1]))]).unwrap();
    let one = RecordBatch::try_from_iter([("u", Arc::new(one) as ArrayRef)]).unwrap();
    let error = create_sink(&folder.path("union.parquet"), one.schema_ref(), Vec::new()).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().starts_with("column u is a union"), "{error}");
    assert_eq!(folder.names(), ["times.parquet"]);
}

#[test]
fn an_export_in_one_piece_is_one_file_of_the_rows_as_they_came() {
    let folder = Folder::new();
    let schema = rows(0, &[]).schema();
    let metadata = vec![("asof.known_at".to_owned(), "17".to_owned())];
    let mut writer = PartitionedWriter::create(&folder.0, &view(), Partition::None, &schema, metadata).unwrap();
    writer.write(&rows(0, &[1, 0])).unwrap();
    writer.write(&rows(2, &[1])).unwrap();
    let report = writer.finish().unwrap();
    assert_eq!((report.rows, report.files), (3, 1));
    assert_eq!(numbers(&folder.path("weather/v2/part-00000.parquet")), [0, 1, 2]);
    let none = Folder::new();
    let writer = PartitionedWriter::create(&none.0, &view(), Partition::None, &schema, vec![]).unwrap();
    assert_eq!(writer.finish().unwrap().files, 1);
    assert_eq!(numbers(&none.0), [0; 0]);
}

#[test]
fn an_export_never_mixes_with_what_is_there_and_leaves_nothing_half_done() {
    let folder = Folder::new();
    let schema = rows(0, &[]).schema();
    let create = || PartitionedWriter::with_buffer(&folder.0, &view(), Partition::Date, &schema, vec![], 0);
    let mut writer = create().unwrap();
    writer.write(&rows(0, &[1, 0])).unwrap();
    drop(writer);
    assert_eq!(folder.names(), [""; 0]);

    fs::create_dir_all(folder.path("weather/v2")).unwrap();
    let writer = create().unwrap();
    folder.file("weather/v2/mine.txt", "x");
    assert!(writer.finish().is_err(), "files came in between");
    assert_eq!(fs::read_dir(folder.path("weather")).unwrap().count(), 1);
    let Err(error) = create() else { panic!("the folder is not empty") };
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(folder.text_of(&error).starts_with("weather/v2: the folder is not empty; "), "{error}");
}

#[test]
fn rows_set_aside_are_whole_lines_under_a_name_they_get_at_the_end() {
    let folder = Folder::new();
    let target = folder.path("run-weather.jsonl");
    folder.file("run-weather.jsonl.tmp", "of a crashed import, and longer than what comes after it will ever be: 012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let mut writer = QuarantineWriter::new(disk.clone(), &target);
    let bad = batch(&[
        ("k", "string", vec![Value::Null, Value::String("\"a\"\n".into())]),
        ("at", "timestamp", vec![Value::Null, Value::Timestamp(0)]),
        ("vec", "vector<1>", vec![Value::Null, Value::Vector(vec![0.5])]),
    ]);
    writer.add("a.parquet", &bad, 1, 7, "temp is above 60").unwrap();
    let values = r#"{"k":"x"}"#.to_owned();
    writer.add_unread(&BadRow { file: "b.csv".into(), row: 3, reason: "line 4".into(), values }).unwrap();
    assert!(!target.exists());
    assert_eq!(writer.finish().unwrap(), 2);
    assert_eq!(
        fs::read_to_string(&target).unwrap(),
        "{\"file\":\"a.parquet\",\"reason\":\"temp is above 60\",\"row\":7,\
         \"values\":{\"at\":\"1970-01-01T00:00:00Z\",\"k\":\"\\\"a\\\"\\n\",\"vec\":[0.5]}}\n\
         {\"file\":\"b.csv\",\"reason\":\"line 4\",\"row\":3,\"values\":{\"k\":\"x\"}}\n"
    );
    assert_eq!(folder.names(), ["run-weather.jsonl"]);
    fs::remove_file(&target).unwrap();

    let mut writer = QuarantineWriter::new(disk.clone(), &target);
    for row in 0..10_000 {
        writer.add("a.parquet", &bad, 1, row, "a reason").unwrap();
    }
    assert_eq!(folder.names(), ["run-weather.jsonl.tmp"]);
    drop(writer);
    assert_eq!(QuarantineWriter::new(disk, &target).finish().unwrap(), 0);
    assert_eq!(folder.names(), [""; 0]);
}

#[test]
fn an_export_that_fails_leaves_no_folder_that_it_made() {
    let folder = Folder::new();
    fs::create_dir(folder.path("there")).unwrap();
    for dir in ["new/er", "there", "there/new"] {
        for partition in [Partition::None, Partition::Date] {
            let schema = rows(0, &[]).schema();
            let mut writer = PartitionedWriter::create(&folder.path(dir), &view(), partition, &schema, vec![]).unwrap();
            writer.write(&rows(0, &[1])).unwrap();
            drop(writer);
            assert_eq!(folder.names(), ["there"], "{dir}, {partition:?}");
            assert_eq!(fs::read_dir(folder.path("there")).unwrap().count(), 0, "{dir}, {partition:?}");
        }
    }
    // What somebody put there meanwhile stays, and its folder.
    let schema = rows(0, &[]).schema();
    let writer = PartitionedWriter::create(&folder.path("new"), &view(), Partition::None, &schema, vec![]).unwrap();
    folder.file("new/note", "mine");
    drop(writer);
    assert_eq!(fs::read_dir(folder.path("new")).unwrap().count(), 1);
}
