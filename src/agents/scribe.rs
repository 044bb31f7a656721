//! The scribe: takes Records, puts them on the disk, and says how far they are durable.
//!
//! Owns:  the end of the Record ring, the open journal and latch file, one sync of each at a time.
//! Never: drops a Record. While the disk refuses, what was taken is kept, the ring fills, and
//!        whoever writes to it stops. Blocks: the sync's answer comes through `metal::disk`.
//! Map:   Record ring → `store::segments` → `metal::disk` → durable (latest value); a `Record::Latch` goes
//!        into `store::latch` too, and is durable once it is in both.
//! Order: the next segment begins once every record of the full one is durable.

use crate::event::Record;
use crate::metal::crash;
use crate::metal::disk::{Disk, DiskError, FileId};
use crate::metal::latest::Writer;
use crate::metal::ring::Consumer;
use crate::metal::runner::Agent;
use crate::store::latch;
use crate::store::segments::Journal;
use crate::units::Nanos;
use crate::units::time::MS;

/// Records taken in one turn: a few hundred bytes each, so a turn's append stays near 100 KiB.
pub const BATCH_MAX: usize = 256;

/// How long a disk that refused is left alone before the same bytes are offered again. Long enough
/// to cost nothing, short enough to go on at once when someone has made room.
pub const RETRY_NS: u64 = 100 * MS;

/// The room that writes the journal.
#[derive(Debug)]
pub struct Scribe {
    records: Consumer<Record>,
    durable: Writer<1>,
    disk: Disk,
    journal: Journal,
    /// Journal, latch file.
    files: [FileId; 2],
    /// Encoded and not yet appended.
    batches: [Vec<u8>; 2],
    /// Appended since the last sync was asked for.
    dirty: [bool; 2],
    /// Records taken from the ring; those of `batches` are among them.
    taken: u64,
    /// Records appended to the file.
    appended: u64,
    /// Records the syncs under way will make durable, and of which files they are not answered yet.
    syncing: Option<(u64, [bool; 2])>,
    /// Records that are durable.
    done: u64,
    trouble: Option<DiskError>,
    troubles: u64,
    /// Not before this is a disk that refused asked again.
    not_before: Nanos,
}

impl Scribe {
    /// A scribe that appends to files of `disk` (see `store::segments::open`, `store::latch::open`). `durable` gets how
    /// many Records of this run are durable: the n-th of the ring is, once it is at least n.
    #[must_use]
    pub fn new(
        records: Consumer<Record>,
        durable: Writer<1>,
        disk: Disk,
        journal: Journal,
        latch: FileId,
    ) -> Self {
        let files = [journal.file(), latch];
        Self {
            records,
            durable,
            disk,
            journal,
            files,
            batches: [Vec::new(), Vec::new()],
            // What an earlier process wrote may not be on the disk yet: a full segment would be left behind so.
            dirty: [true; 2],
            taken: 0,
            appended: 0,
            syncing: None,
            done: 0,
            trouble: None,
            troubles: 0,
            not_before: Nanos::ZERO,
        }
    }

    /// Whether every Record that was taken is durable. At the end of a run: turn until a turn does
    /// nothing and this holds, or until a deadline; a disk that broke never lets it hold.
    #[must_use]
    pub const fn all_durable(&self) -> bool {
        self.done == self.taken && self.trouble.is_none()
    }

    /// Records that are durable.
    #[must_use]
    pub const fn durable(&self) -> u64 {
        self.done
    }

    /// What the disk refuses now; `None` once it took everything again.
    #[must_use]
    pub const fn trouble(&self) -> Option<&DiskError> {
        self.trouble.as_ref()
    }

    /// How often the disk refused.
    #[must_use]
    pub const fn troubles(&self) -> u64 {
        self.troubles
    }

