//! What is bound to a statement, and the columns of its answer.

use rusqlite::types::{FromSql, Value as Stored};
use rusqlite::{Row, Statement};

use super::codec;
use crate::address::Address;
use crate::features::FeatureVector;
use crate::store::query::rows::{Columns, OddRow};
use crate::store::query::sql::Value;
use crate::time::Timestamp;

/// Binds the parameters of a statement.
pub(super) fn bind(statement: &mut Statement<'_>, values: &[Value]) -> rusqlite::Result<()> {
    for (value, at) in values.iter().zip(1..) {
        statement.raw_bind_parameter(at, stored(value))?;
    }
    Ok(())
}

fn stored(value: &Value) -> Stored {
    match value {
        Value::Integer(number) => Stored::Integer(*number),
        Value::Real(number) => Stored::Real((*number).into()),
        Value::Time(moment) => Stored::Integer(codec::micros(*moment)),
        Value::Address(address) => {
            Stored::Blob(codec::address_bytes(Address::from(*address)).to_vec())
        }
        Value::Text(Some(text)) => Stored::Text(text.clone()),
        // No statement of SQLite's dialect has arrays.
        Value::Text(None) | Value::Integers(_) => Stored::Null,
    }
}

impl Columns for Row<'_> {
    fn integer(&self, at: usize) -> Result<Option<i64>, OddRow> {
        column(self, at)
    }

    #[expect(clippy::cast_possible_truncation, reason = "what was stored is a single float")]
    fn real(&self, at: usize) -> Result<Option<f32>, OddRow> {
        Ok(column::<f64>(self, at)?.map(|number| number as f32))
    }

    fn double(&self, at: usize) -> Result<Option<f64>, OddRow> {
        column(self, at)
    }

    fn total(&self, at: usize) -> Result<Option<f32>, OddRow> {
        Ok(column(self, at)?.map(codec::total))
    }

    fn time(&self, at: usize) -> Result<Option<Timestamp>, OddRow> {
        Ok(column(self, at)?.map(codec::moment))
    }

    fn address(&self, at: usize) -> Result<Option<Address>, OddRow> {
        Ok(column(self, at)?.map(codec::address))
    }

    fn text(&self, at: usize) -> Result<Option<String>, OddRow> {
        column(self, at)
    }

    fn flag(&self, at: usize) -> Result<Option<bool>, OddRow> {
        column(self, at)
    }

    fn rules(&self, at: usize) -> Result<Option<Vec<u32>>, OddRow> {
        let Some(text) = column::<String>(self, at)? else { return Ok(None) };
        codec::rules(&text).map(Some).map_err(|fault| OddRow::new(at, fault.to_string()))
    }

    fn features(&self, at: usize) -> Result<Option<FeatureVector>, OddRow> {
        Ok(column(self, at)?.as_ref().map(codec::features))
    }
}

fn column<T: FromSql>(row: &Row<'_>, at: usize) -> Result<Option<T>, OddRow> {
    row.get(at).map_err(|fault| OddRow::new(at, fault.to_string()))
}
