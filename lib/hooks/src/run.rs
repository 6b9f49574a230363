//! All of it together: one receiver is told for as long as a life lasts.

use crate::exchange::Failure;
use crate::message::Sender;
use crate::pace::Pace;
use crate::progress::Progress;
use api::types::Event;
use core::future::Future;

/// What there is around it.
pub trait World {
    /// The first line of the event log that is there from this number on; none if there is none yet.
    fn line(&self, from: u64) -> impl Future<Output = Option<Event>>;

    /// Waits for as long as there need be no look at the log.
    fn wait_for_news(&self) -> impl Future<Output = ()>;

    /// Sends a request to the receiver, and waits for its answer, but not for too long.
    fn post(&self, request: &[u8]) -> impl Future<Output = Result<(), Failure>>;

    /// The receiver could not be told: waits for so long.
    fn wait_after(&self, failure: Failure, wait_us: u64) -> impl Future<Output = ()>;

    /// How far the receiver was told.
    fn progress(&self) -> Progress;

    /// Notes how far the receiver was told, so that it outlives this life.
    fn note(&self, progress: &Progress);
}

/// Tells one receiver of everything, for ever.
pub async fn run<W: World>(world: &W, sender: &Sender<'_>) {
    loop {
        let progress = world.progress();
        let Some(event) = world.line(progress.next).await else {
            world.wait_for_news().await;
            continue;
        };
        let next = progress.next(event);
        if let Some(request) = sender.request(&next, progress.last) {
            let mut pace = Pace::new();
            while let Err(failure) = world.post(&request).await {
                world.wait_after(failure, pace.fail()).await;
            }
        }
        world.note(&progress.after(&next));
    }
}
