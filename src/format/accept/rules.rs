//! The rules of a feature, their bounds read once.

use std::cmp::Ordering;

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

const NULL_REASON: &str = "null, and the rule is not_null";

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
            refused.extend(nulls.map(|row| Refusal::new(row, NULL_REASON)));
        }
        if self.min.is_some() || self.max.is_some() {
            let skip_row = |row: usize| column.is_null(row) || skip(row);
            for row in self.out_of_bounds(column.as_ref()) {
                if !skip_row(row) {
                    let value = value_at(column.as_ref(), &self.dtype, row);
                    refused.push(Refusal::new(row, self.out_of_bounds_reason(&value)));
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
                    refused.push(Refusal::new(row, self.no_member_reason(&value_at(column, &self.dtype, row))));
                }
            }
        }
    }

    /// Why a single value breaks a rule, if it does: what [`CompiledRules::check`] says of a column of it.
    pub fn refuses(&self, value: &Value) -> Option<String> {
        if value.is_null() {
            return self.not_null.then(|| NULL_REASON.to_owned());
        }
        // NaN is not outside a bound by being less or greater, but by being neither.
        let is_at_least = |one: &Value, other: &Value| order(one, other).is_some_and(Ordering::is_ge);
        let is_inside = self.min.as_ref().is_none_or(|min| is_at_least(value, min))
            && self.max.as_ref().is_none_or(|max| is_at_least(max, value));
        if !is_inside {
            return Some(self.out_of_bounds_reason(value));
        }
        let is_member = self.one_of.is_empty() || self.one_of.contains(value);
        (!is_member).then(|| self.no_member_reason(value))
    }

    fn no_member_reason(&self, value: &Value) -> String {
        let members: Vec<String> = self.one_of.iter().map(|member| format_value(&self.dtype, member)).collect();
        let value = format_value(&self.dtype, value);
        format!("'{}' is none of one_of = {}", clip(&value), clip(&members.join(", ")))
    }

    fn out_of_bounds_reason(&self, value: &Value) -> String {
        let value = clip(&format_value(&self.dtype, value));
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

/// Which of two values of an ordered type is the greater; `None` for NaN, and for values of two types.
fn order(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::Int32(one), Value::Int32(other)) | (Value::Date(one), Value::Date(other)) => one.partial_cmp(other),
        (Value::Int64(one), Value::Int64(other)) | (Value::Timestamp(one), Value::Timestamp(other)) => {
            one.partial_cmp(other)
        }
        (Value::Float32(one), Value::Float32(other)) => one.partial_cmp(other),
        (Value::Float64(one), Value::Float64(other)) => one.partial_cmp(other),
        (Value::Decimal(one), Value::Decimal(other)) => one.partial_cmp(other),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::columns::array_from_values;

    #[test]
    fn a_single_value_is_refused_for_what_a_column_of_it_is() {
        let rules = |min: Option<&str>, max: Option<&str>, one_of: &[&str]| Rules {
            not_null: true,
            min: min.map(str::to_owned),
            max: max.map(str::to_owned),
            one_of: one_of.iter().map(|&text| text.to_owned()).collect(),
        };
        let float = |v: f64| Value::Float64(v);
        let cases = [
            (
                DataType::Float64,
                rules(Some("0"), Some("1.5"), &[]),
                [0.0, 1.5, 1.6, -0.1, f64::NAN].map(float).to_vec(),
            ),
            (DataType::Float64, rules(None, Some("1"), &[]), [2.0, 1.0, f64::NAN].map(float).to_vec()),
            (DataType::Int64, rules(Some("3"), None, &["3", "5"]), [2, 3, 4, 5].map(Value::Int64).to_vec()),
            (DataType::String, rules(None, None, &["a"]), ["a", "b"].map(|v| Value::String(v.to_owned())).to_vec()),
            (DataType::Date, rules(Some("1970-01-02"), None, &[]), [0, 1].map(Value::Date).to_vec()),
        ];
        let mut seen = [0, 0];
        for (dtype, rules, values) in cases {
            let rules = CompiledRules::new(&dtype, &rules).unwrap();
            for value in values.iter().chain([&Value::Null]) {
                let column = array_from_values(&dtype, std::slice::from_ref(value)).unwrap();
                let mut refused = Vec::new();
                rules.check(&column, |_| false, &mut refused);
                let expected = refused.first().map(|refusal| refusal.reason.clone());
                assert_eq!(rules.refuses(value), expected, "{dtype} {value:?}");
                seen[usize::from(expected.is_some())] += 1;
            }
        }
        assert_eq!(seen, [7, 14]);
    }
}
