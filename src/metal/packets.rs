//! When the kernel had the last bytes that were read, and when it let go of those that were sent.
//!
//! Owns:  asking a socket for the kernel's software stamps, and reading them: of what came, beside a read's bytes; of what
//!        left, from the socket's error queue.
//! Never: is on unless asked for: a socket that is not stamped is read by a bare `recv`, and has nothing in that queue.
//! Wire:  the kernel's Documentation/networking/timestamping.rst. All stamps are of CLOCK_REALTIME.
//! Quirk: what lies in the error queue makes `epoll` report an error of the socket, which it is not, and takes room of
//!        its receive buffer: whoever asks for departures takes them out ([`Link::next_departure`]).
#![allow(unsafe_code)]

use std::io;
use std::net::{self, Ipv4Addr, TcpListener};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use super::link::{Carrier, Link, LinkError};
use super::socket;
use crate::units::Unix;
use crate::units::time::SEC;

/// What comes is stamped when it leaves the driver.
const ARRIVALS: libc::c_uint = libc::SOF_TIMESTAMPING_RX_SOFTWARE | libc::SOF_TIMESTAMPING_SOFTWARE;
/// What leaves is stamped when the driver has it, told with the number of its last byte and without its bytes. Bytes are
/// counted from the moment this is asked for, not from the oldest that nobody acknowledged (since Linux 6.2).
const DEPARTURES: libc::c_uint = libc::SOF_TIMESTAMPING_TX_SOFTWARE
    | libc::SOF_TIMESTAMPING_SOFTWARE
    | libc::SOF_TIMESTAMPING_OPT_ID
    | libc::SOF_TIMESTAMPING_OPT_TSONLY
    | libc::SOF_TIMESTAMPING_OPT_ID_TCP;
/// Room for what the kernel tells beside the bytes: a stamp is 64 bytes long, an entry's origin at most 48.
const CONTROL_BYTES: usize = 256;
/// How long [`begin`] waits for a stamp: the first ones may be missing, since the kernel begins to stamp a little later.
const CHECK_MAX: Duration = Duration::from_secs(1);

/// Why packets can't be stamped here.
#[derive(Debug, thiserror::Error)]
pub enum PacketsError {
    /// There is no loopback to try it on, or no stamp can be asked for.
    #[error(
        "this kernel does not stamp packets of TCP ({0}); it takes Linux 6.2 or newer, and no sandbox that hides \
         SO_TIMESTAMPING. Run with `--stamps path`, which asks nothing of the kernel"
    )]
    Refused(#[from] io::Error),
    /// It was asked for, and nothing came.
    #[error(
        "this kernel takes SO_TIMESTAMPING and stamped no packet on loopback within a second. Run with `--stamps path`, \
         which asks nothing of the kernel"
    )]
    Silent,
}

/// A packet that left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departure {
    /// The number of its last byte, as of [`Link::last_byte`].
    pub last_byte: u32,
    /// When the driver had it.
    pub at: Unix,
}

/// What is kept of a stamped socket.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Packets {
    /// When the last bytes that were read had come.
    arrived: Option<Unix>,
    /// Bytes that were handed over since departures are stamped, modulo 2^32; `None`: they are not.
    handed: Option<u32>,
    /// The error queue may hold something.
    waiting: bool,
}

impl Packets {
    /// Bytes were handed over.
    #[inline]
    pub(super) fn handed(&mut self, n: usize) {
        if let Some(handed) = &mut self.handed {
            *handed = handed.wrapping_add(n as u32);
        }
    }

    /// As `recv`, and keeps the stamp.
    pub(super) fn read(&mut self, socket: &mio::net::TcpStream, into: &mut [u8]) -> io::Result<usize> {
        let (n, told) = receive(socket, into, 0)?;
        // Without a stamp (the kernel begins to stamp a little late) an older one would be another packet's.
        self.arrived = told.at;
        Ok(n)
    }
}

impl Link {
    /// Lets the kernel stamp what comes, for [`Link::arrived`]. A measuring mode; a refusal ends the link, by its next
    /// `recv`. Only links over TLS are stamped.
    pub fn stamp_arrivals(&mut self) {
        self.stamp_packets(ARRIVALS, Packets::default());
    }

