use proptest::prelude::*;
use uuid::Uuid;

use gateway::Hold;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const ORDER: OrderId = OrderId(Uuid::from_u128(7));
const HOLD: Duration = Duration::from_secs(7 * 24 * 3_600);

/// A customer of the sandbox with one token.
struct Customer {
    book: Book,
    token: String,
    settings: SandboxSettings,
    now: Timestamp,
    payment_id: Option<String>,
}

impl Customer {
    fn with(token: Token) -> Self {
        let (book, settings) = (Book::default(), SandboxSettings::default());
        Self { book, token: token.as_str().into(), settings, now: NOW, payment_id: None }
    }

    fn run(&mut self, job: &Job) -> (Done, Duration) {
        let done = self.book.run(job, BookTerms { settings: &self.settings, validity: HOLD, now: self.now });
        for entry in self.book.payments.values() {
            assert!(
                entry.captured + entry.released <= entry.authorized && (0..=entry.captured).contains(&entry.refunded),
                "{entry:?}"
            );
        }
        done
    }

    fn request(&self, operation: Operation, attempt: u32, amount: i64) -> Request {
        let key = key(operation, attempt);
        Request {
            order_id: ORDER,
            key,
            attempt,
            since: NOW,
            money: eur(amount),
            payment_id: self.payment_id.clone(),
            refund_id: None,
        }
    }

    fn outcome(&mut self, job: &Job) -> Outcome {
        let Done::Outcome(outcome) = self.run(job).0 else { panic!("expected an outcome") };
        outcome
    }

    fn authorize(&mut self, attempt: u32) -> Outcome {
        let request = Request { payment_id: None, ..self.request(Operation::Authorize, attempt, 1_000) };
        let buyer = Buyer { customer_id: "anna".into(), payment_method: self.token.clone() };
        let outcome = self.outcome(&Job::Authorize { request, buyer });
        if let Outcome::Authorized(Hold { payment_id, .. }) | Outcome::ActionRequired { payment_id, .. } = &outcome {
            self.payment_id = Some(payment_id.clone());
        }
        outcome
    }

    fn change(&mut self, operation: Operation, attempt: u32, amount: i64) -> Outcome {
        let request = self.request(operation, attempt, amount);
        self.outcome(&Job::Change { operation, request })
    }

    fn look_up(&mut self, operation: Operation, attempt: u32) -> Outcome {
        let request = self.request(operation, attempt, 1_000);
        self.outcome(&Job::LookUp { operation, request })
    }

    fn act(&mut self, passed: bool) -> Result<ActionResult, EntryState> {
        let Done::Acted(acted) = self.run(&Job::Act { order_id: ORDER, passed }).0 else {
            panic!("expected what came of an action")
        };
        acted
    }

    fn settle(&mut self, refund_id: &str, succeeded: bool) -> Option<RefundStatus> {
        let Done::Settled(status) = self.run(&Job::Settle { refund_id: refund_id.into(), succeeded }).0 else {
            panic!("expected how the refund stands")
        };
        status
    }

    fn entry(&self) -> &BookEntry {
        let [entry] = &self.book.payments.values().collect::<Vec<_>>()[..] else {
            panic!("one payment: {:?}", self.book.payments)
        };
        entry
    }
}

fn key(operation: Operation, attempt: u32) -> String {
    format!("order:{ORDER}:{operation}:{attempt}")
}

fn eur(amount: i64) -> Money {
    Money { amount, currency: Currency::EUR }
}

fn held(outcome: &Outcome) -> &Hold {
    let Outcome::Authorized(hold) = outcome else { panic!("expected a hold, got {outcome:?}") };
    hold
}

#[test]
fn an_approved_token_holds_takes_and_gives_back() {
    let mut customer = Customer::with(Token::Approved);
    let hold = held(&customer.authorize(1)).clone();
    assert_eq!((hold.money, hold.capture_before), (eur(1_000), Some(NOW.plus(HOLD))));
    assert_eq!(customer.change(Operation::Capture, 1, 700), Outcome::Captured { money: eur(700) });
    assert_eq!((customer.entry().captured, customer.entry().released), (700, 300));
    assert!(matches!(customer.change(Operation::Refund, 1, 200), Outcome::Refunded { money, .. } if money == eur(200)));
    assert!(
        matches!(customer.change(Operation::Refund, 2, 501), Outcome::RefundFailed { .. }),
        "never more than was taken"
    );
    assert!(
        matches!(customer.change(Operation::Void, 1, 1_000), Outcome::VoidFailed { .. }),
        "what is taken can only be given back"
    );
}

