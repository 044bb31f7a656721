//! Named crash points (FAULTS 7.5): places at which a process kills itself, so that recovery from there is proven.
//!
//! Owns:  the names, the count of passes, the signal; and on a thread that rehearses, an unwinding in its place
//!        ([`rehearse`]). All of it exists with the feature `crashpoints` only.
//! Never: costs anything without the feature: every call is empty then, and nothing reads the environment.
//! Wire:  `CONTANGO_CRASH=K7:3` raises SIGKILL at the third pass of K7; `K10:3:17` after 17 bytes of the
//!        third append (half of it without the last number); `K9:1:panic` panics there, as a room with a defect
//!        would; `list` prints the names and ends.

#[cfg(feature = "crashpoints")]
pub use armed::{Died, names, order, part, point, rehearse};

/// A place where a process may be told to die.
#[cfg(not(feature = "crashpoints"))]
#[inline(always)]
pub const fn point(_name: &str) {}

/// A place where `some` may be done with a part of `len` bytes only, and the process dies.
#[cfg(not(feature = "crashpoints"))]
#[inline(always)]
pub fn part(_name: &str, _len: usize, _some: impl FnOnce(usize)) {}

/// Every point, and what has happened there.
#[cfg(any(test, feature = "crashpoints"))]
const POINTS: &[(&str, &str)] = &[
    ("K1", "an intent is decided, nothing of its record is written"),
    ("K2", "inside the intent record: one pass for each store of 8 bytes, 16 a record"),
    ("K3", "the intent record is committed, no byte has left"),
    ("K4", "some bytes of leg A have left"),
    ("K5", "leg A is on the wire, leg B is not"),
    ("K6", "leg A is on the wire, some bytes of leg B"),
    ("K7", "both legs are on the wire, the shadow has not heard of it"),
    ("K8", "the answer to an order is read, nothing of it is booked"),
    ("K9", "a fill is booked in memory, its record is not written"),
    ("K10", "inside an append to journal or latch file"),
    ("K11", "records are appended, not synced"),
    ("K12a", "a segment is full and durable, nothing of the next one is there"),
    ("K12b", "inside the append of a segment's head: its header and checkpoint"),
    ("K12c", "a segment's head is appended, nothing of it synced"),
    ("K13a", "a rebuild of the projection: a part of the new one is written"),
    ("K13b", "a rebuild of the projection: the new one is written, not synced"),
    ("K13c", "a rebuild of the projection: the new one is synced, the old one has its name"),
    ("K13d", "a rebuild of the projection: the new one has its name, the folder is not synced"),
    ("K14a", "the lock is held, the epoch is not raised"),
    ("K14b", "inside the replacement of a file (the first one is the epoch's): the new one is synced"),
    ("K14c", "as before: the new one has its name, the folder is not synced"),
    ("K14d", "the epoch is raised and synced"),
    ("K15a", "recovery: lock held, epoch raised, nothing read back"),
    ("K15b", "recovery: the journal is read back, its torn end cut off"),
    ("K15c", "recovery: the intent records are mapped"),
    ("K15d", "recovery: the books are recalled, nothing of it is written yet"),
    ("K15e", "recovery: orders found in intent records are with the scribe"),
    ("K15f", "recovery: a private stream flows, nothing is asked yet"),
    ("K15g", "recovery: trades are read, not booked"),
    ("K15h", "recovery: the account is read, not compared"),
    ("K15i", "recovery: a comparison is concluded, its record is with the scribe"),
    ("K15j", "recovery: all books are the venue's, trading is about to go on"),
    ("K16a", "a repair is asked for"),
    ("K16b", "a repair is on the wire"),
    ("K17a", "the kill latch is set, the shadow has not heard of it"),
    ("K17b", "the kill latch is set, its record is with the scribe"),
    ("K17c", "the latch file is appended to, not synced"),
    ("K18a", "a flatten has begun"),
    ("K18b", "an order of a flatten is on the wire"),
    ("K18c", "all is flat, the halt that follows is with the scribe"),
    ("K19a", "a stop has begun"),
    ("K19b", "the last record of a stop is with the scribe"),
    ("K19c", "the last record of a stop is durable"),
    ("K20", "a new generation of instruments is made, no room has it"),
];

#[cfg(feature = "crashpoints")]
mod armed {
    use super::POINTS;
    use std::cell::Cell;
    use std::io::Write as _;
    use std::panic;
    use std::sync::OnceLock;
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering::Relaxed;

    /// Where to die.
    #[derive(Clone, Copy)]
    struct Plan {
        name: &'static str,
        pass: u64,
        bytes: Option<usize>,
        panics: bool,
    }

