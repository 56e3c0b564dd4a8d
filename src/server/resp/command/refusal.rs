//! Why a command was not done, in Redis's words.

use std::borrow::Cow;
use std::fmt;

/// The text of an error, its code first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(Cow<'static, str>);

impl Refusal {
    /// The key holds something else.
    pub const WRONG_TYPE: Refusal = Refusal::fixed("WRONGTYPE Operation against a key holding the wrong kind of value");
    /// An argument or a value should be an integer.
    pub const NOT_AN_INTEGER: Refusal = Refusal::fixed("ERR value is not an integer or out of range");
    /// An argument or a value should be a number.
    pub const NOT_A_FLOAT: Refusal = Refusal::fixed("ERR value is not a valid float");
    /// The options make no sense.
    pub const SYNTAX: Refusal = Refusal::fixed("ERR syntax error");
    /// There is no such key, and there has to be.
    pub const NO_SUCH_KEY: Refusal = Refusal::fixed("ERR no such key");

    /// There is no such database.
    pub const NO_SUCH_DATABASE: Refusal = Refusal::fixed("ERR DB index is out of range");
    /// From and to are one.
    pub const SAME_OBJECT: Refusal = Refusal::fixed("ERR source and destination objects are the same");
    /// An integer would leave the range it has.
    pub const OVERFLOW: Refusal = Refusal::fixed("ERR increment or decrement would overflow");
    /// A floating-point number would leave the range it has.
    pub const NOT_FINITE: Refusal = Refusal::fixed("ERR increment would produce NaN or Infinity");
    /// A string would be longer than one may be.
    pub const STRING_TOO_LONG: Refusal = Refusal::fixed("ERR string exceeds maximum allowed size (proto-max-bulk-len)");

    /// The answer would take more memory than answers may.
    pub const ANSWER_TOO_LONG: Refusal = Refusal::fixed("ERR the answer would be too long");

    /// A text that never changes.
    pub const fn fixed(text: &'static str) -> Refusal {
        Refusal(Cow::Borrowed(text))
    }

    /// A text made for the occasion.
    pub fn new(text: String) -> Refusal {
        Refusal(Cow::Owned(text))
    }

    /// Of a command that has not as many arguments as it takes. A subcommand is `command|subcommand`.
    pub fn arity(name: &str) -> Refusal {
        Refusal::new(format!("ERR wrong number of arguments for '{name}' command"))
    }

    /// Of a time at which a key cannot go.
    pub fn expire_time(name: &str) -> Refusal {
        Refusal::new(format!("ERR invalid expire time in '{name}' command"))
    }

    /// Of a number that is out of range.
    pub fn range(least: i64, greatest: i64) -> Refusal {
        Refusal::new(format!("ERR value is out of range, value must between {least} and {greatest}"))
    }

    /// Of a subcommand there is none of; `command` in upper case.
    pub fn subcommand(command: &str, found: &[u8]) -> Refusal {
        let found = shown(&found[..found.len().min(SHOWN_BYTES_MAX)]);
        Refusal::new(format!("ERR unknown subcommand '{found}'. Try {command} HELP."))
    }

    /// Of an option that `EXPIRE` and the like do not have.
    pub fn option(found: &[u8]) -> Refusal {
        Refusal::new(format!("ERR Unsupported option {}", shown(found)))
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// So many bytes of an unknown subcommand are shown.
const SHOWN_BYTES_MAX: usize = 128;

/// An argument as text: up to a zero byte, as C has it.
fn shown(argument: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(argument.split(|&byte| byte == 0).next().unwrap_or_default())
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
