//! What a connection owes and when: pings, signs of life, its end, its share of messages.
//!
//! Owns:  the clock arithmetic of one link. Whoever holds the link asks [`Session::due`] each turn.
//! Never: reads a clock, writes a byte, or knows how a venue spells a ping: the owner sends a ping
//!        frame, a bare `ping` or JSON, and says what came in.
//! Quirk: a server's ping is answered by the owner at once, with its payload (`ws::write_pong`);
//!        there is nothing to schedule.

use crate::units::Nanos;
use crate::units::time::SEC;

/// The most messages per second that are told apart. No venue allows more than ten; a higher rule is
/// kept as this one, which errs on the side of the venue.
pub const SENDS_MAX: usize = 16;

/// How long after one [`Due::Rotate`] the next is told, if the link is still there: its replacement
/// could not be dialled, or is still on its way.
pub const ROTATE_AGAIN_NS: u64 = 60 * SEC;

/// What keeps a connection healthy. Durations in ns; `None` switches a rule off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Ping at this interval whatever else is said: venues that close a link for want of it.
    pub ping_every: Option<u64>,
    /// Ping when nothing was heard for so long, so that a quiet feed can be told from a dead one.
    pub ping_when_quiet: Option<u64>,
    /// A ping of ours must be answered within this time, or the way out is broken.
    pub pong_within: Option<u64>,
    /// The server pings at least this often, or it has forgotten us.
    pub server_ping_within: Option<u64>,
    /// Without a byte for so long, the link is dead.
    pub silence_max: Option<u64>,
    /// The server closes links of this age; ours leave earlier.
    pub life_max: Option<u64>,
    /// How much earlier at least, so that there is time to overlap.
    pub life_margin: u64,
    /// And up to so much earlier still, drawn per link, so that links dialled together part.
    pub life_spread: u64,
    /// Messages we may send in any one second, pings and pongs included.
    pub sends_per_second_max: Option<u8>,
}

impl Rules {
    /// No rule at all, as `default()`, for a `static` to fill in its own from.
    pub const NONE: Self = Self {
        ping_every: None,
        ping_when_quiet: None,
        pong_within: None,
        server_ping_within: None,
        silence_max: None,
        life_max: None,
        life_margin: 0,
        life_spread: 0,
        sends_per_second_max: None,
    };
}

/// What the owner of the link should do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Send a ping, in the venue's form. It counts as asked for from now on.
    SendPing,
    /// Drop the link and dial again: it is dead, whatever TCP thinks.
    Silent,
    /// Dial its replacement, overlap, then close this one.
    Rotate,
}

/// The state of one connection's rules.
#[derive(Clone, Debug)]
pub struct Session {
    rules: Rules,
    heard: Nanos,
    server_ping: Nanos,
    pinged: Nanos,
    /// The oldest ping not answered yet.
    unanswered: Option<Nanos>,
    rotate: Nanos,
    /// When the last [`SENDS_MAX`] messages went out, as a ring.
    sends: [Option<Nanos>; SENDS_MAX],
    next_send: usize,
}

impl Session {
    /// A link that opened at `opened`. `jitter` is any random number; it draws the age at which this
    /// link rotates.
    #[must_use]
    pub fn new(rules: Rules, opened: Nanos, jitter: u64) -> Self {
        let early = rules.life_margin.saturating_add(jitter % rules.life_spread.saturating_add(1).max(1));
        Self {
            rules,
            heard: opened,
            server_ping: opened,
            pinged: opened,
            unanswered: None,
            rotate: rules.life_max.map_or(Nanos::NEVER, |life| opened.plus(life.saturating_sub(early))),
            sends: [None; SENDS_MAX],
            next_send: 0,
        }
    }

    /// Bytes came.
    #[inline]
    pub fn on_bytes(&mut self, now: Nanos) {
        self.heard = now;
    }

