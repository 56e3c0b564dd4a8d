//! Files of an image missing, older than they should be, or damaged, and what must come of it.
//!
//! | spoilt | outcome |
//! | --- | --- |
//! | `registry.redb` missing, stale or damaged; HEAD sound or missing | recovered, from MANIFEST |
//! | MANIFEST missing, stale or damaged; HEAD sound or missing | recovered, from `registry.redb` |
//! | HEAD missing or damaged | recovered, by reading the log |
//! | HEAD stale | recovered; numbers of rows that a power failure took may come again |
//! | a latest table, or the keyspace's checkpoint, missing or damaged; a checkpoint of an earlier day | recovered, from log and runs |
//! | `registry.redb` and MANIFEST both missing or damaged | refused |
//! | STORE missing or damaged, with rows in the store | refused |
//! | a log segment damaged | refused, or a prefix: beyond every witness of a sync, damage cannot be told from a torn end, and numbers it reserved may come again |
//! | a run, its index or a clock file damaged | refused where it is read; everything else is answered |
//!
//! Nothing else can be told apart: a stale `registry.redb` beside a lost MANIFEST after a power failure is a store
//! restored to an earlier day. Never may an answer be wrong.

use std::collections::HashMap;
use std::path::Path;

use asof::disk::{Disk, MemDisk, OpenMode, Random};

use super::image::{STORE, path};

/// What may become of a spoilt image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Opened, with everything that must be there.
    Recover,
    /// Not opened, and the error says what to do.
    Refuse,
    /// One of the two, at the opening or where the file is read.
    RecoverOrRefuse,
    /// As before, and numbers that only rows had which are gone may be given again.
    RecoverEarlierDay,
    /// As before, and what no witness covers may be lost.
    RefuseOrLoseTail,
}

/// Copies of files as earlier images had them.
#[derive(Default)]
pub struct Older(HashMap<&'static str, Vec<Vec<u8>>>);

const KEPT_MAX: usize = 4;
const COPIED: [&str; 4] = ["registry.redb", "MANIFEST", "HEAD", CHECKPOINT];
const CHECKPOINT: &str = "latest/0-_keyspace@1";

fn read(disk: &MemDisk, path: &Path) -> Option<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read).ok()?;
    let mut bytes = vec![0; usize::try_from(file.len_bytes().ok()?).ok()?];
    file.read_at(0, &mut bytes).ok()?;
    Some(bytes)
}

/// Puts a file in place as if it had always been there.
fn put(disk: &MemDisk, path: &Path, bytes: &[u8]) {
    remove(disk, path);
    let file = disk.open(path, OpenMode::Create).unwrap();
    file.write_at(0, bytes).unwrap();
    file.sync().unwrap();
    disk.sync_dir(path.parent().unwrap()).unwrap();
}

fn remove(disk: &MemDisk, path: &Path) {
    if disk.exists(path).unwrap() {
        disk.remove(path).unwrap();
        disk.sync_dir(path.parent().unwrap()).unwrap();
    }
}

impl Older {
    fn keep(&mut self, disk: &MemDisk, dice: &mut Random) {
        for name in COPIED {
            let Some(bytes) = read(disk, &path(name)) else { continue };
            let copies = self.0.entry(name).or_default();
            if copies.len() < KEPT_MAX {
                copies.push(bytes);
            } else {
                copies[usize::try_from(dice.below(KEPT_MAX as u64)).unwrap()] = bytes;
            }
        }
    }

    fn one(&self, name: &str, dice: &mut Random) -> Option<&Vec<u8>> {
        let copies = self.0.get(name)?;
        copies.get(usize::try_from(dice.below(copies.len() as u64)).unwrap())
    }
}

/// Flips a few bits, wipes a sector, or cuts the file short. Whether it is another file now.
fn damage(disk: &MemDisk, path: &Path, dice: &mut Random) -> bool {
    let Some(before) = read(disk, path).filter(|bytes| !bytes.is_empty()) else { return false };
    let mut bytes = before.clone();
    let at = |dice: &mut Random, len: usize| usize::try_from(dice.below(len as u64)).unwrap();
    match dice.below(4) {
        0 | 1 => {
            for _ in 0..=dice.below(6) {
                let byte = at(dice, bytes.len());
                bytes[byte] ^= 1 << dice.below(8);
            }
        }
        2 => {
            let start = at(dice, bytes.len()) / 512 * 512;
            let end = bytes.len().min(start + 512);
            bytes[start..end].fill(if dice.below(2) == 0 { 0 } else { 0xa5 });
        }
        _ => bytes.truncate(at(dice, before.len())),
    }
    put(disk, path, &bytes);
    bytes != before
}

