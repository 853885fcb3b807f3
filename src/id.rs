//! Newtypes for the indexes a compiled plan uses instead of names.

macro_rules! index {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// The position in the plan's table.
            #[must_use]
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl From<usize> for $name {
            fn from(index: usize) -> Self {
                Self(u32::try_from(index).expect("a plan has fewer than 2^32 entries"))
            }
        }
    };
}

index!(
    /// A route of the plan, in the order of `Plan::routes`.
    RouteId
);
index!(
    /// A service of the plan, in the order of `Plan::services`.
    ServiceId
);
index!(
    /// A Composition of the plan, in the order of `Plan::compositions`.
    CompositionId
);
index!(
    /// A step of a composition, in file order.
    StepId
);
