//! The tracker's routes. They read, but for deadlines that people move, and what people have done about dead letters.

mod actions;
mod alerts;
mod audit;
mod dead_letters;
mod deadlines;
mod fulfillment;
mod inventory;
mod jobs;
mod orders;
mod state;
mod stats;
mod views;
mod written;

use runtime::http::{Access, Role, Routes};
use utoipa_axum::routes;

pub(crate) use state::{ReadSettings, TrackerApi};
pub(crate) use views::{BesideSaga, EventView, OrderDetail, ToldDispute};

pub(crate) fn routes() -> Routes<TrackerApi> {
    let (look, act) = (Access::to(&[Role::Viewer]), Access::to(&[Role::Operator]));
    Routes::new()
        .route(look, routes!(orders::list))
        .route(look, routes!(orders::show))
        .route(look, routes!(orders::history))
        .route(look, routes!(inventory::list))
        .route(look, routes!(fulfillment::list))
        .route(look, routes!(dead_letters::list))
        .route(look, routes!(dead_letters::groups))
        .route(look, routes!(dead_letters::show))
        .route(act, routes!(actions::retry))
        .route(act, routes!(actions::skip))
        .route(act, routes!(actions::edit))
        .route(act, routes!(actions::compensate))
        .route(look, routes!(actions::list))
        .route(look, routes!(jobs::list))
        .route(act, routes!(jobs::begin))
        .route(look, routes!(jobs::show))
        .route(act, routes!(jobs::stop))
        .route(act, routes!(jobs::resume))
        .route(look, routes!(stats::show))
        .route(look, routes!(deadlines::list))
        .route(act, routes!(deadlines::shift))
        .route(look, routes!(alerts::list))
        .route(look, routes!(audit::show))
}
