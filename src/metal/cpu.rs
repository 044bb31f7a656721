//! Which core a thread sits on, and keeping memory where it is.
//!
//! Owns:  pinning, the list of cores we may use, locking of memory, no core dumps.
//! Never: asks for a scheduling class: a spinning real-time thread can hang a host.
#![allow(unsafe_code)]

use std::io;
use std::sync::OnceLock;

/// Why a thread could not be pinned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// The core is not ours, or does not exist.
    #[error(
        "core {core} can't be used; this process may use {allowed:?}: name one of them in `--cores`, or widen its CPU mask"
    )]
    NotAllowed {
        /// The core that was asked for.
        core: usize,
        /// What the process may use.
        allowed: Vec<usize>,
    },
}

/// The cores that this process may use, ascending: those of the thread that asks first. A thread that was pinned, and
/// whatever it starts, has one of them.
#[must_use]
pub fn cores() -> Vec<usize> {
    static OURS: OnceLock<Vec<usize>> = OnceLock::new();
    let ours = OURS.get_or_init(|| {
        let mut ids: Vec<usize> =
            core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect();
        ids.sort_unstable();
        ids
    });
    ours.clone()
}

/// Pins the calling thread to `core`; threads that it starts sit there as well, until they are pinned elsewhere.
///
/// # Errors
///
/// [`PinError::NotAllowed`] names the cores that would do.
pub fn pin(core: usize) -> Result<(), PinError> {
    let allowed = cores();
    if allowed.contains(&core) && core_affinity::set_for_current(core_affinity::CoreId { id: core }) {
        return Ok(());
    }
    Err(PinError::NotAllowed { core, allowed })
}

/// Keeps the memory of the process in RAM: what it has now, and what it will get as well where no
/// limit stands (under a limit, locking the future would make a later allocation fail). Best effort:
/// the caller reports a refusal and goes on.
///
/// # Errors
///
/// What the system said, and what to change.
pub fn lock_memory() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is ours, lives through the call and has the type that the call writes.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) } == 0;
    let endless = known && limit.rlim_cur == libc::RLIM_INFINITY;
    let what = if endless { libc::MCL_CURRENT | libc::MCL_FUTURE } else { libc::MCL_CURRENT };
    // SAFETY: takes flags, touches no memory of ours.
    if unsafe { libc::mlockall(what) } == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    Err(io::Error::new(
        error.kind(),
        format!(
            "memory can't be locked ({error}); set `ulimit -l unlimited` (LimitMEMLOCK=infinity), else a page fault may delay an order"
        ),
    ))
}

/// Forbids core dumps and debuggers' looks: keys and TLS secrets must not reach a disk.
///
/// # Errors
///
/// What the system said.
pub fn no_core_dumps() -> io::Result<()> {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `none` lives through the call, which only reads it.
    if unsafe { libc::setrlimit(libc::RLIMIT_CORE, &none) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: takes numbers only; unused arguments must be zero.
    if unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_can_be_pinned_to_a_core_we_have() {
        let all = cores();
        let (first, last) = (all[0], all[all.len() - 1]);
        let may =
            || core_affinity::get_core_ids().unwrap().into_iter().map(|core| core.id).collect::<Vec<_>>();
        let seen = std::thread::spawn(move || {
            pin(first).unwrap();
            let elsewhere = std::thread::spawn(move || {
                let before = may();
                pin(last).unwrap();
                [before, may()]
            });
            (may(), elsewhere.join().unwrap(), cores())
        });
        assert_eq!(seen.join().unwrap(), (vec![first], [vec![first], vec![last]], all));
    }

    #[test]
    fn memory_is_locked_or_the_refusal_says_what_to_change() {
        if let Err(error) = lock_memory() {
            assert!(error.to_string().contains("LimitMEMLOCK"), "{error}");
        }
        // SAFETY: takes nothing; other tests get their memory back.
        unsafe { libc::munlockall() };
    }

    #[test]
    fn a_core_we_do_not_have_is_refused_with_those_we_have() {
        let error = pin(100_000).unwrap_err();
        assert_eq!(error, PinError::NotAllowed { core: 100_000, allowed: cores() });
        assert!(error.to_string().contains("--cores"));
    }
}
