//! Names of enums.

/// Gives an enum's variants names, as columns, labels and messages have them: `names!(State { Open: "open", Closed: "closed" })`.
#[macro_export]
macro_rules! names {
    ($type:ident { $($variant:ident: $name:literal),+ $(,)? }) => {
        #[allow(dead_code)] // not every enum needs both
        impl $type {
            /// All of them, in their order.
            pub const ALL: [Self; [$(Self::$variant),+].len()] = [$(Self::$variant),+];

            /// The name.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }
    };
}
