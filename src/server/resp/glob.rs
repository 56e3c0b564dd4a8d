//! Patterns of `KEYS`, `SCAN`, `PSUBSCRIBE` and `CONFIG GET`: `*`, `?`, `[a-z]`, `[^a]`, `\` before a byte that means itself.
//!
//! Of bytes, not characters. Matching goes back to the last star alone, so that its time is the product of both lengths at most,
//! whatever the pattern: one that recurs for every star can be made to run for ever, or out of stack.

/// So many stars are matched; where a name would take one more, other than the last part of the pattern, it does not match. As in
/// Redis since it knows of patterns made to keep it busy.
const STARS_MAX: usize = 1_000;

/// A pattern, taken apart once for many names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// Any bytes, none too.
    Star,
    /// Exactly one byte, of these.
    One(ByteSet),
    Literal(u8),
}

/// A set of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ByteSet([u64; 4]);

impl ByteSet {
    const ALL: ByteSet = ByteSet([u64::MAX; 4]);
    const NONE: ByteSet = ByteSet([0; 4]);

    fn insert(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }

    fn complement(self) -> ByteSet {
        ByteSet(self.0.map(|word| !word))
    }
}

impl Pattern {
    /// Takes a pattern apart. Every sequence of bytes is one: a `[` that is not closed ends with the pattern.
    pub fn new(pattern: &[u8]) -> Pattern {
        Pattern::with_case(pattern, false)
    }

    /// A pattern to which ASCII letters of either case are the same: of configuration parameters.
    pub fn ignoring_case(pattern: &[u8]) -> Pattern {
        Pattern::with_case(pattern, true)
    }

    fn with_case(pattern: &[u8], ignores_case: bool) -> Pattern {
        let mut parts = Vec::new();
        let mut rest = pattern;
        while let [first, after @ ..] = rest {
            rest = after;
            parts.push(match (first, after) {
                (b'*', _) if parts.last() == Some(&Part::Star) => continue,
                (b'*', _) => Part::Star,
                (b'?', _) => Part::One(ByteSet::ALL),
                (b'[', _) => {
                    let (set, after) = take_set(after, ignores_case);
                    rest = after;
                    Part::One(set)
                }
                (b'\\', [escaped, after @ ..]) => {
                    rest = after;
                    literal(*escaped, ignores_case)
                }
                (byte, _) => literal(*byte, ignores_case),
            });
        }
        Pattern { parts }
    }

    /// Whether all of `name` is what the pattern says.
    pub fn matches(&self, name: &[u8]) -> bool {
        let (mut part, mut at) = (0, 0);
        // After the last star: the part that follows it, and where what it stands for ends.
        let mut star: Option<(usize, usize)> = None;
        let mut stars = 0;
        loop {
            let fits = match (self.parts.get(part), name.get(at)) {
                (None, None) => return true,
                (Some(Part::Star), _) => {
                    part += 1;
                    stars += 1;
                    if part == self.parts.len() {
                        return true;
                    }
                    if stars > STARS_MAX {
                        return false;
                    }
                    star = Some((part, at));
                    continue;
                }
                (Some(Part::One(set)), Some(&byte)) => set.has(byte),
                (Some(Part::Literal(literal)), Some(byte)) => literal == byte,
                (None, Some(_)) => false,
                (Some(_), None) => return false,
            };
            if fits {
                part += 1;
                at += 1;
                continue;
            }
            // The star stands for one byte more.
            let Some((after_star, end)) = star else { return false };
            star = Some((after_star, end + 1));
            part = after_star;
            at = end + 1;
        }
    }

    /// Whether it matches every name.
    pub fn matches_all(&self) -> bool {
        self.parts == [Part::Star]
    }

    /// The one name it matches, where there is only one.
    pub fn exact(&self) -> Option<Vec<u8>> {
        let byte = |part: &Part| if let Part::Literal(byte) = part { Some(*byte) } else { None };
        self.parts.iter().map(byte).collect()
    }
}

fn literal(byte: u8, ignores_case: bool) -> Part {
    if !ignores_case || !byte.is_ascii_alphabetic() {
        return Part::Literal(byte);
    }
    let mut set = ByteSet::NONE;
    set.insert(byte.to_ascii_lowercase());
    set.insert(byte.to_ascii_uppercase());
    Part::One(set)
}

