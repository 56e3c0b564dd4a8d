//! What is wrong with definitions: every mistake of a file at once, each with its place, the line
//! it stands in, what was expected and the nearest name that would have been right.

use std::fmt;
use std::ops::Range;

use crate::error::{Error, nearest};

/// A place in definitions, as a dotted path: `views.weather.features.temp`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct At(pub(super) Vec<String>);

impl At {
    pub(super) fn root() -> At {
        At(Vec::new())
    }

    #[must_use]
    pub(super) fn key(&self, name: impl Into<String>) -> At {
        let mut path = self.0.clone();
        path.push(name.into());
        At(path)
    }

    pub(super) fn entity(name: &str) -> At {
        At::root().key("entities").key(name)
    }

    /// A view; version 1 goes by the bare name, however the file writes it.
    pub(super) fn view(name: &str, version: u32) -> At {
        let segment = if version == 1 { name.to_owned() } else { format!("{name}@{version}") };
        At::root().key("views").key(segment)
    }

    pub(super) fn service(name: &str) -> At {
        At::root().key("services").key(name)
    }

    /// The path itself, then what encloses it, outwards.
    pub(super) fn enclosing(&self) -> impl Iterator<Item = At> {
        (0..=self.0.len()).rev().map(|len| At(self.0[..len].to_vec()))
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, segment) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            let is_bare = segment.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
            if is_bare && !segment.is_empty() { f.write_str(segment)? } else { write!(f, "{segment:?}")? }
        }
        Ok(())
    }
}

/// One mistake in definitions.
#[derive(Clone, Debug)]
pub struct Mistake {
    pub(super) at: At,
    what: String,
    remedy: Option<String>,
    /// Underline the key rather than its value.
    pub(super) is_about_key: bool,
    /// The name a dangling reference gives; no mistake of its own where that name's table is unreadable.
    pub(super) refers_to: Option<String>,
    pub(super) span: Option<Range<usize>>,
    spot: Option<Spot>,
}

/// Longer lines are shown in part, with so much before the place of the mistake.
const LINE_CHARS_MAX: usize = 160;
const CHARS_BEFORE_MAX: usize = 60;

/// Where in the text a mistake lies, with what is needed to show it.
#[derive(Clone, Debug)]
struct Spot {
    line: usize,
    column: usize,
    line_text: String,
    caret_count: usize,
}

impl Mistake {
    pub(super) fn new(at: At, what: impl Into<String>) -> Self {
        Mistake { at, what: what.into(), remedy: None, is_about_key: false, refers_to: None, span: None, spot: None }
    }

    /// What another module's error says; its remedy goes under the caret, or only the nearest name
    /// where it has one.
    pub(super) fn from_error(at: At, error: &Error) -> Self {
        let text = error.to_string();
        if let (Some((what, _)), Some(suggestion)) = (text.split_once("; "), text.find("did you mean ")) {
            return Mistake::new(at, what).remedy(&text[suggestion..]);
        }
        match text.split_once("; ") {
            Some((what, remedy)) => Mistake::new(at, what).remedy(remedy),
            None => Mistake::new(at, text),
        }
    }

    #[must_use]
    pub(super) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Suggests the nearest of `names`, or lists them when none is near.
    #[must_use]
    pub(super) fn suggest(self, wanted: &str, what_they_are: &str, names: &[&str]) -> Self {
        match nearest(wanted, names.iter().copied()) {
            Some(name) => self.remedy(format!("did you mean {name}?")),
            None if names.is_empty() => self.remedy(format!("there are no {what_they_are}")),
            None => {
                const SHOWN_MAX: usize = 12;
                let shown = names.iter().take(SHOWN_MAX).copied().collect::<Vec<_>>().join(", ");
                let more = if names.len() > SHOWN_MAX { ", ..." } else { "" };
                self.remedy(format!("the {what_they_are} are {shown}{more}"))
            }
        }
    }

