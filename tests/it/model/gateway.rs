//! A hostile gateway: it loses calls and answers, declines, asks the customer, fails, and tells late and twice; but it keeps a true book.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use events::{Action, OrderId, Timestamp};
use payments::gateway::{ActionResult, Hold, Money, Operation, Outcome, ProviderNotice, RefundStatus, Request};
use payments::{Ask, Call, Input, Payments};
use runtime::{Cause, Work};

use super::Random;

/// One payment in the book.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    pub held: i64,
    pub captured: i64,
    pub refunded: i64,
    /// The customer may still act.
    pub waits: bool,
    /// It can't be held any more.
    pub closed: bool,
    pub captures: u32,
}

/// The book: payments by order, answers by idempotency key.
#[derive(Debug, Default)]
pub struct Book {
    pub entries: BTreeMap<OrderId, Entry>,
    answers: BTreeMap<String, Outcome>,
    /// How pending refunds end, by idempotency key: a look-up finds it, whatever became of the message.
    settled: BTreeMap<String, Outcome>,
    /// Notices that come days later, and are sent until they are taken.
    pub late: Vec<(String, Input)>,
    messages: u64,
}

pub type Shared = Rc<RefCell<Book>>;

/// What comes of one call: no answer, an answer, or more than one thing.
pub fn answer(book: &Shared, call: Call, random: &mut Random, now: Timestamp) -> Vec<Work<Input>> {
    let mut book = book.borrow_mut();
    let request = &call.request;
    if call.ask == Ask::LookUp
        && let Some(settled) = book.settled.get(&request.key)
        && random.chance(60)
    {
        return vec![call.answered(settled.clone())];
    }
    if let Some(known) = book.answers.get(&request.key) {
        return if random.chance(10) { Vec::new() } else { vec![call.answered(known.clone())] };
    }
    if call.ask == Ask::LookUp {
        return vec![call.answered(Outcome::NotFound)];
    }
    if random.chance(8) {
        return Vec::new(); // the request is lost
    }
    let mut told = Vec::new();
    let outcome = match call.operation {
        Operation::Authorize => authorize(&mut book, request, random, now, &mut told),
        Operation::Capture => capture(&mut book, request, random),
        Operation::Void => void(&mut book, request, random),
        Operation::Refund => refund(&mut book, request, random, &mut told),
    };
    book.answers.insert(request.key.clone(), outcome.clone());
    if random.chance(90) {
        told.push(call.answered(outcome.clone())); // else the answer is lost
    }
    if random.chance(10) {
        told.push(call.answered(outcome)); // or comes twice
    }
    told
}

fn hold(request: &Request, now: Timestamp) -> Hold {
    let validity = std::time::Duration::from_secs(7 * 24 * 3_600);
    Hold {
        payment_id: format!("pay-{}", request.order_id),
        money: request.money,
        capture_before: Some(now.plus(validity)),
        card: None,
    }
}

fn authorize(
    book: &mut Book,
    request: &Request,
    random: &mut Random,
    now: Timestamp,
    told: &mut Vec<Work<Input>>,
) -> Outcome {
    let entry = book.entries.entry(request.order_id).or_default();
    match random.below(10) {
        0 => {
            entry.closed = true;
            Outcome::Declined { code: "card_declined".into(), detail: "no".into() }
        }
        1..=3 => {
            entry.waits = true;
            // The customer acts at once, perhaps before our own answer is recorded; or later; or never.
            if random.chance(50) {
                told.push(customer_acts(book, request.order_id, request.money, random, now));
            }
            Outcome::ActionRequired {
                payment_id: format!("pay-{}", request.order_id),
                action: Action::from("three_d_secure"),
                url: None,
            }
        }
        _ => {
            entry.held = request.money.amount;
            Outcome::Authorized(hold(request, now))
        }
    }
}

