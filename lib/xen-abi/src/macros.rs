//! The three shapes that Xen's headers are made of: structures, numbers and flags.

/// Declares structures that have C's layout, with their sizes in bytes: `pub struct Name: 24 { fields }`.
///
/// zerocopy's `IntoBytes` refuses implicit padding, so that nothing of the caller's memory leaks into a
/// hypercall buffer. All zeroes is a valid value of each, and its default.
macro_rules! structs {
    ($($(#[$meta:meta])* pub struct $name:ident: $size:literal {
        $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)*
    })*) => {$(
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
        }

        const _: () = assert!(size_of::<$name>() == $size);

        impl Default for $name {
            fn default() -> Self {
                zerocopy::FromZeros::new_zeroed()
            }
        }
    )*};
}

/// Declares enums of numbers that Xen defines, with conversions in both directions.
macro_rules! numbers {
    ($($(#[$meta:meta])* pub enum $name:ident: $repr:ident {
        $($(#[$variant_meta:meta])* $variant:ident = $value:expr,)*
    })*) => {$(
        $(#[$meta])*
        #[repr($repr)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        pub enum $name {
            $($(#[$variant_meta])* $variant = $value,)*
        }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The number as Xen knows it.
            pub const fn raw(self) -> $repr {
                self as $repr
            }

            /// The value that Xen's number stands for; none if the number is not one of these.
            pub const fn from_raw(raw: $repr) -> Option<Self> {
                $(if raw == Self::$variant as $repr {
                    return Some(Self::$variant);
                })*
                None
            }
        }
    )*};
}

/// Declares sets of flags that are themselves plain data. Bits without a name are kept as they are.
macro_rules! flags {
    ($($(#[$meta:meta])* pub struct $name:ident: $repr:ident {
        $($(#[doc = $flag_doc:literal])* const $flag:ident = $value:expr;)*
    })*) => {$(
        $(#[$meta])*
        #[repr(transparent)]
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)]
        pub struct $name($repr);

        bitflags::bitflags! {
            impl $name: $repr {
                $($(#[doc = $flag_doc])* const $flag = $value;)*
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "{}(", stringify!($name))?;
                bitflags::parser::to_writer(self, &mut *f)?;
                f.write_str(")")
            }
        }
    )*};
}
