//! Reads and checks `topics.yaml`, and draws it. No I/O: the file is compiled in, or its text is passed in.

mod asyncapi;
#[cfg(test)]
mod broken;
mod check;
mod code;
mod evolution;
mod flow;
mod graph;
mod model;
mod ordered;
mod problem;
mod schema_rules;
mod topics;

pub use asyncapi::asyncapi;
pub use check::check;
pub use code::check_says;
pub use evolution::check_evolution;
pub use graph::graph;
pub use model::{
    Choreography, EventRules, Holds, Owner, ParseError, Program, TerminalStatus, Topic, TopicProfile, Within,
};
pub use ordered::Ordered;
pub use problem::RuleBreach;
pub use topics::{TopicSettings, subject};