    /// The server pinged; answer it now.
    pub fn on_ping(&mut self, now: Nanos) {
        self.heard = now;
        self.server_ping = now;
    }

    /// Our ping was answered. The round trip in ns, unless no ping was waiting.
    pub fn on_pong(&mut self, now: Nanos) -> Option<u64> {
        self.heard = now;
        self.unanswered.take().map(|at| now.since(at))
    }

    /// A message of ours went out, pings and pongs included.
    #[inline]
    pub fn sent(&mut self, now: Nanos) {
        self.sends[self.next_send] = Some(now);
        self.next_send = (self.next_send + 1) % SENDS_MAX;
    }

    /// Whether an ordinary message may go out now. Where more than one a second is allowed, the last
    /// is kept for pings and pongs: without them the link dies.
    #[must_use]
    pub fn may_send(&self, now: Nanos) -> bool {
        let kept = usize::from(self.rules.sends_per_second_max > Some(1));
        now >= self.send_free(kept)
    }

    /// When bytes last came: the freshness of the link.
    #[must_use]
    pub const fn heard(&self) -> Nanos {
        self.heard
    }

    /// What is due, the gravest first; ask again until `None`. A ping handed out here is taken as
    /// sent: the next one is due an interval later, and its answer is awaited.
    pub fn due(&mut self, now: Nanos) -> Option<Due> {
        if now >= self.silent_at() {
            Some(Due::Silent)
        } else if now >= self.ping_at() {
            self.pinged = now;
            self.unanswered.get_or_insert(now);
            Some(Due::SendPing)
        } else if now >= self.rotate {
            self.rotate = now.plus(ROTATE_AGAIN_NS);
            Some(Due::Rotate)
        } else {
            None
        }
    }

    /// The earliest moment at which [`Session::due`] has something to say, if nothing happens before.
    #[must_use]
    pub fn next_due(&self) -> Nanos {
        self.silent_at().min(self.ping_at()).min(self.rotate)
    }

    fn silent_at(&self) -> Nanos {
        let after = |from: Nanos, span: Option<u64>| span.map_or(Nanos::NEVER, |ns| from.plus(ns));
        after(self.heard, self.rules.silence_max)
            .min(after(self.server_ping, self.rules.server_ping_within))
            .min(self.unanswered.map_or(Nanos::NEVER, |at| after(at, self.rules.pong_within)))
    }

    fn ping_at(&self) -> Nanos {
        let steady = self.rules.ping_every.map_or(Nanos::NEVER, |ns| self.pinged.plus(ns));
        let quiet =
            self.rules.ping_when_quiet.map_or(Nanos::NEVER, |ns| self.heard.max(self.pinged).plus(ns));
        match steady.min(quiet) {
            Nanos::NEVER => Nanos::NEVER,
            at => at.max(self.send_free(0)),
        }
    }

