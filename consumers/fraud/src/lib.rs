//! fraud: may an order whose money is held go on? Rules give points, and their sum is the score; what is neither cleared nor rejected by it a person
//! decides at the route `/reviews`, or the deadline, which rejects. An order is looked at and counted once, however often its events come.
#![allow(missing_docs)] // an inner crate: its names say it

mod counts;
mod decide;
mod http;
mod input;
mod restore;
mod row;
mod rules;
mod settings;
mod velocity;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

use events::{
    Event, FraudCleared, FraudRejected, FraudReviewRequested, OrderId, PaymentAuthorized, PaymentVoided, Timestamp,
};
use runtime::rows::Rows;
use runtime::settings::ConsumerSettings;
use runtime::{
    Codec, Conflict, Consumer, Effects, Failure, Loader, Message, Retention, Saver, Span, Timer, Unreadable, Work,
};

use crate::input::Reply;
use crate::velocity::Near;
pub use input::{Input, Ruling};
pub use row::BatchState;
pub use settings::{Fraud, FraudSettings, Limit, SubjectLimits, VelocitySettings, section};

impl Consumer for Fraud {
    const NAME: &'static str = "fraud";
    const TABLES: &'static [fn() -> Vec<String>] = &[<row::Assessment as runtime::rows::TableRow>::statements];
    type Input = Input;
    type BatchState = BatchState;
    type Reply = Reply;
    type Call = Infallible;

    fn subscribes_to() -> Vec<&'static str> {
        vec![PaymentAuthorized::TYPE, PaymentVoided::TYPE]
    }

    fn publishes() -> Vec<&'static str> {
        vec![FraudCleared::TYPE, FraudRejected::TYPE, FraudReviewRequested::TYPE]
    }

    /// As long as payments: who looks into a dispute asks what was thought of the order.
    fn defaults() -> ConsumerSettings {
        ConsumerSettings { keep: Some(Span::secs(180 * 24 * 3_600)), ..ConsumerSettings::default() }
    }

    fn migrations() -> sqlx::migrate::Migrator {
        sqlx::migrate!("../../migrations/fraud")
    }

    fn decode(&self, message: &Message, codec: &Codec) -> Result<Work<Input>, Unreadable> {
        let cause = message.cause()?;
        let input = match message.event_type() {
            Some(PaymentAuthorized::TYPE) => {
                let opened = self.authorized(message.read(codec)?);
                opened.map_err(|error| Unreadable(format!("personal data of {}: {error}", message.place())))?
            }
            Some(PaymentVoided::TYPE) => Input::Voided(message.read::<PaymentVoided>(codec)?.order_id),
            other => return Err(Unreadable(format!("fraud does not hear {other:?}, got it at {}", message.place()))),
        };
        Ok(Work { cause, input })
    }

    fn on_timer(&self, timer: &Timer) -> Input {
        Input::Deadline(timer.order_id) // the only timer there is
    }

    async fn load(&self, batch: &[&Work<Input>], loader: &mut Loader<'_>) -> Result<BatchState, Failure> {
        let orders = Rows::of_orders(loader, batch.iter().map(|work| work.input.order_id())).await?;
        let (now, window) = (loader.now, self.settings.velocity.window.0);
        let mut wanted = BTreeSet::new();
        for work in batch {
            if let Input::Authorized(new) = &work.input
                && orders.get(&new.event.order_id).is_none()
            {
                let near = Near::of(new.placed_at(now), window);
                wanted.extend(new.subjects.iter().map(|(_, subject)| (*subject, near)));
            }
        }
        let tallies = counts::tallies(loader.db, wanted, window).await?;
        Ok(BatchState { orders, tallies })
    }

    fn decide(
        &self,
        world: &mut BatchState,
        work: &Work<Input>,
        now: Timestamp,
        effects: &mut Effects<'_, Infallible>,
    ) -> Result<Reply, Conflict> {
        let mut step = decide::FraudStep { world, settings: &self.settings, now, effects };
        Ok(match &work.input {
            Input::Authorized(authorized) => step.authorized(authorized),
            Input::Voided(order_id) => step.voided(*order_id),
            Input::Ruled { order_id, ruling, by, note } => step.ruled(*order_id, *ruling, by, note.as_deref())?,
            Input::Deadline(order_id) => step.timed_out(*order_id),
        })
    }

    fn order(input: &Input) -> Option<OrderId> {
        Some(input.order_id())
    }

    fn retention(&self) -> Option<Retention> {
        Some(row::retention(counts::expiring(self.settings.velocity.kept_for())))
    }

    async fn save(&self, BatchState { orders, tallies }: BatchState, saver: &mut Saver<'_>) -> Result<(), Failure> {
        orders.save(saver);
        counts::save(&mut saver.writes, &tallies.counts());
        Ok(())
    }
}

pub fn document() -> serde_json::Value {
    http::routes().document("fraud")
}

/// Starts the consumer. Fails when its settings do not fit, or something that it needs is missing; the message says what to do.
pub fn start(host: &runtime::Host) -> runtime::Starting<'_> {
    Box::pin(async move {
        let fraud = Arc::new(Fraud::new(settings::read(host.settings())?)?);
        let pool = host.pool::<Fraud>()?;
        host.start(fraud, |door| http::routes().with_state(http::RouteState { door, pool })).await
    })
}
