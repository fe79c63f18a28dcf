//! Whatever is done to a payment, in whatever order, its money adds up.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::audit::{LedgerRow, audit};
use crate::card::{PaymentMethodRecord, TEST_CARDS};
use crate::effects::{LedgerEntry, RuleContext, RuleEffects};
use crate::record::{PaymentRecord, SimulatedRefundState};
use crate::settings::SimSettings;

fn parameters<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn method(card: usize) -> PaymentMethodRecord {
    let card = &TEST_CARDS[card % TEST_CARDS.len()];
    PaymentMethodRecord {
        id: "pm_1".into(),
        card: card.token.into(),
        livemode: false,
        created: 0,
        customer: None,
        set_up: false,
        used_by: None,
    }
}

struct Fixture {
    settings: SimSettings,
    now: i64,
    payment: PaymentRecord,
    ledger: Vec<LedgerRow>,
    events: usize,
}

impl Fixture {
    fn new(manual: bool) -> Self {
        let settings = SimSettings::default();
        let context = RuleContext { now: 1_000, settings: &settings, public_url: "http://127.0.0.1" };
        let capture = if manual { "manual" } else { "automatic" };
        let new = parameters(
            json!({"amount": 1_000, "currency": "eur", "capture_method": capture, "allowed_payment_method_types": ["card"]}),
        );
        let payment = PaymentRecord::create(&new, false, context, &mut RuleEffects::default()).unwrap();
        Self { settings, now: 1_000, payment, ledger: Vec::new(), events: 0 }
    }

