//! Times in arguments, as deadlines: seconds or milliseconds, from now or since 1970, become microseconds since 1970.

use super::{Arguments, Refusal};

/// The latest deadline of a field: Redis has 46 bits for its milliseconds.
const FIELD_DEADLINE_MS_MAX: i64 = (1 << 46) - 1;

/// What a number that says when a key goes is meant as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeForm {
    is_seconds: bool,
    is_from_now: bool,
}

impl TimeForm {
    /// Seconds from now.
    pub const EX: TimeForm = TimeForm { is_seconds: true, is_from_now: true };
    /// Milliseconds from now.
    pub const PX: TimeForm = TimeForm { is_seconds: false, is_from_now: true };
    /// Seconds since 1970.
    pub const EXAT: TimeForm = TimeForm { is_seconds: true, is_from_now: false };
    /// Milliseconds since 1970.
    pub const PXAT: TimeForm = TimeForm { is_seconds: false, is_from_now: false };

    /// The form that an option's name stands for.
    pub fn of_option(option: &[u8]) -> Option<TimeForm> {
        let forms = [("EX", Self::EX), ("PX", Self::PX), ("EXAT", Self::EXAT), ("PXAT", Self::PXAT)];
        forms.into_iter().find(|(name, _)| option.eq_ignore_ascii_case(name.as_bytes())).map(|(_, form)| form)
    }

    /// The deadline that an argument says; it may lie in the past.
    ///
    /// # Errors
    /// It is no number, or out of range.
    pub fn any(self, arguments: Arguments<'_>, index: usize, now: i64, command: &str) -> Result<i64, Refusal> {
        self.deadline(arguments.integer(index)?, now).ok_or_else(|| Refusal::expire_time(command))
    }

    /// As [`TimeForm::any`], of a number above zero.
    ///
    /// # Errors
    /// As there, or it is not above zero.
    pub fn positive(self, arguments: Arguments<'_>, index: usize, now: i64, command: &str) -> Result<i64, Refusal> {
        let number = arguments.integer(index)?;
        let deadline = if number > 0 { self.deadline(number, now) } else { None };
        deadline.ok_or_else(|| Refusal::expire_time(command))
    }

    /// As [`TimeForm::any`], of a field.
    ///
    /// # Errors
    /// As there, or it is below zero, or later than a field may have.
    pub fn of_field(self, arguments: Arguments<'_>, index: usize, now: i64, command: &str) -> Result<i64, Refusal> {
        let number = arguments.integer(index)?;
        if number < 0 {
            return Err(Refusal::fixed("ERR invalid expire time, must be >= 0"));
        }
        let is_in_range = self.deadline_ms(number, now).is_some_and(|deadline_ms| deadline_ms <= FIELD_DEADLINE_MS_MAX);
        let deadline = if is_in_range { self.deadline(number, now) } else { None };
        deadline.ok_or_else(|| Refusal::expire_time(command))
    }

    /// Milliseconds since 1970; `None` where they are more than Redis can say.
    fn deadline_ms(self, number: i64, now: i64) -> Option<i64> {
        let number_ms = if self.is_seconds { number.checked_mul(1_000)? } else { number };
        if self.is_from_now { number_ms.checked_add(to_ms(now)) } else { Some(number_ms) }
    }

    /// Microseconds since 1970. Deadlines that only milliseconds can say become the last there is, in the year 294247.
    fn deadline(self, number: i64, now: i64) -> Option<i64> {
        let whole = self.deadline_ms(number, now)?.saturating_mul(1_000);
        // A key that is to stay for a second stays for all of it.
        Some(if self.is_from_now { whole.saturating_add(now.rem_euclid(1_000)) } else { whole })
    }
}

/// Milliseconds of microseconds, rounded down: what Redis would have seen on its clock.
pub fn to_ms(us: i64) -> i64 {
    us.div_euclid(1_000)
}

/// On what terms a deadline replaces another: options of `EXPIRE` and `HEXPIRE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// `NX`: only where there is none.
    pub is_first: bool,
    /// `XX`: only where there is one.
    pub is_other: bool,
    /// `GT`: only a later one; none is the latest.
    pub is_later: bool,
    /// `LT`: only an earlier one.
    pub is_earlier: bool,
}

impl Terms {
    /// Notes the option of this name; whether it is one.
    pub fn add(&mut self, option: &[u8]) -> bool {
        let noted = match option.to_ascii_lowercase().as_slice() {
            b"nx" => &mut self.is_first,
            b"xx" => &mut self.is_other,
            b"gt" => &mut self.is_later,
            b"lt" => &mut self.is_earlier,
            _ => return false,
        };
        *noted = true;
        true
    }

