//! Read your own writes: a read that names the position that a write answered with waits until that write is folded, up to a limit.
//!
//! A position is a place in an outbox, and what was said before it may come later: it stood on another topic. So what is waited for is the event
//! at that very position, which the store keeps; of a stock level, whose events are all in one partition, the level's own position.

use std::time::Duration;

use axum::http::StatusCode;
use events::OrderId;
use runtime::Failure;
use runtime::http::Problem;
use tokio::time::Instant;

use super::state::{TrackerApi, failed};
use crate::store;

/// Between two looks, the first time; then twice as long each time.
const FIRST_LOOK: Duration = Duration::from_millis(10);
const LAST_LOOK: Duration = Duration::from_millis(160);

fn position(asked: &str) -> Result<i64, Problem> {
    asked.parse().ok().filter(|position| *position > 0).ok_or_else(|| {
        let detail = format!("`position`: expected the `position` that a write answered with, such as 00000000000000001042; got {asked:?}");
        Problem::new(StatusCode::BAD_REQUEST, "Unreadable position").detail(detail)
    })
}

/// Waits until the event at this position of an order is folded.
pub(super) async fn of_order(api: &TrackerApi, order_id: OrderId, asked: Option<&str>) -> Result<(), Problem> {
    let Some(asked) = asked else { return Ok(()) };
    let position = position(asked)?;
    wait(api, position, || store::folded(&api.pool, order_id, position)).await
}

/// Waits until this level is as it was said at this position, or later.
pub(super) async fn of_level(
    api: &TrackerApi,
    sku: Option<&str>,
    warehouse: Option<&str>,
    asked: Option<&str>,
) -> Result<(), Problem> {
    let Some(asked) = asked else { return Ok(()) };
    let position = position(asked)?;
    let (Some(sku), Some(warehouse)) = (sku, warehouse) else {
        let detail = "`position` is waited for at one level: expected `sku` and `warehouse` beside it";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "Unreadable position").detail(detail));
    };
    let look = || async {
        let reached = store::level_position(&api.pool, sku, warehouse).await?;
        Ok((reached >= Some(position), reached))
    };
    wait(api, position, look).await
}

/// Looks again and again: whether it is folded, and how far what was asked for has come.
async fn wait<F>(api: &TrackerApi, position: i64, look: impl Fn() -> F + Send + Sync) -> Result<(), Problem>
where
    F: Future<Output = Result<(bool, Option<i64>), Failure>> + Send,
{
    let until = Instant::now() + api.reads.position_timeout.0;
    let mut pause = FIRST_LOOK;
    loop {
        let (folded, reached) = look().await.map_err(failed)?;
        if folded {
            return Ok(());
        }
        if Instant::now() >= until {
            return Err(late(position, reached));
        }
        tokio::time::sleep(pause.min(until - Instant::now())).await;
        pause = (pause * 2).min(LAST_LOOK);
    }
}

fn late(position: i64, reached: Option<i64>) -> Problem {
    let shown = |position: i64| format!("{position:020}");
    let far = match reached {
        Some(seq) => format!("the latest heard of it is {}", shown(seq)),
        None => "nothing was heard of it yet".to_owned(),
    };
    let detail = format!(
        "position {} is not in this read model yet, {far}: ask again; GET /stats says how far all of it is",
        shown(position)
    );
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Not yet")
        .detail(detail)
        .with("position", shown(position))
        .with("reached", reached.map(shown))
        .retry_after(1)
}
