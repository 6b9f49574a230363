//! A private apt: its own sources, lists and cache in one folder, so that the packages of any suite can be found and
//! downloaded without changing a file of the machine's apt. Proxies and credentials are the machine's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::PackagesError;
use super::mirror::{FORMAT, Mirror};
use crate::process::{self, ProcessError};

/// Debian's own keyring, under the names it has on Debian 12 and 13. Nothing else is trusted.
const KEYRINGS: [&str; 2] =
    ["/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"];

/// What apt says when it has no key for a signature.
const KEY_SIGNS: [&str; 3] = ["NO_PUBKEY", "is not signed", "Missing key"];
/// What apt says when it cannot reach the mirror.
const NETWORK_SIGNS: [&str; 6] = [
    "Temporary failure resolving",
    "Could not resolve",
    "Could not connect",
    "Cannot initiate the connection",
    "Network is unreachable",
    "Unable to connect",
];

/// apt, set up for one suite.
#[derive(Debug)]
pub(super) struct Apt {
    suite: &'static str,
    config: PathBuf,
}

/// One package file that the mirror offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// The name that the file gets when it is downloaded.
    pub(super) file: String,
    /// The digest in the signed index, in lower-case hexadecimal.
    pub(super) sha256: String,
}

impl Apt {
    /// Sets apt up in `folder` for `suite` on the machine's own mirror, and fetches that suite's lists.
    pub(super) fn update(folder: &Path, suite: &'static str) -> Result<Apt, PackagesError> {
        let keyring = KEYRINGS.into_iter().find(|path| Path::new(path).is_file());
        let keyring = keyring.ok_or(PackagesError::NoKeyring { suite })?;
        let mirror = machine_mirror()?;
        let write = |path: PathBuf, text: String| {
            fs::write(&path, text).map_err(|source| PackagesError::File { path, source })
        };
        for sub in ["state/lists/partial", "cache/archives/partial"] {
            let path = folder.join(sub);
            fs::create_dir_all(&path).map_err(|source| PackagesError::File { path, source })?;
        }
        write(folder.join("sources.list"), mirror.sources_list(suite, keyring))?;
        write(folder.join("status"), String::new())?;
        let config = folder.join("apt.conf");
        write(config.clone(), private_config(folder))?;
        let apt = Apt { suite, config };
        apt.capture("apt-get", &["--error-on=any", "update"])?;
        Ok(apt)
    }

    /// What the mirror offers as each of `packages`.
    pub(super) fn offers(&self, packages: &[String]) -> Result<Vec<Offer>, PackagesError> {
        let arguments: Vec<&str> =
            ["--print-uris", "download"].into_iter().chain(packages.iter().map(String::as_str)).collect();
        let listing = self.capture("apt-get", &arguments)?;
        let offer = |package: &String| {
            parse_offer(&listing, package).ok_or_else(|| PackagesError::NotOffered {
                package: package.clone(),
                suite: self.suite,
                found: listing.clone(),
            })
        };
        packages.iter().map(offer).collect()
    }

    /// The package whose name starts with `prefix` among those that `package` depends on.
    pub(super) fn dependency(&self, package: &str, prefix: &str) -> Result<String, PackagesError> {
        let record = self.capture("apt-cache", &["show", "--no-all-versions", package])?;
        parse_dependency(&record, prefix).ok_or_else(|| PackagesError::NotOffered {
            package: format!("{prefix}..."),
            suite: self.suite,
            found: record,
        })
    }

    /// Downloads `packages` into `folder`; apt checks them against the signed index.
    pub(super) fn download(&self, packages: &[&String], folder: &Path) -> Result<(), PackagesError> {
        let mut command = self.command("apt-get");
        process::capture(command.current_dir(folder).arg("download").args(packages))
            .map(|_| ())
            .map_err(|error| self.explain(error))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("LC_ALL", "C").arg("-q").arg("-c").arg(&self.config);
        command
    }

    fn capture(&self, program: &str, arguments: &[&str]) -> Result<String, PackagesError> {
        process::capture(self.command(program).args(arguments)).map_err(|error| self.explain(error))
    }

    /// Tells a missing key and a missing network from apt's other troubles.
    fn explain(&self, error: ProcessError) -> PackagesError {
        let ProcessError::Failed { said, .. } = &error else {
            return PackagesError::Apt { suite: self.suite, source: error };
        };
        let says = |signs: &[&str]| signs.iter().any(|sign| said.contains(sign));
        if says(&KEY_SIGNS) {
            PackagesError::UnknownKey { suite: self.suite, said: said.clone() }
        } else if says(&NETWORK_SIGNS) {
            PackagesError::NoNetwork { suite: self.suite, said: said.clone() }
        } else {
            PackagesError::Apt { suite: self.suite, source: error }
        }
    }
}

