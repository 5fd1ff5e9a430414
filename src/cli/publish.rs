//! `layerforge publish`

use std::process::ExitCode;

use super::Session;
use super::args::{PublishArguments, PublishLayout};
use super::terminal::DONE;
use crate::engine::{self, PublishReport, PublishRequest};
use crate::error::Error;
use crate::publish::{Layout, Server};

pub(super) fn run(session: &Session<'_>, arguments: &PublishArguments) -> Result<ExitCode, Error> {
    let terminal = session.terminal;
    let request = PublishRequest {
        image: arguments.image.clone(),
        directory: arguments.directory.clone(),
        layout: layout(arguments)?,
        version: arguments.image_version.clone(),
        keep: arguments.keep,
    };
    let waiting =
        || terminal.tell(&format!("another process works on `{}`: waiting for it", request.directory.display()));
    let report = engine::publish(&session.store()?, &request, waiting)?;
    if let Some(own) = report.image_version.as_ref().filter(|own| **own != report.version) {
        terminal.warning(&format!("version {} is published of an image that calls itself {own}", report.version), None);
    }
    for name in &report.published.missing {
        terminal.warning(&format!("`{name}` was listed, but is not there: it is listed no more"), None);
    }
    if terminal.json {
        terminal.print_json(&report);
    } else {
        terminal.tell(&told(&report, &request.layout));
    }
    Ok(DONE)
}

fn layout(arguments: &PublishArguments) -> Result<Layout, Error> {
    let PublishArguments { url, feature, gpg, .. } = arguments;
    match arguments.layout {
        PublishLayout::Sysupdate => {
            Ok(Layout::Sysupdate(Server { url: url.clone(), feature: feature.clone(), signer: gpg.clone() }))
        }
        PublishLayout::V if url.is_some() || gpg.is_some() => Err(Error::usage(
            "`--layout v` has nothing to fetch or to sign: `--url`, `--feature` and `--gpg` go without it",
        )),
        PublishLayout::V => Ok(Layout::Versioned),
    }
}

fn told(report: &PublishReport, layout: &Layout) -> String {
    let (PublishReport { name, version, .. }, published) = (report, &report.published);
    let file = published.file.display();
    if !report.changed {
        return format!("{file} is there already, nothing has changed");
    }
    let mut text = format!("published {name} {version}: {file}");
    if matches!(layout, Layout::Sysupdate(_)) && !published.signed {
        text.push_str(" (the list is not signed)");
    }
    for (word, names) in [("wrote", &published.written), ("removed", &published.removed)] {
        if !names.is_empty() {
            text.push_str(&format!("\n  {word} {}", names.join(", ")));
        }
    }
    text
}
