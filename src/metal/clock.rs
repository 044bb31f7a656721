//! What time it is: the host's monotonic clock read from the cycle counter, the calendar, or the
//! time of a rehearsed world.
//!
//! Owns:  calibrating the counter (TSC) against CLOCK_MONOTONIC, keeping it there ([`Clock::refit`]),
//!        and the virtual side.
//! Never: lets real time run backwards within a thread, whatever the fit found.
//! Quirk: a counter that is not invariant (or no x86) is not used: then `now` asks the system,
//!        about 20 ns dearer (HOTPATH §7).
#![allow(unsafe_code)]

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::latest::{Reader, Writer, latest};
use super::tap::Tap;
use crate::units::time::{MS, Nanos, SEC, Unix};

/// How long the first calibration takes: at 200 ms the slope is within a few ppm (HOTPATH §7), and
/// the first refits remove the rest.
const CALIBRATION: Duration = Duration::from_millis(200);
/// The slope is nanoseconds per tick times 2^40: exact to 10^-12, so rounding adds 1 ns in 1,000 s.
const SHIFT: u32 = 40;
/// Refits closer together than this are skipped: their slope would be mostly noise.
const REFIT_MIN_NS: u64 = SEC / 2;
/// An error is worked off over this time, so the clock bends and never jumps.
const BEND_NS: i128 = 2 * SEC as i128;
/// The steepest bend, in parts per million.
const BEND_PPM_MAX: i128 = 500;
/// Behind by more than this (a suspended guest, a migration): jump forwards, bending would take hours.
const JUMP_NS: i128 = 5 * MS as i128;
/// When virtual worlds begin: 2026-01-01T00:00:00Z.
const VIRTUAL_START: Unix = Unix(1_767_225_600 * SEC as i64);

/// A clock. Clones tell the same time.
#[derive(Clone, Debug)]
pub struct Clock {
    kind: Kind,
    /// Copies readings, or supplies them.
    tap: Tap,
}

#[derive(Clone, Debug)]
enum Kind {
    Real(Arc<RealClock>),
    Virtual(Arc<Shared>),
}

impl Clock {
    /// This host's clock, on the scale of CLOCK_MONOTONIC. The first call takes 200 ms to
    /// calibrate; later ones share it.
    #[must_use]
    pub fn real() -> Self {
        static REAL: OnceLock<Arc<RealClock>> = OnceLock::new();
        Kind::Real(Arc::clone(REAL.get_or_init(|| Arc::new(RealClock::calibrate())))).into()
    }

    /// A clock that stands still until [`VirtualTime::set`] moves it. It starts at one second, so
    /// that "a second ago" exists.
    #[must_use]
    pub fn virtual_time() -> (Self, VirtualTime) {
        let shared =
            Arc::new(Shared { now: AtomicU64::new(SEC), skew: AtomicI64::new(0), step: AtomicI64::new(0) });
        (Kind::Virtual(Arc::clone(&shared)).into(), VirtualTime(shared))
    }

    /// The same clock, read through a room's tap; so are its clones.
    #[must_use]
    pub fn tapped(&self, tap: &Tap) -> Self {
        Self { kind: self.kind.clone(), tap: tap.clone() }
    }

    /// Monotonic time, for every age, timeout and budget.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Nanos {
        self.tap.time(|| match &self.kind {
            Kind::Real(real) => real.now(),
            Kind::Virtual(shared) => shared.seen(),
        })
    }

    /// When `stamp` was taken: for what must be stamped where no clock is at hand. Where the counter is not used, the
    /// time now. No tap hears of it: in a room that is recorded, only what nothing depends on may be told by it.
    #[inline]
    #[must_use]
    pub fn at(&self, stamp: Stamp) -> Nanos {
        match &self.kind {
            Kind::Real(real) => real.at(stamp),
            Kind::Virtual(shared) => shared.seen(),
        }
    }

    /// Calendar time of this host, for logs and for the learned offsets to the venues. It may step.
    #[must_use]
    pub fn unix(&self) -> Unix {
        self.tap.unix(|| match &self.kind {
            Kind::Real(_) => match SystemTime::now().duration_since(UNIX_EPOCH) {
                Ok(since) => Unix(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)),
                Err(before) => Unix(-i64::try_from(before.duration().as_nanos()).unwrap_or(i64::MAX)),
            },
            Kind::Virtual(shared) => {
                let since_start = shared.now.load(Acquire).saturating_sub(SEC);
                let since_start = i64::try_from(since_start).unwrap_or(i64::MAX);
                Unix(VIRTUAL_START.0.saturating_add(since_start).saturating_add(shared.step.load(Relaxed)))
            }
        })
    }

    /// Brings the line from counter to time back to CLOCK_MONOTONIC. A cold room calls it every
    /// second or few; it takes about a microsecond, and does nothing where there is nothing to fit.
    pub fn refit(&self) {
        if let Kind::Real(real) = &self.kind {
            real.refit();
        }
    }

    /// Whether `now` reads the cycle counter; `false` means the dearer system call, which a person
    /// may want to know.
    #[must_use]
    pub fn reads_counter(&self) -> bool {
        matches!(&self.kind, Kind::Real(real) if real.line.is_some())
    }
}

