//! The witness: somebody outside of the venue who is asked about funding, plainly over HTTP.
//!
//! Owns:  its link and the back-off between tries, when it is asked, its secret header, and telling what it said.
//! Never: holds anything up, follows a redirect, shows the secret, or makes an answer of a failure: what can't
//!        be used is told as an answer without opinions, what never came as nothing at all, and its last word
//!        ages (`carry::confirm`).
//! Why:   a dialler of its own, since it is no venue's host: it may trust other authorities.

use super::{Clerk, Host};
use crate::agents::courier::{BODY_MAX, Courier, Delivery, Letter};
use crate::event::{Counted, News, Opinion};
use crate::metal::clock::Clock;
use crate::metal::dial::Dialer;
use crate::metal::link::{Link, LinkState};
use crate::metal::tap::Tap;
use crate::units::time::SEC;
use crate::units::{LinkId, Nanos};
use crate::venue::witness::{Map, Pairs};
use crate::venue::{Ask, Scratch};
use std::fmt;
use zeroize::Zeroizing;

/// TLS must be done in this time.
const OPEN_WITHIN_NS: u64 = 5 * SEC;
/// First wait after a failure; doubles, up to the usual time between two questions.
const AGAIN_NS: u64 = SEC;
const DOUBLINGS: u32 = 10;

/// A header whose value nobody may see.
#[derive(Clone)]
pub struct SecretHeader {
    name: String,
    value: Zeroizing<String>,
}

impl SecretHeader {
    /// Of this name and value.
    #[must_use]
    pub fn new(name: String, value: Zeroizing<String>) -> Self {
        Self { name, value }
    }
}

impl fmt::Debug for SecretHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretHeader").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Whom to ask, and how.
#[derive(Clone, Debug)]
pub struct WitnessSettings {
    /// Where it is.
    pub host: Host,
    /// Path with query.
    pub path: String,
    /// What makes it answer us.
    pub header: Option<SecretHeader>,
    /// Where in its answer to look.
    pub map: Map,
    /// How often, in ns.
    pub every_ns: u64,
}

/// The witness and the way to it.
#[derive(Debug)]
pub(super) struct Witness {
    settings: WitnessSettings,
    dialer: Dialer,
    courier: Courier<()>,
    way: Way,
    link: LinkId,
    tickets: u32,
    pairs: Pairs,
    generation: u32,
    scratch: Scratch,
    /// When it is asked next.
    due: Nanos,
    /// Failures in a row.
    tries: u32,
    /// What a person was told last: why it can't be heard; `None`: it is heard.
    told: Option<String>,
    /// Whether it was ever heard.
    heard: bool,
}

#[derive(Debug)]
enum Way {
    Down,
    Dialling,
    Opening { link: Box<Link>, since: Nanos },
    Up,
}

impl Clerk {
    /// The same clerk, who asks this witness as well.
    #[must_use]
    pub fn with_witness(mut self, witness: Option<(WitnessSettings, Dialer)>, clock: &Clock) -> Self {
        self.witness = witness.map(|(settings, dialer)| Box::new(Witness::new(settings, dialer, clock)));
        self
    }

    /// Asks the witness when it is time, and tells what it said.
    pub(super) fn ask_witness(&mut self, now: Nanos) -> usize {
        let Some(mut witness) = self.witness.take() else { return 0 };
        let instruments = &self.history.instruments();
        if witness.pairs.is_empty() || witness.generation != instruments.generation {
            (witness.pairs, witness.generation) = (Pairs::new(instruments), instruments.generation);
        }
        let mut news = Vec::new();
        if !witness.pairs.is_empty() {
            witness.turn(self.settings.target.venue.name, now, &mut news);
        }
        self.witness = Some(witness);
        let work = news.len();
        news.into_iter().for_each(|news| self.tell(news));
        work
    }
}

impl Witness {
    fn new(settings: WitnessSettings, dialer: Dialer, clock: &Clock) -> Self {
        Self {
            settings,
            dialer,
            courier: Courier::new(|_, _| Counted::default(), clock.clone(), &Tap::off()),
            way: Way::Down,
            link: LinkId(0),
            tickets: 0,
            pairs: Pairs::default(),
            generation: 0,
            scratch: Scratch::new(),
            due: Nanos::ZERO,
            tries: 0,
            told: None,
            heard: false,
        }
    }