    #[must_use]
    pub(super) fn on_key(mut self) -> Self {
        self.is_about_key = true;
        self
    }

    #[must_use]
    pub(super) fn refers_to(mut self, name: &str) -> Self {
        self.refers_to = Some(name.to_owned());
        self
    }

    #[must_use]
    pub(super) fn span(mut self, span: Range<usize>) -> Self {
        self.span = Some(span);
        self
    }

    /// The place as a dotted path: `views.weather.features.temp`.
    pub fn path(&self) -> String {
        self.at.to_string()
    }

    /// The line in the file, from 1; `None` for definitions built in code.
    pub fn line(&self) -> Option<usize> {
        self.spot.as_ref().map(|spot| spot.line)
    }

    /// The column in that line, in characters, from 1.
    pub fn column(&self) -> Option<usize> {
        self.spot.as_ref().map(|spot| spot.column)
    }

    /// What is wrong.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What was expected, or what to do.
    pub fn remedy_text(&self) -> Option<&str> {
        self.remedy.as_deref()
    }

    fn locate(&mut self, text: &str) {
        let Some(span) = &self.span else { return };
        let start = floor_boundary(text, span.start);
        let end = floor_boundary(text, span.end).max(start);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let line_text = text[line_start..line_end].trim_end_matches('\r');
        let under = &text[start..end.min(line_end)];
        self.spot = Some(Spot {
            line: 1 + text[..line_start].matches('\n').count(),
            column: 1 + text[line_start..start].chars().count(),
            line_text: line_text.to_owned(),
            caret_count: under.trim_end().chars().count().max(1),
        });
    }
}

impl Spot {
    /// The line, or of a long one what is around the place; the characters before the place in it, and the carets below it.
    fn excerpt(&self) -> (String, usize, usize) {
        let (count, at) = (self.line_text.chars().count(), self.column - 1);
        if count <= LINE_CHARS_MAX {
            return (self.line_text.clone(), at, self.caret_count);
        }
        let first = at.saturating_sub(CHARS_BEFORE_MAX).min(count - LINE_CHARS_MAX);
        let shown: String = self.line_text.chars().skip(first).take(LINE_CHARS_MAX).collect();
        let [before, after] =
            [first > 0, first + LINE_CHARS_MAX < count].map(|is_cut| if is_cut { "\u{2026}" } else { "" });
        let at = at - first;
        let caret_count = self.caret_count.min(LINE_CHARS_MAX.saturating_sub(at)).max(1);
        (format!("{before}{shown}{after}"), at + before.chars().count(), caret_count)
    }
}

/// The nearest character boundary at or before `index`.
fn floor_boundary(text: &str, index: usize) -> usize {
    (0..=index.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0)
}

/// Every mistake found in one set of definitions, in file order; the [`source`] of the error that
/// refuses them.
///
/// [`source`]: std::error::Error::source
#[derive(Clone, Debug)]
pub struct Mistakes {
    file: Option<String>,
    list: Vec<Mistake>,
}

impl Mistakes {
    /// Mistakes of structures built in code.
    pub(super) fn in_code(list: Vec<Mistake>) -> Self {
        Mistakes { file: None, list }
    }

    /// Mistakes of a file with this text.
    pub(super) fn in_file(file: &str, text: &str, mut list: Vec<Mistake>) -> Self {
        // Stable: mistakes without a place stay last, in the order they were found.
        list.sort_by_key(|mistake| mistake.span.as_ref().map_or(usize::MAX, |span| span.start));
        list.iter_mut().for_each(|mistake| mistake.locate(text));
        Mistakes { file: Some(file.to_owned()), list }
    }

    /// The mistakes, in file order.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.list.iter()
    }

    pub(super) fn into_error(self) -> Error {
        Error::invalid(self.to_string()).caused_by(self)
    }
}

