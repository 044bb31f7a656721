//! The control socket: a room on the cold thread that carries an operator's lines to the shadow.
//!
//! Owns:  the socket file (mode 0600), its connections, who may speak, and setting the kill latch the
//!        moment `kill` is read.
//! Never: blocks, waits for a slow client, keeps more than a few bounded connections, or answers
//!        anybody but root and the user the engine runs as.
//! Order: one line in, one line out, and the connection ends.
//! Quirk: the kernel makes a socket for an `accept` before it looks whether anybody knocks, and takes it away by RCU, whose
//!        thread then keeps hot ones off their cores. So whether somebody knocks is asked first.
//!        A Unix address holds 107 bytes; folders are reached through `/proc/self/fd`, so that a
//!        data folder may lie as deep as it likes.

use super::words::{self, LINE_MAX};
use crate::agents::engine::OperatorEnds;
use crate::event::{Ask, Asked};
use crate::metal::crash;
use crate::metal::latch::Latch;
use crate::metal::peer;
use crate::metal::runner::Agent;
use crate::units::Nanos;
use crate::units::time::{MS, SEC};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often the socket is looked at: an operator does not notice, and the thread has other work.
const LOOK_NS: u64 = 5 * MS;
/// Connections at a time; more are turned away.
const CONNECTIONS_MAX: usize = 8;
/// A connection that has not said its line, or not read its answer, by then is closed.
const CONNECTION_NS: u64 = 5 * SEC;

/// The socket's name in the data folder.
#[must_use]
pub fn file_name(instance: u8) -> String {
    format!("ctl-{instance}.sock")
}

/// A folder and the short way to it.
struct Way {
    folder: File,
}

impl Way {
    fn to(folder: &Path) -> io::Result<Self> {
        Ok(Self { folder: File::open(folder)? })
    }

    fn at(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.folder.as_raw_fd()))
    }
}

/// Connects to the engine of an instance.
///
/// # Errors
///
/// What the system said; not found and refused mean that no such engine runs.
pub fn connect(folder: &Path, instance: u8) -> io::Result<UnixStream> {
    UnixStream::connect(Way::to(folder)?.at(&file_name(instance)))
}

/// The room.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    poll: Poll,
    events: Events,
    /// Somebody may wait at the door; told once, so it is remembered until nobody does.
    knocked: bool,
    path: PathBuf,
    ends: OperatorEnds,
    kill: Latch,
    connections: Vec<Connection>,
    next: u64,
    due: Nanos,
}

#[derive(Debug)]
struct Connection {
    id: u64,
    stream: UnixStream,
    until: Nanos,
    heard: Vec<u8>,
    /// The ask is with the shadow.
    asked: bool,
    /// What is still to be said; the connection ends with it.
    say: Option<Vec<u8>>,
}

impl Control {
    /// Opens the socket of an instance. The caller holds the lock of the folder, so a socket that is
    /// there already belongs to a process that died.
    ///
    /// # Errors
    ///
    /// The system refused, or something else than a socket has its name.
    pub fn open(folder: &Path, instance: u8, ends: OperatorEnds, kill: Latch) -> io::Result<Self> {
        let name = file_name(instance);
        let path = folder.join(&name);
        let told = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        match fs::symlink_metadata(&path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(io::Error::new(
                    ErrorKind::AlreadyExists,
                    format!("{} is no socket; move it away, or choose another --data-dir", path.display()),
                ));
            }
            _ => {}
        }
        let way = Way::to(folder).map_err(told)?;
        // Under another name until its mode is right: nobody else can open it in between.
        let (unready, ready) = (way.at(&format!("{name}.new")), way.at(&name));
        match fs::remove_file(&unready) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(told(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&unready).map_err(told)?;
        fs::set_permissions(&unready, Permissions::from_mode(0o600)).map_err(told)?;
        fs::rename(&unready, &ready).map_err(told)?;
        listener.set_nonblocking(true).map_err(told)?;
        let poll = Poll::new().map_err(told)?;
        let door = listener.as_raw_fd();
        poll.registry().register(&mut SourceFd(&door), Token(0), Interest::READABLE).map_err(told)?;
        Ok(Self {
            listener,
            poll,
            events: Events::with_capacity(1),
            knocked: false,
            path,
            ends,
            kill,
            connections: Vec::new(),
            next: 0,
            due: Nanos::ZERO,
        })
    }

