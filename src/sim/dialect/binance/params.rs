//! Request parameters: `k=v&k=v` of query and body, decoded, each name once.
//!
//! Owns:  splitting, decoding, the refusals for repeated, unknown and malformed parameters.
//! Wire:  binance.md §5 (query wins over body), §14.

use super::super::super::http::decode;
use super::refusal::Refusal;
use std::borrow::Cow;

/// A name and its value.
pub(super) type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// What a request sent.
pub(super) struct Params<'a>(Vec<Pair<'a>>);

impl<'a> Params<'a> {
    /// Reads query and form body.
    ///
    /// # Errors
    ///
    /// -1101 for a name that comes twice in one of them, -1100 for a broken escape.
    pub(super) fn read(query: &'a str, body: &'a str) -> Result<Self, Refusal> {
        let mut all = Self::split(query)?;
        let in_query = all.len();
        for (name, value) in Self::split(body)? {
            if !all[..in_query].iter().any(|(n, _)| *n == name) {
                all.push((name, value));
            }
        }
        Ok(Self(all))
    }

    /// Takes parameters that were read elsewhere, each name once.
    pub(super) fn of(all: Vec<Pair<'a>>) -> Self {
        Self(all)
    }

    /// What the WebSocket API signs: all but the signature, sorted by name, `k=v` joined by `&`.
    pub(super) fn sorted_payload(&self) -> String {
        let mut pairs: Vec<&Pair<'a>> = self.0.iter().filter(|(name, _)| name != "signature").collect();
        pairs.sort_unstable();
        pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
    }

    fn split(text: &'a str) -> Result<Vec<Pair<'a>>, Refusal> {
        let mut all: Vec<Pair<'a>> = Vec::new();
        for pair in text.split('&').filter(|p| !p.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let broken = || Refusal::new(-1100, "Illegal characters found in a parameter.");
            let name = decode(name, true).ok_or_else(broken)?;
            let value = decode(value, true).ok_or_else(broken)?;
            if all.iter().any(|(n, _)| *n == name) {
                return Err(Refusal::new(
                    -1101,
                    format!("Duplicate values for parameter '{name}' detected."),
                ));
            }
            all.push((name, value));
        }
        Ok(all)
    }

    /// The value, when it was sent.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_ref())
    }

    /// The value of a mandatory parameter.
    pub(super) fn need(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name).filter(|v| !v.is_empty()).ok_or_else(|| Refusal::missing(name))
    }

    /// A whole number, when sent.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let read = if digits { text.parse().ok() } else { None };
        read.map(Some).ok_or_else(|| Refusal::illegal(name, "^[0-9]{1,20}$"))
    }

    /// `true` or `false`, when sent; NautilusTrader trades with capitals there.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some("true" | "True") => Ok(Some(true)),
            Some("false" | "False") => Ok(Some(false)),
            Some(_) => Err(Refusal::invalid(name)),
        }
    }

    /// `limit`, with its default and ceiling.
    pub(super) fn limit(&self, default: u64, most: u64) -> Result<usize, Refusal> {
        let limit = self.number("limit")?.unwrap_or(default);
        if limit == 0 || limit > most {
            return Err(Refusal::invalid("limit"));
        }
        Ok(limit as usize)
    }

    /// Refuses what the endpoint does not know.
    pub(super) fn only(&self, allowed: &[&str], signed: bool) -> Result<(), Refusal> {
        let known = |name: &str| {
            allowed.contains(&name) || (signed && matches!(name, "timestamp" | "recvWindow" | "signature"))
        };
        let read = self.0.iter().filter(|(n, _)| known(n)).count();
        if read == self.0.len() {
            return Ok(());
        }
        let sent = self.0.len();
        let msg =
            format!("Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'.");
        Err(Refusal::new(-1104, msg))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_wins_over_the_body_and_a_repeated_name_is_refused() {
        let params = Params::read("a=1&b=x%20y", "a=2&c=3").unwrap_or_else(|r| panic!("{}", r.msg));
        assert_eq!((params.get("a"), params.get("b"), params.get("c")), (Some("1"), Some("x y"), Some("3")));
        assert_eq!(Params::read("a=1&a=2", "").err().map(|r| r.code), Some(-1101));
        assert_eq!(Params::read("a=%zz", "").err().map(|r| r.code), Some(-1100));
        assert_eq!(params.only(&["a", "b"], false).err().map(|r| r.code), Some(-1104));
    }
}
