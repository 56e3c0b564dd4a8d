use std::sync::Arc;

use arrow_array::builder::*;
use arrow_array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray, UInt8Array};
use arrow_buffer::ScalarBuffer;

use super::model::*;
use crate::disk::{Disk, Random};
use crate::format::row::RowKind;
use crate::history::*;
use crate::threads::knob::without_threads;
use crate::value::{DataType, Value};

fn column(data_type: &DataType, values: impl Iterator<Item = Value>) -> ArrayRef {
    let mut builder = crate::history::column_builder::ColumnBuilder::new(data_type);
    for value in values {
        let mut bytes = Vec::new();
        if value.is_null() {
            builder.push_null();
        } else {
            crate::format::value::encode_value(data_type, &value, &mut bytes).unwrap();
            builder.push(&bytes).unwrap();
        }
    }
    builder.finish().unwrap()
}

pub(super) fn batch(schema: &RunSchema, rows: &[ModelRow]) -> BulkBatch {
    let keys: Vec<Vec<Value>> = rows.iter().map(|row| schema.keys().decode(&row.key).unwrap()).collect();
    let mut event_ids = BinaryBuilder::new();
    rows.iter().for_each(|row| event_ids.append_option((!row.event_id.is_empty()).then_some(&row.event_id)));
    let created: TimestampMicrosecondArray = rows.iter().map(|row| row.created).collect();
    BulkBatch {
        keys: (0..schema.keys().columns().len())
            .map(|i| column(&schema.keys().columns()[i].1, keys.iter().map(|key| key[i].clone())))
            .collect(),
        event_ts: rows.iter().map(|row| row.event_ts).collect::<ScalarBuffer<i64>>(),
        created: schema.declares_created().then(|| Arc::new(created.with_timezone("UTC")) as ArrayRef),
        kind: Some(Arc::new(rows.iter().map(|row| Some(row.kind as u8)).collect::<UInt8Array>())),
        event_id: Some(Arc::new(event_ids.finish())),
        features: (0..schema.fields().len())
            .map(|i| {
                let values = rows.iter().map(|row| row.fields.get(i).cloned().flatten().unwrap_or(Value::Null));
                column(&schema.fields()[i].1, values)
            })
            .collect(),
    }
}

/// Rows that an import can hold: fields are values or null, and rows are values or deletes.
pub(super) fn import_rows(schema: &RunSchema, count: usize, keys: u64, random: &mut Random) -> Vec<ModelRow> {
    let mut rows = random_rows(schema, count, keys, 0, true, random);
    for row in &mut rows {
        if random.below(10) == 0 {
            row.event_id = b"id".to_vec();
        }
        if random.below(10) == 0 {
            (row.kind, row.fields) = (RowKind::Delete, Vec::new());
        }
    }
    rows
}

#[test]
fn an_import_gives_the_rows_of_its_batches_in_order_whether_it_spills_or_not() {
    for keys in [vec![DataType::Int64], vec![DataType::String, DataType::Int64], vec![]] {
        let schema = everything(&keys, 16, true);
        let rows = import_rows(&schema, 6_000, 300, &mut Random::new(11));
        for (bytes_max, file_bytes) in [(usize::MAX, u64::MAX), (usize::MAX, 200_000), (300_000, 200_000), (0, 1 << 30)]
        {
            let folder = Folder::new(file_bytes);
            let files = folder
                .with_output(|output| {
                    let builder = BulkBuilder::new(&schema, SEED, *output, scratch(), StagingBudget::of(bytes_max));
                    let count = builder.extend(rows.chunks(500).map(|rows| Ok(batch(&schema, rows))))?;
                    assert_eq!(count, 6_000);
                    builder.finish()
                })
                .unwrap();
            assert_eq!(files.iter().map(|file| file.rows).sum::<u64>(), 6_000);
            assert_eq!(folder.disk.list(dir()).unwrap().len(), 2 * files.len());
            assert!(folder.disk.list(scratch()).unwrap().is_empty(), "spilled pieces are removed");
            if keys.is_empty() || file_bytes > 1 << 20 {
                assert_eq!(files.len(), 1);
            } else {
                assert!(files.len() > 2 && files.len() < 60, "{} files", files.len());
            }
            assert_holds(&schema, &folder.open(&schema, &files, 0), &rows, hash);
        }
    }
}

