//! The exchange in a box behind real TLS sockets, with a control endpoint, on one thread of its own.
//!
//! Owns:  starting and stopping that thread, the files clients need (authority, key file), and reading
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
    /// The address the six doors listen on, ports picked by the kernel. The control endpoint is on
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
        Self { box_config: sim::Config::default(), listen, out: None, core: None }
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
    /// The `venues` object of DESIGN §9: six endpoints, the key, and the path of its key file.
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
    asks: Sender<net::Ask>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<Value>>,
    /// Removed with the box, if it is a temporary one.
    _folder: files::Folder,
}

/// Starts a box: binds its ports, makes its certificates and key file, and spawns the thread `box`.
///
/// When this returns, every door accepts clients.
///
/// # Errors
///
/// [`StartError`]; nothing keeps running then.
pub fn start(settings: Settings) -> Result<Running, StartError> {
    let Settings { box_config, listen, out, core } = settings;
    let (key, secret) = (box_config.key.clone(), box_config.secret.clone());
    let exchange = sim::Exchange::new(box_config, net::unix_ns())?;
    let authority = tls::Authority::new(listen)?;
    let sockets = |error| StartError::Sockets { listen, error };
    let (house, waker) = net::House::bind(exchange, authority.server, listen).map_err(sockets)?;
    let (doors, control) = house.ports().map_err(sockets)?;

    let folder = files::Folder::open(out)?;
    let ca_path = folder.write("ca.pem", &authority.ca_pem)?;
    let key_file = folder.write("binance.toml", &files::key_toml(&key, &secret))?;
    let host = if listen.is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { listen };
    let mut binance = serde_json::Map::new();
    for ((_, name, scheme), port) in net::DOORS.iter().zip(doors) {
        let address = std::net::SocketAddr::new(host, port);
        binance.insert((*name).to_owned(), format!("{scheme}://{address}").into());
    }
    binance.insert("key".to_owned(), key.into());
    binance.insert("secret".to_owned(), secret.into());
    binance.insert("key_file".to_owned(), key_file.to_string_lossy().into());
    let ready = Ready {
        ca_pem: authority.ca_pem,
        ca_path,
        control: format!("http://127.0.0.1:{control}"),
        venues: json!({"binance": binance}),
    };

    let (asks, inbox) = mpsc::channel();
    let (pinned, pin) = mpsc::channel();
    let thread = std::thread::Builder::new().name("box".to_owned()).spawn(move || {
        let done = core.is_none_or(|id| core_affinity::set_for_current(core_affinity::CoreId { id }));
        // The starter waits for this one message, so it is still there to take it.
        let _ = pinned.send(done);
        if done { house.run(&inbox) } else { Value::Null }
    });
    let thread = Some(thread.map_err(sockets)?);
    match (core, pin.recv()) {
        (Some(core), Ok(false) | Err(_)) => Err(StartError::Pin { core }),
        _ => Ok(Running { ready, asks, waker: Arc::new(waker), thread, _folder: folder }),
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
        Feeder { asks: self.asks.clone(), waker: Arc::clone(&self.waker) }
    }

    /// What the box knows to be true now (the answer of `GET /truth`); `null` if its thread has died.
    pub fn truth(&self) -> Value {
        let (answer, truth) = mpsc::channel();
        self.ask(net::Ask::Truth(answer));
        truth.recv().unwrap_or(Value::Null)
    }

    /// Carries out a fault order, as `POST /fault` does.
    ///
    /// # Errors
    ///
    /// What is wrong with the order, and what is allowed.
    pub fn fault(&self, order: Value) -> Result<(), String> {
        let (answer, done) = mpsc::channel();
        self.ask(net::Ask::Fault(order, answer));
        done.recv().unwrap_or_else(|_| Err("the box's thread has died; start another box".to_owned()))
    }

    /// Stops the box and returns its last truth, told by its own thread after the last socket was closed.
    pub fn stop(mut self) -> Value {
        self.end()
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

impl Drop for Running {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.end();
        }
    }
}

#[cfg(test)]
mod tests;
