//! Client connections: bytes in both directions, and the WebSocket state of those that upgraded.
//!
//! Owns:  buffers, tungstenite over memory, pings, message budget, who has something to send.
//! Never: knows what a message means.

use super::config::{ConnId, Door};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext, frame::coding::CloseCode};
use tungstenite::{Bytes, Message, Utf8Bytes};

/// Largest message a client may send.
const MESSAGE_MAX: usize = 1 << 20;

/// Where a stream socket was opened: what it may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Spot streams, and USD-M `/public` or unrouted.
    Public,
    /// USD-M `/market`.
    Market,
    /// USD-M `/private`.
    Private,
    /// A WebSocket API door.
    Api,
}

/// A subscription as the client named it; `stream` is where it leads, if anywhere.
#[derive(Clone, Debug)]
pub(super) struct Subscription {
    pub(super) name: String,
    pub(super) stream: Option<usize>,
}

/// The WebSocket side of a connection.
pub(super) struct Socket {
    context: WebSocketContext,
    pub(super) route: Route,
    /// Are events wrapped with their stream name?
    pub(super) combined: bool,
    /// Does it want answers without rate limits?
    pub(super) terse: bool,
    /// Since when it is logged on, ms of the box's clock.
    pub(super) authorized: Option<u64>,
    /// Number of its next subscription to the account.
    pub(super) next_subscription: u64,
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) opened: u64,
    pub(super) next_ping: u64,
    /// Has the client sent anything since the last look, and was anything sent to it?
    pub(super) moved: bool,
    pub(super) pushed: bool,
    /// Pings not answered yet: when sent, with what.
    pub(super) pings: VecDeque<(u64, Bytes)>,
    /// Second of the host clock and messages received in it.
    second: (u64, u32),
}

/// One client connection.
pub(super) struct Conn {
    pub(super) door: Door,
    pub(super) inbox: Vec<u8>,
    pub(super) out: Vec<u8>,
    pub(super) close: bool,
    /// What the client sent and has not arrived.
    pub(super) under_way: VecDeque<Vec<u8>>,
    /// Answers held back, and whether the connection ends with each.
    held: VecDeque<Held>,
    dirty: bool,
    pub(super) socket: Option<Box<Socket>>,
}

/// An answer that waits.
struct Held {
    until: u64,
    bytes: Vec<u8>,
    close: bool,
}

/// tungstenite's view of a connection: reads what came, writes what goes, would block instead of waiting.
struct Pipe<'a> {
    input: &'a [u8],
    out: &'a mut Vec<u8>,
}

impl Read for Pipe<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.input.read(buffer)
    }
}

impl Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What came in over a socket.
pub(super) enum Incoming {
    Message(Message),
    /// Nothing more for now.
    Blocked,
    /// The socket is over; close the connection after what is in `out`.
    Over,
}

/// All connections, by number.
#[derive(Default)]
pub(super) struct Conns {
    all: Vec<Option<Conn>>,
    dirty: VecDeque<ConnId>,
}

impl Conns {
    pub(super) fn open(&mut self, door: Door) -> ConnId {
        let id = ConnId(u32::try_from(self.all.len()).unwrap_or(u32::MAX));
        self.all.push(Some(Conn {
            door,
            inbox: Vec::new(),
            out: Vec::new(),
            close: false,
            under_way: VecDeque::new(),
            held: VecDeque::new(),
            dirty: false,
            socket: None,
        }));
        id
    }

    pub(super) fn get(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.all.get_mut(id.0 as usize)?.as_mut()
    }

    pub(super) fn forget(&mut self, id: ConnId) {
        if let Some(slot) = self.all.get_mut(id.0 as usize) {
            *slot = None;
        }
    }

    /// Marks a connection as having bytes to send or an end to announce.
    pub(super) fn touch(&mut self, id: ConnId) {
        if let Some(conn) = self.all.get_mut(id.0 as usize).and_then(Option::as_mut)
            && !conn.dirty
        {
            conn.dirty = true;
            self.dirty.push_back(id);
        }
    }

    pub(super) fn next_dirty(&mut self) -> Option<ConnId> {
        while let Some(id) = self.dirty.pop_front() {
            if let Some(conn) = self.get(id) {
                conn.dirty = false;
                if !conn.out.is_empty() || conn.close {
                    return Some(id);
                }
            }
        }
        None
    }

    /// Ends a connection; `drop_output`: without what is still to send.
    pub(super) fn close(&mut self, id: ConnId, drop_output: bool) {
        if let Some(conn) = self.get(id) {
            conn.close = true;
            if drop_output {
                conn.out.clear();
            }
            self.touch(id);
        }
    }

    /// Sends bytes no earlier than `until` and never before what is held already; `close`: then the connection ends.
    /// Returns when they leave, unless that is now.
    pub(super) fn answer(
        &mut self,
        id: ConnId,
        bytes: Vec<u8>,
        close: bool,
        until: u64,
        now: u64,
    ) -> Option<u64> {
        let conn = self.get(id)?;
        let until = conn.held.back().map_or(until, |last| last.until.max(until));
        conn.held.push_back(Held { until, bytes, close });
        self.release(id, now);
        (until > now).then_some(until)
    }

