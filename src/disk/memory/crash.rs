//! What a crash leaves.
//!
//! # Fault model
//! - A power failure keeps what was synced. Of every 512-byte sector written since the last sync of its
//!   file, any version since then may be found, each sector for itself: so long writes tear.
//! - The length of a file is any it had since its last sync.
//! - A sector of a mapped file that differs from what was synced comes back old, new, mixed word by
//!   word, or as arbitrary bytes.
//! - Changes of names since the sync of their folder happened or did not, each for itself, except that
//!   changes of one name keep their order and a rename within a folder is whole. What lies in a folder
//!   that is lost is lost.
//! - A killed process loses nothing but its locks; what was not synced still is not.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use super::content::{Content, PAGE_BYTES, Page, is_zero, to_usize};
use super::file::{Change, FileState, Inode};
use super::names::{NameChange, NameChangeKind, Names, Node, Tree, is_root};
use super::{MemDisk, State};
use crate::disk::Random;

/// What a write to the medium cannot be torn within.
const SECTOR_BYTES: usize = 512;

/// What becomes of the changes that no sync covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashMode {
    /// All of them reached the medium.
    KeepAll,
    /// None did.
    DropAll,
    /// Some did; the same seed gives the same image.
    Random(u64),
}

impl MemDisk {
    /// The disk a machine finds after a power failure now: another boot, no locks. This disk goes on.
    pub fn crash_image(&self, mode: CrashMode) -> MemDisk {
        let state = self.state();
        let mut random = match mode {
            CrashMode::Random(seed) => Random::new(seed),
            CrashMode::KeepAll | CrashMode::DropAll => Random::new(0),
        };
        // Some crashes come right after a flush by the system, some long before one.
        let keep_of_8 = [1, 4, 7][to_usize(random.below(3))];
        let mut choice = Choice { random, keep_of_8 };
        let mut tree = match mode {
            _ if !state.records => state.names.live.clone(),
            CrashMode::KeepAll => state.names.live.clone(),
            CrashMode::DropAll => state.names.durable.clone(),
            CrashMode::Random(_) => surviving_names(&state.names, &mut choice),
        };
        drop_orphans(&mut tree);
        let mut inodes = HashMap::new();
        for node in tree.values_mut() {
            replace(node, &mut inodes, |file| {
                let content = match mode {
                    _ if !state.records => file.snapshot(),
                    CrashMode::KeepAll => file.snapshot(),
                    CrashMode::DropAll => file.durable.clone(),
                    CrashMode::Random(_) if file.by_difference => surviving_map(file, &mut choice),
                    CrashMode::Random(_) => surviving_writes(file, &mut choice),
                };
                FileState { live: content.clone(), durable: content, ..FileState::default() }
            });
        }
        let names = Names { live: tree.clone(), durable: tree, pending: Vec::new() };
        state.image(names, state.boot + 1)
    }

    /// The disk as a process finds it that starts after all others were killed: the same boot, all
    /// writes visible, no locks. This disk goes on.
    pub fn kill_image(&self) -> MemDisk {
        let state = self.state();
        let mut names = state.names.clone();
        let mut inodes = HashMap::new();
        let pending = names.pending.iter_mut().filter_map(|change| match &mut change.kind {
            NameChangeKind::Bind { node, .. } | NameChangeKind::Move { node, .. } => Some(node),
            NameChangeKind::Unbind { .. } => None,
        });
        for node in names.live.values_mut().chain(names.durable.values_mut()).chain(pending) {
            replace(node, &mut inodes, |file| FileState { live: file.snapshot(), map: None, ..file.clone() });
        }
        state.image(names, state.boot)
    }
}

impl State {
    fn image(&self, names: Names, boot: u64) -> MemDisk {
        MemDisk::from_state(State {
            names,
            locked: HashSet::new(),
            next_inode: self.next_inode,
            boot,
            operations: 0,
            fail_after: None,
            records: self.records,
        })
    }
}

/// The dice of one crash.
struct Choice {
    random: Random,
    keep_of_8: u64,
}

impl Choice {
    fn keeps(&mut self) -> bool {
        self.random.below(8) < self.keep_of_8
    }

    /// One of 0 to `last`; the ends are likelier than what lies between.
    fn version(&mut self, last: u64) -> u64 {
        match self.random.below(3) {
            0 => self.random.below(last + 1),
            _ if self.keeps() => last,
            _ => 0,
        }
    }
}

