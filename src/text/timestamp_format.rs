//! Timestamps in a strftime format of the source's own.

use std::fmt::Write as _;

use chrono::format::{Fixed, Item, Parsed, StrftimeItems, parse};
use chrono::{DateTime, Utc};

use super::clip;
use crate::error::{Error, Result};

/// The format of seconds since 1970.
const EPOCH_SECONDS: &str = "%s";
const MICRO_DIGITS: usize = 6;
/// Years below are written with leading zeros, or are those of a century that nobody named.
const YEAR_OF_FOUR_DIGITS: u32 = 1000;

/// A strftime format, taken apart once for many texts.
#[derive(Clone, Debug)]
pub struct TimestampFormat {
    text: String,
    /// Ways to read a text, tried in turn: one, or one for each name that UTC goes by.
    readings: Vec<Vec<Item<'static>>>,
}

impl TimestampFormat {
    /// A format without a zone is UTC, one without a time of day midnight, one of hours alone the full hour. `%s` alone is any
    /// number of seconds, before 1970 too, and with a fraction.
    ///
    /// # Errors
    /// It is no strftime format.
    pub fn new(format: &str) -> Result<TimestampFormat> {
        let no_format = || Error::invalid(format!("'{format}' is no timestamp format"));
        if format.is_empty() {
            return Err(no_format());
        }
        let items = StrftimeItems::new(format).parse_to_owned().map_err(|_| no_format())?;
        let named = |name| {
            let item_of = |item: &Item<'static>| if *item == ZONE_NAME { Item::Literal(name) } else { item.clone() };
            items.iter().map(item_of).collect()
        };
        let readings = match items.contains(&ZONE_NAME) {
            true => NAMES_OF_UTC.into_iter().map(named).collect(),
            false => vec![items],
        };
        Ok(TimestampFormat { text: format.to_owned(), readings })
    }

    /// Reads a timestamp written in the format, as microseconds since 1970.
    ///
    /// # Errors
    /// The text is not in that format, or leaves open which instant it means.
    pub fn parse(&self, text: &str) -> Result<i64> {
        let text = text.trim();
        if self.text == EPOCH_SECONDS {
            return parse_epoch_seconds(text)
                .ok_or_else(|| Error::invalid(format!("wants seconds since 1970, got '{}'", clip(text))));
        }
        let instant = self.readings.iter().find_map(|items| parse_instant(items, text));
        instant.map(|instant| instant.timestamp_micros()).ok_or_else(|| {
            let hint = match self.readings.len() {
                1 => "",
                _ => " (of zones that are named, UTC alone is known; %z reads offsets)",
            };
            Error::invalid(format!("wants timestamp in the format '{}'{hint}, got '{}'", self.text, clip(text)))
        })
    }
}

const ZONE_NAME: Item<'static> = Item::Fixed(Fixed::TimezoneName);
/// Other names stand for several offsets each, and change theirs within the year.
const NAMES_OF_UTC: [&str; 3] = ["UTC", "GMT", "Z"];

/// What a format lacks to be one of timestamps; `None` where it lacks nothing.
pub(crate) fn fault_of_format(format: &str) -> Option<String> {
    let prepared = match TimestampFormat::new(format) {
        Ok(prepared) => prepared,
        Err(error) => return Some(error.to_string()),
    };
    let mut sample = String::new();
    // What can only be read, as %#z, cannot be tried so.
    write!(sample, "{}", EXAMPLE.format(format)).ok()?;
    match prepared.parse(&sample) {
        Ok(_) => None,
        Err(_) => Some(format!("'{format}' leaves open which instant '{sample}' is")),
    }
}

/// An afternoon, for hours of twelve.
const EXAMPLE: DateTime<Utc> = DateTime::from_timestamp(1_772_370_000, 0).expect("it is within chrono's calendar");

fn parse_instant(items: &[Item<'_>], text: &str) -> Option<DateTime<Utc>> {
    let mut parsed = Parsed::new();
    parse(&mut parsed, text, items.iter()).ok()?;
    if parsed.year().is_some_and(|year| is_short_year(year, text)) {
        return None;
    }
    let has_hour = parsed.hour_div_12().is_some() || parsed.hour_mod_12().is_some();
    let is_date = !has_hour && parsed.minute().is_none() && parsed.second().is_none() && parsed.timestamp().is_none();
    if is_date {
        parsed.set_hour(0).ok()?;
    }
    if (is_date || has_hour) && parsed.minute().is_none() && parsed.second().is_none() {
        parsed.set_minute(0).ok()?;
    }
    match parsed.offset() {
        Some(_) => parsed.to_datetime().ok().map(|zoned| zoned.to_utc()),
        None => parsed.to_naive_datetime_with_offset(0).ok().map(|naive| naive.and_utc()),
    }
}

/// Whether a year was read out of fewer than four digits: 13 is the year 2013 to whoever wrote it, not that of Tiberius.
pub(crate) fn is_short_year(year: i32, text: &str) -> bool {
    year.unsigned_abs() < YEAR_OF_FOUR_DIGITS && !text.contains(&format!("{:04}", year.unsigned_abs()))
}

/// A decimal number of seconds as microseconds, by floor. `None` where it is none, or no instant that there is.
fn parse_epoch_seconds(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (micros, beyond) = fraction.split_at(fraction.len().min(MICRO_DIGITS));
    let micros: i64 = format!("{micros:0<MICRO_DIGITS$}").parse().ok()?;
    let whole_us = whole.parse::<i64>().ok()?.checked_mul(1_000_000)?;
    let instant_us = if whole.starts_with('-') {
        let is_cut = beyond.bytes().any(|byte| byte != b'0');
        whole_us.checked_sub(micros)?.checked_sub(i64::from(is_cut))?
    } else {
        whole_us.checked_add(micros)?
    };
    chrono::DateTime::from_timestamp_micros(instant_us).map(|instant| instant.timestamp_micros())
}
