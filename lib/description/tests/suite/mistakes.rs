//! The messages for each kind of mistake. `mistakes/` has the texts, `snapshots/` what is said about them.

use description::text::parse;

#[test]
fn each_mistake_is_shown_with_its_place_and_what_to_do() {
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::glob!("mistakes/*.toml", |path| {
            let text = std::fs::read_to_string(path).expect("it is there");
            match parse("rvmm.toml", &text) {
                Ok(description) => panic!("{} has no mistake: {description:#?}", path.display()),
                Err(report) => insta::assert_snapshot!("report", report),
            }
        });
    });
}
