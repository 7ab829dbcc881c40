//! One process of the generator: some thousand clients on one thread, which reads with epoll into one buffer, and looks
//! for marks without parsing what is around them: receiving has to cost far less than sending.
//!
//! It takes its order from the first line of its standard input and commands from the others, and answers each with a
//! line of JSON. It ends with its input.

mod book;
mod client;
mod engine;
mod order;
mod wires;

pub(crate) use book::Latencies;
pub(crate) use engine::run;
pub(crate) use order::{Ask, Order, Outcome, Status, Token};
pub(crate) use wires::{Wire, hs256};
