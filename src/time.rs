//! Instants, durations and the clock. Nothing below the store facade reads the system clock: what asks a clock there asks the
//! one that the facade gave it.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveDateTime, SecondsFormat, TimeZone, Timelike as _, Utc};

use crate::error::{Error, Result};
use crate::text::is_short_year;

/// Microseconds in a second.
pub const MICROS_PER_SECOND: i64 = 1_000_000;
/// Microseconds in a day.
pub const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// An instant: microseconds since 1970-01-01T00:00:00 UTC.
///
/// `Display` is RFC 3339 in UTC with up to six fraction digits; parsing takes RFC 3339 with any
/// offset, a date alone, and times without a zone, which are UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The earliest instant that can be written.
    pub const MIN: Timestamp = Timestamp(i64::MIN);
    /// The latest instant that can be written.
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    /// Microseconds since the Unix epoch.
    pub fn micros(self) -> i64 {
        self.0
    }

    /// The instant `us` microseconds later, held at the ends of the range.
    #[must_use]
    pub fn saturating_add(self, us: i64) -> Self {
        Timestamp(self.0.saturating_add(us))
    }

    /// The instant `us` microseconds earlier, held at the ends of the range.
    #[must_use]
    pub fn saturating_sub(self, us: i64) -> Self {
        Timestamp(self.0.saturating_sub(us))
    }

    /// Nanoseconds become microseconds by floor, so an instant never moves into the future.
    pub fn from_nanos(nanos: i64) -> Self {
        Timestamp(nanos.div_euclid(1_000))
    }

    /// Scales `units` of `per_second` to microseconds; `None` when out of range.
    pub fn from_units(units: i64, per_second: i64) -> Option<Self> {
        if per_second > MICROS_PER_SECOND {
            Some(Timestamp(units.div_euclid(per_second / MICROS_PER_SECOND)))
        } else {
            units.checked_mul(MICROS_PER_SECOND / per_second).map(Timestamp)
        }
    }
}

/// An instant as it is written, in years that have four digits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimestampText {
    digits: [u8; 27],
    length: usize,
}

impl TimestampText {
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.digits[..self.length]).expect("digits, and what stands between them")
    }
}

impl Timestamp {
    /// What `Display` writes, without memory of its own: a fifth of what chrono takes for it, and answers have one for each value. `None` in
    /// years of more digits.
    pub(crate) fn text(self) -> Option<TimestampText> {
        let instant = Utc.timestamp_micros(self.0).single()?.naive_utc();
        let year = u32::try_from(instant.year()).ok().filter(|year| *year <= 9_999)?;
        let mut digits = *b"0000-00-00T00:00:00.000000Z";
        let mut put = |at: std::ops::Range<usize>, number: u32| {
            let mut rest = number;
            for digit in digits[at].iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        };
        put(0..4, year);
        put(5..7, instant.month());
        put(8..10, instant.day());
        put(11..13, instant.hour());
        put(14..16, instant.minute());
        put(17..19, instant.second());
        let length = match instant.nanosecond() / 1_000 {
            0 => 20,
            micros if micros % 1_000 == 0 => {
                put(20..23, micros / 1_000);
                24
            }
            micros => {
                put(20..26, micros);
                27
            }
        };
        digits[length - 1] = b'Z';
        Some(TimestampText { digits, length })
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = self.text() {
            return f.write_str(text.as_str());
        }
        match Utc.timestamp_micros(self.0).single() {
            Some(instant) => {
                let format = match self.0.rem_euclid(MICROS_PER_SECOND) {
                    0 => SecondsFormat::Secs,
                    fraction if fraction % 1_000 == 0 => SecondsFormat::Millis,
                    _ => SecondsFormat::Micros,
                };
                f.write_str(&instant.to_rfc3339_opts(format, true))
            }
            // chrono's calendar ends some 260,000 years from here; i64 microseconds do not.
            None => write!(f, "{}us", self.0),
        }
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        <String as serde::Deserialize>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl serde::Serialize for Timestamp {
    /// As it is printed.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let micros = |instant: DateTime<Utc>| -> Result<Timestamp> {
            let floor = i64::from(instant.timestamp_subsec_nanos()).div_euclid(1_000);
            instant
                .timestamp()
                .checked_mul(MICROS_PER_SECOND)
                .and_then(|us| us.checked_add(floor))
                .map(Timestamp)
                .ok_or_else(|| Error::invalid(format!("timestamp '{text}' is out of range")))
        };
        if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
            return micros(instant.with_timezone(&Utc));
        }
        // RFC 3339 wants a colon in the offset and 'T'; data out of databases has neither.
        let zoned = ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M%#z", "%Y-%m-%dT%H:%M%#z"];
        for format in zoned {
            if let Ok(instant) = DateTime::parse_from_str(text, format)
                && !is_short_year(instant.year(), text)
            {
                return micros(instant.with_timezone(&Utc));
            }
        }
        for format in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"] {
            if let Ok(naive) = NaiveDateTime::parse_from_str(text, format)
                && !is_short_year(naive.year(), text)
            {
                return micros(naive.and_utc());
            }
        }
        if let Ok(date) = text.parse::<NaiveDate>()
            && !is_short_year(date.year(), text)
        {
            return micros(date.and_time(chrono::NaiveTime::MIN).and_utc());
        }
        if let Some(us) = text.strip_suffix("us").and_then(|us| us.parse().ok()) {
            return Ok(Timestamp(us));
        }
        Err(Error::invalid(format!("'{text}' is no timestamp")).remedy(
            "write it as 2026-03-01T13:00:00Z, without a zone it is UTC; or as microseconds since 1970, 1772370000000000us",
        ))
    }
}

