//! What random commands are made of: few keys and fields, so that commands meet; numbers at every edge; bytes of every kind.

use asof_clients::Random;

/// Keys. A few of them, so that what one command leaves the next one finds.
pub const KEYS: &[&[u8]] = &[
    b"a",
    b"b",
    b"c",
    b"d",
    b"h1",
    b"h2",
    b"h3",
    b"h4",
    b"n1",
    b"n2",
    b"",
    b"\x00\xff\r\n",
    b"key:with:colons",
    b"a key that is longer than sixty-four bytes, so that it is nowhere kept in place of a pointer",
];
const FIELDS: &[&[u8]] = &[
    b"f0",
    b"f1",
    b"f2",
    b"f3",
    b"f4",
    b"f5",
    b"f6",
    b"f7",
    b"",
    b"\x00\xfe\r\n",
    b"a[b]*?",
    b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    b"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy",
];
const INTEGERS: &[&[u8]] = &[
    b"0",
    b"1",
    b"-1",
    b"5",
    b"10",
    b"-10",
    b"100",
    b"9999",
    b"10000",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"9223372036854775808",
    b"-9223372036854775809",
    b"9223372036854775806",
    b"4611686018427387904",
    b"-4611686018427387904",
    b"2147483648",
    b"99999999999999999999",
];
/// What only looks like a number.
pub const NO_INTEGERS: &[&[u8]] =
    &[b"", b"abc", b" 1", b"1 ", b"+1", b"01", b"-0", b"1.5", b"0x10", b"1e3", b"1\x00", b"--1", b"\xff"];
const FLOATS: &[&[u8]] = &[
    b"0.1",
    b"0.2",
    b"1.5",
    b"-2.25",
    b"3.0",
    b"1e3",
    b"1e-3",
    b"5.0e3",
    b"inf",
    b"-inf",
    b"nan",
    b"infinity",
    b"1e400",
    b"1e4900",
    b"1e5000",
    b"1e-5000",
    b"0x1p3",
    b".5",
    b"5.",
    b".",
    b"-0.0",
    b"3.14159265358979323846",
    b"123456789012345678",
    b"0.00000000000000001",
    b"1e17",
    b"1e30",
    b"-1e4931",
    b"1e4931",
];
const PATTERNS: &[&[u8]] = &[
    b"*", b"a", b"?", b"h*", b"*1", b"[a-c]", b"[^a]*", b"k*:*", b"\\a", b"*\xff*", b"", b"h[12", b"f[1-4]", b"f?",
    b"x*",
];

/// Makes words.
#[derive(Debug)]
pub struct Words {
    /// Where they come from.
    pub random: Random,
    /// Seconds since 1970 when the test began.
    pub began: i64,
    /// Deadlines counted from now that there were: no two are equal, for which one is later would be decided by a millisecond.
    pub relative: i64,
}

pub type Word = Vec<u8>;

impl Words {
    pub fn one_of(&mut self, among: &[&[u8]]) -> Word {
        self.random.choose(among).to_vec()
    }

    pub fn key(&mut self) -> Word {
        let among = if self.random.percent(90) { KEYS } else { &KEYS[..6] };
        self.one_of(among)
    }

    pub fn field(&mut self) -> Word {
        if self.random.percent(93) { self.one_of(FIELDS) } else { self.other_field() }
    }

    /// One of so many that a hash of them outgrows its first form.
    pub fn other_field(&mut self) -> Word {
        format!("g{}", self.random.below(1_500)).into_bytes()
    }

    pub fn integer(&mut self) -> Word {
        match self.random.below(100) {
            0..45 => self.random.between(-20, 20).to_string().into_bytes(),
            45..55 => self.random.between(-1_000_000, 1_000_000).to_string().into_bytes(),
            55..88 => self.one_of(INTEGERS),
            _ => self.one_of(NO_INTEGERS),
        }
    }

    pub fn number(&mut self) -> Word {
        match self.random.below(100) {
            0..60 => self.one_of(FLOATS),
            60..80 => self.integer(),
            _ => {
                let (whole, part) = (self.random.between(-1_000, 1_000), self.random.below(1_000_000_000));
                format!("{whole}.{part}").into_bytes()
            }
        }
    }

