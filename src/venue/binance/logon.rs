//! Logging on to a socket of the WebSocket API.
//!
//! Owns:  the message, and what its answer says.
//! Wire:  binance.md §10 `session.logon`: for keys of Ed25519 alone, signed over its own parameters by name (§8);
//!        fixtures `*_wsapi_session_logon_*`.

use super::account::object;
use crate::units::Unix;
use crate::venue::json::{int, text};
use crate::venue::order_socket::Logon;
use crate::venue::{BadBody, Key, KeyKind};

pub(super) const LOGON: Logon = Logon {
    kind: KeyKind::Ed25519,
    weight: 2,
    message,
    read,
    advice: "the venue must know the public half of the key file's private key, and let it trade from this address: \
             mend that at the venue, or send orders as requests with `--orders rest`",
};

/// Its id.
const ID: &str = "logon";

fn message(key: &Key, at: Unix) -> String {
    let (api, at) = (key.api(), at.as_ms());
    let signature = key.sign(format!("apiKey={api}&timestamp={at}").as_bytes()).in_json();
    let api = serde_json::Value::from(api);
    format!(
        r#"{{"id":"{ID}","method":"session.logon","params":{{"apiKey":{api},"timestamp":{at},"signature":"{signature}"}}}}"#
    )
}

/// Nothing else was asked on the socket: an error under any id, or none, is about the logon.
fn read(message: &[u8]) -> Option<Result<(), String>> {
    let said = object(&mut message.to_vec(), |root| {
        let status = int(root, "status");
        Ok(match status {
            // An event, or another answer.
            None => None,
            Some(200) => (text(root, "id") == Some(ID)).then_some(Ok(())),
            Some(status) => {
                let error = root.get("error").and_then(|error| error.as_object());
                let told = error.as_ref().and_then(|error| Some((int(error, "code")?, text(error, "msg")?)));
                let (code, msg) = told.unwrap_or_default();
                Some(Err(format!("status {status}, code {code}: {msg}")))
            }
        })
    });
    said.unwrap_or_else(|error: BadBody| Some(Err(error.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_the_pages_and_signed_by_its_rule() {
        let key = Key::nobody(KeyKind::Ed25519);
        let at = Unix::from_ms(1_649_729_878_532).unwrap();
        let text = message(&key, at);
        let mut message: serde_json::Value = serde_json::from_str(&text).unwrap();
        let text = include_str!("../../../tests/fixtures/binance/spot_wsapi_session_logon_request.json");
        let mut page: serde_json::Value = serde_json::from_str(text).unwrap();
        let payload = format!("apiKey={}&timestamp=1649729878532", key.api());
        assert_eq!(message["params"]["signature"], key.sign(payload.as_bytes()).in_json());
        assert_eq!(message["params"]["apiKey"], key.api());
        for it in [&mut message, &mut page] {
            it["id"].take();
            it["params"]["apiKey"].take();
            it["params"]["signature"].take();
        }
        assert_eq!(message, page);
    }

    #[test]
    fn its_answer_is_told_from_all_else() {
        for text in [
            include_str!("../../../tests/fixtures/binance/spot_wsapi_session_logon_response.json"),
            include_str!("../../../tests/fixtures/binance/futures_wsapi_session_logon_response.json"),
        ] {
            assert_eq!(read(text.as_bytes()), None, "it answers another id");
            let mut ours: serde_json::Value = serde_json::from_str(text).unwrap();
            ours["id"] = ID.into();
            assert_eq!(read(ours.to_string().as_bytes()), Some(Ok(())));
        }
        for (text, told) in [
            (
                include_str!("../../../tests/fixtures/binance/spot_wsapi_session_revoked.json"),
                "status 401, code -2015: Invalid API-key, IP, or permissions for action.",
            ),
            (
                r#"{"id":"logon","status":400,"error":{"code":-4056,"msg":"HMAC_SHA256 API key is not supported."}}"#,
                "status 400, code -4056: HMAC_SHA256 API key is not supported.",
            ),
            (r#"{"id":"logon","status":502}"#, "status 502, code 0: "),
        ] {
            assert_eq!(read(text.as_bytes()), Some(Err(told.to_owned())));
        }
        assert!(matches!(read(b"<html>"), Some(Err(_))));
        for other in [r#"{"event":{"e":"serverShutdown","E":1}}"#, r#"{"id":null,"status":200,"result":{}}"#]
        {
            assert_eq!(read(other.as_bytes()), None, "{other}");
        }
    }
}