/// The mirror that the machine's own apt uses.
fn machine_mirror() -> Result<Mirror, PackagesError> {
    if process::find("apt-get").is_none() {
        return Err(PackagesError::NoApt);
    }
    // apt tells the origin of the sources it has fetched, and with --no-release-info it lists those it has not.
    for extra in [None, Some("--no-release-info")] {
        let mut command = Command::new("apt-get");
        command.args(["indextargets", "--format", FORMAT]).args(extra).arg("Identifier: Packages");
        let listing = process::capture(&mut command).map_err(|source| PackagesError::Sources { source })?;
        if let Some(mirror) = Mirror::from_sources(&listing) {
            return Ok(mirror);
        }
    }
    Err(PackagesError::NoMirror)
}

/// apt's settings: every file that it writes is below `folder`, and the machine's hooks and pins are left out.
fn private_config(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        r#"#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear Acquire::IndexTargets::deb::DEP-11;
#clear Acquire::IndexTargets::deb::CNF;
Dir::State "{folder}/state";
Dir::State::lists "lists/";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
// Translations of package descriptions: nobody reads them here.
Acquire::Languages "none";
// Root's apt fetches as the user _apt, who cannot reach a checkout in somebody's home.
APT::Sandbox::User "root";
"#
    )
}

/// Reads the line for `package` of those that `apt-get --print-uris download` prints: 'URI' FILE SIZE SHA256:DIGEST.
fn parse_offer(listing: &str, package: &str) -> Option<Offer> {
    let is_its = |file: &str| file.strip_prefix(package).is_some_and(|rest| rest.starts_with('_'));
    let line = |line: &&str| line.starts_with('\'') && line.split_whitespace().nth(1).is_some_and(is_its);
    let mut words = listing.lines().find(line)?.split_whitespace().skip(1);
    let file = words.next().filter(|file| file.ends_with(".deb") && !file.contains('/'))?;
    let sha256 = words.nth(1)?.strip_prefix("SHA256:").filter(|digest| digest.len() == 64)?;
    Some(Offer { file: file.to_owned(), sha256: sha256.to_ascii_lowercase() })
}

/// The first name with `prefix` in the Depends field of a package's record.
fn parse_dependency(record: &str, prefix: &str) -> Option<String> {
    let depends = record.lines().find_map(|line| line.strip_prefix("Depends:"))?;
    let names = depends.split([',', '|']).filter_map(|one| one.split_whitespace().next());
    names.into_iter().find(|name| name.starts_with(prefix)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "3d3fdbe91d4660c873e14b092c213fe81c1da6362daa236eb25d0171eb108744";

    #[test]
    fn an_offer_is_read_with_its_epoch_and_digest() {
        let listing = format!(
            "'http://m.test/b-more_1_amd64.deb' b-more_1_amd64.deb 1 SHA256:{DIGEST}\n\
             'http://m.test/b_1.35%2bb1_amd64.deb' b_1%3a1.35+b1_amd64.deb 928188 SHA256:{DIGEST}\n"
        );
        let offer = parse_offer(&listing, "b").unwrap();
        assert_eq!(offer, Offer { file: "b_1%3a1.35+b1_amd64.deb".into(), sha256: DIGEST.into() });
    }

    #[test]
    fn what_is_no_offer_is_none() {
        for listing in [
            "",
            "Get:1 http://m.test",
            "'http://m.test/a_1.deb' a_1.deb 12",
            "'http://m.test/a_1.deb' a_1.deb 12 MD5Sum:0123",
            &format!("'http://m.test/a_1.deb' a_/../../a.deb 12 SHA256:{DIGEST}"),
            &format!("'http://m.test/b_1.deb' b_1.deb 12 SHA256:{DIGEST}"),
        ] {
            assert_eq!(parse_offer(listing, "a"), None, "{listing}");
        }
    }

    #[test]
    fn a_dependency_is_found_by_its_prefix() {
        let record = "Package: linux-image-cloud-amd64\nVersion: 6.1\nDepends: initramfs-tools | dracut, \
                      linux-image-6.1.0-56-cloud-amd64 (= 6.1.192-2)\n";
        assert_eq!(parse_dependency(record, "linux-image-"), Some("linux-image-6.1.0-56-cloud-amd64".into()));
        assert_eq!(parse_dependency(record, "xen-"), None);
        assert_eq!(parse_dependency("Package: a\n", "linux-image-"), None);
    }

    #[test]
    fn the_private_settings_keep_every_written_file_below_their_folder() {
        let text = private_config(Path::new("/somewhere/apt"));
        for setting in ["Dir::State ", "Dir::State::status ", "Dir::Cache ", "Dir::Etc::sourcelist "] {
            let line = text.lines().find(|line| line.starts_with(setting)).unwrap();
            assert!(line.contains("\"/somewhere/apt/"), "{line}");
        }
    }
}
