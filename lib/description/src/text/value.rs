//! Single values of the text.

use super::finding::Complaint;
use super::section::{did_you_mean, nearest};
use crate::{Name, PciAddress};
use heapless::String as Text;
use toml::de::DeValue;

/// The result of reading a value.
pub(super) type Read<T> = Result<T, Complaint>;

/// A unit, and how many of the smallest unit it is.
type Unit = (&'static str, u64);

const SIZES: [Unit; 3] = [("KiB", 1), ("MiB", 1 << 10), ("GiB", 1 << 20)];
const TIMES: [Unit; 4] = [("us", 1), ("ms", 1_000), ("s", 1_000_000), ("min", 60_000_000)];

/// KiB in a page.
const PAGE_KIB: u64 = uk_abi::layout::PAGE_SIZE as u64 / 1024;

/// An amount of memory such as `"4 MiB"`, in pages.
pub(super) fn pages(value: &DeValue<'_>) -> Read<u32> {
    let kib = quantity(value, "a size", "4 MiB", &SIZES)?;
    if kib % PAGE_KIB != 0 {
        let below = kib - kib % PAGE_KIB;
        let what = format!("{kib} KiB found, a whole number of pages ({PAGE_KIB} KiB) needed");
        return Err(
            Complaint::new(what).help(format!("write \"{below} KiB\" or \"{} KiB\"", below + PAGE_KIB))
        );
    }
    u32::try_from(kib / PAGE_KIB).map_err(|_| too_large(value, "16 TiB"))
}

/// A time such as `"5 ms"`, in microseconds.
pub(super) fn micros(value: &DeValue<'_>) -> Read<u64> {
    quantity(value, "a time", "5 ms", &TIMES)
}

/// A time that is microseconds rather than hours.
pub(super) fn short(value: &DeValue<'_>) -> Read<u32> {
    u32::try_from(micros(value)?).map_err(|_| too_large(value, "an hour"))
}

/// A time in whole seconds.
pub(super) fn seconds(value: &DeValue<'_>) -> Read<u32> {
    let micros = micros(value)?;
    if micros % 1_000_000 != 0 {
        let what = format!("{} found, whole seconds needed: Xen counts this in seconds", shown(value));
        return Err(Complaint::new(what));
    }
    u32::try_from(micros / 1_000_000).map_err(|_| too_large(value, "a century"))
}

/// A whole number.
pub(super) fn number<T: TryFrom<u64>>(value: &DeValue<'_>) -> Read<T> {
    let digits = value.as_integer().ok_or_else(|| mismatch("a whole number", value))?;
    let number = i128::from_str_radix(digits.as_str(), digits.radix()).ok();
    let number = number.and_then(|number| u64::try_from(number).ok());
    number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| {
        let most = u64::MAX >> (64 - 8 * size_of::<T>());
        Complaint::new(format!("{} found, a number from 0 to {most} needed", shown(value)))
    })
}

/// Yes or no.
pub(super) fn flag(value: &DeValue<'_>) -> Read<bool> {
    value.as_bool().ok_or_else(|| mismatch("true or false", value))
}

/// A text of at most `N` bytes.
pub(super) fn text<const N: usize>(value: &DeValue<'_>) -> Read<Text<N>> {
    let text = string(value)?;
    Text::try_from(text)
        .map_err(|_| Complaint::new(format!("{} bytes found, at most {N} possible", text.len())))
}

/// A name of a component, image or guest.
pub(super) fn name(value: &DeValue<'_>) -> Read<Name> {
    let text = string(value)?;
    Name::new(text).map_err(|error| Complaint::new(format!("{text:?} found: {error}")))
}

/// A text of any length.
pub(super) fn any_text(value: &DeValue<'_>) -> Read<String> {
    string(value).map(String::from)
}

/// One of several words.
pub(super) fn choice<T: Copy>(names: &'static [(&'static str, T)]) -> impl Fn(&DeValue<'_>) -> Read<T> {
    move |value| {
        let word = string(value)?;
        names.iter().find(|(name, _)| *name == word).map(|(_, meaning)| *meaning).ok_or_else(|| {
            let known = || names.iter().map(|(name, _)| *name);
            let all: Vec<&str> = known().collect();
            let complaint = Complaint::new(format!("{word:?} found, one of {} needed", all.join(", ")));
            match nearest(word, known()) {
                Some(name) => complaint.help(did_you_mean(name)),
                None => complaint,
            }
        })
    }
}

/// A PCI address such as `"0000:00:03.0"`.
pub(super) fn pci_address(value: &DeValue<'_>) -> Read<PciAddress> {
    let text = string(value)?;
    text.parse().map_err(|error| Complaint::new(format!("{text:?} found: {error}")))
}

/// A vendor and device id such as `"8086:10d3"`.
pub(super) fn pci_id(value: &DeValue<'_>) -> Read<(u16, u16)> {
    let text = string(value)?;
    let id = |part: &str| {
        let fits = part.len() == 4 && part.bytes().all(|b| b.is_ascii_hexdigit());
        fits.then(|| u16::from_str_radix(part, 16).ok()).flatten()
    };
    text.split_once(':').and_then(|(vendor, device)| Some((id(vendor)?, id(device)?))).ok_or_else(|| {
        Complaint::new(format!("{text:?} found, vendor and device needed, such as \"8086:10d3\""))
    })
}

fn string<'v>(value: &'v DeValue<'_>) -> Read<&'v str> {
    value.as_str().ok_or_else(|| mismatch("a text in quotes", value))
}

/// A number with a unit, in the smallest unit.
fn quantity(value: &DeValue<'_>, needed: &str, example: &str, units: &[Unit]) -> Read<u64> {
    let names: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
    let names = names.join(", ");
    let Some(text) = value.as_str() else {
        let help = format!("write the unit too ({names}), in quotes: \"{example}\"");
        return Err(mismatch(needed, value).help(help));
    };
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim();
    if number.is_empty() || unit.starts_with(['.', ',']) {
        let what = format!("{text:?} found, {needed} needed: a whole number and a unit ({names})");
        let help =
            if number.is_empty() { format!("such as \"{example}\"") } else { "use a smaller unit".into() };
        return Err(Complaint::new(what).help(help));
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        let found = if unit.is_empty() { "no unit".into() } else { format!("the unit {unit:?}") };
        let likely = units.iter().find(|(name, _)| {
            let initial = |word: &str| word.chars().next().map(|c| c.to_ascii_lowercase());
            initial(name) == initial(unit)
        });
        let help = likely
            .map_or(format!("such as \"{example}\""), |(name, _)| did_you_mean(&format!("{number} {name}")));
        return Err(Complaint::new(format!("{found} found in {text:?}, one of {names} needed")).help(help));
    };
    let whole = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor));
    whole.ok_or_else(|| Complaint::new(format!("{text:?} found, which is too large for any host")))
}

fn too_large(value: &DeValue<'_>, most: &str) -> Complaint {
    Complaint::new(format!("{} found, less than {most} needed", shown(value)))
}

/// A value of another kind than is needed.
pub(super) fn mismatch(needed: &str, value: &DeValue<'_>) -> Complaint {
    Complaint::new(format!("{} found, {needed} needed", shown(value)))
}

/// A value as the text has it, or what it is, where it is long.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => {
            let prefix = match number.radix() {
                16 => "0x",
                8 => "0o",
                2 => "0b",
                _ => "",
            };
            format!("the number {prefix}{}", number.as_str())
        }
        DeValue::Float(number) => format!("the number {}", number.as_str()),
        DeValue::Boolean(yes) => format!("{yes}"),
        DeValue::Datetime(_) => "a date".into(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}
