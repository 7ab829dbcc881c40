//! Pusher's protocol against its golden files, and against bytes of any kind.

mod arbitrary;
mod golden;
