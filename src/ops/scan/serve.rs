//! The API behind HTTP/1.1: a process of its own, where an async runtime is right.
//!
//! Owns:  the listener, the runtime, and what of HTTP the answers need.
//! Never: is part of a process that trades; knows what an answer says.

use super::Snapshot;
use super::api::{Answer, Api, Question};
use crate::metal::clock::Clock;
use crate::metal::latch::Latch;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri, header};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

/// How often the runtime looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

/// The newest snapshot, put by one thread and read by the API.
#[derive(Clone, Default)]
pub struct Board(Arc<RwLock<Arc<Snapshot>>>);

impl Board {
    /// Puts a newer one up.
    pub fn put(&self, snapshot: Snapshot) {
        if let Ok(mut place) = self.0.write() {
            *place = Arc::new(snapshot);
        }
    }

    /// The newest one.
    #[must_use]
    pub fn newest(&self) -> Arc<Snapshot> {
        self.0.read().map(|place| Arc::clone(&place)).unwrap_or_default()
    }
}

struct Shared {
    api: Api,
    board: Board,
    clock: Clock,
}

/// Serves until the latch is set; `ready` is told the address.
///
/// # Errors
///
/// The address can't be listened on, or the runtime can't be made.
pub fn serve(
    at: SocketAddr,
    api: Api,
    board: Board,
    stop: &Latch,
    ready: impl FnOnce(SocketAddr),
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(at).await?;
        ready(listener.local_addr()?);
        let shared = Arc::new(Shared { api, board, clock: Clock::real() });
        let router = axum::Router::new().fallback(answer).with_state(shared);
        let ended = async {
            while !stop.is_set() {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            served = axum::serve(listener, router) => served,
            // Whoever is connected is not waited for: a browser keeps its connection for minutes.
            () = ended => Ok(()),
        }
    })
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response<Body> {
    let began = Instant::now();
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let question = Question {
        method: method.as_str(),
        path: uri.path(),
        query: uri.query().unwrap_or(""),
        authorization: text(header::AUTHORIZATION),
        if_none_match: text(header::IF_NONE_MATCH),
        now: shared.clock.unix(),
    };
    let answer = shared.api.answer(question, &shared.board.newest(), || began.elapsed().as_millis());
    response(answer)
}

fn response(answer: Answer) -> Response<Body> {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Some(tag) = answer.tag.and_then(|tag| HeaderValue::from_str(&tag).ok()) {
        headers.insert(header::ETAG, tag);
    }
    if let Some((name, value)) = answer.extra {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}
