//! The desk at which rules are tried: one order's payment, kept over batches, with a gateway that the test plays.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use events::{
    Allocation, AllocationId, Currency, Event, FraudRejected, FulfillmentCancelled, FulfillmentConfirmed,
    FulfillmentRejected, GivenUp, Item, Line, OrderId, Personal, Reason, ReasonCode, ReservationExpired, Shipment,
    ShipmentId, StockReserved, Timestamp, Why,
};
use gateway::{ActionResult, Hold, Money, Operation, Outcome, ProviderNotice, RefundStatus};
use runtime::{Cause, Codec, Conflict, Effects, Outgoing, TraceContext};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{DecisionContext, finish};
use crate::attempt::Ask;
use crate::batch::BatchState;
use crate::call::Call;
use crate::gateways::Reach;
use crate::input::{ATTEMPT, Answer, Input, Reply};
use crate::payment::{Payment, State};
use crate::refunds::RefundInput;
use crate::settings::PaymentsSettings;

mod attempts;
mod edges;
mod money;
mod outside;
mod refunds;
mod returns;
mod settlement;
mod table;

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const ORDER: OrderId = OrderId(Uuid::from_u128(7));
const DAY: Duration = Duration::from_secs(24 * 3_600);

static CODEC: LazyLock<Codec> = LazyLock::new(|| Codec::of_catalogue().unwrap());

struct Desk {
    codec: &'static Codec,
    settings: PaymentsSettings,
    world: BatchState,
    now: Timestamp,
    reach: Reach,
    inputs: u128,
    /// Of the last batch.
    said: Vec<Outgoing>,
    calls: Vec<Call>,
    dead: Vec<String>,
    /// When the order's timers are due, by kind.
    timers: BTreeMap<String, Timestamp>,
}

impl Desk {
    fn new() -> Self {
        Self {
            codec: &CODEC,
            settings: PaymentsSettings::default(),
            world: BatchState::default(),
            now: START,
            reach: Reach::Answers,
            inputs: 0,
            said: Vec::new(),
            calls: Vec::new(),
            dead: Vec::new(),
            timers: BTreeMap::new(),
        }
    }

    /// Decides a batch, as the runtime does.
    fn batch(&mut self, inputs: Vec<Input>) -> Vec<Result<Reply, Conflict>> {
        (self.said, self.calls, self.dead) = Default::default();
        let rules =
            DecisionContext { settings: &self.settings, gateway: "sandbox", reach: &|_| self.reach, now: self.now };
        let mut replies = Vec::new();
        for input in inputs {
            self.inputs += 1;
            let thread = TraceContext { correlation_id: "thread".into(), ..TraceContext::default() };
            let cause = match &input {
                Input::Answer(answer) => Cause::answer(&crate::key(ORDER, answer.operation, answer.attempt)),
                Input::Refund(RefundInput::Answer { refund_id, attempt, .. }) => {
                    Cause::answer(&crate::refunds::key(ORDER, *refund_id, *attempt))
                }
                Input::Notice(_) | Input::Refund(_) | Input::Retry { .. } => {
                    Cause::request("payments", &self.inputs.to_string())
                }
                Input::AttemptDue { .. } | Input::AuthorizationDue { .. } | Input::UnknownTimer { .. } => {
                    Cause::request("timer", &self.inputs.to_string())
                }
                Input::Reserved(_)
                | Input::StockRejected(_)
                | Input::Expired(_)
                | Input::FraudRejected(_)
                | Input::Confirmed(_)
                | Input::Rejected(_)
                | Input::Cancelled(_) => Cause::topic(Uuid::from_u128(self.inputs), thread),
            };
            let before = self.world.payment(ORDER).cloned();
            let mut effects = Effects::new(self.codec, "payments", &cause, self.now);
            let reply = rules.decide(&mut self.world, &input, &mut effects);
            assert!(effects.broken().is_none(), "{:?}", effects.broken());
            if reply.is_err() {
                let untouched = before.unwrap_or_else(|| Payment::new(ORDER));
                assert_eq!(
                    self.world.payment(ORDER),
                    Some(&untouched),
                    "a conflict leaves the payment as it was: {input:?}"
                );
            } else {
                // That an order waits, and what became of letters, is not the saga's: `operations` is left out.
                self.said.extend(effects.said().iter().filter(|row| row.topic != "operations").cloned());
                self.dead.extend(effects.dead_letters().iter().map(|death| death.class.clone()));
                for (timer, armed) in effects.timer_changes() {
                    if armed {
                        self.timers.insert(timer.kind, timer.due);
                    } else {
                        self.timers.remove(&timer.kind);
                    }
                }
            }
            replies.push(reply);
        }
        let cause = Cause::request("finish", "");
        let mut effects = Effects::new(self.codec, "payments", &cause, self.now);
        finish(&mut self.world, &mut effects);
        self.calls = effects.take_calls();
        self.sound();
        replies
    }