    /// Whether `next` may replace `before`. Times that the same millisecond holds are the same.
    pub fn allow(self, before: Option<i64>, next: i64) -> bool {
        let next = to_ms(next);
        match before.map(to_ms) {
            None => !self.is_other && !self.is_later,
            Some(before) => !self.is_first && (!self.is_later || next > before) && (!self.is_earlier || next < before),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1,700,000,000.123456 seconds.
    const NOW: i64 = 1_700_000_000_123_456;

    fn read(
        form: TimeForm,
        text: &str,
        how: fn(TimeForm, Arguments<'_>, usize, i64, &str) -> Result<i64, Refusal>,
    ) -> Result<i64, String> {
        let whole = 0..text.len();
        let arguments = Arguments::new(text.as_bytes(), std::slice::from_ref(&whole));
        how(form, arguments, 0, NOW, "c").map_err(|refusal| refusal.text().to_owned())
    }

    #[test]
    fn a_time_is_read_in_its_form() {
        for (form, text, expected) in [
            (TimeForm::EX, "10", NOW + 10_000_000),
            (TimeForm::PX, "1", NOW + 1_000),
            (TimeForm::EX, "-10", NOW - 10_000_000),
            (TimeForm::PX, "0", NOW),
            (TimeForm::EXAT, "1700000001", 1_700_000_001_000_000),
            (TimeForm::PXAT, "1700000001002", 1_700_000_001_002_000),
            (TimeForm::EXAT, "-1", -1_000_000),
        ] {
            assert_eq!(read(form, text, TimeForm::any), Ok(expected), "{form:?} {text}");
        }
    }

    #[test]
    fn times_that_redis_can_say_and_microseconds_cannot_become_the_last_there_is() {
        // The greatest that milliseconds and seconds can be.
        for (form, text) in [
            (TimeForm::PXAT, "9223372036854775807"),
            (TimeForm::EXAT, "9223372036854775"),
            (TimeForm::PX, "9223370336854775684"),
            (TimeForm::EX, "9223370336854775"),
        ] {
            assert_eq!(read(form, text, TimeForm::positive), Ok(i64::MAX), "{form:?} {text}");
        }
        assert_eq!(read(TimeForm::PXAT, "-9223372036854775808", TimeForm::any), Ok(i64::MIN));
        assert_eq!(read(TimeForm::EXAT, "-9223372036854775", TimeForm::any), Ok(i64::MIN));
    }

    #[test]
    fn times_that_redis_cannot_say_are_refused() {
        for (form, text) in [
            (TimeForm::EXAT, "9223372036854776"),
            (TimeForm::EXAT, "-9223372036854776"),
            (TimeForm::EX, "9223370336854776"),
            (TimeForm::PX, "9223370336854775685"),
        ] {
            let refused = Err("ERR invalid expire time in 'c' command".to_owned());
            assert_eq!(read(form, text, TimeForm::any), refused, "{form:?} {text}");
            assert_eq!(
                read(form, text, TimeForm::of_field),
                if text.starts_with('-') { Err("ERR invalid expire time, must be >= 0".to_owned()) } else { refused }
            );
        }
        for text in ["0", "-1", "-9223372036854775808"] {
            assert!(
                read(TimeForm::PX, text, TimeForm::positive).is_err_and(|text| text.contains("invalid expire time"))
            );
        }
        assert!(read(TimeForm::PX, "a", TimeForm::any).is_err_and(|text| text.contains("not an integer")));
    }

    #[test]
    fn a_field_s_time_has_46_bits() {
        assert_eq!(read(TimeForm::PXAT, "70368744177663", TimeForm::of_field), Ok(70_368_744_177_663_000));
        assert_eq!(read(TimeForm::EXAT, "70368744177", TimeForm::of_field), Ok(70_368_744_177_000_000));
        assert_eq!(read(TimeForm::EX, "0", TimeForm::of_field), Ok(NOW));
        for (form, text) in
            [(TimeForm::PXAT, "70368744177664"), (TimeForm::EXAT, "70368744178"), (TimeForm::PX, "68668744177541")]
        {
            assert!(read(form, text, TimeForm::of_field).is_err(), "{form:?} {text}");
        }
    }

    #[test]
    fn terms_allow_what_their_options_say() {
        let terms = |options: &str| {
            let mut terms = Terms::default();
            options.split_whitespace().for_each(|option| assert!(terms.add(option.as_bytes())));
            terms
        };
        // Options; whether they allow a first deadline, an earlier, the same, a later one.
        for (options, expected) in [
            ("", [true, true, true, true]),
            ("nx", [true, false, false, false]),
            ("XX", [false, true, true, true]),
            ("gt", [false, false, false, true]),
            ("Lt", [true, true, false, false]),
            ("xx gt", [false, false, false, true]),
            ("xx lt", [false, true, false, false]),
        ] {
            let terms = terms(options);
            // 999 microseconds later it is the same time still.
            let found = [(None, 0), (Some(NOW), NOW - 1_000), (Some(NOW), NOW + 500), (Some(NOW), NOW + 1_000)];
            assert_eq!(found.map(|(before, next)| terms.allow(before, next)), expected, "{options}");
        }
        assert!(!Terms::default().add(b"nxx") && !Terms::default().add(b""));
    }
}
