//! The whole pipeline, on the real parts: one binary, many modules, side by side.

#![allow(clippy::unwrap_used)] // a test that has not what it needs fails

mod audit;
mod cases;
mod causation;
mod compensation;
mod crash;
mod databases;
mod deadline;
mod doors;
mod duplicates;
mod figures;
mod foreign_records;
mod front_door;
mod happy_path;
mod harness;
mod horizon;
mod intake;
mod loyalty;
mod model;
mod operator;
mod parking;
mod parts;
mod plans;
mod poison;
mod prepaid;
mod races;
mod rebalance;
mod rebuild;
mod reconcile;
mod refunds;
mod relay;
mod replay;
mod restore;
mod returns;
mod settings;
mod statements;
mod stress;
mod stripe;
mod stuck;
mod topology;
mod upgrade;
