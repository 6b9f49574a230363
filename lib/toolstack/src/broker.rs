//! Asking root's broker for something, and waiting for the answer.

use broker::{Answer, AskError, Client, DomainInfo, Outcome, Refusal, Request, Ticket};
use core::cell::RefCell;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll};
use uk_abi::Words;
use xen_abi::Domid;
use xen_abi::domctl::DomainHandle;
use xenstore_session::Doorbell;

/// The way to root's broker. Requests may be made while others are under way; root carries them out in the order in which
/// they were made.
///
/// All that wait here wait in one task: whoever hears the doorbell and finds that it rings for somebody else has the whole
/// task look again.
#[derive(Debug)]
pub struct Broker<W, B> {
    client: RefCell<Client<W>>,
    bell: B,
}

/// A request that is under way. To drop it gives up waiting: it is carried out all the same.
#[derive(Debug)]
#[must_use = "its answer says whether it was carried out"]
pub struct Pending<'b, W: Words, B> {
    broker: &'b Broker<W, B>,
    ticket: Option<Ticket>,
}

impl<W: Words, B: Doorbell> Broker<W, B> {
    /// The broker's slots, and root's doorbell.
    pub const fn new(client: Client<W>, bell: B) -> Self {
        Self { client: RefCell::new(client), bell }
    }

    /// Waits until all that an earlier life has asked for is answered. Before that, it may still happen.
    pub async fn settle(&self) {
        self.bell.ring();
        self.when(|client| client.is_settled().then_some(())).await;
    }

    /// Makes a request aside from all else, with the data that go with it, as soon as there is room for one. Whoever has such requests
    /// under way must not wait here: the room may be what those take whose answers nobody takes meanwhile.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] for more data than go with a request.
    pub async fn post(&self, request: &Request, data: &[u8]) -> Result<Pending<'_, W, B>, Refusal> {
        self.asked(self.when(|client| ask_aside(client, request, data)).await)
    }

    /// Makes a request aside from all else if there is room for one.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] for more data than go with a request.
    pub fn try_post(&self, request: &Request, data: &[u8]) -> Result<Option<Pending<'_, W, B>>, Refusal> {
        let asked = ask_aside(&mut self.client.borrow_mut(), request, data);
        asked.map(|asked| self.asked(asked)).transpose()
    }

    fn asked(&self, asked: Result<Ticket, AskError>) -> Result<Pending<'_, W, B>, Refusal> {
        let ticket = asked.map_err(|_| Refusal::Malformed)?;
        self.bell.ring();
        Ok(Pending { broker: self, ticket: Some(ticket) })
    }

    /// Makes a request, and waits for its answer. Only one at a time is made so: there is always room for it.
    ///
    /// # Errors
    /// Root's.
    pub async fn ask(&self, request: &Request) -> Outcome {
        let asked = self.when(|client| match client.ask(request, &[]) {
            Err(AskError::Busy) => None,
            asked => Some(asked),
        });
        self.asked(asked.await)?.answer().await
    }

    /// Makes a request aside from all else, and waits for its answer.
    ///
    /// # Errors
    /// Root's.
    pub async fn ask_aside(&self, request: &Request) -> Outcome {
        self.post(request, &[]).await?.answer().await
    }

    /// The domain with this UUID, if the asker has one.
    ///
    /// # Errors
    /// Root's.
    pub async fn find(&self, handle: DomainHandle) -> Result<Option<Domid>, Refusal> {
        match self.ask(&Request::Find { handle }).await? {
            Answer::Domain(found) => Ok(found.map(|(domid, _)| domid)),
            _ => Err(Refusal::Malformed),
        }
    }

    /// The asker's next domain above `after`.
    ///
    /// # Errors
    /// Root's.
    pub async fn next(&self, after: Domid) -> Result<Option<(Domid, DomainHandle)>, Refusal> {
        match self.ask(&Request::Next { after }).await? {
            Answer::Domain(found) => Ok(found),
            _ => Err(Refusal::Malformed),
        }
    }

    /// What has become of a domain; none if it is not there any more.
    ///
    /// # Errors
    /// Root's.
    pub async fn info(&self, domain: Domid) -> Result<Option<DomainInfo>, Refusal> {
        match self.ask(&Request::Info { domain }).await {
            Ok(Answer::Info(info)) => Ok(Some(info)),
            Ok(_) => Err(Refusal::Malformed),
            Err(Refusal::NotYours { .. }) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// Waits until `look` has found something.
    async fn when<T>(&self, mut look: impl FnMut(&mut Client<W>) -> Option<T>) -> T {
        poll_fn(|context| {
            loop {
                if let Some(found) = look(&mut self.client.borrow_mut()) {
                    return Poll::Ready(found);
                }
                if self.listen(context).is_pending() {
                    return Poll::Pending;
                }
                // It may have rung for somebody else, who has looked already.
                context.waker().wake_by_ref();
            }
        })
        .await
    }

    /// Whether root has rung; if not, the task is woken when it does.
    fn listen(&self, context: &mut Context<'_>) -> Poll<()> {
        pin!(self.bell.wait()).poll(context)
    }

    /// Waits until root has rung.
    pub async fn rung(&self) {
        self.bell.wait().await;
    }
}

/// Asks if there is more room than for the one request for whose answer everything waits: the answers to those aside may be taken only
/// after that.
fn ask_aside<W: Words>(
    client: &mut Client<W>,
    request: &Request,
    data: &[u8],
) -> Option<Result<Ticket, AskError>> {
    (client.room() > 1).then(|| client.ask(request, data))
}

impl<W: Words, B: Doorbell> Pending<'_, W, B> {
    /// Waits for the answer.
    ///
    /// # Errors
    /// Root's.
    pub async fn answer(mut self) -> Outcome {
        let broker = self.broker;
        let ticket = &mut self.ticket;
        broker
            .when(|client| match client.take(ticket.take()?) {
                Ok(outcome) => Some(outcome),
                Err(waiting) => {
                    *ticket = Some(waiting);
                    None
                }
            })
            .await
    }
}

impl<W: Words, B> Drop for Pending<'_, W, B> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.broker.client.borrow_mut().abandon(ticket);
        }
    }
}
