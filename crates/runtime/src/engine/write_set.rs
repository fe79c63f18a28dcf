//! Everything that a batch writes, as one statement: below saturation a batch costs what its round trips cost.
//!
//! Each write is a common table expression of its own. The outbox's rows come after all of them: an insert there waits for what the others counted,
//! so that a position is drawn when every lock of the transaction is held. A write that touches fewer rows than were decided is a lost race, and so is
//! a row that was new to who decided it and is there already: inserts need no `on conflict` (ADR 11).

use std::fmt::Write as _;

use sqlx::postgres::PgArguments;
use sqlx::{Arguments as _, AssertSqlSafe, Encode, PgConnection, Postgres, Row as _, Type};

use crate::failure::Failure;

const OUTBOX: &str = "outbox.entry";
/// The positions of its rows, in their order.
const SAID: &str = "(select array_agg(seq order by seq) from said)";

/// The writes of one batch, in any order: no two of them touch the same row.
#[derive(Default)]
pub struct WriteSet {
    /// `with w0 as (…), w1 as (…)`.
    text: String,
    arguments: PgArguments,
    writes: Vec<Expected>,
    broken: Option<sqlx::Error>,
}

struct Expected {
    table: &'static str,
    rows: Option<usize>,
}

/// One write, while its values are bound.
pub struct Statement<'w>(&'w mut WriteSet);

impl Statement<'_> {
    /// Binds the next value: `$1` first.
    pub fn bind<'t, T: Encode<'t, Postgres> + Type<Postgres>>(self, value: T) -> Self {
        if let Err(error) = self.0.arguments.add(value) {
            self.0.broken.get_or_insert(sqlx::Error::Encode(error));
        }
        self
    }
}

impl WriteSet {
    /// Adds an `insert`, `update` or `delete` without `returning`, whose parameters count from `$1`. When it touches other than `rows` rows of
    /// `table` (with its schema), or inserts one that is there already, another instance was first; without `rows` nobody asks.
    pub fn add(&mut self, table: &'static str, rows: Option<usize>, statement: &str) -> Statement<'_> {
        let number = self.writes.len();
        self.text.push_str(if number == 0 { "with w" } else { ", w" });
        let _ = write!(self.text, "{number} as ("); // a String takes whatever is written
        renumbered(&mut self.text, statement, self.arguments.len());
        self.text.push_str(" returning 1)");
        self.writes.push(Expected { table, rows });
        Statement(self)
    }

    #[cfg(test)]
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Adds the rows of the outbox: a select of them, to be inserted after everything else.
    pub(crate) fn append(&mut self, insert: &str, select: &str, order: &str) -> Statement<'_> {
        self.text.push_str(if self.writes.is_empty() { "with said as (" } else { ", said as (" });
        self.text.push_str(insert);
        renumbered(&mut self.text, select, self.arguments.len());
        for number in 0..self.writes.len() {
            let and = if number == 0 { "where" } else { "and" };
            let _ = write!(self.text, " {and} (select count(*) from w{number}) >= 0");
        }
        self.text.push_str(order);
        self.text.push_str(" returning seq)");
        Statement(self)
    }

