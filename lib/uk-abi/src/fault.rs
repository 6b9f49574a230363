//! The faults that a unikernel can be told to have.

use core::fmt;
use core::str::FromStr;

/// A number or a name that is no fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownFault;

impl fmt::Display for UnknownFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such fault; the faults are:")?;
        Fault::ALL.iter().try_for_each(|fault| write!(f, " {fault}"))
    }
}

impl core::error::Error for UnknownFault {}

macro_rules! faults {
    ($($(#[$doc:meta])* $variant:ident = $id:literal, $name:literal;)*) => {
        /// A fault to be injected: what the console command `inject <component> <fault>` names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Fault {
            $($(#[$doc])* $variant = $id,)*
        }

        impl Fault {
            /// All faults, in the order of their numbers.
            pub const ALL: [Fault; [$($id),*].len()] = [$(Fault::$variant),*];

            /// The name, as in the console command.
            pub const fn name(self) -> &'static str {
                match self { $(Fault::$variant => $name),* }
            }
        }
    };
}

faults! {
    /// A Rust panic in a task.
    Panic = 1, "panic";
    /// An undefined instruction.
    Ud2 = 2, "ud2";
    /// A store through a null pointer.
    NullStore = 3, "null-store";
    /// The stack pointer is set to an address that is not mapped, then used: no frame can be pushed for the
    /// exception.
    BadSp = 4, "bad-sp";
    /// Recursion runs through the end of the stack into its guard.
    StackOverflow = 5, "stack-overflow";
    /// The heap's own book-keeping is overwritten, then used.
    HeapCorrupt = 6, "heap-corrupt";
    /// Rubbish is written all over .data and .bss.
    WildData = 7, "wild-data";
    /// A store to the program's text, which is not writable.
    WildText = 8, "wild-text";
    /// The program changes its own page tables through hypercalls, and uses what they now say.
    WildPt = 9, "wild-pt";
    /// A loop that never ends: the executor gets no turn, the processor is busy.
    TightLoop = 10, "tight-loop";
    /// The vCPU blocks and waits for nothing: no turn for the executor, no processor time either.
    BlockForever = 11, "block-forever";
    /// The heartbeat stops while work goes on.
    LostHeartbeat = 12, "lost-heartbeat";
    /// The heart beats on, but work that is waiting is never done.
    BeatNoProgress = 13, "beat-no-progress";
    /// Crashes after the first beat, in as many incarnations as the argument says, the present one among them.
    CrashLoop = 14, "crash-loop";
    /// Crashes before the first beat, in as many incarnations as the argument says. The present one, which has
    /// beaten, crashes besides.
    CrashAtBoot = 15, "crash-at-boot";
    /// Allocates memory until there is none.
    ExhaustMemory = 16, "exhaust-memory";
    /// Rings root's doorbell without pause.
    FloodEvents = 17, "flood-events";
    /// Writes log records without pause.
    FloodLog = 18, "flood-log";
    /// Tells its device to write to memory of somebody else, at the machine address that the argument gives.
    RogueDma = 19, "rogue-dma";
    /// The driver of its device crashes: a trap in the driver's code.
    DriverCrash = 20, "driver-crash";
    /// The driver of its device takes what it is given, and never says that it is done.
    DriverHang = 21, "driver-hang";
    /// The backend that serves guests crashes: a trap in its code.
    BackendCrash = 22, "backend-crash";
    /// The backend that serves guests takes nothing from their rings any more.
    BackendHang = 23, "backend-hang";
    /// The toolstack crashes at a step of its journal: after as many beginnings and ends of steps from now on as the argument says.
    StepCrash = 24, "step-crash";
    /// Flips a bit of a node of XenStore: of its path, permissions, value, or times. Which one the argument decides, as it
    /// does for all that flip bits.
    FlipNode = 32, "flip-node";
    /// Flips a bit of what holds XenStore's nodes together: links, lists of children, index.
    FlipTree = 33, "flip-tree";
    /// Flips a bit of a digest of a node of XenStore.
    FlipDigest = 34, "flip-digest";
    /// Flips a bit of what XenStore knows of a connection, or of a watch.
    FlipClient = 35, "flip-client";
    /// Flips a bit of the log in the recovery box of XenStore's master or of a replica.
    FlipVault = 36, "flip-vault";
    /// Flips a bit of a client's session in the recovery box of XenStore's master.
    FlipSession = 37, "flip-session";
    /// Flips a bit of a channel between XenStore's master and a replica.
    FlipChannel = 38, "flip-channel";
    /// Flips a bit of one value of XenStore wherever this member has it: in its memory, and in each record of its log.
    FlipCopies = 39, "flip-copies";
}

impl Fault {
    /// Those that flip bits of XenStore.
    pub const FLIPS: [Fault; 8] = [
        Fault::FlipNode,
        Fault::FlipTree,
        Fault::FlipDigest,
        Fault::FlipClient,
        Fault::FlipVault,
        Fault::FlipSession,
        Fault::FlipChannel,
        Fault::FlipCopies,
    ];

    /// The number, as in the health page's command word. Never 0.
    pub const fn id(self) -> u32 {
        self as u32
    }
}

impl TryFrom<u32> for Fault {
    type Error = UnknownFault;

    fn try_from(id: u32) -> Result<Self, UnknownFault> {
        Fault::ALL.into_iter().find(|fault| fault.id() == id).ok_or(UnknownFault)
    }
}

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(name: &str) -> Result<Self, UnknownFault> {
        Fault::ALL.into_iter().find(|fault| fault.name() == name).ok_or(UnknownFault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn names_and_numbers_lead_back_to_the_fault() {
        for fault in Fault::ALL {
            assert_eq!(Fault::try_from(fault.id()), Ok(fault));
            assert_eq!(fault.to_string().parse(), Ok(fault));
            assert_ne!(fault.id(), 0, "0 is what an empty command word says");
        }
    }

    #[test]
    fn what_is_no_fault_is_refused() {
        assert_eq!(Fault::try_from(0), Err(UnknownFault));
        assert_eq!(Fault::try_from(u32::MAX), Err(UnknownFault));
        assert_eq!("Panic".parse::<Fault>(), Err(UnknownFault));
        assert!(UnknownFault.to_string().contains("rogue-dma"));
    }
}