    fn decide(&mut self, input: Input) -> Result<Reply, Conflict> {
        self.batch(vec![input]).pop().unwrap()
    }

    fn does(&mut self, input: Input) -> &mut Self {
        self.decide(input).unwrap();
        self
    }

    /// Answers the last attempt.
    fn answers(&mut self, outcome: Outcome) -> &mut Self {
        let attempt = self.payment().case.attempt.clone().unwrap();
        self.does(answer(attempt.operation, attempt.number, outcome))
    }

    /// Lets the timer fire at its time.
    fn fire(&mut self, kind: &str) -> &mut Self {
        let due = self.timers.remove(kind).unwrap_or_else(|| panic!("no timer {kind:?} is armed: {:?}", self.timers));
        self.now = self.now.max(due);
        self.does(match kind {
            ATTEMPT => Input::AttemptDue { order_id: ORDER, due },
            _ => Input::AuthorizationDue { order_id: ORDER },
        })
    }

    fn payment(&self) -> &Payment {
        self.world.payment(ORDER).unwrap()
    }

    fn state(&self) -> State {
        self.world.payment(ORDER).map_or(State::New, |payment| payment.state)
    }

    /// Short names of what was said in the last batch.
    fn said(&self) -> Vec<&str> {
        let name = |event: &Outgoing| event.headers.text("ce_type").unwrap().rsplit('.').next().unwrap().to_owned();
        self.said.iter().map(|event| events::entry_of(&name(event)).unwrap().name).collect()
    }

    fn event<E: Event + DeserializeOwned>(&self) -> E {
        let said = self.said.iter().find(|event| event.headers.text("ce_type") == Some(E::TYPE));
        self.codec.decode(said.unwrap_or_else(|| panic!("{} was not said", E::NAME)).payload.as_deref()).unwrap()
    }

    /// The calls of the last batch: operation and attempt, `?` for a look-up.
    fn called(&self) -> Vec<String> {
        let mark = |ask| if ask == Ask::LookUp { "?" } else { "" };
        self.calls.iter().map(|call| format!("{}:{}{}", call.operation, call.request.attempt, mark(call.ask))).collect()
    }

    /// What holds at any time.
    fn sound(&self) {
        let Some(payment) = self.world.payment(ORDER) else { return };
        assert!(payment.open() >= 0, "{payment:?}");
        let back = payment.refunded + payment.refunds_open + payment.refunds_done;
        assert!(back <= payment.captured && payment.refunds_open >= 0, "{payment:?}");
        let holds = match payment.state {
            State::New | State::Authorizing | State::ActionRequired | State::Declined => payment.authorized == 0,
            State::Authorized | State::Capturing | State::Lapsed => {
                payment.open() == payment.authorized && payment.authorized == payment.amount
            }
            State::Voiding => true,
            State::Captured | State::Refunding | State::Voided | State::Refunded => payment.open() == 0,
        };
        assert!(holds, "{payment:?}");
        let needed = [State::Authorizing, State::ActionRequired].contains(&payment.state);
        let stopped = payment.case.stop.is_some();
        assert!(
            payment.personal.is_some() == needed || needed && stopped,
            "personal data is kept as long as it is needed: {:?}",
            payment.state
        );
    }

    /// A payment that went the whole way to a state; what is taken or given back has gone by way of a capture.
    fn at(state: State) -> Self {
        let mut desk = Self::new();
        match state {
            State::New => {}
            State::Authorizing => {
                desk.does(reserved());
            }
            State::ActionRequired => {
                desk = Self::at(State::Authorizing);
                desk.answers(action_required());
            }
            State::Authorized => {
                desk = Self::at(State::Authorizing);
                desk.answers(authorized(1_501));
            }
            State::Capturing => {
                desk = Self::at(State::Authorized);
                desk.does(confirmed());
            }
            State::Lapsed => {
                desk = Self::at(State::Capturing);
                desk.answers(Outcome::CaptureFailed { code: "capture_refused".into(), detail: "no".into() });
            }
            State::Captured => {
                desk = Self::at(State::Capturing);
                desk.answers(captured(1_501));
            }
            State::Voiding => {
                desk = Self::at(State::Lapsed);
                desk.does(cancelled(vec![]));
            }
            State::Refunding => {
                desk = Self::at(State::Captured);
                desk.does(cancelled(vec![given_up(2, "2", 1)]));
            }
            State::Declined => {
                desk = Self::at(State::Authorizing);
                desk.answers(declined());
            }
            State::Voided => {
                desk = Self::at(State::Voiding);
                desk.answers(Outcome::Voided { money: eur(1_501) });
            }
            State::Refunded => {
                desk = Self::at(State::Refunding);
                desk.answers(refunded(501));
            }
        }
        assert_eq!(desk.state(), state);
        desk
    }
}

fn eur(amount: i64) -> Money {
    Money { amount, currency: Currency::EUR }
}

