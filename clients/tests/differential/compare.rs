//! Whether two answers are the same answer. Most have to be equal byte for byte; those that depend on chance, on a clock or on an order
//! that is nobody's are compared by what they have in common.

use std::collections::BTreeSet;

use asof_clients::Reply;
use asof_clients::wire::Content;

use super::commands::Command;

/// Milliseconds that the two servers' clocks and turns may lie apart.
const APART_MS: i64 = 1_500;

pub fn are_same(command: &Command, ours: &Reply, theirs: &Reply) -> bool {
    if ours == theirs {
        return true;
    }
    if command.name == "hello" && ours.is_error() && theirs.is_error() {
        // Of two mistakes Redis 7.0 tells the first, and later versions, as asof does, those of form before a wrong password.
        return true;
    }
    if ours.is_error() || theirs.is_error() {
        return are_same_errors(ours, theirs);
    }
    if command.name == "memory" {
        // Redis tells of a key past its deadline that nobody looked at since; asof has none such.
        return ours.is_null() || usages_are_alike(ours, theirs);
    }
    if ours.kind != theirs.kind {
        return false;
    }
    match command.name {
        "hgetall" => pairs(ours) == pairs(theirs),
        "hkeys" | "hvals" | "keys" => sorted(ours) == sorted(theirs),
        "ttl" | "expiretime" => are_near(ours, theirs, 1_000),
        "pttl" | "pexpiretime" => are_near(ours, theirs, 1),
        "randomkey" => ours.is_null() == theirs.is_null(),
        "hrandfield" => shape(ours) == shape(theirs),
        "scan" => scans_are_alike(command, 1, ours, theirs, sorted),
        "hscan" => scans_are_alike(command, 2, ours, theirs, |reply| {
            pairs(reply).into_iter().flat_map(|(a, b)| [a, b]).collect()
        }),
        "object" => objects_are_alike(command, ours, theirs),
        // Redis counts keys past their deadline until somebody looks at them; the state is compared when all were looked at.
        "dbsize" => ours.integer().is_some(),
        "time" | "hello" => shape(ours) == shape(theirs),
        "lastsave" | "info" => true,
        // Each lists its own.
        "command" => command.words.len() == 1,
        _ => false,
    }
}

/// Error texts hold what the client sent. asof makes text of it; where bytes are no UTF-8, what follows may be cut elsewhere.
fn are_same_errors(ours: &Reply, theirs: &Reply) -> bool {
    let [ours_until, theirs_until] =
        [ours, theirs].map(|reply| reply.text().split('\u{fffd}').next().map(str::to_owned));
    ours.kind == theirs.kind && ours_until == theirs_until
}

fn usages_are_alike(ours: &Reply, theirs: &Reply) -> bool {
    match (ours.integer(), theirs.integer()) {
        (Some(ours), Some(theirs)) => (1..4 * theirs + 500).contains(&ours),
        _ => false,
    }
}

/// Elements in an order of their own.
pub fn sorted(reply: &Reply) -> Vec<Reply> {
    let mut items = reply.items().to_vec();
    items.sort();
    items
}

/// Keys with their values, whether they came as a map or as elements in turn.
pub fn pairs(reply: &Reply) -> BTreeSet<(Reply, Reply)> {
    reply.items().chunks(2).filter_map(|pair| Some((pair.first()?.clone(), pair.get(1)?.clone()))).collect()
}

/// Types and numbers of elements, without what they hold.
fn shape(reply: &Reply) -> Vec<(u8, usize)> {
    let mut shape = vec![(reply.kind, reply.items().len())];
    shape.extend(reply.items().iter().map(|item| (item.kind, item.items().len())));
    shape
}

fn are_near(ours: &Reply, theirs: &Reply, unit_ms: i64) -> bool {
    let (Some(ours), Some(theirs)) = (ours.integer(), theirs.integer()) else { return false };
    if ours < 0 || theirs < 0 {
        return false;
    }
    // asof counts microseconds, and says its last for any later deadline.
    let last = i64::MAX / 1_000 / unit_ms;
    let margin = 2_000_000_000_000 / unit_ms;
    (ours.abs_diff(theirs)) <= (APART_MS / unit_ms).max(1).unsigned_abs()
        || (ours > last - margin && theirs > last - margin)
}

/// Cursors are each server's own. Where both saw everything in one go, they saw the same.
fn scans_are_alike(
    command: &Command,
    at: usize,
    ours: &Reply,
    theirs: &Reply,
    elements: fn(&Reply) -> Vec<Reply>,
) -> bool {
    let ([our_cursor, ours], [their_cursor, theirs]) = (ours.items(), theirs.items()) else { return false };
    let is_whole = our_cursor.bytes() == b"0" && our_cursor == their_cursor;
    let is_first = command.words.get(at).is_some_and(|cursor| matches!(cursor.as_slice(), b"0" | b"+0" | b""));
    match is_whole && is_first {
        true => elements(ours) == elements(theirs),
        false => our_cursor.integer().is_some() && ours.kind == theirs.kind,
    }
}

fn objects_are_alike(command: &Command, ours: &Reply, theirs: &Reply) -> bool {
    match command.words.get(1).map(|word| word.to_ascii_lowercase()).as_deref() {
        // A whole sum of INCRBYFLOAT is an integer to asof, and a text to Redis.
        Some(b"encoding") => {
            let encodings = [ours.bytes(), theirs.bytes()];
            encodings.contains(&b"int".as_slice()) && encodings.contains(&b"embstr".as_slice())
        }
        // Redis shares small integers between keys; asof does not say when a key was last asked for.
        Some(b"refcount" | b"idletime") => {
            matches!((&ours.content, &theirs.content), (Content::Bytes(_), Content::Bytes(_)))
        }
        _ => false,
    }
}
