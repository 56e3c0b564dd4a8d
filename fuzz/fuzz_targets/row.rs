//! Row records: parsed against a layout, every value taken out, encoded again.
#![no_main]

use asof::format::columns::decode_columns;
use asof::format::row::{FieldState, RowLayout, RowRef, push_record};
use asof::format::value::{decode_value, encode_value};
use asof::history::{RowCollector, RunSchema};
use asof::key::KeySchema;
use asof::value::DataType;
use asof_fuzz::all_types;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let mut types = all_types();
    types.rotate_left(usize::from(*first) % all_types().len());
    let layout = RowLayout::new(types.iter().cloned());
    // The length in front would only make most inputs fail at once.
    let mut record = u32::try_from(bytes.len()).expect("short").to_le_bytes().to_vec();
    record.extend(bytes);
    for record in [record.as_slice(), bytes] {
        if let Ok((row, rest)) = RowRef::parse(record, &layout) {
            touch(&row, &layout, &types);
            let _ = decode_columns(&layout, &[row, row], &(0..types.len()).collect::<Vec<_>>());
            let mut again = Vec::new();
            if push_record(&row.head, row.key, row.field_count, row.image, &mut again).is_ok() {
                // A writer leaves out what is empty, so bytes may differ; what they say does not.
                assert!(again.len() <= record.len() - rest.len());
                assert_eq!(RowRef::parse(&again, &layout), Ok((row, &[][..])));
            }
        }
    }
});

fn touch(row: &RowRef<'_>, layout: &RowLayout, types: &[DataType]) {
    for (field, data_type) in types.iter().enumerate() {
        row.field_deadline(field);
        row.value(layout, field);
        if row.state(field) != FieldState::Value {
            continue;
        }
        let Some(value) = decode_value(data_type, row.field_bytes(layout, field)) else { continue };
        let (mut once, mut twice) = (Vec::new(), Vec::new());
        encode_value(data_type, &value, &mut once).expect("what was decoded encodes");
        let again = decode_value(data_type, &once).expect("what was encoded decodes");
        encode_value(data_type, &again, &mut twice).expect("what was decoded encodes");
        assert_eq!(once, twice);
    }
    let fields = types.iter().enumerate().map(|(i, data_type)| (format!("f{i}"), data_type.clone())).collect();
    let keys = KeySchema::new(vec![("k".to_owned(), DataType::Bytes)]);
    let schema = RunSchema::new("view@1", keys, fields, true);
    let mut collector = RowCollector::new(&schema, 7);
    if collector.push(1, row).is_ok() {
        let _ = collector.finish();
    }
}
