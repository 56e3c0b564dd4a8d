//! What several fuzz targets need: types, rows of them, a changed copy of sound bytes, importers.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use asof::disk::{Disk, MemDisk, OpenMode};
use asof::exchange::{BadRowHandler, SourceOptions, create_sink, open_source, typed_field};
use asof::format::columns::array_from_values;
use asof::value::{DataType, Value};

/// One of each type.
pub fn all_types() -> Vec<DataType> {
    let types = "bool int32 int64 float32 float64 string bytes timestamp date decimal(12,2) decimal(38,0) uuid json list<int64> list<string> list<bool> list<json> list<decimal(9,3)> vector<3>";
    types.split(' ').map(|text| text.parse().expect("a type")).collect()
}

/// A value of a type, or null, told apart by `number`.
pub fn value_of(data_type: &DataType, number: u8) -> Value {
    if number % 5 == 4 {
        return Value::Null;
    }
    let text = format!("\"{}{number}\"", "x".repeat(usize::from(number % 3) * 12));
    match data_type {
        DataType::Bool => Value::Bool(number % 2 == 0),
        DataType::Int32 => Value::Int32(number.into()),
        DataType::Int64 => Value::Int64(number.into()),
        DataType::Float32 => Value::Float32(number.into()),
        DataType::Float64 => Value::Float64(number.into()),
        DataType::String => Value::String(text),
        DataType::Bytes => Value::Bytes(text.into_bytes()),
        DataType::Timestamp => Value::Timestamp(number.into()),
        DataType::Date => Value::Date(number.into()),
        DataType::Decimal { .. } => Value::Decimal(number.into()),
        DataType::Uuid => Value::Uuid([number; 16]),
        DataType::Json => Value::Json(text),
        DataType::List(element) => Value::List((0..number % 4).map(|i| value_of(element, number ^ i)).collect()),
        DataType::Vector(len) => Value::Vector((0..*len).map(|_| f32::from(number)).collect()),
    }
}

/// Applies changes of five bytes each to `bytes`: a place (three bytes, wrapped to the length), what to do there, an
/// operand.
pub fn mutate(bytes: &mut Vec<u8>, changes: &[u8]) {
    for change in changes.as_chunks::<5>().0 {
        if bytes.is_empty() {
            return;
        }
        let [a, b, c, what, operand] = *change;
        let at = u32::from_le_bytes([a, b, c, 0]) as usize % bytes.len();
        match what % 8 {
            0..=2 => bytes[at] ^= operand,
            3 => bytes[at] = operand,
            4 => bytes[at..].iter_mut().take(8).for_each(|byte| *byte = operand),
            5 => bytes[at] = bytes[at].wrapping_add(operand),
            6 => bytes.truncate(at),
            _ => bytes.insert(at, operand),
        }
    }
}

/// Makes a file of these bytes.
pub fn put(disk: &MemDisk, path: &str, bytes: &[u8]) {
    disk.open(path.as_ref(), OpenMode::Create).and_then(|file| file.write_at(0, bytes)).expect("a disk in memory");
}

/// The bytes of a file.
pub fn get(disk: &MemDisk, path: &std::path::Path) -> Vec<u8> {
    disk.map(path).expect("the file is there").to_vec()
}

/// A file in the system's folder for temporary files, gone with this.
pub struct Temporary(PathBuf);

impl Temporary {
    /// A file of these bytes; `extension` says what it is to be read as.
    pub fn new(extension: &str, bytes: &[u8]) -> Temporary {
        let path = std::env::temp_dir().join(format!("asof-fuzz-{}.{extension}", std::process::id()));
        std::fs::write(&path, bytes).expect("a temporary file");
        Temporary(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Lets the code under test catch panics of the libraries it calls; one that it does not catch still ends the fuzzer.
pub fn allow_caught_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|_| {})));
}

/// Reads a whole file of these bytes, and validates every batch; how many rows came.
pub fn import(extension: &str, bytes: &[u8], options: &SourceOptions) -> asof::Result<usize> {
    let file = Temporary::new(extension, bytes);
    let mut source = open_source(&file.0, options)?;
    let mut rows = 0;
    while let Some(batch) = source.next_batch()? {
        rows += batch.num_rows();
        for column in batch.columns() {
            column.to_data().validate_full().expect("a batch that an importer gave is sound");
        }
        source.origin().row(batch.num_rows() - 1);
        // Nothing that fits a small file takes long; a tiny one that declares many rows might.
        if rows > 1 << 20 {
            break;
        }
    }
    Ok(rows)
}

/// Imports a sound file of this kind with changes, or, once in eight times, what is no such file at all. The first byte
/// of `bytes` chooses how, the others are the changes or the file.
pub fn import_changed(extension: &str, bytes: &[u8]) {
    static SOUND: OnceLock<Vec<u8>> = OnceLock::new();
    allow_caught_panics();
    let sound = SOUND.get_or_init(|| sound_file(extension));
    let Some((choice, changes)) = bytes.split_first() else { return };
    let mut contents = changes.to_vec();
    if choice % 8 != 0 {
        contents.clone_from(sound);
        mutate(&mut contents, changes);
    }
    let options = SourceOptions {
        batch_rows: if choice & 64 != 0 { 2 } else { 1_000 },
        projection: (choice & 128 != 0).then(|| vec!["c3".to_owned(), "c14".to_owned()]),
        ..SourceOptions::default()
    };
    let _ = import(extension, &contents, &options).inspect_err(|error| drop(error.to_string()));
}

/// Ways of reading a text file, chosen by a byte.
pub fn text_options(choice: u8, columns: &[&str]) -> SourceOptions {
    let types = all_types();
    let handler: BadRowHandler = Arc::new(|_| Ok(()));
    SourceOptions {
        column_types: (choice & 1 != 0).then(|| {
            let picks = columns.iter().enumerate();
            picks
                .map(|(i, name)| ((*name).to_owned(), types[(i * 7 + usize::from(choice)) % types.len()].clone()))
                .collect()
        }),
        infer_types: choice & 2 != 0,
        on_bad_row: (choice & 4 != 0).then_some(handler),
        batch_rows: if choice & 8 != 0 { 2 } else { 1_000 },
        timestamp_format: (choice & 16 != 0).then(|| "%Y-%m-%d %H:%M".to_owned()),
        delimiter: (choice & 32 != 0).then_some(';'),
        projection: (choice & 64 != 0).then(|| vec![columns[0].to_owned()]),
        ..SourceOptions::default()
    }
}

/// A small sound file of this kind, with a column of each type.
pub fn sound_file(extension: &str) -> Vec<u8> {
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for (i, data_type) in all_types().iter().enumerate() {
        let values: Vec<Value> = (0..6).map(|number| value_of(data_type, number)).collect();
        fields.push(typed_field(&format!("c{i}"), data_type));
        arrays.push(array_from_values(data_type, &values).expect("values of the type"));
    }
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("a batch");
    let file = Temporary::new(extension, b"");
    std::fs::remove_file(&file.0).expect("it was just made");
    let mut sink = create_sink(&file.0, batch.schema_ref(), Vec::new()).expect("a sink");
    sink.write(&batch).expect("a write");
    sink.finish().expect("a file");
    std::fs::read(&file.0).expect("the file")
}
