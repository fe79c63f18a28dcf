//! Events of orders that are older than the horizon and forgotten: they are not decided.

use events::{OrderId, Timestamp};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::consumer::Consumer;
use crate::engine::Engine;
use crate::engine::batch::Attempt;
use crate::engine::item::BatchItem;
use crate::failure::Failure;
use crate::kafka::record::Message;
use crate::vocabulary::Origin;

impl<C: Consumer> Engine<C> {
    /// Passes over the events of orders that are older than the horizon and have no row. Asks the database only where an order is that old.
    pub(crate) async fn pass_over(
        &self,
        db: &mut PgConnection,
        items: &[BatchItem<C>],
        attempt: &mut Attempt<C>,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let Some(horizon) = &self.horizon else { return Ok(()) };
        let oldest = horizon.oldest(now);
        let old: Vec<(usize, OrderId, Timestamp)> = items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| {
                let work = item.to_decide().filter(|work| work.cause.origin == Origin::Topic)?;
                let order_id = C::order(&work.input).filter(|order_id| *order_id < oldest)?;
                Some((index, order_id, order_id.minted_at()?))
            })
            .collect();
        if old.is_empty() {
            return Ok(());
        }
        let orders: Vec<Uuid> = old.iter().map(|(_, order_id, _)| order_id.as_uuid()).collect();
        let known = horizon.known(db, &orders).await?;
        for (index, order_id, minted_at) in old {
            if !known.contains(&order_id.as_uuid()) {
                let said_at = items[index].message.as_ref().and_then(Message::said_at);
                attempt.pass_over(index, horizon.passed_over(C::NAME, order_id, minted_at, said_at));
            }
        }
        Ok(())
    }
}
