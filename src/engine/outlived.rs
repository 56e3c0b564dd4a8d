//! A HEAD that says "closed in order" of an earlier day.
//!
//! No crash leaves one: the mark of a clean close is taken back, and that synced, before anything is written that it would
//! hide. A copy of the folder does that was begun while the store was closed and ended while it was in use.

use crate::error::Result;
use crate::head::HeadState;
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
