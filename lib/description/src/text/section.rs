//! A table of the text, read key by key.

use super::finding::{Complaint, Findings};
use super::value::mismatch;
use core::ops::Range;
use std::collections::HashMap;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value with its place.
pub(super) type Value<'t> = Spanned<DeValue<'t>>;

/// Where the keys of a table stand in the text.
#[derive(Clone, Default)]
pub(super) struct Origin {
    /// The table itself.
    pub(super) table: Range<usize>,
    /// Each value that was given, by its key.
    keys: HashMap<&'static str, Range<usize>>,
    /// The keys whose values come from `[defaults]`.
    borrowed: Vec<&'static str>,
    /// The keys whose values could not be read, or not all of them.
    unread: Vec<&'static str>,
    /// For each unknown key the known one that it was probably meant to be, if there is one like it.
    unknown: Vec<Option<&'static str>>,
}

impl Origin {
    /// The place of a key's value, or of the table where the key is not given.
    pub(super) fn place(&self, key: &str) -> Range<usize> {
        self.keys.get(key).unwrap_or(&self.table).clone()
    }

    /// Whether a key has a value, be it from `[defaults]`.
    pub(super) fn has(&self, key: &str) -> bool {
        self.keys.contains_key(key)
    }

    /// Whether a key's value stands in this very table.
    pub(super) fn holds(&self, key: &str) -> bool {
        self.has(key) && !self.borrowed.contains(&key)
    }

    /// Whether the key may have been meant to have another value than it has got: its value could not be read, or an
    /// unknown key was meant to be this one.
    pub(super) fn is_doubtful(&self, key: &'static str) -> bool {
        let unread = |path: &str| self.unread.contains(&path);
        let is_meant = |guess: &Option<&str>| guess.is_none_or(|guess| guess == last_part(key));
        unread(key)
            || key.split_once('.').is_some_and(|(table, _)| unread(table))
            || (!self.has(key) && self.unknown.iter().any(is_meant))
    }

    /// Whether everything could be read.
    pub(super) fn is_sound(&self) -> bool {
        self.unread.is_empty() && self.unknown.is_empty()
    }
}

/// A table being read. Every key that is asked for is a known one, so [`finish`](Self::finish) can name those that
/// nobody asked for.
///
/// A key of an inner table is written with its path, `limits.window`; its last part is what stands in the table.
pub(super) struct Section<'t, 'f> {
    /// Where values are looked for: the table itself, and then `[defaults]`, each if there is one.
    own: Option<&'t DeTable<'t>>,
    defaults: Option<&'t DeTable<'t>>,
    asked: Vec<&'static str>,
    origin: Origin,
    findings: &'f mut Findings,
}

impl<'t, 'f> Section<'t, 'f> {
    pub(super) fn new(own: Option<&'t DeTable<'t>>, span: Range<usize>, findings: &'f mut Findings) -> Self {
        let origin = Origin { table: span, ..Origin::default() };
        Self { own, defaults: None, asked: Vec::new(), origin, findings }
    }

    /// The value of a key, if it is given.
    pub(super) fn value(&mut self, key: &'static str) -> Option<&'t Value<'t>> {
        let name = last_part(key);
        if !self.asked.contains(&name) {
            self.asked.push(name);
        }
        let own = self.own.and_then(|table| table.get(name));
        let value = own.or_else(|| self.defaults?.get(name))?;
        if own.is_none() {
            self.origin.borrowed.push(key);
        }
        self.origin.keys.insert(key, value.span());
        Some(value)
    }