#[test]
fn an_import_and_a_merge_are_built_where_there_is_no_thread_to_be_had() {
    let schema = everything(&[DataType::Int64], 16, true);
    let rows = import_rows(&schema, 6_000, 300, &mut Random::new(11));
    let folder = Folder::new(200_000);
    let here = std::thread::current().id();
    folder.disk.on_operation(move |_| assert_eq!(std::thread::current().id(), here));
    without_threads(|| {
        let import = |rows: &[ModelRow]| {
            let built = folder.with_output(|output| {
                let output = RunOutput { threads: 4, is_durable: true, ..*output };
                let builder = BulkBuilder::new(&schema, SEED, output, scratch(), StagingBudget::of(usize::MAX));
                builder.extend(rows.chunks(500).map(|rows| Ok(batch(&schema, rows))))?;
                builder.finish()
            });
            built.unwrap()
        };
        let runs = [import(&rows[..3_000]), import(&rows[3_000..])];
        assert!(runs.iter().all(|files| files.len() > 1), "jobs for several threads");
        let [earlier, later] =
            [(&runs[0], 0), (&runs[1], 3_000)].map(|(files, base)| folder.open(&schema, files, base));
        let files: Vec<&RunFile> = earlier.iter().chain(&later).collect();
        let merged = folder
            .with_output(|output| merge_runs(&files, &schema, &RunOutput { threads: 4, is_durable: true, ..*output }));
        assert_holds(&schema, &folder.open(&schema, &merged.unwrap(), 0), &rows, hash);
    });
}

#[test]
fn a_small_import_makes_one_small_file() {
    let schema = everything(&[DataType::Int64], 2, false);
    let rows = import_rows(&schema, 10, 10, &mut Random::new(12));
    let folder = Folder::new(crate::options::Sizes::default().run_file_bytes);
    let files = folder
        .with_output(|output| {
            let builder = BulkBuilder::new(&schema, SEED, *output, scratch(), StagingBudget::of(1 << 20));
            builder.push(0, &batch(&schema, &rows))?;
            builder.finish()
        })
        .unwrap();
    assert_eq!(files.len(), 1);
    assert!(files[0].run_bytes + files[0].index_bytes < 8_000, "{files:?}");
}

#[test]
fn no_rows_make_no_file() {
    let schema = everything(&[DataType::Int64], 2, false);
    let folder = Folder::new(1 << 20);
    let files =
        folder.with_output(|output| BulkBuilder::new(&schema, SEED, *output, scratch(), StagingBudget::of(0)).finish());
    assert!(files.unwrap().is_empty());
    assert!(folder.seal(&schema, &[]).is_empty());
}

#[test]
fn a_column_of_another_type_is_refused_by_name() {
    let schema = everything(&[DataType::Int64], 3, false);
    let rows = import_rows(&schema, 3, 2, &mut Random::new(13));
    let mut wrong = batch(&schema, &rows);
    wrong.features[1] = Arc::new(StringArray::from(vec!["a"; 3]));
    let mut null_key = batch(&schema, &rows);
    null_key.keys[0] = Arc::new(Int64Array::from(vec![None; 3]));
    let folder = Folder::new(1 << 20);
    for (batch, text) in [(wrong, "everything@1:f1: wants int32, got Utf8"), (null_key, "join key k0: is null")] {
        let error = folder.with_output(|output| {
            BulkBuilder::new(&schema, SEED, *output, scratch(), StagingBudget::of(0))
                .push(0, &batch)
                .unwrap_err()
                .to_string()
        });
        assert_eq!(error, text);
    }
    assert!(folder.disk.list(dir()).unwrap().is_empty());
}
