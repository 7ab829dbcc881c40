//! `floor`: the least that a server can do. One thread takes sockets with epoll and, for each message, calls
//! `write()` once per socket with the frame that it has built before. The coalescing floor does the same, but what is
//! pending for a socket when it has read what was published leaves in one write.
//!
//! It speaks dialect `raw`: `GET /sub/<topic>` with an upgrade subscribes, `POST /pub/<topic>` publishes its body.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use protocol::ws::{self, Opcode};
use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, accept_with, bind, listen, socket_with, sockopt};

use crate::http1::Head;

/// Connections that the system holds for us.
const BACKLOG: i32 = 4_096;
/// Events taken at once.
const EVENTS_MAX: usize = 1_024;
/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;
/// Bytes that may wait for one socket before it is given up.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// Bytes of one request.
const REQUEST_BYTES_MAX: usize = 8 << 20;

/// How the floor serves.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Options {
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:9000")]
    pub listen: SocketAddr,
    /// One write for what is pending, instead of one for each message.
    #[arg(long)]
    pub coalesce: bool,
}

/// What listens, and everybody who is connected.
struct Floor {
    coalesce: bool,
    epoll: OwnedFd,
    listener: OwnedFd,
    /// By descriptor.
    peers: Vec<Option<Peer>>,
    topics: HashMap<String, u32>,
    /// Descriptors, by topic.
    subscribers: Vec<Vec<u32>>,
    /// Frames that were not sent yet, by topic.
    pending: Vec<Vec<u8>>,
    /// Topics with such frames.
    dirty: Vec<u32>,
    buffer: Vec<u8>,
}

/// A connection.
struct Peer {
    socket: OwnedFd,
    /// The topic that it follows; none before the upgrade, and for publishers.
    topic: Option<u32>,
    /// What came and is not whole yet, or what its socket did not take.
    #[expect(clippy::box_collection, reason = "a pointer for what is hardly ever there")]
    rest: Option<Box<Vec<u8>>>,
}

/// Serves until it is killed.
///
/// # Errors
/// When the address cannot be had, or the kernel fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    let floor = Floor::open(options).with_context(|| format!("cannot listen on {}", options.listen))?;
    floor.serve()
}

