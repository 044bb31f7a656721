//! What a person writes as a value: durations, percentages, sizes, switches, places.
//!
//! Owns:  turning one text into one typed value, exactly; a wrong unit names an example that works.
//! Never: rounds, uses a float, or guesses a missing unit.
//! Map:   `table.rs` says which setting reads which of these.

use crate::carry::confirm::Says;
use crate::units::{Amount, Rate, decimal};
use crate::venue::{EVERY, Open};
use std::net::IpAddr;

/// A duration in ns: a number and its unit, such as `10s`, `1.5h`, `200us`.
pub(super) fn duration(text: &str) -> Result<u64, String> {
    let bad = || {
        format!(
            "`{text}` is no duration; write a number and one of ns, us, ms, s, m, h, d, such as 10s or 7d"
        )
    };
    let (number, unit) = split_unit(text);
    let unit_ns: i128 = match unit {
        "ns" => 1,
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return Err(bad()),
    };
    let billionths = decimal::parse_i128(number.as_bytes(), 9).map_err(|_| bad())?;
    let product = billionths.checked_mul(unit_ns).ok_or_else(bad)?;
    if product % 1_000_000_000 != 0 {
        return Err(format!("`{text}` is not a whole number of nanoseconds"));
    }
    u64::try_from(product / 1_000_000_000)
        .ok()
        .filter(|&ns| ns <= i64::MAX as u64)
        .ok_or_else(|| format!("`{text}` is too long a time; 100000d is the longest that fits"))
}

/// As [`duration`], but at least 1 ns.
pub(super) fn some_duration(text: &str) -> Result<u64, String> {
    match duration(text)? {
        0 => Err(format!("`{text}` is no time at all; write more than zero, such as 10s")),
        ns => Ok(ns),
    }
}

/// As [`duration`], with a sign: `-250ms`.
pub(super) fn signed_duration(text: &str) -> Result<i64, String> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    duration(rest).map(|ns| sign * ns as i64)
}

/// A fraction: `15%`, `-3bps`, `0.05%`.
pub(super) fn fraction(text: &str) -> Result<Rate, String> {
    let bad = |why: &str| {
        format!(
            "`{text}` {why}; write a number with % or bps (hundredths of a percent), such as 0.05% or -3bps"
        )
    };
    // 1 % is 10^-2 and 1 bps 10^-4: reading with that many decimals fewer shifts the point.
    let (number, decimals) = match split_unit(text) {
        (number, "%") => (number, Rate::SCALE - 2),
        (number, "bps" | "bp") => (number, Rate::SCALE - 4),
        _ => return Err(bad("has no unit")),
    };
    let value =
        decimal::parse_signed(number.as_bytes(), decimals).map_err(|error| bad(&format!("is {error}")))?;
    i64::try_from(value).map(Rate).map_err(|_| bad("is beyond ±900%"))
}

/// A fraction of a whole, above 0 % and at most 100 %.
pub(super) fn part(text: &str) -> Result<Rate, String> {
    let part = fraction(text)?;
    if part > Rate::ZERO && part.0 <= 1_000_000_000_000_000_000 {
        Ok(part)
    } else {
        Err(format!("`{text}` is no part of a whole; write above 0% and at most 100%"))
    }
}

/// As [`fraction`], or `off`.
pub(super) fn fraction_or_off(text: &str) -> Result<Option<Rate>, String> {
    if text == "off" { Ok(None) } else { fraction(text).map(Some).map_err(|error| error + ", or off") }
}

/// A fee or another cost: a [`fraction`] above −1 % (a rebate) and below 10 %.
pub(super) fn cost(text: &str) -> Result<Rate, String> {
    let percent = 10_000_000_000_000_000;
    fraction(text).and_then(|rate| {
        let sane = -percent < rate.0 && rate.0 < 10 * percent;
        if sane { Ok(rate) } else { Err(format!("`{text}` is no cost; write one below 10%, such as 0.05%")) }
    })
}

/// As [`cost`], or the plain fraction.
pub(super) fn plain_cost(text: &str) -> Result<Rate, String> {
    let plain =
        Rate::parse(text.as_bytes()).ok().filter(|rate| (0..100_000_000_000_000_000).contains(&rate.0));
    plain.map_or_else(|| cost(text), Ok)
}

