//! A connection of HTTP/1 through its life: while it is idle for long it keeps nothing but its socket.

use std::{io, pin::pin, sync::Arc};

use super::connection::Connection;
use crate::{
    headers::Peer,
    server::{
        connection::{self, Left, Limits},
        io_watch::{Activity, ClientIo},
        worker::{Phase, Worker},
    },
};

/// Serves a connection to its end.
pub(in crate::server) async fn serve(
    io: ClientIo,
    worker: Arc<Worker>,
    peer: Arc<Peer>,
    activity: Arc<Activity>,
    limits: Limits,
) {
    let heads = super::Limits::new(limits.uri_bytes, limits.headers, limits.header_bytes);
    let mut closing = worker.phase();
    let mut connection = Connection::new(io, heads, worker, peer, Arc::clone(&activity));
    loop {
        // In a box of its own, which is freed while the connection is idle.
        match Box::pin(busy(&mut connection, &activity, &limits, closing.clone())).await {
            Left::Ended(handover) => {
                if let Some(handover) = handover.flatten() {
                    handover.keep(connection.into_duplex());
                }
                return;
            }
            Left::Idle => {}
        }
        let Some(left) = activity.idle(limits.idle_timeout) else {
            return;
        };
        tokio::select! {
            readable = tokio::time::timeout(left, connection.rest()) => if !matches!(readable, Ok(Ok(()))) { return },
            _ = closing.wait_for(|phase| *phase >= Phase::Closing) => return,
        }
    }
}

async fn busy(
    connection: &mut Connection,
    activity: &Activity,
    limits: &Limits,
    phase: tokio::sync::watch::Receiver<Phase>,
) -> Left<Option<crate::duplex::Handover>> {
    let serving = pin!(connection.serve());
    connection::watch_over::<_, _, io::Error>(serving, activity, limits, phase, |_| activity.http1.close())
        .await
}
