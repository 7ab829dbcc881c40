//! For tests and rehearsals only: real servers, provider stand-ins, fixtures. Each module stands alone; this file
//! only lists them.

mod acceptor;
pub mod apns;
pub mod ca;
mod clock;
pub mod fcm;
pub mod postgres;
pub mod proxy;
pub mod redis;
pub mod smtp;
pub mod standins;
mod step;
pub mod webpush;

pub use acceptor::Connections;
pub use clock::WallClock;
