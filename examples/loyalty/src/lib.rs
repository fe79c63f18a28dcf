//! loyalty: points for what was paid. The example of docs/adding-a-consumer.md: a consumer of one's own.

mod decide;
mod http;
mod row;

use std::convert::Infallible;
use std::sync::Arc;

use events::{Event as _, OrderCompleted, OrderId, PaymentCaptured, PaymentRefunded, Timestamp};
use runtime::rows::{Rows, Select, TableRow as _};
use runtime::settings::Section;
use runtime::{
    Codec, Conflict, Consumer, Effects, Failure, Loader, Message, Retention, Saver, Span, Timer, Unreadable, Work,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use decide::Input;
use row::{Account, BatchState, OrderPoints};

/// The consumer, which is all that can be set of it: the section `loyalty`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Loyalty {
    /// How long after an order's completion its points can be spent.
    pub spendable_after: Span,
}

impl Default for Loyalty {
    fn default() -> Self {
        Self { spendable_after: Span::secs(14 * 24 * 3_600) }
    }
}

impl Consumer for Loyalty {
    const NAME: &'static str = "loyalty";
    const TABLES: &'static [fn() -> Vec<String>] = &[OrderPoints::statements, Account::statements];
    type Input = Input;
    type BatchState = BatchState;
    type Reply = ();
    type Call = Infallible;

    fn subscribes_to() -> Vec<&'static str> {
        vec![PaymentCaptured::TYPE, PaymentRefunded::TYPE, OrderCompleted::TYPE]
    }

    fn publishes() -> Vec<&'static str> {
        Vec::new()
    }

    fn migrations() -> sqlx::migrate::Migrator {
        sqlx::migrate!("./migrations")
    }

    fn decode(&self, message: &Message, codec: &Codec) -> Result<Work<Input>, Unreadable> {
        let input = match message.event_type() {
            Some(PaymentCaptured::TYPE) => {
                let event: PaymentCaptured = message.read(codec)?;
                Input::Captured(event.order_id, event.amount)
            }
            Some(PaymentRefunded::TYPE) => {
                let event: PaymentRefunded = message.read(codec)?;
                Input::Refunded(event.order_id, event.amount)
            }
            _ => {
                let event: OrderCompleted = message.read(codec)?;
                Input::Completed(event.order_id, event.customer_id.0, event.currency)
            }
        };
        Ok(Work { cause: message.cause()?, input })
    }

    fn on_timer(&self, timer: &Timer) -> Input {
        Input::Matured(timer.order_id) // the only timer there is
    }

    /// The orders of a batch, then the accounts that they share.
    async fn load(&self, batch: &[&Work<Input>], loader: &mut Loader<'_>) -> Result<BatchState, Failure> {
        let orders = Rows::<OrderPoints>::of_orders(loader, batch.iter().map(|work| work.input.order_id())).await?;
        let mut ids = Vec::from_iter(orders.iter().filter_map(|(_, row)| Some(row.customer.as_ref()?.0.clone())));
        for work in batch {
            if let Input::Completed(_, customer_id, _) = &work.input {
                ids.push(customer_id.clone());
            }
        }
        let accounts = Rows::load(loader, Select::filter("customer_id = any($1)").bind(ids)).await?;
        Ok(BatchState { orders, accounts })
    }

    fn decide(
        &self,
        world: &mut BatchState,
        work: &Work<Input>,
        now: Timestamp,
        effects: &mut Effects<'_, Infallible>,
    ) -> Result<(), Conflict> {
        decide::decide(world, &work.input, self.spendable_after.0, now, effects);
        Ok(())
    }

    fn order(input: &Input) -> Option<OrderId> {
        Some(input.order_id())
    }

    /// Orders are forgotten unless their timer is still to come; accounts stay.
    fn retention(&self) -> Option<Retention> {
        let (rows, ended) = (OrderPoints::TABLE, "customer_id is null or is_spendable");
        Some(Retention { rows, ended, changed_at: "changed_at", ..Retention::default() })
    }

    async fn save(&self, BatchState { orders, accounts }: BatchState, saver: &mut Saver<'_>) -> Result<(), Failure> {
        orders.save(saver);
        accounts.save(saver);
        Ok(())
    }
}

/// What can be set of loyalty.
pub fn section() -> Section {
    Section::consumer(Loyalty::NAME, &Loyalty::defaults()).with(&Loyalty::default())
}

/// The OpenAPI document of its routes.
pub fn document() -> serde_json::Value {
    http::routes().document(Loyalty::NAME)
}

/// Starts the consumer and opens its routes.
///
/// # Errors
/// When its settings do not fit, or something that it needs is missing; the message says what to do.
pub fn start(host: &runtime::Host) -> runtime::Starting<'_> {
    Box::pin(async move {
        host.settings().refuse_unknown(&section())?;
        let (loyalty, pool) = (host.settings().section::<Loyalty>(Loyalty::NAME)?, host.pool::<Loyalty>()?);
        host.start(Arc::new(loyalty), |_| http::routes().with_state(pool)).await
    })
}
