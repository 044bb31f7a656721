//! In the process: from the last ciphertext byte of a quote to its order's bytes in front of `send`, over millions of
//! quotes.
//!
//! Owns:  both hot rooms twice, and the bare path; the venue's ends of their sockets; the counts that are judged.
//! Never: lets anything but these and the rooms' understudies turn on its core: one thread is venue and participant by turns,
//!        and the caches are those of a thread that has read a thousand quotes since its last order.
//! Rounds: a round is [`ROUND`] quotes of both markets in records of their own, up to [`BATCH_MAX`] readable at a time,
//!        then the quote that crosses, alone, and one that ends it. A block of rounds is lived through by each
//!        participant, in an order that goes around. The quote that crosses comes after [`IDLE`], as from a network: it was
//!        sealed before, and a courier on another core hands it to the kernel. For the second pair of rooms it is spot's, a
//!        fall beyond all that they prepared for: that order is signed when it is fired. Else all hear the same frames (the
//!        bare path those of the perp, which it goes by), each sealed for its own connection: no two share a ciphertext.
//! Judged: counts only, of all rounds after the first [`WARM_UP`]: 0 allocations of the rooms and of their links, and
//!        orders made as they should be. What the kernel is asked for, `tools/system_calls.py` counts.

use super::bare::{Bare, fire, instruments};
use super::floor::{dial, order};
use super::house::request_len;
use super::{Dice, Fault, cert};
use contango::event::{Fired, Made, Told};
use contango::metal::alloc::{counted, watch};
use contango::metal::clock::Clock;
use contango::metal::cpu;
use contango::metal::dial::Dialer;
use contango::metal::link::{Link, Sealed};
use contango::metal::runner::Agent;
use contango::metal::tls::TlsTrust;
use contango::rehearse::hot::{Hot, REFUSAL};
use contango::rehearse::understudy::Understudy;
use contango::units::{LegKind, Nanos};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

/// Quotes of a round, the one that crosses and the one that ends it among them.
const ROUND: u64 = 1_000;
/// Quiet quotes that become readable together, at most.
const BATCH_MAX: u64 = 16;
/// Rounds of a block.
const BLOCK: u64 = 4;
/// Rounds of each participant that count for nothing.
const WARM_UP: u64 = 40;
/// Time without a quote before the one that crosses, in which orders are signed and sealed ahead, and the understudy trades.
/// A live thread has so much of it between two quotes.
const IDLE: Duration = Duration::from_millis(2);
/// What has not been acted on after so long is missed.
const PATIENCE: Duration = Duration::from_millis(100);
/// Turns within which what is readable is read, and what was read is acted on.
const TURNS_MAX: usize = 1_000;
/// Bids in tenths: both legs where nothing pays; spot so far below that no order is prepared for it, the perp 51 bp above.
const QUIET: i64 = 1_000_000;
const CROSSED: [i64; 2] = [985_000, 1_005_100];

/// What every round of a block brings.
struct Round {
    quiet: Vec<Batch>,
    /// By leg.
    crossing: [Vec<u8>; 2],
    back: [Vec<u8>; 2],
}

/// Frames of spot and perp that become readable together, and how many of them are quotes.
struct Batch {
    frames: [Vec<Vec<u8>>; 2],
    quotes: u64,
}

/// The venue's end of a socket.
struct Peer {
    stream: StreamOwned<ServerConnection, TcpStream>,
    got: Vec<u8>,
}

/// Brings what crosses, from another core.
struct Courier(Sender<(TcpStream, Vec<u8>)>);

/// Where connections are made.
struct Server {
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    dialer: Dialer,
}

/// The hot rooms.
struct Rooms {
    hot: Hot,
    feeds: [Peer; 2],
    orders: [Peer; 2],
    /// Quotes that were made readable.
    quotes: u64,
    /// Whose quote crosses for them.
    leg: LegKind,
    /// As on the hot thread of an engine that has its core to itself.
    understudy: Understudy,
}

/// The shortest way.
struct Shortest {
    path: Bare,
    feed: (Link, Peer),
    orders: [Link; 2],
    peers: [Peer; 2],
    bytes: [Vec<u8>; 2],
    sealed: [Option<Sealed>; 2],
}

/// What a participant's rounds came to.
#[derive(Default)]
struct Took {
    ns: Vec<u64>,
    /// Rounds without an order.
    missed: u64,
    /// Orders made otherwise than they should be.
    otherwise: u64,
}

