//! The witness of `--confirm-url`: from settings to what the clerk asks with.
//!
//! Owns:  its address, its secret header from its file, whom to trust there.
//! Never: asks it; the clerk does. A secret comes from a file, not from an argument.

use super::boot::{BootError, authority, host_of};
use super::keys::HeaderFile;
use super::settings::Settings;
use crate::agents::clerk::confirm::{SecretHeader, WitnessSettings};
use crate::metal::dial::Dialer;
use crate::metal::tls::TlsTrust;
use crate::venue::witness::Map;

/// Whom to ask and what makes the links to it; `None` without `--confirm-url`.
///
/// # Errors
///
/// A header file that can't be used, or is given to nobody.
pub(super) fn of(settings: &Settings) -> Result<Option<(WitnessSettings, Dialer)>, BootError> {
    let Some(url) = &settings.confirm_url else {
        return match settings.confirm_key_file {
            None => Ok(None),
            Some(_) => Err(BootError::usage("--confirm-key-file without --confirm-url: whom is it for?")),
        };
    };
    let header = match &settings.confirm_key_file {
        None => None,
        Some(path) => {
            let file = HeaderFile::load(path).map_err(|error| {
                let why = error.to_string();
                BootError { why, exit: error.into() }
            })?;
            Some(SecretHeader::new(file.header.clone(), file.secret.clone()))
        }
    };
    // The public authorities speak for it, also where the venue is a box that has its own.
    let pem = authority(settings)?.unwrap_or_default();
    let trusted = TlsTrust::public_and(&pem).map_err(|error| BootError::usage(format!("--ca: {error}")))?;
    let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    let path = rest.find(['/', '?']).map_or("/", |at| &rest[at..]);
    let settings = WitnessSettings {
        host: host_of(url)?,
        path: if path.starts_with('?') { format!("/{path}") } else { path.to_owned() },
        header,
        map: Map::parse(&settings.confirm_map).map_err(BootError::usage)?,
        every_ns: settings.confirm_every_ns,
    };
    Ok(Some((settings, Dialer::real(trusted).map_err(BootError::failed)?)))
}
