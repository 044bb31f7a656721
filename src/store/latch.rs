//! The latch file: HALTED and KILLED outlive the process (FAULTS part 1, I6).
//!
//! Owns:  the file's text, one line a change, and what a start may conclude from it.
//! Never: takes a damaged or missing file for leave to trade: it counts as HALTED.
//! Wire:  `contango latch 1\n`, then lines `<CRC-32, 8 hex digits> <mode> <unix µs> <why>\n`; the
//!        checksum is over what follows it. The last line counts.
//! Why:   lines are appended and synced like the journal's, so that no room waits for the disk; a
//!        start puts the file back to one line.

use super::segments;
use crate::event::{Latched, Mode};
use crate::metal::bugs::{Bug, planted};
use crate::metal::disk::{Disk, DiskError, FileId};
use crate::units::Unix;

const TITLE: &str = "contango latch 1\n";
/// Reasons are cut to this many bytes.
const WHY_MAX: usize = 400;

/// The name of an instance's latch file in its data folder.
#[must_use]
pub fn file_name(instance: u8) -> String {
    format!("latch-{instance}")
}

/// The file, open at its end, and what it says.
#[derive(Debug)]
pub struct Opened {
    /// To append to.
    pub file: FileId,
    /// What a run must begin with; `None`: it may trade.
    pub latched: Option<Latched>,
}

/// Reads an instance's latch file, makes it one sound line, and opens it. Blocks.
///
/// # Errors
///
/// The disk refused; nothing may be sent then.
pub fn open(disk: &mut Disk, instance: u8, at: Unix) -> Result<Opened, DiskError> {
    let name = file_name(instance);
    let bytes = disk.read_all(&name)?;
    let halted = |why| Some(Latched { mode: Mode::Halted, why });
    let (latched, one_line) = match bytes.as_deref().map(read) {
        Some(Ok((latched, lines))) => (latched, lines == 1),
        Some(Err(flaw)) => (halted(format!("the latch file {name} is damaged: {flaw}")), false),
        None if disk.names()?.iter().any(|name| segments::is_journal(instance, name)) => {
            (halted(format!("the latch file {name} is missing though a journal is there")), false)
        }
        None => (None, false),
    };
    if !one_line {
        let mut text = TITLE.as_bytes().to_vec();
        let (mode, why) =
            latched.as_ref().map_or((Mode::Trading, "nothing latched"), |it| (it.mode, it.why.as_str()));
        encode(mode, at, why, &mut text);
        disk.replace(&name, &text)?;
    }
    Ok(Opened { file: disk.open(&name)?, latched })
}

/// Appends the line of one change to `out`. REDUCE_ONLY is on its way to HALTED (`flatten`): a crash
/// in between must not end in trading, so it is written as HALTED.
pub fn encode(mode: Mode, at: Unix, why: &str, out: &mut Vec<u8>) {
    let mode = if mode == Mode::ReduceOnly { Mode::Halted } else { mode };
    let mode = if mode == Mode::Killed && planted(Bug::KillNotKept) { Mode::Trading } else { mode };
    let mut cut = why.len().min(WHY_MAX);
    while !why.is_char_boundary(cut) {
        cut -= 1;
    }
    let why: String = why[..cut].chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let said = format!("{} {} {why}", mode.name(), at.0 / 1_000);
    out.extend_from_slice(format!("{:08x} {said}\n", crc32fast::hash(said.as_bytes())).as_bytes());
}

