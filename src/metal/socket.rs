//! The options of our TCP sockets.
//!
//! Owns:  turning a connected socket into one we can poll: non-blocking, no delay, and given up by
//!        the kernel when the other side stays silent.
//! Never: reads or writes.
#![allow(unsafe_code)]

use std::io::{self, Read};
use std::os::fd::AsRawFd;

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
    // SAFETY: the descriptor is open (`stream` owns it), the value is a `c_uint` of ours that
    // lives through the call, and its true size is passed.
    let result = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_USER_TIMEOUT,
            std::ptr::from_ref(&USER_TIMEOUT_MS).cast(),
            size_of::<libc::c_uint>() as libc::socklen_t,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(mio::net::TcpStream::from_std(stream))
}

/// Reads, and remembers whether the kernel had less than we asked for: then the socket is drained,
/// and the next byte will make a new readiness event (epoll(7), Q&A 9). Saves the read that would
/// only say "nothing" (245 ns, HOTPATH §8).
pub(super) struct Gauged<'a> {
    pub(super) socket: &'a mut mio::net::TcpStream,
    pub(super) short: bool,
}

impl Read for Gauged<'_> {
    #[inline]
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.socket.read(out)?;
        self.short = n < out.len();
        Ok(n)
    }
}
