//! Graphs and the manual, taken by the programs that read them.

use std::fs;

use crate::Outcome;
use crate::command::{explain, program, run};
use crate::world::{World, repository};

const PROFILES: [&str; 4] = ["default", "discourse", "postgresql", "redis"];

/// Graphviz lays out every profile, librsvg draws it, and neither has anything to say about it.
pub(crate) fn graphs_are_read(world: &World) -> Outcome {
    let folder = world.folder("graphs")?;
    for profile in PROFILES {
        for (format, reader, arguments) in [("dot", "dot", &["-Tsvg"][..]), ("svg", "rsvg-convert", &["--format=png"])]
        {
            let mut command = program(env!("CARGO_BIN_EXE_layerforge"));
            let text = run(command.current_dir(repository()).args(["graph", profile, "--format", format]))?;
            let path = folder.join(format!("{profile}.{format}"));
            fs::write(&path, text).map_err(explain(format!("write {}", path.display())))?;
            silently(reader, program(reader).args(arguments).arg(&path))?;
        }
    }
    Ok(())
}

/// groff formats the manual without a warning.
pub(crate) fn the_manual_is_read(world: &World) -> Outcome {
    let path = world.folder("manual")?.join("layerforge.1");
    let text = run(program(env!("CARGO_BIN_EXE_layerforge")).arg("man"))?;
    fs::write(&path, text).map_err(explain(format!("write {}", path.display())))?;
    silently("groff", program("groff").args(["-man", "-Tutf8", "-ww", "-z"]).arg(&path))
}

fn silently(name: &str, command: &mut std::process::Command) -> Outcome {
    let output = command.output().map_err(explain(format!("run {name}")))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() && said.is_empty() { Ok(()) } else { Err(format!("{name} says: {said}")) }
}