    pub fn value(&mut self) -> Word {
        match self.random.below(1_000) {
            0..300 => self.text(),
            300..600 => self.integer(),
            600..800 => self.number(),
            800..802 => vec![b'B'; 70_000],
            802..803 => vec![b'B'; 1 << 20],
            _ => format!("v{}", self.random.below(1_000)).into_bytes(),
        }
    }

    /// Empty, binary, and around every length at which Redis changes how it keeps one.
    fn text(&mut self) -> Word {
        match self.random.below(10) {
            0 => Vec::new(),
            1 => b"hello".to_vec(),
            2 => b"\x00\x01\xff\r\n".to_vec(),
            3 => b"h\xc3\xa9".to_vec(),
            at => vec![b'x'; [44, 45, 64, 65, 1_000, 3][at - 4]],
        }
    }

    /// A word of the protocol, in any case.
    pub fn keyword(&mut self, word: &str) -> Word {
        match self.random.below(10) {
            0..7 => word.as_bytes().to_vec(),
            7..9 => word.to_ascii_lowercase().into_bytes(),
            _ => word
                .bytes()
                .map(|byte| if self.random.percent(50) { byte.to_ascii_lowercase() } else { byte })
                .collect(),
        }
    }

    pub fn pattern(&mut self) -> Word {
        self.one_of(PATTERNS)
    }

    pub fn cursor(&mut self) -> Word {
        match self.random.percent(50) {
            true => b"0".to_vec(),
            false => self.one_of(&[b"0", b"", b"abc", b"-1", b"+0", b"18446744073709551616", b" 0", b"0 ", b"-"]),
        }
    }

    pub fn database(&mut self) -> Word {
        self.one_of(&[
            b"0",
            b"1",
            b"2",
            b"3",
            b"15",
            b"16",
            b"-1",
            b"abc",
            b"",
            b"99999999999",
            b"9223372036854775808",
            b"1 ",
        ])
    }

    /// How many elements somebody wants.
    pub fn count(&mut self) -> Word {
        self.one_of(&[
            b"0",
            b"1",
            b"2",
            b"5",
            b"100",
            b"-1",
            b"-3",
            b"-50",
            b"abc",
            b"",
            b"-9223372036854775808",
            b"9223372036854775807",
            b"9223372036854775808",
            b"4611686018427387904",
        ])
    }

    /// A deadline: mostly hours ahead, so that no clock decides what is answered, or long past, or out of any range.
    pub fn deadline(&mut self, unit: Unit, form: Form) -> Word {
        let each = match unit {
            Unit::Seconds => 1,
            Unit::Milliseconds => 1_000,
        };
        match self.random.below(100) {
            0..60 => {
                let ahead = match form {
                    Form::Absolute => self.began + 10_000 + self.random.between(10, 400) * 10,
                    Form::Relative => {
                        self.relative += 1;
                        self.random.between(10, 400) * 1_000 + self.relative
                    }
                };
                (ahead * each).to_string().into_bytes()
            }
            60..72 => match form {
                Form::Absolute => ((self.began - self.random.between(1, 1_000)) * each).to_string().into_bytes(),
                Form::Relative => {
                    self.one_of(&[b"0", b"-1", b"-5", b"-10000000", b"-9223372036854775808", b"-9223372036854775"])
                }
            },
            // asof counts microseconds: it cannot tell deadlines beyond the year 294,000 apart, so none is close to its last.
            72..90 => self.one_of(&[
                b"9223372036854775808",
                b"-9223372036854775809",
                b"9223372036854775807",
                b"-9223372036854775808",
            ]),
            _ => self.one_of(NO_INTEGERS),
        }
    }
}

/// What a deadline is counted in.
#[derive(Clone, Copy, Debug)]
pub enum Unit {
    Seconds,
    Milliseconds,
}

/// From when a deadline is counted.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// From now.
    Relative,
    /// From 1970.
    Absolute,
}
