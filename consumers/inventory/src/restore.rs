//! Reservations told again after a restore, and the levels of stock: as topics have them.

use std::convert::Infallible;

use events::{
    Event as _, OrderId, ReservationExpired, Sku, StockLevelChanged, StockReallocated, StockRejected, StockReserved,
    StockReturned, Timestamp, WarehouseId,
};
use runtime::restore::{Restore, RetoldEvent};
use runtime::sql::Timestamptz;
use runtime::{Conflict, Effects, Failure};
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use crate::batch::BatchState;
use crate::decide::{self, Decision, carry_out};
use crate::input::Input;
use crate::reservation::{Reservation, State};
use crate::settings::Inventory;
use crate::stock::{Level, LevelChange};

/// Units of a level that is not known yet: movements are told again one by one, the level is set in the end.
const PLENTY: i64 = 1 << 50;

impl Restore for Inventory {
    const FORCED: &'static [&'static str] =
        &[StockReserved::TYPE, StockRejected::TYPE, StockReallocated::TYPE, StockReturned::TYPE];

    fn ready(&self, world: &mut BatchState, order_id: OrderId) {
        let holdings = world.order(order_id).map(|row| row.holdings.clone()).unwrap_or_default();
        holdings.iter().for_each(|holding| suppose(world, &holding.sku, &holding.warehouse));
    }

    fn retell(
        &self,
        world: &mut BatchState,
        event: &RetoldEvent<'_, Input>,
        effects: &mut Effects<'_, Infallible>,
    ) -> Result<(), Conflict> {
        let order_id = event.order_id;
        let known = world.order(order_id);
        let decision = match event.told.event_type() {
            StockReserved::TYPE if known.is_none() => Some(reserved(&event.read()?, event.input, effects)),
            StockRejected::TYPE if known.is_none() => {
                let StockRejected { reason, .. } = event.read()?;
                let order = Reservation::without_stock(State::Rejected, reason, effects.thread());
                Some(Decision { order, changes: Vec::new(), emit: None })
            }
            StockRejected::TYPE => known.map(|known| {
                let order = Reservation { state: State::Rejected, ..known.clone() };
                Decision { order, changes: Vec::new(), emit: None }
            }),
            StockReallocated::TYPE => {
                let Some(Input::ShortPicked(short)) = event.input else { return Err(event.untold()) };
                decide::reallocated(known, short, &event.read()?)?
            }
            StockReturned::TYPE => {
                let StockReturned { return_id, lines, .. } = event.read()?;
                decide::returned(known, order_id, return_id, &lines)?
            }
            ReservationExpired::TYPE => decide::expired(known, order_id),
            _ => return Err(event.untold()),
        };
        let Some(decision) = decision else { return Ok(()) };
        for change in &decision.changes {
            suppose(world, &change.sku, &change.warehouse);
        }
        carry_out(world, order_id, decision, effects)
    }
}

fn suppose(world: &mut BatchState, sku: &Sku, warehouse: &WarehouseId) {
    if world.stock.level(sku, warehouse).is_none() {
        let (on_hand, reserved) = (PLENTY, PLENTY / 2);
        let level = Level { on_hand, reserved, version: 1, stored: 1, ..Level::default() };
        world.stock.put(sku.clone(), warehouse.clone(), level);
    }
}

fn reserved(event: &StockReserved, input: Option<&Input>, effects: &Effects<'_, Infallible>) -> Decision {
    let country = match input {
        Some(Input::Accepted(accepted)) => accepted.ship_to_country.clone(),
        Some(_) | None => String::new(), // a replacement then comes from anywhere
    };
    let order = Reservation::of_plan(&event.plan, event.expires_at, country, effects.thread());
    let changes =
        event.plan.iter().map(|held| LevelChange::reserved(&held.sku, &held.warehouse, held.quantity)).collect();
    Decision { order, changes, emit: None }
}

/// Sets the levels to what the topic has, where that is newer, and notes in the ledger what orders do not explain. Says what came in or was counted
/// that only people know of.
pub async fn restore_levels(
    db: &mut PgConnection,
    levels: &[StockLevelChanged],
    now: Timestamp,
) -> Result<Vec<String>, Failure> {
    let warehouses: Vec<&str> = levels.iter().map(|level| level.warehouse.as_str()).collect();
    let unknown: Vec<String> = sqlx::query_scalar(
        "insert into inventory.warehouse (warehouse, name, priority, country)
         select distinct of, of, 1000, '' from unnest($1::text[]) as of on conflict do nothing returning warehouse",
    )
    .bind(warehouses)
    .fetch_all(&mut *db)
    .await?;
    let known = sqlx::query(
        "insert into inventory.stock_level as kept (sku, warehouse, version, on_hand, reserved, missing)
         select distinct on (sku, warehouse) * from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
                as told (sku, warehouse, version, on_hand, reserved, missing) order by sku, warehouse, version desc
         on conflict (sku, warehouse) do update set version = excluded.version, on_hand = excluded.on_hand, reserved = excluded.reserved,
                missing = excluded.missing
          where kept.version < excluded.version",
    );
    runtime::bind_columns!(known; for level in levels =>
        level.sku.as_str(), level.warehouse.as_str(), level.version, level.on_hand, level.reserved, level.missing)
    .execute(&mut *db)
    .await?;
    let rows = sqlx::query(
        "with noted as (
             insert into inventory.movement (sku, warehouse, kind, on_hand, reserved, missing, order_id, cause_id, moved_at)
             select sku, warehouse, 'counted', on_hand, 0, missing, null, $1, $2 from inventory.unexplained where on_hand <> 0 or missing <> 0
             returning 1)
         select sku, warehouse, on_hand::int8, reserved::int8, missing::int8 from inventory.unexplained, (select count(*) from noted) done order by 1, 2",
    )
    .bind(Uuid::nil())
    .bind(Timestamptz(now))
    .fetch_all(db)
    .await?;
    let is_new = |warehouse: String| {
        format!("warehouse {warehouse} is new: say its name, priority and country again (PUT /warehouses/{warehouse})")
    };
    let mut notes: Vec<String> = unknown.into_iter().map(is_new).collect();
    for row in rows {
        let (sku, warehouse): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
        let (on_hand, reserved, missing): (i64, i64, i64) = (row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
        if on_hand != 0 || missing != 0 {
            notes.push(format!(
                "{sku} in {warehouse}: {on_hand:+} on hand and {missing:+} missing by deliveries and counts, noted as counted: do not book those deliveries again"
            ));
        }
        if reserved != 0 {
            notes.push(format!(
                "{sku} in {warehouse}: {reserved:+} units are reserved that no order explains: see the orders that are left"
            ));
        }
    }
    Ok(notes)
}
