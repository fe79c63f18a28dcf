//! The whole pipeline, on the real parts: one binary, many modules, side by side.

#![allow(clippy::unwrap_used)] // a test that has not what it needs fails

mod cases;
mod compensation;
mod crash;
mod duplicates;
mod happy_path;
mod intake;
mod model;
mod operator;
mod parking;
mod poison;
mod rebalance;
mod relay;
mod replay;
mod topology;