    /// Does one thing; whether it was refused.
    fn act(&mut self, what: u8, amount: i64) -> bool {
        self.now += i64::from(what) * 3_600_000;
        let settings = self.settings.clone();
        let context = RuleContext { now: self.now, settings: &settings, public_url: "http://127.0.0.1" };
        let (payment, mut effects) = (&mut self.payment, RuleEffects::default());
        let before = payment.clone();
        let last = |ids: Vec<String>| ids.last().cloned().unwrap_or_default();
        let (refund, dispute) = (
            last(payment.refunds.iter().map(|refund| refund.id.clone()).collect()),
            last(payment.disputes.iter().map(|dispute| dispute.id.clone()).collect()),
        );
        let charge = payment.successful_charge().map(|charge| charge.id.clone()).unwrap_or_default();
        let fx = &mut effects;
        let confirm: ConfirmParameters = parameters(json!({"return_url": "https://shop.example"}));
        let refused = match what {
            0 | 1 => payment.confirm(&confirm, Some(method(usize::try_from(amount).unwrap())), context, fx).is_err(),
            2 => payment.act(ActionOutcome::Pass, context, fx).is_err(),
            3 => payment.act(ActionOutcome::Fail, context, fx).is_err(),
            4 | 5 => payment.capture(&parameters(json!({"amount_to_capture": amount})), context, fx).is_err(),
            6 => payment.cancel(None, context, fx).is_err(),
            7 | 8 => payment.refund(&RefundParameters::of_amount(Some(amount)), context, fx).is_err(),
            9 => {
                payment.settle_refund(&refund, context, fx);
                false
            }
            10 => {
                payment.fail_refund(&refund, (SimulatedRefundState::Failed, "unknown"), context, fx);
                false
            }
            11 => payment
                .open_dispute(&NewDispute { amount: Some(amount), ..NewDispute::default() }, context, fx)
                .is_err(),
            12 => payment.open_dispute(&NewDispute { inquiry: true, ..NewDispute::default() }, context, fx).is_err(),
            13 => payment.escalate_dispute(&dispute, context, fx).is_err(),
            14 => {
                payment.decide_dispute(&dispute, amount % 2 == 0, context, fx);
                false
            }
            15 => payment.close_dispute(&dispute, context, fx).is_err(),
            16 => payment
                .update_dispute(&dispute, &parameters(json!({"evidence": {"uncategorized_text": "a"}})), context, fx)
                .is_err(),
            17 => {
                payment.expire_hold(&charge, context, fx);
                false
            }
            18 => {
                payment.roll_back("payment_intents.confirm", &payment.id.clone(), context, fx);
                false
            }
            19 => {
                payment.roll_back("payment_intents.capture", &payment.id.clone(), context, fx);
                false
            }
            20 => {
                payment.roll_back("refunds.create", &refund, context, fx);
                false
            }
            _ => {
                payment.warn_of_fraud(context, fx);
                false
            }
        };
        if refused {
            // The caller writes nothing.
            assert!(effects.ledger.is_empty() && effects.events.is_empty(), "{what}: a refusal has effects");
            self.payment = before;
        } else {
            let rows = effects.ledger.iter().map(|(entry, _, amount)| LedgerRow {
                payment_id: self.payment.id.clone(),
                entry: *entry,
                amount: *amount,
            });
            self.ledger.extend(rows);
            self.events += effects.events.len();
        }
        refused
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn money_adds_up_in_any_order_of_events(manual in any::<bool>(), acts in prop::collection::vec((0_u8..22, 1_i64..1_100), 1..40)) {
        let mut fixture = Fixture::new(manual);
        for (what, amount) in acts {
            fixture.act(what, amount);
            let report = audit(std::slice::from_ref(&fixture.payment), &fixture.ledger, None);
            prop_assert!(report.ok, "{:?}", report.violations);
        }
        let holds = fixture.payment.charges.iter().filter(|charge| charge.succeeded && !charge.released).count();
        prop_assert!(holds <= 1, "a payment makes one successful charge at a time");
    }
}

#[test]
fn the_walk_reaches_captures_refunds_disputes_and_roll_backs() {
    let mut fixture = Fixture::new(true);
    // Confirmed with a Visa card, captured in part, refunded, the refund fails, disputed, won, and refunded again.
    for (what, amount) in [(0, 0), (4, 900), (7, 300), (10, 1), (11, 500), (14, 2), (7, 200)] {
        assert!(!fixture.act(what, amount), "{what}");
    }
    let report = audit(std::slice::from_ref(&fixture.payment), &fixture.ledger, None);
    let sums = &report.currencies["eur"];
    assert_eq!((sums.held, sums.captured, sums.refunded, sums.disputed), (0, 900, 200, 0));
    assert!(fixture.events > 10);
    let mut undone = Fixture::new(true);
    for (what, amount) in [(0, 0), (4, 400), (19, 1), (4, 1_000)] {
        assert!(!undone.act(what, amount), "{what}");
    }
    assert_eq!(undone.payment.captured(), 1_000);
}

#[test]
fn the_audit_finds_what_is_planted() {
    let mut fixture = Fixture::new(true);
    fixture.act(0, 0);
    let id = fixture.payment.id.clone();
    let row = |entry, amount| LedgerRow { payment_id: id.clone(), entry, amount };
    let found =
        |rows: &[LedgerRow], group| audit(std::slice::from_ref(&fixture.payment), rows, group).violations.join("; ");
    let good = fixture.ledger.clone();
    assert_eq!(found(&good, None), "");
    let with = |more: LedgerRow| [good.clone(), vec![more]].concat();
    assert!(found(&with(row(LedgerEntry::Hold, 1_000)), None).contains("more is held and captured than its amount"));
    assert!(found(&with(row(LedgerEntry::Capture, 1_001)), None).contains("less than nothing"));
    assert!(found(&with(row(LedgerEntry::Refund, 1)), None).contains("more was refunded and disputed than captured"));
    assert!(found(&[], None).contains("by its objects"));
    assert!(
        found(&with(LedgerRow { payment_id: "pi_other".into(), entry: LedgerEntry::Hold, amount: 1 }), None)
            .contains("no payment")
    );
    // An order that is held twice.
    let mut other = fixture.payment.clone();
    other.id = "pi_2".into();
    let both: Vec<PaymentRecord> = [fixture.payment.clone(), other]
        .into_iter()
        .map(|mut payment| {
            payment.metadata.insert("order_id".into(), "7".into());
            payment
        })
        .collect();
    let rows = [
        row(LedgerEntry::Hold, 1_000),
        LedgerRow { payment_id: "pi_2".into(), entry: LedgerEntry::Hold, amount: 1_000 },
    ];
    assert!(audit(&both, &rows, None).ok);
    assert!(
        audit(&both, &rows, Some("order_id")).violations[0].contains("order_id 7: money of several payments at once")
    );
}
