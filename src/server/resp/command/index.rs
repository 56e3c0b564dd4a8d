//! Commands by name: those about keys, and those about connection and server.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::session_table::SESSION_COMMANDS;
use super::{COMMANDS, Command, table};

/// Longest name of a command that the connection or the server knows, in bytes.
const NAME_BYTES_MAX: usize = 16;

static OTHERS_BY_NAME: LazyLock<HashMap<&'static [u8], &'static Command>> =
    LazyLock::new(|| SESSION_COMMANDS.iter().map(|command| (command.name.as_bytes(), command)).collect());

/// All commands, in no order.
pub fn all() -> impl Iterator<Item = &'static Command> {
    SESSION_COMMANDS.iter().chain(COMMANDS)
}

/// The command of this name, in either case.
#[inline]
pub fn find(name: &[u8]) -> Option<&'static Command> {
    table::find(name).or_else(|| find_other(name))
}

fn find_other(name: &[u8]) -> Option<&'static Command> {
    let mut lower = [0; NAME_BYTES_MAX];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    OTHERS_BY_NAME.get(&*lower).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_found_by_its_name_in_either_case() {
        for command in all() {
            assert!(find(command.name.to_uppercase().as_bytes()).is_some(), "{}", command.name);
        }
        assert_eq!(find(b"gEt").map(|command| command.name), Some("get"));
        for name in [&b""[..], b"gett", &[b'x'; 1_000]] {
            assert!(find(name).is_none());
        }
    }

    #[test]
    fn names_of_session_commands_are_not_longer_than_is_looked_for() {
        assert!(SESSION_COMMANDS.iter().all(|command| command.name.len() <= NAME_BYTES_MAX));
    }
}
