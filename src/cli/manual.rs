//! `layerforge man`: the manual page, made from the command line's own description (man(7), groff macros).

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Arg, Command, CommandFactory};

use super::args::{Arguments, GLOBAL};
use super::terminal::{DONE, Terminal};
use crate::error::Error;

const DESCRIPTION: &str = "\
A project is a folder with profiles, which say what to ship, and layers, which are reusable parts of a root filesystem. \
layerforge renders a profile for each of its distributions into a root filesystem and a Dockerfile that copies it over a \
base image, and writes nothing when nothing has changed.

Profiles, layers and distribution descriptions that the program brings along need not be in the project; what is there \
wins over what is brought along.";

const EXIT_CODES: [(&str, &str); 6] = [
    ("0", "Done. For diff: both sides are equal."),
    ("1", "Something could not be built or written. For diff: the sides differ. For lint: errors are left."),
    ("2", "The command line asks for something impossible. For diff: a side cannot be read."),
    ("3", "A profile, layer, template or distribution description is invalid."),
    ("4", "The lock is stale or malformed, or packages cannot be resolved."),
    ("5", "Something could not be fetched or verified. For verify: the image is not what was signed."),
];

const ENVIRONMENT: [(&str, &str); 14] = [
    ("LAYERFORGE_VAR_NAME", "Sets the variable name (in lower case) of profiles that have it; --vars and --set win."),
    ("LAYERFORGE_STORE", "The cache folder. Otherwise layerforge in XDG_CACHE_HOME, or in ~/.cache."),
    (
        "LAYERFORGE_MIRROR_NAME",
        "Mirrors of the source name (in lower case, - for _) of packages, such as LAYERFORGE_MIRROR_DEBIAN_SECURITY; those of \
         the profile and of mirrors.toml win.",
    ),
    (
        "LAYERFORGE_AUTH_FILE",
        "The file of logins for repositories of packages; otherwise layerforge/auth.conf in the user's configuration.",
    ),
    ("LAYERFORGE_PASSPHRASE", "What a private key is encrypted with; --passphrase-file wins."),
    (
        "SOURCE_DATE_EPOCH",
        "The time that every file gets, in seconds since 1970-01-01 UTC; the profile's epoch otherwise.",
    ),
    ("REGISTRY_AUTH_FILE", "The file of credentials for registries; otherwise those of podman and docker."),
    ("CONTAINERS_REGISTRIES_CONF", "The file of mirrors; otherwise registries.conf of the system or the user."),
    ("SSL_CERT_FILE, SSL_CERT_DIR", "The authorities that are trusted in place of those of the system."),
    ("http_proxy, https_proxy, all_proxy", "Proxies."),
    ("no_proxy", "Hosts that are reached without."),
    ("NO_COLOR", "When it is not empty, nothing is coloured."),
    ("TERM", "When it is dumb, nothing is coloured."),
    ("LAYERFORGE_LOG", "What developers are told, such as layerforge=debug."),
];

const FILES: [(&str, &str); 9] = [
    ("profiles/NAME.toml", "What to ship: distributions, layers, variables, processes, outputs."),
    ("profiles/NAME.lock", "What the profile asks of the outside world. Written by render; keep it with the profile."),
    ("layers/NAME/layer.toml", "A layer: its tier, tables, and the layers it requires."),
    (
        "layers/NAME/files/",
        "Files for every distribution; files.DISTRO/ holds those for one. NAME.j2 is rendered to NAME.",
    ),
    (
        "~/.config/layerforge/mirrors.toml",
        "Mirrors of sources of packages: debian = [\"https://mirror.example.org/debian\"].",
    ),
    (
        "~/.config/layerforge/auth.conf",
        "Who the user is to repositories of packages: machine HOST/PATH login USER password PASSWORD.",
    ),
    ("templates/", "Templates that several layers use."),
    ("distros/NAME.toml", "The description of a distribution that the program does not know."),
    (
        "out/PROFILE/DISTRO/",
        "What was rendered: rootfs/, rootfs.tar when a COPY cannot carry everything, Dockerfile, manifest.json.",
    ),
];

const EXAMPLES: [(&str, &str); 6] = [
    (
        "layerforge init site && cd site && layerforge render",
        "Starts a project and renders it for all its distributions.",
    ),
    ("layerforge render --distro alpine --set title=Hello", "Renders for one distribution, with another value."),
    ("layerforge why /etc/nginx/nginx.conf", "Tells which layers have a word on a file, and what decided."),
    ("layerforge diff out/default/alpine out/default/debian", "Compares what two distributions get."),
    ("layerforge lint app.raw --target-systemd 257", "Judges an image, ours or anybody's, before it is shipped."),
    ("layerforge graph discourse > discourse.svg", "Draws a profile with its layers and files."),
];

/// Prints the manual page.
pub(super) fn run(terminal: &Terminal) -> Result<ExitCode, Error> {
    let mut command = Arguments::command();
    command.build();
    terminal.print(&page(&command));
    Ok(DONE)
}

