//! `layerforge render`

use std::process::ExitCode;
use std::sync::Arc;

use super::Session;
use super::args::{NetworkArguments, RenderArguments};
use super::network;
use super::progress::Progress;
use super::sign;
use super::terminal::DONE;
use crate::engine::{self, RenderReport, RenderRequest};
use crate::error::Error;

pub(super) fn run(session: &Session<'_>, arguments: &RenderArguments) -> Result<ExitCode, Error> {
    let signer = sign::signer_request(session.terminal, &arguments.signing)?;
    let signer = signer.map(|request| engine::open_signer(&request)).transpose()?;
    let offline = arguments.offline || arguments.vendored.is_some();
    let network = NetworkArguments { offline, plain_http: false };
    let packages = network::packages(offline, arguments.vendored.as_deref(), session.terminal)?;
    let request = RenderRequest {
        selection: session.selection(&arguments.selection)?,
        outputs: arguments.outputs.clone(),
        destination: arguments.dest.clone(),
        locked: arguments.locked,
        force: arguments.force,
        image: arguments.image.wish(),
        signer: signer.map(Arc::new),
        client: Some(Arc::new(network::client(network, session.terminal))),
        network: Some(Arc::new(packages)),
    };
    let store = session.store()?;
    let progress = Progress::new(session.terminal);
    engine::render(&session.project, &store, &request, &progress, &mut |reports| tell(session, reports))?;
    Ok(DONE)
}

fn tell(session: &Session<'_>, reports: &[RenderReport]) {
    if session.terminal.json {
        session.terminal.print_json(&reports);
        return;
    }
    for report in reports {
        let path = report.destination.display();
        let line = match report.changed.as_slice() {
            [] => format!("{}: {path} is up to date", report.target),
            changed => format!("{}: wrote {path} ({})", report.target, changed.join(", ")),
        };
        session.terminal.tell(&line);
    }
}
