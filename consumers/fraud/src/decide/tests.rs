//! Every cell of docs/protocol.md's table of fraud, by name.

use std::time::Duration;

use events::{
    Address, Allocation, AllocationId, Card, Check, Currency, Event, FraudCleared, FraudRejected, FraudReviewRequested,
    Line, PaymentAuthorized, Person,
};
use proptest::prelude::*;
use runtime::{Cause, Codec, Consumer as _, Outgoing, TraceContext, Work};
use uuid::Uuid;

use super::*;
use crate::input::Input;
use crate::velocity::{Near, Tallies};
use crate::{Fraud, SubjectLimits, VelocitySettings};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Fraud with a world that is kept over inputs, as the database would.
struct Bench {
    fraud: Fraud,
    world: BatchState,
    codec: Codec,
    now: Timestamp,
}

/// What one input brought.
struct ScoreOutcome {
    reply: Reply,
    said: Vec<Outgoing>,
    timers: Vec<(String, Timestamp, bool)>,
}

impl ScoreOutcome {
    fn types(&self) -> Vec<&str> {
        self.said.iter().map(|said| said.headers.text("ce_type").unwrap().rsplit('.').next().unwrap()).collect()
    }
}

impl Bench {
    fn new(settings: FraudSettings) -> Self {
        let fraud = Fraud::new(settings).unwrap();
        Self { fraud, world: BatchState::default(), codec: Codec::of_catalogue().unwrap(), now: NOW }
    }

    fn put(&mut self, input: Input, cause: Cause) -> ScoreOutcome {
        let work = Work { cause, input };
        let mut effects = Effects::new(&self.codec, Fraud::NAME, &work.cause, self.now);
        let reply = self.fraud.decide(&mut self.world, &work, self.now, &mut effects).unwrap();
        assert!(effects.broken().is_none(), "{:?}", effects.broken());
        let timers = effects.timer_changes().map(|(timer, armed)| (timer.kind, timer.due, armed)).collect();
        ScoreOutcome { reply, said: effects.said().to_vec(), timers }
    }

    fn event(&mut self, input: Input) -> ScoreOutcome {
        let thread = TraceContext { correlation_id: "thread".into(), ..TraceContext::default() };
        self.put(input, Cause::topic(Uuid::from_u128(7), thread))
    }

    fn authorized(&mut self, event: PaymentAuthorized) -> ScoreOutcome {
        let input = self.fraud.authorized(event).unwrap();
        self.event(input)
    }

    fn ruled(&mut self, ruling: Ruling) -> ScoreOutcome {
        let input = Input::Ruled { order_id: order(1), ruling, by: "ann".into(), note: Some("called them".into()) };
        self.put(input, Cause::request("fraud", "1"))
    }

    fn counted(&self) -> usize {
        self.world.tallies.counts().iter().filter(|count| count.order_id == order(1)).count()
    }

    fn state(&self) -> Option<State> {
        self.world.order(order(1)).map(|row| row.state)
    }

    fn read<E: Event>(&self, outcome: &ScoreOutcome) -> E {
        assert_eq!(outcome.said.len(), 1);
        self.codec.decode(outcome.said[0].payload.as_deref()).unwrap()
    }
}

fn order(n: u128) -> OrderId {
    OrderId(Uuid::from_u128(n))
}

fn address(country: &str) -> Address {
    Address { line1: "1 Main St".into(), postal_code: "10115".into(), country: country.into(), ..Address::default() }
}

/// An order of `n`, of a customer, card and address of its own, that no rule objects to.
fn good(n: u128) -> PaymentAuthorized {
    let ship_to = Address { line1: format!("{n} Main St"), ..address("DE") };
    let person = Person {
        name: "Ada".into(),
        email: "ada@example.org".into(),
        phone: None,
        locale: None,
        bill_to: ship_to.clone(),
        ship_to,
    };
    let line = Line { line_id: "1".into(), sku: "sku".into(), quantity: 1, unit_price: 900, amount: 1_000 };
    let allocation = Allocation {
        allocation_id: AllocationId(Uuid::from_u128(n + 100)),
        line_id: "1".into(),
        sku: "sku".into(),
        warehouse: "w".into(),
        quantity: 1,
        aisle: None,
        bin: None,
        replaces: None,
    };
    PaymentAuthorized {
        order_id: order(n),
        customer_id: format!("c-{n}").into(),
        gateway: "sandbox".into(),
        payment_id: Some("p".into()),
        amount: 1_000,
        currency: Currency::EUR,
        capture_before: NOW.plus(7 * DAY),
        lines: vec![line],
        plan: vec![allocation],
        card: Some(card(n, Check::Pass)),
        personal: person.seal(),
    }
}

