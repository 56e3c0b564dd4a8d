//! Bodies that are short and mean much: what they would take in memory is known before it is taken.

use std::sync::Arc;

use arrow_array::types::{ArrowDictionaryKeyType, Int16Type, Int32Type};
use arrow_array::{
    ArrayRef, DictionaryArray, Float64Array, Int32Array, Int64Array, NullArray, PrimitiveArray, RecordBatch,
    RecordBatchOptions, RunArray, StringArray, StringViewArray, TimestampMicrosecondArray,
};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{DictionaryHandling, IpcWriteOptions, StreamWriter};
use arrow_schema::Schema;
use serde_json::json;

use super::own::{batch_of, store};
use super::{Answer, Peer, options, serve, spool_of};
use crate::definition::{Definitions, FeatureView};
use crate::server::http::{HttpOptions, HttpServer};
use crate::value::DataType;
use crate::{ApplyOptions, Row, Store};

const ARROW: (&str, &str) = ("content-type", "application/vnd.apache.arrow.stream");

fn stream(columns: Vec<(&str, ArrayRef)>, compression: Option<CompressionType>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), batch.schema_ref(), options).unwrap();
    writer.write(&batch).unwrap();
    let body = writer.into_inner().unwrap();
    assert!(body.len() < 16 << 20, "{} bytes are no short body", body.len());
    body
}

/// A text for every row, with rows of weather around it.
fn weather(notes: ArrayRef) -> Vec<(&'static str, ArrayRef)> {
    let rows = notes.len();
    vec![
        ("origin", Arc::new(StringArray::from(vec!["LGA"; rows]))),
        ("event_timestamp", Arc::new(TimestampMicrosecondArray::from(vec![0; rows]))),
        ("temp", Arc::new(Float64Array::from(vec![1.0; rows]))),
        ("note", notes),
    ]
}

fn dictionary<K: ArrowDictionaryKeyType>(rows: usize, text: &str) -> ArrayRef
where
    K::Native: Default,
{
    let keys = PrimitiveArray::<K>::from_value(K::Native::default(), rows);
    Arc::new(DictionaryArray::new(keys, Arc::new(StringArray::from(vec![text]))))
}

/// One value that so many rows have.
fn run(rows: i32, value: ArrayRef) -> ArrayRef {
    Arc::new(RunArray::<Int32Type>::try_new(&Int32Array::from(vec![rows]), &value).unwrap())
}

#[track_caller]
fn assert_refused(answer: &Answer, says: &str) {
    let said = String::from_utf8_lossy(&answer.body);
    assert!(answer.status == 400 && said.contains(says) && !said.contains("asof-http"), "{}: {said}", answer.status);
}

#[test]
fn a_long_text_that_many_rows_show_is_refused_and_not_copied() {
    let store = store();
    let server = serve(&store);
    let mut peer = Peer::new(&server);
    let text = "x".repeat(64 << 10);
    let rows = 20_000;
    let one = StringViewArray::from(vec![text.as_str()]);
    let views = StringViewArray::new(vec![one.views()[0]; rows].into(), one.data_buffers().to_vec(), None);
    let before = store.summary().unwrap().rows;
    for notes in
        [Arc::new(views) as ArrayRef, dictionary::<Int16Type>(rows, &text), dictionary::<Int32Type>(rows, &text)]
    {
        let body = stream(weather(notes), None);
        assert_refused(&peer.ask_with("POST", "/v1/write/weather", &[ARROW], &body), "bytes together");
        let get = "/v1/get?features=weather:temp";
        let keys = RecordBatch::try_from_iter(weather(dictionary::<Int16Type>(rows, &text))).unwrap();
        let keys = stream(vec![("origin", keys.column(3).clone())], None);
        assert_refused(&peer.ask_with("POST", get, &[ARROW], &keys), "bytes together");
    }
    let weather = |rows| {
        let time: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![0]));
        vec![
            ("origin", run(rows, Arc::new(StringArray::from(vec!["LGA"])))),
            ("event_timestamp", run(rows, time)),
            ("temp", run(rows, Arc::new(Float64Array::from(vec![1.0])))),
            ("note", run(rows, Arc::new(StringArray::from(vec!["short"])))),
        ]
    };
    let body = stream(weather(1 << 30), None);
    assert_refused(&peer.ask_with("POST", "/v1/write/weather", &[ARROW], &body), "bytes together");
    assert_eq!(store.summary().unwrap().rows, before);
    // Of more rows than there can be, whose texts are nothing.
    let mut none = weather(i32::MAX);
    none[3].1 = run(i32::MAX, Arc::new(StringArray::from(vec![""])));
    let body = stream(none, None);
    assert_refused(&peer.ask_with("POST", "/v1/write/weather", &[ARROW], &body), "bytes together");
    let few = peer.ask_with("POST", "/v1/write/weather", &[ARROW], &stream(weather(2), None));
    assert_eq!((few.status, &few.json()["rows"]), (200, &json!(2)), "{few:?}");
}

