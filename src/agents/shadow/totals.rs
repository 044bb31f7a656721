//! What a run adds up to: counts, latencies, the hash of decisions.
//!
//! Owns:  the histograms of every stage and the numbers of the end summary.
//! Never: is read on the hot path; nothing hangs on it but people and checks.

use crate::agents::decisions::Decisions;
use crate::event::{Fired, Instruments, Told};
use hdrhistogram::Histogram;
use std::fmt;

/// The stages that are measured in every run (DESIGN §8), by their published names.
pub const STAGES: [&str; 14] = [
    "tick_to_wire",
    "leg2_tick_to_wire",
    "leg_skew",
    "ack_rtt",
    "fill_rtt",
    "feed_age",
    "shadow_turn",
    "shadow_lag",
    "in_process",
    "leg2_in_process",
    "send_call",
    "rx_to_read",
    "wire_to_wire",
    "leg2_wire_to_wire",
];

/// What took longer is not told apart.
const LONGEST_NS: u64 = 10_000_000_000;

/// Index of a stage in [`STAGES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Stage {
    /// Last byte of the triggering frame read → first leg handed to the kernel.
    TickToWire = 0,
    /// The same, second leg.
    Leg2TickToWire,
    /// First leg handed over → second leg handed over.
    LegSkew,
    /// Order handed over → its answer read.
    AckRtt,
    /// Order handed over → its fills booked.
    FillRtt,
    /// Venue's stamp → message read, by the learned offset.
    FeedAge,
    /// One turn of the shadow.
    ShadowTurn,
    /// Orders handed over → the shadow hears of it.
    ShadowLag,
    /// Last byte of the triggering frame read → the first leg's bytes handed to `send`: all that is ours and none of
    /// the kernel's. With `--stamps path` or `kernel` only, as the two after it.
    InProcess,
    /// First leg's `send` returned → the second leg's bytes handed to `send`.
    Leg2InProcess,
    /// Bytes of a leg handed to `send` → it returned.
    SendCall,
    /// The kernel's stamp of the last packet of the triggering read → that read. With `--stamps kernel` only, as the two
    /// after it.
    RxToRead,
    /// That stamp → the kernel's stamp of the first leg's last packet, handed to the network driver: from packet to packet.
    WireToWire,
    /// The same, second leg.
    Leg2WireToWire,
}

/// Everything a summary tells of the engine's side.
pub struct Totals {
    /// Positions opened.
    pub opened: u64,
    /// Round trips finished.
    pub closed: u64,
    /// Pairs that needed at least one repair order.
    pub repaired: u64,
    /// Orders of which some byte left.
    pub sent: u64,
    /// Orders filled whole.
    pub filled: u64,
    /// Orders filled in part.
    pub partial: u64,
    /// Orders refused.
    pub refused: u64,
    /// Signals that were only told, because real orders are not allowed.
    pub signals: u64,
    /// What each refusal said, by code, with how often.
    pub refusals: std::collections::BTreeMap<i32, u64>,
    histograms: Vec<Histogram<u64>>,
    decisions: Decisions,
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            opened: 0,
            closed: 0,
            repaired: 0,
            sent: 0,
            filled: 0,
            partial: 0,
            refused: 0,
            signals: 0,
            refusals: std::collections::BTreeMap::new(),
            // They grow to what they are told: a process that lives for seconds needs few of them, and little of those.
            histograms: STAGES
                .iter()
                .map(|_| Histogram::new(3).expect("the crate takes 0 to 5 digits"))
                .collect(),
            decisions: Decisions::default(),
        }
    }
}

impl Totals {
    /// One more measurement of a stage, in ns: from 1 ns, and what took longer than 10 s as 10 s.
    pub fn record(&mut self, stage: Stage, ns: u64) {
        // One that grows by itself refuses nothing that it can index.
        let _ = self.histograms[stage as usize].record(ns.clamp(1, LONGEST_NS));
    }

    /// The histograms by their published names.
    pub fn histograms(&self) -> impl Iterator<Item = (&'static str, &Histogram<u64>)> {
        STAGES.into_iter().zip(&self.histograms)
    }

    /// Takes a send round into the hash of decisions.
    pub fn decide(&mut self, fired: &Fired, instruments: &Instruments) {
        self.decisions.fired(fired, instruments);
    }

    /// Takes a signal that was only told into the hash of decisions.
    pub fn decide_signal(&mut self, told: &Told, instruments: &Instruments) {
        self.decisions.told(told, instruments);
    }

    /// SHA-256 of all decisions so far, lower-case hex.
    #[must_use]
    pub fn decisions_sha256(&self) -> String {
        self.decisions.sha256()
    }

    /// How many lines are in it.
    #[must_use]
    pub fn decisions(&self) -> u64 {
        self.decisions.lines
    }
}

impl fmt::Debug for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Totals")
            .field("opened", &self.opened)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}
