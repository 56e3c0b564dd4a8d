//! What a HEAD is worth: whether the store has outlived one that says "closed in order", and whose tables it speaks of.
//!
//! No crash leaves one: the mark of a clean close is taken back, and that synced, before anything is written that it would
//! hide. A copy of the folder does that was begun while the store was closed and ended while it was in use.

use std::path::Path;

use crate::disk::Disk;
use crate::error::Result;
use crate::head::HeadState;
use crate::latest::Beside;
use crate::lock::is_held;
use crate::log::LogPlace;

/// Whether the store has gone on since HEAD `said` that it was closed in order: in the registry, whose generation on disk is
/// `generation`, or in the log. Whoever closes a store writes to neither afterwards, and whoever opens one takes the mark
/// back first.
///
/// Nothing else is asked: see DESIGN.md, "Why can no crash give a number twice?".
///
/// # Errors
/// The log cannot be read.
pub(super) fn is_outlived(said: &HeadState, generation: u64, log: &LogPlace) -> Result<bool> {
    Ok(said.is_clean && (said.manifest_generation < generation || log.goes_on_at(said.log_end)?))
}

/// Whose tables a HEAD that is believed speaks of.
///
/// # Errors
/// The disk would not say who holds the store.
pub(super) fn beside(disk: &dyn Disk, store: &Path, said: &HeadState) -> Result<Beside> {
    let committed_seq = said.committed_seq;
    Ok(if said.is_clean {
        Beside::Nobody { committed_seq }
    } else if is_held(disk, store)? {
        Beside::Writer
    } else {
        Beside::Killed { committed_seq }
    })
}