/// The files below a folder whose names end so.
fn files(disk: &MemDisk, folder: &Path, endings: &[&str], found: &mut Vec<std::path::PathBuf>) {
    for name in disk.list(folder).unwrap_or_default() {
        let path = folder.join(&name);
        if disk.list(&path).is_ok() {
            files(disk, &path, endings, found);
        } else if endings.iter().any(|ending| name.ends_with(ending)) || name.starts_with("commits-") {
            found.push(path);
        }
    }
}

fn one_of(found: &[std::path::PathBuf], dice: &mut Random) -> Option<std::path::PathBuf> {
    found.get(usize::try_from(dice.below(found.len() as u64)).unwrap()).cloned()
}

/// Spoils about one image in eight; what was done to it, and what must come of that. `is_killed`: only the process died, and
/// HEAD, which is in use then and carries no checksum, is not damaged, for nothing that happens to a process does that.
pub fn spoil(disk: &MemDisk, older: &mut Older, is_killed: bool, dice: &mut Random) -> Option<(Expect, String)> {
    let is_store = disk.exists(&path("STORE")).unwrap();
    if is_store && dice.below(24) == 0 {
        older.keep(disk, dice);
    }
    if !is_store || dice.below(8) != 0 {
        return None;
    }
    let name = COPIED[usize::try_from(dice.below(3)).unwrap()];
    let expect = |name: &str, is_stale: bool| match (name, is_stale) {
        ("HEAD", true) => Expect::RecoverEarlierDay,
        _ => Expect::Recover,
    };
    let also_head = name != "HEAD" && dice.below(4) == 0;
    if also_head {
        remove(disk, &path("HEAD"));
    }
    let with = if also_head { ", HEAD missing" } else { "" };
    Some(match dice.below(12) {
        0 | 1 => {
            remove(disk, &path(name));
            (expect(name, false), format!("{name} missing{with}"))
        }
        2..=4 if is_killed && name == "HEAD" => return None,
        2..=4 => {
            damage(disk, &path(name), dice);
            (expect(name, false), format!("{name} damaged{with}"))
        }
        5 | 6 => {
            let copy = older.one(name, dice)?;
            put(disk, &path(name), copy);
            (expect(name, true), format!("{name} stale{with}"))
        }
        7 => {
            remove(disk, &path("registry.redb"));
            if dice.below(2) == 0 || !damage(disk, &path("MANIFEST"), dice) {
                remove(disk, &path("MANIFEST"));
            }
            (Expect::Refuse, "registry.redb and MANIFEST lost".to_owned())
        }
        8 => {
            // Before the folders were made, a store without STORE is a creation cut short.
            let has_folders = ["log", "history"].iter().all(|folder| disk.exists(&path(folder)).unwrap());
            if dice.below(2) == 0 && has_folders {
                remove(disk, &path("STORE"));
                (Expect::Refuse, "STORE missing".to_owned())
            } else {
                let is_damaged = damage(disk, &path("STORE"), dice);
                (if is_damaged { Expect::Refuse } else { Expect::Recover }, "STORE damaged".to_owned())
            }
        }
        9 => {
            let mut found = Vec::new();
            files(disk, &Path::new(STORE).join("log"), &[".log"], &mut found);
            let path = one_of(&found, dice)?;
            damage(disk, &path, dice);
            (Expect::RefuseOrLoseTail, format!("{} damaged", path.display()))
        }
        10 => {
            let mut found = Vec::new();
            files(disk, &Path::new(STORE).join("history"), &[".arrow", ".idx"], &mut found);
            let path = one_of(&found, dice)?;
            damage(disk, &path, dice);
            (Expect::RecoverOrRefuse, format!("{} damaged", path.display()))
        }
        _ => {
            let mut found = Vec::new();
            files(disk, &Path::new(STORE).join("latest"), &[""], &mut found);
            let path = one_of(&found, dice)?;
            let earlier = older.one(CHECKPOINT, dice).filter(|_| path.ends_with(CHECKPOINT));
            match (dice.below(3), earlier) {
                (0, _) => remove(disk, &path),
                (1, Some(earlier)) => put(disk, &path, earlier),
                _ => {
                    damage(disk, &path, dice);
                }
            }
            (Expect::Recover, format!("{} missing, damaged or of an earlier day", path.display()))
        }
    })
}
