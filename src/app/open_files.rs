//! The limit of open files: raised at the start, and divided between the callers' connections and everything else that
//! needs a descriptor.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Most connections of callers, whatever the limit of open files: each may hold 16 KiB of header, so 64 MiB in all.
const MOST_CONNECTIONS: u64 = 4096;
/// Descriptors reserved for the calls to Afilnet and BonyChat, the store and the operators, if there are enough.
const RESERVE: u64 = 1024;

/// Raises this process's soft limit of open files to the hard one. Returns the limit that holds.
pub(super) fn raise() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the limit of open files cannot be raised to {maximum:?}: it stays {current:?}"
        );
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Returns how many connections of callers may be open at a time under a limit of `open_files`: half of it if it is
/// small.
pub(super) fn connection_limit(open_files: u64) -> usize {
    let reserve = RESERVE.min(open_files / 2);
    usize::try_from((open_files - reserve).clamp(1, MOST_CONNECTIONS)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_leave_descriptors_for_the_rest() {
        for (open_files, connections) in
            [(0, 1), (64, 32), (256, 128), (1024, 512), (4096, 3072), (20_000, 4096), (u64::MAX, 4096)]
        {
            assert_eq!(connection_limit(open_files), connections, "{open_files}");
        }
    }
}
