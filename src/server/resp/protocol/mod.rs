//! Bytes to commands, answers to bytes. Nothing here knows what a command does.
//!
//! A request is an array of bulk strings, or a line of words (an inline command). Answers are RESP2, or RESP3 for
//! connections that asked for it with `HELLO 3`. Source: the protocol's specification at redis.io, and what Redis 7 answers to
//! requests that break it.

mod inline;
mod limits;
mod parser;
mod reply;

pub use limits::ParseLimits;
pub use parser::{Parsed, Parser, ProtocolError};
pub use reply::{ReplyBuffer, Version};