/// Units of a duration in microseconds, the largest first.
const UNITS: [(i64, &str); 6] = [
    (MICROS_PER_DAY, "d"),
    (3_600 * MICROS_PER_SECOND, "h"),
    (60 * MICROS_PER_SECOND, "m"),
    (MICROS_PER_SECOND, "s"),
    (1_000, "ms"),
    (1, "us"),
];

/// Reads a duration such as `3h` or `250ms`: an integer with `us`, `ms`, `s`, `m`, `h` or `d`.
/// A plain `0` is zero.
///
/// # Errors
/// The text is no duration, is negative, or does not fit i64 microseconds.
pub fn parse_duration_us(text: &str) -> Result<i64> {
    let trimmed = text.trim();
    let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = trimmed.split_at(digits);
    let unit_us = match unit.trim_start() {
        "us" => 1,
        "ms" => 1_000,
        "s" => MICROS_PER_SECOND,
        "m" => 60 * MICROS_PER_SECOND,
        "h" => 3_600 * MICROS_PER_SECOND,
        "d" => MICROS_PER_DAY,
        "" if number == "0" => 1,
        _ => {
            return Err(Error::invalid(format!("'{text}' is no duration"))
                .remedy("write a whole number with us, ms, s, m, h or d, such as 3h"));
        }
    };
    number
        .parse::<i64>()
        .ok()
        .and_then(|count| count.checked_mul(unit_us))
        .ok_or_else(|| Error::invalid(format!("duration '{text}' is out of range")))
}

/// Prints a duration with the largest unit that divides it: the inverse of [`parse_duration_us`].
pub fn format_duration_us(us: i64) -> String {
    if us == 0 {
        return "0s".to_owned();
    }
    for (unit_us, name) in UNITS {
        if us % unit_us == 0 {
            return format!("{}{name}", us / unit_us);
        }
    }
    format!("{us}us")
}

/// Prints an age for people: its largest unit and the next smaller one, such as `4708d 11h`; what is below is cut off.
pub fn format_age_us(us: i64) -> String {
    let Some(first) = UNITS.iter().position(|(unit_us, _)| us >= *unit_us) else { return "0s".to_owned() };
    let (large_us, large) = UNITS[first];
    let text = format!("{}{large}", us / large_us);
    match UNITS.get(first + 1) {
        Some((small_us, small)) if us % large_us >= *small_us => format!("{text} {}{small}", us % large_us / small_us),
        _ => text,
    }
}

/// Where `now` comes from: the system for a store in use, the test for a store under test.
pub trait Clock: Send + Sync {
    /// The current instant.
    fn now(&self) -> Timestamp;
}

