//! `metal::ring` and `metal::latest` under every order of loads and stores that the memory model allows.
//!
//! Owns:  the stories that are tried, each for all orders: two threads, few steps.
//! Why:   a test with real threads sees the orders that this machine happens to make; these are all of them.

// What a story does not use is used in the engine.
#![allow(dead_code)]

#[path = "../../../src/metal/latest.rs"]
mod latest;
#[path = "../../../src/metal/prefetch.rs"]
mod prefetch;
#[path = "../../../src/metal/ring.rs"]
mod ring;

mod atomic {
    //! In the place of `metal::atomic`: every access is watched.

    pub(super) use loom::sync::Arc;
    pub(super) use loom::sync::atomic::{AtomicU64, AtomicUsize, fence};

    use loom::cell::UnsafeCell;
    use std::mem::MaybeUninit;

    #[derive(Debug)]
    pub(super) struct Slot<T>(UnsafeCell<MaybeUninit<T>>);

    impl<T> Slot<T> {
        pub(super) fn empty() -> Self {
            Self(UnsafeCell::new(MaybeUninit::uninit()))
        }

        pub(super) fn with<R>(&self, look: impl FnOnce(*mut MaybeUninit<T>) -> R) -> R {
            self.0.with_mut(look)
        }
    }
}

mod tap {
    //! In the place of `metal::tap`: nothing is recorded.

    #[derive(Clone, Debug)]
    pub(super) enum Tap {}
    #[derive(Clone, Copy, Debug)]
    pub(super) enum Flag {}
    #[derive(Clone, Copy, Debug, Default)]
    pub(super) struct Asked;

    impl Tap {
        pub(super) fn is_on(&self) -> bool {
            match *self {}
        }
        pub(super) fn keep(&self) {
            match *self {}
        }
        pub(super) fn answer(&self, _: Flag, _: bool) -> bool {
            match *self {}
        }
        pub(super) fn item<T>(&self, _: u8, _: &T, _: fn(&T, &mut Vec<u8>)) {
            match *self {}
        }
        pub(super) fn hold<const N: usize>(&self, _: u16, _: [u64; N]) -> [u64; N] {
            match *self {}
        }
        pub(super) fn look<const N: usize>(
            &self,
            _: u16,
            _: &mut Asked,
            _: Option<[u64; N]>,
        ) -> Option<[u64; N]> {
            match *self {}
        }
    }
}

use loom::thread;
use ring::{Full, ring};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many orders a story was tried in.
fn all_orders(name: &str, story: impl Fn() + Sync + Send + 'static) {
    static TRIED: AtomicUsize = AtomicUsize::new(0);
    TRIED.store(0, Ordering::Relaxed);
    loom::model(move || {
        TRIED.fetch_add(1, Ordering::Relaxed);
        story();
    });
    let tried = TRIED.load(Ordering::Relaxed);
    assert!(tried > 1, "{name}: nothing to try");
    println!("{name}: holds in {tried} orders");
}

/// What is pushed comes out once, whole, in order; what finds no room comes back.
fn values_cross_once_and_in_order() {
    let (mut producer, mut consumer) = ring::<Box<usize>>(2);
    let pushing = thread::spawn(move || {
        let mut pushed = 0;
        for _ in 0..3 {
            match producer.push(Box::new(pushed)) {
                Ok(()) => pushed += 1,
                Err(Full(back)) => assert_eq!(*back, pushed),
            }
        }
        pushed
    });
    let mut popped = 0;
    for _ in 0..3 {
        let waiting = consumer.len_seen();
        match consumer.pop() {
            Some(value) => {
                assert_eq!(*value, popped);
                popped += 1;
            }
            None => assert_eq!(waiting, 0),
        }
    }
    let pushed = pushing.join().unwrap();
    assert!(pushed >= 2, "there was room for two");
    while let Some(value) = consumer.pop() {
        assert_eq!(*value, popped);
        popped += 1;
    }
    assert_eq!(popped, pushed);
}

