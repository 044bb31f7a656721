//! The box's one thread: its venue's TLS doors and the control endpoint around one pure exchange.
//!
//! Owns:  the listeners, the connections, the exchange, and the clock the exchange is told.
//! Never: spins (it parks in `epoll` until a socket, an order of its owner or the exchange's next event
//!        is due), and never ends because of what a client does.
//! Quirk: `epoll` counts in milliseconds and rounds up, so scheduled events run up to 1 ms late; what a
//!        client sends is answered at once.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mio::event::Source;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};
use rustls::ServerConfig;
use serde_json::Value;

use super::connection::{Connection, Inflow, Outflow};
use super::control;
use crate::sim::{ConnId, Door, Exchange, Fed, Venue};

/// The most doors a venue has.
const DOORS_MAX: usize = 7;

const CONTROL: Token = Token(DOORS_MAX);
const WAKE: Token = Token(DOORS_MAX + 1);
/// The first client's token. Tokens are never used twice, so a late event cannot hit a newcomer.
const FIRST_GUEST: usize = DOORS_MAX + 2;

/// Clients at one time; further ones are closed at once. Far above any engine, and below the usual limit of
/// 1,024 descriptors of a process, some of which belong to others.
const GUESTS_MAX: usize = 768;

/// How long a client may take for its handshake, or for its request to the control endpoint.
const ARRIVAL_MAX_NS: u64 = 10_000_000_000;

/// How long a closing connection waits for its client to close too.
const LINGER_MAX_NS: u64 = 2_000_000_000;

/// How long a failed `accept` (no descriptors left) waits before the next.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Readiness events taken per turn.
const EVENTS_MAX: usize = 256;

/// What the owner of a running box asks its thread.
pub(super) enum Ask {
    /// Take in what happened at the market that is fed from.
    Feed(Vec<Fed>),
    /// Carry out a fault order.
    Fault(Value, Sender<Result<(), String>>),
    /// Tell the truth.
    Truth(Sender<Value>),
    /// Close everything; the thread returns the last truth.
    Stop,
}

/// Who is on a connection.
enum Guest {
    /// In a door's handshake.
    Arriving(Door),
    /// Known to the exchange.
    Inside(ConnId),
    /// Sent away by the exchange; only the connection's end is left to do.
    Leaving,
    /// At the control endpoint, with what it sent so far.
    Control(Vec<u8>),
}

/// The thread's whole state.
pub(super) struct House {
    poll: Poll,
    exchange: Exchange,
    venue: Venue,
    tls: Arc<ServerConfig>,
    doors: Vec<TcpListener>,
    control: TcpListener,
    guests: BTreeMap<usize, (Connection, Guest)>,
    tokens: BTreeMap<u32, usize>,
    /// When to look whether a guest has arrived, or is gone.
    deadlines: BTreeSet<(u64, usize)>,
    /// Guests whose sockets may hold more than one turn's budget.
    again: Vec<usize>,
    accept_again: bool,
    next_guest: usize,
    /// Decrypted input and the exchange's output on their way; kept for their capacity.
    plain: Vec<u8>,
    output: Vec<u8>,
    /// The exchange's clock never runs backwards, even if the host's does.
    now: u64,
}

impl House {
    /// Binds all listeners (port 0: the kernel picks). The waker is for the owner of the box.
    pub(super) fn bind(
        exchange: Exchange,
        venue: Venue,
        tls: Arc<ServerConfig>,
        listen: IpAddr,
    ) -> io::Result<(Self, Waker)> {
        let poll = Poll::new()?;
        let bind = |address: IpAddr, token: Token| -> io::Result<TcpListener> {
            let mut listener = TcpListener::bind(SocketAddr::new(address, 0))?;
            listener.register(poll.registry(), token, Interest::READABLE)?;
            Ok(listener)
        };
        let doors =
            (0..venue.doors().len()).map(|index| bind(listen, Token(index))).collect::<io::Result<_>>()?;
        let control = bind(IpAddr::V4(Ipv4Addr::LOCALHOST), CONTROL)?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        let house = Self {
            poll,
            exchange,
            venue,
            tls,
            doors,
            control,
            guests: BTreeMap::new(),
            tokens: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            again: Vec::new(),
            accept_again: false,
            next_guest: FIRST_GUEST,
            plain: Vec::new(),
            output: Vec::new(),
            now: unix_ns(),
        };
        Ok((house, waker))
    }

