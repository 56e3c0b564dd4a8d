//! Commands that list the keys of a database, or give any of them.

use super::type_name;
use crate::keyspace::Key;
use crate::server::resp::command::{Arguments, Outcome, Reader};
use crate::server::resp::glob::Pattern;
use crate::server::resp::protocol::ReplyBuffer;
use crate::server::resp::random::below;
use crate::server::resp::scan::{ScanOptions, Scanned, answer_cursor, read_cursor};

/// `KEYS pattern`
pub fn keys(keys: &Reader<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let pattern = Pattern::new(arguments.at(1));
    let found: Vec<&Key> = match pattern.exact() {
        Some(name) => keys.key(&name).into_iter().collect(),
        None => keys.keyspace.iter(keys.database, keys.now).filter(|key| pattern.matches(&key.name)).collect(),
    };
    answer(keys, &found, reply);
    Ok(())
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`
pub fn scan(keys: &Reader<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let cursor = read_cursor(arguments.at(1))?;
    let options = ScanOptions::read(arguments, 2, Scanned::Keys)?;
    let mut found = Vec::new();
    let cursor = keys.keyspace.scan(keys.database, cursor, options.count, keys.now, |key| {
        let is_of_type = |name: &[u8]| name.eq_ignore_ascii_case(type_name(&key.value).as_bytes());
        if options.wants(&key.name) && options.type_name.is_none_or(is_of_type) {
            found.push(key);
        }
    });
    answer_cursor(reply, cursor);
    answer(keys, &found, reply);
    Ok(())
}

/// Answers names; what is not among them was perhaps taken away.
fn answer(keys: &Reader<'_>, found: &[&Key], reply: &mut ReplyBuffer) {
    keys.depend_on(keys.keyspace.removed(keys.database));
    reply.array(found.len());
    for key in found {
        keys.depend_on(key.changed);
        reply.bulk(&key.name);
    }
}

/// `RANDOMKEY`
pub fn random_key(keys: &Reader<'_>, _: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    let key = keys.keyspace.random(keys.database, keys.now, below);
    keys.depend_on(key.map_or_else(|| keys.keyspace.removed(keys.database), |key| key.changed));
    reply.bulk_or_null(key.map(|key| &*key.name));
    Ok(())
}
