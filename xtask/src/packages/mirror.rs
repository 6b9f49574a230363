//! Which Debian mirror this machine uses, read from what apt says of its own sources.
//!
//! No mirror is named here: whoever set the machine up chose one (near, cached, or inside a company), and the suites
//! that the machine does not follow are on the same one.

/// The fields asked of `apt-get indextargets --format`, tab-separated. apt leaves a field as `$(NAME)` where it does
/// not know it, as it does with the origin before the first `apt-get update`.
pub(super) const FORMAT: &str = "$(REPO_URI)\t$(RELEASE)\t$(COMPONENT)\t$(ORIGIN)\t$(LABEL)";

/// The names of Debian's suites, to know a Debian source by where apt cannot tell its origin. Whether it really is
/// Debian's is shown by its signature, which the private apt checks with Debian's keyring alone.
const DEBIAN_SUITES: [&str; 9] =
    ["bullseye", "bookworm", "trixie", "forky", "sid", "oldstable", "stable", "testing", "unstable"];

/// Where Debian's packages come from on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mirror {
    /// The archive with every suite.
    archive: String,
    /// The archive with security updates, where the machine follows one.
    security: Option<String>,
}

struct Source<'a> {
    uri: &'a str,
    release: &'a str,
    origin: Option<&'a str>,
    label: Option<&'a str>,
}

impl<'a> Source<'a> {
    fn parse(line: &'a str) -> Option<Source<'a>> {
        let mut fields = line.split('\t');
        let mut next = || fields.next();
        let (uri, release, component) = (next()?, next()?, next()?);
        let known = |field: &'a str| (!field.is_empty() && !field.starts_with("$(")).then_some(field);
        let (origin, label) = (known(next()?), known(next()?));
        let fetched = !uri.starts_with("cdrom:");
        (component == "main" && fetched).then_some(Source { uri, release, origin, label })
    }

    fn is_debian(&self) -> bool {
        let suite = self.release.split(['-', '/']).next().unwrap_or_default();
        self.origin.map_or(DEBIAN_SUITES.contains(&suite), |origin| origin == "Debian")
    }

    fn is_security(&self) -> bool {
        let by_name = self.release.ends_with("-security") || self.release.ends_with("/updates");
        self.label.map_or(by_name, |label| label == "Debian-Security")
    }
}

impl Mirror {
    /// The mirror among the sources that apt listed in [`FORMAT`]; None if none of them is Debian's.
    pub(super) fn from_sources(listing: &str) -> Option<Mirror> {
        let debian: Vec<_> = listing.lines().filter_map(Source::parse).filter(Source::is_debian).collect();
        let first = |security| debian.iter().find(|s| s.is_security() == security).map(|s| s.uri.to_owned());
        Some(Mirror { archive: first(false)?, security: first(true) })
    }

    /// A sources.list for `suite` on this mirror, trusting `keyring` and nothing else.
    pub(super) fn sources_list(&self, suite: &str, keyring: &str) -> String {
        let line =
            |uri: &str, suite: &str| format!("deb [arch=amd64 signed-by={keyring}] {uri} {suite} main\n");
        let security = self.security.as_ref().map(|uri| line(uri, &format!("{suite}-security")));
        line(&self.archive, suite) + &security.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN_AND_OTHERS: &str = "\
http://vendor.test/apt/\tnodistro\tmain\tVendor\tVendor
http://mirror.test/backports/\tbookworm-backports\tmain\tDebian Backports\tDebian Backports
http://mirror.test/debian/\tbookworm\tcontrib\tDebian\tDebian
http://mirror.test/debian/\tbookworm\tmain\tDebian\tDebian
http://mirror.test/debian/\tbookworm-updates\tmain\tDebian\tDebian
http://mirror.test/security/\tbookworm-security\tmain\tDebian\tDebian-Security
";

    #[test]
    fn takes_debian_and_its_security_archive_among_other_sources() {
        let mirror = Mirror::from_sources(DEBIAN_AND_OTHERS).unwrap();
        assert_eq!(mirror.archive, "http://mirror.test/debian/");
        assert_eq!(mirror.security.as_deref(), Some("http://mirror.test/security/"));
        assert_eq!(
            mirror.sources_list("trixie", "/keys/debian.gpg"),
            "deb [arch=amd64 signed-by=/keys/debian.gpg] http://mirror.test/debian/ trixie main\n\
             deb [arch=amd64 signed-by=/keys/debian.gpg] http://mirror.test/security/ trixie-security main\n"
        );
    }

    #[test]
    fn before_the_first_update_the_suite_names_tell() {
        let listing = "http://vendor.test/apt/\tnodistro\tmain\t$(ORIGIN)\t$(LABEL)\n\
                       mirror+file:/etc/apt/mirrors/debian.list/\ttrixie\tmain\t$(ORIGIN)\t$(LABEL)\n\
                       http://mirror.test/security/\tstable/updates\tmain\t$(ORIGIN)\t$(LABEL)\n";
        let mirror = Mirror::from_sources(listing).unwrap();
        assert_eq!(mirror.archive, "mirror+file:/etc/apt/mirrors/debian.list/");
        assert_eq!(mirror.security.as_deref(), Some("http://mirror.test/security/"));
    }

    #[test]
    fn a_machine_without_a_security_source_gets_none() {
        let mirror = Mirror::from_sources("http://m.test/\tbookworm\tmain\tDebian\tDebian\n").unwrap();
        assert_eq!(
            mirror.sources_list("bookworm", "/k"),
            "deb [arch=amd64 signed-by=/k] http://m.test/ bookworm main\n"
        );
    }

    #[test]
    fn other_distributions_discs_and_rubbish_are_no_mirror() {
        for listing in [
            "",
            "no tabs at all",
            "http://m.test/\tnoble\tmain\tUbuntu\tUbuntu\n",
            "cdrom:[Debian 12]/\tbookworm\tmain\tDebian\tDebian\n",
            "http://m.test/security/\tbookworm-security\tmain\tDebian\tDebian-Security\n",
        ] {
            assert_eq!(Mirror::from_sources(listing), None, "{listing}");
        }
    }
}
