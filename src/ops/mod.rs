//! What operators ask and decide, for every way in which they do: the command line names these verbs, and so may pages and an API.

pub(crate) mod advice;
pub(crate) mod decide;
pub(crate) mod doctor;
pub(crate) mod find;
pub(crate) mod local;
pub(crate) mod sign_in;
