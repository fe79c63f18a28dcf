//! Starts the parts in the order in which they need each other, waits until they serve, and stops them.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::{
    addresses::{self, Addresses, External},
    install::{self, Need},
    kafka,
    ports::{self, Ports},
    postgres,
    process::{self, Mark},
    programs,
    project::{Project, remove},
    registry,
    stack::Part,
};

pub struct Up {
    pub addresses: Addresses,
    pub started: Vec<Part>,
}

/// Starts those of `parts` that don't run and are not taken from the environment, and waits until they serve.
pub fn up(project: &Project, parts: &[Part]) -> Result<Up> {
    let external = External::read(project)?;
    external.check(parts)?;
    for part in parts {
        if let Some(address) = external.get(*part) {
            println!("{}: taken from {}: {}", part.name(), part.setting(), without_password(address));
        }
    }
    let own_registry = parts.contains(&Part::Registry) && external.get(Part::Registry).is_none();
    let is_own = |part: &Part| match part {
        // The registry keeps its schemas in a PostgreSQL of ours, whatever the consumers use.
        Part::Postgres => external.get(Part::Postgres).is_none() || own_registry,
        Part::Kafka | Part::Registry => external.get(*part).is_none(),
    };
    let own: Vec<Part> = parts.iter().copied().filter(is_own).collect();

    let _lock = project.lock()?;
    let mut starter = Starter { project, ports: Ports::load(project)?, started: Vec::new(), installed: Vec::new() };
    starter.run(&own)?;
    let running: Vec<Part> =
        Part::ALL.into_iter().filter(|part| pid(project, *part).is_ok_and(|pid| pid.is_some())).collect();
    let addresses = addresses::write(project, &external, &starter.ports, &running)?;
    println!("{}", if starter.started.is_empty() { "up already:" } else { "up; written to .quadrille/env:" });
    for (key, value) in &addresses {
        let shown = if external.get(Part::Postgres) == Some(value) { without_password(value) } else { value.clone() };
        println!("  {key}={shown}");
    }
    Ok(Up { addresses, started: starter.started })
}

struct Starter<'project> {
    project: &'project Project,
    ports: Ports,
    started: Vec<Part>,
    installed: Vec<Need>,
}

impl Starter<'_> {
    fn run(&mut self, own: &[Part]) -> Result<()> {
        let begun = Instant::now();
        // The broker takes seconds to start: meanwhile PostgreSQL does, and then the registry.
        let postgres = self.start_if(own, Part::Postgres)?;
        let kafka = self.start_if(own, Part::Kafka)?;
        if let Some(pid) = postgres {
            self.wait(Part::Postgres, pid, begun)?;
            postgres::create_databases(&self.ports)?;
        }
        let registry = self.start_if(own, Part::Registry)?;
        for (part, pid) in [(Part::Kafka, kafka), (Part::Registry, registry)] {
            if let Some(pid) = pid {
                self.wait(part, pid, begun)?;
            }
        }
        Ok(())
    }

    /// The process of `part`, started if it does not run; `None` when it is not ours.
    fn start_if(&mut self, own: &[Part], part: Part) -> Result<Option<u32>> {
        if !own.contains(&part) {
            return Ok(None);
        }
        let project = self.project;
        if let Some(pid) = pid(project, part)? {
            // One whose folder was deleted under it listens on a port that nobody knows any more.
            let is_usable = self.ports.of(part).is_some()
                && match part {
                    Part::Registry => registry::stores_here(pid, &self.ports),
                    Part::Kafka | Part::Postgres => true,
                };
            if is_usable {
                return Ok(Some(pid));
            }
            println!("{}: process {pid} is left from before: stopping it", part.name());
            stop(part, pid)?;
        }
        let need = Need::of(part);
        if !self.installed.contains(&need) {
            install::ensure(&[need])?;
            self.installed.push(need);
        }
        self.ports.choose(project, part)?;
        self.started.push(part);
        let pid = match part {
            Part::Kafka => kafka::start(project, &self.ports)?,
            Part::Postgres => postgres::start(project, &self.ports)?,
            Part::Registry => registry::start(project, &self.ports)?,
        };
        Ok(Some(pid))
    }

    fn wait(&self, part: Part, pid: u32, begun: Instant) -> Result<()> {
        let (limit, ..) = limits(part);
        let log = self.project.log(part.name());
        process::wait_ready(part.name(), pid, limit, &log, || is_ready(part, &self.ports))?;
        if self.started.contains(&part) {
            println!("{}: ready after {:.1} s", part.name(), begun.elapsed().as_secs_f32());
        }
        Ok(())
    }
}

