//! Which core does what, and what a sensor wants of the machine beyond that: real-time workers, memory that stays.

use std::io;
use std::thread;

use core_affinity::CoreId;
use nix::sys::mman::{MlockAllFlags, mlockall};
use rustix::process::{Resource, getrlimit};
use rustix::thread::{CapabilitySet, CpuSet, Pid, capabilities, sched_setaffinity};
use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// Which core does what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cores {
    /// The core of each worker; empty when they are not bound, or there are not enough.
    pub workers: Vec<usize>,
    /// Cores on which no worker is bound; empty when there is none left.
    pub others: Vec<usize>,
}

/// How cores are to be dealt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Workers run where the kernel lets them.
    Unbound,
    /// Each worker has a core of its own. They are counted from the last one: the first is where the system does its own work.
    Any,
    /// The same, and these are the cores, for worker 0 and on.
    These(Vec<usize>),
}

impl Cores {
    /// Deals the cores that this process may use to so many workers.
    #[must_use]
    pub fn deal(workers: usize, wanted: &Wanted) -> Self {
        let mut cores = usable();
        let mut bound = match wanted {
            Wanted::Unbound => Vec::new(),
            Wanted::Any => cores.iter().rev().copied().take(workers).collect(),
            Wanted::These(these) => these.iter().copied().take(workers).collect(),
        };
        if bound.len() < workers {
            bound.clear();
        }
        // What is named is the workers', also where there are fewer workers than names.
        let named: &[usize] = if let Wanted::These(these) = wanted { these } else { &[] };
        cores.retain(|core| !bound.contains(core) && !named.contains(core));
        Self { workers: bound, others: cores }
    }
}

/// The cores that this thread runs on as it is. It may be bound to others: those that are kept free of everything (`isolcpus`).
fn usable() -> Vec<usize> {
    let ids = core_affinity::get_core_ids().unwrap_or_default();
    ids.into_iter().map(|core| core.id).collect()
}

/// Binds this thread to a core. Returns whether there is such a core.
pub(super) fn bind(core: usize) -> bool {
    core_affinity::set_for_current(CoreId { id: core })
}

/// What `what` gives on a thread that ends at once.
fn tried<T: Send>(what: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(what).join()).expect("calls of the system do not panic")
}

/// What the machine does not grant, by the key that asks for it.
#[derive(Debug, thiserror::Error)]
pub enum NotGranted {
    /// There is no such core, or not for this process.
    #[error(
        "workers.cores names core {core}, which this machine does not have or this process may not use; it runs on {usable:?}"
    )]
    Core {
        /// The core.
        core: usize,
        /// Those that there are.
        usable: Vec<usize>,
    },
    /// Real-time workers would take every core there is.
    #[error(
        "workers.scheduling = \"fifo\": {workers} workers leave no core of {usable:?} to the kernel's part of receiving and to everything else; set workers.count below the number of cores"
    )]
    NoCoreLeft {
        /// Workers wanted.
        workers: usize,
        /// Cores that there are.
        usable: Vec<usize>,
    },
    /// This process may not have real-time threads.
    #[error(
        "workers.scheduling = \"fifo\" with workers.priority = {priority}: {source}; needs LimitRTPRIO={priority} (or CAP_SYS_NICE), and of the unit RestrictRealtime=no and SystemCallFilter=sched_setscheduler"
    )]
    RealTime {
        /// The priority.
        priority: u8,
        /// What the kernel said.
        source: io::Error,
    },
    /// Other threads can't be kept off the workers' cores.
    #[error("workers.cores: the other threads can't be kept off the workers' cores: {0}")]
    Affinity(io::Error),
    /// Only so much memory may be locked.
    #[error(
        "workers.lock_memory = true: only {bytes} bytes may be locked, and a sensor maps more as it goes; needs LimitMEMLOCK=infinity (`ulimit -l unlimited`), or CAP_IPC_LOCK"
    )]
    Bounded {
        /// The limit.
        bytes: u64,
    },
    /// Memory can't be locked.
    #[error("workers.lock_memory = true: {0}; needs SystemCallFilter=@memlock of the unit")]
    Memory(io::Error),
}

