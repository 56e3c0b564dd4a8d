use std::io::Cursor;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_ipc::reader::FileReader;

use super::model::*;
use crate::disk::Random;
use crate::error::ErrorKind;
use crate::format::row::{FieldState, RowKind};
use crate::history::*;
use crate::value::DataType;

fn pair() -> RunSchema {
    everything(&[DataType::String, DataType::Int64], 16, true)
}

#[test]
fn sealed_rows_of_every_type_come_back_in_order_whatever_the_files() {
    let schema = pair();
    let rows = random_rows(&schema, 3_000, 200, 10, false, &mut Random::new(1));
    for (file_bytes, files_min) in [(u64::MAX, 1), (100_000, 3)] {
        let folder = Folder::new(file_bytes);
        let files = folder.seal(&schema, &[collect(&schema, &rows[..1_000]), collect(&schema, &rows[1_000..])]);
        assert!(files.len() >= files_min && files.len() < 40, "{} files", files.len());
        assert!(files.windows(2).all(|pair| pair[0].hash_hi < pair[1].hash_lo), "files split the hashes");
        // Threads take numbers as they come to write.
        let run = files.iter().map(|file| file.id).min();
        assert!(files.iter().all(|file| Some(file.run) == run));
        assert_holds(&schema, &folder.open(&schema, &files, 0), &rows, hash);
    }
}

#[test]
fn keys_of_every_type_are_found_and_absent_ones_are_not() {
    for keys in [
        vec![],
        vec![DataType::String],
        vec![DataType::Bytes, DataType::Bool],
        vec![DataType::Uuid, DataType::Date],
        vec![DataType::Bool],
        vec![DataType::Int64, DataType::String, DataType::Bytes],
    ] {
        let schema = everything(&keys, 2, false);
        let rows = random_rows(&schema, 500, 100, 0, false, &mut Random::new(2));
        let folder = Folder::new(u64::MAX);
        let runs = folder.open(&schema, &folder.seal(&schema, &[collect(&schema, &rows)]), 0);
        assert_holds(&schema, &runs, &rows, hash);
        for other in [&b"no such key"[..], b"", b"key-", b"\x01\x02"] {
            let is_there = rows.iter().any(|row| row.key == other);
            assert_eq!(runs[0].find(hash(other), other).unwrap().is_some(), is_there, "{keys:?} {other:?}");
        }
    }
}

#[test]
fn keys_whose_hashes_collide_are_told_apart() {
    fn colliding(key: &[u8]) -> u64 {
        hash(key) % 5 + 1_000
    }
    let schema = pair();
    let rows = random_rows(&schema, 1_000, 60, 0, false, &mut Random::new(3));
    let mut unsorted = collect(&schema, &rows);
    unsorted.hashes = (0..rows.len()).map(|i| colliding(unsorted.keys.get(i))).collect();
    let folder = Folder::new(u64::MAX);
    let runs = folder.open(&schema, &folder.seal(&schema, &[unsorted]), 0);
    assert_holds(&schema, &runs, &rows, colliding);
    assert_eq!(runs[0].find(1_002, b"none of them").unwrap(), None);
}

#[test]
fn runs_of_few_hashes_merge_into_files_that_split_them() {
    fn few(key: &[u8]) -> u64 {
        u64::MAX - hash(key) % 5
    }
    let schema = everything(&[DataType::Int64], 6, true);
    let folder = Folder::new(3_000);
    let rows = random_rows(&schema, 900, 40, 0, false, &mut Random::new(14));
    let mut runs = Vec::new();
    for rows in rows.chunks(300) {
        let mut unsorted = collect(&schema, rows);
        unsorted.hashes = rows.iter().map(|row| few(&row.key)).collect();
        runs.extend(folder.open(&schema, &folder.seal(&schema, &[unsorted]), 0));
    }
    let inputs: Vec<&RunFile> = runs.iter().collect();
    let files = folder.with_output(|output| merge_runs(&inputs, &schema, output)).unwrap();
    assert_eq!(files.len(), 5, "one a hash: a hash is not split here");
    assert_holds(&schema, &folder.open(&schema, &files, 0), &rows, few);
}

