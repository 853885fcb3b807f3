//! An HTTP/1 connection through its life: the codec serves it while it is busy, and does without it while it
//! is idle, because what the codec keeps is most of what an idle connection costs.

use std::{convert::Infallible, pin::Pin, sync::Arc};

use hyper::{server::conn::http1::Builder, service::service_fn};

use super::{guard::Guard, is_refused};
use crate::{
    headers::Peer,
    server::{
        connection::{self, Left, Limits},
        io_watch::{Activity, ClientIo},
        outbound::Ended,
        worker::{Phase, Worker},
    },
};

/// Fields that the codec takes without being told; more cost it an allocation for each request.
const CODEC_FIELDS: u32 = 100;

/// What does not change while a connection lives.
struct Client {
    worker: Arc<Worker>,
    peer: Arc<Peer>,
    activity: Arc<Activity>,
    limits: Limits,
}

/// Serves a connection to its end.
pub(in crate::server) async fn serve(
    io: ClientIo,
    worker: Arc<Worker>,
    peer: Arc<Peer>,
    activity: Arc<Activity>,
    limits: Limits,
) {
    let heads = super::Limits::new(limits.uri_bytes, limits.headers, limits.header_bytes);
    let mut io = Guard::new(io, heads, Arc::clone(&activity));
    let mut closing = worker.phase();
    let client = Client { worker, peer, activity, limits };
    loop {
        // In a box of its own, which is freed while the connection is idle.
        match Box::pin(client.busy(io)).await {
            Some(idle) => io = idle,
            None => return,
        }
        let Some(left) = client.activity.idle(client.limits.idle_timeout) else {
            return;
        };
        tokio::select! {
            readable = tokio::time::timeout(left, io.inner().readable()) => if readable.is_err() { return },
            _ = closing.wait_for(|phase| *phase == Phase::Closing) => return,
        }
    }
}

impl Client {
    /// Serves it as long as it is busy. Gives it back when it is idle.
    async fn busy(&self, io: Guard<ClientIo>) -> Option<Guard<ClientIo>> {
        let heads = *io.limits();
        let mut builder = Builder::new();
        builder
            .header_read_timeout(None)
            // An empty line may come before a head.
            .max_buf_size((heads.head() + 2).max(16_384));
        if heads.fields > CODEC_FIELDS {
            builder.max_headers(heads.fields as usize);
        }
        let service = service_fn(|request| {
            let refusal = self.activity.http1.refusal().filter(|_| is_refused(&request));
            let answer = self.worker.answer(request, &self.peer, Ended::of(&self.activity), refusal);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let mut connection = builder.serve_connection(io, service).with_upgrades();
        let shut_down = |connection: Pin<&mut _>| {
            hyper::server::conn::http1::UpgradeableConnection::graceful_shutdown(connection);
        };
        let phase = self.worker.phase();
        match connection::watch_over(
            Pin::new(&mut connection),
            &self.activity,
            &self.limits,
            phase,
            shut_down,
        )
        .await
        {
            Left::Ended => None,
            Left::Idle => {
                let parts = connection.into_parts()?;
                let mut io = parts.io;
                io.give_back(&parts.read_buf);
                Some(io)
            }
        }
    }
}
