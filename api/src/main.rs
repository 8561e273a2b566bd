//! The `verbatim` program.

fn main() -> std::process::ExitCode {
    verbatim::cli::main()
}
