//! The exchange in a box behind real TLS sockets, with a control endpoint, on one thread of its own a venue.
//!
//! Owns:  starting and stopping those threads, the files clients need (authority, key file), and reading
//!        recorded tapes and fault scripts from disk.
//! Never: knows the engine: it imports [`crate::sim`] and crates only, so what it proves is independent.
//! Wire:  DESIGN §9, `sim --json`.

mod connection;
mod control;
mod files;
mod net;
mod script;
mod tape;
mod tls;

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use mio::Waker;
use serde_json::{Value, json};

pub use self::script::{ScriptFileError, read_script};
pub use self::tape::{TapeError, read_tape};
pub use self::tls::TlsError;
use crate::sim;

/// How a box is started.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the exchange itself does.
    pub box_config: sim::Config,
    /// Other venues beside it, each with the same configuration and a control endpoint of its own.
    pub beside: Vec<sim::Venue>,
    /// The address the doors listen on, ports picked by the kernel. The control endpoint is on
    /// 127.0.0.1 whatever this says.
    pub listen: IpAddr,
    /// The folder for `ca.pem` and the key file, made if absent; `None`: a folder among the host's temporary
    /// files, removed when the box ends.
    pub out: Option<PathBuf>,
    /// The core to pin the box's thread to, by the number the operating system gives it.
    pub core: Option<usize>,
}

impl Default for Settings {
    fn default() -> Self {
        let listen = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self { box_config: sim::Config::default(), beside: Vec::new(), listen, out: None, core: None }
    }
}

/// Why a box did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The exchange refused its configuration.
    #[error("the box's configuration is refused: {0}")]
    Config(#[from] sim::ConfigError),
    /// A file could not be written.
    #[error("{path} could not be written: {error}; name a folder you may write to")]
    Files {
        /// What could not be written.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// The thread could not be pinned.
    #[error(
        "the box cannot be pinned to core {core}; `contango doctor` lists the cores this process may use"
    )]
    Pin {
        /// The core asked for.
        core: usize,
    },
    /// The sockets or the thread could not be made.
    #[error("the box could not open its sockets on {listen}: {error}; choose another listen address")]
    Sockets {
        /// The address asked for.
        listen: IpAddr,
        /// What the operating system said.
        error: io::Error,
    },
    /// The certificates could not be made.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// What a client needs to know of a running box.
#[derive(Clone, Debug)]
pub struct Ready {
    /// The certificate of the box's own authority, PEM.
    pub ca_pem: String,
    /// The file that holds it.
    pub ca_path: PathBuf,
    /// The control endpoint, `http://127.0.0.1:PORT`.
    pub control: String,
    /// The `venues` object of DESIGN §9: endpoints, and where there is an account its key and the path of its key
    /// file. Of a venue beside: its control endpoint as well.
    pub venues: Value,
}

impl Ready {
    /// The one-line object that `sim --json` prints: `{ca, control, venues}`.
    pub fn to_json(&self) -> Value {
        json!({"ca": self.ca_path.to_string_lossy(), "control": self.control, "venues": self.venues})
    }
}

/// A box that serves until [`stop`](Running::stop) or until this is dropped.
pub struct Running {
    /// How to reach it.
    pub ready: Ready,
    /// The venue of the configuration, then those beside it.
    served: Vec<Served>,
    /// Removed with the box, if it is a temporary one.
    _folder: files::Folder,
}

/// One venue's thread.
struct Served {
    venue: sim::Venue,
    asks: Sender<net::Ask>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<Value>>,
}

