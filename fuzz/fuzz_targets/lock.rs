//! LOCK: whatever it says is a holder, whom the next one's note leaves nothing of.
#![no_main]

use std::path::Path;

use asof::disk::{Disk, MemDisk};
use asof::lock::{OpenerLock, holder};
use libfuzzer_sys::fuzz_target;

/// Of a holder's command; see storage_format.md.
const COMMAND_BYTES_MAX: usize = 512;

fuzz_target!(|bytes: &[u8]| {
    let (disk, dir) = (MemDisk::volatile(), Path::new("/store"));
    disk.create_dir(dir).expect("a folder");
    asof_fuzz::put(&disk, "/store/STORE", b"");
    asof_fuzz::put(&disk, "/store/LOCK", bytes);
    assert_eq!(holder(&disk, dir).expect("a disk in memory"), None, "nobody holds it");

    let held = disk.try_lock("/store/LOCK".as_ref()).expect("a disk in memory").expect("nobody holds it");
    let said = holder(&disk, dir).expect("a disk in memory").expect("it is held");
    let _ = said.to_string();
    drop(held);

    // As if it had been that one's own note: all but what makes no line of text comes back.
    let lock = OpenerLock::acquire(&disk, dir).and_then(|lock| lock.hold(&disk, dir, &said)).expect("nobody holds it");
    let noted = holder(&disk, dir).expect("a disk in memory").expect("it is held");
    let mut command = said.command.replace(|c: char| c.is_control(), " ");
    command.truncate(command.floor_char_boundary(COMMAND_BYTES_MAX));
    assert_eq!((noted.pid, noted.started_at, noted.command), (said.pid, said.started_at, command));
    drop(lock);
    assert_eq!(holder(&disk, dir).expect("a disk in memory"), None, "nobody holds it any more");
});
