//! From settings to rooms on threads, and from their end to a summary.
//!
//! Owns:  what every command that trades shares: disk, epoch, clock, threads, the wait, the reports.
//! Never: decides; a refusal comes from the rooms, and is turned into an exit code here.

use super::budgets::Bucket;
use super::keys::{Env, KeyFile};
use super::recording::{self, SessionFile};
use super::report::Summary;
use super::settings::{Settings, Stamps};
use super::threads::{self, Rooms};
use super::{Exit, hist, sums, witness};
use crate::agents::begun::Begun;
use crate::agents::clerk::history::READ_BACK_NS;
use crate::agents::clerk::{ClerkSettings, Host, Target};
use crate::agents::engine::{Engine, EngineSettings, Ground, INTENT_SLOTS};
use crate::agents::reader::Reader;
use crate::agents::shadow::{Shadow, ShadowSettings};
use crate::agents::trader::{Trader, TraderSettings};
use crate::carry::confirm::Filter;
use crate::carry::pace::ScaleIn;
use crate::carry::rules::Policy;
use crate::desk::gate::GateLimits;
use crate::desk::risk::Caps;
use crate::event::{Intent, Latched, Mode};
use crate::metal::clock::Clock;
use crate::metal::cpu;
use crate::metal::crash;
use crate::metal::dial::Dialer;
use crate::metal::disk::Disk;
use crate::metal::entropy::Entropy;
use crate::metal::intents::{self, IntentsMemory};
use crate::metal::latch::{Latch, stop_on_signals};
use crate::metal::packets;
use crate::metal::tls::TlsTrust;
use crate::store::recall::Recalled;
use crate::store::{epoch, latch, segments};
use crate::units::time::SEC;
use crate::units::{Rate, Ratio};
use crate::venue::standing::Wants;
use crate::venue::{self, Open, Venue};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why a command that trades could not start. Each message says what to do.
#[derive(Debug)]
pub(super) struct BootError {
    /// What a person reads.
    pub(super) why: String,
    /// How the process ends.
    pub(super) exit: Exit,
}

impl BootError {
    /// Wrong usage or configuration.
    pub(super) fn usage(why: impl ToString) -> Self {
        Self { why: why.to_string(), exit: Exit::Usage }
    }

    /// Could not be done here and now.
    pub(super) fn failed(why: impl ToString) -> Self {
        Self { why: why.to_string(), exit: Exit::Failed }
    }
}

/// What a finished run tells, before a box adds its own view.
pub(super) struct Finished {
    pub(super) summary: Summary,
    pub(super) exit: Exit,
    pub(super) why: Option<String>,
}

/// Where a venue is to be reached, with the key that may go there.
///
/// # Errors
///
/// An endpoint nobody knows, an address that is none, a key file that can't be used at that address.
pub(super) fn target(settings: &Settings, venue: &'static Venue) -> Result<Target, BootError> {
    if let Some(at) = settings.endpoints.iter().find(|at| at.venue != venue.name) {
        return Err(BootError::usage(format!(
            "--endpoint {}.{}: this build trades on {} only",
            at.venue, at.name, venue.name
        )));
    }
    let mut urls = urls(settings, &venue.open)?;
    if !settings.sbe {
        // Nobody goes there, so nobody has to say where a test exchange has it.
        urls.remove(venue.binary.endpoint);
    }
    let hosts = hosts(&urls)?;
    let mut test = false;
    let key = match settings.key_files.iter().find(|at| at.venue == venue.name) {
        None => None,
        Some(at) => {
            let file = KeyFile::load(&at.file).map_err(|error| {
                let why = error.to_string();
                BootError { why, exit: error.into() }
            })?;
            let own: Vec<&str> = venue.endpoints.iter().map(|endpoint| endpoint.url).collect();
            for url in urls.values() {
                file.may_go_to(url, &own).map_err(|error| {
                    let why = error.to_string();
                    BootError { why, exit: error.into() }
                })?;
            }
            test = file.env == Env::Test;
            Some(Arc::new(file.key))
        }
    };
    Ok(Target { venue, hosts, key, test })
}

/// A venue's addresses by the names of its endpoints, with those of `--endpoint` that are its own.
pub(super) fn urls(settings: &Settings, open: &Open) -> Result<BTreeMap<&'static str, String>, BootError> {
    let mut urls: BTreeMap<&'static str, String> =
        open.endpoints.iter().map(|endpoint| (endpoint.name, endpoint.url.to_owned())).collect();
    for at in settings.endpoints.iter().filter(|at| at.venue == open.name) {
        let Some(endpoint) = open.endpoint(&at.name) else {
            let known: Vec<_> = open.endpoints.iter().map(|endpoint| endpoint.name).collect();
            return Err(BootError::usage(format!(
                "--endpoint {}.{}: no such endpoint; known are {}",
                at.venue,
                at.name,
                known.join(", ")
            )));
        };
        urls.insert(endpoint.name, at.url.clone());
    }
    Ok(urls)
}

