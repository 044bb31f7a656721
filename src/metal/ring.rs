//! A queue between exactly two threads: one pushes, one pops.
//!
//! Owns:  the slots, the two counters, and the promise that what was pushed is popped once, in
//!        order, or dropped with the ring.
//! Never: blocks, allocates after [`ring()`], or overwrites; a full ring hands the value back.
//! Quirk: room seen by the producer can only grow until it pushes itself, so asking
//!        [`Producer::has_room`] *claims* slots: this is how an order's record is sure to find
//!        its place before the first byte goes out (DESIGN §2).
#![allow(unsafe_code)]

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::atomic::{Arc, AtomicUsize, Slot};
use super::prefetch;
use super::tap::{Flag, Tap};
use crossbeam::utils::CachePadded;

/// The ring had no room; here is the value again.
#[derive(Debug, PartialEq, Eq)]
pub struct Full<T>(pub T);

/// The pushing end; one thread at a time has it.
#[derive(Debug)]
pub struct Producer<T> {
    shared: Arc<Shared<T>>,
    /// Where the next value goes.
    tail: usize,
    /// Up to where the consumer sees; the truth of `shared.tail`.
    shown: usize,
    /// The head when we last looked: the consumer's cache line is asked for only when this one
    /// says "full".
    head_seen: usize,
    /// Its room asks about room through it.
    tap: Option<(Tap, Flag)>,
}

/// The popping end; one thread at a time has it.
#[derive(Debug)]
pub struct Consumer<T> {
    shared: Arc<Shared<T>>,
    /// Where the next value comes from; the truth of `shared.head`.
    head: usize,
    /// The tail when we last looked.
    tail_seen: usize,
    /// Copies what is popped.
    tap: Option<ItemTap<T>>,
}

/// A room's tap, which of its doors this is, and the byte form of an item.
type ItemTap<T> = (Tap, u8, fn(&T, &mut Vec<u8>));

/// Makes a ring of `capacity` slots and gives its two ends.
///
/// # Panics
///
/// If `capacity` is no power of two (the ring masks, it does not divide); it is a constant of the
/// code that asks, never input.
#[must_use]
pub fn ring<T: Send>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    assert!(capacity.is_power_of_two(), "a ring needs a power of two of slots, not {capacity}");
    let slots = (0..capacity).map(|_| Slot::empty()).collect();
    let shared = Arc::new(Shared {
        slots,
        head: CachePadded::new(AtomicUsize::new(0)),
        tail: CachePadded::new(AtomicUsize::new(0)),
    });
    (
        Producer { shared: Arc::clone(&shared), tail: 0, shown: 0, head_seen: 0, tap: None },
        Consumer { shared, head: 0, tail_seen: 0, tap: None },
    )
}

impl<T> Producer<T> {
    /// Hands `value` to the consumer, or back to the caller if the ring is full.
    ///
    /// # Errors
    ///
    /// [`Full`] with the value; nothing has changed.
    #[inline]
    pub fn push(&mut self, value: T) -> Result<(), Full<T>> {
        self.write(value)?;
        self.show();
        Ok(())
    }

    /// As [`Producer::push`], but the consumer sees it with the next [`Producer::show`] only, together with all that was put
    /// since the last one. (`Copy`: what is never shown is never dropped.)
    ///
    /// # Errors
    ///
    /// As [`Producer::push`].
    #[inline]
    pub fn put(&mut self, value: T) -> Result<(), Full<T>>
    where
        T: Copy,
    {
        self.write(value)
    }

    /// Shows the consumer all that was put, at once.
    #[inline]
    pub fn show(&mut self) {
        // The consumer looks at that line: it is not written for nothing.
        if self.shown != self.tail {
            self.shown = self.tail;
            self.shared.tail.store(self.tail, Release);
        }
    }

