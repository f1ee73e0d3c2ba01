/// Runs every case of the backend contract against a backend, as tests
/// `conformance::<place>::b_01_…` and so on. Several places may be given; one invocation per file.
///
/// `can` declares what the fixture can do; see [`Capability`](crate::Capability).
#[macro_export]
macro_rules! backend_conformance {
    ($($place:ident, $factory:expr, can: [$($can:ident),* $(,)?]);+ $(;)?) => {
        $crate::conformance_modules! { conformance backend_cases backend Backend $crate::run::OnBackend;
            $($place, $factory, can: [$($can),*]);+ }
    };
}

/// Runs every case of the resolution of unknown outcomes over a backend, as tests
/// `resolution::<place>::u_01_…` and so on. Arguments as of [`backend_conformance!`].
#[macro_export]
macro_rules! resolution_conformance {
    ($($place:ident, $factory:expr, can: [$($can:ident),* $(,)?]);+ $(;)?) => {
        $crate::conformance_modules! { resolution resolution_cases resolution Resolution $crate::run::OnBackend;
            $($place, $factory, can: [$($can),*]);+ }
    };
}
