//! How files are read: [`SourceOptions`].

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::text::TimestampFormat;
use crate::value::DataType;

/// Rows a batch holds unless told otherwise.
pub const BATCH_ROWS_DEFAULT: usize = 64 << 10;

/// What to do with what is too long to be read whole.
pub(super) const WHOLE_WAY_OUT: &str = "hand it over in parts, or import it";

/// Told the rows delivered and the bytes read so far, after each batch.
pub type Progress = Arc<dyn Fn(u64, u64) + Send + Sync>;
/// Told the bytes read so far and those there are, while text files are read for their types.
pub type InferProgress = Arc<dyn Fn(u64, u64) + Send + Sync>;
/// Given each row that could not be read; an error from it ends the reading.
pub type BadRowHandler = Arc<dyn Fn(BadRow) -> Result<()> + Send + Sync>;

/// A row of a text file that could not be read.
#[derive(Clone, Debug, PartialEq)]
pub struct BadRow {
    /// The file it stands in.
    pub file: PathBuf,
    /// Its number there, from 1; a header is no row.
    pub row: u64,
    /// What is wrong with it: line, column, what was wanted and what was found.
    pub reason: String,
    /// What the file holds there, as a JSON object on one line: texts out of CSV; out of JSON Lines the line as it is written, or as the
    /// text `line` where that is no object.
    pub values: String,
}

/// How a source is read. The default reads every column and guesses types where the format has none.
#[derive(Clone)]
pub struct SourceOptions {
    /// Types of columns, by their names in the file. Only text formats ask for them; the others say
    /// themselves what their columns are. In JSON Lines, where a key that is always null may never be
    /// written, they are columns anyway, unless types are inferred.
    pub column_types: Option<Vec<(String, DataType)>>,
    /// CSV and JSON Lines: columns that are delivered as strings of what the file holds, marked with
    /// [`TEXT_FORM_KEY`](crate::format::accept::TEXT_FORM_KEY) `text` or `json`, for whoever reads them as values later. The files of a folder are of one format then.
    pub as_written: Vec<String>,
    /// Whether text columns without a type here get the one in which all of their values keep what they say: text files are
    /// read twice then. Without, they are strings.
    pub infer_types: bool,
    /// CSV: what stands between fields; `None` is a comma, in `.tsv` a tab. One ASCII character.
    pub delimiter: Option<char>,
    /// CSV and JSON Lines: the strftime format of timestamps; `None` is RFC 3339.
    pub timestamp_format: Option<String>,
    /// Rows a batch holds at most, where the format leaves the choice.
    pub batch_rows: usize,
    /// The columns to read; the others are skipped. Names that the file does not have are no error here.
    pub projection: Option<Vec<String>>,
    /// Told of every batch.
    pub progress: Option<Progress>,
    /// Told, while types are inferred, of the bytes read so far and of those there are.
    pub inferring: Option<InferProgress>,
    /// Arrow IPC: refuse a file that would take more bytes of memory at once, its dictionaries and one of its batches. Of every format, where
    /// [`SourceOptions::is_read_whole`]: refuse what would take more as one batch.
    pub decoded_bytes_max: Option<u64>,
    /// All of it will be in memory at once: for [`Source::read_all`](super::Source::read_all).
    pub is_read_whole: bool,
    /// CSV and JSON Lines: takes the rows that cannot be read, which are then left out. Without, the first is an error.
    pub on_bad_row: Option<BadRowHandler>,
}

impl Default for SourceOptions {
    fn default() -> Self {
        SourceOptions {
            column_types: None,
            as_written: Vec::new(),
            infer_types: true,
            delimiter: None,
            timestamp_format: None,
            batch_rows: BATCH_ROWS_DEFAULT,
            projection: None,
            progress: None,
            inferring: None,
            decoded_bytes_max: None,
            is_read_whole: false,
            on_bad_row: None,
        }
    }
}

impl SourceOptions {
    /// Whether a column is asked for.
    pub(super) fn wants(&self, column: &str) -> bool {
        self.projection.as_ref().is_none_or(|names| names.iter().any(|name| name == column))
    }

    pub(super) fn is_as_written(&self, column: &str) -> bool {
        self.as_written.iter().any(|name| name == column)
    }

    /// The type given for a text column.
    pub(super) fn type_of(&self, column: &str) -> Option<DataType> {
        if self.is_as_written(column) {
            return Some(DataType::String);
        }
        let given = self.column_types.iter().flatten().find(|(name, _)| name == column);
        given.map(|(_, dtype)| dtype.clone())
    }

    /// [`SourceOptions::timestamp_format`], ready to read with.
    pub(super) fn timestamp_format(&self) -> Result<Option<TimestampFormat>> {
        self.timestamp_format.as_deref().map(TimestampFormat::new).transpose()
    }

    pub(super) fn delimiter_byte(&self) -> Result<Option<u8>> {
        match self.delimiter {
            None => Ok(None),
            Some(c) if c.is_ascii() && !matches!(c, '"' | '\n' | '\r') => Ok(u8::try_from(c).ok()),
            Some(c) => Err(Error::invalid(format!("{c:?} is no delimiter"))
                .remedy("a delimiter is one ASCII character other than a quote or a line end")),
        }
    }
}

impl fmt::Debug for SourceOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceOptions")
            .field("column_types", &self.column_types)
            .field("as_written", &self.as_written)
            .field("infer_types", &self.infer_types)
            .field("delimiter", &self.delimiter)
            .field("timestamp_format", &self.timestamp_format)
            .field("batch_rows", &self.batch_rows)
            .field("projection", &self.projection)
            .field("decoded_bytes_max", &self.decoded_bytes_max)
            .field("is_read_whole", &self.is_read_whole)
            .finish_non_exhaustive()
    }
}