    #[inline]
    fn write(&mut self, value: T) -> Result<(), Full<T>> {
        if !self.has_room(1) {
            return Err(Full(value));
        }
        if let Some((tap, _)) = &self.tap {
            tap.keep();
        }
        let slot = &self.shared.slots[self.tail & (self.shared.slots.len() - 1)];
        // SAFETY: this slot is ours alone. `has_room` saw `tail - head < len` through an acquire
        // load of `head`, so the consumer has moved its value out and can't return here before
        // the release store of `show` shows it the new tail. There is no second
        // producer: `write` takes `&mut self`, and `Producer` isn't `Clone`.
        slot.with(|slot| unsafe { (*slot).write(value) });
        self.tail = self.tail.wrapping_add(1);
        Ok(())
    }

    /// Whether the next `n` pushes will succeed. Since nobody else fills the ring, a `true` stays
    /// true until this end pushes.
    #[inline]
    pub fn has_room(&mut self, n: usize) -> bool {
        let room = self.room(n);
        // What a recording says, as far as it is true.
        self.tap.as_ref().map_or(room, |(tap, flag)| tap.answer(*flag, room) && room)
    }

    /// Lets the room that fills this ring hear about it through its tap.
    pub fn tap(&mut self, tap: &Tap, flag: Flag) {
        self.tap = tap.is_on().then(|| (tap.clone(), flag));
    }

    #[inline]
    fn room(&mut self, n: usize) -> bool {
        let free = |head: usize| self.shared.slots.len() - self.tail.wrapping_sub(head);
        if free(self.head_seen) >= n {
            return true;
        }
        self.head_seen = self.shared.head.load(Acquire);
        free(self.head_seen) >= n
    }

    /// Whether the consumer took all that was pushed.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.shared.head.load(Acquire) == self.tail
    }

    /// Asks for the memory of the next two values, so that pushing them does not wait for it.
    #[inline]
    pub fn warm(&self) {
        for at in [self.tail, self.tail.wrapping_add(1)] {
            let slot = &self.shared.slots[at & (self.shared.slots.len() - 1)];
            // Only its address is looked at: whose the slot is makes no difference to a hint.
            prefetch::lines(slot);
        }
    }

    /// How many values the ring holds at most.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared.slots.len()
    }
}

impl<T> Consumer<T> {
    /// The oldest value, if there is one.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        if self.head == self.tail_seen {
            self.tail_seen = self.shared.tail.load(Acquire);
            if self.head == self.tail_seen {
                return None;
            }
        }
        let slot = &self.shared.slots[self.head & (self.shared.slots.len() - 1)];
        // SAFETY: `head` lies before a tail that we read with acquire, so the producer's write of
        // this slot happened before, and it won't write here again until the release store below
        // shows it the new head. No second consumer exists (`&mut self`, not `Clone`), and `head`
        // moves on, so the value is read out once.
        let value = slot.with(|slot| unsafe { (*slot).assume_init_read() });
        self.head = self.head.wrapping_add(1);
        self.shared.head.store(self.head, Release);
        if let Some((tap, door, put)) = &self.tap {
            tap.item(*door, &value, *put);
        }
        Some(value)
    }

    /// Copies what is popped from now on into its room's recording.
    pub fn tap(&mut self, tap: &Tap, door: u8, put: fn(&T, &mut Vec<u8>)) {
        self.tap = tap.is_on().then(|| (tap.clone(), door, put));
    }

    /// How many values were waiting at the moment of asking; as many pops will succeed, and maybe
    /// more. Bounds a turn's work.
    #[inline]
    #[must_use]
    pub fn len_seen(&self) -> usize {
        self.shared.tail.load(Acquire).wrapping_sub(self.head)
    }
}

#[derive(Debug)]
struct Shared<T> {
    slots: Box<[Slot<T>]>,
    /// Values popped since the start, wrapping. Written by the consumer.
    head: CachePadded<AtomicUsize>,
    /// Values pushed since the start, wrapping. Written by the producer.
    tail: CachePadded<AtomicUsize>,
}

// SAFETY: the slots are reached only through `Producer::write` and `Consumer::pop`, whose proofs
// show that no slot is touched by both at once; values cross threads, hence `T: Send`.
unsafe impl<T: Send> Sync for Shared<T> {}

