//! Both ends of the channel against each other, and against those who have not the key or change what is said.

use proptest::prelude::*;
use secure::{
    Broken, Handshake, LENGTH, MAX_RECORD, MAX_TEXT, PublicKey, Secret, Seed, Token, Transport, record_length,
};

fn secret() -> Secret {
    Secret::new([7; 32])
}

fn seed(number: u8) -> Seed {
    Seed::new([number; 32])
}

/// Has the ends speak until both are done; what is on its way goes through `change`.
fn connect(
    mut client: Handshake,
    mut server: Handshake,
    mut change: impl FnMut(usize, &mut Vec<u8>),
) -> Result<(Transport, Transport), Broken> {
    for turn in 0..2 {
        let (from, to) = if turn == 0 { (&mut client, &mut server) } else { (&mut server, &mut client) };
        assert!(from.is_my_turn());
        let mut message = vec![0; LENGTH + MAX_RECORD];
        let length = from.write(&mut message)?;
        message.truncate(length);
        change(turn, &mut message);
        let (length, message) = message.split_first_chunk().unwrap();
        assert_eq!(record_length(*length), Ok(message.len()));
        to.read(message)?;
    }
    Ok((client.finish()?, server.finish()?))
}

fn connected() -> (Transport, Transport) {
    let client = Handshake::client(&secret().public_key(), seed(1)).unwrap();
    connect(client, Handshake::server(&secret(), seed(2)).unwrap(), |_, _| ()).unwrap()
}

fn seal(from: &mut Transport, text: &[u8]) -> Vec<u8> {
    let mut sealed = vec![0; LENGTH + MAX_RECORD];
    let length = from.seal(text, &mut sealed).unwrap();
    sealed.truncate(length);
    sealed
}

fn open(to: &mut Transport, sealed: &[u8]) -> Result<Vec<u8>, Broken> {
    let mut text = vec![0; MAX_RECORD];
    let length = to.open(&sealed[LENGTH..], &mut text)?;
    text.truncate(length);
    Ok(text)
}

#[test]
fn both_ends_hear_what_the_other_says() {
    let (mut client, mut server) = connected();
    for text in [&b"GET / HTTP/1.1"[..], b"", &[9; MAX_TEXT]] {
        let sealed = seal(&mut client, text);
        assert!(text.len() < 8 || !sealed.windows(8).any(|window| window == &text[..8]));
        assert_eq!(open(&mut server, &sealed).unwrap(), text);
        let sealed = seal(&mut server, text);
        assert_eq!(open(&mut client, &sealed).unwrap(), text);
    }
    assert_eq!(client.seal(&[0; MAX_TEXT + 1], &mut [0; 2 * MAX_RECORD]), Err(Broken));
}

#[test]
fn who_has_not_the_key_is_no_server() {
    let client = Handshake::client(&secret().public_key(), seed(1)).unwrap();
    let server = Handshake::server(&Secret::new([8; 32]), seed(2)).unwrap();
    assert!(connect(client, server, |_, _| ()).is_err());
}

#[test]
fn what_was_changed_repeated_or_left_out_is_noticed() {
    let (mut client, mut server) = connected();
    let first = seal(&mut client, b"first");
    let mut changed = first.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(open(&mut server, &changed), Err(Broken));
    assert_eq!(open(&mut server, &first).unwrap(), b"first");
    assert_eq!(open(&mut server, &first), Err(Broken));
    let (_left_out, third) = (seal(&mut client, b"second"), seal(&mut client, b"third"));
    assert_eq!(open(&mut server, &third), Err(Broken));
}

#[test]
fn a_public_key_is_that_of_the_curve() {
    // Noise computes it in the handshake too: they agree, or nobody could connect.
    connected();
    assert_ne!(secret().public_key(), Secret::new([8; 32]).public_key());
    assert_ne!(secret().public_key().to_string(), secret().to_string());
}

#[test]
fn tokens_differ_by_role_and_host() {
    let [viewer, admin] = ["viewer", "admin"].map(|role| secret().token(role));
    assert_ne!(viewer, admin);
    assert_ne!(admin, Secret::new([8; 32]).token("admin"));
    assert_eq!(admin.to_string().parse::<Token>(), Ok(admin));
}

#[test]
fn secrets_are_not_shown_by_accident() {
    assert_eq!(format!("{:?} {:?}", secret(), secret().token("admin")), "Secret Token");
}

#[test]
fn seeds_of_a_host_differ() {
    let draw = |mut seed: Seed| {
        let mut bytes = [0; 70];
        seed.fill(&mut bytes);
        bytes
    };
    let (one, other) = (Seed::of(&secret(), b"1"), Seed::of(&secret(), b"2"));
    assert_ne!(draw(one.clone()), draw(other));
    assert_eq!(draw(one.clone()), draw(one.clone()));
    let drawn = draw(one);
    assert_ne!(drawn[..32], drawn[32..64]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_handshake_that_somebody_touches_fails(turn in 0..2usize, at in any::<prop::sample::Index>(), bit in 0..8) {
        let client = Handshake::client(&secret().public_key(), seed(1)).unwrap();
        let server = Handshake::server(&secret(), seed(2)).unwrap();
        let touched = connect(client, server, |now, message| {
            if now == turn {
                let at = LENGTH + at.index(message.len() - LENGTH);
                // Curve25519 ignores the highest bit of a public key, but the hash of the handshake does not.
                message[at] ^= 1u8 << bit;
            }
        });
        prop_assert!(touched.is_err());
    }

    #[test]
    fn rubbish_is_no_handshake_and_no_record(rubbish in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut server = Handshake::server(&secret(), seed(2)).unwrap();
        prop_assert!(server.read(&rubbish).is_err());
        let (_, mut server) = connected();
        prop_assert!(server.open(&rubbish, &mut [0; MAX_RECORD]).is_err());
    }

    #[test]
    fn keys_are_read_as_they_are_written(bytes in any::<[u8; 32]>(), text in "[0-9a-g]{62,66}") {
        let key = PublicKey::new(bytes);
        prop_assert_eq!(key.to_string().parse(), Ok(key));
        let is_key = text.len() == 64 && !text.contains('g');
        prop_assert_eq!(text.parse::<PublicKey>().is_ok(), is_key);
    }

    #[test]
    fn only_records_of_possible_lengths_are_announced(length in any::<u16>()) {
        let is_possible = (16..=MAX_RECORD).contains(&usize::from(length));
        prop_assert_eq!(record_length(length.to_be_bytes()).is_ok(), is_possible);
    }
}