/// A setting's name and the values it takes in turn: `hold=1d,3d,7d`.
pub(super) fn sweep(text: &str) -> Result<(String, Vec<String>), String> {
    let (name, values) = text.split_once('=').unwrap_or_default();
    let values: Vec<String> = parts(values).map(str::to_owned).collect();
    if name.is_empty() || values.is_empty() || values.iter().any(String::is_empty) {
        return Err(format!("`{text}` is no sweep; write NAME=VALUES, such as hold=1d,3d,7d"));
    }
    Ok((name.to_owned(), values))
}

/// A plain share between 0 and 1, such as `0.5`.
pub(super) fn share(text: &str) -> Result<Rate, String> {
    let one = Rate(1_000_000_000_000_000_000);
    Rate::parse(text.as_bytes())
        .ok()
        .filter(|&rate| rate >= Rate::ZERO && rate <= one)
        .ok_or_else(|| format!("`{text}` is no share; write a number from 0 to 1, such as 0.5"))
}

/// An amount of USDT above zero: `500`, `500USDT`, `12.5 USDT`.
pub(super) fn usdt(text: &str) -> Result<Amount, String> {
    let number = text.strip_suffix("USDT").unwrap_or(text).trim_end();
    Amount::parse(number.as_bytes()).ok().filter(|&amount| amount > Amount::ZERO).ok_or_else(|| {
        format!("`{text}` is no amount of USDT; write a number above 0, such as 500 or 500USDT")
    })
}

/// A whole number within `least..=most`.
pub(super) fn count(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| plain && (least..=most).contains(number)).ok_or_else(|| {
        format!("`{text}` is no whole number from {least} to {most}, such as {}", most.min(least.max(2)))
    })
}

/// Milliseconds within `least..=most`: `1000` or `1000ms`.
pub(super) fn millis(text: &str, least: u64, most: u64) -> Result<u64, String> {
    count(text.strip_suffix("ms").unwrap_or(text), least, most).map_err(|_| {
        format!("`{text}` is no time in ms; write a whole number from {least} to {most}, such as 1000ms")
    })
}

/// `20-round-trips`.
pub(super) fn round_trips(text: &str) -> Result<u64, String> {
    text.strip_suffix("-round-trips")
        .or_else(|| text.strip_suffix("-round-trip"))
        .and_then(|number| count(number, 1, u64::from(u32::MAX)).ok())
        .ok_or_else(|| {
            format!("`{text}` is no end of a run; write how many round trips, such as 20-round-trips")
        })
}

/// So many within so long: `3/10m`.
pub(super) fn rate_limit(text: &str) -> Result<(usize, u64), String> {
    let (number, time) = text
        .split_once('/')
        .ok_or_else(|| format!("`{text}` is no limit; write how many within which time, such as 3/10m"))?;
    Ok((count(number, 1, u64::from(u32::MAX))? as usize, some_duration(time)?))
}

/// `on` or `off`.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" | "true" => Ok(true),
        "off" | "false" => Ok(false),
        _ => Err(format!("`{text}` is neither on nor off")),
    }
}

/// One of several words.
pub(super) fn choice<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    words.iter().find(|(word, _)| *word == text).map(|&(_, value)| value).ok_or_else(|| {
        let allowed: Vec<&str> = words.iter().map(|&(word, _)| word).collect();
        format!("`{text}` is none of {}", allowed.join(", "))
    })
}

/// Venues by their names: `bybit,okx`, or `all`.
pub(super) fn venues(text: &str) -> Result<Vec<&'static Open>, String> {
    if text == "all" {
        return Ok(EVERY.to_vec());
    }
    let words = EVERY.map(|open| (open.name, open));
    let names: Vec<&str> = parts(text).collect();
    match (first_twice(&names), names.is_empty()) {
        (Some(name), _) => Err(format!("{name} is named twice in `{text}`; name each venue once")),
        (None, true) => Err("names no venue; write one such as bybit, or `all`".to_owned()),
        (None, false) => names.into_iter().map(|name| choice(name, &words)).collect(),
    }
}

