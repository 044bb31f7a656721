//! Bad weather on the network: slow, in slices, one way only, cut short, or with no room to send.
//!
//! Owns:  what lies between a connection that works and one that is cut.
//! Never: loses a byte of a connection that lives: TCP does not.

use super::network::Network;
use crate::sim::{ConnId, Door};
use crate::units::Nanos;

/// What the weather is like now.
#[derive(Debug, Default)]
pub(super) struct Weather {
    /// Every chunk takes so much longer.
    pub(super) slow_ns: u64,
    /// Nothing said to these doors leaves the host.
    pub(super) mute: Vec<Door>,
    /// Chunks are at most so long; `None`: as they were written.
    pub(super) slice: Option<usize>,
    /// What goes to the box (0) or comes back (1) takes so much longer, the other way does not.
    pub(super) lean_ns: [u64; 2],
    /// Longer chunks never arrive, nor does what follows them on their connection, until the route is mended.
    pub(super) chunk_max: Option<usize>,
    /// Until when there was little room to send.
    pub(super) cramped_until: Nanos,
}

impl Weather {
    /// A chunk as the pieces it travels in.
    pub(super) fn slices(&self, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        match self.slice {
            Some(most) if bytes.len() > most => bytes.chunks(most.max(1)).map(<[u8]>::to_vec).collect(),
            _ => vec![bytes],
        }
    }
}

impl Network {
    /// Lets nothing reach a door any more (`true`), or everything that was said meanwhile (`false`).
    pub(super) fn mute(&mut self, door: Door, muted: bool, now: Nanos) {
        self.weather.mute.retain(|it| *it != door);
        if muted {
            self.weather.mute.push(door);
            return;
        }
        let of_door = self.lines.iter_mut().filter(|(_, line)| line.door == door);
        let waited: Vec<_> = of_door.map(|(conn, line)| (*conn, std::mem::take(&mut line.stuck))).collect();
        for (conn, said) in waited {
            for (left, bytes) in said {
                self.send_up(conn, bytes, left, now);
            }
        }
    }

    /// Chunks up to this length pass; `None`: all do, and what waited arrives.
    pub(super) fn limit_chunks(&mut self, most: Option<usize>, now: Nanos) {
        self.weather.chunk_max = most;
        if most.is_none() {
            let waiting: Vec<ConnId> =
                self.lines.iter().filter(|(_, line)| !line.held.is_empty()).map(|(conn, _)| *conn).collect();
            for conn in waiting {
                self.let_through(conn, now);
            }
        }
    }

    /// So many bytes fit into the send buffer of every connection that is open now.
    pub(super) fn limit_room(&mut self, bytes: Option<usize>, now: Nanos) {
        self.weather.cramped_until =
            if bytes.is_some() { Nanos::NEVER } else { now.min(self.weather.cramped_until) };
        for line in self.lines.values_mut() {
            line.peer.limit_outbox(bytes);
        }
    }

    /// Ends every connection of a door without a goodbye, behind what was delivered.
    pub(super) fn truncate(&mut self, door: Door, now: Nanos) {
        let of_door: Vec<ConnId> =
            self.lines.iter().filter(|(_, line)| line.door == door).map(|(conn, _)| *conn).collect();
        for conn in of_door {
            if let Some(mut line) = self.lines.remove(&conn) {
                line.peer.truncate();
            }
            self.exchange.closed(conn, self.unix(now));
        }
    }

    /// Ends all bad weather: what waited on either side arrives.
    pub(super) fn clear_up(&mut self, now: Nanos) {
        self.weather.slow_ns = 0;
        self.weather.slice = None;
        self.weather.lean_ns = [0; 2];
        self.limit_chunks(None, now);
        self.limit_room(None, now);
        for (_, door) in super::network::DOORS {
            self.mute(door, false, now);
            self.hold(door, false, now);
            self.shut(door, false);
        }
    }
}
