//! Options of `SET` and `GETEX`.

use crate::server::resp::command::{Arguments, Refusal, TimeForm};

/// What stands behind the key and the value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `NX`: only where there is no key.
    pub is_for_none: bool,
    /// `XX`: only where there is one.
    pub is_for_some: bool,
    /// `GET`: the value before is the answer.
    pub gets: bool,
    /// `KEEPTTL`: the deadline stays.
    pub keeps_deadline: bool,
    /// `PERSIST`: the deadline goes.
    pub persists: bool,
    /// `EX`, `PX`, `EXAT`, `PXAT`: the form, and where the number stands.
    pub time: Option<(TimeForm, usize)>,
}

impl Options {
    /// Of `SET`, from the third argument on.
    ///
    /// # Errors
    /// One is unknown, or goes not with another.
    pub fn of_set(arguments: Arguments<'_>) -> Result<Options, Refusal> {
        let add = |options: &mut Options, option: &[u8]| {
            let known = match option.to_ascii_lowercase().as_slice() {
                b"nx" if !options.is_for_some => &mut options.is_for_none,
                b"xx" if !options.is_for_none => &mut options.is_for_some,
                b"get" => &mut options.gets,
                b"keepttl" if options.time.is_none() => &mut options.keeps_deadline,
                _ => return false,
            };
            *known = true;
            true
        };
        Options::read(arguments, 3, add)
    }

    /// Of `GETEX`, from the second argument on.
    ///
    /// # Errors
    /// As [`Options::of_set`].
    pub fn of_get(arguments: Arguments<'_>) -> Result<Options, Refusal> {
        let add = |options: &mut Options, option: &[u8]| {
            let is_known = option.eq_ignore_ascii_case(b"persist") && options.time.is_none();
            options.persists |= is_known;
            is_known
        };
        Options::read(arguments, 2, add)
    }

    /// Reads options of time, and others by `add`, which says whether it knows one.
    fn read(
        arguments: Arguments<'_>,
        first: usize,
        add: impl Fn(&mut Options, &[u8]) -> bool,
    ) -> Result<Options, Refusal> {
        let mut options = Options::default();
        let mut at = first;
        while let Some(option) = arguments.get(at) {
            match TimeForm::of_option(option) {
                Some(form) if options.takes(form) && at + 1 < arguments.len() => {
                    options.time = Some((form, at + 1));
                    at += 2;
                }
                None if add(&mut options, option) => at += 1,
                _ => return Err(Refusal::SYNTAX),
            }
        }
        Ok(options)
    }

    /// Whether a time of this form goes with the options before: the same form twice does.
    fn takes(&self, form: TimeForm) -> bool {
        !self.keeps_deadline && !self.persists && self.time.is_none_or(|(known, _)| known == form)
    }

    /// The deadline that the options of time say.
    ///
    /// # Errors
    /// It is none.
    pub fn deadline(&self, arguments: Arguments<'_>, now: i64, command: &str) -> Result<Option<i64>, Refusal> {
        self.time.map(|(form, index)| form.positive(arguments, index, now, command)).transpose()
    }
}
