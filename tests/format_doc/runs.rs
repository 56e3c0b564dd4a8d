//! A run: its index, and the names of its columns.

use asof::format::run_index::{IndexSlot, RunIndexHead, SlotMap, encode_index, encode_slots};
use asof::history::{OptionalColumns, RunSchema};
use asof::key::KeySchema;

use super::document::{Instance, crc, document};

#[test]
fn the_index_of_a_run_lies_as_the_document_says() {
    let slot_map = SlotMap { hash_lo: 107, hash_hi: 108, multiplier: 109 };
    let slots = encode_slots(&SlotMap::new(1, 1, 1), [IndexSlot { hash: 1, start: 2, len: 3 }].into_iter());
    let head = RunIndexHead {
        run_bytes: 101,
        row_count: 102,
        key_count: 103,
        slot_count: 0,
        feature_count: 0,
        slots_start: 0,
        slot_map,
        min_event_ts: 110,
        max_event_ts: 111,
        min_seq: 112,
        max_seq: 113,
    };
    let (bytes, _) = encode_index(&head, &[5], &[], &slots);
    Instance::of("The index file", &bytes).holds(&[
        ("head checksum", crc(&bytes[12..256])),
        ("format version", 1),
        ("run bytes", 101),
        ("row count", 102),
        ("key count", 103),
        ("slot count", 1),
        ("feature count", 0),
        ("slots start", 256),
        ("hash lo", 107),
        ("hash hi", 108),
        ("multiplier", 109),
        ("min event timestamp", 110),
        ("max event timestamp", 111),
        ("min seq", 112),
        ("max seq", 113),
    ]);
    Instance::of("Run slot", &bytes[256..]).holds(&[("hash", 1), ("first row", 2), ("row count", 3)]);
}

#[test]
fn the_columns_of_a_run_are_named_as_the_document_says() {
    let optional = OptionalColumns { kind: true, absent: true, deadline: true, field_deadlines: true, event_id: true };
    let schema = RunSchema::new("v@1", KeySchema::new(Vec::new()), Vec::new(), true).arrow_schema(optional);
    let document = document();
    assert_eq!(schema.fields().len(), 8);
    for field in schema.fields() {
        assert!(document.contains(&format!("| `{}` |", field.name())), "{}", field.name());
    }
    for key in schema.metadata().keys() {
        assert!(document.contains(&format!("`{key}`")), "{key}");
    }
}
