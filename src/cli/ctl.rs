//! `contango ctl`: one question or order to a running engine, over its Unix socket.
//!
//! Owns:  the words of the command, and its answers as text for people.
//! Never: touches a file of the engine's; an engine that does not run is told, not guessed about.

use super::{Exit, Settings, say};
use crate::ops::control;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::time::Duration;

/// The engine answers within 2 s, whatever its disk does.
const WAIT: Duration = Duration::from_secs(5);
const ACTIONS: &str = "status, why PAIR, halt, resume --reason TEXT, flatten, kill";

/// Runs the command.
pub fn act(settings: &Settings) -> Exit {
    match run(settings) {
        Ok(exit) => exit,
        Err((why, exit)) => {
            eprintln!("contango ctl: {why}");
            exit
        }
    }
}

fn run(settings: &Settings) -> Result<Exit, (String, Exit)> {
    let line = line(settings).map_err(|why| (why, Exit::Usage))?;
    let answer = ask(settings, &line).map_err(|why| (why, Exit::Failed))?;
    let row: Value = serde_json::from_str(&answer)
        .map_err(|_| (format!("this is no answer of an engine: {answer:?}"), Exit::Failed))?;
    let exit = match (row["ok"] == true, row["kind"].as_str()) {
        // Done, but a restart may not know of it: no success for a script.
        (true, _) if row["durable"] == false => Exit::Failed,
        (true, _) => Exit::Done,
        (false, Some("usage")) => Exit::Usage,
        (false, Some("refused")) => Exit::Refused,
        (false, _) => Exit::Failed,
    };
    if settings.json {
        say(&answer);
    } else if exit != Exit::Done {
        return Err((text(row.get("error").unwrap_or(&row["text"])), exit));
    } else if row.get("pairs").is_some() {
        say(&status(&row));
    } else if row.get("pair").is_some() {
        say(&pair(&row));
    } else {
        say(&format!("{}\n", text(&row["text"])));
    }
    Ok(exit)
}

/// The line to send.
fn line(settings: &Settings) -> Result<String, String> {
    let words: Vec<&str> = settings.words.iter().map(String::as_str).collect();
    let mut row = match words.as_slice() {
        [action @ ("status" | "halt" | "resume" | "flatten" | "kill")] => json!({"ask": action}),
        ["why", pair] => json!({"ask": "why", "pair": pair}),
        ["why"] => return Err("`why` needs a pair, such as `contango ctl why BTC`".to_owned()),
        [] => return Err(format!("ask for one of: {ACTIONS}")),
        _ => return Err(format!("`{}` is nothing to ask; ask for one of: {ACTIONS}", words.join(" "))),
    };
    let ordered = matches!(words[0], "halt" | "resume" | "flatten" | "kill");
    match settings.reason.as_deref().map(str::trim) {
        Some(reason) if ordered && !reason.is_empty() => row["reason"] = json!(reason),
        Some(_) if !ordered => return Err(format!("`{}` takes no --reason", words[0])),
        _ if words[0] == "resume" => {
            return Err("`resume` needs a reason: contango ctl resume --reason TEXT".to_owned());
        }
        _ => {}
    }
    Ok(format!("{row}\n"))
}

fn ask(settings: &Settings, line: &str) -> Result<String, String> {
    let folder = settings.data_dir.display();
    let mut stream = control::connect(&settings.data_dir, settings.instance).map_err(|error| match error
        .kind()
    {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => format!(
            "no engine of instance {} runs in {folder}; start it with `contango run`, or name another folder \
                 with --data-dir (a demo's is OUT/journal) or --instance",
            settings.instance
        ),
        ErrorKind::PermissionDenied => {
            format!("the engine in {folder} belongs to another user; ask as that user, or as root")
        }
        _ => format!("{folder}/{}: {error}", control::file_name(settings.instance)),
    })?;
    let silent = |error: std::io::Error| format!("the engine does not answer ({error}); look at its process");
    stream.set_read_timeout(Some(WAIT)).map_err(silent)?;
    stream.set_write_timeout(Some(WAIT)).map_err(silent)?;
    // Whoever is turned away finds the reason to read, even if his line was not taken.
    let sent = stream.write_all(line.as_bytes());
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).map_err(silent)?;
    if answer.is_empty() {
        sent.map_err(silent)?;
        return Err("the engine ended before it answered; ask again".to_owned());
    }
    Ok(answer)
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