// SAFETY: owning the ring is owning the values in it.
unsafe impl<T: Send> Send for Shared<T> {}

impl<T> Drop for Shared<T> {
    /// Drops what was pushed and never popped.
    fn drop(&mut self) {
        let tail = self.tail.load(Relaxed);
        let mut head = self.head.load(Relaxed);
        while head != tail {
            let slot = &self.slots[head & (self.slots.len() - 1)];
            // SAFETY: both ends are gone (the last `Arc` is being dropped, which orders their
            // last stores before us), and the slots from head to tail hold values nobody took.
            slot.with(|slot| unsafe { (*slot).assume_init_drop() });
            head = head.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    /// A payload that shows tearing: its words follow from the first.
    fn payload(n: u64) -> [u64; 8] {
        std::array::from_fn(|i| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(i as u32 * 7))
    }

    #[test]
    fn what_was_put_is_seen_together_and_takes_room_at_once() {
        let (mut producer, mut consumer) = ring::<u32>(4);
        producer.put(1).unwrap();
        producer.put(2).unwrap();
        assert_eq!((consumer.pop(), consumer.len_seen(), producer.has_room(3)), (None, 0, false));
        producer.show();
        assert_eq!((consumer.len_seen(), consumer.pop(), consumer.pop()), (2, Some(1), Some(2)));
        // A push shows what was put before it: the order is kept.
        producer.put(3).unwrap();
        producer.push(4).unwrap();
        assert_eq!((consumer.pop(), consumer.pop(), consumer.pop()), (Some(3), Some(4), None));
    }

    #[test]
    fn a_million_values_cross_two_threads_whole_and_in_order() {
        const COUNT: u64 = 1_000_000;
        let (mut producer, mut consumer) = ring::<[u64; 8]>(1_024);
        let pushing = std::thread::spawn(move || {
            for n in 0..COUNT {
                let mut value = payload(n);
                while let Err(Full(back)) = producer.push(value) {
                    value = back;
                    std::thread::yield_now();
                }
            }
        });
        for n in 0..COUNT {
            let value = loop {
                match consumer.pop() {
                    Some(value) => break value,
                    None => std::thread::yield_now(),
                }
            };
            assert_eq!(value, payload(n), "value {n}");
        }
        pushing.join().unwrap();
        assert_eq!(consumer.pop(), None);
    }

    #[test]
    fn what_is_left_is_dropped_once() {
        let token = Arc::new(());
        let (mut producer, mut consumer) = ring(8);
        for _ in 0..5 {
            producer.push(Arc::clone(&token)).unwrap();
        }
        drop(consumer.pop());
        assert_eq!(Arc::strong_count(&token), 5);
        drop(producer);
        drop(consumer);
        assert_eq!(Arc::strong_count(&token), 1);
    }

    #[test]
    fn room_once_seen_stays_until_we_push() {
        let (mut producer, mut consumer) = ring(4);
        assert!(producer.has_room(4) && !producer.has_room(5));
        for n in 0..4 {
            producer.push(n).unwrap();
        }
        assert!(!producer.has_room(1));
        assert_eq!(producer.push(9), Err(Full(9)));
        assert_eq!(consumer.pop(), Some(0));
        assert!(producer.has_room(1) && !producer.has_room(2));
    }

    proptest! {
        #[test]
        fn it_behaves_like_a_bounded_deque(steps in prop::collection::vec(any::<bool>(), 0..400)) {
            let (mut producer, mut consumer) = ring::<Box<usize>>(8);
            let mut twin = VecDeque::new();
            for (n, push) in steps.into_iter().enumerate() {
                if push {
                    let fits = twin.len() < producer.capacity();
                    prop_assert_eq!(producer.push(Box::new(n)).is_ok(), fits);
                    if fits {
                        twin.push_back(n);
                    }
                } else {
                    prop_assert_eq!(consumer.pop().map(|b| *b), twin.pop_front());
                }
                prop_assert_eq!(consumer.len_seen(), twin.len());
            }
        }
    }
}