    /// When the kernel got the last bytes that were read: of several packets in one read, the last one.
    #[must_use]
    pub fn arrived(&self) -> Option<Unix> {
        self.packets().and_then(|packets| packets.arrived)
    }

    /// Lets the kernel stamp what leaves from now on, for [`Link::next_departure`]; otherwise as
    /// [`Link::stamp_arrivals`].
    pub fn stamp_departures(&mut self) {
        self.stamp_packets(DEPARTURES, Packets { handed: Some(0), ..Packets::default() });
    }

    /// The number of the last byte that was handed to the kernel since departures are stamped, modulo 2^32.
    #[must_use]
    pub fn last_byte(&self) -> Option<u32> {
        self.packets().and_then(|packets| packets.handed).map(|handed| handed.wrapping_sub(1))
    }

    /// The next packet that left and was not told yet. Costs a system call where there may be one, and one more to find
    /// that there is none.
    pub fn next_departure(&mut self) -> Option<Departure> {
        let Carrier::Tls(tls) = &mut self.carrier else { return None };
        let (socket, packets) = tls.stamped()?;
        while packets.waiting {
            match receive(socket, &mut [], libc::MSG_ERRQUEUE) {
                Ok((_, Told { at: Some(at), last_byte: Some(last_byte) })) => {
                    return Some(Departure { last_byte, at });
                }
                Ok(_) => {}
                // Nothing more, or an end that the next read finds.
                Err(_) => packets.waiting = false,
            }
        }
        None
    }

    /// The kernel reports an error: whether that may be departures, which are no error. A real one ends the stream, too,
    /// and is told by that.
    pub(super) fn note_departures(&mut self) -> bool {
        let Carrier::Tls(tls) = &mut self.carrier else { return false };
        let Some((_, packets)) = tls.stamped() else { return false };
        packets.waiting = packets.handed.is_some();
        packets.waiting
    }

    fn packets(&self) -> Option<&Packets> {
        match &self.carrier {
            Carrier::Tls(tls) => tls.packets(),
            Carrier::Plain(_) | Carrier::Memory(_) | Carrier::Recorded(_) => None,
        }
    }

    fn stamp_packets(&mut self, what: libc::c_uint, begin: Packets) {
        let Carrier::Tls(tls) = &mut self.carrier else { return };
        if let Err(error) = ask(tls.socket(), what) {
            let detail = PacketsError::Refused(error).to_string();
            self.fail(LinkError::Reset { peer: self.peer().to_owned(), detail });
            return;
        }
        tls.stamp_packets(begin);
    }
}

/// A pair of sockets on loopback that are stamped. While one such socket is open, the kernel stamps every packet that comes;
/// after the last was closed it begins anew, a little late.
#[derive(Debug)]
pub struct Stamping {
    _from: net::TcpStream,
    _to: net::TcpStream,
}

/// Tries on loopback whether this kernel stamps what comes and what leaves; keep what it returns for as long as it shall.
///
/// # Errors
///
/// [`PacketsError`] says what to do.
pub fn begin() -> Result<Stamping, PacketsError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let from = net::TcpStream::connect(listener.local_addr()?)?;
    let (to, _) = listener.accept()?;
    ask(&from, DEPARTURES)?;
    ask(&to, ARRIVALS)?;
    to.set_nonblocking(true)?;
    let (begun, mut came, mut left) = (Instant::now(), false, false);
    while begun.elapsed() < CHECK_MAX {
        io::Write::write_all(&mut &from, &[0; 64])?;
        std::thread::sleep(Duration::from_millis(1));
        came |= receive(&to, &mut [0; 64], 0).is_ok_and(|(_, told)| told.at.is_some());
        left |= receive(&from, &mut [], libc::MSG_ERRQUEUE).is_ok_and(|(_, told)| told.last_byte.is_some());
        if came && left {
            return Ok(Stamping { _from: from, _to: to });
        }
    }
    Err(PacketsError::Silent)
}

fn ask(socket: &impl AsRawFd, what: libc::c_uint) -> io::Result<()> {
    socket::set(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPING, what)
}