/// A reading of the cycle counter; [`Clock::at`] says what time that was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp(u64);

impl Stamp {
    /// The counter now: about 20 ns, and no look at the line that makes it a time.
    #[inline]
    #[must_use]
    pub fn take() -> Self {
        Self(ticks())
    }
}

impl From<Kind> for Clock {
    fn from(kind: Kind) -> Self {
        Self { kind, tap: Tap::off() }
    }
}

/// The hand that moves a virtual clock; clones move the same one.
#[derive(Clone, Debug)]
pub struct VirtualTime(Arc<Shared>);

impl VirtualTime {
    /// Sets the time; an earlier one than now is ignored, as a monotonic clock would.
    pub fn set(&self, now: Nanos) {
        self.0.now.fetch_max(now.0, Release);
    }

    /// What is read from now on is off by `ns`, as on a core whose counter does not agree with the others'; the calendar
    /// is the host's and does not notice. 0: all is as it was.
    pub fn skew(&self, ns: i64) {
        self.0.skew.store(ns, Relaxed);
    }

    /// Steps the calendar by `ns` (either way), as an operator or a time daemon does; monotonic
    /// time does not notice.
    pub fn step_unix(&self, ns: i64) {
        self.0.step.fetch_add(ns, Relaxed);
    }
}

#[derive(Debug)]
struct Shared {
    now: AtomicU64,
    skew: AtomicI64,
    step: AtomicI64,
}

impl Shared {
    fn seen(&self) -> Nanos {
        Nanos(self.now.load(Acquire).saturating_add_signed(self.skew.load(Relaxed)))
    }
}

/// The line `ns = base_ns + (ticks - base_ticks) · mult / 2^40`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    base_ticks: u64,
    base_ns: u64,
    mult: u64,
}

impl Line {
    #[inline]
    fn at(self, ticks: u64) -> u64 {
        // A counter slightly behind on another core reads as the base, not as 2^64 later.
        let since = u128::from(ticks.saturating_sub(self.base_ticks));
        self.base_ns.wrapping_add(((since * u128::from(self.mult)) >> SHIFT) as u64)
    }

    /// The line through two samples, if they make sense.
    fn through(from: Sample, to: Sample) -> Option<Self> {
        let ticks = to.ticks.checked_sub(from.ticks).filter(|&t| t > 0)?;
        let ns = to.ns.checked_sub(from.ns).filter(|&n| n > 0)?;
        let mult = u64::try_from((u128::from(ns) << SHIFT) / u128::from(ticks)).ok()?;
        Some(Self { base_ticks: to.ticks, base_ns: to.ns, mult })
    }

    /// The next line: begins where this one is at `to` (so time neither jumps nor returns), and
    /// bends towards the monotonic clock as the rate since `from` and the present error say.
    fn bent(self, from: Sample, to: Sample) -> Option<Self> {
        let rate = i128::from(Self::through(from, to)?.mult);
        let here = self.at(to.ticks);
        let error = i128::from(to.ns) - i128::from(here);
        if error > JUMP_NS {
            return Some(Self { base_ticks: to.ticks, base_ns: to.ns, mult: rate as u64 });
        }
        let bend =
            (rate * error / BEND_NS).clamp(-rate * BEND_PPM_MAX / 1_000_000, rate * BEND_PPM_MAX / 1_000_000);
        // One more ns than the old line covers its rounding down.
        Some(Self { base_ticks: to.ticks, base_ns: here + 1, mult: u64::try_from(rate + bend).ok()? })
    }

