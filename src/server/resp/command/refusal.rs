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

    /// The text.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