/// Puts a copy of its own in place of a file, one for all names of the file.
fn replace(node: &mut Node, inodes: &mut HashMap<u64, Arc<Inode>>, copy: impl FnOnce(&FileState) -> FileState) {
    if let Node::File(inode) = node {
        let new = inodes.entry(inode.id).or_insert_with(|| Inode::new(inode.id, copy(&inode.state())));
        *inode = Arc::clone(new);
    }
}

fn surviving_names(names: &Names, choice: &mut Choice) -> Tree {
    let mut tree = names.durable.clone();
    let mut undone: HashSet<&Arc<Path>> = HashSet::new();
    for change in &names.pending {
        let overtakes = change.names().any(|name| undone.contains(name));
        if overtakes || !choice.keeps() {
            undone.extend(NameChange::names(change));
        } else {
            change.apply(&mut tree);
        }
    }
    tree
}

/// Takes out what lies in folders that are not there.
fn drop_orphans(tree: &mut Tree) {
    let mut kept = Tree::new();
    // In the order of paths a folder comes before what it holds.
    for (path, node) in std::mem::take(tree) {
        let parent = path.parent().unwrap_or(Path::new(""));
        if is_root(parent) || matches!(kept.get(parent), Some(Node::Dir)) {
            kept.insert(path, node);
        }
    }
    *tree = kept;
}

/// Splits a write at sector boundaries: sector number and range of its bytes.
fn sectors(offset: u64, len: usize) -> impl Iterator<Item = (u64, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let take = (SECTOR_BYTES - to_usize(at % SECTOR_BYTES as u64)).min(len - done);
        let range = done..done + take;
        done += take;
        (take > 0 && !range.is_empty()).then_some((at / SECTOR_BYTES as u64, range))
    })
}

fn surviving_writes(file: &FileState, choice: &mut Choice) -> Content {
    let mut versions: BTreeMap<u64, u64> = BTreeMap::new();
    let mut lengths = vec![file.durable.len];
    for change in &file.pending {
        let len = lengths[lengths.len() - 1];
        lengths.push(match change {
            Change::Write { offset, bytes } => {
                sectors(*offset, bytes.len()).for_each(|(sector, _)| *versions.entry(sector).or_default() += 1);
                len.max(offset + bytes.len() as u64)
            }
            Change::Length(len) => *len,
        });
    }
    versions.values_mut().for_each(|version| *version = choice.version(*version));
    let mut content = file.durable.clone();
    for change in &file.pending {
        let Change::Write { offset, bytes } = change else { continue };
        for (sector, range) in sectors(*offset, bytes.len()) {
            // Counts down the writes of this sector that reached the medium.
            if let Some(left @ 1..) = versions.get_mut(&sector) {
                *left -= 1;
                content.write(offset + range.start as u64, &bytes[range]);
            }
        }
    }
    content.set_len(lengths[to_usize(choice.version(lengths.len() as u64 - 1))]);
    content
}

fn surviving_map(file: &FileState, choice: &mut Choice) -> Content {
    const ZEROS: Page = [0; PAGE_BYTES];
    let new = file.snapshot();
    let mut content = file.durable.clone();
    content.set_len(content.len.max(new.len));
    let numbers: BTreeSet<u64> =
        new.pages_from(0).chain(file.durable.pages_from(0)).map(|(number, _)| number).collect();
    for number in numbers {
        let old_page = file.durable.page(number).map_or(&ZEROS, |page| &**page);
        let new_page = new.page(number).map_or(&ZEROS, |page| &**page);
        if old_page == new_page {
            continue;
        }
        let mut page = *old_page;
        for start in (0..PAGE_BYTES).step_by(SECTOR_BYTES) {
            let range = start..start + SECTOR_BYTES;
            if old_page[range.clone()] != new_page[range.clone()] {
                survive_sector(&mut page[range.clone()], &new_page[range], choice);
            }
        }
        content.set_page(number, (!is_zero(&page)).then(|| Arc::new(page)));
    }
    let len = if choice.keeps() { new.len } else { file.durable.len };
    content.set_len(len);
    content
}

/// Makes of an old sector what the crash leaves of it.
fn survive_sector(sector: &mut [u8], new: &[u8], choice: &mut Choice) {
    match choice.random.below(4) {
        0 => {
            for (word, new) in sector.chunks_exact_mut(8).zip(new.chunks_exact(8)) {
                if choice.random.below(2) == 0 {
                    word.copy_from_slice(new);
                }
            }
        }
        1 => {
            for word in sector.chunks_exact_mut(8) {
                word.copy_from_slice(&choice.random.bits().to_ne_bytes());
            }
        }
        _ if choice.keeps() => sector.copy_from_slice(new),
        _ => {}
    }
}
