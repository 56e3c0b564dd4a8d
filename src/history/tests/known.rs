use super::bulk::{batch, import_rows};
use super::model::*;
use crate::disk::Random;
use crate::format::row::RowKind;
use crate::history::*;
use crate::value::{DataType, Value};

/// What is compared, of a row.
fn content(row: &ModelRow) -> String {
    let fields: Vec<_> = row.fields.iter().map(|field| field.clone().unwrap_or(Value::Null)).collect();
    // A delete's event id tells it from no other.
    let event_id = if row.kind == RowKind::Value { &row.event_id[..] } else { &[] };
    format!("{:?}", (&row.key, row.event_ts, row.created, row.kind as u8, event_id, fields))
}

/// The naive twin: each stored row strikes out one equal row, the first.
fn beyond(rows: &[ModelRow], stored: &[ModelRow]) -> Vec<ModelRow> {
    let mut left: Vec<String> = stored.iter().map(content).collect();
    let is_new = |row: &&ModelRow| match left.iter().position(|known| *known == content(row)) {
        Some(at) => {
            left.swap_remove(at);
            false
        }
        None => true,
    };
    rows.iter().filter(is_new).cloned().collect()
}

#[test]
fn an_import_adds_rows_only_as_often_as_they_come_beyond_those_stored() {
    for (keys, key_count) in [(vec![DataType::Int64], 40), (vec![DataType::String, DataType::Int64], 400), (vec![], 1)]
    {
        let schema = everything(&keys, 16, true);
        let mut random = Random::new(21);
        let mut stored = import_rows(&schema, 900, key_count, &mut random);
        let mut rows = import_rows(&schema, 700, key_count, &mut random);
        for row in &mut rows {
            // Some as they are stored, some as they stand in the import already.
            if random.below(2) == 0 {
                let at = usize::try_from(random.below(900)).unwrap();
                *row = ModelRow { seq: row.seq, ..stored[at].clone() };
            }
        }
        for at in 0..200 {
            let other = usize::try_from(random.below(700)).unwrap();
            rows[at] = ModelRow { seq: rows[at].seq, ..rows[other].clone() };
        }
        // Numbered from 100; those beyond 850 came after the import looked.
        stored.iter_mut().for_each(|row| row.seq += 100);
        let visible: Vec<ModelRow> = stored.iter().filter(|row| row.seq <= 850).cloned().collect();
        let expected = beyond(&rows, &visible);
        assert!(expected.len() > 300 && expected.len() < 650, "{} rows", expected.len());

        for (bytes_max, file_bytes) in [(usize::MAX, u64::MAX), (usize::MAX, 20_000), (100_000, 20_000)] {
            let folder = Folder::new(file_bytes);
            let mut runs = folder.open(&schema, &folder.seal(&schema, &[collect(&schema, &stored[..300])]), 0);
            runs.extend(folder.open(&schema, &folder.seal(&schema, &[collect(&schema, &stored[300..600])]), 0));
            // A row count of nothing has every run verified row by row.
            for row_count in [0, 700] {
                let open: Vec<&RunFile> = runs.iter().collect();
                let mut known = KnownRows::new(&schema, &open, 0..=850, row_count, &[0, 500]).unwrap();
                known.add(&collect(&schema, &stored[600..])).unwrap();
                let files = folder
                    .with_output(|output| {
                        let builder = BulkBuilder::new(&schema, SEED, *output, scratch(), StagingBudget::of(bytes_max));
                        builder.extend(rows.chunks(100).map(|rows| Ok(batch(&schema, rows))))?;
                        builder.finish_without(Some(&known))
                    })
                    .unwrap();
                assert_holds(&schema, &folder.open(&schema, &files, 0), &expected, hash);
                let struck =
                    |from, to| to - from - expected.iter().filter(|row| (from..to).contains(&row.seq)).count() as u64;
                assert_eq!(known.known_counts(), [struck(0, 500), struck(500, 700)]);
                assert!(files.len() < 40, "what is left makes few files: {}", files.len());
            }
        }
    }
}

#[test]
fn rows_stored_since_are_struck_out_of_what_was_built() {
    let schema = everything(&[DataType::Int64], 6, false);
    let rows = import_rows(&schema, 300, 30, &mut Random::new(22));
    let folder = Folder::new(u64::MAX);
    let built = folder.open(&schema, &folder.seal(&schema, &[collect(&schema, &rows)]), 0);
    let built: Vec<&RunFile> = built.iter().collect();
    let other = import_rows(&schema, 300, 30, &mut Random::new(23));
    let mut known = KnownRows::new(&schema, &[], 0..=u64::MAX, 300, &[0]).unwrap();
    known.add(&collect(&schema, &other)).unwrap();
    assert_eq!(known.count_in(&built).unwrap(), 300 - beyond(&rows, &other).len() as u64);
    known.add(&collect(&schema, &rows[100..200])).unwrap();
    let files = folder.with_output(|output| merge_without(&built, &schema, output, Some(&known))).unwrap();
    let stored = [&other[..], &rows[100..200]].concat();
    assert_holds(&schema, &folder.open(&schema, &files, 0), &beyond(&rows, &stored), hash);
}

#[test]
fn many_equal_rows_of_one_moment_are_counted_not_compared_pair_by_pair() {
    let schema = everything(&[], 3, false);
    let one = |seq, value: i64| ModelRow {
        key: Vec::new(),
        event_ts: 7,
        created: None,
        seq,
        kind: RowKind::Value,
        deadline: None,
        field_deadlines: Vec::new(),
        event_id: Vec::new(),
        fields: vec![Some(Value::Null), Some(Value::Null), Some(Value::Int64(value))],
    };
    let stored: Vec<ModelRow> = (0..30_000).map(|seq| one(seq, i64::try_from(seq % 1_000).unwrap())).collect();
    let rows: Vec<ModelRow> = (0..60_000).map(|seq| one(seq, i64::try_from(seq % 1_500).unwrap())).collect();
    let folder = Folder::new(u64::MAX);
    let mut known = KnownRows::new(&schema, &[], 0..=u64::MAX, 1, &[0]).unwrap();
    known.add(&collect(&schema, &stored)).unwrap();
    let files = folder
        .with_output(|output| {
            let builder = BulkBuilder::new(&schema, SEED, *output, scratch(), StagingBudget::of(usize::MAX));
            builder.push(0, &batch(&schema, &rows))?;
            builder.finish_without(Some(&known))
        })
        .unwrap();
    // Each of 1,500 values comes 40 times; of 1,000 of them 30 are stored.
    assert_eq!(files.iter().map(|file| file.rows).sum::<u64>(), 500 * 40 + 1_000 * 10);
    assert_eq!(known.known_counts(), [30_000]);
}
