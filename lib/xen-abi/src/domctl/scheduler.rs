//! A domain's share of the CPUs.

use crate::GuestHandle;
use crate::payload::Payload;

numbers! {
    /// A scheduler.
    pub enum SchedulerId: u32 {
        /// Credit.
        Credit = 5,
        /// Credit2, the default.
        Credit2 = 6,
        /// ARINC 653.
        Arinc653 = 7,
        /// Real-time.
        Rtds = 8,
        /// One vCPU for each CPU.
        Null = 9,
    }

    /// The command of a [`SchedulerOp`].
    pub enum SchedulerOpCommand: u32 {
        /// Sets the domain's parameters.
        PutInfo = 0,
        /// Gets them.
        GetInfo = 1,
        /// Sets those of vCPUs.
        PutVcpuInfo = 2,
        /// Gets them.
        GetVcpuInfo = 3,
    }
}

flags! {
    /// How a real-time vCPU is scheduled.
    pub struct RtdsFlags: u32 {
        /// It may have idle time beyond its budget.
        const EXTRA = 1 << 0;
    }
}

structs! {
    /// Parameters of Credit and of Credit2.
    pub struct Credit: 4 {
        /// The domain's share, relative to others': 256 by default, at most 65535.
        pub weight: u16,
        /// The most that it gets, in percent of one CPU (at most 100 for each vCPU); 0 for no limit.
        pub cap: u16,
    }

    /// Parameters of the real-time scheduler.
    pub struct Rtds: 12 {
        /// In us.
        pub period: u32,
        /// In us.
        pub budget: u32,
        /// How.
        pub flags: RtdsFlags,
    }

    /// Parameters of vCPUs.
    pub struct SchedulerVcpus: 16 {
        /// An array of them.
        pub vcpus: GuestHandle,
        /// How many.
        pub nr_vcpus: u32,
        /// Zero.
        pub padding: u32,
    }

    /// Sets or gets the parameters of a domain. A weight of 0 leaves the weight as it
    /// is; the cap is set in any case.
    pub struct SchedulerOp: 24 {
        /// A [`SchedulerId`]: the scheduler of the domain's pool.
        pub sched_id: u32,
        /// A [`SchedulerOpCommand`].
        pub cmd: u32,
        /// A [`Credit`], [`Rtds`] or [`SchedulerVcpus`].
        pub u: Payload<2>,
    }
}

impl SchedulerOp {
    /// Sets weight and cap under Credit or Credit2.
    pub fn put_credit(scheduler: SchedulerId, credit: Credit) -> Self {
        let cmd = SchedulerOpCommand::PutInfo.raw();
        Self { sched_id: scheduler.raw(), cmd, u: Payload::new(&credit) }
    }

    /// Asks for the domain's parameters, to be found in `u`.
    pub fn get(scheduler: SchedulerId) -> Self {
        let cmd = SchedulerOpCommand::GetInfo.raw();
        Self { sched_id: scheduler.raw(), cmd, u: Payload::EMPTY }
    }
}
