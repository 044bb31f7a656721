//! The rule of the bench as an ordinary asynchronous program of tokio: one task a stream, orders by reqwest.
//!
//! Owns:  two market streams, the best quotes heard, and two orders at once when they cross.
//! Never: does what a competent user would not: one client kept alive, rustls, HMAC at the moment of the order.
//! Run:   `tokio_peer READY`, where READY is what the bench wrote for it.

use futures_util::StreamExt;
use hmac::{Hmac, Mac};
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;
use std::error::Error;
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{Connector, connect_async_tls_with_config};

type Fault = Box<dyn Error + Send + Sync>;

/// Enter above this basis, leave below.
const ENTER: f64 = 0.005;
const LEAVE: f64 = 0.002;

#[derive(Deserialize)]
struct BookTicker<'a> {
    b: &'a str,
    a: &'a str,
}

/// Best bid and ask of both markets, and whether a position is held.
#[derive(Default)]
struct State {
    spot: Option<(f64, f64)>,
    perp: Option<(f64, f64)>,
    held: bool,
    pending: bool,
}

struct Venue {
    client: reqwest::Client,
    spot: String,
    usdm: String,
    key: String,
    secret: String,
}

#[tokio::main]
async fn main() -> Result<(), Fault> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| "a provider is installed already")?;
    let file = std::env::args().nth(1).ok_or("tokio_peer READY")?;
    let ready: Value = serde_json::from_slice(&std::fs::read(file)?)?;
    let pem = std::fs::read(ready["ca"].as_str().unwrap_or_default())?;
    let at = &ready["venues"]["binance"];
    let text = |name: &str| at[name].as_str().unwrap_or_default().to_owned();
    let client = reqwest::Client::builder()
        .use_rustls_tls()
        .add_root_certificate(reqwest::Certificate::from_pem(&pem)?)
        .tcp_nodelay(true)
        .pool_idle_timeout(None)
        .build()?;
    let venue = Arc::new(Venue {
        client,
        spot: text("spot_rest"),
        usdm: text("usdm_rest"),
        key: text("key"),
        secret: text("secret"),
    });
    // Warm connections before the first quote.
    venue.client.get(format!("{}/api/v3/ping", venue.spot)).send().await?.bytes().await?;
    venue.client.get(format!("{}/fapi/v1/ping", venue.usdm)).send().await?.bytes().await?;

    let state = Arc::new(Mutex::new(State::default()));
    let spot = tokio::spawn(listen(
        format!("{}/ws/btcusdt@bookTicker", text("spot_ws")),
        pem.clone(),
        false,
        Arc::clone(&state),
        Arc::clone(&venue),
    ));
    let perp = tokio::spawn(listen(
        format!("{}/public/ws/btcusdt@bookTicker", text("usdm_ws")),
        pem,
        true,
        state,
        venue,
    ));
    tokio::select! { end = spot => end??, end = perp => end?? }
    Ok(())
}

async fn listen(
    url: String,
    pem: Vec<u8>,
    perp: bool,
    state: Arc<Mutex<State>>,
    venue: Arc<Venue>,
) -> Result<(), Fault> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate?)?;
    }
    let tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connector = Some(Connector::Rustls(Arc::new(tls)));
    let (mut stream, _) = connect_async_tls_with_config(url, None, true, connector).await?;
    while let Some(message) = stream.next().await {
        let Message::Text(text) = message? else { continue };
        let quote: BookTicker = serde_json::from_str(&text)?;
        let best = Some((quote.b.parse()?, quote.a.parse()?));
        let entering = {
            let mut state = state.lock().map_err(|_| "a task has died")?;
            if perp {
                state.perp = best
            } else {
                state.spot = best
            }
            state.decide()
        };
        if let Some((entering, spot, perp)) = entering {
            let (state, venue) = (Arc::clone(&state), Arc::clone(&venue));
            tokio::spawn(async move {
                let (a, b) =
                    tokio::join!(venue.order(false, entering, spot), venue.order(true, entering, perp));
                for answer in [a, b] {
                    if let Err(error) = answer {
                        eprintln!("order: {error}");
                    }
                }
                if let Ok(mut state) = state.lock() {
                    state.pending = false;
                    state.held = entering;
                }
            });
        }
    }
    Err("the stream has ended".into())
}

impl State {
    /// Whether to enter or to leave now, and at which prices of spot and perp.
    fn decide(&mut self) -> Option<(bool, f64, f64)> {
        let ((spot_bid, spot_ask), (perp_bid, perp_ask)) = (self.spot?, self.perp?);
        if self.pending {
            return None;
        }
        let action = if !self.held && perp_bid >= spot_ask * (1.0 + ENTER) {
            (true, spot_ask * 1.001, perp_bid * 0.999)
        } else if self.held && perp_ask <= spot_bid * (1.0 + LEAVE) {
            (false, spot_bid * 0.999, perp_ask * 1.001)
        } else {
            return None;
        };
        self.pending = true;
        Some(action)
    }
}

impl Venue {
    async fn order(&self, perp: bool, entering: bool, price: f64) -> Result<(), Fault> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let side = if perp == entering { "SELL" } else { "BUY" };
        // A buyer of spot pays the fee in coins: it is sold back without dust from the account's other coins.
        let (price, quantity) = if perp {
            (format!("{price:.1}"), "0.005")
        } else {
            (format!("{price:.2}"), if entering { "0.00501" } else { "0.00500" })
        };
        let id = format!("tokio-{}", now.as_nanos());
        let reduce = if perp && !entering { "&reduceOnly=true" } else { "" };
        let mut query = format!(
            "symbol=BTCUSDT&side={side}&type=LIMIT&timeInForce=IOC&quantity={quantity}&price={price}{reduce}\
             &newClientOrderId={id}&newOrderRespType=RESULT&recvWindow=1000&timestamp={}",
            now.as_millis()
        );
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes())?;
        mac.update(query.as_bytes());
        query.push_str("&signature=");
        for byte in mac.finalize().into_bytes() {
            write!(query, "{byte:02x}")?;
        }
        let url = if perp {
            format!("{}/fapi/v1/order?{query}", self.usdm)
        } else {
            format!("{}/api/v3/order?{query}", self.spot)
        };
        let answer = self.client.post(url).header("X-MBX-APIKEY", &self.key).send().await?;
        let status = answer.status();
        let body = answer.text().await?;
        if !status.is_success() {
            return Err(format!("{status}: {body}").into());
        }
        Ok(())
    }
}