impl std::error::Error for Mistakes {}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, mistake) in self.list.iter().enumerate() {
            if i > 0 {
                f.write_str(if self.file.is_some() { "\n\n" } else { "\n" })?;
            }
            write_mistake(f, self.file.as_deref(), mistake)?;
        }
        match (&self.file, self.list.len()) {
            (Some(file), count) if count > 1 => write!(f, "\n\n{count} mistakes in {file}"),
            _ => Ok(()),
        }
    }
}

fn write_mistake(f: &mut fmt::Formatter<'_>, file: Option<&str>, mistake: &Mistake) -> fmt::Result {
    let Some(spot) = &mistake.spot else {
        if let Some(file) = file {
            write!(f, "{file}: ")?;
        }
        if !mistake.at.0.is_empty() {
            write!(f, "{}: ", mistake.at)?;
        }
        f.write_str(&mistake.what)?;
        return mistake.remedy.as_ref().map_or(Ok(()), |remedy| write!(f, "; {remedy}"));
    };
    let file = file.unwrap_or_default();
    let (line_text, before, caret_count) = spot.excerpt();
    let gutter = " ".repeat(spot.line.to_string().len());
    // A tab stays a tab, so that the caret stands under the text at any tab width.
    let indent: String = line_text.chars().take(before).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    writeln!(f, "{file}:{}:{}: {}", spot.line, spot.column, mistake.what)?;
    writeln!(f, "{gutter} |")?;
    writeln!(f, "{} | {line_text}", spot.line)?;
    write!(f, "{gutter} | {indent}{}", "^".repeat(caret_count))?;
    mistake.remedy.as_ref().map_or(Ok(()), |remedy| write!(f, " {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_text_after_tabs_and_wide_characters() {
        let text = "a = 1\n\t\u{e9} = \"x\"\n";
        let start = text.find("\"x\"").unwrap();
        let mistake = Mistake::new(At::root().key("a"), "no").remedy("yes").span(start..start + 3);
        let mistakes = Mistakes::in_file("f", text, vec![mistake]);
        assert_eq!(mistakes.to_string(), "f:2:6: no\n  |\n2 | \t\u{e9} = \"x\"\n  | \t    ^^^ yes");
    }

    #[test]
    fn of_a_long_line_the_part_around_the_mistake_is_shown() {
        let line: String = (0..400).map(|n| format!("\u{e9}{n:03}")).collect();
        let text = format!("a\n{line}\nb");
        for n in [0, 200, 399] {
            let word = format!("\u{e9}{n:03}");
            let start = text.find(&word).unwrap();
            let mistakes =
                Mistakes::in_file("f", &text, vec![Mistake::new(At::root(), "no").span(start..start + word.len())]);
            let shown = mistakes.to_string();
            let [head, _, line, carets] = shown.lines().collect::<Vec<_>>()[..] else { panic!("{shown}") };
            assert_eq!(head, format!("f:2:{}: no", 1 + 4 * n));
            let at = carets.chars().position(|c| c == '^').unwrap();
            assert_eq!(carets.matches('^').count(), 4);
            assert_eq!(line.chars().skip(at).take(4).collect::<String>(), word, "{shown}");
            let cut = (n > 0) as usize + (n < 399) as usize;
            assert_eq!(
                (line.chars().count(), line.matches('\u{2026}').count()),
                ("2 | ".len() + 160 + cut, cut),
                "{shown}"
            );
        }
        let whole = Mistakes::in_file("f", &text, vec![Mistake::new(At::root(), "no").span(2..text.len() - 2)]);
        assert!(whole.to_string().len() < 1_000, "{whole}");
    }

    #[test]
    fn a_span_beyond_the_text_or_inside_a_character_is_still_shown() {
        for span in [0..99, 50..60, 1..2] {
            let mistakes = Mistakes::in_file("f", "\u{e9}", vec![Mistake::new(At::root(), "no").span(span)]);
            assert!(mistakes.to_string().starts_with("f:1:"), "{mistakes}");
        }
    }
}
