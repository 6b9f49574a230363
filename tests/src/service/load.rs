//! Load from outside: clients on this machine that ask a guest for a web page, one request after the other, until they are told to end.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use ureq::Agent;

/// How many ask at the same time.
const CLIENTS: usize = 2;

/// After how long a request counts as failed: a guard against a hang, and no aim.
const PATIENCE: Duration = Duration::from_secs(30);

/// From one request of a client to the next, so that an emulated processor has time for all else besides.
const PACE: Duration = Duration::from_millis(20);

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// When it began, since the load did.
    pub at: Duration,
    /// How long it took.
    pub took: Duration,
    /// What was wrong, if anything was.
    pub failure: Option<String>,
}

/// Clients that ask until it is dropped.
pub struct Load {
    began: Instant,
    requests: Arc<Mutex<Vec<Request>>>,
    done: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Asks what listens at `port` of the loopback address for its page, which is `page`.
    ///
    /// # Errors
    /// When it is not served at all.
    pub fn start(port: u16, page: &'static str) -> Result<Self> {
        let url = format!("http://{}/", SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let agent: Agent = Agent::config_builder().timeout_global(Some(PATIENCE)).build().into();
        ask(&agent, &url, page).context("the first request")?;
        let (began, requests) = (Instant::now(), Arc::<Mutex<Vec<Request>>>::default());
        let done = Arc::<AtomicBool>::default();
        let clients = (0..CLIENTS)
            .map(|_| {
                let (agent, url, requests, done) =
                    (agent.clone(), url.clone(), Arc::clone(&requests), Arc::clone(&done));
                thread::spawn(move || {
                    while !done.load(Ordering::Relaxed) {
                        let asked = Instant::now();
                        let failure = ask(&agent, &url, page).err().map(|error| format!("{error:#}"));
                        let request = Request { at: asked - began, took: asked.elapsed(), failure };
                        requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                        thread::sleep(PACE);
                    }
                })
            })
            .collect();
        Ok(Self { began, requests, done, clients })
    }

    /// How long it has lasted.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Waits until the page has been served once more, or refused: to a request that begins from now on.
    pub fn wait_for_another(&self) {
        let from = self.elapsed();
        let requests = || self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        while !requests().iter().rev().any(|request| request.at >= from) {
            thread::sleep(PACE);
        }
    }

    /// The requests that have ended since `from`, in the order of their ends.
    pub fn ended_since(&self, from: Duration) -> Vec<Request> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.iter().filter(|request| request.at + request.took >= from).cloned().collect()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            // A client that has panicked has said so.
            let _ = client.join();
        }
    }
}

fn ask(agent: &Agent, url: &str, page: &str) -> Result<()> {
    let found = agent.get(url).call()?.body_mut().read_to_string()?;
    (found == page).then_some(()).ok_or_else(|| anyhow!("expected the page {page:?}, found {found:?}"))
}