fn pid(project: &Project, part: Part) -> Result<Option<u32>> {
    Mark::new(project, part.name()).find()
}

fn is_ready(part: Part, ports: &Ports) -> bool {
    match part {
        Part::Kafka => kafka::is_ready(ports),
        Part::Postgres => postgres::is_ready(ports),
        Part::Registry => registry::is_ready(ports),
    }
}

/// How long a part may take until it serves, the signal that stops it, and how long that may take.
const fn limits(part: Part) -> (Duration, &'static str, Duration) {
    match part {
        Part::Kafka => (kafka::READY_WITHIN, "TERM", kafka::STOP_WITHIN),
        Part::Postgres => (postgres::READY_WITHIN, postgres::STOP_SIGNAL, postgres::STOP_WITHIN),
        Part::Registry => (registry::READY_WITHIN, "TERM", registry::STOP_WITHIN),
    }
}

fn stop(part: Part, pid: u32) -> Result<()> {
    let (_, signal, limit) = limits(part);
    process::stop(pid, signal, limit)
}

pub fn down(project: &Project, wipe: bool) -> Result<()> {
    let _lock = project.lock()?;
    programs::stop_leftovers(project)?;
    // The broker and the registry stop at the same time; PostgreSQL when nobody needs it any more.
    for part in [Part::Kafka, Part::Registry] {
        if let Some(pid) = pid(project, part)? {
            process::signal(pid, "TERM")?;
        }
    }
    let mut stopped = Vec::new();
    for part in [Part::Registry, Part::Kafka, Part::Postgres] {
        if let Some(pid) = pid(project, part)? {
            stop(part, pid)?;
            stopped.push(part.name());
        }
    }
    for file in [addresses::FILE, ports::FILE] {
        remove(&project.folder().join(file))?; // nothing listens there any more
    }
    match stopped.as_slice() {
        [] => println!("down already"),
        names => println!("stopped: {}", names.join(", ")),
    }
    if wipe {
        postgres::wipe(project)?;
        remove(&project.data(Part::Kafka.name()))?;
        println!("data deleted");
    }
    Ok(())
}

pub fn status(project: &Project) -> Result<bool> {
    let external = External::read(project)?;
    let ports = Ports::load(project)?;
    let mut all_serve = true;
    for part in Part::ALL {
        let words = match (external.get(part), pid(project, part)?, ports.of(part)) {
            (Some(address), _, _) => {
                let words = if external.check(&[part]).is_ok() { "answers" } else { "DOES NOT ANSWER" };
                format!("{words} at {} (from {})", without_password(address), part.setting())
            }
            (None, Some(pid), Some(port)) if is_ready(part, &ports) => {
                format!("ready     port {port:<5}  pid {pid:<7}  log {}", shown(project, project.log(part.name())))
            }
            (None, Some(pid), _) => {
                format!("NOT READY             pid {pid:<7}  log {}", shown(project, project.log(part.name())))
            }
            (None, None, _) => "down      start it with `cargo xtask up`".to_owned(),
        };
        all_serve &= words.starts_with("answers") || words.starts_with("ready");
        println!("{:<9} {words}", part.name());
    }
    Ok(all_serve)
}

fn shown(project: &Project, path: PathBuf) -> String {
    path.strip_prefix(project.root()).unwrap_or(&path).display().to_string()
}

/// An address for the eye: `postgres://me:secret@host/db` becomes `postgres://me:…@host/db`.
pub fn without_password(address: &str) -> String {
    let hidden = address.split_once("://").and_then(|(scheme, rest)| {
        let (credentials, place) = rest.rsplit_once('@')?;
        let (user, _) = credentials.split_once(':')?;
        Some(format!("{scheme}://{user}:…@{place}"))
    });
    hidden.unwrap_or_else(|| address.to_owned())
}

/// Starts all parts and fails when one of them is missing an address: what `test` and the like begin with.
pub fn all(project: &Project) -> Result<Up> {
    let up = up(project, &Part::ALL)?;
    if let Some(part) = Part::ALL.iter().find(|part| !up.addresses.contains_key(part.setting())) {
        bail!("{} was up and is gone: see {}", part.name(), project.log(part.name()).display());
    }
    Ok(up)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(without_password("postgres://me:s:cret@db:1/orders"), "postgres://me:…@db:1/orders");
        assert_eq!(without_password("postgres://me@db/orders"), "postgres://me@db/orders");
        assert_eq!(without_password("a:9092,b:9092"), "a:9092,b:9092");
    }
}
