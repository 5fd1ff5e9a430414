//! The runtime contract as meant: every default applied, every reference found.

use std::collections::BTreeMap;
use std::time::Duration;

use super::quantity::{duration, signal, size};
use super::recipe::{Contract, HandOver, Job, Limits, Probe, Process, Question, Secret, Writable};
use super::resolver::Resolver;
use crate::spec::{
    Account, Conditional, Identifier, JobTable, JobTime, LimitsTable, Located, LogDestination, Name, Place, ProbeTable,
    Problem, ProcessTable, Restart, Table, Tables, WritableKind, WritableTable,
};
use crate::tree::TreePath;

impl Resolver<'_> {
    /// Resolves processes, jobs, writable paths and secrets, and makes them known to templates.
    pub(super) fn contract(&mut self, tables: &Tables) -> Contract {
        let secrets = self.secrets(tables);
        let handed: BTreeMap<_, _> = secrets.iter().map(|(name, secret)| (name.clone(), &secret.hand_over)).collect();
        self.define("secret", handed);
        let running: Vec<_> = tables.process.iter().filter(|(_, table)| self.holds(table.condition())).collect();
        let writables = self.writables(tables, shared_user(&running));
        self.define("writable", &writables);
        let mut contract = Contract { secrets, writables, ..Contract::default() };
        let shared = self.environment(&tables.environment);
        // Ports first: the command of one process may name the port of another.
        let ports = self.ports(tables);
        self.define(
            "process",
            ports.iter().map(|(name, ports)| (name, BTreeMap::from([("ports", ports)]))).collect::<BTreeMap<_, _>>(),
        );
        for (name, table) in running {
            let ports = ports.get(name.as_str()).cloned().unwrap_or_default();
            if let Some(mut process) = self.process(name, table, ports, &contract) {
                process.environment = with_shared(&shared, process.environment);
                contract.processes.insert(name.to_string(), process);
            }
        }
        for (name, table) in &tables.job {
            if self.holds(table.condition())
                && let Some(mut job) = self.job(name, table, &contract)
            {
                job.environment = with_shared(&shared, job.environment);
                contract.jobs.insert(name.to_string(), job);
            }
        }
        contract
    }

    fn secrets(&mut self, tables: &Tables) -> BTreeMap<String, Secret> {
        let mut secrets: BTreeMap<String, Secret> = BTreeMap::new();
        for (name, table) in &tables.secret {
            let hand_over = match (&table.environment, &table.file) {
                (Some(variable), None) => HandOver::Environment(variable.to_string()),
                (None, Some(file)) => match self.path(file) {
                    Some(path) => HandOver::File(path),
                    None => continue,
                },
                (None, None) => HandOver::File(
                    format!("/run/secrets/{}", **name).parse().expect("an identifier is a name of a path"),
                ),
                (Some(_), Some(file)) => {
                    self.problems.push(
                        Problem::at(&file.place, format!("the secret `{}` is handed over in two ways", **name))
                            .rule("a secret has `environment` or `file`, not both"),
                    );
                    continue;
                }
            };
            if let Some((other, _)) = secrets.iter().find(|(_, known)| known.hand_over == hand_over) {
                let message = format!("the secrets `{other}` and `{}` are handed over in the same place", **name);
                self.problems
                    .push(Problem::at(&name.place, message).rule("each secret has a variable or file of its own"));
            }
            let help = table.help.as_ref().map(|help| help.value.clone()).unwrap_or_default();
            secrets.insert(name.to_string(), Secret { help, hand_over });
        }
        secrets
    }

    fn writables(&mut self, tables: &Tables, runner: Option<&Located<Account>>) -> BTreeMap<String, Writable> {
        let mut writables: BTreeMap<String, Writable> = BTreeMap::new();
        for (name, table) in &tables.writable {
            if !self.holds(table.condition()) {
                continue;
            }
            let Some(writable) = self.writable(name, table, runner) else { continue };
            if let Some((other, _)) = writables.iter().find(|(_, known)| known.path == writable.path) {
                self.problems.push(
                    Problem::at(
                        &name.place,
                        format!("`{}` is declared twice: by `{other}` and `{}`", writable.path, **name),
                    )
                    .rule("each writable path is declared once"),
                );
            }
            writables.insert(name.to_string(), writable);
        }
        writables
    }

    /// Resolves one writable path, which belongs to `runner` when it names no owner.
    fn writable(
        &mut self,
        name: &Located<Identifier>,
        table: &WritableTable,
        runner: Option<&Located<Account>>,
    ) -> Option<Writable> {
        let (Some(path), Some(kind)) = (&table.path, &table.kind) else {
            let key = if table.path.is_none() { "path" } else { "kind" };
            self.missing(&name.place, &format!("the writable path `{}`", **name), key);
            return None;
        };
        let temporary = kind.value == WritableKind::Temporary;
        // Anybody may write to a temporary path, as to /tmp, which is root's everywhere.
        let runner = runner.filter(|_| !temporary);
        let subdirectories = self.render_all(table.subdirectories.as_deref().unwrap_or_default());
        for (subdirectory, written) in subdirectories.iter().zip(table.subdirectories.iter().flatten()) {
            if let Err(error) = TreePath::from_relative(subdirectory.as_bytes()) {
                self.problems
                    .push(Problem::at(&written.place, error.to_string()).rule("a path relative to the writable one"));
            }
        }
        Some(Writable {
            path: self.path(path)?,
            kind: kind.value,
            size: self.read(table.size.as_ref(), size),
            owner: self.account(table.owner.as_ref().or(runner), table.group.as_ref()),
            mode: table.mode.as_ref().map_or(if temporary { 0o1777 } else { 0o750 }, |mode| mode.0),
            seed: table.seed.as_ref().and_then(|seed| self.path(seed)),
            subdirectories,
            place: name.place.clone(),
        })
    }

    fn ports(&mut self, tables: &Tables) -> BTreeMap<String, BTreeMap<String, u16>> {
        let mut all = BTreeMap::new();
        for (name, table) in &tables.process {
            let mut ports = BTreeMap::new();
            for (port_name, number) in &table.ports {
                if let Some(port) = self.number(Some(number), 1..=65535) {
                    ports.insert(port_name.to_string(), port as u16);
                }
            }
            all.insert(name.to_string(), ports);
        }
        all
    }

    fn process(
        &mut self,
        name: &Located<Name>,
        table: &ProcessTable,
        ports: BTreeMap<String, u16>,
        contract: &Contract,
    ) -> Option<Process> {
        let what = format!("the process `{}`", **name);
        let command = self.command(table.command.as_deref(), &name.place, &what)?;
        if table.user.is_none() {
            self.missing(&name.place, &what, "user");
        }
        let user = self.account(table.user.as_ref(), None);
        let metrics = match (&table.metrics.port, &table.metrics.path) {
            (Some(port), path) => {
                let number = self.port(port, &ports);
                let path = path.as_ref().and_then(|path| self.render(path)).unwrap_or_else(|| "/metrics".into());
                number.map(|number| (number, path))
            }
            (None, Some(path)) => {
                self.missing(&path.place, &format!("the metrics of {what}"), "port");
                None
            }
            (None, None) => None,
        };
        Some(Process {
            command,
            user,
            directory: self.directory(table.directory.as_ref()),
            environment: self.environment(&table.environment),
            ready: self.probe(&table.ready, &ports),
            live: self.probe(&table.live, &ports),
            restart: table.restart.as_ref().map_or(Restart::Always, |restart| restart.value),
            stop_signal: self.read(table.stop_signal.as_ref(), signal).unwrap_or_else(|| "SIGTERM".into()),
            stop_timeout: self.read(table.stop_timeout.as_ref(), duration).unwrap_or(Duration::from_secs(30)),
            secrets: self.secret_names(table.secrets.as_deref(), contract),
            needs: table.needs.iter().flatten().map(|need| need.value).collect(),
            replicas: self.number(table.replicas.as_ref(), 0..=10_000).unwrap_or(1) as u32,
            metrics,
            log: table.log.as_ref().map_or(LogDestination::Stdout, |log| log.value),
            limits: self.limits(&table.limits),
            place: name.place.clone(),
            ports,
        })
    }

    fn job(&mut self, name: &Located<Name>, table: &JobTable, contract: &Contract) -> Option<Job> {
        let what = format!("the job `{}`", **name);
        let command = self.command(table.command.as_deref(), &name.place, &what)?;
        if table.user.is_none() {
            self.missing(&name.place, &what, "user");
        }
        let Some(when) = &table.when else {
            self.missing(&name.place, &what, "when");
            return None;
        };
        match (&table.schedule, when.value) {
            (None, JobTime::Schedule) => self.missing(&when.place, &what, "schedule"),
            (Some(schedule), JobTime::PreDeploy | JobTime::PostDeploy) => self.problems.push(
                Problem::at(&schedule.place, format!("{what} has a `schedule`, but does not run on one"))
                    .help("say `when = \"schedule\"`, or leave the `schedule` out"),
            ),
            _ => {}
        }
        Some(Job {
            when: when.value,
            schedule: table.schedule.as_ref().and_then(|schedule| self.render(schedule)),
            command,
            user: self.account(table.user.as_ref(), None),
            directory: self.directory(table.directory.as_ref()),
            environment: self.environment(&table.environment),
            secrets: self.secret_names(table.secrets.as_deref(), contract),
            needs: table.needs.iter().flatten().map(|need| need.value).collect(),
            timeout: self.read(table.timeout.as_ref(), duration),
            limits: self.limits(&table.limits),
        })
    }

    fn command(&mut self, command: Option<&[Located<String>]>, place: &Place, what: &str) -> Option<Vec<String>> {
        let Some(first) = command.and_then(<[_]>::first) else {
            self.missing(place, what, "command");
            return None;
        };
        let command = self.render_all(command.unwrap_or_default());
        if command.first().is_some_and(|program| !program.starts_with('/')) {
            self.problems.push(
                Problem::at(&first.place, format!("`{}` is not an absolute path", command[0]))
                    .rule("a command names its program by absolute path: no shell and no search path is involved"),
            );
        }
        Some(command)
    }

    fn probe(&mut self, table: &ProbeTable, ports: &BTreeMap<String, u16>) -> Option<Probe> {
        let (question, command) = match (&table.http, &table.tcp, &table.command) {
            (Some(path), None, None) => {
                let rendered = self.render(path)?;
                if !rendered.starts_with('/') {
                    self.problems.push(Problem::at(&path.place, "the path of a probe begins with `/`"));
                }
                let port = match (&table.port, ports.len()) {
                    (Some(port), _) => self.port(port, ports)?,
                    (None, 1) => *ports.values().next()?,
                    (None, count) => {
                        self.problems.push(
                            Problem::at(&path.place, format!("which port does the probe ask? The process has {count}"))
                                .help("name it: `port = \"…\"`"),
                        );
                        return None;
                    }
                };
                let command = self.probe_command("probe_http", &path.place, port, &rendered)?;
                (Question::Http { port, path: rendered }, command)
            }
            (None, Some(name), None) => {
                let port = self.port(name, ports)?;
                (Question::Tcp { port }, self.probe_command("probe_tcp", &name.place, port, "")?)
            }
            (None, None, Some(command)) if !command.is_empty() => (Question::Command, self.render_all(command)),
            (None, None, None) => {
                let lone = [&table.interval, &table.timeout, &table.start_period].into_iter().flatten().next();
                let place = lone.map(|text| &text.place).or(table.port.as_ref().map(|port| &port.place));
                if let Some(place) = place.or(table.retries.as_ref().map(|retries| &retries.place)) {
                    self.problems.push(
                        Problem::at(place, "this probe asks nothing").rule("a probe has `http`, `tcp` or `command`"),
                    );
                }
                return None;
            }
            (http, tcp, command) => {
                let place = [http.as_ref().map(|http| &http.place), tcp.as_ref().map(|tcp| &tcp.place)];
                let place = place.into_iter().flatten().next().or(command.as_ref()?.first().map(|part| &part.place))?;
                self.problems.push(
                    Problem::at(place, "this probe asks more than one thing")
                        .rule("a probe has exactly one of `http`, `tcp` and `command`"),
                );
                return None;
            }
        };
        Some(Probe {
            question,
            command,
            interval: self.read(table.interval.as_ref(), duration).unwrap_or(Duration::from_secs(10)),
            timeout: self.read(table.timeout.as_ref(), duration).unwrap_or(Duration::from_secs(3)),
            start_period: self.read(table.start_period.as_ref(), duration).unwrap_or(Duration::from_secs(30)),
            retries: self.number(table.retries.as_ref(), 1..=1000).unwrap_or(3) as u32,
        })
    }

    /// Renders the distro's own command for a question to `port`.
    fn probe_command(&mut self, kind: &'static str, asked: &Place, port: u16, path: &str) -> Option<Vec<String>> {
        let Some(command) = self.distro.commands.get(kind).cloned() else {
            let message = format!("the distro `{}` has no command that asks this", self.distro.name);
            let problem = Problem::at(asked, message).rule(format!("the plain base image has a `{kind}` command"));
            self.problems.push(problem.help(format!(
                "add `{kind}` to `[facts.commands]` of its description, or ask with a `command` of your own"
            )));
            return None;
        };
        // Only these templates know the two names, which may also be those of variables.
        let mut scope = self.scope.clone();
        scope.insert("port".into(), port.into());
        scope.insert("path".into(), path.into());
        let mut rendered = Vec::new();
        for part in &command {
            match self.library.templates.render_text(part, &part.place, &scope) {
                Ok(part) => rendered.push(part.text),
                Err(problem) => self.problems.push(*problem),
            }
        }
        Some(rendered)
    }

    fn port(&mut self, name: &Located<Identifier>, ports: &BTreeMap<String, u16>) -> Option<u16> {
        let port = ports.get(name.as_str()).copied();
        if port.is_none() {
            let problem = Problem::at(&name.place, format!("the process has no port `{}`", **name)).suggest(
                name,
                "its ports",
                ports.keys().map(String::as_str),
            );
            self.problems.push(problem.rule("ports are declared as `ports.NAME = NUMBER`"));
        }
        port
    }

    fn limits(&mut self, table: &LimitsTable) -> Limits {
        let limits = Limits {
            memory_high: self.read(table.memory_high.as_ref(), size),
            memory_max: self.read(table.memory_max.as_ref(), size),
            tasks: self.number(table.tasks.as_ref(), 1..=4_194_304).map(i64::unsigned_abs),
            cpu_weight: self.number(table.cpu_weight.as_ref(), 1..=10_000).map(i64::unsigned_abs),
            open_files: self.number(table.open_files.as_ref(), 3..=1_048_576).map(i64::unsigned_abs),
        };
        if let (Some(high), Some(max), Some(place)) = (limits.memory_high, limits.memory_max, &table.memory_high)
            && high > max
        {
            self.problems.push(
                Problem::at(&place.place, "`memory_high` is above `memory_max`")
                    .rule("a process is slowed down at `memory_high` before it is killed at `memory_max`"),
            );
        }
        limits
    }

    fn environment(
        &mut self,
        table: &Table<crate::spec::EnvironmentName, Located<String>>,
    ) -> BTreeMap<String, String> {
        let mut environment = BTreeMap::new();
        for (name, value) in table {
            if let Some(value) = self.render(value) {
                environment.insert(name.to_string(), value);
            }
        }
        environment
    }

    fn secret_names(&mut self, names: Option<&[Located<Identifier>]>, contract: &Contract) -> Vec<String> {
        for name in names.into_iter().flatten() {
            if !contract.secrets.contains_key(name.as_str()) {
                let problem = Problem::at(&name.place, format!("unknown secret `{}`", **name))
                    .rule("secrets are declared as `[secret.NAME]`")
                    .suggest(name, "declared secrets", contract.secrets.keys().map(String::as_str));
                self.problems.push(problem);
            }
        }
        names.into_iter().flatten().map(ToString::to_string).collect()
    }

    fn directory(&mut self, text: Option<&Located<String>>) -> Option<String> {
        self.path(text?).map(|path| path.to_string())
    }

    /// Renders an absolute path.
    pub(super) fn path(&mut self, text: &Located<String>) -> Option<TreePath> {
        self.read(Some(text), |text| text.parse().map_err(|error: crate::tree::InvalidPath| error.to_string()))
    }

    pub(super) fn missing(&mut self, place: &Place, what: &str, key: &str) {
        self.problems.push(Problem::at(place, format!("{what} has no `{key}`")).help(format!("add `{key} = …`")));
    }
}

/// Returns the user that every one of `processes` runs as; nothing when they differ.
fn shared_user<'table>(processes: &[(&Located<Name>, &'table ProcessTable)]) -> Option<&'table Located<Account>> {
    let mut users = processes.iter().map(|(_, table)| table.user.as_ref());
    let first = users.next()??;
    users.all(|user| user == Some(first)).then_some(first)
}

/// Lays the variables of one process over those that all share.
fn with_shared(shared: &BTreeMap<String, String>, own: BTreeMap<String, String>) -> BTreeMap<String, String> {
    shared.clone().into_iter().chain(own).collect()
}