#[test]
fn a_key_is_done_once_and_answered_alike_and_refuses_other_parameters() {
    let mut customer = Customer::with(Token::Approved);
    let first = customer.authorize(1);
    assert_eq!(customer.authorize(1), first);
    assert_eq!(customer.look_up(Operation::Authorize, 1), first);
    assert_eq!(customer.book.payments.len(), 1);
    customer.change(Operation::Capture, 1, 700);
    assert_eq!(customer.change(Operation::Capture, 1, 700), Outcome::Captured { money: eur(700) });
    assert!(
        matches!(customer.change(Operation::Capture, 1, 701), Outcome::Errored { detail } if detail.contains("key"))
    );
    assert_eq!(customer.entry().captured, 700);
    assert_eq!(customer.look_up(Operation::Refund, 1), Outcome::NotFound);
}

#[test]
fn declines_leave_nothing_open_and_name_the_known_tokens_for_an_unknown_one() {
    for token in [Token::Declined, Token::InsufficientFunds] {
        let mut customer = Customer::with(token);
        assert!(matches!(customer.authorize(1), Outcome::Declined { .. }));
        assert_eq!((customer.entry().state, customer.entry().authorized), (EntryState::Declined, 0));
    }
    let mut customer = Customer::with(Token::Approved);
    customer.token = "visa".into();
    let Outcome::Declined { code, detail } = customer.authorize(1) else { panic!("an unknown token is declined") };
    assert_eq!(code, "invalid_payment_method");
    assert!(detail.contains("tok_approved"), "{detail}");
}

#[test]
fn a_challenge_is_decided_by_the_customer_and_by_the_bank() {
    let mut passes = Customer::with(Token::ThreeDsPasses);
    let Outcome::ActionRequired { url, .. } = passes.authorize(1) else { panic!("a challenge") };
    assert_eq!(url.unwrap(), format!("http://127.0.0.1:8082/payments/{ORDER}/three-d-secure"));
    let Ok(ActionResult::Passed { hold: Some(hold) }) = passes.act(true) else { panic!("passed") };
    assert_eq!((hold.money, hold.card.as_ref().unwrap().three_d_secure.clone()), (eur(1_000), Check::Pass));
    assert_eq!(passes.act(true), Ok(ActionResult::Passed { hold: Some(hold) }), "posted twice: told twice, held once");
    assert_eq!(passes.act(false), Err(EntryState::Authorized));
    assert!(
        matches!(passes.look_up(Operation::Authorize, 1), Outcome::Authorized(_)),
        "a look-up finds what became of it"
    );

    let mut fails = Customer::with(Token::ThreeDsFails);
    fails.authorize(1);
    assert!(matches!(fails.act(true), Ok(ActionResult::Failed { .. })), "the bank refuses");
    assert_eq!(fails.change(Operation::Void, 1, 0), Outcome::Voided { money: eur(0) });
    assert_eq!(fails.act(true), Err(EntryState::Cancelled), "nothing can happen to it any more");

    let mut abandoned = Customer::with(Token::ThreeDsAbandoned);
    abandoned.authorize(1);
    abandoned.act(true).unwrap();
    assert_eq!(
        abandoned.change(Operation::Void, 1, 0),
        Outcome::Voided { money: eur(1_000) },
        "EDGE 6: the late hold is let go, and told"
    );
}

#[test]
fn a_result_that_is_posted_before_the_payment_counts_when_it_comes() {
    for (token, passed, held) in
        [(Token::ThreeDsPasses, true, true), (Token::ThreeDsPasses, false, false), (Token::ThreeDsFails, true, false)]
    {
        let mut early = Customer::with(token);
        let kept = early.act(passed).unwrap();
        assert_eq!(matches!(kept, ActionResult::Passed { hold: None }), passed, "{kept:?}");
        let outcome = early.authorize(1);
        assert_eq!(matches!(outcome, Outcome::Authorized(_)), held, "{outcome:?}");
        assert_eq!(matches!(outcome, Outcome::Declined { .. }), !held, "{outcome:?}");
    }
}

