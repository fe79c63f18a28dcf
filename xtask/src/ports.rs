//! Which port each part listens on: its default, unless a stranger has it.

use std::{collections::BTreeMap, net::TcpListener};

use anyhow::{Context, Result, bail};

use crate::{
    project::Project,
    stack::{HOST, Part, Port},
};

pub const FILE: &str = "ports";

/// The ports that were chosen for the stack of one clone, kept in `.quadrille/ports` until it is stopped.
pub struct Ports {
    chosen: BTreeMap<Port, u16>,
}

impl Ports {
    pub fn load(project: &Project) -> Result<Self> {
        let values = project.read_values(FILE)?;
        let read = |port: Port| {
            let value = values.get(port.name())?;
            Some(value.parse().map(|number| (port, number)).with_context(|| {
                format!(".quadrille/{FILE}: expected a port for {}, found `{value}`: delete the file", port.name())
            }))
        };
        Ok(Self { chosen: Port::ALL.into_iter().filter_map(read).collect::<Result<_>>()? })
    }

    pub fn get(&self, port: Port) -> Option<u16> {
        self.chosen.get(&port).copied()
    }

    pub fn chosen(&self, port: Port) -> Result<u16> {
        self.get(port).with_context(|| format!("no port was chosen for {}", port.name()))
    }

    pub fn of(&self, part: Part) -> Option<u16> {
        self.get(part.ports()[0])
    }

    /// Chooses ports for a part that does not run: those it had (its clients know them) if they are still free, else
    /// the defaults, else the next free ones, and says so.
    pub fn choose(&mut self, project: &Project, part: Part) -> Result<()> {
        for &port in part.ports() {
            let number = self.free(port)?;
            if number != port.default_number() && self.get(port) != Some(number) {
                println!(
                    "{}: port {} is taken by another program; taking {number}",
                    port.name(),
                    port.default_number()
                );
            }
            self.chosen.insert(port, number);
        }
        let values = self.chosen.iter().map(|(port, number)| (port.name().to_owned(), number.to_string()));
        project.write_values(FILE, &values.collect())
    }

    fn free(&self, port: Port) -> Result<u16> {
        let default = port.default_number();
        // Steps of 10 keep clear of the other parts' defaults.
        let candidates = self.get(port).into_iter().chain((default..).step_by(10).take(200));
        let others: Vec<u16> = self.chosen.iter().filter(|(other, _)| **other != port).map(|(_, &n)| n).collect();
        let is_free = |number: &u16| !others.contains(number) && TcpListener::bind((HOST, *number)).is_ok();
        match candidates.into_iter().find(is_free) {
            Some(number) => Ok(number),
            None => bail!("no free port for {} from {default} on: stop what listens there (`ss -ltnp`)", port.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_taken_port_is_passed_over() {
        let taken = TcpListener::bind((HOST, 0)).unwrap();
        let number = taken.local_addr().unwrap().port();
        let ports = Ports { chosen: BTreeMap::from([(Port::Kafka, number)]) };
        assert_ne!(ports.free(Port::Kafka).unwrap(), number);
        drop(taken);
        // Another test's child may hold a copy of the socket until it becomes its program.
        let again = || ports.free(Port::Kafka).unwrap() == number;
        assert!(crate::process::until(Duration::from_secs(5), again), "the one it had comes first");
    }
}
