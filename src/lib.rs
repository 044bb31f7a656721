//! contango: spot–perpetual carry at low latency. This file is the map.
//!
//! Map:   five rooms, joined by rings and latest-value cells; each is an `Agent` with one `do_work`.
//!
//! ```text
//!          venues                                                       venues
//!            │ TLS + WebSocket              TLS, REST, a private stream   │ ▲ orders
//!            ▼                                                            ▼ │
//!  ┌──────────────────┐  Feed ring   ┌────────────────────────────────────────┐
//!  │ reader           │ ───────────▶ │ trader            the only pen         │  hot
//!  │ bytes → Quote    │              │ book → basis → gate → order → wire     │
//!  └────────┬─────────┘              └──────────────┬─────────────────────────┘
//!           │ Mark ring             Told ring       │    ▲ Permit, Terms (latest values)
//!           ▼                                       ▼    │ Command ring
//!  ┌─────────────────────────────────────────────────────┴──────────────────────┐
//!  │ shadow     order → pair → ledger → budget    private streams, query links  │  warm
//!  └───────┬──────────────────────────────────────────────────────▲─────────────┘
//!  News ▲  │ Record ring                                          │ durable (latest value)
//!  ┌────┴──┼──────────────────────────┐   ┌───────────────────────┴─┐
//!  │ clerk ▼ links, instruments, clock│   │ scribe   journal        │              cold
//!  └──────────────────────────────────┘   └─────────────────────────┘
//! ```
//!
//! # A quote's way
//!
//! [`metal::link`] hands out plaintext → [`wire::ws`] finds the frame → [`venue`] decodes it, every byte
//! between the values compared with what is expected → [`agents::reader`] stamps it and puts it into the
//! feed ring → [`agents::trader`] takes it into [`desk::book`], compares both prices with the folded
//! threshold of its pair ([`event::Fold`]), passes [`desk::gate`], commits the intent
//! ([`metal::intents`]) and hands both prepared orders to the kernel. What it did goes to
//! [`agents::shadow`], which follows each order by evidence ([`desk::order`]), books each fill once
//! ([`desk::ledger`]), and puts a pair right where only one leg was filled: the missing one is tried once
//! more ([`desk::complete`]), or the larger one made smaller ([`desk::pair`]).
//!
//! # After a crash
//!
//! [`metal::intents`] outlives the process, [`store::journal`] the host. The next run reads both back
//! ([`store::recall`]), and [`agents::shadow`] holds the books against the venue's before it trades.
//!
//! # A run again
//!
//! The seams of [`metal`] are the only ways into a room, so one [`metal::tap`] copies all that trader and
//! shadow take in, turn by turn, into a session file ([`store::session`]); [`agents::replay`] feeds both rooms
//! their turns again, and they decide the same.
//!
//! # What funding pays
//!
//! A process of its own, which never trades: `cli::scan` asks the public halves of four venues ([`venue::Open`]) ·
//! [`carry::opportunity`] weighs what they tell as an entry is weighed · [`ops::scan`] keeps the rows and answers.
//!
//! # Ranks
//!
//! A file imports from lower ranks and its own folder; same rank never meets. `tests/laws.rs` keeps it.
//!
//! | rank | room | what |
//! |---|---|---|
//! | 0 | [`units`] | what a number means; no float |
//! | 1 | [`event`] | all that passes a door |
//! | 2 | [`metal`] | the machine; the only unsafe, the engine's only sockets, and the seams of virtual time |
//! | 2 | [`wire`] | bytes without sockets: WebSocket, HTTP, templates, sessions |
//! | 3 | [`venue`] | one folder a venue; no venue's word leaves it |
//! | 4 | [`desk`] | decides, does nothing |
//! | 5 | [`carry`] | funding → thresholds |
//! | 5 | [`store`] | the journal and what it tells, the epoch, the latch file, session files; money over time, tables |
//! | 6 | [`agents`] | the rooms |
//! | 7 | [`ops`] | the operator's socket; the scanner's rows and their API |
//! | 8 | [`rehearse`] | the same rooms in one thread and virtual time |
//! | 9 | [`cli`] | the only folder that talks to a person |
//! | apart | [`sim`], [`simnet`] | the exchange in a box, pure and behind sockets; shares no code with what it checks |
//!
//! # Words
//!
//! *pair*: one spot and one perp market of the same coin · *basis*: perp ÷ (m · spot) − 1, executable ·
//! *direction short*: buy spot, short perp · *clip*: size of one entry · *intent*: one decision ·
//! *attempt*: one order of a leg · *exposure* E: net base coin of a pair · *naked*: one leg on, the other
//! not · *permit*: what the trader may still send · *terms*: what one pair may do · *fold*: a threshold
//! made cheap to test · *the box*: the exchange in a box · *tape*: recorded market frames.
//!
//! # Which crate does what
//!
//! `mio` readiness and polling · `tungstenite` the upgrade's checks, and all of the box's WebSocket ·
//! `rustls` TLS: handshake and keys · `ring` TLS records, HMAC, hashes, random bytes · `simd-json` every body
//! that is no hot quote, and the counted fallback for those that are · `crossbeam` padding of shared words,
//! queues to helper threads · `core_affinity` pinning · `hdrhistogram` latencies · `arrayvec` events and order
//! bytes · `fixed` ratios and thresholds · `rusqlite` the projection and kept rates, which no engine opens ·
//! `tokio`, `axum` the scanner's HTTP, never in a process that trades.

pub mod agents;
pub mod carry;
pub mod cli;
pub mod desk;
pub mod event;
pub mod metal;
pub mod ops;
pub mod rehearse;
pub mod sim;
pub mod simnet;
pub mod store;
pub mod units;
pub mod venue;
pub mod wire;
