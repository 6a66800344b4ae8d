//! What operators ask of a bridge: the verbs that commands share, without their words on a terminal.

pub(crate) mod advice;
pub(crate) mod doctor;
pub(crate) mod local;
