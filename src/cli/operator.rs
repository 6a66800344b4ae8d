//! Who gives the command: for the audit, which is a record among colleagues and no proof of identity.

use std::os::unix::fs::MetadataExt as _;

use crate::domain::journey::{Means, Operator};

/// Variables that name the person, the first that is set: behind sudo, the one who called it.
const NAMES: &[&str] = &["SUDO_USER", "USER", "LOGNAME"];

/// Returns the person at the command line, by the number of the user where no name is known, as in a container.
pub(super) fn operator(why: Option<&str>) -> Operator {
    let named = NAMES.iter().filter_map(|name| std::env::var(name).ok()).find(|who| !who.trim().is_empty());
    let who = named.unwrap_or_else(|| match std::fs::metadata("/proc/self") {
        Ok(process) => format!("user {}", process.uid()),
        Err(_) => "somebody".to_owned(),
    });
    Operator::new(&who, Means::Cli, why)
}
