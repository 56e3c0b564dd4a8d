use arrow_array::cast::AsArray;
use arrow_array::types::{Int8Type, Int32Type};
use arrow_array::{
    BinaryViewArray, Date64Array, Decimal32Array, DictionaryArray, FixedSizeBinaryArray, Float16Array, Int8Array,
    LargeStringArray, ListArray, NullArray, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray,
    TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt64Array,
};
use arrow_buffer::OffsetBuffer;
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};

use super::*;

/// A column in each of many layouts that are not asof's own.
fn foreign() -> RecordBatch {
    let words: DictionaryArray<Int32Type> = ["b", "a", "b"].into_iter().collect();
    let seconds: ArrayRef = Arc::new(TimestampSecondArray::from(vec![-1, 0]));
    let seconds = DictionaryArray::<Int8Type>::new(Int8Array::from(vec![Some(1), None, Some(0)]), seconds);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("words", Arc::new(words)),
        ("nanos", Arc::new(TimestampNanosecondArray::from(vec![Some(-1), None, Some(1_999)]))),
        ("millis", Arc::new(TimestampMillisecondArray::from(vec![0, -1, 1]).with_timezone("+05:30"))),
        ("naive", Arc::new(TimestampSecondArray::from(vec![Some(0), Some(1), None]))),
        ("tiny", Arc::new(Int8Array::from(vec![-128, 0, 127]))),
        ("wide", Arc::new(UInt64Array::from(vec![0, 1, u64::MAX]))),
        ("half", Arc::new(Float16Array::from_iter_values([0.5_f32, 1.0, -2.0].map(half)))),
        ("large", Arc::new(LargeStringArray::from(vec![Some(""), None, Some("x")]))),
        ("view", Arc::new(BinaryViewArray::from(vec![b"\xff".as_slice(), b"", b"a"]))),
        ("fixed", Arc::new(FixedSizeBinaryArray::try_from_iter([[1_u8], [2], [3]].into_iter()).unwrap())),
        ("day", Arc::new(Date64Array::from(vec![0, 86_400_000, -86_400_000]))),
        ("money", Arc::new(Decimal32Array::from(vec![5, -5, 100]).with_precision_and_scale(4, 2).unwrap())),
        ("none", Arc::new(NullArray::new(3))),
        ("instants", lists(Arc::new(TimestampNanosecondArray::from(vec![-1, 1_999, 0]).with_timezone("UTC")))),
        ("naives", lists(Arc::new(TimestampMicrosecondArray::from(vec![-1, 1, 0])))),
        ("coded", Arc::new(seconds)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

/// Three rows: the first element, none, the others.
fn lists(elements: ArrayRef) -> ArrayRef {
    let field = Field::new("element", elements.data_type().clone(), true);
    Arc::new(ListArray::new(field.into(), OffsetBuffer::from_lengths([1, 0, 2]), elements, None))
}

fn half(value: f32) -> <arrow_array::types::Float16Type as arrow_array::types::ArrowPrimitiveType>::Native {
    let exact = arrow_array::Float32Array::from(vec![value]);
    let halves = arrow_cast::cast(&exact, &arrow_schema::DataType::Float16).unwrap();
    halves.as_primitive::<arrow_array::types::Float16Type>().value(0)
}

#[test]
fn columns_of_any_layout_have_the_text_forms_of_their_values() {
    let folder = Folder::new();
    let path = folder.path("a.csv");
    write(&path, &[foreign()]);
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "words,nanos,millis,naive,tiny,wide,half,large,view,fixed,day,money,none,instants,naives,coded",
            r#"b,1969-12-31T23:59:59.999999Z,1970-01-01T00:00:00Z,1970-01-01T00:00:00Z,-128,0,0.5,"",/w==,AQ==,1970-01-01T00:00:00Z,0.05,,"[""1969-12-31T23:59:59.999999Z""]","[""1969-12-31T23:59:59.999999Z""]",1970-01-01T00:00:00Z"#,
            r#"a,,1969-12-31T23:59:59.999Z,1970-01-01T00:00:01Z,0,1,1.0,,"",Ag==,1970-01-02T00:00:00Z,-0.05,,[],[],"#,
            r#"b,1970-01-01T00:00:00.000001Z,1970-01-01T00:00:00.001Z,,127,18446744073709551615,-2.0,x,YQ==,Aw==,1969-12-31T00:00:00Z,1.00,,"[""1970-01-01T00:00:00.000001Z"",""1970-01-01T00:00:00Z""]","[""1970-01-01T00:00:00.000001Z"",""1970-01-01T00:00:00Z""]",1969-12-31T23:59:59Z"#,
        ]
    );
}

