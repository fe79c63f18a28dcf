//! Messages told again after a restore: what went out follows from what was consumed, and is not sent again.

use runtime::restore::Restore;

use crate::settings::Notifications;

impl Restore for Notifications {}