    /// Reads the value of a key, if it is given and right.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&DeValue<'_>) -> Result<T, Complaint>,
    ) -> Option<T> {
        let value = self.value(key)?;
        self.accept(key, value, parse(value.get_ref()))
    }

    /// Replaces a default by the value of a key.
    pub(super) fn set<T>(
        &mut self,
        key: &'static str,
        place: &mut T,
        parse: impl FnOnce(&DeValue<'_>) -> Result<T, Complaint>,
    ) {
        if let Some(value) = self.read(key, parse) {
            *place = value;
        }
    }

    /// Reads the value of a key that must be given.
    pub(super) fn require<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&DeValue<'_>) -> Result<T, Complaint>,
    ) -> Option<T> {
        let value = self.read(key, parse);
        if !self.has(key) {
            self.complain(Complaint::new(format!("the key {key:?} is missing")));
            self.origin.unread.push(key);
        }
        value
    }

    /// Reads a list, each element with its place.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&DeValue<'_>) -> Result<T, Complaint>,
    ) -> Vec<(T, Range<usize>)> {
        let elements = self.elements(key, "a list such as [\"a\", \"b\"]");
        let read = |element: &Value<'t>| {
            Some((self.accept(key, element, parse(element.get_ref()))?, element.span()))
        };
        elements.into_iter().filter_map(read).collect()
    }

    /// Reads an inner table, which may be left out: then all of its keys are.
    pub(super) fn table<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'t, '_>) -> T,
    ) -> (T, Origin) {
        let span = self.value(key).map_or(self.origin.table.clone(), Spanned::span);
        let inner_table = |outer: Option<&'t DeTable<'t>>| outer.and_then(|table| table.get(last_part(key)));
        let given = [inner_table(self.own), inner_table(self.defaults)];
        for value in given.into_iter().flatten().filter(|value| !value.get_ref().is_table()) {
            self.refuse(key, value, "a table");
        }
        let [own, defaults] = given.map(|value| value.and_then(|value| value.get_ref().as_table()));
        let mut inner = Section::new(own, span, self.findings);
        inner.defaults = defaults;
        let result = read(&mut inner);
        let origin = inner.finish();
        self.origin.keys.extend(origin.keys.clone());
        self.origin.unread.extend(&origin.unread);
        self.origin.borrowed.extend(&origin.borrowed);
        self.origin.unknown.extend(&origin.unknown);
        (result, origin)
    }

    /// Reads each table of a list.
    pub(super) fn tables<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&mut Section<'t, '_>) -> T,
    ) -> Vec<(T, Origin)> {
        let mut results = Vec::new();
        for element in self.elements(key, "a list of tables, [[...]] or [{ ... }],") {
            let Some(table) = element.get_ref().as_table() else {
                self.refuse(key, element, "a table");
                continue;
            };
            let mut inner = Section::new(Some(table), element.span(), self.findings);
            let result = read(&mut inner);
            let origin = inner.finish();
            if !origin.is_sound() {
                self.origin.unread.push(key);
            }
            results.push((result, origin));
        }
        results
    }

    /// Whether a key that was asked for is given.
    pub(super) fn has(&self, key: &str) -> bool {
        self.origin.has(key)
    }

    /// Looks for further keys in one more table, where this one leaves them out.
    pub(super) fn fall_back_to(&mut self, table: &'t DeTable<'t>, origin: &Origin) {
        self.defaults = Some(table);
        self.origin.unknown.extend(&origin.unknown);
    }

    /// Reports something about the table as a whole.
    pub(super) fn complain(&mut self, complaint: Complaint) {
        self.origin.unread.push("");
        self.findings.complain(self.origin.table.clone(), complaint);
    }

    /// Reports something about a key that is given.
    pub(super) fn complain_of(&mut self, key: &'static str, complaint: Complaint) {
        self.origin.unread.push(key);
        self.findings.complain(
            self.origin.place(key),
            Complaint { what: format!("{key}: {}", complaint.what), ..complaint },
        );
    }

    /// Reports the keys that nobody asked for, and tells where the others stand.
    pub(super) fn finish(mut self) -> Origin {
        for key in self.own.into_iter().flat_map(|table| table.keys()) {
            let name: &str = key.get_ref();
            if !self.asked.contains(&name) {
                let what = format!("unknown key {name:?}");
                let guess = nearest(name, self.asked.iter().copied());
                self.origin.unknown.push(guess);
                let help =
                    guess.map_or_else(|| format!("known here: {}", self.asked.join(", ")), did_you_mean);
                self.findings.complain(key.span(), Complaint::new(what).help(help));
            }
        }
        core::mem::take(&mut self.origin)
    }

    fn elements(&mut self, key: &'static str, needed: &str) -> Vec<&'t Value<'t>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        match value.get_ref().as_array() {
            Some(elements) => elements.iter().collect(),
            None => {
                self.refuse(key, value, needed);
                Vec::new()
            }
        }
    }

    fn accept<T>(&mut self, key: &'static str, value: &Value<'t>, result: Result<T, Complaint>) -> Option<T> {
        result
            .map_err(|complaint| {
                let what = format!("{key}: {}", complaint.what);
                self.findings.complain(value.span(), Complaint { what, ..complaint });
                self.origin.unread.push(key);
            })
            .ok()
    }

    fn refuse(&mut self, key: &'static str, value: &Value<'t>, needed: &str) {
        let complaint = mismatch(needed, value.get_ref());
        self.findings.add(value.span(), format!("{key}: {}", complaint.what));
        self.origin.unread.push(key);
    }
}

fn last_part(key: &'static str) -> &'static str {
    key.rsplit('.').next().unwrap_or(key)
}

/// The known word that a mistaken one was probably meant to be: at most every third letter is wrong, missing, too many
/// or swapped with the next.
pub(super) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_lowercase();
    let most = (word.chars().count() / 3).max(1);
    let scored =
        known.into_iter().map(|candidate| (strsim::damerau_levenshtein(&word, candidate), candidate));
    scored
        .filter(|(mistakes, _)| *mistakes <= most)
        .min_by_key(|(mistakes, _)| *mistakes)
        .map(|(_, candidate)| candidate)
}

pub(super) fn did_you_mean(word: &str) -> String {
    format!("did you mean {word:?}?")
}
