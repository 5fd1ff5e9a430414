//! The runtime contract: `[process]`, `[job]`, `[writable]`, `[secret]`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::entry::conditional;
use super::merge::merge_fields;
use super::source::{Located, Table};
use super::value::{Account, EnvironmentName, Identifier, Mode, Name, Number};

/// `[process.NAME]`: a program that stays.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessTable {
    /// The program, as an absolute path, and its arguments; each rendered as a template.
    pub command: Option<Vec<Located<String>>>,
    /// The user it runs as.
    pub user: Option<Located<Account>>,
    /// The directory it starts in.
    pub directory: Option<Located<String>>,
    /// Environment variables; values are rendered as templates.
    #[serde(default)]
    pub environment: Table<EnvironmentName, Located<String>>,
    /// Ports it listens on, by name.
    #[serde(default)]
    pub ports: Table<Identifier, Located<Number>>,
    /// When it is ready for work.
    #[serde(default)]
    pub ready: ProbeTable,
    /// When it is alive; without it, nothing but the end of the process counts.
    #[serde(default)]
    pub live: ProbeTable,
    /// Whether it is started again when it ends; `always` by default.
    pub restart: Option<Located<Restart>>,
    /// The signal that asks it to end; `SIGTERM` by default.
    pub stop_signal: Option<Located<String>>,
    /// How long it may take to end, such as `90s`; `30s` by default.
    pub stop_timeout: Option<Located<String>>,
    /// Secrets it is given.
    pub secrets: Option<Vec<Located<Identifier>>>,
    /// What it needs beyond a hardened process.
    pub needs: Option<Vec<Located<Need>>>,
    /// How many of it run where the output knows the notion; 1 by default.
    pub replicas: Option<Located<Number>>,
    /// Where it tells its metrics.
    #[serde(default)]
    pub metrics: MetricsTable,
    /// Where its log goes; `stdout` by default.
    pub log: Option<Located<LogDestination>>,
    /// What it may use; no limit by default.
    #[serde(default)]
    pub limits: LimitsTable,
    /// Only for these distros and those that are like them.
    pub only: Option<Vec<Located<Name>>>,
    /// Not for these distros and those that are like them.
    pub except: Option<Vec<Located<Name>>>,
    /// Only when this expression is true.
    pub when: Option<Located<String>>,
}

/// `[process.NAME.ready]` and `.live`: a question that a healthy process answers; exactly one of `http`, `tcp` and
/// `command`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbeTable {
    /// The path of an HTTP request that is answered with a status from 200 to 399.
    pub http: Option<Located<String>>,
    /// The name of a port that accepts connections.
    pub tcp: Option<Located<Identifier>>,
    /// A command that ends with exit code 0.
    pub command: Option<Vec<Located<String>>>,
    /// The name of the port that `http` asks; the only port by default.
    pub port: Option<Located<Identifier>>,
    /// Time between two questions; `10s` by default.
    pub interval: Option<Located<String>>,
    /// Time for one answer; `3s` by default.
    pub timeout: Option<Located<String>>,
    /// Time from the start during which failures do not count; `30s` by default.
    pub start_period: Option<Located<String>>,
    /// Failures in a row that count; 3 by default.
    pub retries: Option<Located<Number>>,
}

/// `[process.NAME.metrics]`: where metrics are read.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricsTable {
    /// The name of the port.
    pub port: Option<Located<Identifier>>,
    /// The path; `/metrics` by default.
    pub path: Option<Located<String>>,
}

/// `[process.NAME.limits]` and `[job.NAME.limits]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsTable {
    /// Memory above which the process is slowed down, such as `256Mi`.
    pub memory_high: Option<Located<String>>,
    /// Memory above which the process is killed.
    pub memory_max: Option<Located<String>>,
    /// Number of processes and threads.
    pub tasks: Option<Located<Number>>,
    /// Share of the processor against others, 1 to 10000; 100 is an equal share.
    pub cpu_weight: Option<Located<Number>>,
    /// Number of open files.
    pub open_files: Option<Located<Number>>,
}

/// When a process is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Restart {
    /// Whenever it ends.
    Always,
    /// When it ends with an error.
    OnFailure,
    /// Never.
    No,
}

/// Where a log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogDestination {
    /// The standard output, which the container engine or the journal keeps.
    Stdout,
    /// The standard error.
    Stderr,
    /// Files that the process writes itself into a writable path of kind `logs`.
    Files,
}

/// What a process needs that a hardened one is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// Memory that is writable and executable: V8, YJIT, LuaJIT, the Java virtual machine.
    Jit,
    /// The landlock system calls, to lock its own children in.
    Landlock,
    /// Connections to other hosts.
    Network,
    /// Namespaces of its own.
    Namespaces,
    /// Raw devices.
    Devices,
    /// All of /proc: other processes, and what the kernel says of memory and processors.
    Proc,
    /// Real-time scheduling, priorities and processor affinity.
    Realtime,
}

