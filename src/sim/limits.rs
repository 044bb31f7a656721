//! Request budgets: fixed windows aligned to the box's clock, and the ban for those who go on.
//!
//! Owns:  weights used, orders counted, peaks, when to answer 429 and when 418.
//! Never: slides a window.
//! Page:  binance.md §13.

/// Requests after a 429 or 418, before its `Retry-After` has passed, that turn it into a ban or make that longer.
const BAN_AFTER: u32 = 5;

/// First ban; each further one is twice as long, up to [`BAN_MAX_NS`].
const BAN_FIRST_NS: u64 = 120 * SECOND;

/// Longest ban: three days.
const BAN_MAX_NS: u64 = 3 * 86_400 * SECOND;

/// Delay after which a spot order's first fill gives its count back.
const REFUND_NS: u64 = 50_000_000;

const SECOND: u64 = 1_000_000_000;

/// One aligned window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    length_ns: u64,
    pub(super) limit: u32,
    start: u64,
    pub(super) used: u32,
    pub(super) peak: u32,
}

impl Window {
    fn new(seconds: u64, limit: u32) -> Self {
        Self { length_ns: seconds * SECOND, limit, start: 0, used: 0, peak: 0 }
    }

    fn roll(&mut self, clock: u64) {
        let start = clock - clock % self.length_ns;
        if start != self.start {
            (self.start, self.used) = (start, 0);
        }
    }

    /// What is used of the window that `clock` lies in.
    pub(super) fn used_at(mut self, clock: u64) -> u32 {
        self.roll(clock);
        self.used
    }

    fn fits(&mut self, clock: u64, cost: u32) -> bool {
        self.roll(clock);
        self.used + cost <= self.limit
    }

    fn charge(&mut self, clock: u64, cost: u32) {
        self.roll(clock);
        self.used += cost;
        self.peak = self.peak.max(self.used);
    }

    /// Whole seconds to the window's end, at least one.
    fn retry_after_s(&self, clock: u64) -> u64 {
        (self.start + self.length_ns).saturating_sub(clock).div_ceil(SECOND).max(1)
    }
}

/// Why a request is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Throttle {
    /// 429: over the weight; seconds to wait.
    Weight { retry_after_s: u64 },
    /// 418: banned; seconds to wait and the end on the box's clock, ms.
    Banned { retry_after_s: u64, until_ms: u64 },
}

/// The budgets of one market.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) weight: Window,
    /// Requests in 5 minutes; USD-M publishes no such limit.
    pub(super) raw: Option<Window>,
    /// Funding history and intervals together, in 5 minutes: a pool of its own on USD-M.
    pub(super) funding: Window,
    /// Orders in 10 s.
    pub(super) orders_short: Window,
    /// Orders in a day (spot) or in a minute (USD-M).
    pub(super) orders_long: Window,
    connects: Window,
    blocked_until: u64,
    ignored: u32,
    banned_until: u64,
    next_ban_ns: u64,
    /// Counts to give back: when, and the order's own clock.
    refunds: Vec<(u64, u64)>,
}

impl Limits {
    pub(super) fn spot(orders_10s: u32, raw_5m: u32) -> Self {
        let raw = Some(Window::new(300, raw_5m));
        Self { raw, ..Self::new(6_000, orders_10s, (86_400, 200_000)) }
    }

    pub(super) fn usdm() -> Self {
        Self::new(2_400, 300, (60, 1_200))
    }

    fn new(weight: u32, orders_10s: u32, (long_s, long): (u64, u32)) -> Self {
        Self {
            weight: Window::new(60, weight),
            raw: None,
            funding: Window::new(300, 500),
            orders_short: Window::new(10, orders_10s),
            orders_long: Window::new(long_s, long),
            connects: Window::new(300, 300),
            blocked_until: 0,
            ignored: 0,
            banned_until: 0,
            next_ban_ns: BAN_FIRST_NS,
            refunds: Vec::new(),
        }
    }

