use super::model::*;
use crate::disk::Random;
use crate::error::{ErrorKind, Result};
use crate::format::run_index::decode_index;
use crate::history::*;
use crate::value::DataType;

/// Touches everything a reader can.
fn touch(run: &RunFile, rows: &[ModelRow], schema: &RunSchema) -> Result<()> {
    for row in rows {
        run.find(hash(&row.key), &row.key)?;
    }
    for i in 0..run.row_count() {
        for ordinal in 0..schema.fields().len() {
            run.verify_rows(RunColumn::Feature(ordinal), i..i + 1)?;
            run.field_state(i, ordinal)?;
        }
    }
    for_each_latest(run, 0..=u64::MAX, |_, _, _| Ok(()))?;
    run.row_columns()?;
    run.verify_all()
}

#[test]
fn every_flipped_byte_is_noticed_and_none_panics() {
    let schema = everything(&[DataType::String, DataType::Int64], 16, true);
    let rows = random_rows(&schema, 40, 8, 0, false, &mut Random::new(21));
    let folder = Folder::new(u64::MAX);
    let file = folder.seal(&schema, &[collect(&schema, &rows)]).remove(0);
    let open = || RunFile::open(&folder.disk, dir(), file.id, &schema, 0, None);
    touch(&open().unwrap(), &rows, &schema).unwrap();
    for path in [run_path(dir(), file.id), index_path(dir(), file.id)] {
        let sound = folder.bytes(&path);
        for at in 0..sound.len() {
            let mut damaged = sound.clone();
            damaged[at] ^= 1 << (at % 8);
            folder.replace(&path, &damaged);
            let result = open().and_then(|run| touch(&run, &rows, &schema));
            let error = result.expect_err(&format!("byte {at} of {} was not missed", path.display()));
            assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
        }
        for len in [0, 9, 200, sound.len() / 2, sound.len() - 1] {
            folder.replace(&path, &sound[..len]);
            assert_eq!(open().unwrap_err().kind(), ErrorKind::Damaged, "cut to {len}");
        }
        folder.replace(&path, &sound);
    }
}

#[test]
fn damage_in_one_column_leaves_the_others_readable_and_says_where_it_is() {
    let schema = everything(&[DataType::Int64], 5, false);
    let rows = random_rows(&schema, 60_000, 1_000, 0, true, &mut Random::new(22));
    let folder = Folder::new(u64::MAX);
    let file = folder.seal(&schema, &[collect(&schema, &rows)]).remove(0);
    let path = run_path(dir(), file.id);
    let mut bytes = folder.bytes(&path);
    // The last column, float64, lies last; the middle of its 480,000 bytes is far from any other.
    let at = bytes.len() - 240_000;
    bytes[at] ^= 1;
    folder.replace(&path, &bytes);
    let run = RunFile::open(&folder.disk, dir(), file.id, &schema, 0, Some(file.index_checksum)).unwrap();
    for ordinal in 0..4 {
        run.column(ordinal).unwrap();
        run.verify_column(RunColumn::Feature(ordinal)).unwrap();
    }
    run.column(4).unwrap();
    run.verify_rows(RunColumn::Feature(4), 0..100).unwrap();
    let error = run.verify_column(RunColumn::Feature(4)).unwrap_err().to_string();
    let block = at / (64 << 10) * (64 << 10);
    assert!(error.starts_with(&format!("{}: f4: block at offset {block}: checksum 0x", path.display())), "{error}");
    assert!(error.contains("; put the file back from a copy"), "{error}");
}

/// Found by fuzzing: the place of a slot overflowed.
#[test]
fn an_index_that_sends_hashes_beyond_its_slots_finds_nothing() {
    let schema = everything(&[DataType::String, DataType::Int64], 2, true);
    let rows = random_rows(&schema, 40, 8, 0, false, &mut Random::new(23));
    let folder = Folder::new(u64::MAX);
    let file = folder.seal(&schema, &[collect(&schema, &rows)]).remove(0);
    let path = index_path(dir(), file.id);
    let mut bytes = folder.bytes(&path);
    let slots_start = usize::try_from(decode_index(&bytes).unwrap().head.slots_start).unwrap();
    // The multiplier is the ninth word of the head.
    bytes[80..88].fill(0xff);
    let checksum = crc32c::crc32c(&bytes[12..slots_start]);
    bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
    folder.replace(&path, &bytes);
    let run = RunFile::open(&folder.disk, dir(), file.id, &schema, 0, None).unwrap();
    assert_eq!(run.find(file.hash_hi, b"any").unwrap(), None);
}
