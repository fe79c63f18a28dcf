//! What is typed behind `quadrille dead-letters …`.

use std::path::PathBuf;

use clap::Args;
use events::{OrderId, Timestamp};
use operator::{Filter, LetterKind, LetterStatus, MAX_LOOPS};
use serde_json::Value;

/// Which dead letters.
#[derive(Args, Clone, Default)]
pub struct FilterArguments {
    /// `event`: an event that a consumer could not decide; `order`: an order that is stuck.
    #[arg(long, value_parser = kind)]
    kind: Option<LetterKind>,
    /// Who could not decide it, or should have answered.
    #[arg(long)]
    consumer: Option<String>,
    /// The kind of error, such as `unreadable` or `conflict`.
    #[arg(long)]
    class: Option<String>,
    /// Those with the same cause, as `groups` shows it.
    #[arg(long)]
    fingerprint: Option<String>,
    /// Those of this order.
    #[arg(long)]
    order: Option<OrderId>,
    /// Those of this event type: its full name, or its last part, such as `StockReserved`.
    #[arg(long)]
    event_type: Option<String>,
    /// Died at this time or later, RFC 3339.
    #[arg(long)]
    from: Option<Timestamp>,
    /// Died before this time, RFC 3339.
    #[arg(long)]
    until: Option<Timestamp>,
    /// `open`, `retrying`, `recovered`, `skipped` or `died_again`.
    #[arg(long, value_parser = status)]
    status: Option<LetterStatus>,
}

impl FilterArguments {
    pub fn filter(self) -> Filter {
        let Self { kind, consumer, class, fingerprint, order: order_id, event_type, from, until, status } = self;
        Filter { kind, consumer, class, fingerprint, order_id, event_type, from, until, status }
    }
}

/// Single dead letters, or all of a filter.
#[derive(Args)]
pub struct Which {
    /// Their ids, or how they begin.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub ids: Vec<String>,
    /// All that the filter lets through and that died up to now, the oldest first: open ones unless --status, and
    /// events unless --kind says otherwise (or their orders are to be compensated).
    #[arg(long)]
    pub all: bool,
    /// Do it with all of them without being asked.
    #[arg(long, requires = "all")]
    pub yes: bool,
    #[command(flatten)]
    pub filter: FilterArguments,
    #[command(flatten)]
    pub how: How,
}

/// Who wants it, why, and how.
#[derive(Args)]
pub struct How {
    /// Why; required unless it is a retry. It is kept.
    #[arg(long, default_value = "")]
    pub why: String,
    /// Who wants it: you, unless set. It is kept.
    #[arg(long, env = "USER")]
    pub by: Option<String>,
    /// Dead letters a second at most; as fast as it goes unless set.
    #[arg(long, value_parser = rate)]
    pub rate: Option<f64>,
    /// How often a record may have gone round to be given back once more.
    #[arg(long, default_value_t = MAX_LOOPS)]
    pub max_loops: i32,
    /// Only say what would be done, one by one.
    #[arg(long)]
    pub dry_run: bool,
}

/// An edit.
#[derive(Args)]
pub struct EditArguments {
    /// Its id, or how it begins.
    pub id: String,
    /// A file with the event's whole data as JSON; `-` is standard input.
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// One field of the data, as JSON pointer and value: `--set /lines/0/quantity=2`. A value that is no JSON is text.
    #[arg(long, value_parser = field)]
    pub set: Vec<(String, Value)>,
    #[command(flatten)]
    pub how: How,
}

fn kind(text: &str) -> Result<LetterKind, String> {
    [LetterKind::Event, LetterKind::Order]
        .into_iter()
        .find(|kind| kind.as_str() == text)
        .ok_or_else(|| "expected event or order".to_owned())
}

fn status(text: &str) -> Result<LetterStatus, String> {
    LetterStatus::of(text).ok_or_else(|| {
        let names = LetterStatus::ALL.map(LetterStatus::as_str).join(", ");
        format!("expected one of {names}")
    })
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if f64::is_finite(rate) && rate > 0.0 => Ok(rate),
        _ => Err("expected a number greater than 0".to_owned()),
    }
}

fn field(text: &str) -> Result<(String, Value), String> {
    let (pointer, value) = text.split_once('=').ok_or("expected POINTER=VALUE, such as /lines/0/quantity=2")?;
    Ok((pointer.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| Value::from(value))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_is_set_to_json_or_else_to_text() {
        assert_eq!(field("/a/0=2"), Ok(("/a/0".to_owned(), json!(2))));
        assert_eq!(field("/a=\"2\""), Ok(("/a".to_owned(), json!("2"))));
        assert_eq!(field("/a=b=c"), Ok(("/a".to_owned(), json!("b=c"))));
        assert!(field("/a").is_err());
    }

    #[test]
    fn a_rate_is_a_number_greater_than_nothing() {
        assert_eq!(rate("0.5"), Ok(0.5));
        for nonsense in ["0", "-1", "inf", "NaN", "fast"] {
            assert!(rate(nonsense).is_err(), "{nonsense}");
        }
    }
}
