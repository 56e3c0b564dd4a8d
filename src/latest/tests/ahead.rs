//! Room made for rows that come, and growth spread over time.

use super::*;
use crate::format::table::LIVE_EPOCH;

/// Stores new keys, a thousand at a time; `stored` is told how often something moved meanwhile.
fn store_thousands(table: &mut Table, thousands: u64, makes_ready: bool, mut stored: impl FnMut(u64)) {
    let epoch = |table: &Table| table.inserter.shared.words()[LIVE_EPOCH].load(Ordering::Relaxed);
    for thousand in 0..thousands {
        let keys: Vec<[u8; 16]> = (0..1_000_u128).map(|i| (u128::from(thousand) * 1_000 + i).to_le_bytes()).collect();
        let hashes: Vec<u64> = keys.iter().map(|key| key_hash(99, key)).collect();
        if makes_ready {
            table.make_ready(&hashes);
        }
        let before = epoch(table);
        for (next, key) in keys.iter().enumerate() {
            table.fetch_ahead(&hashes, next);
            let values = Some(vec![Value::Float64(0.5); 10]);
            upsert(table, key, &Row { order: (1, None, thousand * 1_000), values }).unwrap();
        }
        stored(epoch(table) - before);
    }
}

#[test]
fn keys_for_which_room_was_made_are_stored_where_nothing_moves() {
    let disk = disk();
    let (mut ready, mut moved) = (0, 0);
    store_thousands(&mut create(&disk, shape(&vec![DataType::Float64; 10])), 60, true, |moves| ready += moves);
    disk.remove(Path::new(PATH)).unwrap();
    store_thousands(&mut create(&disk, shape(&vec![DataType::Float64; 10])), 60, false, |moves| moved += moves);
    // Two keys of a thousand may show one tag, and are taken for one that is there.
    assert!(moved > 20 && ready * 5 < moved, "{ready} of {moved} moves were left to the storing of rows");
}

#[test]
fn making_room_for_keys_that_are_there_moves_nothing() {
    let disk = disk();
    let mut table = create(&disk, shape(&vec![DataType::Float64; 10]));
    store_thousands(&mut table, 10, false, |_| ());
    let before = table.stats();
    let hashes: Vec<u64> = (0..10_000_u128).map(|i| key_hash(99, &i.to_le_bytes())).collect();
    for hashes in hashes.chunks(1_000) {
        table.make_ready(hashes);
    }
    assert_eq!(table.stats(), before);
}

#[test]
fn shards_do_not_all_grow_at_the_same_time() {
    let disk = disk();
    let mut most = 0;
    let mut thousands = 0;
    store_thousands(&mut create(&disk, shape(&vec![DataType::Float64; 10])), 150, false, |moves| {
        thousands += 1;
        // A dozen shards and more by then.
        if thousands > 70 {
            most = most.max(moves);
        }
    });
    assert!(most <= 4, "{most} shards grew within a thousand rows");
}
