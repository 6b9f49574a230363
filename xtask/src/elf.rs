//! What a unikernel's ELF file is cut down to, and the names that its backtraces are told with.

use object::LittleEndian as LE;
use object::elf::{ET_EXEC, FileHeader64, PT_LOAD, SHN_UNDEF};
use object::pod::from_bytes_mut;
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};

/// A file that is not the image of a unikernel.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ElfError {
    /// It does not read as a 64-bit ELF file.
    #[error("not a 64-bit little-endian ELF file: {0}")]
    Malformed(#[from] object::Error),
    /// It is an object, a library or a position-independent program.
    #[error("an ELF file of type {found}; asked for a program at fixed addresses (type 2)")]
    NotFixed {
        /// Its `e_type`.
        found: u16,
    },
    /// It has nothing to load.
    #[error("an ELF file without a loadable segment")]
    Empty,
    /// A segment lies past the end of the file.
    #[error("a segment ends at byte {end} of a file of {length}")]
    Truncated {
        /// Where the segment ends.
        end: u64,
        /// How long the file is.
        length: u64,
    },
}

/// The names of a program's code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Code {
    /// Each function, and each label of assembly code, with its address; sorted.
    pub(crate) functions: Vec<(u64, String)>,
    /// Where the last section of code ends.
    pub(crate) end: u64,
}

/// The part of `image` that is loaded: headers and segments. Sections, symbols and debug information, which linkers put
/// behind them, are cut off, and the header no longer points at them. Notes stay: they lie in a segment.
pub(crate) fn loadable(image: &[u8]) -> Result<Vec<u8>, ElfError> {
    let header = FileHeader64::<LE>::parse(image)?;
    let found = header.e_type(LE);
    if found != ET_EXEC {
        return Err(ElfError::NotFixed { found: found.0 });
    }
    let segments = header.program_headers(LE, image)?;
    let ends = segments.iter().filter(|segment| segment.p_type(LE) == PT_LOAD).map(|segment| {
        let (start, length) = segment.file_range(LE);
        start.saturating_add(length)
    });
    let end = ends.max().ok_or(ElfError::Empty)?;
    let headers = header.e_phoff(LE) + (segments.len() * size_of_val(&segments[0])) as u64;
    let end = end.max(headers);
    let kept = usize::try_from(end).ok().and_then(|end| image.get(..end));
    let mut kept = kept.ok_or(ElfError::Truncated { end, length: image.len() as u64 })?.to_vec();
    forget_sections(&mut kept);
    Ok(kept)
}

/// Clears the header's pointer to the section table.
fn forget_sections(image: &mut [u8]) {
    if let Ok((header, _)) = from_bytes_mut::<FileHeader64<LE>>(image) {
        header.e_shoff.set(LE, 0);
        header.e_shnum.set(LE, 0);
        header.e_shstrndx.set(LE, SHN_UNDEF);
    }
}