fn card(n: u128, cvc_check: Check) -> Card {
    Card {
        fingerprint: format!("card-{n}"),
        brand: None,
        last4: None,
        country: None,
        cvc_check,
        address_check: Check::Pass,
        postal_code_check: Check::Pass,
        three_d_secure: Check::Unchecked,
    }
}

/// 60 points: a review.
fn doubtful(n: u128) -> PaymentAuthorized {
    PaymentAuthorized { card: Some(card(n, Check::Fail)), ..good(n) }
}

/// 60 + 60 points: no.
fn bad(n: u128) -> PaymentAuthorized {
    PaymentAuthorized { amount: 1_000_001, ..doubtful(n) }
}

/// A bench whose order 1 stands in this state.
fn standing(state: State) -> Bench {
    let mut bench = Bench::new(FraudSettings::default());
    match state {
        State::Review => bench.authorized(doubtful(1)),
        State::Cleared => bench.authorized(good(1)),
        State::Rejected => bench.authorized(bad(1)),
        State::Closed => bench.event(Input::Voided(order(1))),
    };
    assert_eq!(bench.state(), Some(state));
    bench
}

const OVER: [State; 3] = [State::Cleared, State::Rejected, State::Closed];

#[test]
fn a_good_order_is_cleared_with_all_that_fulfillment_needs() {
    let mut bench = Bench::new(FraudSettings::default());
    let outcome = bench.authorized(good(1));
    let cleared: FraudCleared = bench.read(&outcome);
    let PaymentAuthorized { lines, plan, personal, customer_id, capture_before, .. } = good(1);
    assert_eq!((cleared.lines, cleared.plan, cleared.personal), (lines, plan, personal));
    assert_eq!((cleared.customer_id, cleared.capture_before), (customer_id, capture_before));
    assert_eq!((cleared.score, cleared.rules, cleared.decided_by.as_str()), (0, vec![], "rules"));
    assert_eq!(bench.state(), Some(State::Cleared));
    assert_eq!(bench.world.order(order(1)).unwrap().carried, None, "no personal data is kept");
}

#[test]
fn a_bad_order_is_rejected_with_the_rules_that_counted() {
    let mut bench = Bench::new(FraudSettings::default());
    let outcome = bench.authorized(bad(1));
    let rejected: FraudRejected = bench.read(&outcome);
    assert_eq!(rejected.reason.code, ReasonCode::FraudRejected);
    assert_eq!((rejected.score, rejected.rules.len(), rejected.decided_by.as_str()), (120, 2, "rules"));
    assert_eq!(bench.state(), Some(State::Rejected));
}

#[test]
fn a_doubtful_order_is_laid_before_a_person_until_its_deadline() {
    let mut bench = Bench::new(FraudSettings::default());
    let outcome = bench.authorized(doubtful(1));
    let requested: FraudReviewRequested = bench.read(&outcome);
    assert_eq!((requested.score, requested.deadline), (60, NOW.plus(DAY)));
    assert_eq!(outcome.timers, [("review".to_owned(), NOW.plus(DAY), true)]);
    assert_eq!(bench.state(), Some(State::Review));
}

#[test]
fn an_authorization_that_comes_again_changes_says_and_counts_nothing() {
    for state in [State::Review, State::Cleared, State::Rejected, State::Closed] {
        let mut bench = standing(state);
        let before = bench.world.order(order(1)).cloned();
        let counted = bench.counted();
        for event in [good(1), doubtful(1), bad(1)] {
            let outcome = bench.authorized(event);
            assert!(outcome.said.is_empty() && outcome.timers.is_empty(), "{state:?}");
        }
        assert_eq!(bench.world.order(order(1)).cloned(), before, "{state:?}");
        assert_eq!(bench.counted(), counted, "{state:?}");
    }
}

#[test]
fn a_void_before_the_authorization_is_a_tombstone_that_says_and_counts_nothing() {
    let mut bench = Bench::new(FraudSettings::default());
    assert!(bench.event(Input::Voided(order(1))).said.is_empty());
    assert_eq!(bench.state(), Some(State::Closed));
    assert!(bench.authorized(good(1)).said.is_empty());
    assert_eq!(bench.counted(), 0);
}

#[test]
fn a_void_during_review_takes_it_from_the_queue() {
    let mut bench = standing(State::Review);
    let outcome = bench.event(Input::Voided(order(1)));
    assert!(outcome.said.is_empty());
    assert!(matches!(&outcome.timers[..], [(kind, _, false)] if kind == "review"));
    assert_eq!(bench.state(), Some(State::Closed));
    assert_eq!(bench.world.order(order(1)).unwrap().carried, None);
}