    /// Takes in those who knock.
    fn accept(&mut self, now: Nanos) -> usize {
        // Where it can't be asked, somebody may be there.
        let asked = self.poll.poll(&mut self.events, Some(Duration::ZERO));
        self.knocked |= asked.is_err() || !self.events.is_empty();
        let mut work = 0;
        // Bounded: whoever knocks without end is let in over many turns.
        while self.knocked && work < CONNECTIONS_MAX {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                // Any other refusal is of this moment: who waits is let in later.
                Err(error) => {
                    self.knocked = error.kind() != ErrorKind::WouldBlock;
                    break;
                }
            };
            work += 1;
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            let mut one = Connection {
                id: self.next,
                stream,
                until: now.plus(CONNECTION_NS),
                heard: Vec::new(),
                asked: false,
                say: None,
            };
            self.next += 1;
            let may_speak = peer::user(&one.stream).is_ok_and(|user| user == 0 || user == peer::own_user());
            if !may_speak {
                one.refuse("only root and the user the engine runs as may speak here");
            } else if self.connections.len() >= CONNECTIONS_MAX {
                one.refuse("too many connections; ask again in a moment");
            } else {
                self.connections.push(one);
            }
        }
        work
    }

    /// Takes the shadow's replies to where they belong.
    fn replies(&mut self) -> usize {
        let mut work = 0;
        while let Some(replied) = self.ends.replies.pop() {
            work += 1;
            if let Some(one) = self.connections.iter_mut().find(|one| one.id == replied.to) {
                one.say = Some(words::reply(&replied.reply).into_bytes());
            }
        }
        work
    }

    /// Hears one connection; whether it stays.
    fn hear(&mut self, at: usize, now: Nanos) -> bool {
        let one = &mut self.connections[at];
        if now >= one.until {
            return false;
        }
        if !one.asked && one.say.is_none() {
            match one.line() {
                Line::Whole(line) => match words::ask(&line) {
                    Ok(ask) => {
                        // The latch first, by itself: it needs no ring and no room to be alive.
                        if matches!(ask, Ask::Kill(_)) {
                            self.kill.set();
                            crash::point("K17a");
                        }
                        one.asked = true;
                        // The ring has more slots than there are connections, each with one ask.
                        if self.ends.asks.push(Asked { from: one.id, ask }).is_err() {
                            one.say = Some(words::no("failed", "the engine does not listen").into_bytes());
                        }
                    }
                    Err(why) => one.say = Some(words::no("usage", &why).into_bytes()),
                },
                Line::Part => {}
                Line::TooLong => {
                    one.say = Some(words::no("usage", "this line is too long").into_bytes());
                }
                Line::Gone => return false,
            }
        }
        one.speak()
    }
}

/// What has come of a line.
enum Line {
    Whole(Vec<u8>),
    Part,
    TooLong,
    Gone,
}

impl Connection {
    fn refuse(&mut self, why: &str) {
        // Best effort: it is not one of ours, and does not stay.
        let _ = self.stream.write(words::no("refused", why).as_bytes());
    }

    fn line(&mut self) -> Line {
        let mut chunk = [0; 512];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Line::Gone,
                Ok(n) => self.heard.extend_from_slice(&chunk[..n]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Line::Part,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Line::Gone,
            }
            if let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
                self.heard.truncate(end);
                return Line::Whole(std::mem::take(&mut self.heard));
            }
            if self.heard.len() > LINE_MAX {
                return Line::TooLong;
            }
        }
    }

    /// Says what is left to say, as far as it is taken; whether there is more to do.
    fn speak(&mut self) -> bool {
        let Some(rest) = &mut self.say else { return true };
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(n) if n > 0 => _ = rest.drain(..n),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => return false,
            }
        }
        false
    }
}

