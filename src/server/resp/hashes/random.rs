//! `HRANDFIELD`.

use std::collections::HashSet;

use crate::keyspace::Hash;
use crate::server::resp::command::{Arguments, Outcome, Reader, Refusal};
use crate::server::resp::protocol::{ReplyBuffer, Version};
use crate::server::resp::random::below;

/// Fields are drawn one by one where so many times as many as are asked for are there; else from a list of all.
const DRAW_FACTOR: usize = 3;

type Field<'a> = (&'a [u8], &'a [u8]);

/// `HRANDFIELD key [count [WITHVALUES]]`: one field; `count` different ones; or, where it is negative, so many that may be the same.
pub fn random_field(keys: &Reader<'_>, arguments: Arguments<'_>, reply: &mut ReplyBuffer) -> Outcome {
    if arguments.len() == 2 {
        let field = keys.hash(arguments.at(1))?.and_then(|hash| hash.random(keys.now, below));
        reply.bulk_or_null(field.map(|(name, _)| name));
        return Ok(());
    }
    let count = arguments.integer(2)?;
    if count == i64::MIN {
        return Err(Refusal::range(-i64::MAX, i64::MAX));
    }
    let with_values = arguments.len() == 4 && arguments.is_word(3, "WITHVALUES");
    if arguments.len() > 3 && !with_values {
        return Err(Refusal::SYNTAX);
    }
    if with_values && count.abs() > i64::MAX / 2 {
        return Err(Refusal::fixed("ERR value is out of range"));
    }
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let Some(hash) = keys.hash(arguments.at(1))? else {
        reply.array(0);
        return Ok(());
    };
    if count >= 0 {
        let fields = different(hash, wanted, keys.now);
        begin(reply, fields.len(), with_values);
        fields.into_iter().for_each(|field| answer(reply, field, with_values));
        return Ok(());
    }
    begin(reply, wanted, with_values);
    let len = hash.len(keys.now);
    let all: Vec<Field<'_>> = if wanted > len { hash.iter(keys.now).collect() } else { Vec::new() };
    for _ in 0..wanted {
        let field = if all.is_empty() { hash.random(keys.now, below) } else { Some(all[below(all.len())]) };
        field.into_iter().for_each(|field| answer(reply, field, with_values));
        if reply.is_full() {
            // The rest would be left out, too.
            break;
        }
    }
    Ok(())
}

/// So many different fields, or all there are.
fn different(hash: &Hash, wanted: usize, now: i64) -> Vec<Field<'_>> {
    let len = hash.len(now);
    if wanted < len / DRAW_FACTOR {
        let mut names = HashSet::new();
        let drawn = std::iter::from_fn(|| hash.random(now, below)).filter(|(name, _)| names.insert(*name));
        return drawn.take(wanted).collect();
    }
    let mut fields: Vec<Field<'_>> = hash.iter(now).collect();
    // As one shuffles, but no further than is wanted.
    for chosen in 0..wanted.min(len) {
        let other = chosen + below(len - chosen);
        fields.swap(chosen, other);
    }
    fields.truncate(wanted);
    fields
}

fn begin(reply: &mut ReplyBuffer, fields: usize, with_values: bool) {
    let is_flat = with_values && reply.version() == Version::Resp2;
    reply.array(if is_flat { fields * 2 } else { fields });
}

fn answer(reply: &mut ReplyBuffer, (name, value): Field<'_>, with_values: bool) {
    if with_values && reply.version() == Version::Resp3 {
        reply.array(2);
    }
    reply.bulk(name);
    if with_values {
        reply.bulk(value);
    }
}
