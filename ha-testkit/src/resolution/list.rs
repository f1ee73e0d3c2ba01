/// The list of all cases of the resolution of unknown outcomes, as `backend_cases!`.
#[doc(hidden)]
#[macro_export]
macro_rules! resolution_cases {
    ($callback:ident => $($arguments:tt)*) => {
        $crate::$callback! {
            [$($arguments)*]
        }
    };
}
