//! Rehearsals: the production rooms against the box, in one thread and virtual time.
//!
//! Owns:  worlds whose every event follows from a seed, so that a story can be told again.
//! Never: changes a room for the rehearsal's sake, or tells it anything but through its doors.
//! Map:   `world` the loop and what a story may do, `seen` what it may look at · `network` chunks on their way, the
//!        box behind them, the hash of all that passed, `weather` on it, `witness` who is asked besides · `setup`
//!        what a world is made of. Sessions: `drawing` a seed becomes a plan, `script` a plan as text, `faults`
//!        the table it is drawn from, `elsewhere` those that are not in it, `moment` the state of an order a fault waits
//!        for, `act` carries them out, `session` lives through it, `oracle` judges. `cells`: sessions enumerated, not drawn.
//!        Apart: `hot` reader and trader without the other rooms, `understudy` which trades so beside the live ones.

mod act;
pub mod cells;
mod drawing;
pub mod elsewhere;
pub mod faults;
pub mod hot;
mod moment;
mod network;
pub mod oracle;
mod script;
mod seen;
pub mod session;
mod setup;
pub mod understudy;
mod weather;
mod witness;
mod world;

pub use act::Done;
pub use drawing::{Plan, Strike};
pub use moment::{Moment, State};
pub use network::Witnessed;
pub use setup::{Setup, SetupError};
pub use witness::Word;
pub use world::{Room, World};
