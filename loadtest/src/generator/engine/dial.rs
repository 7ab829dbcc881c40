//! How clients get their sockets.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with, sockopt};
use socket2::SockRef;

use super::Engine;
use crate::generator::client::{Client, Stage};
use crate::machine::now_ns;

/// Connections from one source address, and the first port of theirs: far fewer than there are, so that none is sought.
const PORTS_PER_SOURCE: u32 = 20_000;
const PORT_FIRST: u32 = 20_000;
/// How often a port that somebody has is passed over.
const PORT_ATTEMPTS: u32 = 64;
/// Segment size and receive buffer of a client that will not read: what is on its way to it is to be little.
const STALLED_SEGMENT_BYTES: u32 = 1_000;
const STALLED_BUFFER_BYTES: usize = 4_096;

impl Engine {
    pub(super) fn dial_some(&mut self) {
        let now = now_ns();
        while self.under_way < self.order.in_flight {
            let Some((_, local)) = self.to_dial.pop_front_if(|(due_ns, _)| *due_ns <= now) else { return };
            self.under_way += 1;
            if let Err(error) = self.dial(local as usize) {
                self.lose(local as usize, &format!("cannot dial: {error}"));
            }
        }
    }

    fn dial(&mut self, local: usize) -> Result<(), Errno> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        // no connection of a finished run is to keep its port
        sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
        if self.order.address.ip().is_loopback() {
            self.choose_source(&socket)?;
        }
        if self.is_stalled(local) {
            sockopt::set_socket_recv_buffer_size(&socket, STALLED_BUFFER_BYTES)?;
            let _ = SockRef::from(&socket).set_tcp_mss(STALLED_SEGMENT_BYTES); // then it stalls a little later
        }
        match connect(&socket, &self.order.address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error),
        }
        let events =
            epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        epoll::add(&self.epoll, &socket, epoll::EventData::new_u64(local as u64), events)?;
        let client = &mut self.clients[local];
        *client =
            Client { socket: Some(socket), stage: Stage::Dialing, dialed_ns: now_ns(), ..Client::default() };
        Ok(())
    }

    /// Gives a socket a source address and a port that no other has had: the kernel need not look for one.
    fn choose_source(&mut self, socket: &OwnedFd) -> Result<(), Errno> {
        sockopt::set_socket_reuseaddr(socket, true)?;
        let mut last = Errno::ADDRINUSE;
        for _ in 0..PORT_ATTEMPTS {
            // a generator has as many addresses as it needs for twice its clients: they may come back
            let turn = self.order.first * 2 + self.dialed;
            self.dialed += 1;
            let [_, _, high, low] = (1 + turn / PORTS_PER_SOURCE).to_be_bytes();
            let port = u16::try_from(PORT_FIRST + turn % PORTS_PER_SOURCE).expect("it is below 40,000");
            match bind(socket, &SocketAddr::from((Ipv4Addr::new(127, self.order.source, high, low), port))) {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    pub(super) fn is_stalled(&self, local: usize) -> bool {
        local < self.order.stalled as usize
    }
}