#[test]
fn a_body_that_is_much_longer_decompressed_is_refused() {
    let store = store();
    let server = serve(&store);
    let mut peer = Peer::new(&server);
    let rows = 8 << 20;
    for compression in [CompressionType::ZSTD, CompressionType::LZ4_FRAME] {
        let zeros: ArrayRef = Arc::new(Float64Array::from(vec![0.0; rows]));
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![0; rows]));
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![0; rows]));
        let columns = vec![("origin", numbers), ("event_timestamp", times), ("temp", zeros)];
        let body = stream(columns, Some(compression));
        assert_refused(&peer.ask_with("POST", "/v1/write/weather", &[ARROW], &body), "bytes of memory at once");
        let get = "/v1/get?features=weather:temp";
        assert_refused(&peer.ask_with("POST", get, &[ARROW], &body), "bytes of memory at once");
    }
}

/// Each by itself is short enough, and so is each of what a dictionary is put together from.
#[test]
fn all_that_is_kept_of_a_body_counts() {
    let store = store();
    let server = serve(&store);
    let mut peer = Peer::new(&server);
    let zstd = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).unwrap();
    // A row in as much memory as a million have, and no text.
    let buffers = vec![vec![0_u8; 8 << 20].into(); 2];
    let long = StringViewArray::new(vec![0; 1].into(), buffers, None);
    let batch = RecordBatch::try_from_iter(weather(Arc::new(long))).unwrap();
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), batch.schema_ref(), zstd.clone()).unwrap();
    (0..10).for_each(|_| writer.write(&batch).unwrap());
    let body = writer.into_inner().unwrap();
    assert_refused(&peer.ask_with("POST", "/v1/write/weather", &[ARROW], &body), "bytes of memory at once");
    // A word more in each, and with it all words of before.
    let words = |count: usize| -> ArrayRef {
        let words: StringArray = (0..count).map(|word| Some(format!("{word}{}", "x".repeat(1 << 20)))).collect();
        let keys = Int32Array::from(vec![i32::try_from(count).unwrap() - 1]);
        Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::new(words)))
    };
    let batch = |count| RecordBatch::try_from_iter(weather(words(count))).unwrap();
    let deltas = zstd.with_dictionary_handling(DictionaryHandling::Delta);
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), batch(1).schema_ref(), deltas).unwrap();
    (1..24).for_each(|count| writer.write(&batch(count)).unwrap());
    let body = writer.into_inner().unwrap();
    assert_refused(&peer.ask_with("POST", "/v1/write/weather", &[ARROW], &body), "bytes of memory at once");
}

#[test]
fn rows_by_columns_are_so_many() {
    let store = Store::temporary().unwrap();
    let names: Vec<String> = (0..40).map(|number| format!("f{number}")).collect();
    let view = FeatureView::new("wide").entity("thing");
    let view = names.iter().fold(view, |view, name| view.feature(name, DataType::Float64));
    let definitions = Definitions::new("wide").entity("thing", [("id", DataType::Int64)]).view(view);
    store.apply(&definitions, ApplyOptions::default()).unwrap();
    let server = serve(&store);
    let mut peer = Peer::new(&server);
    // What a row does not say of is null.
    let rows = |count: usize| json!(vec![json!({ "id": 1, "event_timestamp": "2013-01-05" }); count]);
    assert_refused(&peer.post("/v1/write/wide", &rows(100_000)), "100000 rows of 41 values each are too many");
    assert_eq!(peer.post("/v1/write/wide", &rows(100)).status, 200);
}

/// Rows of nothing: as many as somebody says, in a body of two hundred bytes. Of a view without entities each is one.
#[test]
fn a_batch_without_columns_has_so_many_rows() {
    let store = Store::temporary().unwrap();
    let view = FeatureView::new("whole").feature("x", DataType::Int64);
    store.apply(&Definitions::new("p").view(view), ApplyOptions::default()).unwrap();
    store.write_rows("whole", [Row::new().at(store.now()).set("x", 7_i64)]).unwrap();
    let server = serve(&store);
    let mut peer = Peer::new(&server);
    let body = |rows: usize| {
        let rows = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Schema::empty().into(), Vec::new(), &rows).unwrap();
        let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref()).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap()
    };
    let get = "/v1/get?features=whole:x";
    let two = peer.ask_with("POST", get, &[ARROW], &body(2));
    assert_eq!((two.status, batch_of(&two.body).num_rows()), (200, 2), "{two:?}");
    assert_refused(&peer.ask_with("POST", get, &[ARROW], &body(i64::MAX as usize)), "bytes together");
    assert_refused(&peer.ask_with("POST", "/v1/write/whole", &[ARROW], &body(i64::MAX as usize)), "missing");
}