    /// Takes the answer of a sync.
    fn hear(&mut self, now: Nanos) -> usize {
        let mut work = 0;
        while let Some((file, outcome)) = self.disk.synced() {
            let Some(at) = self.files.iter().position(|it| *it == file) else { continue };
            work += 1;
            match (outcome, self.syncing.take()) {
                (Ok(_), Some((records, mut waits))) => {
                    waits[at] = false;
                    if waits == [false; 2] {
                        self.done = records;
                        self.durable.publish([records]);
                        self.trouble = None;
                    } else {
                        self.syncing = Some((records, waits));
                    }
                }
                (Ok(_), None) => {}
                (Err(error), _) => {
                    self.dirty[at] = true;
                    self.suffer(error, now);
                }
            }
        }
        work
    }

    fn take(&mut self) -> usize {
        let mut work = 0;
        while work < BATCH_MAX {
            let Some(record) = self.records.pop() else { break };
            self.journal.encode(&record, &mut self.batches[0]);
            if let Record::Latch { at, mode, why, .. } = &record {
                latch::encode(*mode, *at, why, &mut self.batches[1]);
            }
            self.taken += 1;
            work += 1;
        }
        work
    }

    /// Whether there was anything to append, and it was.
    fn append(&mut self, now: Nanos) -> bool {
        if self.batches.iter().all(Vec::is_empty) {
            return false;
        }
        // The latch file first: it is what a restart asks.
        for at in [1, 0] {
            if self.batches[at].is_empty() {
                continue;
            }
            if let Err(error) = self.disk.append(self.files[at], &self.batches[at]) {
                self.suffer(error, now);
                return false;
            }
            self.batches[at].clear();
            self.dirty[at] = true;
            if at == 1 {
                crash::point("K17c");
            }
        }
        self.appended = self.taken;
        crash::point("K11");
        true
    }

    /// Begins the next segment if this one is full and durable; whether records may be taken.
    fn has_room(&mut self, now: Nanos) -> bool {
        if !self.journal.is_full(&self.disk) {
            return true;
        }
        if self.all_durable() && self.syncing.is_none() && !self.dirty[0] {
            match self.journal.rotate(&mut self.disk) {
                Ok(()) => {
                    self.files[0] = self.journal.file();
                    self.trouble = None;
                    return true;
                }
                Err(error) => self.suffer(error, now),
            }
        }
        false
    }

    /// Asks for a sync of each file that was appended to, unless one is under way.
    fn sync(&mut self, now: Nanos) {
        if self.syncing.is_some() || self.dirty == [false; 2] {
            return;
        }
        let waits = self.dirty;
        for at in [1, 0] {
            if !waits[at] {
                continue;
            }
            if let Err(error) = self.disk.sync(self.files[at]) {
                self.suffer(error, now);
                return;
            }
            self.dirty[at] = false;
        }
        self.syncing = Some((self.appended, waits));
    }

    #[cold]
    fn suffer(&mut self, error: DiskError, now: Nanos) {
        self.trouble = Some(error);
        self.troubles += 1;
        self.not_before = now.plus(RETRY_NS);
    }
}