#[test]
fn failing_tokens_fail_where_they_say() {
    let mut capture = Customer::with(Token::CaptureFails);
    capture.authorize(1);
    assert!(matches!(capture.change(Operation::Capture, 1, 1_000), Outcome::CaptureFailed { .. }));
    assert_eq!(capture.change(Operation::Void, 1, 1_000), Outcome::Voided { money: eur(1_000) });

    for (token, refused) in [(Token::VoidFailsOnce, 1), (Token::VoidFails, 5)] {
        let mut void = Customer::with(token);
        void.authorize(1);
        for attempt in 1..=refused {
            assert!(
                matches!(void.change(Operation::Void, attempt, 1_000), Outcome::VoidFailed { .. }),
                "attempt {attempt}"
            );
            assert!(
                matches!(void.change(Operation::Void, attempt, 1_000), Outcome::VoidFailed { .. }),
                "the same key, the same answer"
            );
        }
        assert_eq!(void.change(Operation::Void, refused + 1, 1_000), Outcome::Voided { money: eur(1_000) });
        assert_eq!(
            void.change(Operation::Void, refused + 2, 1_000),
            Outcome::Voided { money: eur(1_000) },
            "already cancelled: yes"
        );
    }

    let mut refund = Customer::with(Token::RefundFails);
    refund.authorize(1);
    refund.change(Operation::Capture, 1, 1_000);
    assert!(matches!(refund.change(Operation::Refund, 1, 400), Outcome::RefundFailed { .. }));
    assert_eq!(refund.entry().refunded, 0);
    assert!(matches!(refund.change(Operation::Refund, 2, 400), Outcome::Refunded { .. }));
}

#[test]
fn a_pending_refund_ends_by_its_webhook_or_after_a_while() {
    let pending = || {
        let mut customer = Customer::with(Token::RefundPending);
        customer.authorize(1);
        customer.change(Operation::Capture, 1, 1_000);
        let Outcome::RefundPending { refund_id, .. } = customer.change(Operation::Refund, 1, 1_000) else {
            panic!("pending")
        };
        (customer, refund_id)
    };
    let (mut customer, refund_id) = pending();
    assert!(matches!(customer.look_up(Operation::Refund, 1), Outcome::RefundPending { .. }));
    customer.now = NOW.plus(customer.settings.refund_settles_after.0);
    assert!(matches!(customer.look_up(Operation::Refund, 1), Outcome::Refunded { .. }));
    assert_eq!(customer.settle(&refund_id, false), Some(RefundStatus::Succeeded), "EDGE 5: what has ended stays so");

    let (mut customer, refund_id) = pending();
    assert_eq!(customer.settle(&refund_id, false), Some(not_given_back()));
    assert_eq!(customer.entry().refunded, 0, "it can be given back again");
    assert!(matches!(customer.look_up(Operation::Refund, 1), Outcome::RefundFailed { refund_id: Some(_), .. }));
    assert_eq!(customer.settle("re_unknown", true), None);
}