fn page(command: &Command) -> String {
    let mut page = String::new();
    let about = text_of(command.get_about());
    // Writing to a string cannot fail.
    let _ = writeln!(page, ".TH LAYERFORGE 1 \"\" \"layerforge {}\" \"User Commands\"", env!("CARGO_PKG_VERSION"));
    section("NAME", &mut page);
    let _ = writeln!(page, "layerforge \\- {}", escaped(about.trim_end_matches('.')));
    section("SYNOPSIS", &mut page);
    page.push_str(".B layerforge\n.I COMMAND\n[\\fIARGUMENTS\\fR] [\\fIOPTIONS\\fR]\n");
    section("DESCRIPTION", &mut page);
    paragraphs(DESCRIPTION, &mut page);
    section("COMMANDS", &mut page);
    for command in subcommands(command) {
        subcommand(command.get_name(), command, &mut page);
        for inner in subcommands(command) {
            subcommand(&format!("{} {}", command.get_name(), inner.get_name()), inner, &mut page);
        }
    }
    section("GLOBAL OPTIONS", &mut page);
    for argument in command.get_arguments().filter(|argument| is_shown(argument)) {
        entry(argument, &mut page);
    }
    for (title, rows) in [("EXIT STATUS", &EXIT_CODES[..]), ("ENVIRONMENT", &ENVIRONMENT), ("FILES", &FILES)] {
        section(title, &mut page);
        for (term, words) in rows {
            let _ = writeln!(page, ".TP\n.B {}\n{}", escaped(term), escaped(words));
        }
    }
    section("EXAMPLES", &mut page);
    for (line, words) in EXAMPLES {
        let _ = writeln!(page, ".PP\n{}\n.PP\n.RS 4\n.EX\n{}\n.EE\n.RE", escaped(words), escaped(line));
    }
    page
}

fn subcommands(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|command| command.get_name() != "help")
}

fn subcommand(name: &str, command: &Command, page: &mut String) {
    let _ = writeln!(page, ".SS {}", escaped(name));
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").trim();
    let _ =
        writeln!(page, ".B {}\n.PP\n{}.", escaped(usage), escaped(text_of(command.get_about()).trim_end_matches('.')));
    let own = |argument: &&Arg| argument.get_help_heading() != Some(GLOBAL) && is_shown(argument);
    for argument in command.get_positionals().chain(command.get_opts()).chain(flags(command)).filter(own) {
        entry(argument, page);
    }
    if let Some(after) = command.get_after_help() {
        page.push_str(".PP\n");
        // These texts are laid out by hand.
        let _ = writeln!(page, ".nf\n{}\n.fi", lines(&after.to_string()));
    }
}

/// Returns the options of a command that take no value.
fn flags(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|argument| !argument.is_positional() && !argument.get_action().takes_values())
}

/// Every command has `--help`, which the page need not say for each.
fn is_shown(argument: &Arg) -> bool {
    !argument.is_hide_set() && !["help", "version"].contains(&argument.get_id().as_str())
}

/// Writes an argument with what it is for, its default and its values.
fn entry(argument: &Arg, page: &mut String) {
    let mut names = Vec::new();
    names.extend(argument.get_short().map(|short| format!("\\fB\\-{short}\\fR")));
    names.extend(argument.get_long().map(|long| format!("\\fB\\-\\-{}\\fR", escaped(long))));
    let mut term = names.join(", ");
    let takes_value = argument.is_positional() || argument.get_action().takes_values();
    for name in argument.get_value_names().unwrap_or_default().iter().filter(|_| takes_value) {
        let name = format!("\\fI{}\\fR", escaped(name));
        let _ = match (term.is_empty(), argument.is_require_equals_set()) {
            (true, _) => write!(term, "{name}"),
            (false, false) => write!(term, " {name}"),
            (false, true) => write!(term, "[={name}]"),
        };
    }
    let mut words = vec![escaped(&text_of(argument.get_help()))];
    let values: Vec<_> = argument.get_possible_values();
    if !values.is_empty() && takes_value {
        let values: Vec<_> = values.iter().map(|value| format!("\\fB{}\\fR", escaped(value.get_name()))).collect();
        words.push(format!("one of {}", values.join(", ")));
    }
    let defaults: Vec<_> =
        argument.get_default_values().iter().map(|value| escaped(&value.to_string_lossy())).collect();
    if !defaults.is_empty() && takes_value {
        words.push(format!("\\fB{}\\fR by default", defaults.join(", ")));
    }
    let _ = writeln!(page, ".TP\n{term}\n{}.", words.join("; "));
}

fn section(title: &str, page: &mut String) {
    let _ = writeln!(page, ".SH {title}");
}

fn paragraphs(text: &str, page: &mut String) {
    for (index, paragraph) in text.split("\n\n").enumerate() {
        let _ = writeln!(page, "{}{}", if index == 0 { "" } else { ".PP\n" }, escaped(paragraph));
    }
}

fn lines(text: &str) -> String {
    text.lines().map(escaped).collect::<Vec<_>>().join("\n")
}

fn text_of(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(ToString::to_string).unwrap_or_default()
}

/// Escapes what means something to roff: backslashes, hyphens that are to be typed, and marks at the start of a line.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('`', "");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}
