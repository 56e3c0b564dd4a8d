//! Commands of strings.

use super::command::{Arguments, Outcome, Reader};
use super::protocol::ReplyBuffer;

/// `GET key`
pub fn get(keys: &Reader<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let string = keys.string(arguments.at(1))?;
    reply.bulk_or_null(string.map(|string| &*string.bytes));
    Ok(())
}