    /// The same slope from a new start: for a counter that went backwards (a guest restored from a
    /// snapshot). Left alone, the clock would stand still until the counter caught up, and no permit
    /// would ever run out.
    fn restarted(self, at: Sample) -> Self {
        Self { base_ticks: at.ticks, base_ns: self.base_ns.max(at.ns), mult: self.mult }
    }
}

/// Both clocks at (nearly) one moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    ticks: u64,
    ns: u64,
}

impl Sample {
    /// Of a few tries the one in which the two readings lay closest together: an interrupt between
    /// them would be taken for drift.
    fn take() -> Self {
        let mut best = (u64::MAX, Self { ticks: 0, ns: 0 });
        for _ in 0..8 {
            let before = ticks();
            let ns = system_now();
            let width = ticks().saturating_sub(before);
            if width < best.0 {
                best = (width, Self { ticks: before + width / 2, ns });
            }
        }
        best.1
    }
}

#[derive(Debug)]
struct RealClock {
    /// `None`: no trustworthy counter, ask the system each time.
    line: Option<Reader<3>>,
    fit: Option<Mutex<Fit>>,
}

#[derive(Debug)]
struct Fit {
    writer: Writer<3>,
    line: Line,
    last: Sample,
}

impl RealClock {
    fn calibrate() -> Self {
        let none = Self { line: None, fit: None };
        if !counter_is_invariant() {
            return none;
        }
        let first = Sample::take();
        std::thread::sleep(CALIBRATION);
        let last = Sample::take();
        let Some(line) = Line::through(first, last) else { return none };
        let (writer, reader) = latest([line.base_ticks, line.base_ns, line.mult]);
        Self { line: Some(reader), fit: Some(Mutex::new(Fit { writer, line, last })) }
    }

    #[inline]
    fn now(&self) -> Nanos {
        // The counter is read inside the look: a reading that raced with a refit is repeated,
        // so no thread extends an old line past the point where the new one began.
        self.when(ticks)
    }

    #[inline]
    fn at(&self, stamp: Stamp) -> Nanos {
        self.when(|| stamp.0)
    }

    #[inline]
    fn when(&self, ticks: impl Fn() -> u64) -> Nanos {
        match &self.line {
            Some(line) => {
                Nanos(line.read_through(|[base_ticks, base_ns, mult]| {
                    Line { base_ticks, base_ns, mult }.at(ticks())
                }))
            }
            None => Nanos(system_now()),
        }
    }

    fn refit(&self) {
        // Someone else at it is as good as us.
        let Some(Ok(mut fit)) = self.fit.as_ref().map(Mutex::try_lock) else { return };
        let sample = Sample::take();
        if sample.ns.saturating_sub(fit.last.ns) < REFIT_MIN_NS {
            return;
        }
        let line = fit.line.bent(fit.last, sample).unwrap_or_else(|| fit.line.restarted(sample));
        fit.writer.publish([line.base_ticks, line.base_ns, line.mult]);
        fit.line = line;
        fit.last = sample;
    }
}

/// CLOCK_MONOTONIC in ns: what `Instant` reads too, which does not tell the number.
fn system_now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is ours, lives through the call and has the type that the call writes.
    // CLOCK_MONOTONIC exists on every Linux, so the call can't fail; if it did, zero is harmless.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    // Both are non-negative on this clock.
    (time.tv_sec as u64).wrapping_mul(SEC).wrapping_add(time.tv_nsec as u64)
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn ticks() -> u64 {
    // SAFETY: `rdtsc` exists on every x86-64 and reads a register. Were it forbidden to user code
    // (CR4.TSD), `counter_is_invariant`'s caller would not have survived calibration.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn ticks() -> u64 {
    0
}

/// Ticks at one rate in every power state (CPUID 8000_0007h, EDX bit 8).
#[cfg(target_arch = "x86_64")]
fn counter_is_invariant() -> bool {
    use core::arch::x86_64::__cpuid;
    __cpuid(0x8000_0000).eax >= 0x8000_0007 && __cpuid(0x8000_0007).edx & 1 << 8 != 0
}

