//! Every cell of the table: state by input, duplicates and tombstones included.

mod built_in;
mod disputes;
mod ending;
mod house;
mod picking;
mod returns;
mod walks;
