//! Key files: who may read them, and which hosts their keys may go to.
//!
//! Owns:  reading `env`, `key` and `secret` of a venue's key file; the rule that live keys go only
//!        to the venue's own hosts and test keys never do.
//! Never: shows a secret, in a message, a debug print or a file; takes one from an argument or an
//!        environment variable.
//! Quirk: the permissions are those of the opened file, so a swap between look and read is no use.

use super::config::{nearest, place};
use crate::venue::Key;
use crate::venue::sign::PEM;
use std::fmt;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

/// Largest key file; a real one is a few hundred bytes.
const FILE_MAX: u64 = 16 * 1024;
/// What each kind of file holds, for messages.
const KEY_FORM: &str = "a key file holds three values: env = \"test\" (or \"live\"), key = \"…\", and secret = \"…\" of a key of HMAC, or \
     secret = '''…''' around the PEM of a private key of Ed25519";
const HEADER_FORM: &str =
    "a file of --confirm-key-file holds two lines: header = \"Authorization\", secret = \"Bearer …\"";

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Env {
    /// Real money, at the venue's own hosts only.
    Live,
    /// A test exchange, never at the venue's own hosts.
    Test,
}

/// A venue's key, read from its file.
pub struct KeyFile {
    /// What it is for.
    pub env: Env,
    /// The key; its secret was wiped once it could sign.
    pub key: Key,
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFile").field("env", &self.env).finish_non_exhaustive()
    }
}

/// Why a key can't be used. Each message ends with what the operator can do; none holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Others on this machine can read it.
    #[error(
        "{file} can be read by others (mode {mode:04o}); run `chmod 600 {file}`, and if it held a live key, make a new one"
    )]
    Exposed {
        /// Which file.
        file: String,
        /// Its permissions.
        mode: u32,
    },
    /// It can't be read.
    #[error("{file}: {why}; check the path given with {flag}")]
    File {
        /// Which file.
        file: String,
        /// The flag that names it.
        flag: &'static str,
        /// What the system said.
        why: String,
    },
    /// It does not say what it should.
    #[error("{place}: {why}; {form}")]
    Form {
        /// File, line and column.
        place: String,
        /// What is wrong.
        why: String,
        /// What such a file holds.
        form: &'static str,
    },
    /// A live key for a strange host, or a test key for the venue's own.
    #[error("{why}: {url}; {fix}")]
    WrongHost {
        /// What does not go together.
        why: &'static str,
        /// The address.
        url: String,
        /// What to do.
        fix: &'static str,
    },
}

impl KeyFile {
    /// Reads a key file.
    ///
    /// # Errors
    ///
    /// [`KeyError`]: unreadable, readable by others, or not in form.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        Self::parse(&path.display().to_string(), &read(path, "--key-file")?)
    }

    fn parse(file: &str, text: &str) -> Result<Self, KeyError> {
        let form =
            |at: usize, why: String| KeyError::Form { place: place(file, text, at), why, form: KEY_FORM };
        let document = table(text).map_err(|at| form(at, "is no TOML".to_owned()))?;
        let (mut env, mut key, mut secret) = (None, None, None);
        for (name, value) in document.get_ref() {
            let at = value.span().start;
            let DeValue::String(written) = value.get_ref() else {
                return Err(form(at, "this value is no string".to_owned()));
            };
            match name.get_ref().as_ref() {
                "env" => {
                    env = Some(match written.as_ref() {
                        "live" => Env::Live,
                        "test" => Env::Test,
                        _ => return Err(form(at, "env is neither \"live\" nor \"test\"".to_owned())),
                    });
                }
                "key" if !is_word(written) => return Err(form(at, "key is empty or has spaces".to_owned())),
                "secret" if !is_word(written) && !written.contains(PEM) => {
                    return Err(form(at, "secret is empty, or has spaces and is no PEM".to_owned()));
                }
                "key" => key = Some(written.to_string()),
                "secret" => secret = Some((at, Zeroizing::new(written.to_string()))),
                // A secret may stand where a name should: what is written there is not shown.
                other => {
                    let near = nearest(other, ["env", "key", "secret"].into_iter());
                    return Err(form(
                        name.span().start,
                        format!("this name is none of the three; the nearest is `{near}`"),
                    ));
                }
            }
        }
        match (env, key, secret) {
            (Some(env), Some(key), Some((at, secret))) => {
                let key = Key::read(key, secret.to_string()).map_err(|error| form(at, error.to_string()))?;
                Ok(Self { env, key })
            }
            (env, key, _) => {
                let missing = if env.is_none() {
                    "env"
                } else if key.is_none() {
                    "key"
                } else {
                    "secret"
                };
                Err(form(text.len(), format!("{missing} is missing")))
            }
        }
    }

    /// Whether this key may be used at `url`, `own` being the addresses of the venue itself.
    ///
    /// # Errors
    ///
    /// [`KeyError::WrongHost`]; nothing may be signed for that address then.
    pub fn may_go_to(&self, url: &str, own: &[&str]) -> Result<(), KeyError> {
        let venues_own = own.iter().any(|address| host(address) == host(url));
        let (why, fix) = match (self.env, venues_own) {
            (Env::Live, true) | (Env::Test, false) => return Ok(()),
            (Env::Live, false) => (
                "a live key would go to a host that is not the venue's own",
                "leave that --endpoint out, or use a key file with env = \"test\"",
            ),
            (Env::Test, true) => (
                "a test key would go to the venue's own host",
                "give its test address with --endpoint, or use a key file with env = \"live\"",
            ),
        };
        Err(KeyError::WrongHost { why, url: url.to_owned(), fix })
    }
}

