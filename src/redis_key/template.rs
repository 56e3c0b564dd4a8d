//! Key templates: `user:{user_id}:features`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::value::DataType;

/// What a placeholder of an example stands for.
pub(super) const EXAMPLE_VALUE: &str = "1";

/// A form of keys: text with placeholders, each of which is one or more bytes without `:`.
///
/// ```
/// use asof::redis_key::KeyTemplate;
///
/// let template: KeyTemplate = "user:{user_id}:features".parse()?;
/// assert!(template.matches(b"user:17:features"));
/// assert!(!template.matches(b"user:17:4:features"));
/// # Ok::<(), asof::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyTemplate {
    text: String,
    segments: Vec<Segment>,
}

/// What stands between two colons.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Segment {
    /// Text alone.
    Literal(String),
    /// A placeholder, with the text around it.
    Placeholder { before: String, join_key: String, after: String },
}

impl KeyTemplate {
    /// The template as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands between the colons, in order.
    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether a key is of this form.
    pub fn matches(&self, key: &[u8]) -> bool {
        let mut parts = key.split(|byte| *byte == b':');
        self.segments.iter().all(|segment| parts.next().is_some_and(|part| segment.value_in(part).is_some()))
            && parts.next().is_none()
    }

    /// A key that is of both forms, where there is one.
    pub fn overlaps(&self, other: &KeyTemplate) -> Option<String> {
        // No placeholder takes a colon: the forms are compared from colon to colon.
        if self.segments.len() != other.segments.len() {
            return None;
        }
        let shared = self.segments.iter().zip(&other.segments).map(|(one, other)| one.overlap(other));
        Some(shared.collect::<Option<Vec<_>>>()?.join(":"))
    }

    /// Whether the two have the same keys, however their placeholders are called.
    pub fn is_same_form(&self, other: &KeyTemplate) -> bool {
        let around = |segment: &Segment| match segment {
            Segment::Literal(text) => (text.clone(), None),
            Segment::Placeholder { before, after, .. } => (before.clone(), Some(after.clone())),
        };
        self.segments.iter().map(around).eq(other.segments.iter().map(around))
    }

    /// For each join key, in key order, the segment that its placeholder stands in.
    ///
    /// # Errors
    /// A placeholder names no join key, or one that another names too; a join key is missing.
    pub fn places(&self, join_keys: &[(String, DataType)]) -> Result<Vec<usize>> {
        let mut places: Vec<Option<usize>> = vec![None; join_keys.len()];
        let write = || match join_keys {
            [] => "the view has one key for the whole store, write it without braces".to_owned(),
            _ => {
                let names = join_keys.iter().map(|(name, _)| format!("{{{name}}}"));
                format!("write each of its join keys once: {}", names.collect::<Vec<_>>().join(", "))
            }
        };
        for (at, segment) in self.segments.iter().enumerate() {
            let Segment::Placeholder { join_key, .. } = segment else { continue };
            let Some(ordinal) = join_keys.iter().position(|(name, _)| name == join_key) else {
                return Err(Error::invalid(format!("'{self}': the view has no join key '{join_key}'")).remedy(write()));
            };
            if places[ordinal].replace(at).is_some() {
                return Err(Error::invalid(format!("'{self}' names {{{join_key}}} twice")).remedy(write()));
            }
        }
        let missing = places.iter().position(Option::is_none);
        if let Some(ordinal) = missing {
            let name = &join_keys[ordinal].0;
            return Err(Error::invalid(format!("'{self}' does not say where {{{name}}} stands")).remedy(write()));
        }
        Ok(places.into_iter().flatten().collect())
    }
}

impl Segment {
    fn parse(text: &str) -> std::result::Result<Segment, &'static str> {
        let Some((before, rest)) = text.split_once('{') else {
            return if text.contains('}') { Err("'}' closes nothing") } else { Ok(Segment::Literal(text.to_owned())) };
        };
        if before.contains('}') {
            return Err("'}' closes nothing");
        }
        let Some((join_key, after)) = rest.split_once('}') else { return Err("'{' is not closed before the next ':'") };
        match (join_key, after) {
            ("", _) => Err("{} names no join key"),
            (name, _) if name.contains('{') => Err("'{' stands within braces"),
            (_, after) if after.contains('{') => Err("two placeholders stand between two colons"),
            (_, after) if after.contains('}') => Err("'}' closes nothing"),
            (join_key, after) => Ok(Segment::Placeholder {
                before: before.to_owned(),
                join_key: join_key.to_owned(),
                after: after.to_owned(),
            }),
        }
    }

    /// What the placeholder stands for in this part of a key, nothing in a text alone; `None`: the part is not of this form.
    #[inline]
    pub(super) fn value_in<'a>(&self, part: &'a [u8]) -> Option<&'a [u8]> {
        match self {
            Segment::Literal(text) => (part == text.as_bytes()).then_some(&[]),
            Segment::Placeholder { before, after, .. } => {
                let value = part.strip_prefix(before.as_bytes())?.strip_suffix(after.as_bytes())?;
                (!value.is_empty()).then_some(value)
            }
        }
    }

    /// A part of both forms.
    fn overlap(&self, other: &Segment) -> Option<String> {
        match (self, other) {
            (Segment::Literal(text), other) | (other, Segment::Literal(text)) => {
                other.value_in(text.as_bytes()).map(|_| text.clone())
            }
            (
                Segment::Placeholder { before, after, .. },
                Segment::Placeholder { before: other_before, after: other_after, .. },
            ) => {
                // A part that begins as both do and ends as both do, with something between: long enough for either.
                let longer =
                    |one: &'_ str, other: &'_ str| if one.len() >= other.len() { one } else { other }.to_owned();
                let (start, end) = (longer(before, other_before), longer(after, other_after));
                let starts = start.starts_with(before.as_str()) && start.starts_with(other_before.as_str());
                let ends = end.ends_with(after.as_str()) && end.ends_with(other_after.as_str());
                (starts && ends).then(|| format!("{start}{EXAMPLE_VALUE}{end}"))
            }
        }
    }
}

impl FromStr for KeyTemplate {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Err(Error::invalid("a key template is empty").remedy("write one such as user:{user_id}:features"));
        }
        let segments = text.split(':').map(Segment::parse).collect::<std::result::Result<Vec<_>, _>>();
        let segments = segments.map_err(|fault| {
            Error::invalid(format!("'{text}' is no key template: {fault}")).remedy(
                "braces stand around the name of a join key and mean nothing else, one pair between two colons: \
                 user:{user_id}:features",
            )
        })?;
        Ok(KeyTemplate { text: text.to_owned(), segments })
    }
}

impl fmt::Display for KeyTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for KeyTemplate {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<KeyTemplate> for String {
    fn from(template: KeyTemplate) -> String {
        template.text
    }
}