/// What a sensor asks of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Demands<'a> {
    /// Who runs where.
    pub cores: &'a Cores,
    /// Workers.
    pub workers: usize,
    /// Their real-time priority; `None`: ordinary threads.
    pub fifo: Option<u8>,
    /// Whether the cores of workers are theirs alone.
    pub alone: bool,
    /// Whether nothing of this process may leave memory.
    pub lock_memory: bool,
}

impl Demands<'_> {
    /// Whether the machine grants them to this process. Changes nothing.
    ///
    /// # Errors
    ///
    /// The first that it does not grant.
    pub fn check(&self) -> Result<(), NotGranted> {
        let usable = usable();
        if let Some(core) = self.cores.workers.iter().find(|core| !tried(|| bind(**core))) {
            return Err(NotGranted::Core { core: *core, usable });
        }
        if let Some(priority) = self.fifo {
            if self.cores.workers.is_empty() || self.cores.others.is_empty() {
                return Err(NotGranted::NoCoreLeft { workers: self.workers, usable });
            }
            tried(|| real_time(priority))
                .map_err(|source| NotGranted::RealTime { priority, source })?;
        }
        if self.lock_memory
            && let Some(bytes) = getrlimit(Resource::Memlock).current
            && !may_lock_all()
        {
            return Err(NotGranted::Bounded { bytes });
        }
        Ok(())
    }

    /// Takes what is granted to the whole process, before it makes its tables and threads: the workers take the rest themselves.
    ///
    /// # Errors
    ///
    /// The first that is not granted.
    pub fn take(&self) -> Result<(), NotGranted> {
        self.check()?;
        if self.lock_memory {
            // As pages are touched: else the whole of every thread's stack and of the allocator's reserve would be taken.
            let on_fault = MlockAllFlags::from_bits_retain(libc::MCL_ONFAULT);
            mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE | on_fault)
                .map_err(|error| NotGranted::Memory(error.into()))?;
        }
        if (self.alone || self.fifo.is_some()) && !self.cores.others.is_empty() {
            keep_to(&self.cores.others).map_err(NotGranted::Affinity)?;
        }
        Ok(())
    }
}

fn may_lock_all() -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK))
}

/// Keeps every thread that there is to these cores, and so the threads that they start.
fn keep_to(cores: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for core in cores.iter().filter(|core| **core < CpuSet::MAX_CPU) {
        set.set(*core);
    }
    for task in std::fs::read_dir("/proc/self/task")? {
        let id = task?.file_name().to_str().and_then(|name| name.parse().ok());
        match sched_setaffinity(id.and_then(Pid::from_raw), &set) {
            // It has ended meanwhile.
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Makes this thread one of real time, which gives its core up to none of a lower priority until it waits.
pub(super) fn real_time(priority: u8) -> io::Result<()> {
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    let value = priority.try_into().map_err(io::Error::other)?;
    set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Crossplatform(value), policy)
        .map_err(|error| match error {
            thread_priority::Error::OS(number) => io::Error::from_raw_os_error(number),
            other => io::Error::other(other.to_string()),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_take_the_last_cores_or_those_that_are_named_and_none_where_there_are_too_few() {
        let all = usable();
        let any = Cores::deal(1, &Wanted::Any);
        assert_eq!(any.workers, [*all.last().unwrap()]);
        assert_eq!(any.others.len(), all.len() - 1);
        let named = Cores::deal(1, &Wanted::These(vec![all[0], 900]));
        assert_eq!(named.workers, [all[0]]);
        assert!(!named.others.contains(&all[0]));
        let few = [Cores::deal(all.len() + 1, &Wanted::Any), Cores::deal(1, &Wanted::Unbound)];
        for cores in few {
            assert_eq!(cores, Cores { workers: vec![], others: all.clone() });
        }
    }

    #[test]
    fn what_the_machine_can_not_give_is_refused_by_the_key_that_asks_for_it() {
        let demand = |cores: &Cores, fifo| {
            let demands = Demands {
                cores,
                workers: cores.workers.len(),
                fifo,
                alone: true,
                lock_memory: false,
            };
            demands.check().unwrap_err().to_string()
        };
        let missing = Cores { workers: vec![900], others: vec![0] };
        let said = demand(&missing, None);
        assert!(said.starts_with("workers.cores names core 900, "), "{said}");
        let all = Cores { workers: usable(), others: vec![] };
        let said = demand(&all, Some(1));
        assert!(said.contains("workers leave no core of"), "{said}");
    }
}
