//! What a key names: an entity of a view, or a key of the keyspace.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use super::template::{KeyTemplate, Segment};
use super::value::{escape_from, push_text, take_text, unescape};
use crate::definition::FeatureView;
use crate::error::{Error, Result};
use crate::key::check_key_len;
use crate::text::clip;
use crate::value::DataType;

/// The views in force, ready to be asked what a key names.
///
/// ```
/// use asof::definition::{Definitions, FeatureView};
/// use asof::redis_key::Router;
/// use asof::value::DataType;
///
/// let definitions = Definitions::new("flights")
///     .entity("airport", [("origin", DataType::String)])
///     .view(FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64));
/// let router = Router::new(&definitions.views);
/// let mut key = Vec::new();
/// assert_eq!(router.route_into(b"weather:JFK", &mut key)?, Some(0));
/// assert_eq!(key, b"JFK");
/// assert_eq!(router.route_into(b"sessions:JFK", &mut key)?, None);
/// assert_eq!(
///     router.route(b"weather").unwrap_err().to_string(),
///     "weather wants origin as string: weather:ORIGIN, got 'weather'"
/// );
/// # Ok::<(), asof::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Router {
    views: Vec<View>,
    /// What keys begin with, up to the first `:` or `@`, by its hash.
    leads: HashTable<Lead>,
    /// Templates that begin with a placeholder.
    loose: Vec<Template>,
    /// A bit for each length of a lead, the last for all from 63 on.
    lead_lens: u64,
    lead_len_max: usize,
}

/// An entity of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed {
    /// The view's place among those that the router was made of.
    pub view: usize,
    /// The entity key, encoded.
    pub key: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct View {
    name: String,
    version: u32,
    /// What its own keys begin with: `weather`, or `weather@1` where there is a newer version.
    own_name: String,
    join_keys: Vec<(String, DataType)>,
    template: Option<Template>,
}

/// A template with its view, and the place of each join key in it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Template {
    form: KeyTemplate,
    view: usize,
    places: Vec<usize>,
}

/// What may come of a key that begins so.
#[derive(Clone, Debug)]
struct Lead {
    text: String,
    templates: Vec<Template>,
    /// The versions of the view of this name, with their places, the newest last.
    versions: Vec<(u32, usize)>,
}

/// Why a key names no entity of the view that it begins with.
type Fault = Option<String>;

