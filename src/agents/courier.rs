//! The courier: one HTTP connection kept busy, one request at a time, answers brought back whole.
//!
//! Owns:  the queue of one market's cold requests, the link they travel on, and the wait for answers.
//! Never: repeats a request: a lost one is brought back as lost, and its sender knows whether it may
//!        be asked again (a query may).
//! Why:   shadow and clerk both ask REST questions; neither may block, and both need the stamps.

use crate::event::Counted;
use crate::metal::clock::Clock;
use crate::metal::link::Link;
use crate::metal::poll::{Links, Slot};
use crate::metal::tap::Tap;
use crate::units::Nanos;
use crate::units::time::SEC;
use crate::venue::Ask;
use crate::wire::http;
use std::collections::VecDeque;

/// The largest body: a venue's whole listing is some ten megabytes.
pub const BODY_MAX: usize = 64 << 20;
/// No answer for so long: the link is of no use.
const GIVE_UP_NS: u64 = 10 * SEC;

/// Reads counters in the head of an answer.
pub type Count = fn(u16, &http::Head<'_>) -> Counted;

/// What came of a request.
#[derive(Debug)]
#[expect(clippy::large_enum_variant)] // a link travels as it is, once, and is not put on the heap for that
pub enum Delivery<T> {
    /// An answer.
    Answer(Letter<T>),
    /// The link died first; the request may or may not have arrived.
    Lost {
        /// Which request.
        tag: T,
        /// Why.
        why: String,
    },
    /// The link is of no use any more; it was taken off.
    Broken {
        /// What is left of it.
        link: Link,
        /// Why.
        why: String,
    },
}

/// An answer with its stamps.
#[derive(Debug)]
pub struct Letter<T> {
    /// Which request.
    pub tag: T,
    /// HTTP status.
    pub status: u16,
    /// The venue's counters.
    pub counted: Counted,
    /// The body.
    pub body: Vec<u8>,
    /// When the request was handed to the kernel.
    pub sent: Nanos,
    /// When the answer's last byte was read.
    pub received: Nanos,
}

/// One connection and its queue.
#[derive(Debug)]
pub struct Courier<T> {
    counted: Count,
    clock: Clock,
    links: Links,
    attached: bool,
    queue: VecDeque<(T, Ask)>,
    flying: Option<(T, Nanos)>,
    out: Vec<u8>,
    /// Deliveries beyond the first of a turn.
    waiting: VecDeque<Delivery<T>>,
}

impl<T> Courier<T> {
    /// Without a link yet; requests wait. What an answer's head says of counters is read by `counted`; the tap
    /// is that of the room it works for.
    #[must_use]
    pub fn new(counted: Count, clock: Clock, tap: &Tap) -> Self {
        let mut links = Links::new(1);
        links.tap(tap);
        Self {
            counted,
            clock,
            links,
            attached: false,
            queue: VecDeque::new(),
            flying: None,
            out: Vec::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Takes a live link; what waits goes out on it.
    pub fn attach(&mut self, link: Link) {
        self.links.insert(link);
        self.attached = true;
    }

    /// Puts a request into the queue.
    pub fn post(&mut self, tag: T, ask: Ask) {
        self.queue.push_back((tag, ask));
    }

    /// Gives back what waits to be sent: whoever needs it asks again, with a fresh stamp.
    pub fn forget_queue(&mut self) -> Vec<T> {
        self.queue.drain(..).map(|(tag, _)| tag).collect()
    }

    /// Whether what is posted now leaves with the next turn.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.attached && self.queue.is_empty() && self.flying.is_none() && self.waiting.is_empty()
    }

    /// Moves on, and brings back what came; call until `None`.
    pub fn turn(&mut self, now: Nanos) -> Option<Delivery<T>> {
        if let Some(delivery) = self.waiting.pop_front() {
            return Some(delivery);
        }
        if !self.attached {
            return None;
        }
        self.links.poll();
        if let Some(slot) = self.links.next_ready() {
            let (letter, end) = self.read(slot);
            if let Some(why) = end {
                self.waiting.extend(letter);
                self.break_off(slot, &why);
                return self.waiting.pop_front();
            }
            if letter.is_some() {
                return letter;
            }
        }
        let slot = self.links.slots().next();
        let late = self.flying.as_ref().is_some_and(|(_, sent)| now.since(*sent) > GIVE_UP_NS);
        if let (true, Some(slot)) = (late, slot) {
            self.break_off(slot, "no answer for 10 s");
            return self.waiting.pop_front();
        }
        self.send_next();
        self.waiting.pop_front()
    }

    fn read(&mut self, slot: Slot) -> (Option<Delivery<T>>, Option<String>) {
        let Some(link) = self.links.get_mut(slot) else { return (None, None) };
        let got = link.recv();
        let received = self.clock.now();
        let mut end = got.err().map(|error| error.to_string());
        let letter = match http::response(link.inbound(), BODY_MAX) {
            Ok(Some(response)) => {
                let (used, keep_alive) = (response.used, response.keep_alive);
                let letter = self.flying.take().map(|(tag, sent)| {
                    Delivery::Answer(Letter {
                        tag,
                        status: response.status,
                        counted: (self.counted)(response.status, &response.head),
                        body: response.body.into_owned(),
                        sent,
                        received,
                    })
                });
                link.consume(used);
                if !keep_alive {
                    end.get_or_insert_with(|| "the venue closes this connection after its answer".to_owned());
                }
                letter
            }
            Ok(None) => None,
            Err(error) => {
                end.get_or_insert_with(|| error.to_string());
                None
            }
        };
        (letter, end)
    }

    fn send_next(&mut self) {
        if self.flying.is_some() || self.queue.is_empty() {
            return;
        }
        let Some(slot) = self.links.slots().next() else { return };
        let Some(link) = self.links.get_mut(slot) else { return };
        let Some((tag, ask)) = self.queue.pop_front() else { return };
        self.out.clear();
        let headers: Vec<(&str, &str)> =
            ask.headers.iter().map(|(name, value)| (name.as_ref(), value.as_str())).collect();
        http::Request {
            method: ask.method,
            path: &ask.path,
            host: link.peer(),
            headers: &headers,
            body: b"",
        }
        .write_to(&mut self.out);
        match link.send(&self.out) {
            Ok(_) => self.flying = Some((tag, self.clock.now())),
            Err(error) if error.nothing_taken() => self.queue.push_front((tag, ask)),
            Err(error) => {
                self.flying = Some((tag, self.clock.now()));
                let why = error.to_string();
                self.break_off(slot, &why);
            }
        }
    }

    fn break_off(&mut self, slot: Slot, why: &str) {
        if let Some((tag, _)) = self.flying.take() {
            self.waiting.push_back(Delivery::Lost { tag, why: why.to_owned() });
        }
        if let Some(mut link) = self.links.remove(slot) {
            link.close();
            self.waiting.push_back(Delivery::Broken { link, why: why.to_owned() });
        }
        self.attached = false;
    }
}
