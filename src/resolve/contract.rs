//! The runtime contract as meant: every default applied, every reference found.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::calendar::calendar;
use super::quantity::{duration, signal, size};
use super::recipe::{Account, Contract, HandOver, Job, Limits, Probe, Process, Question, Secret, Writable};
use super::resolver::Resolver;
use crate::spec::{
    self, Conditional, Identifier, JobTable, JobTime, LimitsTable, Located, LogDestination, Name, Place, ProbeTable,
    Problem, ProcessTable, Restart, Table, Tables, WritableKind, WritableTable,
};
use crate::tree::TreePath;

impl Resolver<'_> {
    /// Resolves processes, jobs, writable paths and secrets, and makes them known to templates.
    pub(super) fn contract(&mut self, tables: &Tables) -> Contract {
        let secrets = self.secrets(tables);
        let handed: BTreeMap<_, _> = secrets.iter().map(|(name, secret)| (name.clone(), &secret.hand_over)).collect();
        self.define("secret", handed);
        let processes: Vec<_> = tables.process.iter().filter(|(_, table)| self.holds(table.condition())).collect();
        let runner = self.only_runner(&processes);
        let writables = self.writables(tables, runner);
        self.define("writable", &writables);
        let mut contract = Contract { secrets, writables, ..Contract::default() };
        let shared = self.environment(&tables.environment);
        // Ports first: the command of one process may name the port of another.
        let ports = self.ports(tables);
        self.define(
            "process",
            ports.iter().map(|(name, ports)| (name, BTreeMap::from([("ports", ports)]))).collect::<BTreeMap<_, _>>(),
        );
        for (name, table) in processes {
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

    /// Returns the user that all processes run as; root when they differ or there is none.
    fn only_runner(&self, processes: &[(&Located<Name>, &ProcessTable)]) -> Account {
        let runner = |table: &ProcessTable| match &table.user.as_ref()?.value {
            spec::Account::Id(id) => Some(Account { uid: *id, gid: *id }),
            spec::Account::Name(name) => self.users.get(name).map(|user| Account { uid: user.uid, gid: user.gid }),
        };
        let mut runners = processes.iter().map(|(_, table)| runner(table));
        let first = runners.next().flatten();
        first.filter(|first| runners.all(|other| other == Some(*first))).unwrap_or(Account { uid: 0, gid: 0 })
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
                (Some(environment), Some(file)) => {
                    self.problems.push(
                        Problem::at(&file.place, format!("the secret `{}` is handed over in two ways", **name))
                            .related(&environment.place, "the other way")
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

    fn writables(&mut self, tables: &Tables, runner: Account) -> BTreeMap<String, Writable> {
        let mut writables: BTreeMap<String, Writable> = BTreeMap::new();
        for (name, table) in &tables.writable {
            if !self.holds(table.condition()) {
                continue;
            }
            let Some(writable) = self.writable(name, table, runner) else { continue };
            if let Some((_, other)) = writables.iter().find(|(_, known)| known.path == writable.path) {
                self.problems.push(
                    Problem::at(&name.place, format!("the writable path `{}` is declared twice", writable.path))
                        .related(&other.place, "here too")
                        .rule("each writable path is declared once"),
                );
            }
            writables.insert(name.to_string(), writable);
        }
        writables
    }

    fn writable(&mut self, name: &Located<Identifier>, table: &WritableTable, runner: Account) -> Option<Writable> {
        let (Some(path), Some(kind)) = (&table.path, &table.kind) else {
            let key = if table.path.is_none() { "path" } else { "kind" };
            self.missing(&name.place, &format!("the writable path `{}`", **name), key);
            return None;
        };
        let temporary = kind.value == WritableKind::Temporary;
        // Anybody may write to a temporary path, as to /tmp, which is root's everywhere.
        let runner = if temporary { Account { uid: 0, gid: 0 } } else { runner };
        let subdirectories = self.render_all(table.subdirectories.as_deref().unwrap_or_default());
        for (subdirectory, written) in subdirectories.iter().zip(table.subdirectories.iter().flatten()) {
            let fault = match TreePath::from_relative(subdirectory.as_bytes()) {
                _ if subdirectory.is_empty() || subdirectory.starts_with('/') => {
                    format!("`{subdirectory}` is not below the writable path")
                }
                Err(error) => error.to_string(),
                Ok(_) => continue,
            };
            let problem = Problem::at(&written.place, fault).rule("subdirectories are relative to the writable path");
            self.problems.push(match subdirectory.trim_matches('/') {
                "" => problem,
                relative => problem.help(format!("write `\"{relative}\"`")),
            });
        }
        let tree_path = self.path(path)?;
        if tree_path.is_root() {
            self.problems.push(
                Problem::at(&path.place, "the root cannot be writable")
                    .rule("the root of an image is read-only; what changes has a writable path of its own"),
            );
            return None;
        }
        let owner = match table.owner {
            Some(_) => self.account(table.owner.as_ref(), table.group.as_ref()),
            None => Account { gid: self.group(table.group.as_ref()).unwrap_or(runner.gid), ..runner },
        };
        Some(Writable {
            path: tree_path,
            kind: kind.value,
            size: self.read(table.size.as_ref(), size),
            owner,
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
                    let same = ports.iter().find(|(_, known)| i64::from(**known) == port);
                    if let Some((other, _)) =
                        same.and_then(|(other, _): (&String, _)| table.ports.get_key_value(other.as_str()))
                    {
                        self.problems.push(
                            Problem::at(
                                &port_name.place,
                                format!("the ports `{}` and `{}` are both {port}", **other, **port_name),
                            )
                            .related(&other.place, "the other one")
                            .rule("a process listens once on each port"),
                        );
                    }
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
                self.missing(&path.place, &format!("the `metrics` table of {what}"), "port");
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
            schedule: self.read(table.schedule.as_ref(), calendar),
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

    /// Renders a command, whose program is an absolute path.
    pub(super) fn command(
        &mut self,
        command: Option<&[Located<String>]>,
        place: &Place,
        what: &str,
    ) -> Option<Vec<String>> {
        let Some(first) = command.and_then(<[_]>::first) else {
            self.missing(place, what, "command");
            return None;
        };
        let written = command.unwrap_or_default();
        let command = self.render_all(written);
        if command.len() < written.len() {
            return None;
        }
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
                    let message = format!("`{rendered}` is no path of a request: it must begin with `/`");
                    self.problems.push(Problem::at(&path.place, message).help(format!("write `\"/{rendered}\"`")));
                }
                let port = match (&table.port, ports.len()) {
                    (Some(port), _) => self.port(port, ports)?,
                    (None, 1) => *ports.values().next()?,
                    (None, 0) => {
                        self.problems.push(
                            Problem::at(&path.place, "this process has no port that the probe could ask")
                                .help("declare it: `ports.http = 8080`"),
                        );
                        return None;
                    }
                    (None, _) => {
                        let names: Vec<_> = ports.keys().map(|name| format!("`port = \"{name}\"`")).collect();
                        self.problems.push(
                            Problem::at(&path.place, "this process has several ports that the probe could ask")
                                .help(format!("say which one: {}", names.join(" or "))),
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
                let command = command.as_ref().and_then(|command| command.first());
                let places = [http.as_ref().map(|http| &http.place), tcp.as_ref().map(|tcp| &tcp.place)];
                let mut places = places.into_iter().chain([command.map(|part| &part.place)]).flatten();
                let mut problem = Problem::at(places.next()?, "this probe asks more than one thing")
                    .rule("a probe has exactly one of `http`, `tcp` and `command`");
                problem.related.extend(places.map(|place| (place.clone(), "and this".to_owned())));
                self.problems.push(problem);
                return None;
            }
        };
        if let (Some(port), Question::Tcp { .. } | Question::Command) = (&table.port, &question) {
            self.problems.push(
                Problem::at(&port.place, "`port` says nothing here")
                    .rule("only `http` asks a port by `port`; `tcp` names the port itself"),
            );
        }
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
        let mut scope = (*self.scope).clone();
        scope.insert("port".into(), port.into());
        scope.insert("path".into(), path.into());
        let scope = Arc::new(scope);
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
        if let (Some(written_high), Some(written_max)) = (&table.memory_high, &table.memory_max)
            && let (Some(high), Some(max)) = (limits.memory_high, limits.memory_max)
            && high > max
        {
            self.problems.push(
                Problem::at(&written_high.place, "`memory_high` is above `memory_max`")
                    .related(&written_max.place, "the limit that kills")
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

    /// Reports a key that must be there.
    pub(super) fn missing(&mut self, place: &Place, what: &str, key: &str) {
        let example = match key {
            "command" => "[\"/usr/bin/…\"]",
            "gid" | "uid" => "65532",
            "kind" => "\"state\"",
            "path" => "\"/var/lib/…\"",
            "port" => "\"…\"",
            "schedule" => "\"daily\"",
            "target" => "\"/…\"",
            "user" => "65532",
            "when" => "\"pre_deploy\"",
            _ => "…",
        };
        let rule = match key {
            "kind" => Some("`kind` is `state`, `cache`, `logs`, `runtime` or `temporary`"),
            "user" => Some("a program runs as a `[user.NAME]` of this profile, `root`, or a number"),
            "when" => Some("a job runs `pre_deploy`, `post_deploy` or on a `schedule`"),
            _ => None,
        };
        let mut problem = Problem::at(place, format!("{what} has no `{key}`")).help(format!("add `{key} = {example}`"));
        problem.rule = rule.map(str::to_owned);
        self.problems.push(problem);
    }
}

/// Lays the variables of one process over those that all share.
fn with_shared(shared: &BTreeMap<String, String>, own: BTreeMap<String, String>) -> BTreeMap<String, String> {
    shared.clone().into_iter().chain(own).collect()
}