impl Floor {
    fn open(options: &Options) -> Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let listener = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        sockopt::set_socket_reuseaddr(&listener, true)?;
        bind(&listener, &options.listen)?;
        listen(&listener, BACKLOG)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, data(&listener), epoll::EventFlags::IN)?;
        Ok(Self {
            coalesce: options.coalesce,
            epoll,
            listener,
            peers: Vec::new(),
            topics: HashMap::new(),
            subscribers: Vec::new(),
            pending: Vec::new(),
            dirty: Vec::new(),
            buffer: vec![0; READ_BYTES],
        })
    }

    fn serve(mut self) -> Result<()> {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        let listener = data(&self.listener).u64();
        loop {
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("epoll fails"),
            }
            for event in &events {
                let (key, flags) = (event.data.u64(), event.flags);
                if key == listener {
                    self.accept()?;
                    continue;
                }
                let fd = usize::try_from(key).expect("descriptors are small");
                if flags.contains(epoll::EventFlags::OUT) {
                    self.write_rest(fd);
                }
                if flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR) {
                    self.read(fd);
                }
            }
            self.flush();
        }
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            let socket = match accept_with(&self.listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok(socket) => socket,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::CONNABORTED | Errno::INTR) => continue,
                Err(error) => return Err(error).context("cannot accept"),
            };
            sockopt::set_tcp_nodelay(&socket, true)?;
            epoll::add(&self.epoll, &socket, data(&socket), epoll::EventFlags::IN)?;
            let fd = index(&socket);
            if self.peers.len() <= fd {
                self.peers.resize_with(fd + 1, || None);
            }
            self.peers[fd] = Some(Peer { socket, topic: None, rest: None });
        }
    }

    fn read(&mut self, fd: usize) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let Some(peer) = self.peers[fd].as_mut() else { return self.buffer = buffer };
        let read = rustix::io::read(&peer.socket, &mut buffer[..]);
        match read {
            Err(Errno::AGAIN | Errno::INTR) => {}
            Ok(0) | Err(_) => self.remove(fd),
            Ok(bytes) if peer.topic.is_some() => {
                // a subscriber has nothing to say but goodbye
                if buffer[..bytes].first().is_some_and(|byte| byte & 0x0f == Opcode::Close as u8) {
                    self.remove(fd);
                }
            }
            Ok(bytes) => self.take(fd, &buffer[..bytes]),
        }
        self.buffer = buffer;
    }

    /// Takes requests: upgrades and publications.
    fn take(&mut self, fd: usize, bytes: &[u8]) {
        let rest = self.peers[fd].as_mut().and_then(|peer| peer.rest.take());
        let joined = rest.map(|mut rest| {
            rest.extend_from_slice(bytes);
            *rest
        });
        let bytes = joined.as_deref().unwrap_or(bytes);
        let mut from = 0;
        while let Some(head) = Head::first(&bytes[from..]) {
            let body = from + head.bytes..from + head.bytes + head.body_bytes();
            if body.end > bytes.len() {
                break;
            }
            from = body.end;
            let done = if let Some(topic) = head.second_word().strip_prefix("/pub/") {
                self.publish(topic, &bytes[body]);
                self.answer(fd, b"HTTP/1.1 204 No Content\r\n\r\n")
            } else if let Some(topic) = head.second_word().strip_prefix("/sub/") {
                self.subscribe(fd, topic, &head)
            } else {
                false
            };
            if !done {
                return self.remove(fd);
            }
        }
        if from == bytes.len() {
            return;
        }
        match self.peers[fd].as_mut() {
            Some(peer) if bytes.len() - from < REQUEST_BYTES_MAX => {
                peer.rest = Some(Box::new(bytes[from..].to_vec()));
            }
            _ => self.remove(fd),
        }
    }

    fn subscribe(&mut self, fd: usize, topic: &str, head: &Head<'_>) -> bool {
        let Some(accept) = head.field("sec-websocket-key").and_then(ws::accept_key) else { return false };
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        let topic = self.topic(topic);
        self.subscribers[topic as usize].push(u32::try_from(fd).expect("descriptors are small"));
        if let Some(peer) = self.peers[fd].as_mut() {
            peer.topic = Some(topic);
        }
        self.answer(fd, answer.as_bytes())
    }

    fn publish(&mut self, topic: &str, body: &[u8]) {
        let topic = self.topic(topic);
        if self.coalesce {
            let pending = &mut self.pending[topic as usize];
            if pending.is_empty() {
                self.dirty.push(topic);
            }
            ws::push_frame(pending, Opcode::Text, body);
        } else {
            let frame = ws::frame(Opcode::Text, body);
            self.fan_out(topic, &frame);
        }
    }

    fn flush(&mut self) {
        for topic in std::mem::take(&mut self.dirty) {
            let frames = std::mem::take(&mut self.pending[topic as usize]);
            self.fan_out(topic, &frames);
        }
    }

    /// The whole point: one write for each socket.
    fn fan_out(&mut self, topic: u32, frames: &[u8]) {
        let mut lost = Vec::new();
        for fd in &self.subscribers[topic as usize] {
            let Some(peer) = self.peers[*fd as usize].as_mut() else { continue };
            if peer.rest.is_none() {
                match rustix::io::write(&peer.socket, frames) {
                    Ok(written) if written == frames.len() => {}
                    Ok(written) => wait(&self.epoll, peer, &frames[written..]),
                    Err(Errno::AGAIN) => wait(&self.epoll, peer, frames),
                    Err(_) => lost.push(*fd),
                }
            } else if let Some(rest) = &mut peer.rest {
                rest.extend_from_slice(frames);
                if rest.len() > WAITING_BYTES_MAX {
                    lost.push(*fd);
                }
            }
        }
        for fd in lost {
            self.remove(fd as usize);
        }
    }

    fn write_rest(&mut self, fd: usize) {
        let Some(peer) = self.peers[fd].as_mut() else { return };
        let Some(rest) = peer.rest.as_mut().filter(|_| peer.topic.is_some()) else { return };
        match rustix::io::write(&peer.socket, rest) {
            Ok(written) if written == rest.len() => {
                peer.rest = None;
                if epoll::modify(&self.epoll, &peer.socket, data(&peer.socket), epoll::EventFlags::IN)
                    .is_err()
                {
                    self.remove(fd);
                }
            }
            Ok(written) => drop(rest.drain(..written)),
            Err(Errno::AGAIN) => {}
            Err(_) => self.remove(fd),
        }
    }

    /// Answers a request; gives whether it went out whole.
    fn answer(&self, fd: usize, answer: &[u8]) -> bool {
        let peer = self.peers[fd].as_ref();
        peer.is_some_and(|peer| rustix::io::write(&peer.socket, answer) == Ok(answer.len()))
    }

    fn topic(&mut self, name: &str) -> u32 {
        if let Some(topic) = self.topics.get(name) {
            return *topic;
        }
        let topic = u32::try_from(self.subscribers.len()).expect("there are fewer topics");
        self.subscribers.push(Vec::new());
        self.pending.push(Vec::new());
        self.topics.insert(name.to_owned(), topic);
        topic
    }

    fn remove(&mut self, fd: usize) {
        let Some(topic) = self.peers[fd].take().and_then(|peer| peer.topic) else { return };
        let subscribers = &mut self.subscribers[topic as usize];
        if let Some(at) = subscribers.iter().position(|one| *one as usize == fd) {
            subscribers.swap_remove(at);
        }
    }
}

/// Keeps what a socket did not take until it does.
fn wait(epoll: &OwnedFd, peer: &mut Peer, rest: &[u8]) {
    peer.rest = Some(Box::new(rest.to_vec()));
    let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT;
    // a descriptor that epoll no longer knows is found dead by the next read
    let _ = epoll::modify(epoll, &peer.socket, data(&peer.socket), flags);
}

fn data(fd: &OwnedFd) -> epoll::EventData {
    epoll::EventData::new_u64(index(fd) as u64)
}

fn index(fd: &OwnedFd) -> usize {
    usize::try_from(fd.as_raw_fd()).expect("descriptors are not negative")
}
