//! bonychat
