//! Which cases there are. One list per suite drives the tests, this registry and the document.

use crate::factory::Capability;

/// What a case is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Level {
    /// The clauses of the backend contract.
    Backend,
    /// The resolution of unknown outcomes.
    Resolution,
    /// The services on top.
    Services,
}

/// One case.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The name of its function, which begins with its id.
    pub name: &'static str,
    /// What must be true.
    pub claim: &'static str,
    /// What it is about.
    pub level: Level,
    /// What it needs from the fixture.
    pub needs: &'static [Capability],
}

impl Case {
    /// Its lasting id, such as `B-07`.
    #[must_use]
    pub fn id(&self) -> String {
        let mut parts = self.name.splitn(3, '_');
        let (suite, number) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        format!("{}-{number}", suite.to_uppercase())
    }
}

/// All cases, suite by suite.
///
/// # To add a suite on another level
/// 1. A module of groups, `pub async fn <letters>_<number>_<claim>(fixture)` each, and beside them
///    a list macro like `backend_cases!`, closed by `crate::<list>! { __registry => <Level> }`.
/// 2. A factory for what its cases work on, and a tuple struct around it that implements
///    [`Open`](crate::run::Open), as [`OnBackend`](crate::run::OnBackend) does.
/// 3. A macro of three lines like [`backend_conformance!`](crate::backend_conformance), which
///    hands list, module, level and that struct to `conformance_modules!`.
/// 4. The suite's `cases()` here, and its places in [`PLACES`](crate::document::PLACES).
#[must_use]
pub fn cases() -> Vec<Case> {
    [crate::backend::cases(), crate::resolution::cases()].concat()
}

/// Turns one list of cases into a registry: `fn cases() -> Vec<Case>`.
#[doc(hidden)]
#[macro_export]
macro_rules! __registry {
    ([$level:ident] $($group:ident :: $name:ident [$($need:ident)*] $claim:literal;)*) => {
        /// The cases of this suite.
        #[must_use]
        pub fn cases() -> Vec<$crate::registry::Case> {
            vec![$($crate::registry::Case {
                name: stringify!($name),
                claim: $claim,
                level: $crate::registry::Level::$level,
                needs: &[$($crate::Capability::$need),*],
            }),*]
        }
    };
}

/// Turns one list of cases into one `#[test]` per case.
#[doc(hidden)]
#[macro_export]
macro_rules! __tests {
    ([$suite:ident $level:ident ($place:expr) ($open:expr) ($can:expr)]
     $($group:ident :: $name:ident [$($need:ident)*] $claim:literal;)*) => {
        $(
            #[test]
            fn $name() {
                let case = $crate::registry::Case {
                    name: stringify!($name),
                    claim: $claim,
                    level: $crate::registry::Level::$level,
                    needs: &[$($crate::Capability::$need),*],
                };
                let body = |fixture| -> $crate::run::Running { Box::pin($crate::$suite::$group::$name(fixture)) };
                $crate::run::test($place, &case, $open, &$can, body);
            }
        )*
    };
}

/// Turns one list of cases into a function that finds a case by name and runs it.
#[doc(hidden)]
#[macro_export]
macro_rules! __dispatch {
    ([$suite:ident] $($group:ident :: $name:ident [$($need:ident)*] $claim:literal;)*) => {
        /// The body of the case of that name.
        #[must_use]
        pub fn body(name: &str, fixture: $crate::Fixture) -> Option<$crate::run::Running> {
            match name {
                $(stringify!($name) => Some(Box::pin($crate::$suite::$group::$name(fixture))),)*
                _ => None,
            }
        }
    };
}

/// The modules `conformance::<place>` of one suite; what `backend_conformance!` and its sisters
/// stand on, and what another suite's macro stands on too.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_modules {
    ($module:ident $list:ident $suite:ident $level:ident $open:path;
     $($place:ident, $factory:expr, can: [$($can:ident),* $(,)?]);+ $(;)?) => {
        mod $module {
            $(mod $place {
                #[allow(unused_imports, reason = "the factory may be named by its whole path")]
                use super::super::*;
                $crate::$list! { __tests => $suite $level
                    (concat!(stringify!($module), "::", stringify!($place)))
                    ($open($factory)) ([$($crate::Capability::$can),*]) }
            })+
        }
    };
}