/// Room that was seen stays, whatever the consumer does.
fn claimed_room_is_kept() {
    let (mut producer, mut consumer) = ring::<usize>(2);
    producer.push(0).unwrap();
    let popping = thread::spawn(move || (consumer.pop(), consumer));
    if producer.has_room(2) {
        producer.push(1).unwrap();
        producer.push(2).unwrap();
    } else {
        assert!(producer.has_room(1));
        producer.push(1).unwrap();
    }
    let taken = producer.is_taken();
    let (popped, mut consumer) = popping.join().unwrap();
    assert_eq!(popped, Some(0));
    assert!(!taken, "one is there that nobody took");
    assert_eq!(consumer.pop(), Some(1));
}

/// What is put is seen with the rest of it or not at all.
fn what_was_put_is_seen_together() {
    let (mut producer, mut consumer) = ring::<usize>(2);
    let putting = thread::spawn(move || {
        producer.put(1).unwrap();
        producer.put(2).unwrap();
        producer.show();
    });
    let mut seen = 0;
    for _ in 0..3 {
        let waiting = consumer.len_seen();
        assert!(waiting == 0 || waiting == 2 - seen, "{waiting} after {seen}");
        if let Some(value) = consumer.pop() {
            seen += 1;
            assert_eq!(value, seen);
        }
        assert!(seen != 1 || consumer.len_seen() == 1);
    }
    putting.join().unwrap();
}

/// What nobody popped is dropped with the ring, once, whichever end goes last.
fn the_rest_is_dropped_once() {
    let token = loom::sync::Arc::new(());
    let (mut producer, consumer) = ring(2);
    producer.push(token.clone()).unwrap();
    let last = thread::spawn(move || drop(consumer));
    producer.push(token.clone()).unwrap();
    drop(producer);
    last.join().unwrap();
    assert_eq!(loom::sync::Arc::strong_count(&token), 1);
}

/// A reader sees whole values only, and never an older one after a newer one.
fn values_are_seen_whole_and_never_backwards() {
    let (mut writer, mut reader) = latest::latest([0, 0]);
    let writing = thread::spawn(move || {
        for n in 1..=3 {
            writer.publish([n, n * 7]);
        }
    });
    let mut last = None;
    for _ in 0..2 {
        if let Some([n, seven]) = reader.changed() {
            assert_eq!(seven, n * 7, "torn");
            assert!(last.is_none_or(|last| n > last), "{n} after {last:?}");
            last = Some(n);
        }
    }
    writing.join().unwrap();
    assert_eq!(reader.read(), [3, 21]);
}

/// The classic mistake, so that we know the tool would see it: a flag without order lets data race.
fn a_relaxed_flag_is_caught() {
    use atomic::{Arc, AtomicUsize, Slot};
    let shared = Arc::new((Slot::<usize>::empty(), AtomicUsize::new(0)));
    let other = Arc::clone(&shared);
    let writing = thread::spawn(move || {
        // SAFETY: none; that is the point.
        other.0.with(|slot| unsafe { (*slot).write(7) });
        other.1.store(1, Relaxed);
    });
    if shared.1.load(Relaxed) == 1 {
        // SAFETY: as above.
        shared.0.with(|slot| unsafe { (*slot).assume_init_read() });
    }
    writing.join().unwrap();
}

fn main() {
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let caught = std::panic::catch_unwind(|| loom::model(a_relaxed_flag_is_caught));
    std::panic::set_hook(loud);
    assert!(caught.is_err(), "a data race was not seen: these stories prove nothing");
    all_orders("values cross once and in order", values_cross_once_and_in_order);
    all_orders("claimed room is kept", claimed_room_is_kept);
    all_orders("what was put is seen together", what_was_put_is_seen_together);
    all_orders("the rest is dropped once", the_rest_is_dropped_once);
    all_orders("values are seen whole and never backwards", values_are_seen_whole_and_never_backwards);
}
