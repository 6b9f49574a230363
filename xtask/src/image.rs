//! What a host boots: root's kernel, and the archive with the system description and the unikernels in it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use description::{ArchiveWriter, Description, Name, encode_symbols};
use guest_files::{Folders, GuestFileError};

use crate::cargo::{self, ROOT};
use crate::elf::{self, ElfError};
use crate::process::{self, ProcessError};
use crate::workspace::{Workspace, WorkspaceError};

/// The system description, at the top of the checkout.
const DESCRIPTION: &str = "rvmm.toml";
/// What the keys of the management API come from, in hexadecimal: made once, and beside the archive that holds it too.
const SECRET: &str = "rvmm.secret";

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageError {
    /// The crates cannot be listed.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// The unikernels do not build.
    #[error("the unikernels do not build")]
    Build(#[from] ProcessError),
    /// The system description is wrong.
    #[error("{0}")]
    Description(description::text::Report),
    /// The system description names an image that no program under `uk/` makes.
    #[error("{DESCRIPTION} asks for the image `{asked}` (component `{component}`); uk/ has {}", .found.join(", "))]
    NoSuchImage {
        /// The image's name.
        asked: String,
        /// The component that it is for.
        component: String,
        /// The programs that there are.
        found: Vec<String>,
    },
    /// A program has a name that an archive cannot hold.
    #[error("the program `{program}`: {source}")]
    Name {
        /// Its name.
        program: String,
        /// What is wrong with the name.
        source: description::NameError,
    },
    /// What the linker made is not the image of a unikernel.
    #[error("{}: {source}", .path.display())]
    Elf {
        /// The linked program.
        path: PathBuf,
        /// What is wrong with it.
        source: ElfError,
    },
    /// A guest's files cannot be had.
    #[error(transparent)]
    Guest(#[from] GuestFileError),
    /// A file cannot be read or written.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
}

/// A unikernel, ready to be booted.
struct Program {
    name: Name,
    /// The part of the ELF file that is loaded.
    image: Vec<u8>,
    /// The compact symbol table.
    symbols: Vec<u8>,
}

/// Builds the unikernels and lays out `target/image`: `root`, each other program as `NAME` with its symbol table as
/// `NAME.symbols`, and `rvmm.archive` with what the system description names. Answers that description.
pub(crate) fn build(workspace: &Workspace) -> Result<Description, ImageError> {
    let description = read_description(workspace)?;
    let programs = programs(workspace)?;
    let folder = workspace.image();
    fs::create_dir_all(&folder).map_err(|source| ImageError::File { path: folder.clone(), source })?;
    for program in &programs {
        replace(&folder.join(program.name.as_str()), &program.image)?;
        replace(&folder.join(format!("{}.symbols", program.name.as_str())), &program.symbols)?;
    }
    let files = Folders { configs: workspace.root(), files: &workspace.guests() };
    let secret = secret(&folder.join(SECRET))?;
    replace(&folder.join("rvmm.archive"), &archive(&description, &programs, files, secret)?)?;
    Ok(description)
}

fn read_description(workspace: &Workspace) -> Result<Description, ImageError> {
    let path = workspace.root().join(DESCRIPTION);
    let text = fs::read_to_string(&path).map_err(|source| ImageError::File { path, source })?;
    description::text::parse(DESCRIPTION, &text).map_err(ImageError::Description)
}

/// Compiles every crate under `uk/`.
fn programs(workspace: &Workspace) -> Result<Vec<Program>, ImageError> {
    let crates = workspace.crates("uk")?;
    for group in cargo::apart(&crates) {
        process::run(cargo::unikernel(workspace, "build").args(cargo::packages(&group)))?;
    }
    crates.iter().map(|one| read_program(&one.name, &cargo::unikernel_output(workspace, &one.name))).collect()
}

fn read_program(program: &str, path: &Path) -> Result<Program, ImageError> {
    let name =
        Name::new(program).map_err(|source| ImageError::Name { program: program.to_owned(), source })?;
    let file = fs::read(path).map_err(|source| ImageError::File { path: path.to_path_buf(), source })?;
    let bad = |source| ImageError::Elf { path: path.to_path_buf(), source };
    let code = elf::code(&file).map_err(bad)?;
    let functions = code.functions.iter().map(|(address, name)| (*address, name.as_str()));
    let symbols = encode_symbols(functions, code.end);
    Ok(Program { name, image: elf::loadable(&file).map_err(bad)?, symbols })
}

/// The archive: the images that components are made of, once each, with their symbols, and root's symbols; and the guests'
/// files: configurations by their paths in the checkout, kernels and ramdisks by theirs in `target/guests`.
fn archive(
    description: &Description,
    programs: &[Program],
    folders: Folders<'_>,
    secret: [u8; 32],
) -> Result<Vec<u8>, ImageError> {
    let mut writer = ArchiveWriter::new(description);
    for component in &description.components {
        if !programs.iter().any(|program| program.name == component.image) {
            return Err(ImageError::NoSuchImage {
                asked: component.image.as_str().to_owned(),
                component: component.name.as_str().to_owned(),
                found: programs.iter().map(|program| program.name.as_str().to_owned()).collect(),
            });
        }
    }
    for program in programs {
        let is_root = program.name.as_str() == ROOT;
        let is_named = description.components.iter().any(|component| component.image == program.name);
        if is_named {
            writer.image(&program.name, program.image.clone());
        }
        if is_named || is_root {
            writer.symbols(&program.name, program.symbols.clone());
        }
    }
    writer.secret(description, secret);
    guest_files::add(description, folders, &mut writer)?;
    Ok(writer.finish())
}

/// The secret in a file, which is made if there is none, for its owner alone.
fn secret(path: &Path) -> Result<[u8; 32], ImageError> {
    let error = |source| ImageError::File { path: path.to_path_buf(), source };
    match fs::read_to_string(path) {
        Ok(text) => {
            return from_hex(text.trim()).ok_or_else(|| error(io::ErrorKind::InvalidData.into()));
        }
        Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(error(source)),
        Err(_) => {}
    }
    let mut secret = [0; 32];
    let mut make = || {
        File::open("/dev/urandom")?.read_exact(&mut secret)?;
        let text: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())
    };
    make().map_err(error)?;
    Ok(secret)
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// Writes a file as a whole: who reads it at the same time sees the old content or the new.
fn replace(path: &Path, content: &[u8]) -> Result<(), ImageError> {
    let part = path.with_added_extension("part");
    fs::write(&part, content)
        .and_then(|()| fs::rename(&part, path))
        .map_err(|source| ImageError::File { path: path.to_path_buf(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use description::Archive;

    /// For descriptions without guests.
    fn nowhere() -> Folders<'static> {
        Folders { configs: Path::new("."), files: Path::new(".") }
    }

    fn program(name: &str) -> Program {
        let symbols = encode_symbols([(0x20_0000, "start")], 0x20_1000);
        Program { name: Name::new(name).unwrap(), image: name.as_bytes().to_vec(), symbols }
    }

    fn described(images: &[&str]) -> Description {
        let components = images.iter().enumerate();
        let text: String = components
            .map(|(index, image)| format!("[[component]]\nname = \"c{index}\"\nimage = \"{image}\"\n"))
            .collect();
        description::text::parse(DESCRIPTION, &text).unwrap()
    }

    #[test]
    fn the_archive_holds_what_the_description_names_and_roots_symbols() {
        let programs = ["net", "probe", "root"].map(program);
        let bytes = archive(&described(&["probe", "probe"]), &programs, nowhere(), [0; 32]).unwrap();
        let archive = Archive::parse(&bytes).unwrap();
        assert_eq!(archive.image("probe"), Some(&b"probe"[..]));
        assert_eq!(archive.image("net"), None);
        assert_eq!(archive.image("root"), None);
        for name in ["probe", "root"] {
            assert_eq!(archive.symbols(name).unwrap().lookup(0x20_0008), Some(("start", 8)), "{name}");
        }
        assert_eq!(archive.len(), 4, "the description, an image, two symbol tables");
    }

    #[test]
    fn an_image_that_nothing_makes_is_reported_with_what_there_is() {
        let error = archive(&described(&["xenstore"]), &["probe", "root"].map(program), nowhere(), [0; 32])
            .unwrap_err();
        let text = error.to_string();
        assert!(text.contains("`xenstore`") && text.contains("probe, root"), "{text}");
    }

    #[test]
    fn a_secret_is_made_once_and_for_its_owner() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SECRET);
        let made = secret(&path).unwrap();
        assert_ne!(made, [0; 32]);
        assert_eq!(secret(&path).unwrap(), made);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "no secret").unwrap();
        assert!(secret(&path).is_err());
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root");
        for content in [&b"a long one"[..], b"short"] {
            replace(&path, content).unwrap();
            assert_eq!(fs::read(&path).unwrap(), content);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
