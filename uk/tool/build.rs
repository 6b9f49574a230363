//! Links this program as its domain's kernel.

fn main() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sys/libos/uk.ld");
    println!("cargo:rerun-if-changed={script}");
    println!("cargo:rustc-link-arg-bins=-Wl,-T,{script}");
}
