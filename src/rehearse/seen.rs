//! What a story may look at: the rooms' counts and books, what was told, and what the box knows.
//!
//! Owns:  reading a world, its journal and session file included.
//! Never: changes anything.

use super::World;
use super::setup::INSTANCE;
use crate::agents::reader::ReaderCounts;
use crate::agents::shadow::{Ended, Shadow};
use crate::agents::trader::{TraderCounts, Weighed};
use crate::event::{Closed, Quote, Reply};
use crate::sim::Door;
use crate::store::{segments, session};
use crate::units::{ClientId, Nanos};
use serde_json::Value;

impl World {
    /// Virtual monotonic time.
    #[must_use]
    pub fn now(&self) -> Nanos {
        self.now
    }

    /// Whether the run is over and all of it durable.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.engine.outside.done.is_set()
    }

    /// How the run ended, as far as it has.
    #[must_use]
    pub fn ended(&self) -> &Ended {
        self.engine.shadow.ended()
    }

    /// The shadow's books.
    #[must_use]
    pub fn shadow(&self) -> &Shadow {
        &self.engine.shadow
    }

    /// What the reader counted.
    #[must_use]
    pub fn reader(&self) -> &ReaderCounts {
        &self.engine.reader.counts
    }

    /// What the trader counted.
    #[must_use]
    pub fn trader(&self) -> &TraderCounts {
        &self.engine.trader.counts
    }

    /// What came of weighing all pairs, by [`Weighed`].
    #[must_use]
    pub fn weighed(&self) -> [u64; Weighed::TEXTS.len()] {
        self.engine
            .trader
            .weighed()
            .fold([0; Weighed::TEXTS.len()], |sum, pair| std::array::from_fn(|at| sum[at] + pair[at]))
    }

    /// What kept this process's entries off most often: before a signal, and at the gate.
    #[must_use]
    pub fn why_still(&self) -> String {
        let most = |counts: &[u64]| {
            counts.iter().enumerate().max_by_key(|(_, times)| **times).map_or(0, |(at, _)| at)
        };
        let (weighed, closed) = (self.weighed(), self.trader().closed);
        let (before, gate) = (most(&weighed), most(&closed));
        format!(
            "{} {} times, {} {} times",
            Weighed::TEXTS[before],
            weighed[before],
            Closed::ALL[gate].text(),
            closed[gate]
        )
    }

    /// Of each watched turn in which orders left: how many, and what reader and trader asked of the kernel in
    /// it: writes, reads.
    #[must_use]
    pub fn firing(&self) -> &[[u64; 3]] {
        &self.firing
    }

    /// What the engine told a person so far.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// What the operator was told so far.
    #[must_use]
    pub fn replies(&self) -> &[Reply] {
        &self.replies
    }

    /// Every top of book the trader took in, if [`Setup::quotes_out`] says so.
    #[must_use]
    pub fn quotes(&self) -> &[Quote] {
        &self.quotes
    }

    /// The session file of the present process so far, if [`Setup::record`] says so.
    #[must_use]
    pub fn session(&self) -> Vec<u8> {
        let mut file = self.session_begun.clone();
        file.extend_from_slice(&self.turns_taken);
        session::end(&serde_json::Map::new(), &mut file);
        file
    }

    /// When connection requests reached this door.
    #[must_use]
    pub fn dialled(&self, door: Door) -> Vec<Nanos> {
        self.network.dialled.iter().filter(|(_, it)| *it == door).map(|(at, _)| *at).collect()
    }

    /// When the engine's requests reached a REST door; a stranger's are not among them.
    #[must_use]
    pub fn asked(&self, door: Door) -> Vec<Nanos> {
        self.network.asked.iter().filter(|(_, it)| *it == door).map(|(at, _)| *at).collect()
    }

    /// What really happened, as the box knows it.
    #[must_use]
    pub fn truth(&self) -> Value {
        self.network.exchange.truth(self.network.unix(self.now))
    }

    /// The box's orders in the order they were decided, such as `sell perp BTCUSDT 0.008 FILLED 0.008`;
    /// of two sent in one breath the spot leg first, whichever came first. Reduce-only ones say so.
    #[must_use]
    pub fn orders(&self) -> Vec<String> {
        let truth = self.truth();
        let mut orders: Vec<&Value> = truth["orders"].as_array().into_iter().flatten().collect();
        orders.sort_by_key(|order| {
            let id = order["client_order_id"].as_str().unwrap_or("");
            let parts = ClientId::parse(id.as_bytes()).and_then(ClientId::parts);
            parts.map(|parts| (parts.epoch, parts.sequence, parts.attempt, parts.leg))
        });
        orders.into_iter().map(order_line).collect()
    }

    /// The journal's segments, every byte that was written.
    #[must_use]
    pub fn journal(&self) -> Vec<Vec<u8>> {
        let (disk, _) = self.disk.kill_process();
        let segment = |number| disk.read_all(&segments::file_name(INSTANCE, number)).ok().flatten();
        (1..).map_while(segment).collect()
    }

    /// How many things arrived somewhere.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.network.events
    }

    /// How often the rooms turned.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// SHA-256 over everything that arrived anywhere, with its time: equal for equal stories.
    #[must_use]
    pub fn event_hash(&self) -> String {
        self.network.event_hash()
    }

    /// SHA-256 over the trader's decisions.
    #[must_use]
    pub fn decisions_hash(&self) -> String {
        self.engine.shadow.totals.decisions_sha256()
    }
}

fn order_line(order: &Value) -> String {
    let text = |key: &str| order[key].as_str().unwrap_or("?");
    let leg = if text("market") == "spot" { "spot" } else { "perp" };
    let tail = if order["reduce_only"] == true { " reduce-only" } else { "" };
    format!(
        "{} {leg} {} {} {} {}{tail}",
        text("side").to_lowercase(),
        text("symbol"),
        text("orig_qty"),
        text("status"),
        text("executed_qty"),
    )
}
