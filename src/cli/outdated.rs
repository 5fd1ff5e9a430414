//! `layerforge outdated`

use std::process::ExitCode;

use super::Session;
use super::args::{NetworkArguments, OutdatedArguments};
use super::network;
use super::progress::Progress;
use super::terminal::DONE;
use crate::engine::{self, OutdatedPackage, Outside};
use crate::error::Error;

pub(super) fn run(session: &Session<'_>, arguments: &OutdatedArguments) -> Result<ExitCode, Error> {
    let selection = session.selection(&arguments.selection)?;
    let network = network::packages(arguments.offline, None, session.terminal)?;
    let registries = NetworkArguments { offline: arguments.offline, plain_http: false };
    let client = network::client(registries, session.terminal);
    let outside = Outside { client: &client, network: &network };
    let progress = Progress::new(session.terminal);
    let report = engine::outdated(&session.project, &session.store()?, outside, &selection, &progress)?;
    let terminal = session.terminal;
    if terminal.json {
        terminal.print_json(&report);
    } else if report.packages.is_empty() {
        terminal.tell(&format!("everything in {} is as new as can be", report.path.display()));
    } else {
        terminal.print(&table(&report.packages));
    }
    Ok(DONE)
}

fn table(packages: &[OutdatedPackage]) -> String {
    let cells: Vec<[&str; 4]> = packages
        .iter()
        .map(|package| {
            let locked = package.locked.as_deref().unwrap_or("-");
            [package.target.as_str(), &package.name, locked, package.available.as_deref().unwrap_or("-")]
        })
        .collect();
    let width = |column: usize| cells.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    let line = |[target, name, locked, available]: &[&str; 4]| {
        let [one, two, three] = widths;
        format!("{target:one$}  {name:two$}  {locked:three$}  {available}\n")
    };
    cells.iter().map(line).collect()
}
