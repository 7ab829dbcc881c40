//! What a stand-in that speaks HTTP does with a request, after its checks and its script.

use std::convert::Infallible;
use std::io;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// What becomes of a request.
pub(crate) enum Step {
    Answer(Response<Full<Bytes>>),
    Hang,
    Reset,
}

impl Step {
    /// Takes the step: an answer, no end, or an error that breaks the connection.
    pub(crate) async fn taken(self) -> io::Result<Response<Full<Bytes>>> {
        match self {
            Self::Answer(response) => Ok(response),
            Self::Hang => match std::future::pending::<Infallible>().await {},
            Self::Reset => Err(io::Error::other("reset by script")),
        }
    }
}

/// Serves one connection over TLS, in HTTP/1.1 or HTTP/2 as the client wants. `decide` is told where the connection
/// arrived, such as `https://127.0.0.1:4431`.
pub(crate) async fn serve<F>(
    tls: TlsAcceptor,
    stream: TcpStream,
    decide: impl Fn(String, Request<Incoming>) -> F,
) -> anyhow::Result<()>
where
    F: Future<Output = Step> + Send + 'static,
{
    let origin = format!("https://{}", stream.local_addr()?);
    let stream = tls.accept(stream).await?;
    let service = service_fn(move |request| {
        let step = decide(origin.clone(), request);
        async move { step.await.taken().await }
    });
    hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await
        .map_err(|cause| anyhow::anyhow!(cause))
}