    /// Lets a request of this weight in and charges it, or says why not. `clock`: the box's clock, ns.
    pub(super) fn admit(&mut self, clock: u64, cost: u32) -> Result<(), Throttle> {
        self.refund(clock);
        if clock < self.banned_until {
            self.ignored += 1;
            if self.ignored >= BAN_AFTER {
                self.lengthen(clock);
            }
            return Err(self.banned(clock));
        }
        if let Some(raw) = &mut self.raw {
            if !raw.fits(clock, 1) {
                return Err(Throttle::Weight { retry_after_s: raw.retry_after_s(clock) });
            }
            raw.charge(clock, 1);
        }
        // Requests without weight, such as USD-M orders, are stopped by a ban alone.
        if cost == 0 {
            return Ok(());
        }
        if clock < self.blocked_until {
            self.ignored += 1;
            if self.ignored >= BAN_AFTER {
                self.lengthen(clock);
                return Err(self.banned(clock));
            }
        } else {
            self.ignored = 0;
        }
        if self.weight.fits(clock, cost) {
            self.weight.charge(clock, cost);
            return Ok(());
        }
        let retry_after_s = self.weight.retry_after_s(clock);
        self.blocked_until = clock + retry_after_s * SECOND;
        Err(Throttle::Weight { retry_after_s })
    }

    /// Begins a ban, or makes it longer: each is twice the one before.
    fn lengthen(&mut self, clock: u64) {
        self.ignored = 0;
        self.banned_until = self.banned_until.max(clock + self.next_ban_ns);
        self.next_ban_ns = (self.next_ban_ns * 2).min(BAN_MAX_NS);
    }

    /// Bans from now on, for `for_ns` at least.
    pub(super) fn ban(&mut self, clock: u64, for_ns: u64) {
        self.ignored = 0;
        self.banned_until = self.banned_until.max(clock.saturating_add(for_ns));
    }

    /// Whole seconds to the end of the ban, if there is one.
    pub(super) fn banned_for_s(&self, clock: u64) -> Option<u64> {
        (clock < self.banned_until).then(|| (self.banned_until - clock).div_ceil(SECOND))
    }

    fn banned(&self, clock: u64) -> Throttle {
        let left = self.banned_until.saturating_sub(clock);
        Throttle::Banned {
            retry_after_s: left.div_ceil(SECOND).max(1),
            until_ms: self.banned_until / 1_000_000,
        }
    }

    /// Counts a question about funding history; seconds to wait if the pool is empty.
    pub(super) fn admit_funding(&mut self, clock: u64) -> Result<(), u64> {
        if !self.funding.fits(clock, 1) {
            return Err(self.funding.retry_after_s(clock));
        }
        self.funding.charge(clock, 1);
        Ok(())
    }

    /// Takes weight back: a spot order that succeeds costs nothing.
    pub(super) fn waive(&mut self, cost: u32) {
        self.weight.used = self.weight.used.saturating_sub(cost);
    }

    /// Counts a new order, or says which window is full: its limit, its name, seconds to wait.
    pub(super) fn count_order(&mut self, clock: u64) -> Result<(), (u32, &'static str, u64)> {
        self.refund(clock);
        let long = if self.orders_long.length_ns > 60 * SECOND { "1 DAY" } else { "1 MINUTE" };
        for (window, name) in [(&mut self.orders_short, "10 SECOND"), (&mut self.orders_long, long)] {
            if !window.fits(clock, 1) {
                return Err((window.limit, name, window.retry_after_s(clock)));
            }
        }
        self.orders_short.charge(clock, 1);
        self.orders_long.charge(clock, 1);
        Ok(())
    }

    /// A spot order got its first fill: it counts as unfilled no more, shortly.
    pub(super) fn first_fill(&mut self, clock: u64) {
        self.refunds.push((clock + REFUND_NS, clock));
    }

    fn refund(&mut self, clock: u64) {
        self.orders_short.roll(clock);
        self.orders_long.roll(clock);
        let (short, long) = (&mut self.orders_short, &mut self.orders_long);
        self.refunds.retain(|(due, counted)| {
            if *due > clock {
                return true;
            }
            for window in [&mut *short, &mut *long] {
                if *counted >= window.start {
                    window.used = window.used.saturating_sub(1);
                }
            }
            false
        });
    }

    /// Counts a new WebSocket connection; when 300 were opened within 5 minutes: seconds to wait.
    pub(super) fn connect(&mut self, clock: u64) -> Result<(), u64> {
        if !self.connects.fits(clock, 1) {
            return Err(self.connects.retry_after_s(clock));
        }
        self.connects.charge(clock, 1);
        Ok(())
    }

