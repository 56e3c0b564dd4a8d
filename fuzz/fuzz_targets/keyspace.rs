//! Rows of the keyspace: whatever parses is written back as it was, and can be done to any keys.
#![no_main]

use asof::format::keyspace::{Change, layout, push_change, read_change};
use asof::format::row::RowRef;
use asof::keyspace::Keyspace;
use libfuzzer_sys::fuzz_target;

/// What is written beyond this takes more memory than a fuzzer has.
const OFFSET_MAX: u64 = 1 << 20;

fuzz_target!(|records: &[u8]| {
    let (layout, mut rest) = (layout(), records);
    let mut keyspace = Keyspace::new(1);
    while let Ok((row, after)) = RowRef::parse(rest, &layout) {
        rest = after;
        if !row.head.kind.is_of_keyspace() {
            continue;
        }
        let Ok((key, change)) = read_change(&row, &layout) else { continue };
        let mut written = Vec::new();
        push_change(&layout, key, change, row.head.event_ts, &mut written).expect("what was read can be written");
        let (again, _) = RowRef::parse(&written, &layout).expect("what was written can be read");
        assert_eq!(read_change(&again, &layout), Ok((key, change)));
        let is_far = matches!(change, Change::WriteString(at, _) | Change::WriteField(_, at, _) if at > OFFSET_MAX);
        if !is_far {
            keyspace.replay(key, change, row.head.event_ts);
        }
    }
    for database in 0..16 {
        for key in keyspace.iter(database, i64::MIN) {
            assert!(keyspace.get((database, &key.name), i64::MIN).is_some());
        }
    }
});
