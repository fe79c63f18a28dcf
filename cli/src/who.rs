//! Who asks: what is done by hand is kept with a name.

use std::process::Command;

use anyhow::Context as _;

/// The name that was given, else the one that the system knows.
pub fn asks(given: Option<String>) -> anyhow::Result<String> {
    let given = given.filter(|name| !name.is_empty()).or_else(logged_in);
    given.context("expected --by with your name, which is kept with what you do: the system does not know it")
}

/// A container knows its user, but has no `USER`.
fn logged_in() -> Option<String> {
    let output = Command::new("id").arg("-un").output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned()).filter(|name| !name.is_empty())
}
