//! afilnet
