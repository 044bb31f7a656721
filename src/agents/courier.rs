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
    /// What is to be asked, and no request yet: its turn is yet to come.
    wishes: VecDeque<T>,
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
            wishes: VecDeque::new(),
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

    /// Puts a request before all that wait.
    pub fn post_first(&mut self, tag: T, ask: Ask) {
        self.queue.push_front((tag, ask));
    }

    /// Keeps in mind what is to be asked, once however often it is wished for: it becomes a request in its turn, since a
    /// stamp serves for a second and a slow connection takes longer for a few requests.
    pub fn wish(&mut self, tag: T)
    where
        T: PartialEq,
    {
        if !self.wishes.contains(&tag) {
            self.wishes.push_back(tag);
        }
    }

    /// The wish whose turn it is, the oldest of the urgent ones or the oldest: one that is `of` the wishes is asked at a time,
    /// so that other requests go in between. `None`: one is under way, there is none, or no link.
    pub fn take_wish(&mut self, of: impl Fn(&T) -> bool, urgent: impl Fn(&T) -> bool) -> Option<T> {
        let mut under_way =
            self.queue.iter().map(|(tag, _)| tag).chain(self.flying.iter().map(|(tag, _)| tag));
        if !self.attached || under_way.any(of) {
            return None;
        }
        let at = self.wishes.iter().position(urgent).unwrap_or(0);
        self.wishes.remove(at)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metal::link::memory_pair;
    use crate::units::LinkId;

    /// Wishes are asked one at a time, the urgent ones first, each once; a request that came meanwhile goes in between.
    #[test]
    fn wishes_become_requests_one_at_a_time_and_others_go_in_between() {
        let (clock, _time) = Clock::virtual_time();
        let mut courier: Courier<u32> = Courier::new(|_, _| Counted::default(), clock, &Tap::off());
        let next = |courier: &mut Courier<u32>| courier.take_wish(|tag| *tag < 10, |tag| *tag == 3);
        [1, 2, 3, 1, 3].into_iter().for_each(|tag| courier.wish(tag));
        assert_eq!(next(&mut courier), None, "there is no link to ask on");
        let (link, mut peer) = memory_pair(LinkId(1), "venue", 1 << 12, 1 << 14);
        courier.attach(link);
        let ask = |tag: u32| Ask::plain(format!("/{tag}"));
        let mut left = Vec::new();
        courier.post(10, ask(10));
        courier.post(11, ask(11));
        for _ in 0..8 {
            if let Some(tag) = next(&mut courier) {
                courier.post_first(tag, ask(tag));
                assert_eq!(next(&mut courier), None, "{tag} is under way");
            }
            assert!(courier.turn(Nanos::ZERO).is_none());
            let mut out = Vec::new();
            peer.take(&mut out);
            left.extend(String::from_utf8(out).unwrap().split(' ').nth(1).map(str::to_owned));
            peer.deliver(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
            while courier.turn(Nanos::ZERO).is_some() {}
            // Whatever left behind that answer has its turn.
            let mut out = Vec::new();
            peer.take(&mut out);
            if let Some(path) = String::from_utf8(out).unwrap().split(' ').nth(1) {
                left.push(path.to_owned());
                peer.deliver(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
                while courier.turn(Nanos::ZERO).is_some() {}
            }
        }
        assert_eq!(left, ["/3", "/10", "/11", "/1", "/2"]);
    }
}