/// Lives through so many quotes with each participant (10 million), and prints what came of it.
///
/// # Errors
///
/// A count is not as it must be, or a socket broke.
pub fn run(words: &[&str]) -> Result<(), Fault> {
    let quotes: u64 = words.first().map_or(Ok(10_000_000), |word| word.parse())?;
    let (pem, tls) = cert::authority()?;
    let dialer = Dialer::real(TlsTrust::from_pem(pem.as_bytes())?)?;
    let mut server = Server { listener: TcpListener::bind("127.0.0.1:0")?, tls, dialer };
    let clock = Clock::real();
    let mut rooms =
        [Rooms::new(&mut server, &clock, LegKind::Perp)?, Rooms::new(&mut server, &clock, LegKind::Spot)?];
    let mut shortest = Shortest::new(&mut server)?;
    let courier = Courier::start()?;
    let mut took = [Took::default(), Took::default(), Took::default()];
    let (mut dice, mut sequence, mut allocated) = (Dice(6 | 1 << 40), 0, (0, 0));
    let rounds = quotes.div_ceil(ROUND) + WARM_UP;
    for block in 0..rounds.div_ceil(BLOCK) {
        let lived: Vec<Round> =
            (0..BLOCK).map(|_| Round::draw(&rooms[0].hot, &mut dice, &mut sequence, clock.now())).collect();
        let counts = block * BLOCK >= WARM_UP;
        let before = counted();
        for turn in 0..3 {
            let at = ((block + turn) % 3) as usize;
            for round in &lived {
                let ns = match at {
                    2 => shortest.live(round, &courier, &clock)?,
                    _ => rooms[at].live(round, &courier, &clock, counts)?,
                };
                let took = &mut took[at];
                match ns {
                    _ if !counts => {}
                    Some((ns, as_wanted)) => {
                        took.ns.push(ns);
                        took.otherwise += u64::from(!as_wanted);
                    }
                    None => took.missed += 1,
                }
            }
        }
        let after = counted();
        allocated = (allocated.0 + after.0 - before.0, allocated.1 + after.1 - before.1);
    }
    took.iter_mut().for_each(|took| took.ns.sort_unstable());
    let [sealed, signed, bare] = &took;
    println!(
        "{:#}",
        json!({
            "quotes_each": quotes,
            "in_process_ns": {"sealed ahead": sealed.told(), "signed at fire": signed.told(), "bare": bare.told()},
            "p50_over_bare": {"sealed ahead": sealed.over(bare), "signed at fire": signed.over(bare)},
            "allocations": {"rooms": allocated.0, "links": allocated.1},
        })
    );
    let made = |took: &Took| {
        took.ns.len() as u64 * ROUND * 100 >= quotes * 99 && took.otherwise * 100 <= took.ns.len() as u64
    };
    match allocated == (0, 0) && made(sealed) && made(signed) {
        true => Ok(()),
        false => Err("the hot rooms allocated, or too few orders were made as they should be".into()),
    }
}

impl Took {
    fn quantile(&self, part: f64) -> u64 {
        let rank = (part * self.ns.len() as f64).ceil() as usize;
        self.ns.get(rank.saturating_sub(1)).copied().unwrap_or(0)
    }

    fn told(&self) -> Value {
        json!({
            "orders": self.ns.len(), "missed": self.missed, "made_otherwise": self.otherwise,
            "p50": self.quantile(0.5), "p90": self.quantile(0.9), "p99": self.quantile(0.99),
        })
    }

    fn over(&self, other: &Self) -> f64 {
        (100.0 * self.quantile(0.5) as f64 / other.quantile(0.5).max(1) as f64).round() / 100.0
    }
}

impl Round {
    fn draw(hot: &Hot, dice: &mut Dice, sequence: &mut u64, now: Nanos) -> Self {
        let mut quote = |leg, bid| {
            *sequence += 1;
            hot.quote(leg, *sequence, bid, now)
        };
        let (mut quiet, mut left) = (Vec::new(), ROUND - 2);
        while left > 0 {
            let quotes = left.min(1 + dice.below(BATCH_MAX));
            left -= quotes;
            let mut frames = [Vec::new(), Vec::new()];
            if quiet.is_empty() {
                frames[0].push(Hot::stamp(now));
            }
            for _ in 0..quotes {
                let leg = LegKind::BOTH[dice.below(2) as usize];
                frames[leg as usize].push(quote(leg, QUIET + dice.below(10) as i64));
            }
            quiet.push(Batch { frames, quotes });
        }
        let crossing = LegKind::BOTH.map(|leg| quote(leg, CROSSED[leg as usize] + dice.below(10) as i64));
        Self { quiet, crossing, back: LegKind::BOTH.map(|leg| quote(leg, QUIET)) }
    }
}