#[test]
fn a_failing_disk_is_an_error_at_every_operation() {
    let schema = everything(&[DataType::Int64], 6, false);
    let rows = random_rows(&schema, 500, 40, 0, false, &mut Random::new(15));
    let operations = {
        let folder = Folder::new(20_000);
        folder.seal(&schema, &[collect(&schema, &rows)]);
        folder.disk.operations()
    };
    let folders = Folder::new(0).disk.operations();
    assert!(operations > folders + 10);
    for fail_after in folders..operations {
        let folder = Folder::new(20_000);
        folder.disk.fail_after(fail_after);
        let result = folder.with_output(|output| seal(&schema, &[collect(&schema, &rows)], output));
        assert!(result.is_err(), "operation {fail_after} failed unnoticed");
    }
}

#[test]
fn a_view_truncate_keeps_its_empty_key() {
    let schema = everything(&[DataType::Int64], 1, false);
    let mut rows = random_rows(&schema, 20, 5, 0, true, &mut Random::new(4));
    rows[7].key.clear();
    rows[7].kind = RowKind::ViewTruncate;
    rows[7].fields.clear();
    let folder = Folder::new(u64::MAX);
    let runs = folder.open(&schema, &folder.seal(&schema, &[collect(&schema, &rows)]), 0);
    assert_holds(&schema, &runs, &rows, hash);
    assert_eq!(runs[0].find(hash(b""), b"").unwrap().map(|rows| rows.len()), Some(1));
}

#[test]
fn merged_runs_keep_every_row_and_rows_older_than_a_feature_are_null_there() {
    let (old, new) = (everything(&[DataType::Int64], 9, true), everything(&[DataType::Int64], 16, true));
    let mut random = Random::new(5);
    let folder = Folder::new(60_000);
    let (mut runs, mut rows) = (Vec::new(), Vec::new());
    for (number, schema) in [&old, &new, &old, &new, &new].into_iter().enumerate() {
        // Imported runs number their rows from 0; the registry knows their base.
        let base = number as u64 * 1_000;
        let more = random_rows(schema, 400, 70, 0, false, &mut random);
        let files = folder.seal(schema, &[collect(schema, &more)]);
        runs.extend(folder.open(&new, &files, base));
        rows.extend(more.into_iter().map(|row| ModelRow { seq: base + row.seq, ..row }));
    }
    let inputs: Vec<&RunFile> = runs.iter().collect();
    let files = folder.with_output(|output| merge_runs(&inputs, &new, output)).unwrap();
    assert!(files.len() > 1);
    assert!(files.windows(2).all(|pair| pair[0].hash_hi < pair[1].hash_lo), "files split the hashes");
    assert_holds(&new, &folder.open(&new, &files, 0), &rows, hash);
}

#[test]
fn a_run_older_than_a_feature_answers_null_for_it() {
    let (old, new) = (everything(&[DataType::Int64], 2, false), everything(&[DataType::Int64], 3, false));
    let rows = random_rows(&old, 50, 5, 0, true, &mut Random::new(6));
    let folder = Folder::new(u64::MAX);
    let files = folder.seal(&old, &[collect(&old, &rows)]);
    let runs = folder.open(&new, &files, 0);
    assert!(runs[0].column(2).unwrap().is_none());
    assert_eq!(runs[0].field_state(0, 2).unwrap(), FieldState::Null);
}

