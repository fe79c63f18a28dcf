//! A way to PostgreSQL that a test can freeze or cut.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use quadrille_tests::stack;

/// How the way is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// All goes through.
    Open,
    /// Nothing goes through, and nothing breaks.
    Frozen,
    /// Connections break, new ones are refused.
    Cut,
}

/// The way.
pub struct Proxy {
    way: Arc<watch::Sender<Way>>,
    port: u16,
    _tasks: JoinSet<()>,
}

impl Proxy {
    pub async fn start() -> Self {
        let target = place();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let way = Arc::new(watch::Sender::new(Way::Open));
        let (ways, mut tasks) = (Arc::clone(&way), JoinSet::new());
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            // ends with the proxy
            loop {
                let (client, _) = listener.accept().await.unwrap();
                if *ways.borrow() == Way::Cut {
                    continue; // dropped: as good as refused
                }
                let (target, mut cut) = (target.clone(), ways.subscribe());
                let (up, down) = (ways.subscribe(), ways.subscribe());
                connections.spawn(async move {
                    let Ok(server) = TcpStream::connect(&target).await else { return };
                    let (client_read, client_write) = client.into_split();
                    let (server_read, server_write) = server.into_split();
                    tokio::select! {
                        () = pump(client_read, server_write, up) => {}
                        () = pump(server_read, client_write, down) => {}
                        _ = cut.wait_for(|way| *way == Way::Cut) => {}
                    }
                });
            }
        });
        Self { way, port, _tasks: tasks }
    }

    pub fn set(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// The address of a database on this way.
    pub fn url(&self, database_url: &str) -> String {
        database_url.replace(&place(), &format!("127.0.0.1:{}", self.port))
    }
}

fn place() -> String {
    stack().database_url.rsplit_once('@').unwrap().1.split('/').next().unwrap().to_owned()
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut way: watch::Receiver<Way>,
) {
    let mut buffer = vec![0; 16_384];
    // ends with the connection
    loop {
        let Ok(read) = from.read(&mut buffer).await else { return };
        if way.wait_for(|way| *way != Way::Frozen).await.is_err()
            || read == 0
            || to.write_all(&buffer[..read]).await.is_err()
        {
            return;
        }
    }
}
