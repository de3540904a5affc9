//! The command line `millstream`: one file a subcommand in `cli/`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
