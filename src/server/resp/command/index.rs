//! Commands by name.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::session_table::SESSION_COMMANDS;
use super::{COMMANDS, Command};

/// Longest name of a command, in bytes.
const NAME_BYTES_MAX: usize = 24;

static BY_NAME: LazyLock<HashMap<&'static [u8], &'static Command>> =
    LazyLock::new(|| all().map(|command| (command.name.as_bytes(), command)).collect());

/// All commands, in no order.
pub fn all() -> impl Iterator<Item = &'static Command> {
    #[cfg(test)]
    let of_tests = super::of_tests::COMMANDS;
    #[cfg(not(test))]
    let of_tests: &[Command] = &[];
    // What stands later counts.
    of_tests.iter().chain(COMMANDS).chain(SESSION_COMMANDS)
}

/// The command of this name, in either case.
#[inline]
pub fn find(name: &[u8]) -> Option<&'static Command> {
    let mut lower = [0; NAME_BYTES_MAX];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    BY_NAME.get(&*lower).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_found_by_its_name_in_either_case() {
        for command in all() {
            assert!(command.name.len() <= NAME_BYTES_MAX, "{}", command.name);
            assert!(find(command.name.to_uppercase().as_bytes()).is_some(), "{}", command.name);
        }
        assert_eq!(find(b"gEt").map(|command| command.name), Some("get"));
        for name in [&b""[..], b"gett", &[b'x'; 1_000]] {
            assert!(find(name).is_none());
        }
    }
}