    static PLAN: OnceLock<Option<Plan>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);

    thread_local! {
        /// Where the process that this thread rehearses dies; its `pass` counts down.
        static REHEARSED: Cell<Option<Plan>> = const { Cell::new(None) };
    }

    /// What unwinds out of a rehearsed process that has died. It is no panic: no hook hears of it.
    #[derive(Debug)]
    pub struct Died;

    /// A process that this thread rehearses dies at the `pass`-th passing of a point from now on, with `bytes` of a
    /// part (half of it without); `None`: nowhere any more. Whoever catches [`Died`] never lets the process go on.
    pub fn rehearse(at: Option<(&'static str, u64, Option<usize>)>) {
        REHEARSED.set(at.map(|(name, pass, bytes)| Plan { name, pass, bytes, panics: false }));
    }

    /// Every point's name, in order.
    pub fn names() -> impl Iterator<Item = &'static str> {
        POINTS.iter().map(|(name, _)| *name)
    }

    /// What the environment orders at the start: a text to print before ending, or nothing.
    ///
    /// # Errors
    ///
    /// The order can't be read; the text says what would be right.
    pub fn order() -> Result<Option<String>, String> {
        match std::env::var("CONTANGO_CRASH") {
            Ok(text) if text == "list" => {
                Ok(Some(POINTS.iter().map(|(name, what)| format!("{name}\t{what}\n")).collect()))
            }
            Ok(text) => read(&text).map(|_| None).ok_or_else(|| {
                format!("CONTANGO_CRASH={text}: write NAME:PASS, NAME:PASS:BYTES or NAME:PASS:panic; `list` prints the names")
            }),
            Err(_) => Ok(None),
        }
    }

    fn read(text: &str) -> Option<Plan> {
        let mut parts = text.split(':');
        let wanted = parts.next()?;
        let (name, _) = POINTS.iter().find(|(name, _)| *name == wanted)?;
        let pass = parts.next()?.parse().ok().filter(|pass| *pass > 0)?;
        let how = parts.next();
        let panics = how == Some("panic");
        let bytes = how.filter(|_| !panics).map(str::parse).transpose().ok()?;
        parts.next().is_none().then_some(Plan { name, pass, bytes, panics })
    }

    /// Whether the rehearsed process dies here, with how many bytes of a part.
    fn rehearsed(name: &str) -> Option<Option<usize>> {
        let plan = REHEARSED.get().filter(|plan| plan.name == name)?;
        let left = plan.pass.saturating_sub(1);
        REHEARSED.set((left > 0).then_some(Plan { pass: left, ..plan }));
        (left == 0).then_some(plan.bytes)
    }

    fn unwind() -> ! {
        panic::resume_unwind(Box::new(Died))
    }

    fn due(name: &str) -> Option<&'static Plan> {
        let ordered = || std::env::var("CONTANGO_CRASH").ok().and_then(|text| read(&text));
        let plan = PLAN.get_or_init(ordered).as_ref().filter(|plan| plan.name == name)?;
        (PASSED.fetch_add(1, Relaxed) + 1 == plan.pass).then_some(plan)
    }

    fn die(plan: &Plan) -> ! {
        assert!(!plan.panics, "crash point {} pass {}: a panic was ordered", plan.name, plan.pass);
        // Best effort: whoever ordered it sees where it was.
        let _ = writeln!(std::io::stderr(), "crash point {} pass {}", plan.name, plan.pass);
        loop {
            // Not to be caught, and at its latest on the way back from the kernel.
            let _ = signal_hook::low_level::raise(signal_hook::consts::SIGKILL);
        }
    }

    /// Dies here if the environment says so.
    pub fn point(name: &str) {
        if rehearsed(name).is_some() {
            unwind();
        }
        if let Some(plan) = due(name) {
            die(plan);
        }
    }

    /// Does `some` with a part of `len` bytes and dies, if the environment says so.
    pub fn part(name: &str, len: usize, some: impl FnOnce(usize)) {
        if let Some(bytes) = rehearsed(name) {
            some(bytes.unwrap_or(len / 2).min(len));
            unwind();
        }
        if let Some(plan) = due(name) {
            some(plan.bytes.unwrap_or(len / 2).min(len));
            die(plan);
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn an_order_is_a_known_name_a_pass_and_perhaps_bytes() {
            let read = |text| read(text).map(|plan| (plan.name, plan.pass, plan.bytes));
            assert_eq!(read("K7:3"), Some(("K7", 3, None)));
            assert_eq!(read("K10:1:17"), Some(("K10", 1, Some(17))));
            assert_eq!(read("K9:1:panic"), Some(("K9", 1, None)));
            for wrong in
                ["", "K7", "K7:", "K7:0", "K7:x", "K99:1", "K10:1:", "K10:1:2:3", "K9:1:panics", "k7:1"]
            {
                assert_eq!(read(wrong), None, "{wrong}");
            }
        }

        #[test]
        fn a_rehearsed_process_dies_once_at_its_pass_with_its_part_done() {
            let died = |at: fn()| panic::catch_unwind(at).is_err_and(|what| what.is::<Died>());
            thread_local!(static DONE: Cell<usize> = const { Cell::new(0) });
            let some = || part("K4", 100, |some| DONE.set(some));
            rehearse(Some(("K4", 2, Some(7))));
            assert!(!died(|| point("K5")) && !died(some));
            assert!(died(some) && DONE.get() == 7);
            assert!(!died(some));
            rehearse(Some(("K4", 1, Some(700))));
            assert!(died(some) && DONE.get() == 100);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::POINTS;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    /// What looks like a name in the files below a folder that call this one; the grid names points and passes none.
    fn placed(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                placed(&path, found);
            } else if !path.ends_with("metal/crash.rs") && !path.to_string_lossy().contains("session/grid") {
                let text = fs::read_to_string(&path).unwrap();
                let quoted = text.split('"').skip(1).step_by(2).filter(|_| text.contains("crash::"));
                let named = |it: &&str| {
                    it.strip_prefix('K').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
                };
                found.extend(quoted.filter(named).map(str::to_owned));
            }
        }
    }

    #[test]
    fn every_name_is_placed_and_every_place_is_named() {
        let mut found = BTreeSet::new();
        placed(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        let names: BTreeSet<String> = POINTS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(names.len(), POINTS.len(), "a name twice");
        assert_eq!(found, names);
    }
}
