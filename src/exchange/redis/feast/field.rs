//! The names of a hash's fields.

/// The field of a feature.
pub(in super::super) fn of_feature(view: &str, feature: &str) -> [u8; 4] {
    murmur3_32(format!("{view}:{feature}").as_bytes()).to_le_bytes()
}

/// The field of a view's event time.
pub(in super::super) fn of_event_time(view: &str) -> Vec<u8> {
    format!("_ts:{view}").into_bytes()
}

/// Austin Appleby's MurmurHash3_x86_32 with the seed 0.
fn murmur3_32(bytes: &[u8]) -> u32 {
    let scramble = |word: u32| word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let (words, rest) = bytes.as_chunks::<4>();
    let mut hash = 0_u32;
    for word in words {
        hash ^= scramble(u32::from_le_bytes(*word));
        hash = hash.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    if !rest.is_empty() {
        let mut word = [0; 4];
        word[..rest.len()].copy_from_slice(rest);
        hash ^= scramble(u32::from_le_bytes(word));
    }
    // The length counts modulo 2^32; no name is as long.
    hash ^= u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x85eb_ca6b);
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur_is_what_its_author_and_feast_compute() {
        for (text, hash) in [
            ("", "00000000"),
            ("driver_stats:conv_rate", "fa731014"),
            ("driver_stats:city", "d89d016b"),
            ("v:x", "ee12df2f"),
            ("glob_stats:surge", "622f80f5"),
            ("a:\u{e9}", "32e3ab52"),
        ] {
            let found: String = murmur3_32(text.as_bytes()).to_le_bytes().map(|byte| format!("{byte:02x}")).concat();
            assert_eq!(found, hash, "{text}");
        }
        // Every length of the last piece.
        for (text, hash) in [
            ("test", 0xba6b_d213_u32),
            ("Hello, world!", 0xc036_3e43),
            ("The quick brown fox jumps over the lazy dog", 0x2e4f_f723),
        ] {
            assert_eq!(murmur3_32(text.as_bytes()), hash, "{text}");
        }
        assert_eq!(of_feature("v", "x"), [0xee, 0x12, 0xdf, 0x2f]);
        assert_eq!(of_event_time("v"), b"_ts:v");
    }
}
