//! Cache lines asked for before they are needed.
//!
//! Owns:  the one instruction that asks. On machines without it nothing happens.
//! Never: reads or writes what it asks for: no value changes, and an address in vain costs a fetch.
//! Why:   what an order needs and nothing else does lies cold when it must leave (HOTPATH §11.7).
#![allow(unsafe_code)]

/// A line of the caches.
const LINE: usize = 64;

/// Asks for every line that `place` lies in, to be written or read soon.
#[inline]
pub(super) fn lines<T: ?Sized>(place: &T) {
    from((&raw const *place).cast(), size_of_val(place));
}

/// Asks for every line of `bytes` bytes from `place` on, which need be no value yet.
#[inline]
pub(super) fn from(place: *const u8, bytes: usize) {
    let first = place as usize % LINE;
    for at in (0..first + bytes).step_by(LINE) {
        line(place.wrapping_add(at).wrapping_sub(first));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn line(place: *const u8) {
    use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
    // SAFETY: a prefetch is a hint: it faults on no address and changes no value; SSE is part of x86-64.
    unsafe { _mm_prefetch::<_MM_HINT_ET0>(place.cast()) };
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn line(_: *const u8) {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Any place and length will do, also none and those of nobody.
    #[test]
    fn nothing_changes() {
        let bytes: Vec<u8> = (0..=255).collect();
        for from_at in 0..70 {
            lines(&bytes[from_at..]);
            from(std::ptr::without_provenance(from_at), 300);
        }
        lines::<[u8]>(&[]);
        assert!(bytes.iter().enumerate().all(|(at, byte)| at == usize::from(*byte)));
    }
}