/// Core numbers: `1,0`. Empty: unpinned.
pub(super) fn cores(text: &str) -> Result<Vec<usize>, String> {
    let bad = |_| format!("`{text}` is no list of core numbers; write them with commas, such as 1,0");
    let cores: Vec<usize> = parts(text)
        .map(|part| count(part, 0, 1023).map(|n| n as usize))
        .collect::<Result<_, _>>()
        .map_err(bad)?;
    match first_twice(&cores) {
        Some(core) => Err(format!("core {core} is named twice in `{text}`; name each core once")),
        None => Ok(cores),
    }
}

/// Spot symbols: `BTCUSDT,ETHUSDT`. Empty: all that qualify.
pub(super) fn symbols(text: &str) -> Result<Vec<String>, String> {
    let symbol = |part: &str| {
        let plain = part.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        if plain && !part.is_empty() {
            Ok(part.to_owned())
        } else {
            Err(format!("`{part}` is no symbol; write them in capitals with commas, such as BTCUSDT,ETHUSDT"))
        }
    };
    let symbols: Vec<String> = parts(text).map(symbol).collect::<Result<_, _>>()?;
    match first_twice(&symbols) {
        Some(symbol) => Err(format!("{symbol} is named twice; name each pair once")),
        None => Ok(symbols),
    }
}

/// `VENUE.NAME=URL`, over TLS.
pub(super) fn endpoint(text: &str) -> Result<(String, String, String), String> {
    let bad = |why: &str| {
        format!("`{text}` {why}; write VENUE.NAME=URL, such as binance.spot_rest=https://127.0.0.1:8443")
    };
    let (place, url) = text.split_once('=').ok_or_else(|| bad("has no ="))?;
    let (venue, name) = place.split_once('.').ok_or_else(|| bad("has no . before the ="))?;
    if !word(venue) || !word(name) {
        return Err(bad("has no venue and endpoint name"));
    }
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("wss://"));
    match host.map(|host| host.split('/').next().unwrap_or("")) {
        None => Err(bad("has no https:// or wss:// address")),
        // What stands before an @ would pass for the host in one reader and for a user in another.
        Some(host) if host.is_empty() || host.contains(['@', ' ', '\\', '?', '#']) => {
            Err(bad("has no plain host"))
        }
        Some(_) => Ok((venue.to_owned(), name.to_owned(), url.to_owned())),
    }
}

/// An address to ask over TLS; without it on this host alone.
pub(super) fn witness_url(text: &str) -> Result<String, String> {
    let bad = |why: &str| {
        format!("`{text}` {why}; write an address such as https://signals.example/v1/arbitrage/spot-perp")
    };
    let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("has no https://"))?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    // As with an endpoint: what stands before an @ would pass for the host, or is a secret.
    if host.is_empty() || authority.contains(['@', '\\']) || !text.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Err(bad("has no plain host"));
    }
    if text.contains('#') {
        return Err(bad("has a #, and what follows it is never sent"));
    }
    let here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    match scheme {
        "https" => Ok(text.to_owned()),
        "http" if here => Ok(text.to_owned()),
        "http" => Err(bad("would go over the network in the clear")),
        _ => Err(bad("has no https://")),
    }
}

/// Words of a witness, each of which may stand: `agree,absent`.
pub(super) fn words(text: &str) -> Result<[bool; 4], String> {
    let choices = Says::ALL.map(|says| (says.name(), says as usize));
    let mut listed = [false; 4];
    for part in parts(text) {
        listed[choice(part, &choices)?] = true;
    }
    if listed == [false; 4] {
        return Err(format!("`{text}` lets nothing in; name words with commas, such as agree,absent"));
    }
    Ok(listed)
}

/// `VENUE=FILE`.
pub(super) fn venue_file(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((venue, file)) if word(venue) && !file.is_empty() => Ok((venue.to_owned(), file.to_owned())),
        _ => Err(format!("`{text}` names no key file; write VENUE=FILE, such as binance=binance-key.toml")),
    }
}