/// The names of the code in `image`, as they are written in the source.
pub(crate) fn code(image: &[u8]) -> Result<Code, ElfError> {
    let file = ElfFile64::<LE>::parse(image)?;
    let mut functions = Vec::new();
    let mut end = 0;
    for section in file.sections().filter(|section| section.kind() == SectionKind::Text) {
        end = end.max(section.address() + section.size());
        // Labels of assembly code have no type; a linker's local labels have no name.
        let inside = file.symbols().filter(|symbol| symbol.section_index() == Some(section.index()));
        for symbol in inside.filter(|symbol| symbol.kind() != SymbolKind::Section) {
            let name = symbol.name().unwrap_or_default();
            if !name.is_empty() {
                // The alternate form leaves out the hash that tells one compilation from another.
                functions.push((symbol.address(), format!("{:#}", rustc_demangle::demangle(name))));
            }
        }
    }
    functions.sort();
    Ok(Code { functions, end })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::capture;
    use object::{ObjectSegment, SegmentFlags};
    use std::fs;
    use std::process::Command;

    /// A program with a function under its mangled name, a label without a type, a note, data and bss.
    const SOURCE: &str = r#"
        .section .text, "ax"
        .globl _start
        _start: nop
        .globl _RNvC5probe5start
        .type _RNvC5probe5start, @function
        _RNvC5probe5start: nop
            ret
        .section .note.test, "a", @note
            .long 4, 4, 1
            .asciz "Xen"
            .long 0x1234
        .data
        number: .quad 0x1122334455667788
        .bss
        zeros: .skip 8192
    "#;

    fn program(extra: &[&str]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let (source, output) = (folder.path().join("program.s"), folder.path().join("program"));
        fs::write(&source, SOURCE).unwrap();
        let fixed = ["-g", "-nostdlib", "-nostartfiles", "-Wl,--build-id=none"];
        capture(Command::new("cc").args(fixed).args(extra).arg("-o").arg(&output).arg(&source)).unwrap();
        fs::read(output).unwrap()
    }

    fn fixed_program() -> Vec<u8> {
        program(&["-static", "-no-pie"])
    }

    /// What goes where: address, bytes of memory, bytes of the file, permissions.
    type Segment = (u64, u64, Vec<u8>, SegmentFlags);

    /// All that a loader looks at: the entry, and the segments, but for the file's own header where that is in one.
    fn loaded(image: &[u8]) -> (u64, Vec<Segment>) {
        let file = ElfFile64::<LE>::parse(image).unwrap();
        let segments = file.segments().map(|segment| {
            let data = segment.data().unwrap();
            let skipped = if data.starts_with(b"\x7fELF") { size_of::<FileHeader64<LE>>() } else { 0 };
            (segment.address(), segment.size(), data[skipped..].to_vec(), segment.flags())
        });
        (file.entry(), segments.collect())
    }

    #[test]
    fn what_is_kept_loads_like_the_whole_and_is_smaller() {
        let whole = fixed_program();
        let kept = loadable(&whole).unwrap();
        assert!(kept.len() < whole.len());
        assert_eq!(loaded(&kept), loaded(&whole));
        assert_eq!(ElfFile64::<LE>::parse(&*kept).unwrap().sections().count(), 0);
        assert_eq!(loadable(&kept).unwrap(), kept);
    }

    #[test]
    fn notes_are_found_by_their_program_header() {
        let kept = loadable(&fixed_program()).unwrap();
        let header = FileHeader64::<LE>::parse(&*kept).unwrap();
        let mut found = Vec::new();
        for segment in header.program_headers(LE, &*kept).unwrap() {
            if let Some(mut notes) = segment.notes(LE, &*kept).unwrap() {
                while let Some(note) = notes.next().unwrap() {
                    found.push((note.name().to_vec(), note.desc().to_vec()));
                }
            }
        }
        assert!(found.contains(&(b"Xen".to_vec(), vec![0x34, 0x12, 0, 0])), "{found:?}");
    }

    #[test]
    fn code_is_named_as_in_the_source_and_data_is_not_code() {
        let code = code(&fixed_program()).unwrap();
        let names: Vec<_> = code.functions.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["_start", "probe::start"]);
        assert_eq!(code.functions[1].0 - code.functions[0].0, 1);
        assert_eq!(code.end - code.functions[0].0, 3);
    }

    #[test]
    fn other_files_are_refused_with_what_was_found() {
        assert!(matches!(loadable(b"#!/bin/sh"), Err(ElfError::Malformed(_))));
        let movable = program(&["-static-pie"]);
        assert_eq!(loadable(&movable), Err(ElfError::NotFixed { found: 3 }));
        let whole = fixed_program();
        let end = loadable(&whole).unwrap().len();
        let found = loadable(&whole[..end - 1]).unwrap_err();
        assert_eq!(found, ElfError::Truncated { end: end as u64, length: end as u64 - 1 });
    }
}
