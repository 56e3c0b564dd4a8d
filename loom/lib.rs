//! Nothing: the tests include `src/latest/seqlock.rs` as it stands, and put loom's atomics in place of the standard library's.
