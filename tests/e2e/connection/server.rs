//! A listening socket on a thread of its own, which counts its visitors.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Ends when it is dropped, with all that it serves.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    visitors: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves whoever gets through the handshake.
    pub(crate) fn start<F, Work>(tls: Option<Arc<ServerConfig>>, serve: F) -> Self
    where
        F: Fn(Box<dyn Stream>) -> Work + Send + Sync + 'static,
        Work: Future<Output = ()> + Send + 'static,
    {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let visitors = Arc::new(AtomicUsize::new(0));
        let (stop, stopped) = oneshot::channel::<()>();
        let count = Arc::clone(&visitors);
        let acceptor = tls.map(TlsAcceptor::from);
        let serve = Arc::new(serve);
        let run = async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (acceptor, serve) = (acceptor.clone(), Arc::clone(&serve));
                tokio::spawn(async move {
                    let stream: Box<dyn Stream> = match acceptor {
                        None => Box::new(stream),
                        Some(acceptor) => match acceptor.accept(stream).await {
                            Ok(stream) => Box::new(stream),
                            Err(_) => return,
                        },
                    };
                    serve(stream).await;
                });
            }
        };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! { () = run => {}, _ = stopped => {} }
            });
        });
        Self { address, visitors, stop: Some(stop), thread: Some(thread) }
    }

    /// TLS of its own before a plane that is spoken to without.
    pub(crate) fn before(plane: String, tls: Arc<ServerConfig>) -> Self {
        Self::start(Some(tls), move |mut stream| {
            let plane = plane.clone();
            async move {
                let mut plane = TcpStream::connect(plane).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut plane).await;
            }
        })
    }

    pub(crate) fn visitors(&self) -> usize {
        self.visitors.load(Ordering::SeqCst)
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
