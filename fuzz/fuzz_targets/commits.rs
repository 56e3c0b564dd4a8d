//! Commit clocks: raw, and with the right checksums.
#![no_main]

use asof::format::commits::{
    COMMIT_BYTES, COMMITS_HEADER_BYTES, COMMITS_MAGIC, commit_of, encode_commits, last_by, parse_commits,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let entries = &bytes[..bytes.len() - bytes.len() % COMMIT_BYTES];
    let mut sealed = COMMITS_MAGIC.to_vec();
    sealed.extend(1_u32.to_le_bytes());
    sealed.extend(u32::try_from(entries.len() / COMMIT_BYTES).expect("short").to_le_bytes());
    sealed.extend(crc32c::crc32c(entries).to_le_bytes());
    sealed.extend(crc32c::crc32c(&sealed).to_le_bytes());
    assert_eq!(sealed.len(), COMMITS_HEADER_BYTES);
    sealed.extend(entries);
    for file in [bytes, &sealed] {
        let Ok(commits) = parse_commits(file) else { continue };
        assert_eq!(parse_commits(&encode_commits(&commits)), Ok(commits.clone()));
        for commit in &commits {
            last_by(&commits, commit.ingested_at);
            commit_of(&commits, commit.last_seq);
        }
    }
    assert!(parse_commits(&sealed).is_ok());
});
