//! Keys of hashes: join keys in the order of their names, and the project.
//!
//! A count (u32, little-endian), for each name the type of a string (u32), its length (u32) and its bytes, for each value the
//! number of its type (u32), its length (u32) and its bytes. What is left is the project's name.

use super::protobuf::take_array;

/// The number that Feast gives strings, as names are.
const STRING: u32 = 2;
/// The join key of views without entities, whose value is an empty string.
pub(super) const NO_ENTITY: &str = "__dummy_id";

/// A join key's value: the number of its type, and its bytes.
pub(super) type KeyValue = (u32, Vec<u8>);

/// The key of a hash. `names` are in order, `values` in theirs.
pub(super) fn encode(names: &[String], values: &[KeyValue], project: &str) -> Vec<u8> {
    assert_eq!(names.len(), values.len(), "a value for each name");
    let mut key = Vec::new();
    push_u32(names.len(), &mut key);
    let mut push = |kind: u32, bytes: &[u8]| {
        key.extend(kind.to_le_bytes());
        push_u32(bytes.len(), &mut key);
        key.extend_from_slice(bytes);
    };
    names.iter().for_each(|name| push(STRING, name.as_bytes()));
    values.iter().for_each(|(kind, bytes)| push(*kind, bytes));
    key.extend_from_slice(project.as_bytes());
    key
}

/// The names and values of a hash's key; `None`: it is none, or of another project.
pub(in super::super) fn decode(mut key: &[u8], project: &str) -> Option<(Vec<String>, Vec<KeyValue>)> {
    let count = take_u32(&mut key)?;
    let mut take = || {
        let kind = take_u32(&mut key)?;
        let len = usize::try_from(take_u32(&mut key)?).ok()?;
        let (bytes, rest) = key.split_at_checked(len)?;
        key = rest;
        Some((kind, bytes.to_vec()))
    };
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let (kind, name) = take()?;
        names.push(String::from_utf8(name).ok().filter(|_| kind == STRING)?);
    }
    for _ in 0..count {
        values.push(take()?);
    }
    (key == project.as_bytes()).then_some((names, values))
}

/// What `SCAN` finds the keys of a project by.
pub(in super::super) fn suffix_pattern(project: &str) -> Vec<u8> {
    let mut pattern = vec![b'*'];
    for byte in project.bytes() {
        if matches!(byte, b'*' | b'?' | b'[' | b']' | b'\\') {
            pattern.push(b'\\');
        }
        pattern.push(byte);
    }
    pattern
}

fn push_u32(len: usize, out: &mut Vec<u8>) {
    // A store's keys have 4,096 bytes at most.
    out.extend(u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
}

fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    take_array(bytes).map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_that_feast_makes_and_come_back() {
        let int64 = |value: i64| (4, value.to_le_bytes().to_vec());
        let string = |value: &str| (2, value.as_bytes().to_vec());
        for (project, names, values, hex) in [
            (
                "fsx",
                &["driver_id"][..],
                vec![int64(1001)],
                "0100000002000000090000006472697665725f69640400000008000000e903000000000000667378",
            ),
            (
                "p",
                &["a", "b"],
                vec![int64(2), string("x")],
                "020000000200000001000000610200000001000000620400000008000000020000000000000002000000010000007870",
            ),
            (
                "p",
                &["k"],
                vec![(3, 7_i32.to_le_bytes().to_vec())],
                "0100000002000000010000006b03000000040000000700000070",
            ),
            ("p", &["k"], vec![(1, vec![0, 255])], "0100000002000000010000006b010000000200000000ff70"),
            (
                "p",
                &["k"],
                vec![(8, 1_700_000_000_i64.to_le_bytes().to_vec())],
                "0100000002000000010000006b080000000800000000f153650000000070",
            ),
            ("p", &[NO_ENTITY], vec![string("")], "01000000020000000a0000005f5f64756d6d795f6964020000000000000070"),
        ] {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let key = encode(&names, &values, project);
            assert_eq!(key.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), hex);
            assert_eq!(decode(&key, project), Some((names, values)));
            assert_eq!(decode(&key, "other"), None);
            assert_eq!(decode(&key[..key.len() - project.len() - 1], project), None);
        }
        assert_eq!(decode(&[0xff; 64], "p"), None, "nothing is allocated from a count that is not there");
    }

    #[test]
    fn a_project_is_found_by_its_bytes() {
        assert_eq!(suffix_pattern("a*b[c]\\?"), b"*a\\*b\\[c\\]\\\\\\?");
    }
}
