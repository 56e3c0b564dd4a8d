//! What is known of a command before it is done: its name, its subcommand, how many arguments it has.

use crate::server::resp::command::{Arguments, Command, Refusal, find, subcommands};

/// A command that exists and has as many arguments as it takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checked {
    pub(super) command: &'static Command,
    pub(super) subcommand: Option<&'static Command>,
}

/// So much of a name or argument is repeated in an error.
const SHOWN_BYTES_MAX: usize = 128;

/// Why a command cannot be begun.
#[derive(Debug)]
pub(super) enum NotChecked {
    /// The request is of another protocol, and is not to be answered.
    AnotherProtocol,
    /// It is refused: the command's name, as far as it has one, and why.
    Refused(&'static str, Refusal),
}

/// Finds the command.
pub(super) fn check(arguments: Arguments<'_>) -> Result<Checked, NotChecked> {
    let name = arguments.at(0);
    let Some(command) = find(name) else {
        if is_of_another_protocol(name) {
            return Err(NotChecked::AnotherProtocol);
        }
        return Err(NotChecked::Refused("", unknown(arguments)));
    };
    let mut checked = Checked { command, subcommand: None };
    let subcommands = subcommands(command.name);
    if !subcommands.is_empty()
        && let Some(given) = arguments.get(1)
    {
        let subcommand = subcommands.iter().find(|other| given.eq_ignore_ascii_case(other.name.as_bytes()));
        let Some(subcommand) = subcommand else {
            let shown = shown(given, SHOWN_BYTES_MAX);
            let upper = command.name.to_ascii_uppercase();
            let refusal = Refusal::new(format!("ERR unknown subcommand '{shown}'. Try {upper} HELP."));
            return Err(NotChecked::Refused(command.name, refusal));
        };
        checked.subcommand = Some(subcommand);
    }
    let arity = checked.subcommand.map_or(command.arity, |subcommand| subcommand.arity);
    if takes(arity, arguments.len()) {
        return Ok(checked);
    }
    Err(NotChecked::Refused(command.name, Refusal::arity(&full_name(command.name, checked.subcommand))))
}

/// Whether a command of this arity takes so many arguments.
pub(super) fn takes(arity: i32, len: usize) -> bool {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    if arity < 0 { len >= -i64::from(arity) } else { len == i64::from(arity) }
}

/// `command`, or `command|subcommand`.
pub(super) fn full_name(name: &str, subcommand: Option<&Command>) -> String {
    subcommand.map_or_else(|| name.to_owned(), |subcommand| format!("{name}|{}", subcommand.name))
}

/// First words of what a browser sends, who may have been talked into it.
fn is_of_another_protocol(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

/// Redis's words for a command that there is not, with its arguments as far as they fit.
fn unknown(arguments: Arguments<'_>) -> Refusal {
    let mut listed = String::new();
    for argument in arguments.from(1) {
        if listed.len() >= SHOWN_BYTES_MAX {
            break;
        }
        let shown = shown(argument, SHOWN_BYTES_MAX - listed.len());
        listed.push_str(&format!("'{shown}' "));
    }
    let name = shown(arguments.at(0), SHOWN_BYTES_MAX);
    Refusal::new(format!("ERR unknown command '{name}', with args beginning with: {listed}"))
}

/// The first bytes of an argument, up to a zero as C has it.
fn shown(argument: &[u8], bytes_max: usize) -> String {
    let end = argument.iter().take(bytes_max).take_while(|byte| **byte != 0).count();
    String::from_utf8_lossy(&argument[..end]).into_owned()
}

/// Commands that are done at once within a transaction too.
pub(super) fn is_control(name: &str) -> bool {
    matches!(name, "exec" | "discard" | "multi" | "watch" | "quit" | "reset")
}

/// Commands that a RESP2 connection may send while it listens.
pub(super) fn is_for_subscribers(name: &str) -> bool {
    matches!(name, "ping" | "subscribe" | "unsubscribe" | "psubscribe" | "punsubscribe" | "quit" | "reset")
}

/// Redis's words for any other.
pub(super) fn not_for_subscribers(name: &str, subcommand: Option<&Command>) -> Refusal {
    Refusal::new(format!(
        "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
        full_name(name, subcommand)
    ))
}
