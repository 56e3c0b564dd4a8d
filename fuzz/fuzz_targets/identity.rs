//! STORE: raw, and with the right checksum.
#![no_main]

use std::path::Path;

use asof::disk::{Disk, MemDisk};
use asof::identity::{FILE_NAME, IDENTITY_BYTES, Identity, MAGIC};
use libfuzzer_sys::fuzz_target;
use xxhash_rust::xxh3::xxh3_64;

fuzz_target!(|bytes: &[u8]| {
    let mut sealed = bytes.to_vec();
    if sealed.len() >= IDENTITY_BYTES {
        sealed[..8].copy_from_slice(&MAGIC);
        let checksum = xxh3_64(&sealed[..IDENTITY_BYTES - 8]);
        sealed[IDENTITY_BYTES - 8..IDENTITY_BYTES].copy_from_slice(&checksum.to_le_bytes());
    }
    for file in [bytes, &sealed] {
        let parsed = Identity::parse(file, Path::new(FILE_NAME));
        if let Ok(identity) = &parsed {
            assert_eq!(identity.encode().as_slice(), file);
            let _ = identity.uuid_text().to_string();
        }
        let disk = MemDisk::volatile();
        disk.create_dir("/store".as_ref()).expect("a folder");
        asof_fuzz::put(&disk, "/store/STORE", file);
        let read = Identity::read(&disk, "/store".as_ref());
        assert_eq!(read.ok(), parsed.ok());
    }
});