/// `[job.NAME]`: a program that runs to its end.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobTable {
    /// When it runs.
    pub when: Option<Located<JobTime>>,
    /// For `when = "schedule"`: a calendar expression of systemd.time(7), such as `daily` or `*-*-* 03:00:00`.
    pub schedule: Option<Located<String>>,
    /// The program, as an absolute path, and its arguments; each rendered as a template.
    pub command: Option<Vec<Located<String>>>,
    /// The user it runs as.
    pub user: Option<Located<Account>>,
    /// The directory it starts in.
    pub directory: Option<Located<String>>,
    /// Environment variables; values are rendered as templates.
    #[serde(default)]
    pub environment: Table<EnvironmentName, Located<String>>,
    /// Secrets it is given.
    pub secrets: Option<Vec<Located<Identifier>>>,
    /// What it needs beyond a hardened process.
    pub needs: Option<Vec<Located<Need>>>,
    /// How long it may run, such as `10m`.
    pub timeout: Option<Located<String>>,
    /// What it may use.
    #[serde(default)]
    pub limits: LimitsTable,
    /// Only for these distros and those that are like them.
    pub only: Option<Vec<Located<Name>>>,
    /// Not for these distros and those that are like them.
    pub except: Option<Vec<Located<Name>>>,
}

/// When a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobTime {
    /// Before the processes of a new version start.
    PreDeploy,
    /// After they have started.
    PostDeploy,
    /// Again and again.
    Schedule,
}

/// `[writable.NAME]`: a path that stays writable while the root is read-only.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WritableTable {
    /// The path; rendered as a template.
    pub path: Option<Located<String>>,
    /// What it holds, which decides whether it outlives a restart.
    pub kind: Option<Located<WritableKind>>,
    /// How much it may hold, such as `64Mi`.
    pub size: Option<Located<String>>,
    /// Owner; by default the user that all processes run as, root when they differ and for kind `temporary`.
    pub owner: Option<Located<Account>>,
    /// Group; the owner's own by default.
    pub group: Option<Located<Account>>,
    /// Permission bits; 0750 by default, 1777 for kind `temporary`.
    pub mode: Option<Located<Mode>>,
    /// A path of the tree whose content is put there before the first start.
    pub seed: Option<Located<String>>,
    /// Directories that must be in it before the process starts.
    pub subdirectories: Option<Vec<Located<String>>>,
    /// Only for these distros and those that are like them.
    pub only: Option<Vec<Located<Name>>>,
    /// Not for these distros and those that are like them.
    pub except: Option<Vec<Located<Name>>>,
    /// Only when this expression is true.
    pub when: Option<Located<String>>,
}

/// What a writable path holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WritableKind {
    /// Data that must not be lost.
    State,
    /// Data that can be made again.
    Cache,
    /// Log files.
    Logs,
    /// Sockets and pid files, gone at a restart.
    Runtime,
    /// Anything, gone at a restart.
    Temporary,
}

/// `[secret.NAME]`: the name of something that is never in an image. It is handed over in one
/// way: by `environment` or by `file`, which is `/run/secrets/NAME` by default.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretTable {
    /// What it is for.
    pub help: Option<Located<String>>,
    /// The environment variable that hands it to the process.
    pub environment: Option<Located<EnvironmentName>>,
    /// The path of the file that hands it to the process, rendered as a template; `/run/secrets/NAME` by default.
    pub file: Option<Located<String>>,
}

merge_fields!(ProcessTable {
    command,
    user,
    directory,
    environment,
    ports,
    ready,
    live,
    restart,
    stop_signal,
    stop_timeout,
    secrets,
    needs,
    replicas,
    metrics,
    log,
    limits,
    only,
    except,
    when,
});
merge_fields!(ProbeTable { http, tcp, command, port, interval, timeout, start_period, retries });
merge_fields!(MetricsTable { port, path });
merge_fields!(LimitsTable { memory_high, memory_max, tasks, cpu_weight, open_files });
merge_fields!(JobTable {
    when,
    schedule,
    command,
    user,
    directory,
    environment,
    secrets,
    needs,
    timeout,
    limits,
    only,
    except,
});
merge_fields!(WritableTable { path, kind, size, owner, group, mode, seed, subdirectories, only, except, when });
merge_fields!(SecretTable { help, environment, file });
conditional!(ProcessTable, WritableTable);

impl super::entry::Conditional for JobTable {
    fn condition(&self) -> super::entry::Condition<'_> {
        super::entry::Condition { only: self.only.as_deref(), except: self.except.as_deref(), when: None }
    }
}
