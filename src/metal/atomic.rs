//! What queues and cells between threads are made of.
//!
//! Owns:  the names that `ring` and `latest` use for shared words, shared slots and shared ownership.
//! Never: adds anything: these are the standard library's.
//! Why:   `tests/loom` puts others in their place, which try every order that the memory model allows.

pub(super) use std::sync::Arc;
pub(super) use std::sync::atomic::{AtomicU64, AtomicUsize, fence};

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;

/// A place that holds a value at some times, and is one thread's at any time.
#[derive(Debug)]
#[repr(transparent)]
pub(super) struct Slot<T>(UnsafeCell<MaybeUninit<T>>);

impl<T> Slot<T> {
    pub(super) fn empty() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }

    /// What `look` makes of it. Whoever follows the pointer says why nobody else does so now.
    #[inline]
    pub(super) fn with<R>(&self, look: impl FnOnce(*mut MaybeUninit<T>) -> R) -> R {
        look(self.0.get())
    }
}