#[test]
fn lost_slow_and_spoilt_answers() {
    let mut lost = Customer::with(Token::AnswerLostOnce);
    assert!(matches!(lost.authorize(1), Outcome::Unknown { .. }));
    assert_eq!(lost.entry().authorized, 1_000, "EDGE 2: it was done");
    held(&lost.authorize(1));
    assert!(matches!(lost.change(Operation::Capture, 1, 1_000), Outcome::Unknown { .. }));
    assert_eq!(lost.look_up(Operation::Capture, 1), Outcome::Captured { money: eur(1_000) });
    assert_eq!(lost.book.payments.len(), 1);

    let mut slow = Customer::with(Token::Slow);
    let buyer = Buyer { customer_id: "anna".into(), payment_method: slow.token.clone() };
    let job = Job::Authorize { request: slow.request(Operation::Authorize, 1, 1_000), buyer };
    assert_eq!(slow.run(&job).1, Duration::from_secs(3));
    assert_eq!(slow.run(&job).1, Duration::ZERO, "asked again it knows at once");

    let mut spoilt = Customer::with(Token::Stored500);
    for _ in 0..2 {
        assert!(matches!(spoilt.authorize(1), Outcome::Errored { .. }), "EDGE 3: stored, and repeated");
    }
    assert_eq!(spoilt.look_up(Operation::Authorize, 1), Outcome::NotFound);
    held(&spoilt.authorize(2));
    assert!(matches!(spoilt.change(Operation::Capture, 1, 1_000), Outcome::Errored { .. }));
    assert_eq!(spoilt.change(Operation::Capture, 2, 1_000), Outcome::Captured { money: eur(1_000) });

    let mut silent = Customer::with(Token::NoAnswer);
    assert!(matches!(silent.authorize(1), Outcome::Unknown { .. }));
    assert!(matches!(silent.look_up(Operation::Authorize, 1), Outcome::Unknown { .. }));
    assert!(silent.book.payments.is_empty());
}

#[test]
fn wrong_amounts_and_currencies_are_what_the_provider_believes() {
    assert_eq!(held(&Customer::with(Token::WrongAmount).authorize(1)).money, eur(1_001));
    let mut wrong = Customer::with(Token::WrongCurrency);
    assert_eq!(held(&wrong.authorize(1)).money, Money { amount: 1_000, currency: Currency::USD });
    assert!(matches!(wrong.change(Operation::Void, 1, 0), Outcome::Voided { .. }));
}

#[test]
fn a_lapsed_hold_gives_nothing_and_can_still_be_let_go() {
    let mut customer = Customer::with(Token::Approved);
    customer.authorize(1);
    customer.now = NOW.plus(HOLD);
    assert!(
        matches!(customer.change(Operation::Capture, 1, 1_000), Outcome::CaptureFailed { code, .. } if code == "hold_lapsed")
    );
    assert_eq!(customer.change(Operation::Void, 1, 1_000), Outcome::Voided { money: eur(1_000) });
}

#[test]
fn each_customer_has_a_card_of_their_own_unless_the_token_names_one() {
    let card_of = |customer: &str, token: &str| {
        let mut book = Customer::with(Token::Approved);
        let buyer = Buyer { customer_id: customer.into(), payment_method: token.into() };
        let request = book.request(Operation::Authorize, 1, 1);
        held(&book.outcome(&Job::Authorize { request, buyer })).card.clone().unwrap()
    };
    assert_eq!(card_of("anna", "tok_approved"), card_of("anna", "tok_approved"));
    assert_ne!(card_of("anna", "tok_approved").fingerprint, card_of("bert", "tok_approved").fingerprint);
    assert_eq!(card_of("anna", "tok_approved:1").fingerprint, card_of("bert", "tok_checks_fail:1").fingerprint);
    let card = card_of("anna", "tok_checks_fail");
    assert_eq!((card.cvc_check, card.address_check, card.three_d_secure), (Check::Fail, Check::Fail, Check::Unchecked));
    assert_eq!(card.last4.unwrap().len(), 4);
}

proptest! {
    /// Whatever is asked, in whatever order and however often, the book stays true: `run` checks its amounts.
    #[test]
    fn no_order_of_calls_takes_more_than_is_held_or_gives_back_more_than_was_taken(
        token in proptest::sample::select(Token::ALL),
        calls in proptest::collection::vec((0..6_u8, 1..3_u32, 0..1_200_i64), 0..30),
    ) {
        let mut customer = Customer::with(token);
        customer.authorize(1);
        for (what, attempt, amount) in calls {
            match what {
                0 => { customer.authorize(attempt); }
                1 => { customer.change(Operation::Capture, attempt, amount); }
                2 => { customer.change(Operation::Void, attempt, amount); }
                3 => { customer.change(Operation::Refund, attempt, amount); }
                4 => { let _ = customer.act(amount % 2 == 0); }
                _ => { customer.settle(&refund_id(&key(Operation::Refund, attempt)), amount % 2 == 0); }
            }
        }
    }
}