    /// Adds an insert that goes by the outbox's rows, which are called `said`.
    pub(crate) fn append_kept(&mut self, name: &str, insert: &str) -> Statement<'_> {
        let _ = write!(self.text, ", {name} as (");
        renumbered(&mut self.text, insert, self.arguments.len());
        self.text.push(')');
        Statement(self)
    }

    /// Executes all of them, for who keeps tables beside those of a consumer.
    ///
    /// # Errors
    /// What the database says, or the lost race.
    pub async fn execute(self, db: &mut PgConnection) -> Result<(), Failure> {
        self.execute_with_outbox(db, 0, Scope::Transaction).await.map(drop)
    }

    /// Executes all of them as a transaction of their own, outside of any other.
    ///
    /// # Errors
    /// What the database says, or the lost race: nothing is written then.
    pub async fn execute_autocommit(self, db: &mut PgConnection) -> Result<(), Failure> {
        self.execute_with_outbox(db, 0, Scope::Autocommit { unless: None }).await.map(drop)
    }

    /// Executes all of them; returns the positions of the outbox's rows, of which so many are [`append`](Self::append)ed, in their order.
    ///
    /// # Errors
    /// What the database says, or the lost race: also where the outbox took more or fewer rows.
    pub(crate) async fn execute_with_outbox(
        mut self,
        db: &mut PgConnection,
        said: usize,
        within: Scope<'_>,
    ) -> Result<Vec<i64>, Failure> {
        if let Some(error) = self.broken.take() {
            return Err(error.into());
        }
        if let Scope::Autocommit { unless } = within {
            return self.execute_by_itself(db, said, unless).await;
        }
        if self.writes.is_empty() && said == 0 {
            return Ok(Vec::new());
        }
        let counts = (0..self.writes.len()).map(|number| format!("(select count(*) from w{number})"));
        let counts = counts.collect::<Vec<_>>().join(", ");
        let positions = if said > 0 { SAID } else { "null::int8[]" };
        let _ = write!(self.text, " select array[{counts}]::int8[], {positions}");
        let done = sqlx::query_with(AssertSqlSafe(self.text), self.arguments).fetch_one(db).await;
        let row = done.map_err(|error| failed(error, &self.writes))?;
        let counts: Vec<i64> = row.try_get(0)?;
        for (Expected { table, rows }, saved) in self.writes.iter().zip(counts) {
            if let Some(rows) = rows.filter(|rows| *rows as i64 != saved) {
                return Err(Failure::LostRace { table, saved: saved as u64, decided: rows as u64 });
            }
        }
        let positions = row.try_get::<Option<Vec<i64>>, _>(1)?.unwrap_or_default();
        if positions.len() != said {
            return Err(Failure::LostRace { table: OUTBOX, saved: positions.len() as u64, decided: said as u64 });
        }
        Ok(positions)
    }

    /// The same, as the whole of a transaction: nobody is there to take it back when it lost a race, so it fails by itself, with a division by zero.
    async fn execute_by_itself(
        mut self,
        db: &mut PgConnection,
        said: usize,
        unless: Option<&str>,
    ) -> Result<Vec<i64>, Failure> {
        let mut holds: Vec<String> = unless.iter().map(|exists| format!("not exists ({exists})")).collect();
        let counted =
            self.writes.iter().enumerate().filter_map(|(number, write)| Some((format!("w{number}"), write.rows?)));
        let counted: Vec<(String, usize)> = counted.chain((said > 0).then(|| ("said".to_owned(), said))).collect();
        for (name, rows) in counted {
            if let Err(error) = self.arguments.add(rows as i64) {
                return Err(sqlx::Error::Encode(error).into());
            }
            holds.push(format!("(select count(*) from {name}) = ${}", self.arguments.len()));
        }
        if holds.is_empty() && self.writes.is_empty() {
            return Ok(Vec::new());
        }
        let holds = if holds.is_empty() { "true".to_owned() } else { holds.join(" and ") };
        let said = if said > 0 { SAID } else { "null::int8[]" };
        let _ = write!(self.text, " select {said}, 1 / ({holds})::int");
        let row = match sqlx::query_with(AssertSqlSafe(self.text), self.arguments).fetch_one(db).await {
            Ok(row) => row,
            Err(error) if is_division_by_zero(&error) => {
                let table = self.writes.first().map_or(OUTBOX, |write| write.table);
                return Err(Failure::LostRace { table, saved: 0, decided: 1 });
            }
            Err(error) => return Err(failed(error, &self.writes)),
        };
        Ok(row.try_get::<Option<Vec<i64>>, _>(0)?.unwrap_or_default())
    }
}

/// What a statement's error is: a lost race where a row of a write that was counted is there already.
fn failed(error: sqlx::Error, writes: &[Expected]) -> Failure {
    let at = error.as_database_error().and_then(|error| error.table()); // without its schema, and without quotes
    let counted = writes.iter().find_map(|Expected { table, rows }| {
        let rows = rows.filter(|_| table.rsplit('.').next().map(|name| name.trim_matches('"')) == at)?;
        Some((*table, rows))
    });
    match counted {
        Some((table, rows)) => Failure::of_insert(error, table, rows),
        None => error.into(),
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Scope<'s> {
    /// A transaction, which is rolled back when they fail.
    Transaction,
    /// Nothing: they are a transaction of their own. They fail where this select finds a row.
    Autocommit { unless: Option<&'s str> },
}

/// What a statement that checks something by dividing by it fails with.
pub(crate) fn is_division_by_zero(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "22012")
}

/// Writes a statement whose parameters count on from `before`.
fn renumbered(text: &mut String, statement: &str, before: usize) {
    let mut parts = statement.split('$');
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        match part[..digits].parse::<usize>() {
            Ok(number) => {
                let _ = write!(text, "${}", number + before);
                text.push_str(&part[digits..]);
            }
            Err(_) => {
                text.push('$');
                text.push_str(part);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_count_on_from_those_before() {
        let mut text = String::new();
        renumbered(&mut text, "select $1::text, $12, '$', $x", 7);
        assert_eq!(text, "select $8::text, $19, '$', $x");
    }

    #[test]
    fn what_is_said_waits_for_every_other_write() {
        let mut writes = WriteSet::default();
        writes.add("a", Some(1), "insert into a select $1").bind(1_i64);
        writes.add("b", None, "delete from b where x = $1").bind(2_i64);
        writes.append("insert into o ", "select $1", " order by 1").bind(3_i64);
        assert_eq!(
            writes.text,
            "with w0 as (insert into a select $1 returning 1), w1 as (delete from b where x = $2 returning 1), said as (insert into o select $3 \
             where (select count(*) from w0) >= 0 and (select count(*) from w1) >= 0 order by 1 returning seq)"
        );
    }
}