/// A path that is not empty.
pub(super) fn path(text: &str) -> Result<std::path::PathBuf, String> {
    if text.is_empty() { Err("an empty path; write a file or folder".to_owned()) } else { Ok(text.into()) }
}

/// An address to listen on, and a port; 0 where none is written: one that the kernel picks.
pub(super) fn listen(text: &str) -> Result<(IpAddr, u16), String> {
    let whole = text.parse::<std::net::SocketAddr>().map(|it| (it.ip(), it.port()));
    whole.or_else(|_| text.parse().map(|ip| (ip, 0))).map_err(|_| {
        format!("`{text}` is no address; write an IP, and a port if it is to be a certain one, such as 127.0.0.1:8787")
    })
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text.rfind(|c: char| c.is_ascii_digit() || c == '.').map_or(0, |last| last + 1);
    (&text[..end], text[end..].trim_start())
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(move |_| !text.is_empty())
}

fn first_twice<T: PartialEq>(list: &[T]) -> Option<&T> {
    list.iter().enumerate().find(|(index, item)| list[..*index].contains(item)).map(|(_, item)| item)
}

fn word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_exact_in_every_unit() {
        for (text, ns) in [
            ("0s", 0),
            ("7ns", 7),
            ("1us", 1_000),
            ("1µs", 1_000),
            ("1.5ms", 1_500_000),
            ("10s", 10_000_000_000),
            ("2m", 120_000_000_000),
            ("0.5h", 1_800_000_000_000),
            ("7d", 604_800_000_000_000),
            ("10 s", 10_000_000_000),
        ] {
            assert_eq!(duration(text), Ok(ns), "{text}");
        }
        assert_eq!(signed_duration("-250ms"), Ok(-250_000_000));
        for text in
            ["10", "s", "", "10 parsecs", "1e3s", "-1s", "1.0000000001s", "99999999999d", "10sec", ".5s"]
        {
            assert!(duration(text).unwrap_err().contains(text), "{text}");
        }
        assert!(duration("10").unwrap_err().contains("such as 10s"));
        assert!(duration("0.5ns").unwrap_err().contains("whole number of nanoseconds"));
    }

    #[test]
    fn fractions_carry_their_unit() {
        for (text, e18) in [
            ("15%", 150_000_000_000_000_000),
            ("-3bps", -300_000_000_000_000),
            ("0.05%", 500_000_000_000_000),
            ("5bps", 500_000_000_000_000),
            ("0%", 0),
        ] {
            assert_eq!(fraction(text), Ok(Rate(e18)), "{text}");
        }
        for text in ["0.15", "15 percent", "%", "1000%", "0.00000000000000001%", "--3bps", ""] {
            assert!(fraction(text).is_err(), "{text}");
        }
        assert!(fraction("0.15").unwrap_err().contains("0.05%"));
        assert_eq!(fraction_or_off("off"), Ok(None));
        assert_eq!(part("100%"), fraction("100%"));
        for text in ["0%", "-1%", "101%"] {
            assert!(part(text).unwrap_err().contains("at most 100%"), "{text}");
        }
        assert!(fraction_or_off("of").unwrap_err().ends_with(", or off"));
    }

    #[test]
    fn places_are_checked_before_anything_connects() {
        assert_eq!(
            endpoint("binance.spot_rest=https://127.0.0.1:8443"),
            Ok(("binance".into(), "spot_rest".into(), "https://127.0.0.1:8443".into()))
        );
        for text in [
            "binance=https://x",
            "binance.spot_rest",
            "binance.spot_rest=http://x",
            "binance.spot_rest=https://",
            "binance.spot_rest=https://api.binance.com@evil",
            ".spot_rest=https://x",
        ] {
            assert!(endpoint(text).is_err(), "{text}");
        }
        assert!(venue_file("binance=").is_err());
        let any = IpAddr::from([127, 0, 0, 1]);
        assert_eq!((listen("127.0.0.1"), listen("127.0.0.1:80")), (Ok((any, 0)), Ok((any, 80))));
        assert!(["localhost", "127.0.0.1:", "127.0.0.1:65536"].iter().all(|text| listen(text).is_err()));
    }

    #[test]
    fn a_witness_is_asked_over_tls_or_on_this_host() {
        for text in [
            "https://signals.example/v1?x=1",
            "https://signals.example:8443",
            "http://127.0.0.1:8080/x",
            "http://[::1]:8080/x",
            "http://localhost/x",
        ] {
            assert_eq!(witness_url(text), Ok(text.to_owned()));
        }
        for (text, why) in [
            ("http://signals.example/x", "in the clear"),
            ("http://localhost.signals.example/x", "in the clear"),
            ("http://127.0.0.1.signals.example/x", "in the clear"),
            ("http://127.0.0.1@signals.example/x", "no plain host"),
            ("https://user:pass@signals.example/x", "no plain host"),
            ("https://", "no plain host"),
            ("https://signals.example/a b", "no plain host"),
            ("https://signals.example/x#y", "never sent"),
            ("wss://signals.example", "no https://"),
            ("signals.example", "no https://"),
        ] {
            assert!(witness_url(text).unwrap_err().contains(why), "{text}");
        }
        assert_eq!(words("agree, old"), Ok([true, false, false, true]));
        for text in ["", "agrees", "agree,,old"] {
            assert!(words(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lists_and_counts_name_what_is_wrong() {
        assert_eq!(cores(""), Ok(vec![]));
        assert_eq!(cores("1, 0"), Ok(vec![1, 0]));
        assert!(cores("1,1").unwrap_err().contains("twice"));
        assert!(cores("1,,0").is_err());
        assert_eq!(symbols("BTCUSDT,1000PEPEUSDT"), Ok(vec!["BTCUSDT".into(), "1000PEPEUSDT".into()]));
        assert!(symbols("btcusdt").is_err());
        assert!(symbols("BTCUSDT,BTCUSDT").is_err());
        assert_eq!(count("63", 0, 63), Ok(63));
        assert!(count("64", 0, 63).unwrap_err().contains("0 to 63"));
        assert!(count("+5", 0, 63).is_err());
        assert_eq!(millis("1000ms", 1, 60_000), Ok(1000));
        assert!(millis("1s", 1, 60_000).is_err());
        assert_eq!(round_trips("20-round-trips"), Ok(20));
        assert!(round_trips("0-round-trips").is_err());
        assert_eq!(usdt("500USDT"), Ok(Amount(500 * 10i128.pow(18))));
        assert!(usdt("500USD").is_err());
        assert!(usdt("0").is_err());
        assert_eq!(cost("-0.02%"), Ok(Rate(-200_000_000_000_000)), "a rebate");
        assert!(cost("10%").is_err() && cost("-1%").is_err() && cost("0.001").is_err());
        assert_eq!(sweep("hold=1d,3d"), Ok(("hold".into(), vec!["1d".into(), "3d".into()])));
        for text in ["hold", "hold=", "=1d", "hold=1d,,3d", ""] {
            assert!(sweep(text).is_err(), "{text}");
        }
        assert_eq!(share("0.5"), Ok(Rate(500_000_000_000_000_000)));
        assert!(share("1.1").is_err());
        assert!(share("-0.1").is_err());
    }

    proptest! {
        #[test]
        fn whatever_a_person_writes_is_read_or_refused_never_a_panic(text in "\\PC{0,12}") {
            let _ = duration(&text);
            let _ = signed_duration(&text);
            let _ = fraction(&text);
            let _ = share(&text);
            let _ = usdt(&text);
            let _ = count(&text, 0, 63);
            let _ = millis(&text, 1, 60_000);
            let _ = round_trips(&text);
            let _ = cores(&text);
            let _ = symbols(&text);
            let _ = endpoint(&text);
            let _ = cost(&text);
            let _ = sweep(&text);
            let _ = venue_file(&text);
        }

        #[test]
        fn numbers_with_units_are_never_a_panic(number in "-?[0-9.]{0,30}", unit in "(ns|us|ms|s|m|h|d|%|bps|USDT)") {
            let text = format!("{number}{unit}");
            let _ = duration(&text);
            let _ = signed_duration(&text);
            let _ = fraction(&text);
            let _ = usdt(&text);
        }
    }
}
