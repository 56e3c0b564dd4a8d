//! The types a feature can have, and a single value of any of them.

use std::fmt;
use std::str::FromStr;

use arrow_schema::{DataType as ArrowType, Field, TimeUnit};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, nearest};
use crate::text::clip;

/// Widest `decimal(p,s)`, in digits: what 128 bits hold.
pub const DECIMAL_PRECISION_MAX: u8 = 38;
/// Longest `vector<n>`, in elements.
pub const VECTOR_LEN_MAX: u32 = 65_536;

/// The type of a feature or a join key, written in definitions as `Display` prints it.
///
/// | definition | Arrow | in memory |
/// | --- | --- | --- |
/// | `timestamp` | `Timestamp(us, "UTC")` | microseconds since 1970, UTC |
/// | `date` | `Date32` | days since 1970 |
/// | `decimal(p,s)` | `Decimal128(p, s)` | unscaled i128 |
/// | `uuid` | `FixedSizeBinary(16)` | 16 bytes, as printed |
/// | `json` | `Utf8` | JSON text |
/// | `list<T>` | `List(T)`, nullable elements | |
/// | `vector<n>` | `FixedSizeList(Float32, n)`, no nulls | |
///
/// The others are the Arrow type of the same name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[expect(missing_docs, reason = "the table above says what each is")]
pub enum DataType {
    Bool,
    Int32,
    Int64,
    Float32,
    Float64,
    String,
    Bytes,
    Timestamp,
    Date,
    Decimal {
        precision: u8,
        scale: u8,
    },
    Uuid,
    Json,
    /// Elements of a scalar type: never a list or a vector.
    List(Box<DataType>),
    /// `n` float32 elements.
    Vector(u32),
}

impl DataType {
    /// The bytes a value takes in the fixed part of a row; variable-length values keep a
    /// 16-byte reference there (storage_format.md, "Row").
    pub const fn fixed_width_bytes(&self) -> usize {
        match self {
            DataType::Bool => 1,
            DataType::Int32 | DataType::Float32 | DataType::Date => 4,
            DataType::Int64 | DataType::Float64 | DataType::Timestamp => 8,
            DataType::Decimal { .. } | DataType::Uuid => 16,
            DataType::String | DataType::Bytes | DataType::Json | DataType::List(_) | DataType::Vector(_) => 16,
        }
    }

    /// The bytes of its elements in an array, where a null has as many as others: those of a vector.
    pub(crate) const fn vector_bytes(&self) -> usize {
        match self {
            DataType::Vector(len) => *len as usize * size_of::<f32>(),
            _ => 0,
        }
    }

    /// Whether values differ in length, and so live behind a reference.
    pub const fn is_variable(&self) -> bool {
        matches!(self, DataType::String | DataType::Bytes | DataType::Json | DataType::List(_) | DataType::Vector(_))
    }

    /// Whether entity keys may be made of it.
    pub const fn is_join_key(&self) -> bool {
        matches!(
            self,
            DataType::Bool
                | DataType::Int32
                | DataType::Int64
                | DataType::String
                | DataType::Bytes
                | DataType::Uuid
                | DataType::Date
                | DataType::Timestamp
        )
    }

    /// The Arrow type of a column of it.
    pub fn to_arrow(&self) -> ArrowType {
        match self {
            DataType::Bool => ArrowType::Boolean,
            DataType::Int32 => ArrowType::Int32,
            DataType::Int64 => ArrowType::Int64,
            DataType::Float32 => ArrowType::Float32,
            DataType::Float64 => ArrowType::Float64,
            DataType::String | DataType::Json => ArrowType::Utf8,
            DataType::Bytes => ArrowType::Binary,
            DataType::Timestamp => timestamp_arrow_type(),
            DataType::Date => ArrowType::Date32,
            DataType::Decimal { precision, scale } => ArrowType::Decimal128(*precision, scale.cast_signed()),
            DataType::Uuid => ArrowType::FixedSizeBinary(16),
            DataType::List(element) => ArrowType::List(Field::new("item", element.to_arrow(), true).into()),
            DataType::Vector(len) => {
                ArrowType::FixedSizeList(Field::new("item", ArrowType::Float32, false).into(), len.cast_signed())
            }
        }
    }
}

impl DataType {
    /// The nullable Arrow field of a column of it, with [`TYPE_METADATA_KEY`] where its Arrow type alone would be taken
    /// for another.
    pub fn to_field(&self, name: &str) -> Field {
        let field = Field::new(name, self.to_arrow(), true);
        let is_json = |dtype: &DataType| *dtype == DataType::Json;
        if is_json(self) || matches!(self, DataType::List(element) if is_json(element)) {
            return field.with_metadata([(TYPE_METADATA_KEY, self.to_string())]);
        }
        field
    }
}

/// Field metadata naming a column's asof type, where Arrow alone does not tell: `json` is a string to Arrow.
pub const TYPE_METADATA_KEY: &str = "asof.type";

/// The Arrow type of every timestamp asof writes: microseconds, UTC.
pub fn timestamp_arrow_type() -> ArrowType {
    ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataType::Bool => f.write_str("bool"),
            DataType::Int32 => f.write_str("int32"),
            DataType::Int64 => f.write_str("int64"),
            DataType::Float32 => f.write_str("float32"),
            DataType::Float64 => f.write_str("float64"),
            DataType::String => f.write_str("string"),
            DataType::Bytes => f.write_str("bytes"),
            DataType::Timestamp => f.write_str("timestamp"),
            DataType::Date => f.write_str("date"),
            DataType::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            DataType::Uuid => f.write_str("uuid"),
            DataType::Json => f.write_str("json"),
            DataType::List(element) => write!(f, "list<{element}>"),
            DataType::Vector(len) => write!(f, "vector<{len}>"),
        }
    }
}

