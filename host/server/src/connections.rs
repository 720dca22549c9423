//! Connections: taken while there is room, given a limited time, and brought to an end with the server.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, getrlimit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::Options;
use crate::patience::Patience;
use crate::state::Server;
use crate::tls;

/// Connections at once; more clients wait in the system's own queue. Each costs some kilobytes, and far fewer ask at once.
const MOST_CONNECTIONS: u64 = 4096;

/// How long to wait when the system has no connection to give, as when there are too many open files.
const PAUSE: Duration = Duration::from_secs(1);

/// How long cancelled requests have to say so, and clients to read it. With the limit for running requests before it, the end
/// comes before service managers kill (30 seconds for Kubernetes).
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Serves until `shutdown` is ready, and then until nothing runs any more.
///
/// While requests run to their end, connections are still taken: whoever asks hears that the host drains.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    server: Arc<Server>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let mut connections = Connections {
        router,
        server: server.clone(),
        most: most_connections(),
        running: JoinSet::new(),
        closing: watch::Sender::new(false),
    };
    tokio::select! {
        () = connections.take(&listener) => {}
        () = shutdown => {}
    }
    server.set_draining();

    let drain_limit = server.options.drain_limit;
    let finishing = async {
        tokio::select! {
            () = connections.take(&listener) => {}
            () = server.idle() => {}
        }
        drop(listener);
        connections.close().await;
    };
    if timeout(drain_limit, finishing).await.is_ok() {
        return;
    }
    tracing::warn!(limit = ?drain_limit, "requests still run: cancelling them");
    server.cancel_all();
    if timeout(LAST_WORDS, connections.close()).await.is_err() {
        let connections = connections.running.len();
        tracing::warn!(
            connections,
            "clients do not send or read to the end: closing their connections"
        );
    }
    // What is left goes with the set of them.
}

/// Half of the files that the process may open at once is for the rest of it.
fn most_connections() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from((files / 2).clamp(1, MOST_CONNECTIONS)).unwrap_or(usize::MAX)
}

struct Connections {
    router: Router,
    server: Arc<Server>,
    most: usize,
    running: JoinSet<()>,
    /// Whether each is to end after the answer that it is at.
    closing: watch::Sender<bool>,
}

impl Connections {
    /// Takes connections for as long as it is polled.
    async fn take(&mut self, listener: &TcpListener) {
        loop {
            tokio::select! {
                Some(_) = self.running.join_next() => {}
                accepted = listener.accept(), if self.running.len() < self.most => match accepted {
                    Ok((stream, address)) => self.begin(stream, address),
                    Err(error) => {
                        tracing::warn!(%error, "no connection could be taken");
                        sleep(PAUSE).await;
                    }
                },
            }
        }
    }

    fn begin(&mut self, stream: TcpStream, address: SocketAddr) {
        let (router, server, closing) = (self.router.clone(), self.server.clone(), self.closing.subscribe());
        // A handshake is the connection's own business, so that a slow client holds up nobody.
        self.running.spawn(async move {
            no_delay(&stream);
            let options = &server.options;
            match &options.tls {
                None => speak(stream, address, router, options, closing).await,
                Some(tls) => {
                    if let Some(stream) = tls::handshake(tls, stream, address).await {
                        speak(stream, address, router, options, closing).await;
                    }
                }
            }
        });
    }

    /// Lets each finish the answer that it is at. Ready when all have ended.
    async fn close(&mut self) {
        self.closing.send_replace(true);
        while self.running.join_next().await.is_some() {}
    }
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    address: SocketAddr,
    router: Router,
    options: &Options,
    mut closing: watch::Receiver<bool>,
) {
    let stream = Patience::new(stream, options.send_limit);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.head_limit)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let closing = async {
        // Only the server's own end drops the sender.
        let _ = closing.wait_for(|closing| *closing).await;
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%address, %error, "a connection broke");
    }
}

/// A piece of a stream goes out at once, and does not wait until the client has acknowledged the one before.
fn no_delay(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection waits before it sends small pieces");
    }
}
