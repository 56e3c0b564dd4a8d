//! Media types: what a body is, and what an answer is to be.

use axum::http::{HeaderMap, StatusCode, header};

use super::problem::Problem;

/// A form that rows travel in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    Json,
    JsonLines,
    Csv,
    Parquet,
    /// Arrow IPC, as a stream.
    Arrow,
}

pub(super) const ALL: [Media; 5] = [Media::Json, Media::JsonLines, Media::Csv, Media::Parquet, Media::Arrow];

/// By name, the first of each the one that answers bear.
const NAMES: [(&str, Media); 9] = [
    ("application/json", Media::Json),
    ("application/x-ndjson", Media::JsonLines),
    ("application/jsonl", Media::JsonLines),
    ("application/x-jsonlines", Media::JsonLines),
    ("text/csv", Media::Csv),
    ("application/vnd.apache.parquet", Media::Parquet),
    ("application/parquet", Media::Parquet),
    ("application/vnd.apache.arrow.stream", Media::Arrow),
    ("application/vnd.apache.arrow.file", Media::Arrow),
];

/// Of files that rows lie in meanwhile.
pub(super) const EXTENSIONS: [&str; 4] = ["jsonl", "csv", "parquet", "arrows"];

impl Media {
    /// What a request says its body is; JSON where it says nothing, or what `curl -d` says of any.
    ///
    /// # Errors
    /// 415: none of these.
    pub(super) fn of_body(headers: &HeaderMap) -> Result<Media, Problem> {
        let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(Media::Json) };
        let name = essence(value.to_str().unwrap_or_default());
        match NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some((_, media)) => Ok(*media),
            None if name.eq_ignore_ascii_case("application/x-www-form-urlencoded") || name.is_empty() => {
                Ok(Media::Json)
            }
            None => {
                let why = format!("a body of {name} is not read here; send {}", listed(&ALL));
                Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why))
            }
        }
    }

    /// Which of `forms` the answer is to be; `otherwise` where the request says nothing, or anything will do.
    ///
    /// # Errors
    /// 406: none of these.
    pub(super) fn of_answer(headers: &HeaderMap, otherwise: Media, forms: &[Media]) -> Result<Media, Problem> {
        let mut asked = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
        if asked.peek().is_none() {
            return Ok(otherwise);
        }
        // By weight, then in their order.
        let mut ranges: Vec<(f32, &str)> = asked.flat_map(|list| list.split(',')).map(weighed).collect();
        ranges.sort_by(|a, b| b.0.total_cmp(&a.0));
        let named = |name: &str| {
            let mut known = NAMES.iter().filter(|(_, media)| forms.contains(media));
            known.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, media)| *media)
        };
        let is_refused =
            |media: &Media| ranges.iter().any(|(weight, name)| *weight <= 0.0 && named(name) == Some(*media));
        for (weight, name) in &ranges {
            if *weight <= 0.0 {
                break;
            }
            let found = match *name {
                "*/*" | "application/*" => [otherwise].iter().chain(forms).copied().find(|media| !is_refused(media)),
                name => named(name),
            };
            if let Some(media) = found {
                return Ok(media);
            }
        }
        Err(Problem::new(StatusCode::NOT_ACCEPTABLE, format!("the answer can be {}", listed(forms))))
    }

    /// Its name in answers.
    pub(super) fn name(self) -> &'static str {
        NAMES.iter().find(|(_, media)| *media == self).map_or("application/octet-stream", |(name, _)| name)
    }

    /// The extension of a file of it. JSON is kept line by line.
    pub(super) fn extension(self) -> &'static str {
        match self {
            Media::Json | Media::JsonLines => "jsonl",
            Media::Csv => "csv",
            Media::Parquet => "parquet",
            Media::Arrow => "arrows",
        }
    }
}

/// A media type without its parameters.
fn essence(text: &str) -> &str {
    text.split(';').next().unwrap_or_default().trim()
}

fn weighed(range: &str) -> (f32, &str) {
    let weight = range.split(';').skip(1).find_map(|parameter| parameter.trim().strip_prefix("q=")?.parse().ok());
    (weight.unwrap_or(1.0), essence(range))
}

fn listed(forms: &[Media]) -> String {
    forms.iter().map(|media| media.name()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn a_body_is_what_it_is_said_to_be() {
        for (said, is) in [
            ("application/json; charset=utf-8", Some(Media::Json)),
            ("Application/X-NDJSON", Some(Media::JsonLines)),
            ("application/x-www-form-urlencoded", Some(Media::Json)),
            ("application/vnd.apache.arrow.stream", Some(Media::Arrow)),
            ("text/html", None),
        ] {
            assert_eq!(Media::of_body(&headers(header::CONTENT_TYPE, said)).ok(), is, "{said}");
        }
        assert_eq!(Media::of_body(&HeaderMap::new()).ok(), Some(Media::Json));
    }

    #[test]
    fn a_form_that_a_path_has_not_is_passed_over() {
        let forms = [Media::Json, Media::Arrow];
        for (asked, is) in [
            ("text/csv, application/json;q=0.5", Some(Media::Json)),
            ("text/csv", None),
            ("application/json;q=0, */*", Some(Media::Arrow)),
        ] {
            assert_eq!(Media::of_answer(&headers(header::ACCEPT, asked), Media::Json, &forms).ok(), is, "{asked}");
        }
    }

    #[test]
    fn an_answer_is_the_first_that_can_be_of_what_is_asked_for() {
        for (asked, is) in [
            ("*/*", Some(Media::Csv)),
            ("text/html, application/json;q=0.5, text/csv;q=0.9", Some(Media::Csv)),
            ("application/json;q=0", None),
            ("image/png", None),
            ("image/png, */*;q=0.1", Some(Media::Csv)),
            ("text/csv;q=0, */*", Some(Media::Json)),
            ("text/csv;q=0, application/json;q=0, */*;q=0.1", Some(Media::JsonLines)),
            ("application/vnd.apache.parquet", Some(Media::Parquet)),
        ] {
            assert_eq!(Media::of_answer(&headers(header::ACCEPT, asked), Media::Csv, &ALL).ok(), is, "{asked}");
        }
    }
}
