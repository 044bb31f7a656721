//! Faults of the catalogue that no session draws, each with the reason and with what tries it instead.
//!
//! Owns:  that list; with `faults` it names every number of FAULTS part 2 once.
//! Never: calls a gap anything else: what nothing tries begins with "open".

use super::faults::TABLE;

/// The catalogue's last number.
pub const LAST: u8 = 120;

/// Number, and why no session draws it.
#[rustfmt::skip]
pub static ELSEWHERE: &[(u8, &str)] = &[
    (8, "drawn with the world: the first settlement is at a full hour; one session in eight comes to it, half of those at a midnight of a month, a quarter, a year or around a leap day"),
    (9, "a world has no name look-up; one that fails is a unit test of `metal/dial`"),
    (10, "a world has no name look-up and no certificates; one that does not hold is refused by `metal/tls_tests`"),
    (18, "TLS is framing in a world; certificates that don't hold are `metal/tls_tests`"),
    (19, "TLS is framing in a world, without tickets (`metal/tls_own_tests`); early data is never asked for"),
    (24, "a world opens no descriptors; thousands of reconnects pass in the long run, and `tools/kill_loop.py` restarts real processes"),
    (26, "the box pings the sockets of every session; that ours are pinged and given up in time is `wire/session` and `agents/socket`"),
    (27, "drawn as F101: spot's sockets hear `serverShutdown` before they close; the cut after 24 h lies beyond a session"),
    (29, "messages in pieces are `wire/ws/frame_tests`; slices (F17) cut frames at any byte"),
    (30, "hostile frames are `tests/fuzz`; a world's peer is the box, which frames as the page says"),
    (33, "Binance has no log-in to expire but the listen key, which is F78; a refused ticket is `tests/story/hot`"),
    (34, "drawn as F80 and F81: trader and shadow read two private streams of one market in every session"),
    (35, "best-quote streams carry no deltas to lose: the engine keeps no book to join"),
    (36, "drawn as F56: answers that come after their query"),
    (43, "fields that are missing, renamed or of another type are `tests/fuzz` and `tests/story/streams`"),
    (45, "one coin in twelve has a name multiplier; a wrong factor is refused at the start (`venue/pairing`)"),
    (46, "rules that change under way are `tests/story/market`; in sessions the markets are read again and stay"),
    (47, "funding that flips or goes missing is `tests/story/carry` and `tests/story/funding`: it ends entries for longer than a session"),
    (50, "drawn as F25: a stream of one leg goes silent while the other moves"),
    (51, "every pair of Binance's is quoted and margined in USDT: nothing is converted"),
    (58, "the engine sends no batches, and Binance answers a single order by its status"),
    (59, "every duplicate-id answer is `tests/story/classes`; that none is provoked is I10 in every session"),
    (61, "a refused signature is `tests/story/classes`; one in a session would be the engine's own bug, and break it"),
    (63, "Binance answers an order when it is matched; on USD-M, where the answer may be only NEW, it is F72"),
    (65, "drawn as F81 and F77: reports last things first, or not at all"),
    (67, "price bands that refuse are `tests/story/market`"),
    (68, "drawn as F102: the position is smaller than the exit that is under way; the rule is `agents/shadow/mending`"),
    (70, "a symbol that breaks is `tests/story/market`: until it trades again no hedge has a way"),
    (71, "one account, IOC orders only, one pen: two of its orders can't meet; that none rests is checked at rest"),
    (73, "drawn as F118a, F22 and F114 between both legs; each is a cell of `--cells aimed` in state intent"),
    (74, "templates are rebuilt every 50 s in every session, when the rules are read again; rules that changed are `tests/story/market`"),
    (75, "drawn as F12b: with two order links or more the other one stays up"),
    (76, "quantities are in base on Binance everywhere; the box refuses other units in every session"),
    (83, "drawn as F102, F103 and F105, with Binance's own ids"),
    (85, "drawn as F77: a fill that no event tells moves the position"),
    (87, "drawn as F84: the replica answers \"not found\" for what exists"),
    (88, "the crash grid comes back after three days (`tools/long/grid.sh`), and `tests/story/outage`"),
    (89, "pages that overlap are `tests/story/audit` and `tests/story/money`; a session's history fits one page"),
    (90, "drawn as F84: positions are read from a while ago, too"),
    (91, "drawn by itself: trading goes on while the account is read, in every session"),
    (93, "drawn as F92 and F101: the reads of one market fail"),
    (94, "drawn as storms of F57 and F12: questions come by the dozen, within their budget"),
    (95, "drawn as F97 until the venue itself says 429; the second one within a minute is `tests/story/budget`"),
    (98, "limits that shrink and answers without counters are `tests/story/budget` and `tests/story/market`"),
    (99, "drawn as storms of F66: IOC orders that meet nobody"),
    (100, "drawn as F97 with F53 or F66: the budget is gone when a leg fails"),
    (104, "a bracket that changes is `tests/story/capital`: it ends entries for longer than a session"),
    (106, "one leg's market that stops is `tests/story/market`; a market as a whole is F101"),
    (107, "modes and leverage are checked at every start: `tests/story/account`"),
    (110, "fees are paid in the coin bought in every session; other fee coins and gifts are `tests/story/money` and `tests/story/audit`"),
    (115, "time is virtual: host cores are measured by `doctor`"),
    (117, "every session ends with a stop while orders may be live; a blocked log is `tests/story/control`"),
    (119, "rights of the key are `tests/story/account`; hostile bytes are `tests/fuzz`; strangers' orders are F82"),
    (120, "every line and journal byte of every session is searched for the key and secret (I17); `tools/canary.py` does it to real processes"),
];

/// The number of a fault in the table: 57 of F57a.
#[must_use]
pub fn number(name: &str) -> Option<u8> {
    name.trim_start_matches('F').trim_end_matches(|letter: char| letter.is_ascii_lowercase()).parse().ok()
}

/// Whether sessions draw it.
#[must_use]
pub fn is_drawn(fault: u8) -> bool {
    TABLE.iter().any(|it| number(it.name) == Some(fault))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_the_catalogue_is_drawn_or_has_its_reason() {
        for fault in 1..=LAST {
            let listed = ELSEWHERE.iter().filter(|(number, _)| *number == fault).count();
            assert_eq!(listed + usize::from(is_drawn(fault)), 1, "F{fault}");
        }
        assert!(TABLE.iter().all(|it| number(it.name).is_some_and(|it| (1..=LAST).contains(&it))));
        // What is said to be drawn as another is.
        for (fault, why) in ELSEWHERE.iter().filter(|(_, why)| why.contains("drawn as")) {
            let named = why.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| {
                word.strip_prefix('F').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            });
            for word in named {
                assert!(number(word).is_some_and(is_drawn), "F{fault}: {word}");
            }
        }
    }

    #[test]
    fn what_tries_it_instead_is_there() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        for (fault, why) in ELSEWHERE {
            for place in why.split('`').skip(1).step_by(2).filter(|place| place.contains('/')) {
                let there = ["", "src/"].iter().any(|at| {
                    let path = root.join(format!("{at}{place}"));
                    path.exists() || path.with_extension("rs").exists()
                });
                assert!(there, "F{fault}: {place}");
            }
        }
    }
}
