//! What becomes of a return that was received (–: nothing):
//!
//! | | to be refunded | not to be refunded |
//! |---|---|---|
//! | not decided yet | a refund of the units that came, of what is left: **RefundRequested**; nothing is left: – | – |
//! | decided | – | – |
//!
//! What disputes have withdrawn is not left either: it is owed to the return, and a person's case once it is reinstated.
//! A refund that a person asked for comes first: what it gave back, or will, is not left. Each return is decided once, so that a replay after such a refund
//! failed pays nothing.

use events::{RefundId, ReturnReceived, derive_id};
use runtime::{Conflict, Effects};

use super::DecisionContext;
use crate::batch::BatchState;
use crate::call::Call;
use crate::payment::State;
use crate::refunds::{Asked, CustomerRefund, RefundAttempt, RefundData};

impl DecisionContext<'_> {
    /// Fails when the payment is not known, or more came back than shipped, as far as payments knows.
    pub(super) fn returned(
        self,
        world: &mut BatchState,
        event: &ReturnReceived,
        effects: &mut Effects<'_, Call>,
    ) -> Result<(), Conflict> {
        let ReturnReceived { order_id, return_id, lines, refund, reason, .. } = event;
        if !refund {
            return Ok(());
        }
        let Some(payment) = world.payment(*order_id).filter(|payment| payment.state != State::New) else {
            return Err(Conflict(format!(
                "return {return_id} of order {order_id} was received: expected an order whose payment is known, got another: pay back by hand"
            )));
        };
        if payment.case.returns.contains_key(return_id) {
            return Ok(());
        }
        let refund_id = RefundId(derive_id(order_id, "fulfillment", "return", &return_id.to_string()));
        let (amount, cut, lines) = match world.refunds.get(&refund_id) {
            Some(known) => (known.amount, 0, None), // told again after a restore
            None => {
                let (amount, cut, lines) = world.room(*order_id, payment).of_return(*return_id, lines)?;
                (amount, cut, Some(lines))
            }
        };
        let payment = world.payment_mut(*order_id).0;
        payment.case.returns.insert(*return_id, amount);
        // Owed once the disputes' money is here again.
        payment.case.owed_to_returns += cut.min(payment.disputed);
        let Some(lines) = lines.filter(|_| amount > 0) else { return Ok(()) };
        let asked = Asked::Lines(lines.iter().map(|line| (line.sku.to_string(), line.quantity)).collect());
        let data = RefundData {
            asked,
            lines,
            reason: reason.clone(),
            requested_by: format!("return:{return_id}"),
            requested_at: self.now,
            attempt: RefundAttempt::new(self.now),
            detail: None,
        };
        self.refund_opened(world, refund_id, CustomerRefund { order_id: *order_id, amount, data }, effects)
    }
}
