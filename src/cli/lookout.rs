//! A clerk alone, turned by a command that only looks at a venue.
//!
//! Owns:  its start from the settings, its turns, and giving up when a venue tells nothing any more.
//! Never: needs a key; what is asked for is the clerk's business.

use super::Settings;
use super::boot::{self, BootError};
use crate::agents::alone::Alone;
use crate::agents::clerk::ClerkSettings;
use crate::event::News;
use crate::metal::clock::Clock;
use crate::metal::dial::Dialer;
use crate::metal::entropy::Entropy;
use crate::metal::latch::{Latch, stop_on_signals};
use crate::metal::runner::Agent as _;
use crate::venue::standing::Wants;
use crate::venue::{Orders, Venue};
use std::time::{Duration, Instant};

/// A venue that has told nothing wanted for so long will not.
const TOLD_WITHIN: Duration = Duration::from_secs(60);
/// How long an idle clerk sleeps.
const IDLE: Duration = Duration::from_millis(1);

/// The clerk and its time.
pub(super) struct Lookout {
    /// The clerk's clock.
    pub clock: Clock,
    alone: Alone,
    stop: Latch,
    venue: &'static Venue,
    /// The last link that failed.
    trouble: Option<String>,
    told: Instant,
}

impl Lookout {
    /// A clerk that has not dialled yet, to read funding so far back, and prices beside it.
    pub(super) fn new(
        settings: &Settings,
        venue: &'static Venue,
        read_back_ns: u64,
        candles: bool,
    ) -> Result<Self, BootError> {
        let clerk = ClerkSettings {
            target: boot::target(settings, venue)?,
            rooms: false,
            read_back_ns,
            candles,
            wanted: (!settings.pairs.is_empty()).then(|| settings.pairs.clone()),
            known: Vec::new(),
            live: false,
            order_links: 0,
            orders: Orders::Rest,
            feed_links: 1,
            binary: false,
            wants: Wants { leverage: 0, test: false },
            recv_window_ms: settings.recv_window_ms,
        };
        let stop = Latch::new();
        stop_on_signals(&stop).map_err(BootError::failed)?;
        let clock = Clock::real();
        let dialer = Dialer::real(boot::trust(settings)?).map_err(BootError::failed)?;
        let alone = Alone::new(clerk, clock.clone(), dialer, Entropy::real());
        Ok(Self { clock, alone, stop, venue, trouble: None, told: Instant::now() })
    }

    /// The next thing the venue tells: instruments, marks, settlements, intervals.
    pub(super) fn next(&mut self) -> Result<News, BootError> {
        while !self.stop.is_set() && self.told.elapsed() < TOLD_WITHIN {
            if self.alone.do_work(self.clock.now()) == 0 {
                std::thread::sleep(IDLE);
            }
            match self.alone.news() {
                Some(News::Fail { why } | News::Refuse { why }) => return Err(BootError::failed(why)),
                Some(News::LinkDown { what, why }) => self.trouble = Some(format!("{what}: {why}")),
                Some(
                    news @ (News::Instruments { .. }
                    | News::Marks(_)
                    | News::Settled { .. }
                    | News::Candles { .. }
                    | News::Intervals(_)),
                ) => {
                    self.told = Instant::now();
                    return Ok(news);
                }
                _ => {}
            }
        }
        if self.stop.is_set() {
            return Err(BootError::failed("stopped before all of it was there"));
        }
        let why = self.trouble.take().unwrap_or_else(|| "no answer yet".to_owned());
        Err(BootError::failed(format!(
            "{} did not tell what was asked: {why}; check the network, or --endpoint and --ca",
            self.venue.name
        )))
    }
}
