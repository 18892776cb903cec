//! `/api/v1/notifications` and `/api/v1/notifications/live`.

use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use tokio::sync::broadcast::error::RecvError;
use tsdb_net::body::{Body, BodySender, ClientGone};
use tsdb_net::server::Response;

use crate::answer::{ApiResult, Success};
use crate::json;
use crate::notifications::Notification;
use crate::router::Call;

/// Listeners at the same time; more get 204, which tells browsers not to try again.
pub(crate) const MAX_LISTENERS: usize = 16;

/// A comment is sent this often, so that a listener that is gone is noticed.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// What the operator should know of now.
pub(crate) fn notifications(call: &Call) -> ApiResult {
    Success::json(&call.state.notifications.active())
}

/// What the operator should know of, as server-sent events: first what holds, then each change.
pub(crate) fn live(call: &Call) -> Response {
    let turn = call.state.listeners.clone().try_acquire_owned();
    let listening = call.state.notifications.listen();
    let (Ok(turn), Some((active, mut news))) = (turn, listening) else {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        return response;
    };
    let (sender, body) = Body::channel(4);
    tokio::spawn(async move {
        let _turn = turn;
        for notification in active {
            if send(&sender, &notification).await.is_err() {
                return;
            }
        }
        loop {
            let sent = tokio::select! {
                () = sender.closed() => return,
                told = tokio::time::timeout(HEARTBEAT, news.recv()) => match told {
                    Ok(Ok(notification)) => send(&sender, &notification).await,
                    // The listener was too slow: it goes on with what is left.
                    Ok(Err(RecvError::Lagged(_))) => Ok(()),
                    Ok(Err(RecvError::Closed)) => break,
                    Err(_) => sender.send(":\n\n").await,
                },
            };
            if sent.is_err() {
                return;
            }
        }
        sender.finish();
    });
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

async fn send(sender: &BodySender, notification: &Notification) -> Result<(), ClientGone> {
    let text = json::to_json(notification).unwrap_or_default();
    sender.send(format!("data: {text}\n\n")).await
}
