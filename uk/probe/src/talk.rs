//! Talking to others through memory that root keeps: each asks each of the others, again and again, and answers.
//!
//! A round is a question with a number, and the same number as the answer. Nobody asks again before it was answered,
//! and nobody looks without being woken: an event that got lost ends the conversation for good, whoever was restarted
//! meanwhile. The numbers go on where the last life left them, because they stand in memory that outlives it.
//!
//! ```text
//! for n who share it:  n * n questions (asker, asked) | n * n answers (answerer, asker) | n lives
//! ```

use crate::journal::Journal;
use core::cell::RefCell;
use core::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Release};
use libos::Uk;
use libos::channel::Channel;
use libos::futures::select::select;
use libos::time::{Duration, Timer};
use libos::xen_abi::Domid;

/// Others that one probe talks to at most.
pub const MAX_PARTNERS: usize = 3;

/// From the end of a round to the next question.
const PAUSE: Duration = Duration::from_millis(10);

/// What two who talk know of each other.
pub struct Conversation {
    words: &'static [AtomicU64],
    /// How many share the memory, and which of them these two are.
    members: usize,
    own: usize,
    other: usize,
    channel: Channel,
}

impl Conversation {
    /// The conversations with all who share the memory called `name`, of which this is life `life`.
    ///
    /// # Panics
    /// If there is no such memory, or too many share it.
    pub fn all(uk: &Uk, name: &str, life: u64) -> [Option<Self>; MAX_PARTNERS] {
        let Some(memory) = uk.shared(name) else { panic!("there is no shared memory {name}") };
        let (words, others) = (memory.words(), memory.others());
        let members = others.clone().count() + 1;
        assert!(members <= MAX_PARTNERS + 1, "{members} share {name}, a probe talks to {MAX_PARTNERS}");
        let own = others.clone().filter(|other| *other < uk.domid()).count();
        words[2 * members * members + own].store(seal(life), Release);
        let mut conversations = [const { None }; MAX_PARTNERS];
        for (place, (index, peer)) in conversations.iter_mut().zip(others.enumerate()) {
            let other = if peer < uk.domid() { index } else { index + 1 };
            *place = uk.channel(peer).map(|channel| Self { words, members, own, other, channel });
        }
        conversations
    }

    /// The partner.
    fn partner(&self) -> Domid {
        self.channel.peer()
    }

    fn question(&self, from: usize, to: usize) -> &'static AtomicU64 {
        &self.words[from * self.members + to]
    }

    fn answer(&self, from: usize, to: usize) -> &'static AtomicU64 {
        &self.words[self.members * self.members + from * self.members + to]
    }

    /// The partner's life, as it says itself.
    fn partners_life(&self) -> u64 {
        read(&self.words[2 * self.members * self.members + self.other])
    }

    /// Answers what the partner asks; answers whether there was a question.
    fn reply(&self) -> bool {
        let asked = self.question(self.other, self.own).load(Acquire);
        let answer = self.answer(self.own, self.other);
        let is_new = answer.load(Acquire) != asked;
        answer.store(asked, Release);
        is_new
    }

    /// Talks for ever, and says whom to whenever that begins a new life.
    ///
    /// # Panics
    /// If the memory has forgotten what the journal knows.
    pub async fn hold(self, journal: &'static RefCell<Journal>) {
        let partner = self.partner();
        let (question, answer) = (self.question(self.own, self.other), self.answer(self.other, self.own));
        let mut number = read(question);
        let known = journal.borrow().question(partner.0.into());
        assert!(number >= known, "{number} questions to {partner} are in memory, {known} in the journal");
        let mut heard = 0;
        loop {
            if self.reply() {
                self.channel.notify();
            }
            if read(answer) != number {
                self.channel.wait().await;
                continue;
            }
            if number > 0 && self.partners_life() != heard {
                heard = self.partners_life();
                log::info!("talks with {partner} in its life {heard}");
            }
            select(self.channel.wait(), Timer::after(PAUSE)).await;
            number += 1;
            question.store(seal(number), Release);
            journal.borrow_mut().set_question(partner.0.into(), number);
            self.channel.notify();
        }
    }
}

/// Marks a number, so that it is told from what nobody has written.
fn seal(number: u64) -> u64 {
    number << 32 | u64::from((number as u32).wrapping_mul(0x9e37_79b9) ^ 0x5bd1_e995)
}

/// The number that was sealed in a word; 0 where none was.
fn read(word: &AtomicU64) -> u64 {
    let word = word.load(Acquire);
    if seal(word >> 32) == word { word >> 32 } else { 0 }
}

/// One of the tasks that talk.
#[libos::task(embassy_executor = libos::embassy_executor, pool_size = MAX_PARTNERS)]
pub async fn talk(conversation: Conversation, journal: &'static RefCell<Journal>) {
    conversation.hold(journal).await;
}
