//! Elements by name, in the order of their hashes: the keys of a database, the fields of a large hash.
//!
//! ```text
//! directory   00  01  10  11      2^depth entries, indexed by the top bits of a name's hash
//!              |   |   |   |
//! segments    [00][01][  1  ]     each at most SEGMENT_LEN_MAX elements, then it is split in two
//! ```
//!
//! A full segment is split alone, so that no insertion waits for the whole to be moved. Because segments lie in the order of
//! hashes, a scan's cursor is a hash: it says where to go on whatever was added, removed or split meanwhile, and each element that was
//! there all the time is given once.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::disk::prefetch;

/// A segment with more elements is split.
const SEGMENT_LEN_MAX: usize = 512;
/// So many segments are looked at for a random element, before all are counted through.
const RANDOM_SEGMENTS_MAX: usize = 256;
/// Bits of a hash that a cursor has: few enough for a client that keeps it as a float64.
const CURSOR_BITS: u32 = 48;
/// The last cursor there is.
pub const CURSOR_MAX: Cursor = (1 << CURSOR_BITS) - 1;

/// Elements that are brought up at once, at most.
const FETCHED_TOGETHER: usize = 16;

/// What has a name.
pub trait Named {
    /// Its name.
    fn name(&self) -> &[u8];
}

/// Elements by name.
#[derive(Clone, Debug)]
pub struct Table<E> {
    seed: u64,
    /// Top bits of a hash that index the directory.
    depth: u32,
    directory: Vec<u32>,
    segments: Vec<Segment<E>>,
    len: usize,
}

#[derive(Clone, Debug)]
struct Segment<E> {
    /// Top bits that all hashes of its elements have in common.
    depth: u32,
    elements: HashTable<Slot<E>>,
}

#[derive(Clone, Debug)]
struct Slot<E> {
    hash: u64,
    element: E,
}

/// Where a scan goes on; 0 begins one, and is where one ends.
pub type Cursor = u64;

impl<E: Named> Table<E> {
    /// An empty table. Names from outside cannot be made to collide by who does not know `seed`.
    pub fn new(seed: u64) -> Table<E> {
        Table {
            seed,
            depth: 0,
            directory: vec![0],
            segments: vec![Segment { depth: 0, elements: HashTable::new() }],
            len: 0,
        }
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    fn hash(&self, name: &[u8]) -> u64 {
        xxh3_64_with_seed(name, self.seed)
    }

    #[inline]
    fn segment_of(&self, hash: u64) -> usize {
        self.directory[top_bits(hash, self.depth)] as usize
    }

    /// The element of this name.
    #[inline]
    pub fn get(&self, name: &[u8]) -> Option<&E> {
        let hash = self.hash(name);
        let segment = &self.segments[self.segment_of(hash)];
        segment.elements.find(hash, is_named(hash, name)).map(|slot| &slot.element)
    }

    /// Has memory bring up elements of these names, and then what `next` says that they lead to. Each step is done for
    /// [`FETCHED_TOGETHER`] of them before the next, so that nothing waits while memory is asked for. Which elements these are is a guess
    /// by a few bits of the hash: it is right most often, and changes only speed.
    pub fn fetch<'a>(&self, names: impl Iterator<Item = &'a [u8]>, next: impl Fn(&E)) {
        let mut names = names.peekable();
        while names.peek().is_some() {
            let (mut hashes, mut count) = ([0; FETCHED_TOGETHER], 0);
            for (hash, name) in hashes.iter_mut().zip(names.by_ref()) {
                *hash = self.hash(name);
                prefetch(&self.segments[self.segment_of(*hash)]);
                count += 1;
            }
            // The elements themselves are not looked at.
            let find = |hash| self.segments[self.segment_of(hash)].elements.find(hash, |_| true);
            let mut found: [Option<&Slot<E>>; FETCHED_TOGETHER] = [None; FETCHED_TOGETHER];
            for (place, hash) in found.iter_mut().zip(&hashes[..count]) {
                let Some(slot) = find(*hash) else { continue };
                prefetch(slot);
                prefetch(&slot.element);
                *place = Some(slot);
            }
            found.into_iter().flatten().for_each(|slot| next(&slot.element));
        }
    }