/// What a row does not say of a vector takes as much memory as a vector that it says.
#[test]
fn vectors_that_rows_do_not_have_are_not_made() {
    let store = Store::temporary().unwrap();
    let view = FeatureView::new("long").entity("thing").feature("x", DataType::Int64);
    let view = view.feature("v", DataType::Vector(65_536));
    let definitions = Definitions::new("p").entity("thing", [("id", DataType::Int64)]).view(view);
    store.apply(&definitions, ApplyOptions::default()).unwrap();
    let server = serve(&store);
    let mut peer = Peer::new(&server);
    let row = json!({ "id": 1, "event_timestamp": "2013-01-05", "x": 1 });
    let too_many = "20000 rows of 65538 values each are too many values";
    assert_refused(&peer.post("/v1/write/long", &json!(vec![row.clone(); 20_000])), too_many);
    let times = vec![json!("2013-01-05T00:00:00Z"); 20_000];
    let ones = vec![json!(1); 20_000];
    let frame = json!({ "id": ones, "event_timestamp": times, "x": ones, "v": vec![json!(null); 20_000] });
    let push = peer.post("/push", &json!({ "push_source_name": "long", "df": frame, "to": "online" }));
    assert_refused(&push, too_many);
    let lines = format!("{row}\n").repeat(20_000);
    let jsonl = ("content-type", "application/jsonl");
    assert_refused(&peer.ask_with("POST", "/v1/write/long", &[jsonl], lines.as_bytes()), "bytes together");
    let ones: ArrayRef = Arc::new(Int64Array::from(vec![1; 20_000]));
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![0; 20_000]));
    let nothing: ArrayRef = Arc::new(NullArray::new(20_000));
    let body = stream(vec![("id", ones.clone()), ("event_timestamp", times), ("x", ones), ("v", nothing)], None);
    assert_refused(
        &peer.ask_with("POST", "/v1/write/long", &[ARROW], &body),
        "its rows take more than 134217728 bytes together",
    );
    assert_eq!(store.summary().unwrap().rows, 0);
    let few = peer.post("/v1/write/long", &json!(vec![row; 20]));
    assert_eq!((few.status, &few.json()["rows"]), (200, &json!(20)), "{few:?}");
    let few = peer.ask_with("POST", "/v1/write/long", &[jsonl], &lines.as_bytes()[..lines.len() / 1_000]);
    assert_eq!((few.status, &few.json()["rows"]), (200, &json!(20)), "{few:?}");
}

/// One text, asked for many times.
#[test]
fn an_answer_that_is_put_together_in_memory_is_so_long() {
    let store = Store::temporary().unwrap();
    let view = FeatureView::new("note").entity("thing").feature("text", DataType::String);
    let definitions = Definitions::new("fsx").entity("thing", [("id", DataType::Int64)]).view(view);
    store.apply(&definitions, ApplyOptions::default()).unwrap();
    let row = |id: i64| Row::new().at(store.now()).set("id", id).set("text", "x".repeat(1_000));
    store.write_rows("note", [row(7)]).unwrap();
    let spool_folder = spool_of(&store);
    std::fs::create_dir_all(&spool_folder).unwrap();
    let options = HttpOptions { held_bytes_max: 100_000, spool_folder, ..options() };
    let server = HttpServer::start((*store).clone(), options).unwrap();
    let mut peer = Peer::new(&server);
    let long = "the answer has more than 100000 bytes";
    let now = store.now().to_string();
    for (rows, is_short) in [(10_usize, true), (1_000, false)] {
        let ids = vec![7; rows];
        let named: Vec<_> = ids.iter().map(|id| json!({ "id": id })).collect();
        let keys = stream(vec![("id", Arc::new(Int64Array::from(vec![7; rows])))], None);
        let answers = [
            peer.post("/v1/get", &json!({ "features": ["note:text"], "entities": named })),
            peer.post("/v1/get", &json!({ "features": ["note:text"], "entities": named, "at": now })),
            peer.ask_with("POST", "/v1/get?features=note:text", &[ARROW], &keys),
            peer.ask_with("POST", &format!("/v1/get?features=note:text&at={now}"), &[ARROW], &keys),
            peer.post("/get-features", &json!({ "feature_refs": ["note:text"], "entity_rows": named })),
            peer.post("/get-online-features", &json!({ "features": ["note:text"], "entities": { "id": ids } })),
        ];
        for (at, answer) in answers.iter().enumerate() {
            match is_short {
                true => assert_eq!(answer.status, 200, "answer {at}: {answer:?}"),
                false => assert_refused(answer, long),
            }
        }
    }
}