fn reason(code: ReasonCode) -> Reason {
    Reason { code, detail: "because".into() }
}

fn line(id: &str, quantity: i64, amount: i64) -> Line {
    Line { line_id: id.into(), sku: id.into(), quantity, unit_price: amount / quantity, amount }
}

fn item(allocation: u128, line: &str, quantity: i64) -> Item {
    Item { allocation_id: AllocationId(Uuid::from_u128(allocation)), line_id: line.into(), sku: line.into(), quantity }
}

fn given_up(allocation: u128, line: &str, quantity: i64) -> GivenUp {
    let Item { allocation_id, line_id, sku, quantity } = item(allocation, line, quantity);
    GivenUp { allocation_id, line_id, sku, quantity, condition: Why::Lost.condition(), why: Why::Lost }
}

/// Two of line 1 for 10.00 from allocation 1, one of line 2 for 5.01 from allocation 2.
fn stock_reserved() -> StockReserved {
    let allocation = |id: u128, line: &str, quantity| Allocation {
        allocation_id: AllocationId(Uuid::from_u128(id)),
        line_id: line.into(),
        sku: line.into(),
        warehouse: "north".into(),
        quantity,
        aisle: None,
        bin: None,
        replaces: None,
    };
    StockReserved {
        order_id: ORDER,
        customer_id: "anna".into(),
        currency: Currency::EUR,
        total: 1_501,
        lines: vec![line("1", 2, 1_000), line("2", 1, 501)],
        plan: vec![allocation(1, "1", 2), allocation(2, "2", 1)],
        payment_method: "tok_approved".into(),
        payment: None,
        personal: Personal { key_id: String::new(), data: vec![1, 2, 3] },
        expires_at: START.plus(Duration::from_secs(900)),
    }
}

fn reserved() -> Input {
    Input::Reserved(Box::new(stock_reserved()))
}

fn expired() -> Input {
    Input::Expired(ReservationExpired { order_id: ORDER, expired_at: START.plus(Duration::from_secs(900)) })
}

fn fraud_rejected() -> Input {
    let reason = reason(ReasonCode::FraudRejected);
    Input::FraudRejected(FraudRejected {
        order_id: ORDER,
        reason,
        score: 200,
        rules: vec![],
        decided_by: "rules".into(),
    })
}

fn confirmed_of(items: Vec<Item>) -> Input {
    let shipment =
        |item| Shipment { shipment_id: ShipmentId(Uuid::from_u128(1)), warehouse: "north".into(), items: vec![item] };
    Input::Confirmed(FulfillmentConfirmed { order_id: ORDER, shipments: items.into_iter().map(shipment).collect() })
}

fn confirmed() -> Input {
    confirmed_of(vec![item(1, "1", 2), item(2, "2", 1)])
}

fn rejected() -> Input {
    Input::Rejected(FulfillmentRejected { order_id: ORDER, reason: reason(ReasonCode::NothingToShip) })
}

fn cancelled(items: Vec<GivenUp>) -> Input {
    Input::Cancelled(FulfillmentCancelled { order_id: ORDER, items, reason: reason(ReasonCode::Cancelled) })
}

fn answer(operation: Operation, attempt: u32, outcome: Outcome) -> Input {
    Input::Answer(Answer { order_id: ORDER, operation, attempt, outcome })
}

fn hold(amount: i64) -> Hold {
    Hold { payment_id: "pay_1".into(), money: eur(amount), capture_before: Some(START.plus(7 * DAY)), card: None }
}

fn authorized(amount: i64) -> Outcome {
    Outcome::Authorized(hold(amount))
}

fn action_required() -> Outcome {
    let url = Some("https://bank.example/3ds".into());
    Outcome::ActionRequired { payment_id: "pay_1".into(), action: events::Action::ThreeDSecure, url }
}

fn declined() -> Outcome {
    Outcome::Declined { code: "card_declined".into(), detail: "no".into() }
}

fn captured(amount: i64) -> Outcome {
    Outcome::Captured { money: eur(amount) }
}

fn refunded(amount: i64) -> Outcome {
    Outcome::Refunded { refund_id: "re_1".into(), money: eur(amount) }
}

fn pending(amount: i64) -> Outcome {
    Outcome::RefundPending { refund_id: "re_1".into(), money: eur(amount) }
}

fn passed() -> Input {
    action_result(ActionResult::Passed { hold: Some(hold(1_501)) })
}

fn not_passed() -> Input {
    action_result(ActionResult::Failed { detail: "no".into() })
}

fn action_result(result: ActionResult) -> Input {
    Input::Notice(ProviderNotice::Action { order_id: ORDER, result })
}

fn told(message_id: &str, status: RefundStatus) -> Input {
    let (message_id, refund_id) = (message_id.into(), "re_1".into());
    Input::Notice(ProviderNotice::Refund { message_id, refund_id, status })
}

fn retry() -> Input {
    Input::Retry { order_id: ORDER, by: "eve".into() }
}