    /// As [`Table::get`]; its name must stay as it is.
    #[inline]
    pub fn get_mut(&mut self, name: &[u8]) -> Option<&mut E> {
        let hash = self.hash(name);
        let segment = self.segment_of(hash);
        self.segments[segment].elements.find_mut(hash, is_named(hash, name)).map(|slot| &mut slot.element)
    }

    /// Puts an element in, in place of the one that has its name.
    pub fn insert(&mut self, element: E) -> Option<E> {
        let hash = self.hash(element.name());
        let index = self.segment_of(hash);
        if let Some(slot) = self.segments[index].elements.find_mut(hash, is_named(hash, element.name())) {
            return Some(std::mem::replace(&mut slot.element, element));
        }
        let index = self.make_room(index, hash);
        self.segments[index].elements.insert_unique(hash, Slot { hash, element }, |slot| slot.hash);
        self.len += 1;
        None
    }

    /// Takes an element out.
    pub fn remove(&mut self, name: &[u8]) -> Option<E> {
        let hash = self.hash(name);
        let segment = self.segment_of(hash);
        let elements = &mut self.segments[segment].elements;
        let (slot, _) = elements.find_entry(hash, is_named(hash, name)).ok()?.remove();
        // What many removals leave behind is not kept for ever.
        if elements.len() * 4 < elements.capacity() {
            elements.shrink_to(elements.len() * 2, |slot| slot.hash);
        }
        self.len -= 1;
        Some(slot.element)
    }

    /// All elements, in the order of segments.
    pub fn iter(&self) -> impl Iterator<Item = &E> {
        self.segments.iter().flat_map(|segment| segment.elements.iter().map(|slot| &slot.element))
    }

    /// An element, each as likely as another. `below` gives random numbers below its argument.
    pub fn random(&self, below: &mut impl FnMut(usize) -> usize) -> Option<&E> {
        if self.is_empty() {
            return None;
        }
        // A segment is taken the likelier the more elements it has. Where all are nearly empty, that may take long.
        for _ in 0..RANDOM_SEGMENTS_MAX {
            let elements = &self.segments[below(self.segments.len())].elements;
            let position = below(SEGMENT_LEN_MAX);
            if position < elements.len() {
                return elements.iter().nth(position).map(|slot| &slot.element);
            }
        }
        self.nth(below(self.len))
    }

    /// The element at a position below [`Table::len`].
    fn nth(&self, mut position: usize) -> Option<&E> {
        for segment in &self.segments {
            if let Some(slot) = segment.elements.iter().nth(position) {
                return Some(&slot.element);
            }
            position -= segment.elements.len();
        }
        None
    }

    /// Gives `visit` at least `count` elements (one, where it is 0) from `cursor` on, or all that are left; and where to go on.
    pub fn scan<'a>(&'a self, cursor: Cursor, count: usize, mut visit: impl FnMut(&'a E)) -> Cursor {
        let mut visited = 0;
        self.scan_until(cursor, |element| {
            visit(element);
            visited += 1;
            visited >= count
        })
    }

    /// Gives `visit` elements from `cursor` on until it says that it has enough, and those that have the last one's cursor, or all that
    /// are left; and where to go on.
    pub fn scan_until<'a>(&'a self, cursor: Cursor, mut visit: impl FnMut(&'a E) -> bool) -> Cursor {
        let mut from = cursor & CURSOR_MAX;
        let mut is_enough = false;
        loop {
            let index = self.segment_of(from << (64 - CURSOR_BITS));
            let segment = &self.segments[index];
            let mut found: Vec<(Cursor, &E)> = segment
                .elements
                .iter()
                .map(|slot| (cursor_of(slot.hash), &slot.element))
                .filter(|(at, _)| *at >= from)
                .collect();
            found.sort_unstable_by_key(|(at, _)| *at);
            let mut last = None;
            for (at, element) in found {
                // Those with one cursor go together: it could not tell them apart.
                if is_enough && last != Some(at) {
                    return at;
                }
                is_enough |= visit(element);
                last = Some(at);
            }
            from = end_of(from, segment.depth);
            if from == 0 || is_enough {
                return from;
            }
        }
    }