#[test]
fn a_column_without_a_text_form_is_refused_before_the_first_row() {
    let folder = Folder::new();
    let inner: ArrayRef = Arc::new(Int8Array::from(vec![1]));
    let field = Arc::new(Field::new("a", inner.data_type().clone(), true));
    let nested = RecordBatch::try_from_iter([("s", Arc::new(StructArray::from(vec![(field, inner)])) as ArrayRef)]);
    let schema = nested.unwrap().schema();
    for name in ["a.csv", "a.jsonl"] {
        let Err(error) = create_sink(&folder.path(name), &schema, Vec::new()) else { panic!("{name} was made") };
        assert_eq!(
            folder.text_of(&error),
            "column s: columns of Arrow type Struct(\"a\": Int8) have no text form; write Parquet or Arrow instead"
        );
    }
    assert_eq!(folder.names(), [""; 0]);
}

#[test]
fn compressed_arrow_files_and_streams_are_read() {
    let folder = Folder::new();
    let rows = foreign();
    for compression in [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)] {
        let options = || IpcWriteOptions::default().try_with_compression(compression).unwrap();
        let mut file = FileWriter::try_new_with_options(Vec::new(), &rows.schema(), options()).unwrap();
        let mut stream = StreamWriter::try_new_with_options(Vec::new(), &rows.schema(), options()).unwrap();
        file.write(&rows).unwrap();
        stream.write(&rows).unwrap();
        for (name, bytes) in [("a.feather", file.into_inner().unwrap()), ("a.arrow", stream.into_inner().unwrap())] {
            assert_eq!(read(&folder.file(name, bytes), &SourceOptions::default()).unwrap(), rows, "{compression:?}");
        }
    }
}

#[test]
fn files_of_a_folder_must_agree_on_their_columns() {
    let folder = Folder::new();
    write(&folder.path("a.parquet"), &[batch(&[("k", "int64", vec![Value::Int64(1)])])]);
    write(&folder.path("b.parquet"), &[batch(&[("k", "int32", vec![Value::Int32(1)])])]);
    let error = read(&folder.0, &SourceOptions::default()).unwrap_err();
    assert!(folder.text_of(&error).ends_with("b.parquet: column 'k' is Int32, in the first file Int64"), "{error}");
    write(&folder.path("b.parquet"), &[batch(&[("x", "int64", vec![Value::Int64(1)])])]);
    let mut source = open_source(&folder.0, &SourceOptions::default()).unwrap();
    let mut next = || source.next().map(|batch| batch.map_err(source_error));
    assert!(next().unwrap().is_ok());
    let error = next().unwrap().unwrap_err();
    assert!(next().is_none(), "after an error a source ends");
    assert!(folder.text_of(&error).ends_with("b.parquet: has no column 'k', which the first file has"), "{error}");
}

#[test]
fn the_metadata_given_lies_in_parquet_and_arrow_files() {
    let folder = Folder::new();
    let rows = batch(&[("k", "int64", vec![Value::Int64(1)])]);
    for name in ["a.parquet", "a.arrow"] {
        let metadata = vec![("asof.known_at".to_owned(), "17".to_owned())];
        let mut sink = create_sink(&folder.path(name), rows.schema_ref(), metadata).unwrap();
        sink.write(&rows).unwrap();
        sink.finish().unwrap();
        let back = read(&folder.path(name), &SourceOptions::default()).unwrap();
        assert_eq!(back.schema().metadata().get("asof.known_at").map(|text| text.as_str()), Some("17"), "{name}");
    }
}

/// An Arrow file has one dictionary for all its batches: the second was refused, after however many rows.
#[test]
fn batches_with_dictionaries_of_their_own_are_written_with_their_words() {
    let folder = Folder::new();
    let path = folder.path("t.arrow");
    let batch = |words: [&str; 2]| {
        let words: ArrayRef = Arc::new(words.into_iter().collect::<DictionaryArray<Int32Type>>());
        let field = Arc::new(Field::new("word", words.data_type().clone(), true));
        let nested = StructArray::from(vec![(field, Arc::clone(&words))]);
        let lists = ListArray::new(
            Field::new("item", words.data_type().clone(), true).into(),
            OffsetBuffer::from_lengths([0, 2]),
            Arc::clone(&words),
            None,
        );
        RecordBatch::try_from_iter([
            ("word", words),
            ("nested", Arc::new(nested) as ArrayRef),
            ("list", Arc::new(lists)),
        ])
        .unwrap()
    };
    assert_eq!(write(&path, &[batch(["a", "b"]), batch(["c", "a"])]).rows, 4);
    let back = read(&path, &SourceOptions::default()).unwrap();
    let words = StringArray::from(vec!["a", "b", "c", "a"]);
    assert_eq!(back.column(0).as_string::<i32>(), &words);
    assert_eq!(back.column(1).as_struct().column(0).as_string::<i32>(), &words);
    assert_eq!(back.column(2).as_list::<i32>().values().as_string::<i32>(), &words);
}