#[test]
fn a_void_after_the_decision_changes_nothing() {
    for state in OVER {
        let mut bench = standing(state);
        let outcome = bench.event(Input::Voided(order(1)));
        assert!(outcome.said.is_empty() && outcome.timers.is_empty());
        assert_eq!(bench.state(), Some(state));
    }
}

#[test]
fn a_person_clears_a_review_and_the_order_goes_on_in_its_own_thread() {
    let mut bench = standing(State::Review);
    let outcome = bench.ruled(Ruling::Clear);
    assert_eq!(outcome.reply, Reply::Done(State::Cleared));
    assert_eq!(outcome.said[0].headers.text("ce_correlationid"), Some("thread"));
    assert!(matches!(&outcome.timers[..], [(kind, _, false)] if kind == "review"));
    let cleared: FraudCleared = bench.read(&outcome);
    assert_eq!((cleared.decided_by.as_str(), cleared.score, cleared.plan), ("ann", 60, good(1).plan));
}

#[test]
fn a_person_rejects_a_review_and_their_note_is_not_told() {
    let mut bench = standing(State::Review);
    let outcome = bench.ruled(Ruling::Reject);
    assert_eq!(outcome.reply, Reply::Done(State::Rejected));
    let rejected: FraudRejected = bench.read(&outcome);
    assert_eq!((rejected.reason.code, rejected.decided_by.as_str()), (ReasonCode::FraudRejected, "ann"));
    assert!(!rejected.reason.detail.contains("called"));
    assert_eq!(bench.world.order(order(1)).unwrap().note.as_deref(), Some("called them"));
}

#[test]
fn a_persons_word_on_an_order_that_nobody_knows_is_not_found() {
    let mut bench = Bench::new(FraudSettings::default());
    assert_eq!(bench.ruled(Ruling::Clear).reply, Reply::Unknown);
    assert_eq!(bench.state(), None);
}

#[test]
fn a_persons_word_after_the_end_hears_how_it_ended() {
    for (state, by) in [(State::Cleared, Some("rules")), (State::Rejected, Some("rules")), (State::Closed, None)] {
        for ruling in [Ruling::Clear, Ruling::Reject] {
            let mut bench = standing(state);
            let outcome = bench.ruled(ruling);
            assert_eq!(outcome.reply, Reply::Already(state, by.map(Into::into)));
            assert!(outcome.said.is_empty());
            assert_eq!(bench.state(), Some(state));
        }
    }
}

#[test]
fn a_review_that_nobody_looked_at_in_time_is_rejected() {
    let mut bench = standing(State::Review);
    let outcome = bench.event(Input::Deadline(order(1)));
    let rejected: FraudRejected = bench.read(&outcome);
    assert_eq!((rejected.reason.code, rejected.decided_by.as_str()), (ReasonCode::ReviewTimedOut, "deadline"));
    assert_eq!(bench.state(), Some(State::Rejected));
    assert!(bench.event(Input::Deadline(order(1))).said.is_empty());
}

#[test]
fn a_deadline_after_the_end_or_of_an_unknown_order_is_nothing() {
    for state in OVER {
        let mut bench = standing(state);
        assert!(bench.event(Input::Deadline(order(1))).said.is_empty());
        assert_eq!(bench.state(), Some(state));
    }
    let mut bench = Bench::new(FraudSettings::default());
    assert!(bench.event(Input::Deadline(order(1))).said.is_empty());
    assert_eq!(bench.state(), None);
}

#[test]
fn velocity_counts_the_order_that_is_looked_at_and_those_before_it_in_the_batch() {
    let one = SubjectLimits { orders: 2, orders_points: 60, amount_points: 0 };
    let velocity = VelocitySettings { customer: one, ..VelocitySettings::default() };
    let mut bench = Bench::new(FraudSettings { velocity, ..FraudSettings::default() });
    let of_one_customer = |n| PaymentAuthorized { customer_id: "same".into(), ..good(n) };
    assert_eq!(bench.authorized(of_one_customer(1)).types(), ["FraudCleared"]);
    assert_eq!(bench.authorized(of_one_customer(2)).types(), ["FraudCleared"]);
    for _ in 0..5 {
        bench.authorized(of_one_customer(2)); // a retry: not counted again
    }
    let third = bench.authorized(of_one_customer(3));
    let requested: FraudReviewRequested = bench.read(&third);
    assert_eq!(requested.rules[0].rule, "velocity_customer_orders");
    bench.now = NOW.plus(DAY + DAY);
    assert_eq!(bench.authorized(of_one_customer(4)).types(), ["FraudCleared"], "a day later they are forgotten");
}

