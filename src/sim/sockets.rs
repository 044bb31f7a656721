//! Connections at work: requests out of bytes, messages out of sockets, pings, ends.
//!
//! Owns:  the pumps that turn received bytes into calls of the dialect, the ping clock, message limits.
//! Never: knows what a request or a message means.
//! Page:  binance.md §1, "Connection rules".

use super::config::{ConnId, Door, Market};
use super::conn::{Incoming, Route};
use super::dialect::{self, Idle};
use super::exchange::{Due, Exchange, MS, SECOND};
use super::http::{self, Parsed};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Bytes, Message};

/// Life of a WebSocket connection: 24 h.
const SOCKET_LIFE_NS: u64 = 86_400 * SECOND;

impl Exchange {
    pub(super) fn pump_http(&mut self, conn: ConnId) {
        while let Some(it) = self.conns.get(conn).filter(|c| !c.is_ending() && c.socket.is_none()) {
            let door = it.door;
            let mut inbox = std::mem::take(&mut it.inbox);
            let used = match http::parse(&inbox) {
                Parsed::Partial => None,
                Parsed::Bad(status) => {
                    if let Some(it) = self.conns.get(conn) {
                        http::answer(&mut it.out, status, "", "", "text/plain", false);
                    }
                    self.conns.close(conn, false);
                    None
                }
                Parsed::Whole(request, used) => {
                    dialect::on_request(self, conn, door, &request);
                    Some(used)
                }
            };
            if let Some(used) = used {
                inbox.drain(..used);
            }
            self.conns.touch(conn);
            let Some(it) = self.conns.get(conn) else { return };
            it.inbox = inbox;
            if used.is_none() || it.inbox.is_empty() {
                return;
            }
        }
        self.pump_socket(conn);
    }

    /// Turns a connection into a socket whose upgrade was answered, and starts its pings.
    pub(super) fn start_socket(&mut self, conn: ConnId, route: Route, combined: bool) {
        let now = self.now;
        let idle = dialect::keeping(self.config.venue);
        if let Some(it) = self.conns.get(conn) {
            let every = idle.map_or_else(|| ping_pace(it.door).0, |idle| idle.after_ns);
            it.upgrade(route, combined, now, now + every);
            self.schedule(now + every, Due::Socket(conn));
        }
    }

    pub(super) fn pump_socket(&mut self, conn: ConnId) {
        let (now, venue) = (self.now, self.config.venue);
        loop {
            let Some(it) = self.conns.get(conn).filter(|c| !c.close) else { return };
            let incoming = it.next_message();
            let door = it.door;
            let Some(socket) = it.socket.as_mut() else { return };
            let message = match incoming {
                Incoming::Blocked => break,
                Incoming::Over => {
                    self.leave_streams(conn);
                    self.conns.close(conn, false);
                    return;
                }
                Incoming::Message(message) => message,
            };
            socket.moved = true;
            if !socket.count_message(now, dialect::messages_per_second(venue, door)) {
                self.leave_streams(conn);
                self.conns.close_socket(conn, CloseCode::Policy, "Too many requests");
                return;
            }
            match message {
                Message::Pong(payload) => socket.pong(&payload),
                Message::Text(text) => dialect::on_text(self, conn, &text),
                _ => {}
            }
        }
        self.conns.touch(conn);
    }

    /// Sends the ping that is due, closes a socket that owes a pong or has lived its day.
    pub(super) fn on_socket_timer(&mut self, conn: ConnId) {
        if let Some(idle) = dialect::keeping(self.config.venue) {
            self.on_idle_timer(conn, idle);
            return;
        }
        let now = self.now;
        let Some(it) = self.conns.get(conn).filter(|c| !c.close) else { return };
        let (every, deadline) = ping_pace(it.door);
        let Some(socket) = it.socket.as_mut() else { return };
        let silent = socket.pings.front().is_some_and(|(sent, _)| now >= sent + deadline);
        if silent || now >= socket.opened + SOCKET_LIFE_NS {
            self.leave_streams(conn);
            let reason = if silent { "Pong timeout" } else { "24 hours are over" };
            self.conns.close_socket(conn, CloseCode::Policy, reason);
            return;
        }
        let mut ping = None;
        if now >= socket.next_ping {
            socket.next_ping = now + every;
            let payload = Bytes::from((now / MS).to_string());
            socket.pings.push_back((now, payload.clone()));
            ping = Some(payload);
        }
        let judged = socket.pings.front().map_or(u64::MAX, |(sent, _)| sent + deadline);
        let next = socket.next_ping.min(judged).min(socket.opened + SOCKET_LIFE_NS);
        if let Some(payload) = ping {
            self.conns.send(conn, Message::Ping(payload));
        }
        self.schedule(next, Due::Socket(conn));
    }
}

impl Exchange {
    /// Closes a socket on which nothing has moved since the last look, or that has lived its day.
    fn on_idle_timer(&mut self, conn: ConnId, idle: Idle) {
        let now = self.now;
        let Some(it) = self.conns.get(conn).filter(|c| !c.close) else { return };
        let Some(socket) = it.socket.as_mut() else { return };
        let moved = std::mem::take(&mut socket.moved);
        let pushed = std::mem::take(&mut socket.pushed) && idle.pushes_count;
        if !(moved || pushed) || now >= socket.opened + SOCKET_LIFE_NS {
            self.leave_streams(conn);
            self.conns.close_socket(conn, CloseCode::from(idle.code), "Connection closed for being idle");
            return;
        }
        self.schedule(now + idle.after_ns, Due::Socket(conn));
    }
}

/// How often a door's sockets are pinged and how long a pong may take, ns.
fn ping_pace(door: Door) -> (u64, u64) {
    match door.market() {
        Market::Spot => (20 * SECOND, 60 * SECOND),
        Market::Usdm => (180 * SECOND, 600 * SECOND),
    }
}