    /// Where an element of this hash goes: `index`, or a part of it after it was split.
    fn make_room(&mut self, mut index: usize, hash: u64) -> usize {
        // Where all elements have more bits in common than a directory can have, they stay together.
        while self.segments[index].elements.len() >= SEGMENT_LEN_MAX && self.segments[index].depth < CURSOR_BITS / 2 {
            self.split(index, hash);
            index = self.segment_of(hash);
        }
        index
    }

    /// Splits the segment at `index`, which is in charge of `hash`.
    fn split(&mut self, index: usize, hash: u64) {
        let depth = self.segments[index].depth + 1;
        if depth > self.depth {
            self.directory = self.directory.iter().flat_map(|&segment| [segment, segment]).collect();
            self.depth = depth;
        }
        let whole = std::mem::take(&mut self.segments[index].elements);
        let mut halves = [HashTable::with_capacity(whole.len() / 2), HashTable::with_capacity(whole.len() / 2)];
        for slot in whole {
            let half = top_bits(slot.hash, depth) & 1;
            halves[half].insert_unique(slot.hash, slot, |slot| slot.hash);
        }
        let [low, high] = halves;
        self.segments[index] = Segment { depth, elements: low };
        let new = u32::try_from(self.segments.len()).expect("fewer segments than memory has bytes");
        self.segments.push(Segment { depth, elements: high });
        // Of the entries that named the segment, the upper half.
        let entries = 1 << (self.depth - depth);
        let first = (top_bits(hash, depth - 1) * 2 + 1) * entries;
        self.directory[first..first + entries].fill(new);
    }
}

#[inline]
fn is_named<E: Named>(hash: u64, name: &[u8]) -> impl Fn(&Slot<E>) -> bool {
    move |slot| slot.hash == hash && slot.element.name() == name
}

#[inline]
fn top_bits(hash: u64, bits: u32) -> usize {
    // By 64 at once is no shift.
    (hash >> 1 >> (63 - bits)) as usize
}

/// The cursor from which on a scan of a table with this seed gives what has this name.
pub fn cursor(name: &[u8], seed: u64) -> Cursor {
    cursor_of(xxh3_64_with_seed(name, seed))
}

fn cursor_of(hash: u64) -> Cursor {
    hash >> (64 - CURSOR_BITS)
}