impl FromStr for DataType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        const NAMES: [&str; 14] = [
            "bool",
            "int32",
            "int64",
            "float32",
            "float64",
            "string",
            "bytes",
            "timestamp",
            "date",
            "decimal(p,s)",
            "uuid",
            "json",
            "list<T>",
            "vector<n>",
        ];
        let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let inside = |open: &str, close: char| compact.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
        let simple = match compact.as_str() {
            "bool" => Some(DataType::Bool),
            "int32" => Some(DataType::Int32),
            "int64" => Some(DataType::Int64),
            "float32" => Some(DataType::Float32),
            "float64" => Some(DataType::Float64),
            "string" => Some(DataType::String),
            "bytes" => Some(DataType::Bytes),
            "timestamp" => Some(DataType::Timestamp),
            "date" => Some(DataType::Date),
            "uuid" => Some(DataType::Uuid),
            "json" => Some(DataType::Json),
            _ => None,
        };
        if let Some(simple) = simple {
            return Ok(simple);
        }
        if let Some(args) = inside("decimal(", ')') {
            let parsed = args.split_once(',').and_then(|(p, s)| Some((p.parse::<u8>().ok()?, s.parse::<u8>().ok()?)));
            return match parsed {
                Some((precision, scale)) if (1..=DECIMAL_PRECISION_MAX).contains(&precision) && scale <= precision => {
                    Ok(DataType::Decimal { precision, scale })
                }
                _ => Err(Error::invalid(format!("'{text}' is no decimal type"))
                    .remedy("write decimal(p,s) with p from 1 to 38 and s from 0 to p, such as decimal(12,2)")),
            };
        }
        if let Some(element) = inside("list<", '>') {
            // Before it is read: nesting would be as deep as the text is long.
            if element.starts_with("list<") || element.starts_with("vector<") {
                return Err(Error::invalid(format!("'{}': list elements are of a scalar type", clip(text))));
            }
            return Ok(DataType::List(Box::new(element.parse()?)));
        }
        if let Some(len) = inside("vector<", '>') {
            return match len.parse() {
                Ok(len) if (1..=VECTOR_LEN_MAX).contains(&len) => Ok(DataType::Vector(len)),
                _ => Err(Error::invalid(format!("'{text}': a vector has 1 to {VECTOR_LEN_MAX} elements"))),
            };
        }
        let error = Error::invalid(format!("'{text}' is no type; the types are {}", NAMES.join(", ")));
        Err(match nearest(&compact.to_lowercase(), NAMES) {
            Some(name) => error.remedy(format!("did you mean {name}?")),
            None => error,
        })
    }
}

impl TryFrom<String> for DataType {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<DataType> for String {
    fn from(data_type: DataType) -> String {
        data_type.to_string()
    }
}

/// One value of any [`DataType`]. Variants hold what the type's row in that table says.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "DataType documents what each holds")]
pub enum Value {
    Null,
    Bool(bool),
    Int32(i32),
    Int64(i64),
    Float32(f32),
    Float64(f64),
    String(String),
    Bytes(Vec<u8>),
    /// Microseconds since 1970, UTC.
    Timestamp(i64),
    /// Days since 1970.
    Date(i32),
    /// The unscaled number; the scale is the type's.
    Decimal(i128),
    Uuid([u8; 16]),
    Json(String),
    List(Vec<Value>),
    Vector(Vec<f32>),
}

impl Value {
    /// Bytes of it in an array, about: its own, or as many as a reference has, and those that it refers to.
    pub(crate) fn bytes(&self) -> usize {
        const REFERENCE_BYTES: usize = 16;
        REFERENCE_BYTES
            + match self {
                Value::String(text) | Value::Json(text) => text.len(),
                Value::Bytes(bytes) => bytes.len(),
                Value::Vector(floats) => size_of_val(floats.as_slice()),
                Value::List(elements) => elements.iter().map(Value::bytes).sum(),
                _ => 0,
            }
    }

    /// Whether this is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The name of the variant's type, for messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Int32(_) => "int32",
            Value::Int64(_) => "int64",
            Value::Float32(_) => "float32",
            Value::Float64(_) => "float64",
            Value::String(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::Timestamp(_) => "timestamp",
            Value::Date(_) => "date",
            Value::Decimal(_) => "decimal",
            Value::Uuid(_) => "uuid",
            Value::Json(_) => "json",
            Value::List(_) => "list",
            Value::Vector(_) => "vector",
        }
    }
}

macro_rules! value_from {
    ($($from:ty => $variant:ident),* $(,)?) => {
        $(impl From<$from> for Value {
            fn from(value: $from) -> Value {
                Value::$variant(value.into())
            }
        })*
    };
}
value_from!(bool => Bool, i32 => Int32, i64 => Int64, f32 => Float32, f64 => Float64, &str => String, String => String, Vec<u8> => Bytes);

impl From<crate::time::Timestamp> for Value {
    fn from(instant: crate::time::Timestamp) -> Value {
        Value::Timestamp(instant.0)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_print_as_they_are_written() {
        for text in ["bool", "int64", "decimal(12,2)", "list<string>", "list<decimal(4,4)>", "vector<768>", "uuid"] {
            assert_eq!(text.parse::<DataType>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_misspelt_type_suggests_the_nearest_one() {
        let error = "flot64".parse::<DataType>().unwrap_err().to_string();
        assert!(error.contains("did you mean float64?"), "{error}");
        for bad in ["list<list<int32>>", "vector<0>", "decimal(39,2)", "decimal(4,5)", "decimal(4)"] {
            assert!(bad.parse::<DataType>().is_err(), "{bad}");
        }
    }
}