    /// When a message can go out that leaves room for `kept` more in its second.
    fn send_free(&self, kept: usize) -> Nanos {
        let Some(max) = self.rules.sends_per_second_max else { return Nanos::ZERO };
        let used = usize::from(max).min(SENDS_MAX) - kept;
        if used == 0 {
            return Nanos::NEVER;
        }
        // The `used`-th message before the next one must be a second old by then.
        self.sends[(self.next_send + SENDS_MAX - used) % SENDS_MAX].map_or(Nanos::ZERO, |at| at.plus(SEC))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::time::MS;
    use proptest::prelude::*;

    const OPENED: Nanos = Nanos(1_000 * SEC);
    const HOUR: u64 = 3_600 * SEC;

    fn at(ns: u64) -> Nanos {
        OPENED.plus(ns)
    }

    #[test]
    fn a_ping_is_due_each_interval_and_handed_out_once() {
        let mut session = Session::new(Rules { ping_every: Some(20 * SEC), ..Rules::NONE }, OPENED, 0);
        assert_eq!(session.next_due(), at(20 * SEC));
        session.on_bytes(at(19 * SEC));
        assert_eq!(session.due(at(20 * SEC - 1)), None);
        assert_eq!(session.due(at(21 * SEC)), Some(Due::SendPing));
        assert_eq!(session.due(at(21 * SEC)), None);
        assert_eq!(session.next_due(), at(41 * SEC));
    }

    #[test]
    fn a_quiet_link_is_pinged_and_a_busy_one_is_not() {
        let rules = Rules { ping_when_quiet: Some(400 * MS), ..Rules::NONE };
        let mut session = Session::new(rules, OPENED, 0);
        for ms in (0..2_000).step_by(100) {
            session.on_bytes(at(ms * MS));
            assert_eq!(session.due(at(ms * MS)), None);
        }
        assert_eq!(session.due(at(2_300 * MS)), Some(Due::SendPing));
        assert_eq!(session.next_due(), at(2_700 * MS), "unanswered, it is asked again");
        assert_eq!(session.on_pong(at(2_350 * MS)), Some(50 * MS));
        assert_eq!(session.heard(), at(2_350 * MS));
        assert_eq!(session.on_pong(at(2_360 * MS)), None, "unasked");
    }

    #[test]
    fn each_way_to_die_is_told_until_the_link_is_dropped() {
        for (rules, fed_until) in [
            (Rules { silence_max: Some(30 * SEC), ..Rules::NONE }, 0),
            (Rules { server_ping_within: Some(30 * SEC), ..Rules::NONE }, 29),
            (
                Rules { ping_every: Some(20 * SEC), pong_within: Some(10 * SEC), ..Rules::NONE },
                29, // Bytes come in, but our ping is not answered: the way out is broken.
            ),
        ] {
            let mut session = Session::new(rules, OPENED, 0);
            for second in 1..=fed_until {
                session.on_bytes(at(second * SEC));
                session.due(at(second * SEC));
            }
            assert_eq!(session.next_due(), at(30 * SEC), "{rules:?}");
            assert_eq!(session.due(at(30 * SEC)), Some(Due::Silent));
            assert_eq!(session.due(at(31 * SEC)), Some(Due::Silent));
        }
    }

    #[test]
    fn a_server_that_pings_is_not_silent() {
        let rules = Rules { server_ping_within: Some(60 * SEC), silence_max: Some(60 * SEC), ..Rules::NONE };
        let mut session = Session::new(rules, OPENED, 0);
        session.on_ping(at(50 * SEC));
        assert_eq!((session.due(at(100 * SEC)), session.next_due()), (None, at(110 * SEC)));
    }

    #[test]
    fn links_dialled_together_rotate_apart_and_before_their_time() {
        let rules =
            Rules { life_max: Some(24 * HOUR), life_margin: HOUR / 2, life_spread: HOUR, ..Rules::NONE };
        for (jitter, when) in
            [(0, 24 * HOUR - HOUR / 2), (HOUR, 24 * HOUR - HOUR / 2 - HOUR), (7, 23 * HOUR + HOUR / 2 - 7)]
        {
            let mut session = Session::new(rules, OPENED, jitter);
            assert_eq!(session.next_due(), at(when));
            assert_eq!(session.due(at(when)), Some(Due::Rotate));
            assert_eq!(session.due(at(when)), None, "told once");
            assert_eq!(session.due(at(when + ROTATE_AGAIN_NS)), Some(Due::Rotate), "and again if it stays");
        }
        let unlimited = Rules { life_max: Some(u64::MAX), life_spread: u64::MAX, ..Rules::NONE };
        assert!(Session::new(unlimited, OPENED, u64::MAX).next_due() > OPENED, "extremes do not overflow");
    }

    #[test]
    fn the_last_message_of_a_second_is_kept_for_a_ping() {
        let rules = Rules { ping_every: Some(SEC / 2), sends_per_second_max: Some(5), ..Rules::NONE };
        let mut session = Session::new(rules, OPENED, 0);
        for ms in 496..500 {
            assert!(session.may_send(at(ms * MS)));
            session.sent(at(ms * MS));
        }
        assert!(!session.may_send(at(500 * MS)));
        assert_eq!(session.due(at(500 * MS)), Some(Due::SendPing));
        session.sent(at(500 * MS));
        assert_eq!(session.due(at(1_100 * MS)), None, "the second is full, the ping waits");
        assert_eq!(session.next_due(), at(1_496 * MS));
        assert_eq!(session.due(at(1_496 * MS)), Some(Due::SendPing));
    }

    #[test]
    fn no_rules_ask_for_nothing() {
        let mut session = Session::new(Rules::NONE, OPENED, 5);
        assert_eq!((session.due(at(u64::MAX / 2)), session.next_due()), (None, Nanos::NEVER));
        assert!(session.may_send(OPENED));
        let mute = Rules { sends_per_second_max: Some(0), ping_every: Some(1), ..Rules::NONE };
        assert!(!Session::new(mute, OPENED, 0).may_send(at(9 * SEC)));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Bytes,
        Ping,
        Pong,
        Send,
        Ask,
    }

    fn rules() -> impl Strategy<Value = Rules> {
        let span = || proptest::option::of(1u64..50);
        (span(), span(), span(), span(), span(), span(), 0u64..20, 0u64..20, proptest::option::of(0u8..20))
            .prop_map(|(ping, quiet, pong, server, silence, life, margin, spread, sends)| Rules {
                ping_every: ping.map(|n| n * 100 * MS),
                ping_when_quiet: quiet.map(|n| n * 100 * MS),
                pong_within: pong.map(|n| n * 100 * MS),
                server_ping_within: server.map(|n| n * 100 * MS),
                silence_max: silence.map(|n| n * 100 * MS),
                life_max: life.map(|n| n * SEC),
                life_margin: margin * SEC,
                life_spread: spread * SEC,
                sends_per_second_max: sends,
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        /// `next_due` is exactly when `due` speaks; and whoever obeys `may_send` and `due` never has
        /// more than the allowed messages in any second, by a plain count of a list.
        #[test]
        fn next_due_is_exact_and_no_second_is_overfull(
            rules in rules(),
            jitter: u64,
            steps in proptest::collection::vec(
                (prop_oneof![Just(Step::Bytes), Just(Step::Ping), Just(Step::Pong), Just(Step::Send), Just(Step::Ask)], 0u64..400),
                0..60,
            ),
        ) {
            let mut session = Session::new(rules, OPENED, jitter);
            let mut now = OPENED;
            let mut sends: Vec<Nanos> = Vec::new();
            for (step, ms) in steps {
                now = now.plus(ms * MS);
                match step {
                    Step::Bytes => session.on_bytes(now),
                    Step::Ping => session.on_ping(now),
                    Step::Pong => drop(session.on_pong(now)),
                    Step::Send if session.may_send(now) => {
                        session.sent(now);
                        sends.push(now);
                    }
                    Step::Send => {}
                    Step::Ask => {
                        let expected = session.next_due() <= now;
                        let due = session.due(now);
                        prop_assert_eq!(due.is_some(), expected);
                        if due == Some(Due::SendPing) {
                            session.sent(now);
                            sends.push(now);
                        }
                    }
                }
                let next = session.next_due();
                if next > now {
                    prop_assert_eq!(session.clone().due(Nanos(next.0.saturating_sub(1))), None);
                }
                if next < Nanos::NEVER {
                    prop_assert!(session.clone().due(next.max(now)).is_some());
                }
                if let Some(max) = rules.sends_per_second_max {
                    let within = sends.iter().filter(|at| now.since(**at) < SEC).count();
                    prop_assert!(within <= usize::from(max), "{} in a second, {} allowed", within, max);
                }
            }
        }
    }
}