/// The hosts of addresses.
pub(super) fn hosts(
    urls: &BTreeMap<&'static str, String>,
) -> Result<BTreeMap<&'static str, Host>, BootError> {
    urls.iter().map(|(name, url)| Ok((*name, host_of(url)?))).collect()
}

/// The host of an address; its port is that of its scheme unless it names one.
pub(super) fn host_of(url: &str) -> Result<Host, BootError> {
    let wrong = || {
        BootError::usage(format!(
            "{url:?} is no endpoint address; it looks like https://127.0.0.1:8443 or wss://…"
        ))
    };
    let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
    let tls = match scheme {
        "https" | "wss" => true,
        "http" | "ws" => false,
        _ => return Err(wrong()),
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let (name, port) = match authority.rsplit_once(':') {
        Some((name, port)) => (name, port.parse().map_err(|_| wrong())?),
        None => (authority, if tls { 443 } else { 80 }),
    };
    if name.is_empty() {
        return Err(wrong());
    }
    Ok(Host { tls, name: name.trim_matches(['[', ']']).to_owned(), port })
}

/// Whom to trust: `--ca FILE`, or the public authorities.
pub(super) fn trust(settings: &Settings) -> Result<TlsTrust, BootError> {
    match authority(settings)? {
        None => TlsTrust::public().map_err(BootError::failed),
        Some(pem) => TlsTrust::from_pem(&pem).map_err(|error| BootError::usage(format!("--ca: {error}"))),
    }
}

/// The file of `--ca`.
pub(super) fn authority(settings: &Settings) -> Result<Option<Vec<u8>>, BootError> {
    let Some(path) = &settings.ca else { return Ok(None) };
    let pem = std::fs::read(path).map_err(|error| {
        BootError::usage(format!("--ca {}: {error}; give the PEM file of the authority", path.display()))
    })?;
    Ok(Some(pem))
}

/// Runs the engine to its end.
pub(super) fn run(
    settings: &Settings,
    command: &str,
    market: String,
    target: Target,
    trust: TlsTrust,
) -> Result<Finished, BootError> {
    let started = std::time::Instant::now();
    // All that is started from here on sits beside this thread, off the hot cores: dialling, syncs, lines. A room is
    // pinned where it belongs.
    if let Some(rest) = threads::rest_core(settings) {
        cpu::pin(rest).map_err(BootError::usage)?;
    }
    let trust = if settings.fast { trust } else { trust.by_rustls() };
    let witness = witness::of(settings)?;
    if settings.live && target.key.is_none() {
        return Err(BootError::usage(format!(
            "real orders need a key: give one with --key-file {}=FILE, or leave --live out",
            target.venue.name
        )));
    }
    if settings.sbe && target.key.is_none() {
        return Err(BootError::usage(format!(
            "`--feed sbe` needs a key, which the venue wants to see before it sends SBE: give one with --key-file \
             {}=FILE, or read quotes as JSON with `--feed json`",
            target.venue.name
        )));
    }
    // Until the run is over.
    let _stamping = (settings.stamps == Stamps::Kernel)
        .then(packets::begin)
        .transpose()
        .map_err(|error| BootError::usage(format!("--stamps kernel: {error}")))?;
    let mut disk = Disk::real(&settings.data_dir).map_err(BootError::failed)?;
    disk.lock(&format!("lock-{}", settings.instance)).map_err(BootError::failed)?;
    let epoch = epoch::raise(&mut disk, settings.instance).map_err(BootError::failed)?;
    crash::point("K15a");
    let clock = Clock::real();
    let latch = latch::open(&mut disk, settings.instance, clock.unix()).map_err(BootError::failed)?;
    let opened = segments::open(&mut disk, settings.instance).map_err(BootError::failed)?;
    for cut in &opened.cuts {
        eprintln!(
            "contango: {} ended in {} bytes that are no whole record ({}); kept as {}",
            cut.name, cut.bytes, cut.why, cut.kept_as
        );
    }
    let journal = opened.journal;
    crash::point("K15b");
    let records = intents::path_for(&settings.data_dir, settings.instance).map_err(BootError::failed)?;
    let intents = IntentsMemory::mapped(&records, INTENT_SLOTS).map_err(BootError::failed)?;
    not_of_the_future(&intents, epoch, &records)?;
    crash::point("K15c");
    if settings.live {
        cpu::no_core_dumps().map_err(BootError::failed)?;
    }

    let stop = Latch::new();
    let kill = Latch::new();
    stop_on_signals(&stop).map_err(BootError::failed)?;
    let venue = target.venue;
    let about = format!(
        "contango {} {command}; venue {}; market {market}; instance {}; live {}",
        env!("CARGO_PKG_VERSION"),
        venue.name,
        settings.instance,
        settings.live,
    );
    let mut session = match &settings.record {
        Some(path) => {
            let begun = Begun::new(epoch, target.key.is_some(), latch.latched.clone(), &intents);
            let found = journal.bytes(&disk).map_err(BootError::failed)?;
            let head = recording::head(settings, command, &market, venue.name, &begun);
            Some(SessionFile::create(path, &head, &found)?)
        }
        None => None,
    };
    let engine_settings =
        engine_settings(settings, target, epoch, latch.latched, journal.recalled().clone(), about);
    let ground = Ground {
        clock: clock.clone(),
        dialer: Dialer::real(trust).map_err(BootError::failed)?,
        witness,
        entropy: std::array::from_fn(|_| Entropy::real()),
        disk,
        journal,
        latch: latch.file,
        intents: intents.clone(),
    };
    let engine = Engine::build(engine_settings, ground, stop, kill);
    if settings.live {
        // Best effort: a process without the right to lock memory still trades, a little less evenly. Now that all
        // rings are there: under a limit only what is there is locked, and the first use of a page of the others
        // would be in the middle of a fire.
        let _ = cpu::lock_memory();
    }
    let rooms = threads::spawn(settings, engine, &clock)?;
    let Rooms { reader, trader, mut shadow, scribe, .. } = rooms.wait(settings, &clock, &mut session)?;
    if let Some(trouble) = scribe.trouble() {
        eprintln!("contango: the journal: {trouble}");
    } else if shadow.is_over() && intents.left().is_empty() {
        // Nothing in it that the journal does not hold: the next run makes its own.
        let _ = std::fs::remove_file(&records);
    }
    let budget = shadow.budgets(clock.now()).iter().map(Bucket::of).collect();
    let mut finished = finish(settings, command, market, venue, started, &clock, &reader, &trader, &shadow);
    finished.summary.budget = budget;
    finished.summary.session = session.map(|session| {
        let told =
            session.finish(shadow.totals.decisions(), &shadow.totals.decisions_sha256(), &reader.counts);
        if let Some(why) = &told.incomplete {
            eprintln!("contango: session incomplete: {}: {why}", told.file);
        }
        told
    });
    Ok(finished)
}

/// Intent records of a later epoch than this run's mean that the data folder is older than they are: then
/// ids would repeat (I10).
fn not_of_the_future(intents: &IntentsMemory, epoch: u32, file: &std::path::Path) -> Result<(), BootError> {
    let left = intents.left();
    let newest = left.iter().filter_map(|(_, _, bytes)| Intent::from_bytes(bytes.first_chunk()?));
    match newest.map(|intent| intent.epoch).max() {
        Some(theirs) if theirs >= epoch => Err(BootError {
            why: format!(
                "this host holds orders of epoch {theirs} in {}, and the data folder is at epoch {epoch}: it is not \
                 the folder they were sent from, or an old copy of it; restore the right one, or settle those orders \
                 at the venue and delete that file",
                file.display()
            ),
            exit: Exit::Refused,
        }),
        _ => Ok(()),
    }
}

/// The trader's part of the settings.
pub(super) fn trader_settings(settings: &Settings, epoch: u32) -> TraderSettings {
    TraderSettings {
        instance: settings.instance,
        epoch,
        live: settings.live,
        directions: settings.directions.allowed(),
        recv_window_ms: settings.recv_window_ms,
        legs: settings.legs,
        entries_max: settings.max_entries.map(|n| u32::try_from(n).unwrap_or(u32::MAX)),
        gate: GateLimits::default(),
        seals: settings.fast,
        stamp_sends: settings.stamps != Stamps::Ends,
    }
}

/// The shadow's part of the settings.
pub(super) fn shadow_settings(
    settings: &Settings,
    epoch: u32,
    latched: Option<Latched>,
    recalled: Recalled,
    about: String,
) -> ShadowSettings {
    ShadowSettings {
        about,
        identity: (settings.instance, epoch),
        policy: policy(settings),
        exit_basis: settings.exit_basis.map(Rate::ratio_floor),
        confirm: settings
            .confirm_url
            .as_ref()
            .map(|_| Filter { enter_on: settings.confirm_enter_on, age_max_ns: settings.confirm_age_max_ns }),
        clip: settings.clip_usdt,
        first_entries: settings.first_entries,
        caps: Caps {
            deployed_max_ppm: i128::from(settings.deployed_max.0 / 1_000_000_000_000),
            leverage: i128::from(settings.leverage),
            ..Caps::default()
        },
        scale_in: ScaleIn { clips_max: settings.clips_max, cool_down_ns: settings.clip_cool_down_ns },
        directions: settings.directions.allowed(),
        recv_window_ms: settings.recv_window_ms,
        live: settings.live,
        run_for_ns: settings.run_for_ns,
        until_round_trips: settings.until_round_trips,
        latched,
        recalled,
        settle_ns: settings.settle_ns,
        crashes_max: settings.restart_limit,
    }
}

fn engine_settings(
    settings: &Settings,
    target: Target,
    epoch: u32,
    latched: Option<Latched>,
    recalled: Recalled,
    about: String,
) -> EngineSettings {
    let wants = Wants { leverage: settings.leverage, test: target.test };
    EngineSettings {
        clerk: ClerkSettings {
            target,
            rooms: true,
            read_back_ns: READ_BACK_NS,
            candles: false,
            wanted: (!settings.pairs.is_empty()).then(|| settings.pairs.clone()),
            known: ClerkSettings::known(&recalled),
            live: settings.live,
            order_links: usize::from(settings.order_links),
            orders: settings.orders,
            feed_links: usize::from(settings.feed_links),
            binary: settings.sbe,
            wants,
            recv_window_ms: settings.recv_window_ms,
        },
        trader: trader_settings(settings, epoch),
        shadow: shadow_settings(settings, epoch, latched, recalled, about),
        fast: settings.fast,
        quotes_out: settings.quotes_out.is_some(),
        record: settings.record.is_some(),
        packets: settings.stamps == Stamps::Kernel,
    }
}

/// `--min-basis off`: the legs of a pair that may trade agree within 2 % (the gate sees to it), so none of
/// them has a basis of −50 %.
const NO_BASIS_BAR: Ratio = Ratio::from_bits(-(1 << 63));

/// What the trader of money chose, each number rounded against us.
pub(super) fn policy(settings: &Settings) -> Policy {
    Policy {
        hold_s: (settings.hold_ns / SEC).max(1),
        min_net_apr: settings.min_net_apr.map(Rate::ratio_ceil),
        min_basis: settings.min_basis.map_or(NO_BASIS_BAR, Rate::ratio_ceil),
        kappa: settings.kappa.ratio_floor(),
        require_expanding: settings.require_expanding,
        rho: settings.rho.ratio_ceil(),
        unwind_apr: settings.unwind_apr,
    }
}

#[expect(clippy::too_many_arguments, reason = "every room says its part once, here")]
fn finish(
    settings: &Settings,
    command: &str,
    market: String,
    venue: &Venue,
    started: std::time::Instant,
    clock: &Clock,
    reader: &Reader,
    trader: &Trader,
    shadow: &Shadow,
) -> Finished {
    let ended = shadow.ended();
    let totals = &shadow.totals;
    let total_ns = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let ran_ns = ended.live_at.map_or(0, |live| ended.at.since(live));
    let command = (command, market, total_ns);
    let summary = sums::of(settings, command, venue, &reader.counts, trader, shadow);
    let stages: Vec<_> = totals.histograms().collect();
    let wall = clock.unix();
    if let Err(error) = hist::export(&settings.out, &stages, wall, ran_ns) {
        eprintln!("contango: histograms could not be written to {}: {error}", settings.out.display());
    }
    let (exit, why) = match (&ended.failed, &ended.refused) {
        (_, Some(why)) => (Exit::Refused, Some(why.clone())),
        (Some(why), None) => (Exit::Failed, Some(why.clone())),
        (None, None) if !ended.open.is_empty() => {
            (Exit::WorkOpen, Some("stopped with work open; see `open`".to_owned()))
        }
        (None, None) if matches!(shadow.mode(), Mode::Halted | Mode::Killed) => {
            let why = format!(
                "{}: {}; the next run begins so too, until `contango ctl resume --reason TEXT`",
                shadow.mode().name(),
                shadow.mode_why()
            );
            (Exit::Refused, Some(why))
        }
        (None, None) => (Exit::Done, None),
    };
    Finished { summary, exit, why }
}

/// What is traded on of a venue that is looked at, if it is.
pub(super) fn venue_of(open: &Open) -> Option<&'static Venue> {
    venue::ALL.into_iter().find(|venue| venue.open.id == open.id)
}

/// The venue this build trades on.
pub(super) fn venue() -> &'static Venue {
    venue::ALL[0]
}