/// What a signal service wants to see in a header, read from its file.
pub struct HeaderFile {
    /// The header's name.
    pub header: String,
    /// Its value; wiped when dropped.
    pub secret: Zeroizing<String>,
}

impl HeaderFile {
    /// Reads a file with `header` and `secret`.
    ///
    /// # Errors
    ///
    /// [`KeyError`]: unreadable, readable by others, or not in form.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        Self::parse(&path.display().to_string(), &read(path, "--confirm-key-file")?)
    }

    fn parse(file: &str, text: &str) -> Result<Self, KeyError> {
        let form =
            |at: usize, why: String| KeyError::Form { place: place(file, text, at), why, form: HEADER_FORM };
        let document = table(text).map_err(|at| form(at, "is no TOML".to_owned()))?;
        let (mut header, mut secret) = (None, None);
        for (name, value) in document.get_ref() {
            let at = value.span().start;
            let DeValue::String(written) = value.get_ref() else {
                return Err(form(at, "this value is no string".to_owned()));
            };
            let bytes = || written.bytes();
            match name.get_ref().as_ref() {
                "header"
                    if written.is_empty() || !bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') =>
                {
                    return Err(form(at, "header is no header's name".to_owned()));
                }
                "secret" if written.is_empty() || !bytes().all(|b| b.is_ascii_graphic() || b == b' ') => {
                    return Err(form(at, "secret is empty or has other signs than ASCII".to_owned()));
                }
                "header" => header = Some(written.to_string()),
                "secret" => secret = Some(Zeroizing::new(written.to_string())),
                _ => return Err(form(name.span().start, "this name is neither of the two".to_owned())),
            }
        }
        match (header, secret) {
            (Some(header), Some(secret)) => Ok(Self { header, secret }),
            (None, _) => Err(form(text.len(), "header is missing".to_owned())),
            (_, None) => Err(form(text.len(), "secret is missing".to_owned())),
        }
    }
}

impl fmt::Debug for HeaderFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeaderFile").field("header", &self.header).finish_non_exhaustive()
    }
}

/// Reads a file that only its owner can read.
fn read(path: &Path, flag: &'static str) -> Result<Zeroizing<String>, KeyError> {
    let file = path.display().to_string();
    let failed = |error: std::io::Error| KeyError::File { file: file.clone(), why: error.to_string(), flag };
    let opened = std::fs::File::open(path).map_err(failed)?;
    let about = opened.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(KeyError::File { file, why: "is no file".to_owned(), flag });
    }
    let mode = about.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Exposed { file, mode });
    }
    // Room for all of it at once: a text that grows leaves copies behind that nobody wipes.
    let mut text = Zeroizing::new(String::with_capacity(FILE_MAX as usize + 1));
    opened.take(FILE_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > FILE_MAX {
        return Err(KeyError::File { file, why: format!("is larger than {FILE_MAX} bytes"), flag });
    }
    Ok(text)
}

