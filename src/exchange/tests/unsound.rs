use std::sync::Mutex;

use arrow_array::types::Int32Type;
use arrow_array::{DictionaryArray, Int32Array, StringArray};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{DictionaryHandling, FileWriter, IpcWriteOptions, StreamWriter};

use super::*;
use crate::error::ErrorKind;

#[test]
fn a_bad_value_is_named_with_file_line_column_and_text() {
    let folder = Folder::new();
    let options = SourceOptions { infer_types: false, ..typed(&[("x", "float64"), ("at", "timestamp")]) };
    let table = [
        ("a.csv", "k,x\na,1\n\"b\n\",abc\n", "a.csv: line 3: column x: wants float64, got 'abc'"),
        ("b.csv", "k,x\na,1,2\n", "b.csv: line 2: the header has 2 columns, this row has 3"),
        ("c.csv", "k,x\na\n", "c.csv: line 2: the header has 2 columns, this row has 1"),
        ("d.csv", "k,x\na,\"\"\n", "d.csv: line 2: column x: wants float64, got ''"),
        (
            "e.csv",
            "at\nyesterday\n",
            "e.csv: line 2: column at: wants timestamp (such as 2026-03-01T13:00:00Z), got 'yesterday'",
        ),
        ("f.csv", "", "f.csv: line 1: the file is empty; a header line with column names comes first"),
        ("g.csv", "a,b,a\n", "g.csv: line 1: two columns are named 'a'"),
        ("h.csv", ",\n1,2\n", "h.csv: line 1: no column has a name"),
        ("i.csv", "a\n\"b", "i.csv: line 2: a quote is opened and never closed"),
        ("a.jsonl", "{\"x\":1}\n\n{\"x\":\"abc\"}\n", "a.jsonl: line 3: column x: wants float64, got '\"abc\"'"),
        (
            "b.jsonl",
            "{\"x\":1}\n[1]\n",
            "b.jsonl: line 2: not one JSON object: invalid type: sequence, expected an object at column 0; write one object a \
             line, without the array around them: jq -c '.[]' does",
        ),
        ("c.jsonl", "{\"x\":1", "c.jsonl: line 1: not one JSON object: EOF while parsing an object at column 6"),
        ("d.jsonl", "{\"x\":1,\"x\":2}\n", "d.jsonl: line 1: the key 'x' stands twice"),
    ];
    for (name, contents, wanted) in table {
        let path = folder.file(name, contents);
        let error = read(&path, &options).unwrap_err();
        assert_eq!(folder.text_of(&error), wanted);
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    let latin1 = folder.file("latin1.csv", b"k\nM\xfcnchen\n");
    let text = folder.text_of(&read(&latin1, &options).unwrap_err());
    assert_eq!(text, "latin1.csv: line 2: column k: not UTF-8: 'M\u{fffd}nchen'");
}

#[test]
fn json_lines_without_an_object_are_said_to_be_none() {
    let folder = Folder::new();
    let path = folder.file("array.jsonl", "[{\"x\":1},{\"x\":2}]\n");
    // Types are inferred, as of a spine: nothing would be found, and each column missed.
    let error = read(&path, &SourceOptions::default()).map(drop).unwrap_err();
    let text = folder.text_of(&error);
    assert!(text.starts_with("array.jsonl: line 1: not one JSON object") && text.contains("jq -c '.[]'"), "{text}");
    let mixed = folder.file("mixed.jsonl", "oops\n{\"x\":1}\n");
    assert!(folder.text_of(&read(&mixed, &SourceOptions::default()).unwrap_err()).contains("mixed.jsonl: line 1"));
}

#[test]
fn what_cannot_be_read_twice_is_not_waited_for() {
    let folder = Folder::new();
    folder.file("a.csv", "x\n1\n");
    let pipe = folder.path("pipe.csv");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let error = read(&pipe, &SourceOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(folder.text_of(&error).starts_with("pipe.csv: it is a pipe or a device"), "{error}");
    // Among the files of a folder it would be missed.
    let error = read(&folder.0, &SourceOptions::default()).unwrap_err();
    assert!(folder.text_of(&error).contains("pipe.csv: it is a pipe or a device"), "{error}");
}

#[test]
fn a_codec_that_is_not_read_is_no_damage() {
    let folder = Folder::new();
    let path = folder.path("a.parquet");
    write(&path, &[batch(&[("x", "int64", vec![Value::Int64(1)])])]);
    let mut bytes = fs::read(&path).unwrap();
    // The codec of the one column: zstd is 6, Brotli 4, as zigzag varints in field 4 of its metadata.
    let footer = bytes.len() - 8 - u32::from_le_bytes(bytes[bytes.len() - 8..][..4].try_into().unwrap()) as usize;
    let path_in_schema = bytes[footer..].windows(3).rposition(|window| window == [0x18, 1, b'x']).unwrap() + footer;
    let codec = bytes[path_in_schema..].windows(2).position(|window| window == [0x15, 12]).unwrap() + path_in_schema;
    bytes[codec + 1] = 8;
    fs::write(&path, bytes).unwrap();
    let error = read(&path, &SourceOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(folder.text_of(&error).starts_with("a.parquet: is compressed with brotli"), "{error}");
}

#[test]
fn a_file_that_is_missing_foreign_or_nameless_is_said_to_be_so() {
    let folder = Folder::new();
    let table = [
        ("none.csv", None, "none.csv: no such file"),
        (
            "a.txt",
            Some("x"),
            "a.txt: the file's extension names no known format; known are .parquet, .csv, .tsv, .jsonl, .ndjson, .arrow, .arrows, .feather, .ipc",
        ),
        ("a.csv", Some("PAR1xxxxxxxxPAR1"), "a.csv: holds Parquet, which its extension does not say"),
        ("b.csv", Some("\u{1f}\u{8b}x"), "b.csv: line 2: x"),
        ("a.parquet", Some("k,v\n1,2\n"), "a.parquet: is no Parquet file: it does not begin with PAR1"),
        ("b.parquet", Some(""), "b.parquet: is no Parquet file: it does not begin with PAR1"),
        ("a.arrow", Some(""), "a.arrow: is empty, and so no Arrow IPC file"),
        (
            "a.feather",
            Some("FEA1xxxx"),
            "a.feather: is a Feather file of version 1, which is not read; write it again as version 2, which is Arrow IPC",
        ),
    ];
    for (name, contents, wanted) in table {
        let path = contents.map_or_else(|| folder.path(name), |contents| folder.file(name, contents));
        if name == "b.csv" {
            // Two bytes of gzip, not their UTF-8.
            fs::write(&path, [0x1f, 0x8b, 8, 0]).unwrap();
            let error = read(&path, &SourceOptions::default()).unwrap_err();
            assert_eq!(folder.text_of(&error), "b.csv: is compressed with gzip; decompress it first: gzip -d");
            continue;
        }
        let error = read(&path, &SourceOptions::default()).unwrap_err();
        assert_eq!(folder.text_of(&error), wanted);
    }
    assert_eq!(read(&folder.path("none.csv"), &SourceOptions::default()).unwrap_err().kind(), ErrorKind::NotFound);
    fs::create_dir(folder.path("empty")).unwrap();
    let error = read(&folder.path("empty"), &SourceOptions::default()).unwrap_err();
    assert_eq!(folder.text_of(&error), "empty: no file of a known format in this folder");
}

#[test]
fn a_file_cut_short_anywhere_is_an_error_that_names_it() {
    let folder = Folder::new();
    let numbers: Vec<Value> = (0..2_000).map(Value::Int64).collect();
    for format in ["parquet", "arrow"] {
        let path = folder.path(&format!("whole.{format}"));
        write(&path, &[batch(&[("a", "int64", numbers.clone()), ("b", "int64", numbers.clone())])]);
        let whole = fs::read(&path).unwrap();
        for cut in [1, 4, 8, 11, 40, whole.len() / 2, whole.len() - 9, whole.len() - 1] {
            let path = folder.file(&format!("cut.{format}"), &whole[..cut]);
            let error = read(&path, &SourceOptions::default()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged, "{format} cut at {cut}: {error}");
            assert!(folder.text_of(&error).starts_with(&format!("cut.{format}: ")), "{error}");
        }
    }
}

#[test]
fn bad_rows_are_set_aside_and_the_others_keep_their_numbers() {
    let folder = Folder::new();
    let csv = "k,x\na,1\nb,oops\nc,3,4\n,4\n\"\",5\n";
    let json = "{\"k\":\"a\",\"x\":1}\n{\"k\":\"b\",\"x\":\"oops\"}\nnonsense\n{\"x\":4}\n{\"k\":\"\",\"x\":5}\n";
    for (name, contents) in [("a.csv", csv), ("a.jsonl", json)] {
        let path = folder.file(name, contents);
        let bad = Arc::new(Mutex::new(Vec::new()));
        let on_bad_row: BadRowHandler = {
            let bad = bad.clone();
            Arc::new(move |row| {
                bad.lock().unwrap().push(row);
                Ok(())
            })
        };
        let options = SourceOptions { on_bad_row: Some(on_bad_row), ..typed(&[("k", "string"), ("x", "int64")]) };
        let mut source = open_source(&path, &options).unwrap();
        let good = source.next_batch().unwrap().unwrap();
        let wanted = batch(&[
            ("k", "string", vec![Value::String("a".into()), Value::Null, Value::String(String::new())]),
            ("x", "int64", vec![Value::Int64(1), Value::Int64(4), Value::Int64(5)]),
        ]);
        assert_eq!(good, wanted, "{name}");
        assert_eq!((0..3).map(|i| source.origin().row(i)).collect::<Vec<_>>(), [1, 4, 5]);
        let bad = bad.lock().unwrap();
        assert_eq!(bad.iter().map(|row| row.row).collect::<Vec<_>>(), [2, 3]);
        assert!(bad[0].reason.contains("column x: wants int64, got"), "{}", bad[0].reason);
        let values: serde_json::Value = serde_json::from_str(&bad[0].values).unwrap();
        assert_eq!(values["x"], "oops");
    }
}

#[test]
fn a_row_set_aside_is_as_it_was_written() {
    let folder = Folder::new();
    // Read into values, the numbers would be 1.2345678901234567e19 and 1.1, and one of the twins gone.
    let rows = [r#"{"x":"oops", "n": 12345678901234567890.10,"v":1.10}"#, r#"{"x":1,"x":2}"#];
    let path = folder.file("a.jsonl", format!("{}\n{}\r\n[1]\n", rows[0], rows[1]));
    let bad = Arc::new(Mutex::new(Vec::new()));
    let taken = bad.clone();
    let on_bad_row: BadRowHandler = Arc::new(move |row| {
        taken.lock().unwrap().push(row.values);
        Ok(())
    });
    let options = SourceOptions { on_bad_row: Some(on_bad_row), ..typed(&[("x", "int64")]) };
    assert!(open_source(&path, &options).unwrap().next_batch().unwrap().is_none());
    assert_eq!(*bad.lock().unwrap(), [rows[0], rows[1], r#"{"line":"[1]"}"#]);
}

#[test]
fn json_lines_whose_keys_are_no_columns_are_refused_when_their_types_are_asked_for() {
    let folder = Folder::new();
    let rows: String = (0..10_001).map(|key| format!("{{\"id\":1,\"key{key}\":1}}\n")).collect();
    let path = folder.file("a.jsonl", rows);
    let Err(error) = open_source(&path, &SourceOptions::default()) else { panic!("10,001 columns") };
    let text = folder.text_of(&error);
    assert!(text.starts_with("a.jsonl: line 10000: more than 10000 different keys up to here"), "{text}");
    assert!(text.contains("into one object"), "{text}");
}

#[test]
fn a_sink_dropped_midway_leaves_nothing_and_harms_nothing() {
    let folder = Folder::new();
    let rows = batch(&[("a", "int64", vec![Value::Int64(1)])]);
    for format in ["parquet", "arrow", "csv", "jsonl"] {
        let path = folder.file(&format!("old.{format}"), "old");
        let mut sink = create_sink(&path, rows.schema_ref(), Vec::new()).unwrap();
        sink.write(&rows).unwrap();
        assert_eq!(folder.names().len(), 2, "{format}");
        drop(sink);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        fs::remove_file(&path).unwrap();
        assert_eq!(folder.names(), [""; 0], "{format}");
    }
}

#[test]
fn a_sink_that_cannot_be_made_says_why() {
    let folder = Folder::new();
    let rows = batch(&[("a", "int64", vec![])]);
    let text = |name: &str| match create_sink(&folder.path(name), rows.schema_ref(), Vec::new()) {
        Ok(_) => panic!("{name} was made"),
        Err(error) => folder.text_of(&error),
    };
    assert!(text("a.xlsx").starts_with("a.xlsx: the file's extension names no known format; known are .parquet, .csv"));
    assert!(text("none/a.csv").ends_with("none: no such folder"));
    assert!(text("a.arrows").ends_with("call the file .arrow"));
    assert_eq!(folder.names(), [""; 0]);
}

/// Found by fuzzing: Arrow panicked where a buffer's place lay beyond the file.
#[test]
fn no_flipped_byte_of_an_arrow_file_is_a_panic() {
    let folder = Folder::new();
    let path = folder.path("a.arrow");
    write(&path, &[batch(&[("k", "int64", vec![Value::Int64(1), Value::Null])])]);
    let sound = fs::read(&path).unwrap();
    let mut reasons = String::new();
    for at in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x81;
        fs::write(&path, bytes).unwrap();
        if let Err(error) = read(&path, &SourceOptions::default()) {
            reasons += &error.to_string();
        }
    }
    assert!(reasons.contains("a length in it is greater than the file"), "lengths are held against the file");
}

/// A file and a stream of a thousand numbers and a dictionary of a thousand words of ten bytes, compressed.
fn compressed(compression: CompressionType) -> [(&'static str, Vec<u8>); 2] {
    let words: Vec<String> = (0..1_000).map(|i| format!("word {i:05}")).collect();
    let words: DictionaryArray<Int32Type> = words.iter().map(String::as_str).collect();
    let numbers = column(&DataType::Int64, &(0..1_000).map(Value::Int64).collect::<Vec<_>>());
    let rows = RecordBatch::try_from_iter([("n", numbers), ("w", Arc::new(words) as ArrayRef)]).unwrap();
    let options = || IpcWriteOptions::default().try_with_compression(Some(compression)).unwrap();
    let mut file = FileWriter::try_new_with_options(Vec::new(), &rows.schema(), options()).unwrap();
    let mut stream = StreamWriter::try_new_with_options(Vec::new(), &rows.schema(), options()).unwrap();
    file.write(&rows).unwrap();
    stream.write(&rows).unwrap();
    [("a.feather", file.into_inner().unwrap()), ("a.arrow", stream.into_inner().unwrap())]
}

/// Arrow allocates what a compressed buffer says it will be, and an allocation that fails ends the process: one bad
/// word in an LZ4 file did.
#[test]
fn a_compressed_buffer_that_declares_any_length_is_damage() {
    let folder = Folder::new();
    for compression in [CompressionType::LZ4_FRAME, CompressionType::ZSTD] {
        for (name, sound) in compressed(compression) {
            assert_eq!(read(&folder.file(name, &sound), &SourceOptions::default()).unwrap().num_rows(), 1_000);
            // Of the numbers, and of the words in the dictionary.
            for length in [8_000_i64, 10_000] {
                let places: Vec<usize> = sound
                    .windows(8)
                    .enumerate()
                    .filter(|(_, word)| *word == length.to_le_bytes())
                    .map(|(at, _)| at)
                    .collect();
                assert!(!places.is_empty(), "{compression:?} {name} {length}");
                for wrong in [length + 1, 1 << 20, 1 << 40, i64::MAX, i64::MIN, -2] {
                    let mut bytes = sound.clone();
                    bytes[places[0]..][..8].copy_from_slice(&wrong.to_le_bytes());
                    let error = read(&folder.file(name, bytes), &SourceOptions::default()).unwrap_err();
                    let error = (error.kind(), folder.text_of(&error));
                    let is_named = error.1.starts_with(&format!("{name}: cannot be read as Arrow IPC: "));
                    assert!(
                        error.0 == ErrorKind::Damaged && is_named,
                        "{compression:?} {length} as {wrong}: {error:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn rows_that_are_set_aside_are_no_fault_of_the_file_where_types_are_inferred_either() {
    let folder = Folder::new();
    let path = folder.file("a.jsonl", "oops\n[1]\n");
    let seen = Arc::new(Mutex::new(0));
    let count = Arc::clone(&seen);
    let on_bad_row: BadRowHandler = Arc::new(move |_| {
        *count.lock().unwrap() += 1;
        Ok(())
    });
    let options = SourceOptions { on_bad_row: Some(on_bad_row), ..SourceOptions::default() };
    assert_eq!(read(&path, &options).unwrap().num_rows(), 0);
    assert_eq!(*seen.lock().unwrap(), 2);
    // Nor are objects without a key.
    let empty = folder.file("b.jsonl", "{}\n{}\n");
    assert!(read(&empty, &SourceOptions::default()).is_ok());
}

/// A file has its dictionaries once, as they are at last, however many parts they came in; a stream has each as it was.
#[test]
fn what_dictionaries_grow_by_counts_once_in_a_file() {
    let folder = Folder::new();
    let words: Vec<String> = (0..200).map(|word| format!("{word:01000}")).collect();
    let batch = |count: usize| {
        let keys = Int32Array::from(vec![i32::try_from(count).unwrap() - 1]);
        let words = StringArray::from_iter_values(&words[..count]);
        let words: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::new(words)));
        RecordBatch::try_from_iter([("w", words)]).unwrap()
    };
    let options = || IpcWriteOptions::default().with_dictionary_handling(DictionaryHandling::Delta);
    let mut file = FileWriter::try_new_with_options(Vec::new(), batch(1).schema_ref(), options()).unwrap();
    let mut stream = StreamWriter::try_new_with_options(Vec::new(), batch(1).schema_ref(), options()).unwrap();
    for count in 1..=200 {
        file.write(&batch(count)).unwrap();
        stream.write(&batch(count)).unwrap();
    }
    let within = SourceOptions { decoded_bytes_max: Some(2 << 20), is_read_whole: true, ..SourceOptions::default() };
    let read = |name: &str, bytes: Vec<u8>| {
        assert!(bytes.len() < 1 << 20, "{name}: {} bytes, of each word once", bytes.len());
        open_source(&folder.file(name, bytes), &within).and_then(|mut source| source.read_all())
    };
    assert_eq!(read("a.feather", file.into_inner().unwrap()).unwrap().num_rows(), 200);
    let error = read("a.arrows", stream.into_inner().unwrap()).unwrap_err();
    assert!(error.to_string().contains("takes more than 2097152 bytes of memory at once"), "{error}");
}

/// A few bytes made a dictionary anew for as long as a file listed them.
#[test]
fn work_that_a_file_asks_for_has_bounds() {
    let folder = Folder::new();
    let batch = |number: usize| {
        let words: StringArray = (0..100).map(|word| Some(format!("{:01000}", 100 * number + word))).collect();
        let words: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::new(Int32Array::from(vec![0]), Arc::new(words)));
        RecordBatch::try_from_iter([("w", words)]).unwrap()
    };
    // Dictionaries that take the place of others are as long as the file; those that grow are copied each time.
    let within = |bytes_max| SourceOptions { decoded_bytes_max: Some(bytes_max), ..SourceOptions::default() };
    let mut stream = StreamWriter::try_new(Vec::new(), batch(0).schema_ref()).unwrap();
    (0..60).for_each(|number| stream.write(&batch(number)).unwrap());
    read(&folder.file("a.arrows", stream.into_inner().unwrap()), &within(300_000)).map(drop).unwrap();
    let grown = |batches: usize| {
        let words = |count: usize| -> ArrayRef {
            let words: StringArray = (0..count).map(|word| Some(format!("{word:04}"))).collect();
            Arc::new(DictionaryArray::<Int32Type>::new(Int32Array::from(vec![0]), Arc::new(words)))
        };
        let batch = |count| RecordBatch::try_from_iter([("w", words(count))]).unwrap();
        let deltas = IpcWriteOptions::default().with_dictionary_handling(DictionaryHandling::Delta);
        let mut stream = StreamWriter::try_new_with_options(Vec::new(), batch(1).schema_ref(), deltas).unwrap();
        (1..=batches).for_each(|count| stream.write(&batch(count)).unwrap());
        read(&folder.file("grown.arrows", stream.into_inner().unwrap()), &within(500_000)).map(drop)
    };
    grown(1_000).unwrap();
    assert!(grown(1_800).unwrap_err().to_string().contains("its dictionaries grow too often"));
    // Each block of a file may be as long as the file, and not all of them.
    let mut file = FileWriter::try_new(Vec::new(), batch(0).schema_ref()).unwrap();
    let same = batch(0);
    (0..3).for_each(|_| file.write(&same).unwrap());
    let mut bytes = file.into_inner().unwrap();
    let footer_bytes = i32::from_le_bytes(*bytes[bytes.len() - 10..].first_chunk().unwrap()).unsigned_abs() as usize;
    let footer = bytes.len() - 10 - footer_bytes;
    let read_footer = arrow_ipc::root_as_footer(&bytes[footer..footer + footer_bytes]).unwrap();
    let blocks: Vec<arrow_ipc::Block> = read_footer.recordBatches().unwrap().iter().copied().collect();
    for block in &blocks {
        let at = footer + bytes[footer..].windows(24).position(|window| *window == block.0).unwrap();
        let head_end = block.offset() + i64::from(block.metaDataLength());
        let rest = i64::try_from(footer).unwrap() - head_end;
        bytes[at + 16..at + 24].copy_from_slice(&rest.to_le_bytes());
    }
    let error = open_source(&folder.file("a.feather", bytes), &SourceOptions::default()).map(drop).unwrap_err();
    assert!(error.to_string().contains("a length in it is greater than the file"), "{error}");
}