impl Agent for Control {
    fn do_work(&mut self, now: Nanos) -> usize {
        if now < self.due {
            return 0;
        }
        self.due = now.plus(LOOK_NS);
        let work = self.accept(now) + self.replies();
        let mut at = 0;
        while at < self.connections.len() {
            if self.hear(at, now) {
                at += 1;
            } else {
                self.connections.remove(at);
            }
        }
        work
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // A file that stays is found dead by the next start and by `ctl`.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Mode, Replied, Reply};
    use crate::metal::ring::{Consumer, Producer, ring};
    use std::io::BufRead as _;

    struct World {
        folder: tempfile::TempDir,
        control: Control,
        asks: Consumer<Asked>,
        replies: Producer<Replied>,
        kill: Latch,
        now: Nanos,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let (asks_in, asks) = ring(64);
            let (replies, replies_out) = ring(64);
            let kill = Latch::new();
            let ends = OperatorEnds { asks: asks_in, replies: replies_out };
            let control = Control::open(folder.path(), 3, ends, kill.clone()).unwrap();
            Self { folder, control, asks, replies, kill, now: Nanos(1) }
        }

        fn connect(&self) -> UnixStream {
            let stream = connect(self.folder.path(), 3).unwrap();
            stream.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
            stream
        }

        fn turn(&mut self) {
            self.now = self.now.plus(LOOK_NS);
            self.control.do_work(self.now);
        }

        fn said(stream: UnixStream) -> String {
            let mut line = String::new();
            let _ = io::BufReader::new(stream).read_line(&mut line);
            line
        }
    }

    #[test]
    fn a_line_goes_to_the_shadow_and_its_reply_comes_back() {
        let mut world = World::new();
        let mut stream = world.connect();
        stream.write_all(b"{\"ask\":\"ha").unwrap();
        world.turn();
        assert_eq!(world.asks.pop(), None, "half a line is none");
        stream.write_all(b"lt\"}\n").unwrap();
        world.turn();
        let asked = world.asks.pop().unwrap();
        assert_eq!(asked.ask, Ask::Halt("operator".to_owned()));
        assert!(!world.kill.is_set());
        let reply = Reply::Done { mode: Mode::Halted, text: "halted".to_owned() };
        world.replies.push(Replied { to: asked.from, reply }).unwrap();
        world.turn();
        assert!(World::said(stream).contains("\"mode\":\"halted\""));
        assert!(world.control.connections.is_empty(), "one line out, and it ends");
    }

    #[test]
    fn a_kill_is_latched_before_the_shadow_hears_of_it() {
        let mut world = World::new();
        let mut stream = world.connect();
        stream.write_all(b"{\"ask\":\"kill\"}\n").unwrap();
        world.turn();
        assert!(world.kill.is_set());
        assert!(matches!(world.asks.pop().unwrap().ask, Ask::Kill(_)));
    }

    #[test]
    fn the_socket_is_for_its_user_alone_and_goes_with_the_engine() {
        let world = World::new();
        let path = world.folder.path().join("ctl-3.sock");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let names = fs::read_dir(world.folder.path()).unwrap().count();
        assert_eq!(names, 1, "nothing unready is left");
        drop(world.control);
        assert!(!path.exists());
        assert_eq!(connect(world.folder.path(), 3).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_dead_socket_is_taken_over_and_any_other_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ctl-3.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert_eq!(connect(folder.path(), 3).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let open = || {
            let ((asks, _asked), (_said, replies)) = (ring(64), ring(64));
            Control::open(folder.path(), 3, OperatorEnds { asks, replies }, Latch::new())
        };
        drop(open().unwrap());
        fs::write(&path, "somebody's").unwrap();
        let error = open().unwrap_err().to_string();
        assert!(error.contains("is no socket") && error.contains("--data-dir"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "somebody's");
    }

    #[test]
    fn a_folder_deeper_than_an_address_is_long_has_its_socket_too() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("d".repeat(150));
        fs::create_dir(&deep).unwrap();
        let ((asks, _asked), (_said, replies)) = (ring(64), ring(64));
        let _control = Control::open(&deep, 3, OperatorEnds { asks, replies }, Latch::new()).unwrap();
        connect(&deep, 3).unwrap();
    }

    #[test]
    fn silent_endless_and_too_many_clients_cost_nothing_that_lasts() {
        let mut world = World::new();
        let mut endless = world.connect();
        endless.write_all(&[b'x'; 4 * LINE_MAX]).unwrap();
        world.turn();
        let clients: Vec<_> = (0..3 * CONNECTIONS_MAX).map(|_| world.connect()).collect();
        for _ in 0..5 {
            world.turn();
        }
        assert!(world.control.connections.len() <= CONNECTIONS_MAX);
        assert!(World::said(endless).contains("too long"));
        let turned_away = clients.into_iter().next_back().unwrap();
        assert!(World::said(turned_away).contains("ask again"));
        world.now = world.now.plus(CONNECTION_NS);
        world.turn();
        assert!(world.control.connections.is_empty());
    }
}
