//! The man page says what `--help` says. With `XENSTORED_MAN_PAGE=write` this test writes it anew.

use clap::CommandFactory;
use xenstored::cli::Options;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/man/xenstored.8");

/// What a man page has besides the options.
const MORE: &str = r#".SH FILES
.TP
\fI/run/xenstored/socket\fR
The socket that libxenstore connects to.
.TP
\fI/run/xenstored/state/\fR
The store, one copy for each replica, and how far each connection is. It goes with the machine's boot, as domains do.
.SH ENVIRONMENT
.TP
\fBXENSTORED_RUNDIR\fR
The run directory instead of \fI/run/xenstored\fR.
.TP
\fBXENSTORED_PATH\fR
The socket instead of \fIsocket\fR in the run directory.
.SH SIGNALS
.TP
\fBSIGTERM\fR, \fBSIGINT\fR
End; the store is kept.
.TP
\fBSIGHUP\fR
Open the trace file anew.
.SH "SEE ALSO"
\fBxenstore\fR(1), \fBxenstore\-read\fR(1), \fBxl\fR(1)
"#;

#[test]
fn the_man_page_is_that_of_the_options() {
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(Options::command()).section("8").manual("Xen").date("");
    man.render(&mut page).expect("rendered");
    let page = String::from_utf8(page).expect("text") + MORE;
    if std::env::var_os("XENSTORED_MAN_PAGE").is_some() {
        std::fs::create_dir_all(std::path::Path::new(PAGE).parent().expect("a directory")).expect("made");
        std::fs::write(PAGE, &page).expect("written");
    }
    let there = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        there == page,
        "docs/man/xenstored.8 is out of date: run this test with XENSTORED_MAN_PAGE=write"
    );
}