/// The first cursor beyond a segment of this depth; 0 beyond the last.
fn end_of(cursor: Cursor, depth: u32) -> Cursor {
    let last = cursor | CURSOR_MAX >> depth;
    (last + 1) & CURSOR_MAX
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use proptest::prelude::*;

    use super::*;
    use crate::disk::Random;

    #[derive(Debug, Clone, PartialEq)]
    struct Entry(Vec<u8>, u32);

    impl Named for Entry {
        fn name(&self) -> &[u8] {
            &self.0
        }
    }

    fn filled(len: u32) -> Table<Entry> {
        let mut table = Table::new(7);
        (0..len).for_each(|i| assert!(table.insert(Entry(i.to_string().into(), i)).is_none()));
        table
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn it_holds_what_a_map_holds(seed: u64, steps in 1..6_000_usize, names in 1..3_000_u64) {
            let (mut table, mut model) = (Table::new(seed), BTreeMap::new());
            let mut random = Random::new(seed);
            for step in 0..u32::try_from(steps).unwrap() {
                let name = random.below(names).to_string().into_bytes();
                if random.below(3) == 0 {
                    prop_assert_eq!(table.remove(&name).map(|entry: Entry| entry.1), model.remove(&name));
                } else {
                    let before = table.insert(Entry(name.clone(), step));
                    prop_assert_eq!(before.map(|entry| entry.1), model.insert(name, step));
                }
            }
            prop_assert_eq!(table.len(), model.len());
            let held: BTreeMap<Vec<u8>, u32> = table.iter().map(|entry| (entry.0.clone(), entry.1)).collect();
            for (name, value) in &model {
                prop_assert_eq!(table.get(name).map(|entry| entry.1), Some(*value));
            }
            prop_assert_eq!(held, model);
        }
    }

    #[test]
    fn a_scan_gives_each_element_once_and_no_more_than_was_asked() {
        for len in [0, 1, 10, 511, 512, 513, 5_000] {
            let table = filled(len);
            for count in [0, 1, 7, 1_000] {
                let (mut seen, mut cursor, mut calls) = (HashMap::new(), 0, 0_usize);
                loop {
                    let mut given = 0;
                    cursor = table.scan(cursor, count, |entry| {
                        *seen.entry(entry.1).or_insert(0) += 1;
                        given += 1;
                    });
                    calls += 1;
                    assert!(given <= count.max(1), "{given} of {count}: cursors differ here");
                    if cursor == 0 {
                        break;
                    }
                }
                assert!(seen.len() == len as usize && seen.values().all(|times| *times == 1), "{len} {count}");
                assert!(calls <= len as usize / count.max(1) + 2, "{calls} calls for {len} by {count}");
            }
        }
    }

    #[test]
    fn what_is_there_all_the_time_is_scanned_once_whatever_comes_and_goes() {
        let mut table = filled(2_000);
        let mut random = Random::new(3);
        let (mut seen, mut cursor, mut added) = (HashMap::new(), 0, 2_000);
        loop {
            cursor = table.scan(cursor, 10, |entry| *seen.entry(entry.1).or_insert(0) += 1);
            for _ in 0..40 {
                table.insert(Entry(added.to_string().into(), added));
                added += 1;
            }
            // Even numbers below 2,000 stay.
            let odd = random.below(1_000) * 2 + 1;
            table.remove(odd.to_string().as_bytes());
            if cursor == 0 {
                break;
            }
        }
        assert!(table.len() > 8_000, "it was split meanwhile: {}", table.len());
        assert!((0..2_000).step_by(2).all(|i| seen.get(&i) == Some(&1)));
        assert!(seen.values().all(|times| *times == 1));
    }

    #[test]
    fn every_position_has_an_element_of_its_own() {
        let table = filled(3_000);
        let mut found: Vec<u32> = (0..3_000).map(|i| table.nth(i).unwrap().1).collect();
        found.sort_unstable();
        assert_eq!(found, (0..3_000).collect::<Vec<_>>());
        assert!(table.nth(3_000).is_none());
    }

    #[test]
    fn a_random_element_is_any_of_them_whether_segments_are_full_or_nearly_empty() {
        let mut random = Random::new(5);
        let mut below = |bound: usize| random.below(bound as u64) as usize;
        for (len, removed) in [(1, 0), (100, 0), (1_000, 0), (60_000, 59_900)] {
            let mut table = filled(len);
            (0..removed).for_each(|i: u32| drop(table.remove(i.to_string().as_bytes())));
            let mut times = HashMap::new();
            let draws = table.len() * 100;
            for _ in 0..draws {
                *times.entry(table.random(&mut below).unwrap().1).or_insert(0) += 1;
            }
            assert_eq!(times.len(), table.len());
            // A hundred times each, and five standard deviations.
            assert!(times.values().all(|&times| len == 1 || (50..=150).contains(&times)), "{times:?}");
        }
        assert!(filled(0).random(&mut below).is_none());
    }

    #[test]
    fn a_cursor_is_exact_in_a_float64() {
        let mut cursor = 0;
        let table = filled(100);
        loop {
            cursor = table.scan(cursor, 1, |_| {});
            assert_eq!(cursor as f64 as u64, cursor);
            if cursor == 0 {
                break;
            }
        }
        // One that nobody gave is a place like any other.
        table.scan(u64::MAX, 10, |_| {});
    }
}