fn rows(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn status(row: &Value) -> String {
    let mut out = format!("mode      {}", text(&row["mode"]).to_uppercase());
    if row["flattening"] == true {
        out.push_str(", flattening");
    }
    if row["why"] != "" {
        out.push_str(&format!(": {}", text(&row["why"])));
    }
    let seconds = row["uptime_ms"].as_u64().unwrap_or(0) / 1_000;
    out.push_str(&format!("\nphase     {}, up {seconds} s\n", text(&row["phase"])));
    out.push_str(&format!("engine    instance {}, epoch {}\n", row["instance"], row["epoch"]));
    let journal = &row["journal"];
    out.push_str(&format!("journal   {} records, {} durable\n", journal["written"], journal["durable"]));
    let open: Vec<String> = rows(&row["orders_open"]).map(text).collect();
    out.push_str(&format!(
        "orders    {}\n",
        if open.is_empty() { "none open".to_owned() } else { format!("open: {}", open.join(", ")) }
    ));
    let capital = &row["capital"];
    if *capital != Value::Null {
        let near = match &capital["liquidation_distance_pct"] {
            Value::Null => "no perp is held".to_owned(),
            distance => format!("liquidation {} % away", text(distance)),
        };
        out.push_str(&format!(
            "capital   equity {}, deployed {}, free {}; {near}\n",
            text(&capital["equity"]),
            text(&capital["deployed"]),
            text(&capital["free"])
        ));
    }
    for lane in rows(&row["budget"]) {
        let window = lane["window_ms"].as_u64().unwrap_or(0) / 1_000;
        out.push_str(&format!(
            "budget    {} {}: {} of {} in {window} s ({} %, normal work to {})",
            text(&lane["lane"]),
            text(&lane["kind"]),
            lane["used"],
            lane["limit"],
            lane["used_pct"],
            lane["line"]
        ));
        match lane["quiet_ms"].as_u64().unwrap_or(0).div_ceil(1_000) {
            0 => out.push('\n'),
            seconds => out.push_str(&format!("; asked to wait {seconds} s more\n")),
        }
    }
    for link in rows(&row["links"]) {
        let state =
            if link["up"] == true { "up".to_owned() } else { format!("down: {}", text(&link["why"])) };
        out.push_str(&format!("link      {}: {state}\n", text(&link["what"])));
    }
    out.push_str(&format!(
        "\n{:<10} {:<8} {:>16} {:>16} {:>10} {:>10} {:>10}\n",
        "pair", "state", "spot", "perp", "enter bps", "now bps", "best bps"
    ));
    for pair in rows(&row["pairs"]) {
        out.push_str(&format!(
            "{:<10} {:<8} {:>16} {:>16} {:>10} {:>10} {:>10}\n",
            text(&pair["pair"]),
            text(&pair["state"]),
            text(&pair["spot"]),
            text(&pair["perp"]),
            text(&pair["enter_bps"]["short"]),
            text(&pair["basis_bps"]),
            text(&pair["best_basis_bps"])
        ));
    }
    out
}

fn pair(row: &Value) -> String {
    let mut out = format!(
        "{} is {}: {} spot, {} perp\n",
        text(&row["pair"]),
        text(&row["state"]),
        text(&row["spot"]),
        text(&row["perp"])
    );
    let enter = &row["enter_bps"];
    out.push_str(&format!(
        "enters at {} bps short, {} bps long; the basis is {} bps, the best seen {} bps\n",
        text(&enter["short"]),
        text(&enter["long"]),
        text(&row["basis_bps"]),
        text(&row["best_basis_bps"])
    ));
    for (what, count) in row["weighed"].as_object().into_iter().flatten() {
        out.push_str(&format!("weighed   {count} times: {what}\n"));
    }
    let funding = &row["funding"];
    if *funding != Value::Null {
        out.push_str(&format!(
            "funding   {} per {} h, next {}; 7 days: {} in all, {} per hour\n",
            text(&funding["estimate"]),
            text(&funding["interval_hours"]),
            text(&funding["next"]),
            text(&funding["sum_7d"]),
            text(&funding["mean_7d_per_hour"])
        ));
    }
    if row["gate"] != Value::Null {
        out.push_str(&format!("gate      refused its last signal: {}\n", text(&row["gate"])));
    }
    for reason in rows(&row["reasons"]) {
        out.push_str(&format!("because   {}\n", text(reason)));
    }
    if rows(&row["reasons"]).next().is_none() {
        out.push_str("nothing keeps it from entering but its threshold\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(words: &[&str], reason: Option<&str>) -> Result<String, String> {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        line(&Settings { words, reason: reason.map(str::to_owned), ..Settings::default() })
    }

    #[test]
    fn words_become_one_line_that_the_socket_understands() {
        for (words, reason) in [
            (&["status"][..], None),
            (&["why", "BTC"], None),
            (&["halt"], None),
            (&["halt"], Some("lunch")),
            (&["resume"], Some("looked at \"it\"")),
            (&["flatten"], None),
            (&["kill"], None),
        ] {
            let line = wanted(words, reason).unwrap();
            assert!(crate::ops::words::ask(line.trim_end().as_bytes()).is_ok(), "{line}");
        }
    }

    #[test]
    fn wrong_words_are_told_what_would_be_right() {
        for (words, reason, told) in [
            (&[][..], None, "status, why PAIR"),
            (&["reboot"], None, "status, why PAIR"),
            (&["why"], None, "ctl why BTC"),
            (&["status", "now"], None, "status, why PAIR"),
            (&["resume"], None, "--reason TEXT"),
            (&["resume"], Some(" "), "--reason TEXT"),
            (&["status"], Some("x"), "takes no --reason"),
        ] {
            let error = wanted(words, reason).unwrap_err();
            assert!(error.contains(told), "{words:?}: {error}");
        }
    }
}
