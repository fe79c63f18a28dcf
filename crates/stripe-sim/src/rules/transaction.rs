//! Movements of the account's balance.

use crate::effects::{RuleContext, RuleEffects};
use crate::id;
use crate::record::{BalanceTransactionRecord, PaymentRecord};

impl PaymentRecord {
    /// Books a movement; gives its id.
    pub(super) fn book(
        &mut self,
        (kind, reporting_category): (&str, &str),
        source: &str,
        (amount, fee): (i64, i64),
        context: RuleContext<'_>,
        effects: &mut RuleEffects,
    ) -> String {
        let moved = BalanceTransactionRecord {
            id: id::new("txn_"),
            created: context.seconds(),
            available_on: context.seconds() + context.settings.available_after,
            kind: kind.to_owned(),
            reporting_category: reporting_category.to_owned(),
            source: source.to_owned(),
            amount,
            fee,
            currency: self.currency.clone(),
        };
        let id = moved.id.clone();
        effects.created("balance_transaction", &id, None);
        effects.transactions.push(moved.clone());
        self.transactions.push(moved);
        id
    }
}
