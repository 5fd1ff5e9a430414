//! What is to be run in a root once its files are there.

use crate::tree::TreePath;

/// One command, to be run in the root as its directory, with nothing in its environment but what is said here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The package whose script it is, or that has brought the hook.
    pub package: String,
    /// Which script: `post-install`, `30-systemd-sysusers.hook`.
    pub name: String,
    /// A file that is written before and removed after, with mode 0755: the script itself.
    pub script: Option<(TreePath, Vec<u8>)>,
    /// The program.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What it reads from its standard input.
    pub input: String,
    /// Its environment.
    pub environment: Vec<(String, String)>,
    /// Whether the package manager goes on when it fails, and says so.
    pub may_fail: bool,
}

/// Something that scripts would have done and that was not done where they are not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The package.
    pub package: String,
    /// The script, the hook, or the command of one that was not understood.
    pub what: String,
}