    /// Seconds until so many new WebSocket connections are let in; 0: now.
    pub(super) fn connects_in_s(&self, clock: u64, wanted: u32) -> u64 {
        let mut window = self.connects;
        if window.fits(clock, wanted) { 0 } else { window.retry_after_s(clock) }
    }

    /// Weight used in the running minute.
    pub(super) fn used_weight(&mut self, clock: u64) -> u32 {
        self.weight.roll(clock);
        self.weight.used
    }

    /// Orders counted in the running short and long window.
    pub(super) fn order_counts(&mut self, clock: u64) -> (u32, u32) {
        self.refund(clock);
        (self.orders_short.used, self.orders_long.used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_aligned_to_the_clock_and_do_not_slide() {
        let mut limits = Limits::spot(2, 300_000);
        assert!(limits.count_order(9 * SECOND).is_ok());
        assert!(limits.count_order(9 * SECOND).is_ok());
        assert_eq!(limits.count_order(9 * SECOND), Err((2, "10 SECOND", 1)));
        assert!(limits.count_order(10 * SECOND).is_ok());
        assert_eq!(limits.orders_short.peak, 2);
        assert_eq!(limits.order_counts(10 * SECOND), (1, 3));
    }

    #[test]
    fn going_on_after_a_429_ends_in_a_ban_that_doubles() {
        let mut limits = Limits::usdm();
        assert_eq!(limits.admit(30 * SECOND, 2_400), Ok(()));
        assert_eq!(limits.admit(30 * SECOND, 1), Err(Throttle::Weight { retry_after_s: 30 }));
        for _ in 0..3 {
            assert!(matches!(limits.admit(31 * SECOND, 1), Err(Throttle::Weight { .. })));
        }
        assert!(matches!(limits.admit(31 * SECOND, 1), Err(Throttle::Weight { .. })));
        let ban = Throttle::Banned { retry_after_s: 120, until_ms: 151_000 };
        assert_eq!(limits.admit(31 * SECOND, 1), Err(ban));
        assert!(matches!(limits.admit(150 * SECOND, 1), Err(Throttle::Banned { retry_after_s: 1, .. })));
        assert_eq!(limits.admit(151 * SECOND, 1), Ok(()));
    }

    #[test]
    fn what_has_no_weight_passes_a_full_window_but_not_a_ban() {
        let mut limits = Limits::usdm();
        limits.admit(0, 2_400).unwrap();
        assert!(limits.admit(0, 1).is_err());
        for _ in 0..10 {
            assert_eq!(limits.admit(0, 0), Ok(()));
        }
        while !matches!(limits.admit(0, 1), Err(Throttle::Banned { .. })) {}
        assert!(limits.admit(0, 0).is_err());
    }

    #[test]
    fn requests_are_counted_whatever_they_weigh() {
        let mut limits = Limits::spot(100, 2);
        limits.admit(0, 0).unwrap();
        limits.admit(0, 20).unwrap();
        assert_eq!(limits.admit(SECOND, 0), Err(Throttle::Weight { retry_after_s: 299 }));
        assert_eq!(limits.admit(300 * SECOND, 0), Ok(()));
    }

    #[test]
    fn a_client_that_waits_is_never_banned() {
        let mut limits = Limits::usdm();
        for minute in 0..20 {
            assert_eq!(limits.admit(minute * 60 * SECOND, 2_400), Ok(()));
            assert!(matches!(limits.admit(minute * 60 * SECOND, 1), Err(Throttle::Weight { .. })));
        }
    }

    #[test]
    fn a_filled_spot_order_gives_its_count_back_a_little_later() {
        let mut limits = Limits::spot(100, 300_000);
        limits.count_order(SECOND).unwrap();
        limits.first_fill(SECOND);
        assert_eq!(limits.order_counts(SECOND), (1, 1));
        assert_eq!(limits.order_counts(SECOND + REFUND_NS), (0, 0));
        limits.count_order(9 * SECOND + 990_000_000).unwrap();
        limits.first_fill(9 * SECOND + 990_000_000);
        limits.count_order(10 * SECOND).unwrap();
        assert_eq!(
            limits.order_counts(11 * SECOND),
            (1, 1),
            "a count of the last window is not taken from this one"
        );
    }
}
