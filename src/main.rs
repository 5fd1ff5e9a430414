//! The `layerforge` program: hands its arguments to [`layerforge::cli`] and ends with its exit code.

fn main() -> std::process::ExitCode {
    layerforge::cli::run()
}
