//! Keys of a spine.

use std::sync::Arc;

use arrow_array::ArrayRef;

use crate::join::SpineKeys;
use crate::key::{HASH_IS_KEY_BYTES, KeySchema};
use crate::value::DataType;

/// Undoes xxh3-64 of 4 to 8 bytes, up to a constant of the seed: whoever can be undone maps no two inputs to one output.
fn undo_xxh3(hash: u64, len: u64) -> u64 {
    fn inverse(odd: u64) -> u64 {
        (0..6).fold(odd, |guess, _| guess.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(guess))))
    }
    const PRIME: u64 = 0x9fb2_1c65_1e98_df25;
    let mut h = hash ^ hash >> 28 ^ hash >> 56;
    h = h.wrapping_mul(inverse(PRIME));
    // h ^= (h >> 35) + len left bits 35 and up alone.
    h ^= (h >> 35).wrapping_add(len);
    h = h.wrapping_mul(inverse(PRIME));
    // x ^ rotl(x, 49) ^ rotl(x, 24) is a polynomial p in the rotation; p^63 undoes it, as p^64 is 1.
    let forward = |x: u64| x ^ x.rotate_left(49) ^ x.rotate_left(24);
    (0..63).fold(h, |x, _| forward(x)).rotate_left(32)
}

#[test]
fn xxh3_of_short_keys_can_be_undone_so_equal_hashes_are_equal_keys() {
    for seed in [0, 1, 0x1234_5678_9abc_def0] {
        for len in HASH_IS_KEY_BYTES {
            let undo = |key: &[u8]| undo_xxh3(crate::key::key_hash(seed, key), key.len() as u64);
            let constant = undo(&vec![0; len]);
            for n in 0..2_000_u64 {
                let bytes = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
                let key = &bytes[..len];
                let undone = (undo(key) ^ constant).to_le_bytes();
                assert_eq!((&undone[..4], &undone[4..]), (&key[..4], &key[len - 4..]), "seed {seed}");
            }
        }
    }
}

#[test]
fn key_columns_are_of_their_join_keys_types_and_of_the_spines_length() {
    use arrow_array::{Int64Array, TimestampMicrosecondArray};
    let schema = |data_type| KeySchema::new(vec![("id".into(), data_type)]);
    let encode = |data_type, column: ArrayRef| SpineKeys::encode(&schema(data_type), &[column], 2, 1, 1);
    let integers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1, 2]).with_timezone("UTC"));
    let hashes = encode(DataType::Int64, Arc::clone(&integers)).unwrap().hashes;
    assert_eq!(encode(DataType::Timestamp, times).unwrap().hashes, hashes, "eight bytes each");
    let error = encode(DataType::Int32, Arc::clone(&integers)).unwrap_err();
    assert!(error.to_string().contains("id wants int32, got Int64"), "{error}");
    assert!(encode(DataType::Int64, integers.slice(0, 1)).unwrap_err().to_string().contains("has 1 rows"));
}

#[test]
fn composite_spine_keys_are_encoded_as_rows_are() {
    use arrow_array::{Int32Array, StringArray};
    let schema = KeySchema::new(vec![("carrier".into(), DataType::String), ("flight".into(), DataType::Int32)]);
    let columns: [ArrayRef; 2] =
        [Arc::new(StringArray::from(vec![Some("UA"), None])), Arc::new(Int32Array::from(vec![7, 8]))];
    let keys = SpineKeys::encode(&schema, &columns, 2, 5, 2).unwrap();
    let mut expected = Vec::new();
    schema.encode(&["UA".into(), 7.into()], &mut expected).unwrap();
    assert_eq!((keys.key(0), keys.hashes[0]), (expected.as_slice(), crate::key::key_hash(5, &expected)));
    assert!(keys.nulls.as_ref().is_some_and(|nulls| nulls.is_valid(0) && nulls.is_null(1)));
    // A view without entities has one key for all rows.
    let all = SpineKeys::encode(&KeySchema::new(Vec::new()), &[], 2, 5, 1).unwrap();
    assert_eq!((all.len(), all.key(1), all.nulls.is_none()), (2, b"".as_slice(), true));
}
