//! Our TCP sockets: their options, and one read.
//!
//! Owns:  turning a connected socket into one we can poll: non-blocking, no delay, and given up by
//!        the kernel when the other side stays silent; what a read says beyond its bytes.
//! Never: writes, or knows what the bytes mean.
#![allow(unsafe_code)]

use std::io::{self, ErrorKind, Read};
use std::os::fd::AsRawFd;

use super::clock::Stamp;
use super::link::LinkError;
use super::packets::Packets;

/// Data that the other side did not acknowledge for this long ends the connection. The default
/// (15 minutes or more) would leave an order link looking alive on a dead path.
const USER_TIMEOUT_MS: libc::c_uint = 3_000;

/// Takes over a connected socket.
///
/// # Errors
///
/// What the system said; the socket is closed.
pub(super) fn prepare(stream: std::net::TcpStream) -> io::Result<mio::net::TcpStream> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    set(&stream, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, USER_TIMEOUT_MS)?;
    Ok(mio::net::TcpStream::from_std(stream))
}

/// Sets an option of a socket that is a number.
///
/// # Errors
///
/// What the system said.
pub(super) fn set(
    socket: &impl AsRawFd,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_uint,
) -> io::Result<()> {
    // SAFETY: the descriptor is open (`socket` owns it), the value is a `c_uint` of ours that
    // lives through the call, and its true size is passed.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(&value).cast(),
            size_of::<libc::c_uint>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What one read brought.
pub(super) struct Got {
    /// How many bytes; 0: the other side writes no more.
    pub(super) n: usize,
    /// Whether the kernel had less than we asked for: then the socket is drained, and the next byte will
    /// make a new readiness event (epoll(7), Q&A 9). Saves the read that would only say "nothing" (245 ns,
    /// HOTPATH §8).
    pub(super) short: bool,
    /// When the kernel had handed them over.
    pub(super) at: Stamp,
}

/// Reads what is there; `None` if that is nothing. Where packets are stamped, by the dearer way that brings the stamp.
///
/// # Errors
///
/// The connection is of no use any more; `peer` names it.
#[inline]
pub(super) fn read_some(
    socket: &mut mio::net::TcpStream,
    packets: Option<&mut Packets>,
    into: &mut [u8],
    peer: &str,
) -> Result<Option<Got>, LinkError> {
    let mut packets = packets;
    loop {
        let read = match &mut packets {
            None => socket.read(into),
            Some(packets) => packets.read(socket, into),
        };
        match read {
            Ok(n) => return Ok(Some(Got { n, short: n < into.len(), at: Stamp::take() })),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(LinkError::from_io(&error, peer)),
        }
    }
}