/// The customer passes or fails, if the payment is still open.
pub fn customer_acts(
    book: &mut Book,
    order_id: OrderId,
    money: Money,
    random: &mut Random,
    now: Timestamp,
) -> Work<Input> {
    let entry = book.entries.entry(order_id).or_default();
    let validity = std::time::Duration::from_secs(7 * 24 * 3_600);
    let result = if entry.waits && !entry.closed && random.chance(70) {
        entry.waits = false;
        entry.held = money.amount;
        let hold =
            Hold { payment_id: format!("pay-{order_id}"), money, capture_before: Some(now.plus(validity)), card: None };
        ActionResult::Passed { hold: Some(hold) }
    } else {
        entry.waits = false; // one result an authentication
        ActionResult::Failed { detail: "not authenticated".into() }
    };
    let input = Input::Notice(ProviderNotice::Action { order_id, result });
    Work { cause: Cause::request("payments", &format!("{order_id}/3ds")), input }
}

fn capture(book: &mut Book, request: &Request, random: &mut Random) -> Outcome {
    let entry = book.entries.entry(request.order_id).or_default();
    assert!(entry.held > 0 && entry.captured == 0, "a capture without a hold, or a second one: {entry:?} {request:?}");
    if random.chance(15) {
        return Outcome::CaptureFailed { code: "processing_error".into(), detail: "no".into() };
    }
    assert!(request.money.amount <= entry.held, "more is taken than is held: {entry:?} {request:?}");
    entry.captured = request.money.amount;
    entry.captures += 1;
    entry.held = 0;
    entry.closed = true;
    Outcome::Captured { money: request.money }
}

fn void(book: &mut Book, request: &Request, random: &mut Random) -> Outcome {
    let entry = book.entries.entry(request.order_id).or_default();
    assert_eq!(entry.captured, 0, "a void after a capture: {entry:?} {request:?}");
    if random.chance(20) {
        return Outcome::VoidFailed { detail: "try again".into() };
    }
    let held = std::mem::take(&mut entry.held);
    entry.waits = false;
    entry.closed = true;
    Outcome::Voided { money: Money { amount: held, ..request.money } }
}

fn refund(book: &mut Book, request: &Request, random: &mut Random, told: &mut Vec<Work<Input>>) -> Outcome {
    let refund_id = format!("re-{}", request.key);
    let (succeeds, pending) = (random.chance(75), random.chance(40));
    // It succeeds, and fails later: the money comes back.
    let fails_late = succeeds && !pending && random.chance(15);
    book.messages += 1;
    let message_id = format!("message-{}", book.messages);
    let entry = book.entries.entry(request.order_id).or_default();
    if succeeds && !fails_late {
        entry.refunded += request.money.amount;
        assert!(entry.refunded <= entry.captured, "more is given back than was taken: {entry:?} {request:?}");
    }
    if fails_late {
        let status = RefundStatus::Failed { detail: "account closed".into() };
        let input = ProviderNotice::Refund { message_id: message_id.clone(), refund_id: refund_id.clone(), status };
        book.late.push((message_id, Input::Notice(input)));
        return Outcome::Refunded { refund_id, money: request.money };
    }
    if pending {
        let status =
            if succeeds { RefundStatus::Succeeded } else { RefundStatus::Failed { detail: "account closed".into() } };
        let cause = Cause::request("payments", &message_id);
        let input = Input::Notice(ProviderNotice::Refund { message_id, refund_id: refund_id.clone(), status });
        told.push(Work { cause, input });
        let settled = if succeeds {
            Outcome::Refunded { refund_id: refund_id.clone(), money: request.money }
        } else {
            Outcome::RefundFailed { refund_id: Some(refund_id.clone()), detail: "account closed".into() }
        };
        book.settled.insert(request.key.clone(), settled);
        return Outcome::RefundPending { refund_id, money: request.money };
    }
    if succeeds {
        Outcome::Refunded { refund_id, money: request.money }
    } else {
        Outcome::RefundFailed { refund_id: Some(refund_id), detail: "no".into() }
    }
}

/// The outside of payments with this book.
pub fn outside(book: Shared) -> super::node::Outside<Payments> {
    Box::new(move |_, call, random, now| answer(&book, call, random, now))
}