    /// The ports of the doors in the order of [`Venue::doors`], and the control endpoint's.
    pub(super) fn ports(&self) -> io::Result<(Vec<u16>, u16)> {
        let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
        Ok((self.doors.iter().map(port).collect::<io::Result<_>>()?, port(&self.control)?))
    }

    /// Serves until told to stop (or until its owner is gone); returns the truth after the last socket closed.
    pub(super) fn run(mut self, asks: &Receiver<Ask>) -> Value {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            let timeout = self.timeout();
            if let Err(error) = self.poll.poll(&mut events, timeout)
                && error.kind() != ErrorKind::Interrupted
            {
                // Cannot happen with a valid epoll descriptor; were it to, do not burn the core.
                std::thread::sleep(ACCEPT_RETRY);
            }
            let now = self.tick();
            self.exchange.advance(now);
            for event in &events {
                match event.token() {
                    Token(door) if door < DOORS_MAX => self.accept(door),
                    CONTROL => self.accept(DOORS_MAX),
                    WAKE => {}
                    Token(guest) => self.serve(guest),
                }
            }
            if std::mem::take(&mut self.accept_again) {
                (0..=DOORS_MAX).for_each(|door| self.accept(door));
            }
            for guest in std::mem::take(&mut self.again) {
                self.serve(guest);
            }
            self.expire();
            if self.asked(asks) {
                return self.close();
            }
            self.deliver();
        }
    }

    /// How long to park: until the exchange or a deadline is due, not at all while input is known to wait.
    fn timeout(&mut self) -> Option<Duration> {
        if !self.again.is_empty() {
            return Some(Duration::ZERO);
        }
        let deadline = self.deadlines.first().map_or(u64::MAX, |(due, _)| *due);
        let due = self.exchange.next_due().min(deadline);
        let wait = (due != u64::MAX).then(|| Duration::from_nanos(due.saturating_sub(self.tick())));
        if self.accept_again { Some(wait.map_or(ACCEPT_RETRY, |wait| wait.min(ACCEPT_RETRY))) } else { wait }
    }

    fn tick(&mut self) -> u64 {
        self.now = self.now.max(unix_ns());
        self.now
    }

    /// Takes in everyone who waits at a door (or, one past the last door, at the control endpoint).
    fn accept(&mut self, door: usize) {
        loop {
            let listener = self.doors.get(door).unwrap_or(&self.control);
            match listener.accept() {
                Ok((stream, _)) => self.admit(door, stream),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // The client was gone before we came: the next one waits behind it.
                Err(error)
                    if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                // Out of descriptors or memory. Readiness will not repeat itself, so come back later.
                Err(_) => {
                    self.accept_again = true;
                    return;
                }
            }
        }
    }

    fn admit(&mut self, door: usize, stream: mio::net::TcpStream) {
        // A failure here is this client's alone; dropping the stream closes it.
        if self.guests.len() >= GUESTS_MAX || stream.set_nodelay(true).is_err() {
            return;
        }
        let (mut connection, guest) = match self.venue.doors().get(door) {
            None => (Connection::plain(stream), Guest::Control(Vec::new())),
            Some((door, ..)) => match Connection::secured(stream, Arc::clone(&self.tls)) {
                Ok(connection) => (connection, Guest::Arriving(*door)),
                Err(_) => return,
            },
        };
        let token = self.next_guest;
        let interest = Interest::READABLE | Interest::WRITABLE;
        if self.poll.registry().register(connection.stream(), Token(token), interest).is_err() {
            return;
        }
        self.next_guest += 1;
        self.guests.insert(token, (connection, guest));
        self.deadlines.insert((self.now + ARRIVAL_MAX_NS, token));
    }

    /// Reads what a guest sent, hands it on, and sends what waits for it.
    fn serve(&mut self, token: usize) {
        let now = self.tick();
        let Some((connection, guest)) = self.guests.get_mut(&token) else { return };
        self.plain.clear();
        let inflow = connection.read(&mut self.plain);
        if let Guest::Arriving(door) = guest
            && connection.is_open()
        {
            let id = self.exchange.open(*door, now);
            self.tokens.insert(id.0, token);
            *guest = Guest::Inside(id);
        }
        match guest {
            Guest::Inside(id) if !self.plain.is_empty() => {
                self.exchange.receive(*id, &self.plain, now);
                self.deliver();
            }
            Guest::Control(inbox) if connection.is_open() => {
                inbox.extend_from_slice(&self.plain);
                if let Some(answer) = control::answer(inbox, &mut self.exchange, now) {
                    connection.send(&answer);
                    connection.close();
                }
            }
            _ => {}
        }
        let Some((connection, _)) = self.guests.get_mut(&token) else { return };
        if connection.flush() == Outflow::Gone || inflow == Inflow::Gone {
            self.drop_guest(token);
        } else if inflow == Inflow::More {
            self.again.push(token);
        }
    }

    /// Sends what the exchange has to say to anyone.
    fn deliver(&mut self) {
        while let Some(id) = self.exchange.next_dirty() {
            self.output.clear();
            let close = self.exchange.take_output(id, &mut self.output);
            let Some(&token) = self.tokens.get(&id.0) else { continue };
            let Some((connection, guest)) = self.guests.get_mut(&token) else { continue };
            connection.send(&self.output);
            if close {
                connection.close();
                *guest = Guest::Leaving;
                self.tokens.remove(&id.0);
                self.exchange.closed(id, self.now);
                self.deadlines.insert((self.now + LINGER_MAX_NS, token));
            }
            if connection.flush() == Outflow::Gone {
                self.drop_guest(token);
            }
        }
    }

    fn drop_guest(&mut self, token: usize) {
        let Some((mut connection, guest)) = self.guests.remove(&token) else { return };
        // Closing the descriptor removes it from epoll as well; this only frees mio's own record early.
        let _ = self.poll.registry().deregister(connection.stream());
        if let Guest::Inside(id) = guest {
            self.tokens.remove(&id.0);
            self.exchange.closed(id, self.now);
        }
    }

    /// Drops guests that took too long to arrive or to leave.
    fn expire(&mut self) {
        while let Some(&(due, token)) = self.deadlines.first() {
            if due > self.now {
                return;
            }
            self.deadlines.pop_first();
            if !matches!(self.guests.get(&token), None | Some((_, Guest::Inside(_)))) {
                self.drop_guest(token);
            }
        }
    }

    /// Answers the owner's questions; true: stop.
    fn asked(&mut self, asks: &Receiver<Ask>) -> bool {
        loop {
            // An owner that has stopped waiting for an answer misses nothing.
            match asks.try_recv() {
                Ok(Ask::Fault(order, answer)) => drop(answer.send(self.exchange.fault(&order))),
                Ok(Ask::Feed(all)) => {
                    let now = self.tick();
                    self.exchange.feed(&all, now);
                }
                Ok(Ask::Truth(answer)) => drop(answer.send(self.exchange.truth(self.now))),
                Ok(Ask::Stop) | Err(TryRecvError::Disconnected) => return true,
                Err(TryRecvError::Empty) => return false,
            }
        }
    }

    /// Sends the last answers, closes every socket, and tells the truth as it then stands.
    fn close(mut self) -> Value {
        self.deliver();
        for token in self.guests.keys().copied().collect::<Vec<_>>() {
            if let Some((connection, _)) = self.guests.get_mut(&token) {
                // Says goodbye to whoever can hear it; a broken socket is dropped all the same.
                connection.close();
                connection.flush();
            }
            self.drop_guest(token);
        }
        self.doors.clear();
        let now = self.tick();
        drop(self.control);
        self.exchange.truth(now)
    }
}

/// The host's time, ns since 1970.
pub(super) fn unix_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}