    /// Lets go what need not wait any more.
    pub(super) fn release(&mut self, id: ConnId, now: u64) {
        let Some(conn) = self.get(id).filter(|c| !c.close) else { return };
        while let Some(it) = conn.held.pop_front_if(|it| it.until <= now) {
            conn.out.extend_from_slice(&it.bytes);
            conn.close |= it.close;
        }
        self.touch(id);
    }

    /// Sends a text frame to a socket; silently nothing where there is none.
    pub(super) fn send_text(&mut self, id: ConnId, text: Utf8Bytes) {
        self.send(id, Message::Text(text));
    }

    /// The bytes of a text frame to a socket, not sent; none where there is no socket.
    pub(super) fn frame(&mut self, id: ConnId, text: Utf8Bytes) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(socket) = self.get(id).and_then(|conn| conn.socket.as_mut()) {
            socket.pushed = true;
            // Into memory, and of a size that nobody limits: an error means that the socket is closed.
            let _ = socket.context.write(&mut Pipe { input: &[], out: &mut out }, Message::Text(text));
        }
        out
    }

    pub(super) fn send(&mut self, id: ConnId, message: Message) {
        let Some(conn) = self.get(id) else { return };
        let Some(socket) = conn.socket.as_mut().filter(|_| !conn.close) else { return };
        socket.pushed = true;
        let mut pipe = Pipe { input: &[], out: &mut conn.out };
        if socket.context.write(&mut pipe, message).is_err() {
            conn.close = true;
        }
        self.touch(id);
    }

    /// Sends a close frame with a reason and ends the connection.
    pub(super) fn close_socket(&mut self, id: ConnId, code: CloseCode, reason: &'static str) {
        if let Some(conn) = self.get(id)
            && let Some(socket) = conn.socket.as_mut()
        {
            let mut pipe = Pipe { input: &[], out: &mut conn.out };
            let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
            // An error means that the peer has closed already: the end is the same.
            let _ = socket.context.close(&mut pipe, Some(frame));
            conn.close = true;
            self.touch(id);
        }
    }

    /// Ids of the sockets that satisfy `which`.
    pub(super) fn sockets(&self, which: impl Fn(Door) -> bool) -> Vec<ConnId> {
        let socket = |c: &Option<Conn>| c.as_ref().is_some_and(|c| c.socket.is_some() && which(c.door));
        self.all.iter().enumerate().filter(|(_, c)| socket(c)).map(|(n, _)| ConnId(n as u32)).collect()
    }
}

impl Conn {
    /// Is nothing more to be read, because the connection ends with an answer on its way?
    pub(super) fn is_ending(&self) -> bool {
        self.close || self.held.back().is_some_and(|it| it.close)
    }

    /// Turns the connection into a WebSocket; its request was answered already.
    pub(super) fn upgrade(&mut self, route: Route, combined: bool, now: u64, next_ping: u64) {
        let config = WebSocketConfig::default()
            .read_buffer_size(4096)
            .write_buffer_size(0)
            .max_message_size(Some(MESSAGE_MAX))
            .max_frame_size(Some(MESSAGE_MAX));
        self.socket = Some(Box::new(Socket {
            context: WebSocketContext::new(Role::Server, Some(config)),
            route,
            combined,
            terse: false,
            authorized: None,
            next_subscription: 0,
            subscriptions: Vec::new(),
            opened: now,
            next_ping,
            moved: false,
            pushed: false,
            pings: VecDeque::new(),
            second: (0, 0),
        }));
    }

    /// The next message of the socket out of what has been received.
    pub(super) fn next_message(&mut self) -> Incoming {
        let Some(socket) = self.socket.as_mut() else { return Incoming::Blocked };
        let mut pipe = Pipe { input: &self.inbox, out: &mut self.out };
        let read = socket.context.read(&mut pipe);
        if matches!(read, Ok(Message::Close(_))) {
            // Sends our half of the closing handshake; the error it returns says that this was the end.
            let _ = socket.context.flush(&mut pipe);
        }
        let left = pipe.input.len();
        let used = self.inbox.len() - left;
        self.inbox.drain(..used);
        match read {
            Ok(Message::Close(_)) => Incoming::Over,
            Ok(message) => Incoming::Message(message),
            Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                Incoming::Blocked
            }
            Err(_) => Incoming::Over,
        }
    }
}

impl Socket {
    /// Counts a message from the client; `false` when it is one too many for this second.
    pub(super) fn count_message(&mut self, now: u64, per_second: u32) -> bool {
        let second = now / 1_000_000_000;
        if self.second.0 != second {
            self.second = (second, 0);
        }
        self.second.1 += 1;
        self.second.1 <= per_second
    }

    /// Takes a pong: it answers the ping of the same payload and those before it.
    pub(super) fn pong(&mut self, payload: &Bytes) {
        if let Some(at) = self.pings.iter().position(|(_, sent)| sent == payload) {
            self.pings.drain(..=at);
        }
    }
}
