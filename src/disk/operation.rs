//! The operations a disk can be asked for: what simulated disks count, watch and fail.

/// An operation that changes something, or makes it durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A file came to be.
    Create,
    /// A file was opened to write; a disk with faults is asked for it, and nobody is told.
    OpenWrite,
    /// Bytes were written to a file.
    Write,
    /// A file was cut or extended.
    SetLen,
    /// Space was reserved for a file.
    Allocate,
    /// A file was synced.
    Sync,
    /// Part of a mapping was synced.
    SyncMap,
    /// A file was renamed; the path is the old one.
    Rename,
    /// A file was removed.
    Remove,
    /// A folder came to be.
    CreateDir,
    /// A folder was removed.
    RemoveDir,
    /// A folder was synced.
    SyncDir,
}
