//! Who asks.

use crate::message::{Answer, Question, Reply, Request, decode, encode};
use crate::{MAX_MESSAGE, open};
use alloc::vec;
use alloc::vec::Vec;
use cable::{End, Side};
use core::fmt;
use uk_abi::Words;

/// How often something is asked again because whoever is asked has begun a new life. Something that kills whoever does it is given up then.
const TRIES: u32 = 4;

/// How many messages are looked at in one go, so that whoever sends without end keeps nobody.
const AT_ONCE: usize = 64;

/// The end that asks, one thing at a time.
#[derive(Debug)]
pub struct Asker<W> {
    end: End<W>,
    /// The number of the last request.
    number: u64,
    /// What was asked, to be asked again; empty when nothing is awaited.
    question: Vec<u8>,
    tries_left: u32,
    buffer: Vec<u8>,
}

/// There is no room on the cable: nobody takes what was asked before, or it is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody takes what is asked")
    }
}

impl core::error::Error for NoRoom {}

/// What was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing that matters; to be woken at the next event.
    Nothing,
    /// It was asked again: the other end is to be told.
    AskedAgain,
    /// The answer, and its data.
    Answer(Answer, Vec<u8>),
    /// It was asked again and again, and each time whoever was asked has begun a new life.
    GivenUp,
}

impl<W: Words> Asker<W> {
    /// This end in `words`, in life number `life` of this program; none if the words are too few.
    pub fn new(words: W, side: Side, life: u64) -> Option<Self> {
        let end = open(words, side)?;
        let number = life << 32;
        Some(Self { end, number, question: Vec::new(), tries_left: 0, buffer: vec![0; MAX_MESSAGE] })
    }

    /// Makes room: what has come so far is an answer to nothing that is still awaited.
    fn pass_over(&mut self) {
        for _ in 0..AT_ONCE {
            if self.end.receive(&mut self.buffer).is_none() {
                return;
            }
        }
    }

    /// Asks for something. The other end must be told afterwards. What was asked before, and not answered, is given up.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn ask(&mut self, request: Request, data: &[u8]) -> Result<(), NoRoom> {
        self.pass_over();
        self.number += 1;
        self.question = encode(&Question { number: self.number, request }, data).ok_or(NoRoom)?;
        self.tries_left = TRIES;
        if self.end.send(&self.question) {
            return Ok(());
        }
        self.question.clear();
        Err(NoRoom)
    }

    /// What has come meanwhile.
    pub fn hear(&mut self) -> Heard {
        for _ in 0..AT_ONCE {
            let Some(length) = self.end.receive(&mut self.buffer) else { break };
            match decode(&self.buffer[..length]) {
                Some((Reply::To(number, answer), data)) if number == self.number && self.awaits() => {
                    self.question.clear();
                    return Heard::Answer(answer, data.to_vec());
                }
                Some((Reply::Begun, _)) if self.awaits() => return self.ask_again(),
                // To a life before, or to what was given up, or no message.
                Some(_) | None => {}
            }
        }
        Heard::Nothing
    }

    fn awaits(&self) -> bool {
        !self.question.is_empty()
    }

    fn ask_again(&mut self) -> Heard {
        match self.tries_left.checked_sub(1) {
            Some(left) => self.tries_left = left,
            None => {
                self.question.clear();
                return Heard::GivenUp;
            }
        }
        // Without room it is still there: nobody has taken it.
        self.end.send(&self.question);
        Heard::AskedAgain
    }
}
