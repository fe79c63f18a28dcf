//! Messages told again after a restore: what went out follows from what was heard, and is not sent again.

use runtime::restore::{Restore, RetoldEvent};
use runtime::{Conflict, Effects};

use crate::input::Input;
use crate::row::BatchState;
use crate::sent_log::SentLog;
use crate::settings::Notifications;

impl Restore for Notifications {
    const FORCED: &'static [&'static str] = &[];

    fn retell(
        &self,
        _: &mut BatchState,
        event: &RetoldEvent<'_, Input>,
        _: &mut Effects<'_, SentLog>,
    ) -> Result<(), Conflict> {
        Err(event.untold())
    }
}
