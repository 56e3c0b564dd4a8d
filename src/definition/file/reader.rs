//! Typed access to parsed TOML: every value with its span, every surprise noted as a mistake.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::definition::mistake::{At, Mistake};
use crate::error::{Error, nearest};
use crate::time::parse_duration_us;

/// A parsed value with its span.
pub(super) type Value<'a> = Spanned<DeValue<'a>>;

/// A key of a table and its value.
#[derive(Clone)]
pub(super) struct Item<'a> {
    pub(super) key: &'a str,
    pub(super) key_span: Range<usize>,
    pub(super) value: &'a Value<'a>,
}

/// Collects mistakes, and remembers where everything was read from so that later checks can point at it.
#[derive(Default)]
pub(super) struct Reader {
    mistakes: Vec<Mistake>,
    key_spans: BTreeMap<At, Range<usize>>,
    value_spans: BTreeMap<At, Range<usize>>,
    /// Paths that have a mistake already: a check of them would only repeat it.
    broken: BTreeSet<At>,
    /// Views whose tables, or all of whose keys or features, could not be read: references to them
    /// are no mistakes of their own.
    unreadable: BTreeSet<String>,
}

impl Reader {
    pub(super) fn add(&mut self, mistake: Mistake) {
        self.broken.insert(mistake.at.clone());
        self.mistakes.push(mistake);
    }

    pub(super) fn syntax(&mut self, message: &str, span: Option<Range<usize>>, text: &str) {
        let mut mistake = Mistake::new(At::root(), message).span(span.unwrap_or(text.len()..text.len()));
        if message == "duplicate key" {
            mistake = mistake.remedy("it was given above already");
        }
        self.mistakes.push(mistake);
    }

    pub(super) fn unreadable(&mut self, name: &str) {
        self.unreadable.insert(name.to_owned());
    }

    pub(super) fn is_broken(&self, at: &At) -> bool {
        self.broken.contains(at)
    }

    /// Takes over what the checks found, except what only follows from a mistake noted already.
    pub(super) fn add_checked(&mut self, found: Vec<Mistake>) {
        for mut mistake in found {
            let is_repeated = mistake.at.enclosing().any(|at| self.broken.contains(&at));
            let is_dangling = mistake.refers_to.as_ref().is_some_and(|name| self.unreadable.contains(name));
            if is_repeated || is_dangling {
                continue;
            }
            mistake.span = self.span_of(&mistake);
            self.mistakes.push(mistake);
        }
    }

    fn span_of(&self, mistake: &Mistake) -> Option<Range<usize>> {
        let own = if mistake.is_about_key { &self.key_spans } else { &self.value_spans };
        own.get(&mistake.at).cloned().or_else(|| {
            // What the file does not say is shown at the innermost table that should.
            mistake.at.enclosing().find_map(|at| self.key_spans.get(&at).cloned())
        })
    }

    pub(super) fn into_mistakes(self) -> Vec<Mistake> {
        self.mistakes
    }

    /// The items of a table in file order, their places noted under `at`.
    pub(super) fn items<'a>(&mut self, at: &At, table: &'a DeTable<'a>) -> Vec<Item<'a>> {
        let mut items: Vec<Item<'a>> = table
            .iter()
            .map(|(key, value)| Item { key: key.get_ref().as_ref(), key_span: key.span(), value })
            .collect();
        items.sort_by_key(|item| item.key_span.start);
        for item in &items {
            self.remember(&at.key(item.key), item);
        }
        items
    }

    pub(super) fn remember(&mut self, at: &At, item: &Item<'_>) {
        self.key_spans.entry(at.clone()).or_insert_with(|| item.key_span.clone());
        let is_table = matches!(item.value.get_ref(), DeValue::Table(_));
        let span = if is_table { item.key_span.clone() } else { item.value.span() };
        self.value_spans.entry(at.clone()).or_insert(span);
    }

    pub(super) fn remember_span(&mut self, at: At, span: Range<usize>) {
        self.value_spans.entry(at).or_insert(span);
    }

    /// Remembers the last place of several: of a feature listed twice, the second is the mistake.
    pub(super) fn remember_repeated(&mut self, at: At, span: Range<usize>) {
        self.value_spans.insert(at, span);
    }

    pub(super) fn remember_key_span(&mut self, at: At, span: Range<usize>) {
        self.key_spans.entry(at).or_insert(span);
    }

    /// Keeps checks from speaking of a place whose parts have mistakes already.
    pub(super) fn silence(&mut self, at: &At) {
        self.broken.insert(at.clone());
    }

