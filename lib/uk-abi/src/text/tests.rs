use super::*;
use std::format;
use std::string::String;

#[test]
fn printable_text_stays_on_its_line() {
    assert_eq!(format!("{}", Printable(b"a b~\n[SD] 7\x1b[0m\xc3\xa4\0")), "a b~.[SD] 7.[0m...");
}

#[test]
fn a_line_is_cut_between_characters_and_stays_cut() {
    let mut line = Line::<5>::new();
    assert!(write!(line, "abcd").is_ok());
    assert!(write!(line, "é").is_err(), "two bytes do not fit in one");
    assert_eq!(line.as_bytes(), b"abcd");
    let mut line = Line::<4>::new();
    assert!(line.write_str("abcdef").is_err());
    assert_eq!(line.as_bytes(), b"abcd");
}

#[test]
fn padded_fields_lead_back_to_the_text() {
    let field: [u8; 8] = padded("disk");
    assert_eq!(&field, b"disk\0\0\0\0");
    assert_eq!(until_nul(&field), b"disk");
    assert_eq!(until_nul(&padded::<4>("disk")), b"disk");
    assert_eq!(String::from_utf8_lossy(&padded::<4>("aaaé")), "aaa\0");
}
