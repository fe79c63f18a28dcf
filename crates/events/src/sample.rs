//! Sample values for tests, made from a schema alone: each field's value tells its path, so a swapped field is seen.

#![expect(clippy::wildcard_enum_match_arm, reason = "Avro has twice as many types as our schemas use")]

use std::collections::BTreeMap;

use apache_avro::Schema;
use apache_avro::types::Value;
use uuid::Uuid;

/// Whether optional fields are set and arrays filled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fill {
    Everything,
    Nothing,
}

/// A value of the schema. Codes are ones that no version knows, and ids derive from the field's path.
pub fn sample(schema: &Schema, fill: Fill) -> Value {
    let mut records = BTreeMap::new();
    collect(schema, &mut records);
    Sampler { records, fill }.value(schema, "")
}

struct Sampler<'s> {
    records: BTreeMap<String, &'s Schema>,
    fill: Fill,
}

impl Sampler<'_> {
    fn value(&self, schema: &Schema, path: &str) -> Value {
        let number = path.bytes().fold(17_i64, |sum, byte| (sum * 31 + i64::from(byte)) % 1_000_003);
        match schema {
            Schema::Boolean => Value::Boolean(true),
            Schema::Int => Value::Int(i32::try_from(number).unwrap()),
            Schema::Long => Value::Long(number),
            Schema::TimestampMillis => Value::TimestampMillis(1_700_000_000_000 + number),
            Schema::Bytes => Value::Bytes(path.as_bytes().to_vec()),
            Schema::String if path.ends_with("currency") => Value::String("KWD".to_owned()),
            Schema::String => Value::String(format!("text of {path}")),
            Schema::Uuid(_) => Value::Uuid(Uuid::new_v5(&Uuid::NAMESPACE_OID, path.as_bytes())),
            Schema::Ref { name } => self.value(self.records[&name.to_string()], path),
            Schema::Record(record) => Value::Record(
                record
                    .fields
                    .iter()
                    .map(|field| (field.name.clone(), self.value(&field.schema, &format!("{path}/{}", field.name))))
                    .collect(),
            ),
            Schema::Array(_) if self.fill == Fill::Nothing => Value::Array(Vec::new()),
            Schema::Array(array) => {
                Value::Array((0..2).map(|at| self.value(&array.items, &format!("{path}/{at}"))).collect())
            }
            Schema::Union(_) if self.fill == Fill::Nothing => Value::Union(0, Box::new(Value::Null)),
            Schema::Union(union) => Value::Union(1, Box::new(self.value(&union.variants()[1], path))),
            other => panic!("our schemas use no {other:?}: at {path}"),
        }
    }
}

fn collect<'s>(schema: &'s Schema, records: &mut BTreeMap<String, &'s Schema>) {
    match schema {
        Schema::Record(record) => {
            records.insert(record.name.to_string(), schema);
            record.fields.iter().for_each(|field| collect(&field.schema, records));
        }
        Schema::Array(array) => collect(&array.items, records),
        Schema::Union(union) => union.variants().iter().for_each(|variant| collect(variant, records)),
        _ => {}
    }
}
