//! How much a request may ask for.

/// Longest line: an inline command, or the length before a bulk string.
pub(super) const LINE_BYTES_MAX: usize = 64 << 10;

/// Bounds of one command. What a peer declares is held against them before anything is kept for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseLimits {
    /// Most arguments, the command's name included.
    pub arguments_max: usize,
    /// Longest argument, in bytes.
    pub argument_bytes_max: usize,
    /// Longest command, lengths and line ends included, in bytes.
    pub command_bytes_max: usize,
    /// Whether errors say that the connection did not authenticate.
    pub is_unauthenticated: bool,
}

impl ParseLimits {
    /// Of a connection that did not authenticate yet: enough for `HELLO 3 AUTH user password SETNAME name`.
    pub const UNAUTHENTICATED: ParseLimits = ParseLimits {
        arguments_max: 8,
        argument_bytes_max: 4 << 10,
        command_bytes_max: 4 << 10,
        is_unauthenticated: true,
    };
    /// What Redis takes by default, but for the length of the whole.
    pub const AUTHENTICATED: ParseLimits = ParseLimits {
        arguments_max: 1 << 20,
        argument_bytes_max: 512 << 20,
        command_bytes_max: 1 << 30,
        is_unauthenticated: false,
    };
}