/// What the kernel tells beside the bytes.
#[derive(Default)]
struct Told {
    /// The software stamp.
    at: Option<Unix>,
    /// Of an entry of the error queue that is a stamp: the number of the last byte it is of.
    last_byte: Option<u32>,
}

/// A control buffer, aligned as its messages' heads want it.
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

/// `recvmsg`: how many bytes came, and what was told of them.
fn receive(socket: &impl AsRawFd, into: &mut [u8], flags: libc::c_int) -> io::Result<(usize, Told)> {
    let mut control = Control([0; CONTROL_BYTES]);
    let mut bytes = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    // SAFETY: `msghdr` is plain numbers and pointers, for which zeroes are valid: no name, no buffers.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &mut bytes;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = CONTROL_BYTES;
    // SAFETY: the descriptor is open; `message` points at `bytes`, which describes `into`, and at `control`, with their
    // true lengths; all of them live through the call and nobody else looks at them.
    let n = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut message, flags) };
    let Ok(n) = usize::try_from(n) else { return Err(io::Error::last_os_error()) };
    let mut told = Told::default();
    // SAFETY: the kernel has set `msg_controllen` to what it wrote; the macros walk within it, from `control`, which lives.
    let mut head = unsafe { libc::CMSG_FIRSTHDR(&message) };
    // SAFETY: `CMSG_FIRSTHDR` and `CMSG_NXTHDR` give null or a whole head within `control`, which is aligned for it.
    while let Some(it) = unsafe { head.as_ref() } {
        // SAFETY: as above: the data of a head within `control`.
        let data = unsafe { libc::CMSG_DATA(it) };
        // `as`: the length's type differs between C libraries.
        #[allow(clippy::unnecessary_cast)]
        let len = (it.cmsg_len as usize).saturating_sub(data as usize - std::ptr::from_ref(it) as usize);
        match (it.cmsg_level, it.cmsg_type) {
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPING) if len >= size_of::<libc::timespec>() => {
                // SAFETY: so many bytes were written there by the kernel; read without relying on their alignment.
                let time: libc::timespec = unsafe { data.cast::<libc::timespec>().read_unaligned() };
                let ns = time.tv_sec.saturating_mul(SEC as i64).saturating_add(time.tv_nsec);
                told.at = (ns > 0).then_some(Unix(ns));
            }
            (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
                if len >= size_of::<libc::sock_extended_err>() =>
            {
                // SAFETY: as above.
                let entry = unsafe { data.cast::<libc::sock_extended_err>().read_unaligned() };
                told.last_byte =
                    (entry.ee_origin == libc::SO_EE_ORIGIN_TIMESTAMPING).then_some(entry.ee_data);
            }
            _ => {}
        }
        // SAFETY: `it` is a head within `control` of `message`.
        head = unsafe { libc::CMSG_NXTHDR(&message, it) };
    }
    Ok((n, told))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn a_packet_is_stamped_between_its_write_and_its_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut from = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (to, _) = listener.accept().unwrap();
        from.set_nodelay(true).unwrap();
        let _stamping = begin().expect("stories of packets need a kernel that stamps");
        // Bytes from before are not counted.
        from.write_all(&[0; 10]).unwrap();
        (&to).read_exact(&mut [0; 10]).unwrap();
        ask(&from, DEPARTURES).unwrap();
        ask(&to, ARRIVALS).unwrap();
        let now = || {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            Unix(now.as_nanos() as i64)
        };
        let mut last_byte = u32::MAX;
        for length in [1, 300, 40] {
            let before = now();
            from.write_all(&vec![1; length]).unwrap();
            let (n, came) = receive(&to, &mut [0; 1_000], 0).unwrap();
            let after = now();
            assert_eq!(n, length);
            let (_, left) = receive(&from, &mut [], libc::MSG_ERRQUEUE).unwrap();
            last_byte = last_byte.wrapping_add(length as u32);
            assert_eq!(left.last_byte, Some(last_byte));
            let (left, came) = (left.at.unwrap(), came.at.unwrap());
            assert!(
                before <= left && left <= came && came <= after,
                "{before:?} {left:?} {came:?} {after:?}"
            );
        }
        assert!(receive(&from, &mut [], libc::MSG_ERRQUEUE).is_err(), "one entry a write");
    }
}
