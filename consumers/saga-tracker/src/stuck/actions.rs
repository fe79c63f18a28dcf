//! What a person may do for a stuck order now, each with what to type or which route to call.

use deadlines::Judged;
use events::{
    AllowedAction, Event as _, FraudReviewRequested, OrderCancellationRequested, PaymentRefundFailed, PaymentRefunded,
    PaymentVoided,
};

use super::file::CaseFile;

pub(super) fn actions(case: &CaseFile, judged: &Judged<'_>) -> Vec<AllowedAction> {
    let order = case.order.order_id;
    let awaits = |event_type: &str| judged.answers.iter().any(|answer| answer.rule.event_type == event_type);
    let gives_back = [PaymentVoided::TYPE, PaymentRefunded::TYPE];
    let owes_money = judged.answers.iter().any(|answer| {
        answer.rule.consumer == "payments" && answer.rule.answers.iter().any(|of| gives_back.contains(of))
    });
    let has_letters = !case.dead_letters.is_empty();
    let all = [
        (true, "wait", format!("quadrille deadlines move {order} --until TIME --by YOU --why TEXT")),
        (
            !case.has(OrderCancellationRequested::TYPE),
            "cancel",
            format!("POST /orders/{order}/cancel at orders: what was begun is taken back"),
        ),
        (
            has_letters,
            "retry_dead_letter",
            format!("quadrille dead-letters retry --order {order}, once the cause is mended"),
        ),
        (has_letters, "skip_dead_letter", format!("quadrille dead-letters skip --order {order} --why TEXT")),
        (
            owes_money || awaits(PaymentRefundFailed::TYPE),
            "retry_payment",
            format!("POST /payments/{order}/retry at payments"),
        ),
        (awaits(FraudReviewRequested::TYPE), "decide_review", format!("POST /reviews/{order}/verdict at fraud")),
    ];
    let allowed = all.into_iter().filter(|(allowed, _, _)| *allowed);
    allowed.map(|(_, action, how)| AllowedAction { action: action.to_owned(), how }).collect()
}
