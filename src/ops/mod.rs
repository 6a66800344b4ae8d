//! Operations of operators, shared by the command line, the pages and the API.

pub(crate) mod advice;
pub(crate) mod audit;
pub(crate) mod bulk;
pub(crate) mod calls;
pub(crate) mod conversation;
pub(crate) mod decide;
pub(crate) mod doctor;
pub(crate) mod export;
pub(crate) mod failed;
pub(crate) mod find;
pub(crate) mod job_runner;
pub(crate) mod journey;
pub(crate) mod learned;
pub(crate) mod live;
pub(crate) mod local;
pub(crate) mod overview;
pub(crate) mod pause;
pub(crate) mod redact;
pub(crate) mod settings;
pub(crate) mod sign_in;
pub(crate) mod tail;
