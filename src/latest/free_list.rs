//! Free space from a clean close to the next open.

use std::sync::atomic::Ordering;

use xxhash_rust::xxh3::xxh3_64;

use super::heap::Heap;
use super::insert::{Shared, Storage};
use super::reader::TableReader;
use super::space::Space;
use crate::error::Result;
use crate::format::table::Superblock;

/// Leaves the free space where the next open finds it: counts, extents, heap blocks with their class, checksum.
pub(super) fn store(shared: &Shared) -> Result<(usize, usize)> {
    let Storage { space, heap } = &mut *shared.storage();
    heap.give_back_chunk(space);
    let blocks: usize = heap.free.values().map(Vec::len).sum();
    // Room for one extent more than there are: taking it may split one.
    let words = 3 + 2 * (space.free.len() + 1) + 2 * blocks;
    let start = space.allocate(words)?;
    let mut list = vec![space.free.len() as u64, blocks as u64];
    list.extend(space.free.iter().flat_map(|(&at, &len)| [at as u64, len as u64]));
    for (&class, starts) in &heap.free {
        list.extend(starts.iter().flat_map(|&at| [at as u64, class as u64]));
    }
    list.push(checksum_of(&list));
    for (word, value) in shared.reader.map.words()[start..].iter().zip(&list) {
        word.store(*value, Ordering::Relaxed);
    }
    Ok((start, list.len()))
}

/// Takes the free space from where a clean close left it; whether it was sound.
pub(super) fn load(reader: &TableReader, block: &Superblock, space: &mut Space, heap: &mut Heap) -> bool {
    let (Ok(start), Ok(words)) = (usize::try_from(block.free_list_at), usize::try_from(block.free_list_words)) else {
        return false;
    };
    let Some(end) = start.checked_add(words).filter(|&end| words >= 3 && end <= space.used_end) else {
        return false;
    };
    let list: Vec<u64> = reader.map.words()[start..end].iter().map(|word| word.load(Ordering::Relaxed)).collect();
    if checksum_of(&list[..words - 1]) != list[words - 1] {
        return false;
    }
    let pairs = list[2..words - 1].as_chunks::<2>().0;
    for (i, pair) in pairs.iter().enumerate() {
        let [at, len] = pair.map(map_position);
        if (i as u64) < list[0] {
            space.free(at, len);
        } else {
            heap.free.entry(len).or_default().push(at);
        }
    }
    space.free(start, words);
    true
}

fn map_position(word: u64) -> usize {
    usize::try_from(word).unwrap_or(usize::MAX)
}

fn checksum_of(list: &[u64]) -> u64 {
    let bytes: Vec<u8> = list.iter().flat_map(|word| word.to_le_bytes()).collect();
    xxh3_64(&bytes)
}