impl Router {
    /// A router of all view versions in force. Their templates obey [`KeyTemplate::places`], and none of them
    /// [clash](super::clashes()).
    pub fn new<'a>(views: impl IntoIterator<Item = &'a FeatureView>) -> Router {
        let mut router = Router::default();
        for (number, definition) in views.into_iter().enumerate() {
            let mut templates = definition.redis_keys.iter().filter_map(|form| {
                // Definitions with any that do not fit are not applied.
                let places = form.places(&definition.join_keys).ok()?;
                Some(Template { form: form.clone(), view: number, places })
            });
            let first = templates.next();
            for template in first.iter().cloned().chain(templates) {
                match template.form.segments().first() {
                    Some(Segment::Literal(text)) => {
                        router.lead_mut(lead_of(text.as_bytes()).len(), text).templates.push(template);
                    }
                    _ => router.loose.push(template),
                }
            }
            let versions = &mut router.lead_mut(definition.name.len(), &definition.name).versions;
            versions.push((definition.version, number));
            versions.sort_unstable();
            router.views.push(View {
                name: definition.name.clone(),
                version: definition.version,
                own_name: definition.name.clone(),
                join_keys: definition.join_keys.clone(),
                template: first,
            });
        }
        for lead in &router.leads {
            for &(_, older) in lead.versions.iter().rev().skip(1) {
                let view = &mut router.views[older];
                view.own_name = format!("{}@{}", view.name, view.version);
            }
        }
        router
    }

    /// Whether there are no views: every key is the keyspace's.
    pub fn is_empty(&self) -> bool {
        self.views.is_empty()
    }

    /// What a key names; `None`: a key of the keyspace.
    ///
    /// # Errors
    /// It begins as keys of a view do and names no entity of it; what the view wants.
    pub fn route(&self, key: &[u8]) -> Result<Option<Routed>> {
        let mut encoded = Vec::new();
        Ok(self.route_into(key, &mut encoded)?.map(|view| Routed { view, key: encoded }))
    }

    /// [`Router::route`] into a buffer of the caller's: the view, and its encoded entity key appended to `out`. Where there is
    /// none, `out` is left as it was.
    ///
    /// # Errors
    /// As [`Router::route`].
    #[inline]
    pub fn route_into(&self, key: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>> {
        // A lead that is longer than any is none of these.
        let lead = lead_of(&key[..key.len().min(self.lead_len_max + 1)]);
        let found = self.find(lead);
        if found.is_none() && self.loose.is_empty() {
            return Ok(None);
        }
        let start = out.len();
        let routed = self.route_lead(key, found, out);
        if !matches!(routed, Ok(Some(_))) {
            out.truncate(start);
        }
        routed
    }

    /// Appends what the entity of an encoded key is called: by the first template of its view, else by its own form. `false`,
    /// and nothing is appended, when the bytes are no key of the view.
    pub fn name_of(&self, view: usize, key: &[u8], out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let view = &self.views[view];
        let named = view.push_by_template(key, out).or_else(|| {
            out.truncate(start);
            view.push_by_own_form(key, out)
        });
        if named.is_none() {
            out.truncate(start);
        }
        named.is_some()
    }

    fn route_lead(&self, key: &[u8], lead: Option<&Lead>, out: &mut Vec<u8>) -> Result<Option<usize>> {
        let of_lead = lead.map_or(&[][..], |lead| &lead.templates);
        if let Some(template) = of_lead.iter().chain(&self.loose).find(|template| template.form.matches(key)) {
            self.push_by_template(template, key, out)?;
            return Ok(Some(template.view));
        }
        let Some((lead, &(_, newest))) = lead.and_then(|lead| Some((lead, lead.versions.last()?))) else {
            return Ok(None);
        };
        let after = &key[lead.text.len()..];
        let (view, values) = match after.split_first() {
            None => (newest, None),
            Some((b'@', pinned)) => {
                let (digits, values) = match pinned.iter().position(|byte| *byte == b':') {
                    Some(colon) => (&pinned[..colon], Some(&pinned[colon + 1..])),
                    None => (pinned, None),
                };
                (lead.version(digits).ok_or_else(|| lead.no_such_version(digits))?, values)
            }
            Some((_, values)) => (newest, Some(values)),
        };
        let view_of = &self.views[view];
        view_of.push_values(values, out).map_err(|fault| view_of.refusal(view_of.own_text(), key, fault))?;
        Ok(Some(view))
    }

    fn push_by_template(&self, template: &Template, key: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let view = &self.views[template.view];
        let start = out.len();
        for (ordinal, (&place, (_, dtype))) in template.places.iter().zip(&view.join_keys).enumerate() {
            let part = key.split(|byte| *byte == b':').nth(place);
            let value = part.and_then(|part| template.form.segments()[place].value_in(part));
            let is_last = ordinal + 1 == view.join_keys.len();
            value
                .and_then(|value| push_text(dtype, value, is_last, out))
                .ok_or_else(|| view.refusal(template.form.to_string(), key, None))?;
        }
        check_key_len(out.len() - start)
            .map_err(|error| view.refusal(template.form.to_string(), key, Some(error.to_string())))
    }

    fn find(&self, text: &[u8]) -> Option<&Lead> {
        if self.lead_lens & len_bit(text.len()) == 0 {
            return None;
        }
        self.leads.find(xxh3_64(text), |lead| lead.text.as_bytes() == text)
    }

    /// What is known of keys that begin with the first `len` bytes of `text`.
    fn lead_mut(&mut self, len: usize, text: &str) -> &mut Lead {
        let text = &text[..len];
        self.lead_lens |= len_bit(len);
        self.lead_len_max = self.lead_len_max.max(len);
        let hash = |text: &str| xxh3_64(text.as_bytes());
        let entry = self.leads.entry(hash(text), |lead| lead.text == text, |lead| hash(&lead.text));
        entry.or_insert_with(|| Lead { text: text.to_owned(), templates: Vec::new(), versions: Vec::new() }).into_mut()
    }
}

impl PartialEq for Router {
    /// Whether two routers say the same of every key.
    fn eq(&self, other: &Router) -> bool {
        let same_templates = |lead: &Lead| {
            other
                .find(lead.text.as_bytes())
                .is_some_and(|known| known.templates == lead.templates && known.versions == lead.versions)
        };
        self.views == other.views
            && self.loose == other.loose
            && self.leads.len() == other.leads.len()
            && self.leads.iter().all(same_templates)
    }
}

impl View {
    /// Appends the values of its own form, which stand behind the first colon.
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

    fn push_by_own_form(&self, mut key: &[u8], out: &mut Vec<u8>) -> Option<()> {
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
    fn push_by_template(&self, key: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let template = self.template.as_ref()?;
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
            take_text(dtype, ordinal + 1 == self.join_keys.len(), &mut key, out)?;
            if ordinal == wanted {
                return Some(());
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

impl Lead {
    /// The view of a version, written as the plan writes it: without a sign, without zeros in front.
    fn version(&self, digits: &[u8]) -> Option<usize> {
        let text = std::str::from_utf8(digits).ok()?;
        let version: u32 = text.parse().ok().filter(|_| digits[0].is_ascii_digit() && digits[0] != b'0')?;
        self.versions.iter().find(|(known, _)| *known == version).map(|(_, view)| *view)
    }

    #[cold]
    fn no_such_version(&self, digits: &[u8]) -> Error {
        let versions: Vec<String> = self.versions.iter().map(|(version, _)| version.to_string()).collect();
        Error::invalid(format!("{} has no version '{}'", self.text, shown(digits)))
            .remedy(format!("it has version {}", versions.join(", ")))
    }
}

fn len_bit(len: usize) -> u64 {
    1 << len.min(63)
}

/// What keys are told apart by at first: up to the first `:`, or the `@` before a version.
fn lead_of(key: &[u8]) -> &[u8] {
    let end = key.iter().position(|byte| matches!(byte, b':' | b'@'));
    &key[..end.unwrap_or(key.len())]
}

/// A key in a message, on one line.
fn shown(key: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(key)
        .chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect();
    clip(&text)
}
