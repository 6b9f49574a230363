//! What is compared, and the macros that state it.

use std::collections::BTreeSet;

/// Something that this crate and Xen's headers both know.
pub(crate) struct Entry {
    /// How the crate names it.
    pub(crate) rust: String,
    /// Its size, offset or value according to the crate.
    pub(crate) value: i64,
    /// The C expression for the same.
    pub(crate) c: String,
    /// The preprocessor's condition under which these headers know it; always, if there is none.
    pub(crate) only_if: Option<&'static str>,
}

/// Everything that is compared.
#[derive(Default)]
pub(crate) struct Table {
    /// What is compared.
    pub(crate) entries: Vec<Entry>,
    /// The crate's declarations that the entries cover, by name.
    pub(crate) covered: BTreeSet<String>,
}

impl Table {
    /// Compares a value.
    pub(crate) fn push(&mut self, rust: String, value: i64, c: String, only_if: Option<&'static str>) {
        self.entries.push(Entry { rust, value, c, only_if });
    }

    /// Notes that a declaration, `module::Name`, is compared.
    pub(crate) fn cover(&mut self, path: &str) {
        assert!(self.covered.insert(path.into()), "{path} is in the tables twice");
    }
}

/// The C name for a table's item: a whole expression if it is quoted, otherwise the end of a name.
pub(crate) fn c_name(prefix: &str, item: &str) -> String {
    match item.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(expression) => expression.to_owned(),
        None => format!("{prefix}{item}"),
    }
}

/// The size of a field, from a function that gets it.
pub(crate) fn size_of_field<T, F>(_: fn(&T) -> &F) -> i64 {
    size_of::<F>() as i64
}

/// Structures: `module::Type = "C type" { field, field: c_field, ...; padding }`. Each field's offset and
/// size, and the whole's size. A field that the table leaves out does not compile. Behind the semicolon comes
/// what C leaves unnamed, or names as padding.
macro_rules! structs {
    ($table:ident; $($(#[if $condition:literal])? $module:ident::$type:ident = $c:literal {
        $($field:ident $(: $c_field:literal)?),* $(; $($pad:ident),+)?
    })*) => {$({
        use xen_abi::$module::$type;
        let _exhaustive = |whole: $type| { let $type { $($field: _,)* $($($pad: _,)+)? } = whole; };
        let only_if = None $(.or(Some($condition)))?;
        let name = concat!(stringify!($module), "::", stringify!($type));
        $table.cover(name);
        $table.push(format!("size of {name}"), size_of::<$type>() as i64, format!("sizeof({})", $c), only_if);
        $({
            let c_field = [$($c_field,)? stringify!($field)][0];
            let offset = core::mem::offset_of!($type, $field) as i64;
            let size = crate::table::size_of_field(|whole: &$type| &whole.$field);
            let named = format!("{name}.{}", stringify!($field));
            $table.push(format!("offset of {named}"), offset, format!("offsetof({}, {c_field})", $c), only_if);
            $table.push(format!("size of {named}"), size, format!("sizeof((({} *)0)->{c_field})", $c), only_if);
        })*
    })*};
}

/// Types of which only the size is compared: `module::Type = "C type"`.
macro_rules! sizes {
    ($table:ident; $($module:ident::$type:ident = $c:literal;)*) => {$(
        let name = concat!(stringify!($module), "::", stringify!($type));
        $table.cover(name);
        let size = size_of::<xen_abi::$module::$type>() as i64;
        $table.push(format!("size of {name}"), size, format!("sizeof({})", $c), None);
    )*};
}

/// Enums: `module::Type = "C prefix" { Variant: suffix, ... }`. A variant that the table leaves out does not
/// compile. Those after `if "condition":` are compared where the condition holds.
macro_rules! numbers {
    ($table:ident; $($module:ident::$type:ident = $prefix:literal {
        $($variant:ident: $c:tt),* $(,)? $(; if defined $($later:ident: $c_later:tt),+ $(,)?)?
    })*) => {$({
        use xen_abi::$module::$type;
        let _exhaustive = |value: $type| match value { $($type::$variant => (),)* $($($type::$later => (),)+)? };
        let name = concat!(stringify!($module), "::", stringify!($type));
        $table.cover(name);
        $(
            let c = crate::table::c_name($prefix, stringify!($c));
            $table.push(format!("{name}::{}", stringify!($variant)), $type::$variant.raw() as i64, c, None);
        )*
        $($(
            let condition = concat!("defined(", $prefix, stringify!($c_later), ")");
            let c = crate::table::c_name($prefix, stringify!($c_later));
            let value = $type::$later.raw() as i64;
            $table.push(format!("{name}::{}", stringify!($later)), value, c, Some(condition));
        )+)?
    })*};
}

/// Flags, in the same form. A flag that the table leaves out fails the test.
macro_rules! flags {
    ($table:ident; $($module:ident::$type:ident = $prefix:literal {
        $($flag:ident: $c:tt),* $(,)? $(; if defined($condition:literal) $($later:ident: $c_later:tt),+ $(,)?)?
    })*) => {$({
        use bitflags::Flags;
        use xen_abi::$module::$type;
        let name = concat!(stringify!($module), "::", stringify!($type));
        $table.cover(name);
        let listed = [$(stringify!($flag),)* $($(stringify!($later),)+)?];
        for flag in $type::FLAGS {
            assert!(listed.contains(&flag.name()), "{name}::{} is in no table", flag.name());
        }
        $(
            let c = crate::table::c_name($prefix, stringify!($c));
            $table.push(format!("{name}::{}", stringify!($flag)), $type::$flag.bits() as i64, c, None);
        )*
        $($(
            let condition = concat!("defined(", $condition, stringify!($c_later), ")");
            let c = crate::table::c_name($prefix, stringify!($c_later));
            let value = $type::$later.bits() as i64;
            $table.push(format!("{name}::{}", stringify!($later)), value, c, Some(condition));
        )+)?
    })*};
}

/// Constants: `module::NAME = "C expression"`.
macro_rules! constants {
    ($table:ident; $($module:ident::$name:ident = $c:literal;)*) => {$(
        let name = concat!(stringify!($module), "::", stringify!($name));
        $table.cover(name);
        $table.push(name.into(), crate::table::Number::number(xen_abi::$module::$name), $c.into(), None);
    )*};
}

/// What constants are, as the number that C has for it.
pub(crate) trait Number {
    /// The number, in two's complement.
    fn number(self) -> i64;
}

macro_rules! numbers_of {
    ($($type:ty: $get:expr;)*) => {$(
        impl Number for $type {
            fn number(self) -> i64 {
                let get: fn($type) -> u64 = $get;
                get(self).cast_signed()
            }
        }
    )*};
}

numbers_of! {
    u16: u64::from;
    u32: u64::from;
    u64: |value| value;
    usize: |value| value as u64;
    xen_abi::Domid: |domid| u64::from(domid.0);
    xen_abi::GrantRef: |grant| u64::from(grant.0);
    xen_abi::VirtAddr: |addr| addr.0;
}
