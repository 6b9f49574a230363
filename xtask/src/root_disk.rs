//! A disk with a root file system out of Debian's packages: a shell, a compiler and something to compile, and fio.

use std::env;
use std::fs;
use std::io;
use std::process::Command;

use emulator::artifacts::XenVersion;

use crate::guests::LIBRARY_FOLDERS;
use crate::packages::{Piece, Shelf};
use crate::process;
use crate::ramdisk::{RamdiskError, file_error, find};
use crate::workspace::Workspace;

/// Its size, in the words of mke2fs.
const SIZE: &str = "256m";

/// Makes it as `target/guests/SUITE-root/disk`.
pub(crate) fn build(workspace: &Workspace) -> Result<(), RamdiskError> {
    let shelf = Shelf::new(&workspace.debian(), XenVersion::V4_17);
    let (content, programs) = (shelf.piece(Piece::Root)?, shelf.piece(Piece::FileSystems)?);
    let folder = workspace.target().join("guests").join(format!("{}-root", XenVersion::V4_17.suite()));
    fs::create_dir_all(&folder).map_err(file_error(&folder))?;
    let disk = folder.join("disk");
    // Made anew as a whole: what an earlier one held would stay where this one has nothing.
    match fs::remove_file(&disk) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(file_error(&disk)(error)),
        _ => {}
    }
    let mut make = Command::new(find(&programs, &|name| name == "mke2fs", "mke2fs")?);
    let libraries = LIBRARY_FOLDERS.map(|folder| programs.join(folder));
    // No path of ours has a colon in it; if one had, the libraries would be missed.
    make.env("LD_LIBRARY_PATH", env::join_paths(libraries).unwrap_or_default());
    make.args(["-q", "-F", "-t", "ext4", "-E", "root_owner=0:0", "-d"]).arg(content).arg(&disk).arg(SIZE);
    Ok(process::run(&mut make)?)
}
