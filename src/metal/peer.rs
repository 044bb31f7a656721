//! Who is at the other end of a Unix socket.
//!
//! Owns:  asking the kernel for a peer's user, and for ours.
//! Never: believes what a peer says of itself.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

/// The user of the process at the other end, as it was when it connected (`SO_PEERCRED`, unix(7)).
///
/// # Errors
///
/// What the system said.
pub fn user(stream: &UnixStream) -> io::Result<u32> {
    let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut size = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the descriptor is open (`stream` owns it); `peer` and `size` are ours, live through the
    // call, and `size` is the true size of `peer`, which the call never writes past.
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            std::ptr::from_mut(&mut peer).cast(),
            &mut size,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(peer.uid)
}

/// The user of this process.
#[must_use]
pub fn own_user() -> u32 {
    // SAFETY: takes nothing, touches no memory, always succeeds.
    unsafe { libc::geteuid() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_end_is_ours() {
        let (here, there) = UnixStream::pair().unwrap();
        assert_eq!(user(&here).unwrap(), own_user());
        assert_eq!(user(&there).unwrap(), own_user());
    }
}
