//! A global allocator that counts what the hot thread allocates, and lets everything else pass.
//!
//! Owns:  two process-wide counters: allocations of hot rooms themselves, and those made inside the
//!        links over TLS (where rustls keeps a connection it allocates once a record, HOTPATH §2).
//! Never: counts on a thread that has not said `watch(true)`; costs one thread-local look otherwise.
//! Why:   "no allocation between quote bytes and order bytes" is a promise; here it is a number.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The system's allocator, counting. Install it with `#[global_allocator]`.
#[derive(Debug, Default)]
pub struct Counting;

static ROOMS: AtomicU64 = AtomicU64::new(0);
static TLS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Whether this thread is watched, and how deep it is inside the TLS library.
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    static IN_TLS: Cell<bool> = const { Cell::new(false) };
}

/// Counts this thread's allocations from now on, or no longer.
pub fn watch(on: bool) {
    WATCHED.with(|watched| watched.set(on));
}

/// Runs `f`, whose allocations are the TLS library's.
#[inline]
pub fn in_tls<R>(f: impl FnOnce() -> R) -> R {
    IN_TLS.with(|inside| inside.set(true));
    let result = f();
    IN_TLS.with(|inside| inside.set(false));
    result
}

/// Allocations of watched threads so far: their own, and the TLS library's.
#[must_use]
pub fn counted() -> (u64, u64) {
    (ROOMS.load(Relaxed), TLS.load(Relaxed))
}

#[inline]
fn count() {
    // A thread that is ending has no thread-locals any more; it is not watched then.
    if WATCHED.try_with(Cell::get).unwrap_or(false) {
        let tls = IN_TLS.try_with(Cell::get).unwrap_or(false);
        if tls { &TLS } else { &ROOMS }.fetch_add(1, Relaxed);
    }
}

// SAFETY: every method hands its arguments unchanged to `System`, which keeps the contract of
// `GlobalAlloc`; counting touches only atomics and const-initialised thread-locals without
// destructors, so it neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System`, since every way to allocate here leads there.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps `alloc_zeroed`'s contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as for `dealloc`, and the caller keeps `realloc`'s contract.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