/// The set that follows a `[`, and what follows its `]`.
fn take_set(mut rest: &[u8], ignores_case: bool) -> (ByteSet, &[u8]) {
    let is_complement = rest.first() == Some(&b'^');
    if is_complement {
        rest = &rest[1..];
    }
    let mut set = ByteSet::NONE;
    loop {
        let (low, high, after) = match rest {
            [] => break,
            [b'\\', byte, after @ ..] => (*byte, *byte, after),
            [b']', after @ ..] => {
                rest = after;
                break;
            }
            // In either order.
            [low, b'-', high, after @ ..] => (*low.min(high), *low.max(high), after),
            [byte, after @ ..] => (*byte, *byte, after),
        };
        for byte in low..=high {
            set.insert(byte);
            if ignores_case {
                set.insert(byte.to_ascii_lowercase());
                set.insert(byte.to_ascii_uppercase());
            }
        }
        rest = after;
    }
    (if is_complement { set.complement() } else { set }, rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The meaning of a pattern, straight from the description: every way of each star is tried.
    fn matches_naively(parts: &[Part], name: &[u8]) -> bool {
        match (parts, name) {
            ([], []) => true,
            ([Part::Star, after @ ..], _) => (0..=name.len()).any(|end| matches_naively(after, &name[end..])),
            ([Part::One(set), after @ ..], [byte, name @ ..]) => set.has(*byte) && matches_naively(after, name),
            ([Part::Literal(literal), after @ ..], [byte, name @ ..]) => {
                literal == byte && matches_naively(after, name)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn going_back_to_the_last_star_finds_what_trying_everything_finds(pattern in "[ab*?]{0,8}", name in "[ab]{0,10}") {
            let compiled = Pattern::new(pattern.as_bytes());
            prop_assert_eq!(compiled.matches(name.as_bytes()), matches_naively(&compiled.parts, name.as_bytes()));
        }
    }

    #[test]
    fn patterns_mean_what_they_mean_in_redis() {
        let cases: [(&[u8], &[u8], bool); 34] = [
            (b"*", b"", true),
            (b"", b"", true),
            (b"", b"a", false),
            (b"?", b"", false),
            (b"a*c", b"abbc", true),
            (b"a*c", b"abbcd", false),
            (b"*a*b*", b"xxayybzz", true),
            (b"[abc]x", b"bx", true),
            (b"[^abc]x", b"bx", false),
            (b"[^abc]x", b"dx", true),
            (b"[a-c]", b"b", true),
            (b"[c-a]", b"b", true),
            (b"[a-c]", b"d", false),
            (b"[\\]]", b"]", true),
            (b"[\\a-c]", b"-", true),
            (b"[\\a-c]", b"b", false),
            (b"[]", b"a", false),
            (b"[^]", b"a", true),
            // Not closed: to the pattern's end.
            (b"[abc", b"c", true),
            (b"[abc", b"d", false),
            (b"[^", b"d", true),
            (b"[", b"[", false),
            (b"[\\", b"\\", true),
            (b"[a-", b"-", true),
            // The bracket is the range's end.
            (b"[a-]", b"^", true),
            (b"\\*", b"*", true),
            (b"\\*", b"x", false),
            (b"a\\", b"a\\", true),
            (b"h\\[llo", b"h[llo", true),
            (b"\x00\xff*", b"\x00\xff\x80", true),
            (b"A", b"a", false),
            (b"***a", b"ba", true),
            (b"a?", b"a\n", true),
            (b"[!a]", b"b", false),
        ];
        for (pattern, name, expected) in cases {
            let (shown, name_shown) = (pattern.escape_ascii(), name.escape_ascii());
            assert_eq!(Pattern::new(pattern).matches(name), expected, "{shown} on {name_shown}");
        }
        assert!(Pattern::ignoring_case(b"Max[M-n]*").matches(b"maxMemory"));
        assert!(!Pattern::new(b"Max*").matches(b"maxmemory"));
    }

    #[test]
    fn many_stars_take_no_longer_than_lengths_multiplied() {
        // CVE-2022-36021, CVE-2024-31228: patterns of stars that a server tried for hours, or recursed on.
        let name = vec![b'a'; 20_000];
        let pattern = Pattern::new(&[&b"a*".repeat(20_000)[..], b"b"].concat());
        assert!(!pattern.matches(&name));
        let pattern = Pattern::new(&b"[a-z]*".repeat(1_000));
        assert!(pattern.matches(&name));
        assert!(!Pattern::new(&[&b"a*".repeat(2_000)[..], b"aaab"].concat()).matches(&name));
    }

    #[test]
    fn a_name_that_takes_more_than_a_thousand_stars_does_not_match() {
        let matches = |stars: usize, end: &str| {
            let name = "a".repeat(2 * stars);
            Pattern::new(("*a".repeat(stars) + end).as_bytes()).matches(name.as_bytes())
        };
        assert!(matches(1_000, "") && matches(1_000, "*"));
        assert!(!matches(1_001, ""));
        // A pattern that ends early is not looked at so far.
        assert!(!Pattern::new(("b".to_owned() + &"*a".repeat(2_000)).as_bytes()).matches(b"a"));
    }

    #[test]
    fn the_one_name_of_a_plain_pattern_is_known() {
        assert_eq!(Pattern::new(b"ab\\*").exact(), Some(b"ab*".to_vec()));
        assert_eq!(Pattern::new(b"ab*").exact(), None);
        assert!(Pattern::new(b"**").matches_all() && !Pattern::new(b"*a").matches_all());
    }
}
