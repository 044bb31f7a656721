//! The parameters of a question.
//!
//! Owns:  which there are, what each may be, and the sentence for one that may not.
//! Never: guesses: an unknown or repeated parameter, or a value that is none of the allowed, is refused.

use crate::units::{Amount, Direction, Rate};

/// Exchanges by the names of the API.
pub(super) const EXCHANGES: [&str; 4] = ["Binance", "OKX", "Bybit", "Bitget"];
/// Longest hold, days.
const HOLD_DAYS_MAX: u32 = 3_650;

/// Of a bar on either side of 0, in 10^-18: a rate does not hold ten.
const MIN_NET_APR_MAX: u64 = 9_000_000_000_000_000_000;

/// Powers of ten that a number may be written with.
const EXPONENT_MAX: i32 = 40;

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// `None`: all.
    pub(super) exchange: Option<&'static str>,
    /// `None`: both.
    pub(super) direction: Option<Direction>,
    /// With it the economics are told as well.
    pub(super) notional: Option<Amount>,
    pub(super) hold_days: Option<u32>,
    /// In 10^-18.
    pub(super) min_net_apr: Option<i64>,
}

/// Pairs of a query string, decoded.
///
/// # Errors
///
/// A sentence, for a broken escape or a name that comes twice.
pub(super) fn pairs(query: &str) -> Result<Vec<(String, String)>, String> {
    let mut all: Vec<(String, String)> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (Some(name), Some(value)) = (decoded(name), decoded(value)) else {
            return Err(format!("`{pair}` has a broken escape"));
        };
        if all.iter().any(|(other, _)| *other == name) {
            return Err(format!("`{name}` is given twice; give it once"));
        }
        all.push((name, value));
    }
    Ok(all)
}

fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                u8::try_from(digit(bytes.next())? * 16 + digit(bytes.next())?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(out).ok()
}

/// A number as programs write it: `1e-05` is what several print for 0.00001. Exact, since only the point moves.
fn plain(value: &str) -> String {
    let moved = || {
        let (mantissa, exponent) = value.split_once(['e', 'E'])?;
        let by: i32 = exponent.parse().ok().filter(|by| (-EXPONENT_MAX..=EXPONENT_MAX).contains(by))?;
        let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
        let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty() || !whole.bytes().chain(part.bytes()).all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let zeros = |n: i32| "0".repeat(usize::try_from(n).unwrap_or(0));
        let digits = format!("{}{whole}{part}{}", zeros(-by), zeros(by));
        let point = usize::try_from(whole.len() as i32 + by + (-by).max(0)).ok()?;
        let (whole, part) = digits.split_at_checked(point)?;
        Some(format!("{sign}{}{whole}.{part}0", if whole.is_empty() { "0" } else { "" }))
    };
    moved().unwrap_or_else(|| value.to_owned())
}

/// One of the exchanges.
pub(super) fn exchange(value: &str) -> Result<&'static str, String> {
    EXCHANGES
        .into_iter()
        .find(|name| *name == value)
        .ok_or_else(|| format!("exchange `{value}` is unknown; it is one of all, {}", EXCHANGES.join(", ")))
}

impl Wanted {
    /// Reads the query of the spot-perp question.
    ///
    /// # Errors
    ///
    /// A sentence that names what is allowed.
    pub(super) fn read(query: &str) -> Result<Self, String> {
        let mut wanted = Self::default();
        for (name, value) in pairs(query)? {
            match name.as_str() {
                "exchange" if value == "all" => {}
                "exchange" => wanted.exchange = Some(exchange(&value)?),
                "direction" => {
                    wanted.direction = match value.as_str() {
                        "all" => None,
                        "short" => Some(Direction::Short),
                        "long" => Some(Direction::Long),
                        _ => {
                            return Err(format!(
                                "direction `{value}` is unknown; it is one of all, short, long"
                            ));
                        }
                    };
                }
                "notional" => {
                    let amount = Amount::parse(plain(&value).as_bytes()).ok().filter(|it| it.0 > 0);
                    let why = || format!("notional `{value}` is no amount of USDT above 0, such as 10000");
                    wanted.notional = Some(amount.ok_or_else(why)?);
                }
                "holdDays" => {
                    let days = value.parse().ok().filter(|days| (1..=HOLD_DAYS_MAX).contains(days));
                    let why = || {
                        format!("holdDays `{value}` is no whole number from 1 to {HOLD_DAYS_MAX}, such as 7")
                    };
                    wanted.hold_days = Some(days.ok_or_else(why)?);
                }
                "minNetApr" => {
                    let rate = Rate::parse(plain(&value).as_bytes())
                        .ok()
                        .filter(|it| it.0.unsigned_abs() <= MIN_NET_APR_MAX);
                    let why = || format!("minNetApr `{value}` is no fraction from -9 to 9, such as 0.15");
                    wanted.min_net_apr = Some(rate.ok_or_else(why)?.0);
                }
                other => {
                    return Err(format!(
                        "parameter `{other}` is unknown; there are exchange, direction, notional, holdDays, minNetApr"
                    ));
                }
            }
        }
        Ok(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_may_be_written_with_a_power_of_ten() {
        for (text, same) in [
            ("1e-05", "0.00001"),
            ("-1.25E-2", "-0.0125"),
            ("1.5e3", "1500"),
            ("1E+4", "10000"),
            ("0.0015e2", "0.15"),
            ("12e0", "12"),
        ] {
            let read = |text: &str| Amount::parse(text.as_bytes()).unwrap();
            assert_eq!(read(&plain(text)), read(same), "{text}: {}", plain(text));
        }
        assert_eq!(plain("0.15"), "0.15");
        assert_eq!(Wanted::read("minNetApr=1e-05").unwrap().min_net_apr, Some(10_000_000_000_000));
    }

    #[test]
    fn every_parameter_is_read_and_a_wrong_one_is_told_what_is_allowed() {
        let read =
            Wanted::read("exchange=OKX&direction=long&notional=2500.5&holdDays=7&minNetApr=-0.01").unwrap();
        assert_eq!((read.exchange, read.direction), (Some("OKX"), Some(Direction::Long)));
        assert_eq!(read.notional, Amount::parse(b"2500.5").ok());
        assert_eq!((read.hold_days, read.min_net_apr), (Some(7), Some(-10_000_000_000_000_000)));
        assert_eq!(Wanted::read("exchange=all&direction=all"), Ok(Wanted::default()));
        assert_eq!(Wanted::read("exchange=%4FKX").unwrap().exchange, Some("OKX"));
        for (query, said) in [
            ("exchange=okx", "one of all, Binance, OKX, Bybit, Bitget"),
            ("exchange=", "one of all"),
            ("direction=Short", "one of all, short, long"),
            ("direction=short&direction=short", "given twice"),
            ("notional=0", "above 0"),
            ("notional=1e-4e", "above 0"),
            ("notional=e4", "above 0"),
            ("notional=1e41", "above 0"),
            ("minNetApr=1e1", "from -9 to 9"),
            ("minNetApr=e4", "from -9 to 9"),
            ("minNetApr=.e4", "from -9 to 9"),
            ("holdDays=0", "from 1 to 3650"),
            ("holdDays=1.5", "from 1 to 3650"),
            ("minNetApr=15%25", "such as 0.15"),
            ("minNetApr=-9.1", "from -9 to 9"),
            ("minNetApr=%zz", "broken escape"),
            ("limit=5", "there are exchange, direction"),
        ] {
            let error = Wanted::read(query).unwrap_err();
            assert!(error.contains(said), "{query}: {error}");
        }
    }
}