#[test]
fn the_latest_row_of_each_key_is_handed_out_in_hash_order() {
    let schema = everything(&[DataType::Int64], 1, true);
    let rows = random_rows(&schema, 2_000, 300, 0, false, &mut Random::new(7));
    let folder = Folder::new(20_000);
    let runs = folder.open(&schema, &folder.seal(&schema, &[collect(&schema, &rows)]), 0);
    let mut latest = std::collections::BTreeMap::new();
    for row in &rows {
        let place = latest.entry((hash(&row.key), row.key.clone())).or_insert((i64::MIN, None, 0));
        *place = (*place).max((row.event_ts, row.created, row.seq));
    }
    let mut expected = latest.into_iter();
    for run in &runs {
        for_each_latest(run, 0..=u64::MAX, |hash, key, row| {
            let ((model_hash, model_key), (event_ts, _, seq)) = expected.next().unwrap();
            assert_eq!((hash, key), (model_hash, model_key.as_slice()));
            assert_eq!((run.event_ts()[row], run.seq()[row]), (event_ts, seq));
            Ok(())
        })
        .unwrap();
    }
    assert!(expected.next().is_none());
}

#[test]
fn a_plain_arrow_reader_opens_a_run() {
    let schema = pair();
    let rows = random_rows(&schema, 300, 20, 0, true, &mut Random::new(8));
    let folder = Folder::new(u64::MAX);
    let files = folder.seal(&schema, &[collect(&schema, &rows)]);
    let mut reader = FileReader::try_new(Cursor::new(folder.bytes(&run_path(dir(), files[0].id))), None).unwrap();
    assert_eq!(reader.schema().metadata()["asof.kind"], "run");
    assert_eq!(reader.schema().metadata()["asof.view"], "everything@1");
    let batch = reader.next().unwrap().unwrap();
    assert!(reader.next().is_none(), "one record batch");
    let names: Vec<_> = batch.schema().fields().iter().take(5).map(|field| field.name().clone()).collect();
    assert_eq!(names, ["k0", "k1", "_event_timestamp", "_created_timestamp", "_seq"]);
    assert_eq!(batch.num_columns(), 5 + 16, "rows that are plain values need no optional column");
    let dictionary = batch.column(0).as_dictionary::<Int32Type>();
    let numbers = batch.column(1).as_dictionary::<Int32Type>();
    for row in 0..batch.num_rows() {
        let entry = usize::try_from(dictionary.keys().value(row)).unwrap();
        let number = numbers.values().as_primitive::<Int64Type>().value(entry);
        assert_eq!(dictionary.values().as_string::<i32>().value(entry), format!("key-{number}"));
    }
}

#[test]
fn columns_are_read_in_place() {
    let schema = pair();
    let rows = random_rows(&schema, 300, 20, 0, true, &mut Random::new(9));
    let folder = Folder::new(u64::MAX);
    let run = &folder.open(&schema, &folder.seal(&schema, &[collect(&schema, &rows)]), 0)[0];
    let file = run.mapped_range();
    for (ordinal, (name, _)) in schema.fields().iter().enumerate() {
        let data = run.column(ordinal).unwrap().unwrap().to_data();
        for buffer in data.buffers().iter().chain(data.child_data().iter().flat_map(|child| child.buffers())) {
            assert!(buffer.is_empty() || file.contains(&buffer.as_ptr().addr()), "{name} was copied");
        }
    }
    assert!(file.contains(&run.event_ts().as_ptr().addr()));
}

#[test]
fn another_views_run_and_another_checksum_are_refused() {
    let schema = pair();
    let rows = random_rows(&schema, 30, 20, 0, true, &mut Random::new(10));
    let folder = Folder::new(u64::MAX);
    let file = &folder.seal(&schema, &[collect(&schema, &rows)])[0];
    let other = everything(&[DataType::Int64, DataType::Int64], 16, true);
    for (schema, checksum) in [(&other, None), (&schema, Some(file.index_checksum ^ 1))] {
        let error = RunFile::open(&folder.disk, dir(), file.id, schema, 0, checksum).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    }
    let missing = RunFile::open(&folder.disk, dir(), 99, &schema, 0, None).unwrap_err();
    assert!(missing.is_missing_file());
}
