//! Root.
#![no_std]
#![no_main]

kernel::main!(main);

fn main() -> ! {
    kernel::console::write("root: hello\n");
    let mut n = 0u64;
    loop {
        n += 1;
        let until = kernel::now_us() * 1000 + 10_000_000;
        kernel::call::wait(&[], until);
        if n % 100 == 0 {
            kernel::console::write("root: tick\n");
        }
    }
}
