//! The operator's hand: dead letters retried, edited, skipped with a compensation, one by one and all of a filter, and what is on record of it.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod bulk;
mod jobs;
mod one;
mod typed;

use operator::{Filter, LetterView, Note, Operator, OperatorError};
use operator::{LetterKind, LetterStatus};
use quadrille_tests::Pipeline;
use runtime::Settings;
use serde_json::Value;
use uuid::Uuid;

/// Eve's key, of those of [`quadrille_tests::KEYS`].
const KEY: &str = "0123456789abcdef-eve";

/// A hand as the command line has it: on the databases, and on the doors as they are at `orders` and `payments`.
async fn hand_at(pipeline: &Pipeline, orders: &str, payments: &str) -> Operator {
    let own = format!("[saga_tracker]\norders_url = '{orders}'\npayments_url = '{payments}'\n");
    let toml = pipeline.settings_toml().replace("[saga_tracker]\n", &own);
    Operator::open(&Settings::from_toml(&toml).unwrap(), pipeline.clock.clone()).await.unwrap()
}

async fn hand(pipeline: &Pipeline) -> Operator {
    let payments = pipeline.hosts().iter().any(|host| host.address("payments").is_some());
    let payments = if payments { pipeline.door("payments", "") } else { "http://127.0.0.1:9".to_owned() };
    hand_at(pipeline, &pipeline.door("orders", ""), &payments).await
}

fn eve(why: &str) -> Note {
    Note { who: "eve".into(), why: why.into() }
}

fn of_status(status: LetterStatus) -> Filter {
    Filter { kind: Some(LetterKind::Event), status: Some(status), ..Filter::default() }
}

async fn letters(hand: &Operator, filter: &Filter) -> Vec<LetterView> {
    hand.list(filter, 500).await.unwrap()
}

/// The one dead letter of a filter.
async fn the_letter(hand: &Operator, filter: &Filter) -> Uuid {
    let found = letters(hand, filter).await;
    assert_eq!(found.len(), 1, "{found:#?}");
    found[0].letter_id.parse().unwrap()
}

async fn status_of(hand: &Operator, letter_id: Uuid) -> String {
    hand.show(letter_id).await.unwrap().unwrap().status
}

fn refusal(error: OperatorError) -> String {
    let OperatorError::Refused(why) = error else { panic!("expected a refusal, got {error:?}") };
    why
}

/// Waits until the tracker says that a dead letter stands there.
async fn until_status(pipeline: &Pipeline, hand: &Operator, letter_id: Uuid, status: LetterStatus) {
    let stands = || async { status_of(hand, letter_id).await == status.as_str() };
    pipeline.until(stands, status.as_str()).await;
}

/// POSTs to a door of the tracker with this key.
async fn ask(pipeline: &Pipeline, key: Option<&str>, path: &str, body: Value) -> (u16, Value) {
    let mut request = pipeline.http.post(pipeline.door("saga-tracker", path)).json(&body);
    if let Some(key) = key {
        request = request.header("X-Api-Key", key);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}
