//! The rules of a feature, their bounds read once.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef};

use super::Refusal;
use crate::definition::{Rules, is_ordered};
use crate::error::{Error, Result};
use crate::format::columns::value_at;
use crate::text::{clip, format_value, parse_value};
use crate::value::{DataType, Value};

/// [`Rules`] of a feature of a known type, ready to be checked against its columns.
#[derive(Clone, Debug)]
pub struct CompiledRules {
    dtype: DataType,
    not_null: bool,
    min: Option<Value>,
    max: Option<Value>,
    one_of: Vec<Value>,
}

impl CompiledRules {
    /// Reads the bounds in the text forms of `dtype`.
    ///
    /// # Errors
    /// A bound is no value of `dtype`, or `dtype` has no order.
    pub fn new(dtype: &DataType, rules: &Rules) -> Result<CompiledRules> {
        let bound = |name: &str, text: &Option<String>| -> Result<Option<Value>> {
            let Some(text) = text else { return Ok(None) };
            if !is_ordered(dtype) {
                return Err(Error::invalid(format!("{dtype} has no order")).at(format!("rule {name}")));
            }
            parse_value(dtype, text).map(Some).map_err(|error| error.at(format!("rule {name}")))
        };
        let one_of = rules.one_of.iter().map(|text| parse_value(dtype, text).map_err(|error| error.at("rule one_of")));
        Ok(CompiledRules {
            dtype: dtype.clone(),
            not_null: rules.not_null,
            min: bound("min", &rules.min)?,
            max: bound("max", &rules.max)?,
            one_of: one_of.collect::<Result<_>>()?,
        })
    }

    /// Says which rows of a canonical column break a rule, at most once each. Rows for which `skip` holds are not looked at.
    pub fn check(&self, column: &ArrayRef, skip: impl Fn(usize) -> bool, refused: &mut Vec<Refusal>) {
        if self.not_null && column.null_count() > 0 {
            let nulls = (0..column.len()).filter(|&row| column.is_null(row) && !skip(row));
            refused.extend(nulls.map(|row| Refusal::new(row, "null, and the rule is not_null")));
        }
        if self.min.is_some() || self.max.is_some() {
            let skip_row = |row: usize| column.is_null(row) || skip(row);
            for row in self.out_of_bounds(column.as_ref()) {
                if !skip_row(row) {
                    refused.push(Refusal::new(row, self.out_of_bounds_reason(column.as_ref(), row)));
                }
            }
        }
        if !self.one_of.is_empty() {
            for row in (0..column.len()).filter(|&row| column.is_valid(row) && !skip(row)) {
                let is_member = match &self.dtype {
                    DataType::String => {
                        let text = column.as_string::<i32>().value(row);
                        self.one_of.iter().any(|member| matches!(member, Value::String(member) if member == text))
                    }
                    dtype => self.one_of.contains(&value_at(column, dtype, row)),
                };
                if !is_member {
                    let value = format_value(&self.dtype, &value_at(column, &self.dtype, row));
                    let members: Vec<String> =
                        self.one_of.iter().map(|member| format_value(&self.dtype, member)).collect();
                    refused.push(Refusal::new(
                        row,
                        format!("'{}' is none of one_of = {}", clip(&value), clip(&members.join(", "))),
                    ));
                }
            }
        }
    }

    fn out_of_bounds_reason(&self, column: &dyn Array, row: usize) -> String {
        let value = clip(&format_value(&self.dtype, &value_at(column, &self.dtype, row)));
        let text = |bound: &Option<Value>| bound.as_ref().map(|bound| format_value(&self.dtype, bound));
        match (text(&self.min), text(&self.max)) {
            (Some(min), Some(max)) => format!("{value} is not within min = {min} and max = {max}"),
            (Some(min), None) => format!("{value} is below min = {min}"),
            (None, max) => format!("{value} is above max = {}", max.unwrap_or_default()),
        }
    }

    /// Rows outside the bounds; what lies in null rows may be among them. NaN is outside any bound.
    fn out_of_bounds(&self, column: &dyn Array) -> Vec<usize> {
        fn primitive<T: ArrowPrimitiveType>(
            column: &dyn Array,
            min: Option<T::Native>,
            max: Option<T::Native>,
        ) -> Vec<usize>
        where
            T::Native: PartialOrd,
        {
            let is_inside = |v: &T::Native| min.is_none_or(|min| *v >= min) && max.is_none_or(|max| *v <= max);
            let values = column.as_primitive::<T>().values().iter().enumerate();
            values.filter(|(_, value)| !is_inside(value)).map(|(row, _)| row).collect()
        }
        macro_rules! bounds {
            ($arrow:ty, $variant:ident) => {{
                let bound = |bound: &Option<Value>| match bound {
                    Some(Value::$variant(v)) => Some(*v),
                    _ => None,
                };
                primitive::<$arrow>(column, bound(&self.min), bound(&self.max))
            }};
        }
        match &self.dtype {
            DataType::Int32 => bounds!(Int32Type, Int32),
            DataType::Int64 => bounds!(Int64Type, Int64),
            DataType::Float32 => bounds!(Float32Type, Float32),
            DataType::Float64 => bounds!(Float64Type, Float64),
            DataType::Timestamp => bounds!(TimestampMicrosecondType, Timestamp),
            DataType::Date => bounds!(Date32Type, Date),
            DataType::Decimal { .. } => bounds!(Decimal128Type, Decimal),
            // The others have no order, and so no bounds.
            _ => Vec::new(),
        }
    }
}
