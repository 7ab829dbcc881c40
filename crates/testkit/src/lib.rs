//! For tests only: servers, provider stand-ins, fixtures. Each module stands alone; this file only lists them.

pub mod postgres;
pub mod proxy;
pub mod redis;
