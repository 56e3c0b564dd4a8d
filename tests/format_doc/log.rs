//! The log, its rows, and what a row's values are encoded as.

use asof::format::log::{self, FrameBuilder, GroupHeader, SegmentHeader};
use asof::format::row::{self, Reference, RowHead, RowKind, push_record};
use asof::format::sector::{self, SectorSeal};
use asof::format::value::encode_value;
use asof::value::{DataType, Value};

use super::document::{Instance, UUID, UUID_WORD, crc, document};

#[test]
fn the_log_lies_as_the_document_says() {
    let (store_seed, segment, number) = (7_u64, 3_u32, 5_u32);
    let segment_seed = crc32c::crc32c(&[&store_seed.to_le_bytes()[..], &segment.to_le_bytes()].concat());
    let place = number.wrapping_mul(0x9e37_79b1);
    let seal = SectorSeal::new(store_seed, segment);

    let mut sector = Vec::new();
    seal.push_sectors(b"payload", number, &mut sector);
    let stored = u32::from_le_bytes(sector[sector::PAYLOAD_BYTES..].try_into().unwrap());
    assert_eq!(stored, crc32c::crc32c_append(segment_seed ^ place, &sector[..sector::PAYLOAD_BYTES]));

    let header = SegmentHeader {
        store_uuid: UUID,
        segment,
        file_bytes: 41,
        first_seq: 42,
        seq_limit: 43,
        prev_end: 44,
        synced: 45,
    };
    Instance::of("Segment header", &header.encode()).holds(&[
        ("format version", 1),
        ("segment", 3),
        ("store uuid", UUID_WORD),
        ("file length", 41),
        ("first seq", 42),
        ("seq limit", 43),
        ("previous end", 44),
        ("synced", 45),
    ]);
    let group = GroupHeader { len_bytes: 51, frame_count: 52, synced: 53 }.encode(seal, number);
    let checksum = crc32c::crc32c_append(!segment_seed ^ place, &group[..20]);
    Instance::of("Group header", &group).holds(&[
        ("length", 51),
        ("synced", 53),
        ("frame count", 52),
        ("checksum", checksum.into()),
    ]);
    let mut builder = FrameBuilder::default();
    let fill = |out: &mut Vec<u8>| {
        out.extend(b"records");
        Ok::<u32, asof::Error>(61)
    };
    builder.section(62, fill).unwrap();
    let frame = builder.finish(63, 64, 65);
    Instance::of("Frame header", frame).holds(&[
        ("kind", 1),
        ("section count", 1),
        ("length", 23),
        ("first seq", 63),
        ("row count", 61),
        ("source", 65),
        ("ingested at", 64),
        ("checksum", crc(&frame[..32])),
    ]);
    Instance::of("Section header", &frame[log::FRAME_HEADER_BYTES..]).holds(&[
        ("view id", 62),
        ("row count", 61),
        ("length", 7),
    ]);
}

#[test]
fn a_row_lies_as_the_document_says() {
    let head = RowHead {
        created: Some(72),
        deadline: Some(73),
        field_deadlines: &[1, 0, 9, 0, 0, 0, 0, 0, 0, 0],
        event_id: b"id",
        ..RowHead::new(RowKind::Value, 71)
    };
    let mut bytes = Vec::new();
    push_record(&head, b"key", 2, b"image", &mut bytes).unwrap();
    Instance::of("Row", &bytes).holds(&[
        ("length", bytes.len() as u128 - 4),
        ("kind", 1),
        ("flags", 15),
        ("key length", 3),
        ("field count", 2),
        ("event timestamp", 71),
    ]);
    let parts = [
        &72_i64.to_le_bytes()[..],
        &73_i64.to_le_bytes(),
        &[1, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0],
        &[2, 0, b'i', b'd'],
        b"key",
        b"image",
    ];
    assert_eq!(bytes[row::RECORD_HEADER_BYTES..], parts.concat());

    let mut reference = [0; row::REFERENCE_BYTES];
    Reference::write(b"short", 81, &mut reference);
    let value = |bytes: &[u8]| u128::from_le_bytes(std::array::from_fn(|i| bytes.get(i).copied().unwrap_or(0)));
    Instance::of("Reference to a short value", &reference).holds(&[("length", 5), ("value", value(b"short"))]);
    Reference::write(b"longer than twelve", 82, &mut reference);
    Instance::of("Reference to a long value", &reference).holds(&[
        ("length", 18),
        ("prefix", value(b"long")),
        ("position", 82),
    ]);
}

/// The table of kinds against the code: the kinds it has, and those it refuses.
#[test]
fn the_documents_row_kinds_are_those_of_the_code() {
    let document = document();
    let section = document.split("### Row kinds").nth(1).unwrap().split("### ").next().unwrap();
    let told: Vec<u8> =
        section.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse().ok()).collect();
    assert_eq!(told, [1, 2, 3, 4, 16, 17, 18, 19, 20, 21]);
    for byte in 0..=u8::MAX {
        assert_eq!(RowKind::from_byte(byte).is_some(), told.contains(&byte), "kind {byte}");
    }
}

#[test]
fn values_are_encoded_as_the_document_says() {
    let encoded = |data_type: DataType, value: Value| {
        let mut out = Vec::new();
        encode_value(&data_type, &value, &mut out).unwrap();
        out
    };
    assert_eq!(encoded(DataType::Float32, Value::Float32(-f32::NAN)), 0x7fc0_0000_u32.to_le_bytes());
    assert_eq!(encoded(DataType::Float64, Value::Float64(-f64::NAN)), 0x7ff8_0000_0000_0000_u64.to_le_bytes());
    assert_eq!(encoded(DataType::Date, Value::Date(1)), 1_i32.to_le_bytes());
    let list = |element: DataType, values: Vec<Value>| encoded(DataType::List(Box::new(element)), Value::List(values));
    assert_eq!(list(DataType::Int32, vec![Value::Int32(7), Value::Null]), [2, 0, 0, 0, 1, 7, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        list(DataType::String, vec![Value::Null, "ab".into()]),
        [2, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0, 0, 0, b'a', b'b']
    );
    let document = document();
    for data_type in [DataType::Bool, DataType::Int32, DataType::Float32, DataType::Int64, DataType::Float64] {
        let name = data_type.to_string();
        let row = document.lines().find(|line| line.starts_with(&format!("| {name}")));
        let width = row.unwrap_or_else(|| panic!("{name}")).split('|').nth(2).unwrap().trim().parse::<usize>();
        assert_eq!(width, Ok(data_type.fixed_width_bytes()), "{name}");
    }
}
