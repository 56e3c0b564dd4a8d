//! Panics of libraries that read bytes nobody vouches for: caught, and one more way of finding damage.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local!(static IS_CAUGHT: Cell<bool> = const { Cell::new(false) });

/// What `calls` into a library give. Whatever they own is to be dropped when they panicked, or never looked at again.
///
/// # Errors
/// What the panic said.
pub(crate) fn caught<T>(calls: impl FnOnce() -> T) -> Result<T, String> {
    let before = IS_CAUGHT.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(calls));
    IS_CAUGHT.set(before);
    outcome.map_err(|panic| message(&*panic).to_owned())
}

/// What a panic said.
pub(crate) fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it did not say why")
}

/// Whether a panic of this thread would be caught and told of as an error: a hook that prints panics, as the `asof` command's does, need
/// not print that one.
pub fn is_caught() -> bool {
    IS_CAUGHT.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_and_known_to_be_where_it_begins_and_nowhere_else() {
        assert!(!is_caught());
        let (inner, outer) = caught(|| (caught(is_caught), is_caught())).unwrap();
        assert_eq!((inner, outer), (Ok(true), true));
        assert_eq!(caught(|| -> u8 { panic!("as a library would") }), Err("as a library would".to_owned()));
        assert!(!is_caught());
    }
}