impl Server {
    fn line(&mut self) -> Result<(Link, Peer), Fault> {
        let (listener, tls) = (self.listener.try_clone()?, Arc::clone(&self.tls));
        let serving = std::thread::spawn(move || -> std::io::Result<_> {
            let socket = listener.accept()?.0;
            socket.set_nodelay(true)?;
            let conn = ServerConnection::new(tls).map_err(std::io::Error::other)?;
            let mut stream = StreamOwned::new(conn, socket);
            while stream.conn.is_handshaking() || stream.conn.wants_write() {
                stream.conn.complete_io(&mut stream.sock)?;
            }
            Ok(stream)
        });
        let link = dial(&mut self.dialer, &format!("wss://{}", self.listener.local_addr()?))?;
        let stream = serving.join().map_err(|_| "the server's thread panicked")??;
        Ok((link, Peer { stream, got: Vec::new() }))
    }

    fn lines(&mut self) -> Result<([Link; 2], [Peer; 2]), Fault> {
        let ((spot, spot_peer), (perp, perp_peer)) = (self.line()?, self.line()?);
        Ok(([spot, perp], [spot_peer, perp_peer]))
    }
}

impl Courier {
    /// This thread gets the last core there is, the courier the first.
    fn start() -> Result<Self, Fault> {
        let cores = cpu::cores();
        let (first, last) = cores.first().zip(cores.last()).ok_or("no core to sit on")?;
        let (to, jobs) = channel::<(TcpStream, Vec<u8>)>();
        let first = *first;
        std::thread::spawn(move || {
            // On a core of its own or not, it brings what it is given.
            let _ = cpu::pin(first);
            for (mut socket, records) in jobs {
                std::thread::sleep(IDLE);
                // Where the socket broke nothing comes, which counts as missed.
                let _ = socket.write_all(&records);
            }
        });
        cpu::pin(*last)?;
        Ok(Self(to))
    }

    /// Lets this come after [`IDLE`].
    fn bring(&self, peer: &mut Peer, message: &[u8]) -> Result<(), Fault> {
        let records = peer.seal(&[message])?;
        Ok(self.0.send((peer.stream.sock.try_clone()?, records))?)
    }
}

impl Peer {
    /// Sends each of these in a record of its own, all of them together.
    fn say<T: AsRef<[u8]>>(&mut self, messages: &[T]) -> Result<(), Fault> {
        let records = self.seal(messages)?;
        Ok(self.stream.sock.write_all(&records)?)
    }

    /// What saying these is on the wire; it must leave before anything else is said.
    fn seal<T: AsRef<[u8]>>(&mut self, messages: &[T]) -> Result<Vec<u8>, Fault> {
        let mut records = Vec::new();
        for message in messages {
            self.stream.conn.writer().write_all(message.as_ref())?;
        }
        while self.stream.conn.wants_write() {
            self.stream.conn.write_tls(&mut records)?;
        }
        Ok(records)
    }

    /// Reads one order.
    fn order(&mut self) -> Result<(), Fault> {
        let mut chunk = [0; 4_096];
        loop {
            if let Some(whole) = request_len(&self.got) {
                self.got.drain(..whole);
                return Ok(());
            }
            let n = self.stream.read(&mut chunk)?;
            self.got.extend_from_slice(&chunk[..n]);
        }
    }
}

impl Rooms {
    fn new(server: &mut Server, clock: &Clock, leg: LegKind) -> Result<Self, Fault> {
        let mut hot = Hot::new(clock, instruments()?)?;
        let (links, mut feeds) = server.lines()?;
        for (leg, link) in LegKind::BOTH.into_iter().zip(links) {
            hot.feed(leg, link);
            feeds[leg as usize].say(&[Hot::confirmed()])?;
        }
        let (links, orders) = server.lines()?;
        for (leg, mut link) in LegKind::BOTH.into_iter().zip(links) {
            // As the clerk does before it hands one over.
            link.reserve_ahead();
            hot.orders(leg, link);
        }
        Ok(Self { hot, feeds, orders, quotes: 0, leg, understudy: Understudy::new()? })
    }

    /// A turn of the thread that both rooms share.
    fn turn(&mut self, clock: &Clock, counts: bool) {
        let now = clock.now();
        watch(counts);
        if self.hot.reader.do_work(now) + self.hot.trader.do_work(now) == 0 {
            self.understudy.keep(now);
        }
        watch(false);
    }

