//! Entity keys: what decodes encodes to the same bytes.
#![no_main]

use asof::key::{KEY_BYTES_MAX, KeySchema};
use asof_fuzz::all_types;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, key)) = bytes.split_first_chunk::<4>() else { return };
    let types: Vec<_> = all_types().into_iter().filter(|data_type| data_type.is_join_key()).collect();
    let columns = choice[1..=usize::from(choice[0] % 4).min(3)].iter().enumerate();
    let schema = KeySchema::new(
        columns.map(|(i, pick)| (format!("k{i}"), types[usize::from(*pick) % types.len()].clone())).collect(),
    );
    let Some(values) = schema.decode(key) else { return };
    let mut again = Vec::new();
    match schema.encode(&values, &mut again) {
        Ok(()) => assert_eq!(again, key),
        Err(_) => assert!(key.len() > KEY_BYTES_MAX),
    }
});