/// Ten days' orders of one customer, one a day, decided together after a long stop: by the clock they would be ten in a minute.
#[test]
fn a_backlog_is_no_burst_and_a_burst_in_a_backlog_is_one() {
    let one = SubjectLimits { orders: 2, orders_points: 60, amount_points: 0 };
    let velocity = VelocitySettings { customer: one, ..VelocitySettings::default() };
    let mut bench = Bench::new(FraudSettings { velocity, ..FraudSettings::default() });
    let placed = |n: u128, ago: Duration| {
        let id = OrderId::least_at(NOW.minus(ago)).as_uuid().as_u128() | 7 << 76 | 2 << 62 | n;
        PaymentAuthorized { customer_id: "same".into(), order_id: order(id), ..good(n) }
    };
    for day in (1..=10).rev() {
        let outcome = bench.authorized(placed(u128::from(day), DAY * day + DAY * day / 50));
        assert_eq!(outcome.types(), ["FraudCleared"], "{day} days ago");
    }
    let outcomes = (1..=3).map(|n| bench.authorized(placed(20 + n, Duration::from_secs(36_000))));
    let types: Vec<Vec<String>> =
        outcomes.map(|outcome| outcome.types().into_iter().map(Into::into).collect()).collect();
    assert_eq!(
        types,
        [["FraudCleared"], ["FraudReviewRequested"], ["FraudReviewRequested"]],
        "with that of the day before"
    );
}

#[test]
fn an_order_without_a_card_is_counted_by_customer_and_address_alone() {
    let mut bench = Bench::new(FraudSettings::default());
    bench.authorized(PaymentAuthorized { card: None, amount: 0, payment_id: None, ..good(1) });
    assert_eq!((bench.state(), bench.counted()), (Some(State::Cleared), 2));
}

#[test]
fn a_reviews_deadline_leaves_time_to_capture() {
    let settings = FraudSettings::default();
    let left = |days: u32| deadline(NOW.plus(days * DAY), &settings, NOW);
    assert_eq!(left(7), NOW.plus(DAY), "as long as is set");
    assert_eq!(deadline(NOW.plus(DAY + DAY / 2), &settings, NOW), NOW.plus(DAY * 3 / 4), "half of what is left");
    assert_eq!(left(2), NOW.plus(DAY), "a day to look, a day to pick");
    assert_eq!(deadline(NOW.minus(DAY), &settings, NOW), NOW, "it has lapsed");
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Authorized,
    Voided,
    Ruled(Ruling),
    Deadline,
}

proptest! {
    #[test]
    fn whatever_comes_in_whatever_order_an_order_is_decided_once_and_counted_once(
        steps in proptest::collection::vec(
            prop_oneof![
                Just(Step::Authorized),
                Just(Step::Voided),
                Just(Step::Ruled(Ruling::Clear)),
                Just(Step::Ruled(Ruling::Reject)),
                Just(Step::Deadline),
            ],
            0..12,
        ),
        kind in 0..3_usize,
    ) {
        let mut bench = Bench::new(FraudSettings::default());
        let event = [good(1), doubtful(1), bad(1)][kind].clone();
        let mut said: Vec<String> = Vec::new();
        for step in steps {
            let outcome = match step {
                Step::Authorized => bench.authorized(event.clone()),
                Step::Voided => bench.event(Input::Voided(order(1))),
                Step::Ruled(ruling) => bench.ruled(ruling),
                Step::Deadline => bench.event(Input::Deadline(order(1))),
            };
            said.extend(outcome.types().into_iter().map(ToOwned::to_owned));
        }
        let decisions = said.iter().filter(|name| *name == "FraudCleared" || *name == "FraudRejected").count();
        prop_assert!(decisions <= 1, "{said:?}");
        prop_assert!(said.iter().filter(|name| *name == "FraudReviewRequested").count() <= 1, "{said:?}");
        prop_assert!([0, 3].contains(&bench.counted()));
        let state = bench.state();
        prop_assert_eq!(decisions == 1, matches!(state, Some(State::Cleared | State::Rejected)));
        prop_assert_eq!(bench.world.order(order(1)).is_some_and(|row| row.carried.is_some()), state == Some(State::Review));
    }
}

#[test]
fn sums_of_the_database_and_of_the_batch_add_up() {
    let mut bench = Bench::new(FraudSettings::default());
    let input = bench.fraud.authorized(good(1)).unwrap();
    let Input::Authorized(authorized) = &input else { panic!("authorized") };
    let mut tallies = Tallies::default();
    let near = Near::of(authorized.placed_at(NOW), DAY);
    tallies.stored(authorized.subjects[0].1, near, 10, Currency::EUR, 999_001);
    bench.world.tallies = tallies;
    bench.event(input);
    let rules: Vec<_> = bench.world.order(order(1)).unwrap().rules.iter().map(|hit| hit.rule.clone()).collect();
    assert_eq!(rules, ["velocity_customer_orders", "velocity_customer_amount"]);
}