    /// One round: how long it took from the quote to the order, and whether that was made as it should be; `None`:
    /// nothing was sent.
    fn live(
        &mut self,
        round: &Round,
        courier: &Courier,
        clock: &Clock,
        counts: bool,
    ) -> Result<Option<(u64, bool)>, Fault> {
        for batch in &round.quiet {
            for (peer, frames) in self.feeds.iter_mut().zip(&batch.frames) {
                peer.say(frames)?;
            }
            self.read(batch.quotes, clock, counts);
            while self.hot.told().is_some() {}
        }
        let leg = self.leg as usize;
        courier.bring(&mut self.feeds[leg], &round.crossing[leg])?;
        self.quotes += 1;
        let Some(fired) = self.fired(clock, counts) else { return Ok(None) };
        for peer in &mut self.orders {
            peer.order()?;
            peer.say(&[REFUSAL])?;
        }
        let mut answers = 0;
        for _ in 0..TURNS_MAX {
            self.turn(clock, counts);
            answers +=
                std::iter::from_fn(|| self.hot.told()).filter(|told| matches!(told, Told::Answer(_))).count();
            if answers == 2 {
                break;
            }
        }
        // A pair that is free acts on a basis that still stands.
        self.feeds[leg].say(&[&round.back[leg]])?;
        self.read(1, clock, counts);
        self.hot.free(&fired);
        self.turn(clock, counts);
        let first = fired.legs[0].ok_or("a round without a leg")?;
        let handed = first.handed.ok_or("this link does not stamp what it sends")?;
        let wanted = [Made::Signed, Made::Sealed][leg];
        Ok(Some((handed.since(fired.seen), first.made == wanted)))
    }

    /// Turns until so many more quotes are read.
    fn read(&mut self, quotes: u64, clock: &Clock, counts: bool) {
        self.quotes += quotes;
        for _ in 0..TURNS_MAX {
            if self.hot.reader.counts.quotes == self.quotes {
                break;
            }
            self.turn(clock, counts);
        }
    }

    fn fired(&mut self, clock: &Clock, counts: bool) -> Option<Fired> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            self.turn(clock, counts);
            while let Some(told) = self.hot.told() {
                if let Told::Fired(fired) = told {
                    return Some(fired);
                }
            }
        }
        None
    }
}

impl Shortest {
    fn new(server: &mut Server) -> Result<Self, Fault> {
        let feed = server.line()?;
        let (mut orders, peers) = server.lines()?;
        orders.iter_mut().for_each(Link::stamp_sends);
        let bytes = [order("/api/v3/order", "BUY"), order("/fapi/v1/order", "SELL")];
        Ok(Self { path: Bare::new()?, feed, orders, peers, bytes, sealed: [None, None] })
    }

    /// As [`Rooms::live`]. It fires on the way back, too, which counts for nothing.
    fn live(
        &mut self,
        round: &Round,
        courier: &Courier,
        clock: &Clock,
    ) -> Result<Option<(u64, bool)>, Fault> {
        for Batch { frames: [_, perp], .. } in &round.quiet {
            if !perp.is_empty() {
                self.hear(perp)?;
            }
        }
        self.make_ready();
        courier.bring(&mut self.feed.1, &round.crossing[LegKind::Perp as usize])?;
        if !self.take_in()? {
            return Ok(None);
        }
        let seen = self.feed.0.seen().ok_or("the feed has no stamp")?;
        let handed = self.orders[0].handed().ok_or("the order has no stamp")?;
        self.hear(&[&round.back[LegKind::Perp as usize]])?;
        Ok(Some((clock.at(handed).since(clock.at(seen)), true)))
    }

    /// Takes frames in as they come; whether it fired.
    fn hear<T: AsRef<[u8]>>(&mut self, frames: &[T]) -> Result<bool, Fault> {
        self.make_ready();
        self.feed.1.say(frames)?;
        self.take_in()
    }

    /// Seals what it would fire.
    fn make_ready(&mut self) {
        for ((sealed, link), bytes) in self.sealed.iter_mut().zip(&mut self.orders).zip(&self.bytes) {
            if sealed.is_none() {
                *sealed = link.seal_ahead(bytes, None);
            }
        }
    }

    /// Takes in what comes next; whether it fired.
    fn take_in(&mut self) -> Result<bool, Fault> {
        while self.feed.0.recv()? == 0 {
            self.path.stand_by(&self.feed.0, &self.orders, &self.sealed);
        }
        let link = &mut self.feed.0;
        let fired = self.path.crossed(link)?;
        if fired {
            fire(&mut self.orders, &mut self.sealed, &self.bytes)?;
            for peer in &mut self.peers {
                peer.order()?;
            }
        }
        Ok(fired)
    }
}
