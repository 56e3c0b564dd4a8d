//! `HSCAN`.

use crate::server::resp::command::{Arguments, Outcome, Reader};
use crate::server::resp::protocol::ReplyBuffer;
use crate::server::resp::scan::{ScanOptions, Scanned, answer_cursor, read_cursor};

/// `HSCAN key cursor [MATCH pattern] [COUNT count] [NOVALUES]`
pub fn scan(keys: &Reader<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let cursor = read_cursor(arguments.at(2))?;
    let Some(hash) = keys.hash(arguments.at(1))? else {
        // The options are not looked at then.
        answer_cursor(reply, 0);
        reply.array(0);
        return Ok(());
    };
    let options = ScanOptions::read(arguments, 3, Scanned::Fields)?;
    let mut found = Vec::new();
    let cursor = hash.scan(cursor, options.count, keys.now, |field, value| {
        if options.wants(field) {
            found.push((field, value));
        }
    });
    answer_cursor(reply, cursor);
    reply.array(if options.omits_values { found.len() } else { found.len() * 2 });
    for (field, value) in found {
        reply.bulk(field);
        if !options.omits_values {
            reply.bulk(value);
        }
    }
    Ok(())
}
