//! The binary: [`bridge::cli`] does the work.

fn main() -> std::process::ExitCode {
    bridge::cli::main()
}
