//! What a key names: an entity of a view, or a key of the keyspace.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use super::template::{KeyTemplate, Segment};
use super::view::{Template, View, shown};
use crate::definition::FeatureView;
use crate::error::{Error, Result};

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

/// What may come of a key that begins so.
#[derive(Clone, Debug)]
struct Lead {
    text: String,
    templates: Vec<Template>,
    /// The versions of the view of this name, with their places, the newest last.
    versions: Vec<(u32, usize)>,
}

/// What a key belongs to.
enum Claim<'a> {
    Template(&'a Template),
    /// A view by its name, with its newest version.
    View(&'a Lead, usize),
}

impl Router {
    /// A router of all view versions in force. Their templates obey [`KeyTemplate::places`], and none of them
    /// [clash](super::clashes()).
    pub fn new<'a>(views: impl IntoIterator<Item = &'a FeatureView>) -> Router {
        let mut router = Router::default();
        let views: Vec<&FeatureView> = views.into_iter().collect();
        for (number, &definition) in views.iter().enumerate() {
            let has_newer = |form: &KeyTemplate| {
                let mut newer =
                    views.iter().filter(|view| view.name == definition.name && view.version > definition.version);
                newer.any(|view| view.redis_keys.iter().any(|other| other.is_same_form(form)))
            };
            let own = definition.redis_keys.iter().filter(|form| !has_newer(form));
            let mut templates = own.filter_map(|form| {
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
        let found = self.find(self.lead(key));
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

    /// The view that a key belongs to, whether it names an entity of it or is refused; `None`: a key of the keyspace.
    pub fn owner(&self, key: &[u8]) -> Option<usize> {
        match self.claim(key, self.find(self.lead(key)))? {
            Claim::Template(template) => Some(template.view),
            Claim::View(lead, newest) => Some(lead.address(key, newest).0.unwrap_or(newest)),
        }
    }

    /// Appends what the entity of an encoded key is called: by the first template of its view, else by its own form. `false`,
    /// and nothing is appended, when the bytes are no key of the view.
    pub fn name_of(&self, view: usize, key: &[u8], out: &mut Vec<u8>) -> bool {
        self.views[view].push_name(key, out)
    }

    fn route_lead(&self, key: &[u8], lead: Option<&Lead>, out: &mut Vec<u8>) -> Result<Option<usize>> {
        match self.claim(key, lead) {
            None => Ok(None),
            Some(Claim::Template(template)) => {
                self.views[template.view].push_key_of_template(template, key, out)?;
                Ok(Some(template.view))
            }
            Some(Claim::View(lead, newest)) => {
                let (pinned, values) = lead.address(key, newest);
                let number = pinned.map_err(|digits| lead.no_such_version(digits))?;
                let view = &self.views[number];
                view.push_key(key, values, out)?;
                Ok(Some(number))
            }
        }
    }

    /// What has a key that begins with `lead`: a template, then a view.
    #[inline]
    fn claim<'a>(&'a self, key: &[u8], lead: Option<&'a Lead>) -> Option<Claim<'a>> {
        let of_lead = lead.map_or(&[][..], |lead| &lead.templates);
        let template = of_lead.iter().chain(&self.loose).find(|template| template.form.matches(key));
        template.map(Claim::Template).or_else(|| {
            let lead = lead?;
            lead.versions.last().map(|(_, newest)| Claim::View(lead, *newest))
        })
    }

    /// What a key begins with; longer than any that is known where it is none.
    #[inline]
    fn lead<'a>(&self, key: &'a [u8]) -> &'a [u8] {
        lead_of(&key[..key.len().min(self.lead_len_max + 1)])
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

impl Lead {
    /// The version that a key is of, or what stands for one that there is not; and what stands behind the colon.
    fn address<'k>(&self, key: &'k [u8], newest: usize) -> (std::result::Result<usize, &'k [u8]>, Option<&'k [u8]>) {
        match key[self.text.len()..].split_first() {
            None => (Ok(newest), None),
            Some((b'@', pinned)) => {
                let (digits, values) = match pinned.iter().position(|byte| *byte == b':') {
                    Some(colon) => (&pinned[..colon], Some(&pinned[colon + 1..])),
                    None => (pinned, None),
                };
                (self.version(digits).ok_or(digits), values)
            }
            Some((_, values)) => (Ok(newest), Some(values)),
        }
    }

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