    fn turn(&mut self, exchange: &str, now: Nanos, news: &mut Vec<News>) {
        match std::mem::replace(&mut self.way, Way::Down) {
            Way::Down if now >= self.due => {
                self.dial();
                self.way = Way::Dialling;
            }
            Way::Down => {}
            Way::Dialling => match self.dialer.poll() {
                None => self.way = Way::Dialling,
                Some((_, Ok(link))) => self.way = Way::Opening { link: Box::new(link), since: now },
                Some((_, Err(error))) => self.failed(error.to_string(), now, news),
            },
            Way::Opening { mut link, since } => match link.recv() {
                Err(error) => self.failed(error.to_string(), now, news),
                Ok(_) if link.state() == LinkState::Open => {
                    self.link = link.id;
                    self.courier.attach(*link);
                    self.way = Way::Up;
                }
                Ok(_) if now.since(since) > OPEN_WITHIN_NS => {
                    self.failed("TLS was not done within 5 s".to_owned(), now, news);
                }
                Ok(_) => self.way = Way::Opening { link, since },
            },
            Way::Up => {
                self.way = Way::Up;
                if now >= self.due && self.courier.is_ready() {
                    self.due = now.plus(self.settings.every_ns);
                    self.courier.post((), self.ask());
                }
            }
        }
        while let Some(delivery) = self.courier.turn(now) {
            match delivery {
                Delivery::Answer(letter) => self.on_letter(&letter, exchange, now, news),
                Delivery::Lost { why, .. } => self.failed(why, now, news),
                // A witness may end an idle connection as it likes.
                Delivery::Broken { .. } => {
                    self.courier.forget_queue();
                    self.way = Way::Down;
                }
            }
        }
    }

    fn dial(&mut self) {
        let host = &self.settings.host;
        self.tickets += 1;
        self.dialer.request(host.dialled(self.tickets, [1 << 16, BODY_MAX]));
    }

    fn ask(&self) -> Ask {
        let mut headers = vec![("Accept".into(), "application/json".to_owned())];
        if let Some(SecretHeader { name, value }) = &self.settings.header {
            headers.push((name.clone().into(), value.to_string()));
        }
        Ask { method: "GET", endpoint: "confirm", path: self.settings.path.clone(), weight: 0, headers }
    }

    fn on_letter(&mut self, letter: &Letter<()>, exchange: &str, now: Nanos, news: &mut Vec<News>) {
        let status = letter.status;
        let read = match status {
            200 => self.settings.map.read(&letter.body, &mut self.scratch, exchange, &self.pairs),
            401 | 403 => Err(format!("it answers {status}; check the header in --confirm-key-file")),
            // Its own trouble, which passes: as if it had not answered.
            408 | 429 | 500.. => return self.failed(format!("it answers {status}"), now, news),
            _ => Err(format!("it answers {status}; check --confirm-url")),
        };
        let opinions = |rows: Vec<Opinion>| News::Opinions { received: letter.received, rows };
        match read {
            Ok(rows) => {
                news.push(opinions(rows));
                self.tries = 0;
                if self.told.take().is_some() || !self.heard {
                    self.heard = true;
                    news.push(News::LinkUp { link: self.link, what: self.name() });
                }
            }
            Err(why) => {
                news.push(opinions(Vec::new()));
                self.failed(why, now, news);
            }
        }
    }

    /// It can't be heard now; a person is told once.
    fn failed(&mut self, why: String, now: Nanos, news: &mut Vec<News>) {
        let wait = AGAIN_NS << self.tries.min(DOUBLINGS);
        self.tries = self.tries.saturating_add(1);
        self.due = now.plus(wait.min(self.settings.every_ns));
        if self.told.as_ref() != Some(&why) {
            news.push(News::LinkDown { what: self.name(), why: why.clone() });
            self.told = Some(why);
        }
    }

    fn name(&self) -> String {
        format!("confirmation from {}", self.settings.host.name)
    }
}