/// Starts a box: binds its ports, makes its certificates and key file, and spawns the thread `box`, and one more
/// for each venue beside.
///
/// When this returns, every door accepts clients.
///
/// # Errors
///
/// [`StartError`]; nothing keeps running then.
pub fn start(settings: Settings) -> Result<Running, StartError> {
    let Settings { box_config, beside, listen, out, core } = settings;
    let (key, secret, first) = (box_config.key.clone(), box_config.secret.clone(), box_config.venue);
    let authority = tls::Authority::new(listen)?;
    let folder = files::Folder::open(out)?;
    let ca_path = folder.write("ca.pem", &authority.ca_pem)?;
    let host = if listen.is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { listen };
    let (mut venues, mut served, mut first_control) = (serde_json::Map::new(), Vec::new(), String::new());
    for venue in std::iter::once(first).chain(beside) {
        let config = sim::Config { venue, ..box_config.clone() };
        let exchange = sim::Exchange::new(config, net::unix_ns())?;
        let sockets = |error| StartError::Sockets { listen, error };
        let (house, waker) =
            net::House::bind(exchange, venue, Arc::clone(&authority.server), listen).map_err(sockets)?;
        let (doors, control) = house.ports().map_err(sockets)?;
        let mut told = serde_json::Map::new();
        for ((_, name, scheme), port) in venue.doors().iter().zip(doors) {
            let address = std::net::SocketAddr::new(host, port);
            told.insert((*name).to_owned(), format!("{scheme}://{address}").into());
        }
        if venue == sim::Venue::Binance {
            let key_file = folder.write("binance.toml", &files::key_toml(&key, &secret))?;
            told.insert("key".to_owned(), key.clone().into());
            told.insert("secret".to_owned(), secret.clone().into());
            told.insert("key_file".to_owned(), key_file.to_string_lossy().into());
        }
        let control = format!("http://127.0.0.1:{control}");
        if venue == first {
            first_control = control;
        } else {
            told.insert("control".to_owned(), control.into());
        }
        venues.insert(venue.name().to_owned(), told.into());
        served.push(Served::spawn(venue, house, waker, core).map_err(|error| match (core, error) {
            (Some(core), None) => StartError::Pin { core },
            (_, error) => sockets(error.unwrap_or_else(|| io::ErrorKind::Other.into())),
        })?);
    }
    let ready =
        Ready { ca_pem: authority.ca_pem, ca_path, control: first_control, venues: Value::Object(venues) };
    Ok(Running { ready, served, _folder: folder })
}

impl Served {
    /// Starts the thread. An error without a reason: it can't be pinned.
    fn spawn(
        venue: sim::Venue,
        house: net::House,
        waker: Waker,
        core: Option<usize>,
    ) -> Result<Self, Option<io::Error>> {
        let (asks, inbox) = mpsc::channel();
        let (pinned, pin) = mpsc::channel();
        let thread = std::thread::Builder::new().name("box".to_owned()).spawn(move || {
            let done = core.is_none_or(|id| core_affinity::set_for_current(core_affinity::CoreId { id }));
            // The starter waits for this one message, so it is still there to take it.
            let _ = pinned.send(done);
            if done { house.run(&inbox) } else { Value::Null }
        });
        let thread = Some(thread.map_err(Some)?);
        match pin.recv() {
            Ok(true) => Ok(Self { venue, asks, waker: Arc::new(waker), thread }),
            _ => Err(None),
        }
    }

    /// Sends and wakes. Both fail only when the thread is gone, which the caller sees by the missing answer.
    fn ask(&self, ask: net::Ask) {
        let _ = self.asks.send(ask);
        let _ = self.waker.wake();
    }

    fn end(&mut self) -> Value {
        self.ask(net::Ask::Stop);
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or(Value::Null)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.end();
        }
    }
}

/// Feeds a box whose quotes come from another market; goes to whatever thread has them.
#[derive(Clone, Debug)]
pub struct Feeder {
    asks: Sender<net::Ask>,
    waker: Arc<Waker>,
}

impl Feeder {
    /// Hands over what happened, oldest first. After the box has ended it goes nowhere.
    pub fn feed(&self, all: Vec<sim::Fed>) {
        let _ = self.asks.send(net::Ask::Feed(all));
        let _ = self.waker.wake();
    }
}

impl Running {
    /// A way to feed it.
    #[must_use]
    pub fn feeder(&self) -> Feeder {
        let first = &self.served[0];
        Feeder { asks: first.asks.clone(), waker: Arc::clone(&first.waker) }
    }

    /// What the box knows to be true now (the answer of `GET /truth`); `null` if its thread has died.
    pub fn truth(&self) -> Value {
        let (answer, truth) = mpsc::channel();
        self.served[0].ask(net::Ask::Truth(answer));
        truth.recv().unwrap_or(Value::Null)
    }

    /// Carries out a fault order, as `POST /fault` does.
    ///
    /// # Errors
    ///
    /// What is wrong with the order, and what is allowed.
    pub fn fault(&self, order: Value) -> Result<(), String> {
        let (answer, done) = mpsc::channel();
        self.served[0].ask(net::Ask::Fault(order, answer));
        done.recv().unwrap_or_else(|_| Err("the box's thread has died; start another box".to_owned()))
    }

    /// Stops the box and returns its last truth, told by its own thread after the last socket was closed.
    pub fn stop(mut self) -> Value {
        self.served[0].end()
    }

    /// As [`Running::stop`]; the last truth of every venue, the configuration's first.
    pub fn stop_each(mut self) -> Vec<(sim::Venue, Value)> {
        self.served.iter_mut().map(|one| (one.venue, one.end())).collect()
    }
}

#[cfg(test)]
mod tests;
