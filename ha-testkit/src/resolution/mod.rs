//! The cases of the resolution of unknown outcomes.
mod list;
crate::resolution_cases! { __registry => Resolution }