    /// The items of a value that must be a table; none when it is something else.
    pub(super) fn table<'a>(&mut self, at: &At, item: &Item<'a>, expected: &str) -> Vec<Item<'a>> {
        match item.value.get_ref() {
            DeValue::Table(table) => self.items(at, table),
            _ => {
                self.wrong_type(at, item.value, expected);
                Vec::new()
            }
        }
    }

    pub(super) fn wrong_type(&mut self, at: &At, value: &Value<'_>, expected: &str) {
        let name = at.0.last().map_or("value", String::as_str);
        let got = match value.get_ref() {
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date or time",
            DeValue::String(_) => "a string",
        };
        let mistake = Mistake::new(at.clone(), format!("'{name}' cannot be {got}")).span(value.span());
        self.add(mistake.remedy(format!("expected {expected}")));
    }

    pub(super) fn unknown_key(&mut self, at: &At, item: &Item<'_>, place: &str, known: &[&str]) {
        let mistake = Mistake::new(at.clone(), format!("unknown key '{}' in {place}", item.key));
        self.add(mistake.span(item.key_span.clone()).suggest(item.key, "keys", known));
    }

    /// A key that a table must have and has not; no mistake of its own beside a misspelling of it.
    pub(super) fn missing(&mut self, at: &At, table: &Item<'_>, items: &[Item<'_>], key: &str, example: &str) {
        let is_misspelt = items.iter().any(|item| nearest(item.key, [key]).is_some());
        if is_misspelt || at.enclosing().any(|at| self.is_broken(&at)) {
            return self.silence(at);
        }
        let mistake = Mistake::new(at.clone(), format!("'{}' does not say its {key}", table.key));
        self.add(mistake.span(table.key_span.clone()).remedy(format!("add {example}")));
    }

    pub(super) fn string(&mut self, at: &At, value: &Value<'_>, example: &str) -> Option<String> {
        if let DeValue::String(text) = value.get_ref() {
            return Some(text.to_string());
        }
        self.wrong_type(at, value, &format!("a string, as in {example}"));
        None
    }

    pub(super) fn non_empty(&mut self, at: &At, value: &Value<'_>, example: &str) -> Option<String> {
        let text = self.string(at, value, example)?;
        if text.is_empty() {
            let name = at.0.last().map_or("value", String::as_str);
            let mistake = Mistake::new(at.clone(), format!("'{name}' is empty")).span(value.span());
            self.add(mistake.remedy(format!("expected a string, as in {example}")));
            return None;
        }
        Some(text)
    }

    pub(super) fn boolean(&mut self, at: &At, value: &Value<'_>) -> Option<bool> {
        if let DeValue::Boolean(value) = value.get_ref() {
            return Some(*value);
        }
        self.wrong_type(at, value, "true or false");
        None
    }

    /// A number of things.
    pub(super) fn count(&mut self, at: &At, value: &Value<'_>) -> Option<u32> {
        if let DeValue::Integer(number) = value.get_ref()
            && let Ok(count) = u32::from_str_radix(number.as_str(), number.radix())
        {
            return Some(count);
        }
        self.wrong_type(at, value, "a number from 0 to 4294967295");
        None
    }

    /// A string in the text form of `T`.
    pub(super) fn parsed<T: FromStr<Err = Error>>(&mut self, at: &At, value: &Value<'_>, example: &str) -> Option<T> {
        let text = self.string(at, value, example)?;
        match text.parse() {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.add(Mistake::from_error(at.clone(), &error).span(value.span()));
                None
            }
        }
    }

    pub(super) fn duration_us(&mut self, at: &At, value: &Value<'_>) -> Option<i64> {
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) if number.as_str() == "0" => "0".to_owned(),
            _ => {
                self.wrong_type(at, value, "a duration, as in \"3h\"");
                return None;
            }
        };
        match parse_duration_us(&text) {
            Ok(us) => Some(us),
            Err(error) => {
                self.add(Mistake::from_error(at.clone(), &error).span(value.span()));
                None
            }
        }
    }

    /// The elements of a list of strings, each with its span.
    pub(super) fn strings(&mut self, at: &At, value: &Value<'_>, example: &str) -> Vec<(String, Range<usize>)> {
        let DeValue::Array(elements) = value.get_ref() else {
            self.wrong_type(at, value, &format!("a list of strings, as in {example}"));
            return Vec::new();
        };
        let mut strings = Vec::with_capacity(elements.len());
        for element in elements.iter() {
            match element.get_ref() {
                DeValue::String(text) => strings.push((text.to_string(), element.span())),
                _ => self.wrong_type(at, element, &format!("a list of strings, as in {example}")),
            }
        }
        strings
    }

    /// A table of strings.
    pub(super) fn texts(&mut self, at: &At, item: &Item<'_>, expected: &str) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        for item in self.table(at, item, expected) {
            if let Some(text) = self.string(&at.key(item.key), item.value, "\"...\"") {
                texts.insert(item.key.to_owned(), text);
            }
        }
        texts
    }
}