impl Agent for Scribe {
    fn do_work(&mut self, now: Nanos) -> usize {
        let mut work = self.hear(now);
        if now < self.not_before {
            return work;
        }
        // A batch that could not be appended waits, and the ring behind it: memory stays bounded.
        if self.batches.iter().all(Vec::is_empty) && self.has_room(now) {
            work += self.take();
        }
        work += usize::from(self.append(now));
        self.sync(now);
        work
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metal::disk::DiskPeer;
    use crate::metal::latest::{Reader, latest};
    use crate::metal::ring::{Producer, ring};
    use crate::store::journal::{Kind, Reader as Segment};
    use crate::store::segments;
    use crate::units::Unix;

    struct World {
        records: Producer<Record>,
        durable: Reader<1>,
        peer: DiskPeer,
        scribe: Scribe,
        now: Nanos,
        written: u64,
    }

    impl World {
        fn new() -> Self {
            Self::with_segments_of(segments::SEGMENT_BYTES)
        }

        fn with_segments_of(bytes: u64) -> Self {
            Self::on(Disk::memory_with_peer(), bytes)
        }

        fn on((mut disk, peer): (Disk, DiskPeer), bytes: u64) -> Self {
            let latch = latch::open(&mut disk, 0, Unix(0)).unwrap().file;
            let opened = segments::open(&mut disk, 0).unwrap();
            let (records, taken) = ring(1024);
            let (writer, durable) = latest([0]);
            let scribe = Scribe::new(taken, writer, disk, opened.journal.with_segments_of(bytes), latch);
            Self { records, durable, peer, scribe, now: Nanos(1), written: 0 }
        }

        fn write(&mut self, count: usize) {
            for _ in 0..count {
                self.written += 1;
                let note = Record::Note { at: Unix(0), text: self.written.to_string() };
                self.records.push(note).unwrap();
            }
        }

        fn turn(&mut self) -> usize {
            self.now = self.now.plus(MS);
            self.scribe.do_work(self.now)
        }

        /// What a restarted process would read after a power loss: the notes' numbers in order.
        fn survivors(&self) -> Vec<u64> {
            let (disk, _) = self.peer.lose_power(0);
            let mut notes = Vec::new();
            for number in 1.. {
                let Some(bytes) = disk.read_all(&segments::file_name(0, number)).unwrap() else { break };
                let mut reader = Segment::new(&bytes, number);
                for entry in reader.by_ref().filter(|entry| entry.kind != Kind::Checkpoint) {
                    assert_eq!(entry.kind, Kind::Note);
                    notes.push(entry.body["text"].as_str().unwrap().parse().unwrap());
                }
                assert_eq!(reader.flaw().filter(|_| !bytes.is_empty()), None);
            }
            notes
        }

        fn durable(&self) -> u64 {
            self.durable.read()[0]
        }
    }

    #[test]
    fn what_is_told_durable_survives_a_power_loss_and_comes_in_order() {
        tell_and_lose_power(World::new());
    }

    #[test]
    fn so_it_does_over_many_segments() {
        let world = tell_and_lose_power(World::with_segments_of(200));
        let (disk, _) = world.peer.kill_process();
        let segments = disk.names().unwrap().into_iter().filter(|name| name.ends_with(".ctj")).count();
        assert!(segments > 20, "{segments} segments of a few records");
    }

    fn tell_and_lose_power(mut world: World) -> World {
        for round in 1..50 {
            world.write(round % 7);
            world.peer.hold_syncs(round % 3 == 0);
            world.turn();
            let told = world.durable();
            let survivors = world.survivors();
            assert!(survivors.len() as u64 >= told, "{told} told, {} there", survivors.len());
            assert!(survivors.iter().copied().eq(1..=survivors.len() as u64));
        }
        world.peer.hold_syncs(false);
        while !world.scribe.all_durable() {
            world.turn();
        }
        assert_eq!((world.durable(), world.scribe.durable()), (world.written, world.written));
        assert_eq!(world.turn(), 0, "an idle scribe says so");
        world
    }

    /// A process is killed while the disk is slow, and the segment it leaves is full: the next process begins another.
    #[test]
    fn a_full_segment_that_a_killed_process_left_is_on_the_disk_before_the_next_begins() {
        let mut killed = World::with_segments_of(200);
        killed.peer.hold_syncs(true);
        killed.write(10);
        killed.turn();
        let mut world = World::on(killed.peer.kill_process(), 200);
        world.written = killed.written;
        world.peer.hold_syncs(true);
        world.write(3);
        world.turn();
        assert!(world.survivors().is_empty() && world.durable() == 0);
        world.peer.hold_syncs(false);
        for _ in 0..10 {
            world.turn();
            let survivors = world.survivors();
            assert!(survivors.iter().copied().eq(1..=survivors.len() as u64), "{survivors:?}");
        }
        assert_eq!(world.survivors().len(), 13);
    }

    #[test]
    fn a_batch_is_synced_once_and_a_slow_sync_holds_up_nothing_but_the_word() {
        let mut world = World::new();
        world.peer.hold_syncs(true);
        world.write(5);
        assert_eq!(world.turn(), 6);
        world.write(5);
        world.turn();
        assert_eq!(world.durable(), 0, "nobody is told before the disk has answered");
        world.peer.hold_syncs(false);
        world.turn();
        assert_eq!(world.durable(), 5, "the first sync covered the first five only");
        world.turn();
        assert_eq!(world.durable(), 10);
    }

    #[test]
    fn a_full_disk_is_told_and_no_record_is_lost() {
        let mut world = World::new();
        world.write(3);
        world.turn();
        world.turn();
        world.peer.limit_room(Some(10));
        world.write(2 * BATCH_MAX);
        for _ in 0..10 {
            world.turn();
        }
        assert!(matches!(world.scribe.trouble(), Some(DiskError::Full { .. })));
        assert_eq!(world.scribe.troubles(), 1, "a disk that refused is left alone for a while");
        assert_eq!(world.durable(), 3);
        world.peer.limit_room(None);
        world.now = world.now.plus(RETRY_NS);
        while !world.scribe.all_durable() || world.durable() < world.written {
            world.turn();
        }
        assert_eq!(world.scribe.trouble(), None);
        assert!(world.survivors().iter().copied().eq(1..=world.written));
    }

    #[test]
    fn a_disk_that_is_full_when_a_segment_is_loses_nothing() {
        let mut world = World::with_segments_of(300);
        for _ in 0..40 {
            world.peer.limit_room(Some(world.written % 900));
            world.write(3);
            for _ in 0..300 {
                world.turn();
            }
            assert!(world.survivors().len() as u64 >= world.durable());
        }
        assert!(world.scribe.troubles() > 40, "{}", world.scribe.troubles());
        world.peer.limit_room(None);
        world.now = world.now.plus(RETRY_NS);
        while world.durable() < world.written {
            world.turn();
        }
        assert!(world.scribe.all_durable() && world.survivors().iter().copied().eq(1..=world.written));
    }

    #[test]
    fn whatever_was_written_back_before_a_power_loss_a_start_goes_on_behind_all_that_was_told() {
        let mut world = World::with_segments_of(250);
        for round in 1..300 {
            world.write(round % 5);
            world.peer.hold_syncs(round % 4 != 0);
            world.turn();
            let (mut disk, _) = world.peer.lose_power(round * 37 % 700);
            let opened = segments::open(&mut disk, 0).unwrap();
            let mut journal = opened.journal.with_segments_of(250);
            let mut next = Vec::new();
            journal.encode(&Record::Note { at: Unix(0), text: "0".to_owned() }, &mut next);
            disk.append(journal.file(), &next).unwrap();
            let mut notes = Vec::new();
            for number in 1.. {
                let Some(bytes) = disk.read_all(&segments::file_name(0, number)).unwrap() else { break };
                let records = Segment::new(&bytes, number).filter(|entry| entry.kind == Kind::Note);
                notes.extend(
                    records.map(|entry| entry.body["text"].as_str().unwrap().parse::<u64>().unwrap()),
                );
            }
            assert_eq!(notes.pop(), Some(0), "the new record is the last one");
            assert!(
                notes.len() as u64 >= world.durable() && notes.iter().copied().eq(1..=notes.len() as u64)
            );
        }
    }

    #[test]
    fn after_a_failed_sync_nothing_more_is_called_durable() {
        let mut world = World::new();
        world.write(3);
        world.turn();
        world.turn();
        assert_eq!(world.durable(), 3);
        world.peer.fail_syncs(true);
        world.write(3);
        world.turn();
        world.turn();
        world.peer.fail_syncs(false);
        for _ in 0..500 {
            world.turn();
        }
        assert_eq!(world.durable(), 3);
        assert!(matches!(world.scribe.trouble(), Some(DiskError::Broken { .. })));
        assert!(world.scribe.troubles() >= 2 && !world.scribe.all_durable());
    }
}