impl fmt::Debug for dyn Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a clock that shows {}", self.now())
    }
}

/// The operating system's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp(Utc::now().timestamp_micros())
    }
}

/// A clock that stands still until it is told otherwise.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: Timestamp) -> Self {
        ManualClock(AtomicI64::new(now.0))
    }

    /// Moves the clock, backwards too.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_that_chrono_writes() {
        let mut state = 1_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 2).cast_signed()
        };
        // Of all years that have four digits, to the second, the millisecond and the microsecond.
        let (first, last) = (-62_167_219_200_000_000_i64, 253_402_300_799_999_999_i64);
        let mut instants = vec![first, last, 0, -1, 951_782_400_000_000, 68_169_600_000_000];
        instants.extend((0..20_000).map(|i| {
            let unit = [1, 1_000, MICROS_PER_SECOND, MICROS_PER_DAY][i % 4];
            (first + random().rem_euclid(last - first)).div_euclid(unit) * unit
        }));
        for us in instants {
            let instant = Utc.timestamp_micros(us).single().unwrap();
            let format = match us.rem_euclid(MICROS_PER_SECOND) {
                0 => SecondsFormat::Secs,
                fraction if fraction % 1_000 == 0 => SecondsFormat::Millis,
                _ => SecondsFormat::Micros,
            };
            assert_eq!(Timestamp(us).text().unwrap().as_str(), instant.to_rfc3339_opts(format, true), "{us}");
        }
        assert!(Timestamp(first - 1).text().is_none() && Timestamp(last + 1).text().is_none());
        assert!(Timestamp::MIN.text().is_none() && Timestamp::MAX.text().is_none());
    }

    #[test]
    fn timestamps_print_as_rfc_3339_and_read_back() {
        for (us, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_500_000, "1970-01-01T00:00:01.500Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (1_772_370_000_000_000, "2026-03-01T13:00:00Z"),
        ] {
            assert_eq!(Timestamp(us).to_string(), text);
            assert_eq!(text.parse::<Timestamp>().unwrap(), Timestamp(us));
        }
        for us in [i64::MIN, i64::MAX] {
            assert_eq!(Timestamp(us).to_string().parse::<Timestamp>().unwrap(), Timestamp(us));
        }
    }

    #[test]
    fn a_time_without_a_zone_is_utc_and_an_offset_is_converted() {
        let noon = "2026-03-01T12:00:00Z".parse::<Timestamp>().unwrap();
        for text in [
            "2026-03-01 12:00:00",
            "2026-03-01T12:00",
            "2026-03-01 12:00",
            "2026-03-01T17:30:00+05:30",
            "2026-03-01 07:00:00-0500",
            "2026-03-01T14:00+02:00",
            "2026-03-01 07:00-0500",
            "2026-03-01T12:00Z",
        ] {
            assert_eq!(text.parse::<Timestamp>().unwrap(), noon, "{text}");
        }
        assert!("yesterday".parse::<Timestamp>().is_err());
    }

    #[test]
    fn nanoseconds_floor_before_and_after_1970() {
        assert_eq!(Timestamp::from_nanos(1_999), Timestamp(1));
        assert_eq!(Timestamp::from_nanos(-1), Timestamp(-1));
        assert_eq!(Timestamp::from_units(i64::MAX, 1), None);
    }

    #[test]
    fn durations_read_and_print() {
        for (text, us) in [("3h", 10_800_000_000), ("250ms", 250_000), ("7us", 7), ("2d", 2 * MICROS_PER_DAY), ("0", 0)]
        {
            assert_eq!(parse_duration_us(text).unwrap(), us);
        }
        assert_eq!(format_duration_us(10_800_000_000), "3h");
        assert_eq!(format_duration_us(10_800_000_001), "10800000001us");
        for (us, text) in [(406_814_088_748_589, "4708d 11h"), (3_600_000_001, "1h"), (999, "999us"), (0, "0s")] {
            assert_eq!(format_age_us(us), text);
        }
        for bad in ["3", "h", "-1s", "1.5h", "99999999999999d"] {
            assert!(parse_duration_us(bad).is_err(), "{bad}");
        }
    }
}
