//! The keys of one view: what they name, and what its entities are called.

use super::template::{KeyTemplate, Segment};
use super::value::{escape_from, push_text, take_text, unescape};
use crate::error::{Error, Result};
use crate::key::check_key_len;
use crate::text::clip;
use crate::value::DataType;

/// A view version: what its keys look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) name: String,
    pub(super) version: u32,
    /// What its own keys begin with: `weather`, or `weather@1` where there is a newer version.
    pub(super) own_name: String,
    pub(super) join_keys: Vec<(String, DataType)>,
    /// The first of its templates that no newer version has too.
    pub(super) template: Option<Template>,
}

/// A template with its view, and the place of each join key in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) form: KeyTemplate,
    pub(super) view: usize,
    pub(super) places: Vec<usize>,
}

/// Why a key names no entity of the view that it begins with, where there is more to say than what is wanted.
type Fault = Option<String>;

impl View {
    /// Appends the entity key that a key of its own form names, by the values behind the first colon.
    pub(super) fn push_key(&self, key: &[u8], values: Option<&[u8]>, out: &mut Vec<u8>) -> Result<()> {
        self.push_values(values, out).map_err(|fault| self.refusal(self.own_text(), key, fault))
    }

    /// Appends the entity key that a key of a template of its own names.
    pub(super) fn push_key_of_template(&self, template: &Template, key: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        for (ordinal, (&place, (_, dtype))) in template.places.iter().zip(&self.join_keys).enumerate() {
            let part = key.split(|byte| *byte == b':').nth(place);
            let value = part.and_then(|part| template.form.segments()[place].value_in(part));
            let is_last = ordinal + 1 == self.join_keys.len();
            value
                .and_then(|value| push_text(dtype, value, is_last, out))
                .ok_or_else(|| self.refusal(template.form.to_string(), key, None))?;
        }
        check_key_len(out.len() - start)
            .map_err(|error| self.refusal(template.form.to_string(), key, Some(error.to_string())))
    }

    /// Appends what the entity of an encoded key is called; `false`, and nothing appended, when the bytes are no key.
    pub(super) fn push_name(&self, key: &[u8], out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let named = self.push_name_by_template(key, out).or_else(|| {
            out.truncate(start);
            self.push_own_name(key, out)
        });
        if named.is_none() {
            out.truncate(start);
        }
        named.is_some()
    }

    fn push_values(&self, values: Option<&[u8]>, out: &mut Vec<u8>) -> std::result::Result<(), Fault> {
        let start = out.len();
        let values = match values {
            // The one key of a view without entities.
            None | Some([]) if self.join_keys.is_empty() => return Ok(()),
            None => return Err(None),
            Some(values) => values,
        };
        let mut values = values.split(|byte| *byte == b':');
        for (ordinal, (_, dtype)) in self.join_keys.iter().enumerate() {
            let value = values.next().ok_or(None)?;
            let value = unescape(value).ok_or_else(|| Some("a % in a value is written %25".to_owned()))?;
            push_text(dtype, &value, ordinal + 1 == self.join_keys.len(), out).ok_or(None)?;
        }
        if values.next().is_some() {
            return Err((!self.join_keys.is_empty()).then(|| "a : in a value is written %3A".to_owned()));
        }
        check_key_len(out.len() - start).map_err(|error| Some(error.to_string()))
    }

    fn push_own_name(&self, mut key: &[u8], out: &mut Vec<u8>) -> Option<()> {
        out.extend_from_slice(self.own_name.as_bytes());
        if self.join_keys.is_empty() {
            out.push(b':');
        }
        for (ordinal, (_, dtype)) in self.join_keys.iter().enumerate() {
            out.push(b':');
            let start = out.len();
            take_text(dtype, ordinal + 1 == self.join_keys.len(), &mut key, out)?;
            escape_from(start, out);
        }
        key.is_empty().then_some(())
    }

    /// `None` where it has no template, or the key holds a value that no placeholder stands for.
    fn push_name_by_template(&self, key: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let template = self.template.as_ref().filter(|_| !self.join_keys.is_empty() || key.is_empty())?;
        for (at, segment) in template.form.segments().iter().enumerate() {
            if at > 0 {
                out.push(b':');
            }
            match segment {
                Segment::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Segment::Placeholder { before, after, .. } => {
                    out.extend_from_slice(before.as_bytes());
                    let start = out.len();
                    let ordinal = template.places.iter().position(|place| *place == at)?;
                    self.push_component_text(key, ordinal, out)?;
                    if out[start..].is_empty() || out[start..].contains(&b':') {
                        return None;
                    }
                    out.extend_from_slice(after.as_bytes());
                }
            }
        }
        Some(())
    }

    fn push_component_text(&self, mut key: &[u8], wanted: usize, out: &mut Vec<u8>) -> Option<()> {
        let start = out.len();
        for (ordinal, (_, dtype)) in self.join_keys.iter().enumerate() {
            let is_last = ordinal + 1 == self.join_keys.len();
            take_text(dtype, is_last, &mut key, out)?;
            if ordinal == wanted {
                return (!is_last || key.is_empty()).then_some(());
            }
            out.truncate(start);
        }
        None
    }

    /// Its own form, for people: `weather:ORIGIN`.
    fn own_text(&self) -> String {
        let mut text = self.own_name.clone();
        if self.join_keys.is_empty() {
            text.push(':');
        }
        for (name, _) in &self.join_keys {
            text.push(':');
            text.push_str(&name.to_uppercase());
        }
        text
    }

    #[cold]
    fn refusal(&self, form: String, key: &[u8], fault: Fault) -> Error {
        let wanted: Vec<String> = self.join_keys.iter().map(|(name, dtype)| format!("{name} as {dtype}")).collect();
        let wanted = if wanted.is_empty() { "no entity".to_owned() } else { wanted.join(" and ") };
        let error = Error::invalid(format!("{} wants {wanted}: {form}, got '{}'", self.own_name, shown(key)));
        match fault {
            Some(fault) => error.remedy(fault),
            None => error,
        }
    }
}

/// As much of a key as a message shows.
const SHOWN_BYTES_MAX: usize = 256;

/// A key in a message, on one line.
pub(crate) fn shown(key: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(&key[..key.len().min(SHOWN_BYTES_MAX)])
        .chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect();
    clip(&text)
}
