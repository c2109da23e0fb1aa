//! What is bound to a statement, and the columns of its answer.

use std::error::Error;
use std::net::IpAddr;

use tokio_postgres::Row;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::address::Address;
use crate::features::{FEATURES, FeatureVector};
use crate::store::query::rows::{Columns, OddRow};
use crate::store::query::sql::Value;
use crate::store::score;
use crate::time::{NANOS_PER_SECOND, Timestamp};

/// Nanoseconds from 1970 to 2000, where PostgreSQL counts from.
const NANOS_TO_2000: i64 = 946_684_800 * NANOS_PER_SECOND;

/// The parameters of a statement with their types, as a statement without a name takes them.
pub(super) fn typed(values: &[Value]) -> Vec<(&(dyn ToSql + Sync), Type)> {
    values.iter().map(|value| (value as &(dyn ToSql + Sync), type_of(value))).collect()
}

const fn type_of(value: &Value) -> Type {
    match value {
        Value::Integer(_) => Type::INT8,
        Value::Real(_) => Type::FLOAT4,
        Value::Time(_) => Type::TIMESTAMPTZ,
        Value::Address(_) => Type::INET,
        Value::Text(_) => Type::TEXT,
        Value::Integers(_) => Type::INT8_ARRAY,
    }
}

impl ToSql for Value {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Integer(number) => number.to_sql(ty, out),
            Self::Real(number) => number.to_sql(ty, out),
            Self::Time(moment) => {
                let nanos = i128::from(moment.as_nanos()) - i128::from(NANOS_TO_2000);
                i64::try_from(nanos.div_euclid(1000))?.to_sql(&Type::INT8, out)
            }
            Self::Address(address) => address.to_sql(ty, out),
            Self::Text(text) => text.to_sql(ty, out),
            Self::Integers(numbers) => numbers.to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true // Types are said with the values.
    }

    to_sql_checked!();
}

/// A whole number of any width.
struct Whole(i64);

impl<'a> FromSql<'a> for Whole {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(match *ty {
            Type::INT2 => i16::from_sql(ty, raw)?.into(),
            Type::INT4 => i32::from_sql(ty, raw)?.into(),
            _ => i64::from_sql(ty, raw)?,
        }))
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::INT2 | Type::INT4 | Type::INT8)
    }
}

/// A moment; one that a [`Timestamp`] does not reach (or infinity) is the nearest that it does.
struct Moment(Timestamp);

impl<'a> FromSql<'a> for Moment {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let micros = i128::from(i64::from_sql(&Type::INT8, raw)?);
        let nanos = micros * 1000 + i128::from(NANOS_TO_2000);
        let nanos = nanos.clamp(i64::MIN.into(), i64::MAX.into());
        Ok(Self(Timestamp::from_nanos(i64::try_from(nanos)?)))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }
}

impl Columns for Row {
    fn integer(&self, at: usize) -> Result<Option<i64>, OddRow> {
        Ok(column::<Whole>(self, at)?.map(|whole| whole.0))
    }

    fn real(&self, at: usize) -> Result<Option<f32>, OddRow> {
        column(self, at)
    }

    fn double(&self, at: usize) -> Result<Option<f64>, OddRow> {
        column(self, at)
    }

    fn total(&self, at: usize) -> Result<Option<f32>, OddRow> {
        Ok(column(self, at)?.map(score::total))
    }

    fn time(&self, at: usize) -> Result<Option<Timestamp>, OddRow> {
        Ok(column::<Moment>(self, at)?.map(|moment| moment.0))
    }

    fn address(&self, at: usize) -> Result<Option<Address>, OddRow> {
        Ok(column::<IpAddr>(self, at)?.map(Address::from))
    }

    fn text(&self, at: usize) -> Result<Option<String>, OddRow> {
        column(self, at)
    }

    fn flag(&self, at: usize) -> Result<Option<bool>, OddRow> {
        column(self, at)
    }

    fn rules(&self, at: usize) -> Result<Option<Vec<u32>>, OddRow> {
        let Some(rules) = column::<Vec<i64>>(self, at)? else { return Ok(None) };
        let rules = rules.into_iter().map(u32::try_from).collect::<Result<_, _>>();
        rules.map(Some).map_err(|fault| OddRow::new(at, fault.to_string()))
    }

    fn features(&self, at: usize) -> Result<Option<FeatureVector>, OddRow> {
        let Some(values) = column::<Vec<f32>>(self, at)? else { return Ok(None) };
        let values: [f32; FEATURES] = values
            .try_into()
            .map_err(|other: Vec<f32>| OddRow::new(at, format!("has {} features", other.len())))?;
        Ok(Some(FeatureVector(values)))
    }
}

fn column<'a, T: FromSql<'a>>(row: &'a Row, at: usize) -> Result<Option<T>, OddRow> {
    row.try_get(at).map_err(|fault| OddRow::new(at, fault.to_string()))
}