/// What the file says, in how many lines; or its flaw.
pub(super) fn read(bytes: &[u8]) -> Result<(Option<Latched>, usize), &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no text")?;
    let lines = text.strip_prefix(TITLE).ok_or("its first line is not `contango latch 1`")?;
    let lines = lines.strip_suffix('\n').ok_or("its last line is cut short")?;
    let (mut last, mut count) = (None, 0);
    for line in lines.split('\n') {
        count += 1;
        let (crc, said) = line.split_once(' ').ok_or("a line is no line of a latch file")?;
        if crc != format!("{:08x}", crc32fast::hash(said.as_bytes())) {
            return Err("a checksum does not match");
        }
        let mut parts = said.splitn(3, ' ');
        let mode = parts.next().and_then(|name| Mode::ALL.into_iter().find(|mode| mode.name() == name));
        let (mode, why) = mode.zip(parts.nth(1)).ok_or("a line is no line of a latch file")?;
        last = (mode != Mode::Trading).then(|| Latched { mode, why: why.to_owned() });
    }
    Ok((last, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Unix = Unix(1_723_161_254_036_059_000);

    fn latched(mode: Mode, why: &str) -> Option<Latched> {
        Some(Latched { mode, why: why.to_owned() })
    }

    /// Says one more thing, durably, and starts again after a power loss.
    fn say(disk: Disk, peer: &crate::metal::disk::DiskPeer, mode: Mode, why: &str) -> Option<Latched> {
        let mut disk = disk;
        let opened = open(&mut disk, 3, AT).unwrap();
        let mut line = Vec::new();
        encode(mode, AT, why, &mut line);
        disk.append(opened.file, &line).unwrap();
        disk.sync(opened.file).unwrap();
        disk.synced().unwrap().1.unwrap();
        let (mut disk, _) = peer.lose_power(0);
        open(&mut disk, 3, AT).unwrap().latched
    }

    #[test]
    fn what_was_latched_durably_is_latched_after_a_power_loss() {
        for (mode, why, expected) in [
            (Mode::Killed, "kill\nnow", latched(Mode::Killed, "kill now")),
            (Mode::Halted, "", latched(Mode::Halted, "")),
            (Mode::ReduceOnly, "flatten", latched(Mode::Halted, "flatten")),
            (Mode::Trading, "looked at it", None),
        ] {
            let (disk, peer) = Disk::memory_with_peer();
            assert_eq!(say(disk, &peer, mode, why), expected);
        }
    }

    #[test]
    fn a_start_keeps_what_is_latched_and_one_line_of_it() {
        let (mut disk, peer) = Disk::memory_with_peer();
        let file = open(&mut disk, 3, AT).unwrap().file;
        let mut lines = Vec::new();
        for mode in [Mode::Halted, Mode::Trading, Mode::Killed] {
            encode(mode, AT, "because", &mut lines);
        }
        disk.append(file, &lines).unwrap();
        for _ in 0..3 {
            let (mut disk, _) = peer.kill_process();
            assert_eq!(open(&mut disk, 3, AT).unwrap().latched, latched(Mode::Killed, "because"));
            let text = String::from_utf8(disk.read_all("latch-3").unwrap().unwrap()).unwrap();
            assert_eq!(text, "contango latch 1\n223991f9 killed 1723161254036059 because\n");
        }
        assert_eq!(open(&mut Disk::memory(), 3, AT).unwrap().latched, None, "a first start may trade");
    }

    #[test]
    fn a_lost_file_beside_a_journal_is_halted_and_stays_so() {
        let (mut disk, peer) = Disk::memory_with_peer();
        segments::open(&mut disk, 3).unwrap();
        for _ in 0..2 {
            let latched = open(&mut disk, 3, AT).unwrap().latched.unwrap();
            assert_eq!(latched.mode, Mode::Halted);
            assert!(latched.why.contains("missing"), "{latched:?}");
            (disk, _) = peer.kill_process();
            segments::open(&mut disk, 3).unwrap();
        }
    }

    #[test]
    fn no_damaged_file_lets_a_run_trade() {
        let mut sound = TITLE.as_bytes().to_vec();
        encode(Mode::Trading, AT, "checked", &mut sound);
        assert_eq!(read(&sound), Ok((None, 1)));
        for length in 0..sound.len() {
            assert!(read(&sound[..length]).is_err(), "cut at {length}");
        }
        for bit in 0..sound.len() * 8 {
            let mut damaged = sound.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&damaged).is_err(), "bit {bit}");
        }
        let mut disk = Disk::memory();
        disk.replace("latch-3", &sound[..sound.len() - 1]).unwrap();
        let latched = open(&mut disk, 3, AT).unwrap().latched.unwrap();
        assert_eq!(latched.mode, Mode::Halted);
        assert!(latched.why.contains("damaged"), "{latched:?}");
        assert_eq!(open(&mut disk, 3, AT).unwrap().latched, Some(latched), "until the operator resumes");
    }
}