/// Whether it is printable ASCII without spaces.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}

/// The table a text holds, or where it is none: the parser's own message may quote the text.
fn table(text: &str) -> Result<toml::Spanned<DeTable<'_>>, usize> {
    DeTable::parse(text).map_err(|error| error.span().map_or(0, |span| span.start))
}

/// The host of an address in lower case, without port and the root's dot.
fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or(""),
        None => authority.split(':').next().unwrap_or(""),
    };
    host.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::KeyKind;
    use std::fs::{Permissions, set_permissions, write};

    const SOUND: &str = "env = \"test\"\nkey = \"test-key-1\"\nsecret = \"s3cr3t-value\"\n";

    fn loaded(text: &str, mode: u32) -> Result<KeyFile, KeyError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.toml");
        write(&path, text).unwrap();
        set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        KeyFile::load(&path)
    }

    #[test]
    fn a_sound_key_file_is_read_and_never_shown() {
        let key = loaded(SOUND, 0o600).unwrap();
        assert_eq!((key.env, key.key.api(), key.key.kind()), (Env::Test, "test-key-1", KeyKind::Hmac));
        let same = Key::new("test-key-1".to_owned(), "s3cr3t-value".to_owned());
        assert_eq!(key.key.sign(b"payload"), same.sign(b"payload"));
        let shown = format!("{key:?}");
        assert!(!shown.contains("s3cr3t") && !shown.contains("test-key-1"), "{shown}");
    }

    #[test]
    fn a_private_key_is_known_by_its_pem_and_never_shown() {
        let line = "MC4CAQAwBQYDK2VwBCIEIIJEYWtGBrhACmb9Dvy+qa8WEf0lQOl1s4CLIAB9m89u";
        let file = |begin: &str, line: &str| {
            format!(
                "env = \"test\"\nkey = \"k\"\nsecret = '''\n-----BEGIN {begin}-----\n{line}\n-----END {begin}-----\n'''\n"
            )
        };
        let key = loaded(&file("PRIVATE KEY", line), 0o600).unwrap().key;
        assert_eq!(key.kind(), KeyKind::Ed25519);
        // The one pair whose private half the page publishes (`signing_vectors.json`).
        let vectors = include_str!("../../tests/fixtures/binance/signing_vectors.json");
        let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
        let vector =
            vectors.as_array().unwrap().iter().find(|v| v["name"] == "spot_fix_logon_ed25519").unwrap();
        let payload = vector["payload"].as_str().unwrap();
        assert_eq!(key.sign(payload.as_bytes()).in_json(), vector["signature"]);
        for (begin, line) in [("RSA PRIVATE KEY", line), ("PUBLIC KEY", line), ("PRIVATE KEY", &line[..60])] {
            let error = loaded(&file(begin, line), 0o600).unwrap_err().to_string();
            let told = error.contains("key.toml:3:") && error.contains("openssl genpkey -algorithm ed25519");
            assert!(told && !error.contains("MC4C"), "{error}");
        }
        let spaces = "env = \"test\"\nkey = \"k\"\nsecret = \"s3cr3t value\"\n";
        let error = loaded(spaces, 0o600).unwrap_err().to_string();
        assert!(error.contains("has spaces and is no PEM") && !error.contains("s3cr3t"), "{error}");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        for mode in [0o644, 0o640, 0o604, 0o660, 0o601] {
            let error = loaded(SOUND, mode).unwrap_err();
            assert!(matches!(error, KeyError::Exposed { mode: told, .. } if told == mode));
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        assert!(loaded(SOUND, 0o400).is_ok());
    }

    #[test]
    fn what_is_wrong_is_told_without_the_secret() {
        for (text, told) in [
            ("env = \"test\"\nkey = \"k\"\n", "secret is missing"),
            ("key = \"k\"\nsecret = \"s3cr3t\"\n", "env is missing"),
            ("env = \"prod\"\nkey = \"k\"\nsecret = \"s3cr3t\"\n", "neither"),
            ("env = \"test\"\nkey = \"k\"\nsecrte = \"s3cr3t\"\n", "nearest is `secret`"),
            ("env = \"test\"\nkey = \"k\"\nsecret = \"s3cr3t\n", "is no TOML"),
            ("env = \"test\"\nkey = \"\"\nsecret = \"s3cr3t\"\n", "key is empty"),
            ("env = \"test\"\nkey = 5\nsecret = \"s3cr3t\"\n", "is no string"),
            ("env = \"test\"\nkey = \"k\"\ns3cr3t = \"secret\"\n", "none of the three"),
            ("env = \"test\"\nkey = \"k\"\ns3cr3t = 5\n", "is no string"),
            ("env = \"test\"\nkey = \"k\"\ns3cr3t\n", "is no TOML"),
        ] {
            let error = loaded(text, 0o600).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
            assert!(!error.contains("s3cr3t"), "{error}");
            assert!(error.contains("key.toml:"), "{error}");
        }
        let error = KeyFile::load(Path::new("/nowhere/key.toml")).unwrap_err();
        assert!(error.to_string().contains("--key-file"), "{error}");
    }

    #[test]
    fn a_header_file_is_read_and_never_shown() {
        let load = |text: &str, mode| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("header.toml");
            write(&path, text).unwrap();
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            HeaderFile::load(&path)
        };
        let sound = "header = \"X-Api-Key\"\nsecret = \"Bearer s3cr3t\"\n";
        let file = load(sound, 0o600).unwrap();
        assert_eq!((file.header.as_str(), file.secret.as_str()), ("X-Api-Key", "Bearer s3cr3t"));
        assert!(!format!("{file:?}").contains("s3cr3t"));
        assert!(matches!(load(sound, 0o644).unwrap_err(), KeyError::Exposed { .. }));
        for (text, told) in [
            ("header = \"X\"\n", "secret is missing"),
            ("secret = \"s3cr3t\"\n", "header is missing"),
            ("header = \"X: s3cr3t\"\nsecret = \"s3cr3t\"\n", "no header's name"),
            ("header = \"X\"\nsecret = \"s3cr3t\\r\\nX: y\"\n", "other signs"),
            ("header = \"X\"\nsecret = \"s3cr3t\"\ns3cr3t = \"x\"\n", "neither of the two"),
            ("header = \"X\"\nsecret = s3cr3t\n", "is no TOML"),
            ("header = \"X\"\nsecret = 5\n", "is no string"),
        ] {
            let error = load(text, 0o600).unwrap_err().to_string();
            assert!(
                error.contains(told) && error.contains("header.toml:") && !error.contains("s3cr3t"),
                "{error}"
            );
        }
        let error = HeaderFile::load(Path::new("/nowhere/header.toml")).unwrap_err().to_string();
        assert!(error.contains("--confirm-key-file"), "{error}");
    }

    #[test]
    fn live_keys_stay_home_and_test_keys_stay_out() {
        let own = ["https://api.venue.example", "wss://stream.venue.example:9443"];
        let test = KeyFile::parse("f", SOUND).unwrap();
        let live = KeyFile::parse("f", &SOUND.replace("test\"\n", "live\"\n")).unwrap();
        assert_eq!((live.env, test.env), (Env::Live, Env::Test));
        for url in
            ["https://api.venue.example/x", "https://API.venue.example.:443", "wss://stream.venue.example"]
        {
            assert_eq!(live.may_go_to(url, &own), Ok(()), "{url}");
            assert!(test.may_go_to(url, &own).is_err(), "{url}");
        }
        for url in [
            "https://127.0.0.1:8443",
            "https://api.venue.example.evil.org",
            "https://[::1]:1/api.venue.example",
        ] {
            assert_eq!(test.may_go_to(url, &own), Ok(()), "{url}");
            let error = live.may_go_to(url, &own).unwrap_err().to_string();
            assert!(error.contains(url) && error.contains("not the venue's own"), "{error}");
        }
    }
}
