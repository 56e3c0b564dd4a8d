//! MANIFEST: raw, with the right checksums, and what the registry makes of its records.
#![no_main]

use std::path::Path;

use asof::format::manifest::{FORMAT_VERSION, HEADER_BYTES, MAGIC, Manifest, Records};
use asof::registry::RegistryState;
use asof::registry::records::{Meta, Record};
use libfuzzer_sys::fuzz_target;
use xxhash_rust::xxh3::xxh3_128;

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new("MANIFEST");
    let Some((count, records)) = bytes.split_first() else { return };
    let mut sealed = MAGIC.to_vec();
    sealed.extend(FORMAT_VERSION.to_le_bytes());
    sealed.extend([0; 4]);
    sealed.extend([7; 16]);
    sealed.extend(9_u64.to_le_bytes());
    sealed.extend(u64::from(*count).to_le_bytes());
    sealed.extend((records.len() as u64).to_le_bytes());
    sealed.extend(xxh3_128(records).to_le_bytes());
    assert_eq!(sealed.len(), HEADER_BYTES);
    sealed.extend(records);
    sealed.extend(crc32c::crc32c(&sealed).to_le_bytes());
    for file in [bytes, &sealed] {
        if let Ok(manifest) = Manifest::parse(file, path) {
            assert_eq!(manifest.encode().ok().as_deref(), Some(file));
            touch(manifest);
        }
    }
    // Lines of KEY=JSON: the way past lengths, to the records.
    if let Ok(text) = std::str::from_utf8(records) {
        let mut records = Records::new();
        records.insert(Meta::default().key(), serde_json::to_vec(&Meta::default()).expect("JSON").into());
        for line in text.lines() {
            if let Some((key, json)) = line.split_once('=') {
                records.insert(key.to_owned(), json.as_bytes().to_vec().into());
            }
        }
        let manifest = Manifest { store_uuid: [7; 16], generation: 9, records };
        if let Ok(file) = manifest.encode() {
            assert_eq!(Manifest::parse(&file, path).expect("what was encoded parses"), manifest);
        }
        touch(manifest);
    }
});

fn touch(manifest: Manifest) {
    let Ok(state) = RegistryState::from_manifest(manifest.clone()) else { return };
    assert_eq!(state.to_manifest(), manifest);
    state.definitions_at(None);
    state.definitions_at(Some(1));
    for view in state.views() {
        state.view(view.id);
        state.runs_of(view.id).count();
    }
    let _ = state.snapshot("nightly");
}
