//! A lock that a panic elsewhere does not close: what is behind these is sound after every single step.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a lock.
pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