#[cfg(not(target_arch = "x86_64"))]
fn counter_is_invariant() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn real_time_never_runs_backwards_while_it_is_refitted() {
        let clock = Clock::real();
        let mut last = clock.now();
        for turn in 0..300_000 {
            if turn % 50_000 == 0 {
                clock.refit();
            }
            let now = clock.now();
            assert!(now >= last, "{now:?} after {last:?}");
            last = now;
        }
    }

    #[test]
    fn a_stamp_is_the_time_at_which_it_was_taken() {
        let clock = Clock::real();
        let before = clock.now();
        let stamp = Stamp::take();
        let after = clock.now();
        std::thread::sleep(Duration::from_millis(20));
        let at = clock.at(stamp);
        if clock.reads_counter() {
            assert!(before <= at && at <= after, "{before:?} {at:?} {after:?}");
        } else {
            assert!(at > after, "without a counter a stamp is the time at which it is looked at");
        }
        let (clock, time) = Clock::virtual_time();
        time.set(clock.now().plus(SEC));
        assert_eq!(clock.at(stamp), clock.now());
    }

    #[test]
    fn real_time_passes_as_the_system_says() {
        let clock = Clock::real();
        let (ours, theirs) = (clock.now(), Instant::now());
        std::thread::sleep(Duration::from_millis(100));
        let (passed, expected) = (clock.now().since(ours), theirs.elapsed().as_nanos() as u64);
        // 0.1 %, and 50 µs for being interrupted between two readings.
        assert!(passed.abs_diff(expected) <= expected / 1_000 + 50_000, "{passed} against {expected}");
    }

    #[test]
    fn a_refit_bends_a_wrong_line_back_without_a_jump() {
        // A counter of exactly 2 ticks/ns, and a line that is 100 ppm too fast and 40 µs ahead.
        let real = |ns: u64| Sample { ticks: 2 * ns, ns };
        let mult = (1u64 << (SHIFT - 1)) / 1_000_000 * 1_000_100;
        let mut line = Line { base_ticks: 0, base_ns: 40_000, mult };
        for second in 1..=20 {
            let (from, to) = (real((second - 1) * SEC), real(second * SEC));
            let before = line.at(to.ticks);
            line = line.bent(from, to).unwrap();
            assert_eq!(line.at(to.ticks), before + 1, "no jump at {second} s");
        }
        let error = line.at(2 * 21 * SEC).abs_diff(21 * SEC);
        assert!(error < 100, "{error} ns off");
    }

    #[test]
    fn a_guest_that_slept_jumps_forwards() {
        let line = Line { base_ticks: 0, base_ns: 0, mult: 1 << (SHIFT - 1) };
        // The counter stood still for a second.
        let (from, to) = (Sample { ticks: 0, ns: 0 }, Sample { ticks: 2 * SEC, ns: 2 * SEC });
        let bent = line.bent(from, to).unwrap();
        assert_eq!(bent.at(2 * SEC), 2 * SEC);
    }

    #[test]
    fn a_counter_that_went_back_starts_a_new_line() {
        let line = Line { base_ticks: 1 << 50, base_ns: 10 * SEC, mult: 1 << (SHIFT - 1) };
        let (from, to) = (Sample { ticks: 1 << 50, ns: 10 * SEC }, Sample { ticks: 7, ns: 12 * SEC });
        assert_eq!(line.bent(from, to), None);
        let line = line.restarted(to);
        assert_eq!((line.at(7), line.at(7 + 2 * SEC)), (12 * SEC, 13 * SEC));
    }

    #[test]
    fn virtual_time_is_moved_by_its_world_only() {
        let (clock, time) = Clock::virtual_time();
        let start = clock.now();
        assert_eq!(clock.unix().to_string(), "2026-01-01T00:00:00.000Z");
        time.set(start.plus(1_500 * MS));
        time.set(start);
        assert_eq!(clock.now().since(start), 1_500 * MS, "an earlier time is ignored");
        time.step_unix(-(SEC as i64));
        assert_eq!(clock.unix().to_string(), "2026-01-01T00:00:00.500Z");
        assert_eq!(clock.now().since(start), 1_500 * MS);
    }
}
