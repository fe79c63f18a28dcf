//! The clone that xtask works on, and its git-ignored folder `.quadrille/` with all that the stack leaves on disk.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

///
/// `.quadrille/` holds `env` (addresses, while the stack is up), `ports` (as chosen), `lib/` (downloads), `data/`,
/// `logs/` and `lock`.
pub struct Project {
    root: PathBuf,
}

impl Project {
    /// The clone that this xtask belongs to, with its `.quadrille/` created.
    pub fn find() -> Result<Self> {
        // Cargo says which clone `cargo xtask` was typed in, whatever binary a shared target folder holds.
        let by_cargo = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let start = by_cargo.map_or_else(env::current_dir, Ok).context("cannot tell the current folder")?;
        let Some(root) = start.ancestors().find(|folder| folder.join("xtask/stack").is_dir()) else {
            bail!("expected a clone of Quadrille, found none at {} or above: run `cargo xtask` in it", start.display());
        };
        Self::at(root)
    }

    pub fn at(root: &Path) -> Result<Self> {
        let root = root.canonicalize().with_context(|| format!("cannot resolve {}", root.display()))?;
        let project = Self { root };
        for folder in ["lib", "data", "logs"] {
            let path = project.folder().join(folder);
            fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        }
        Ok(project)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn folder(&self) -> PathBuf {
        self.root.join(".quadrille")
    }

    pub fn lib(&self, name: &str) -> PathBuf {
        self.folder().join("lib").join(name)
    }

    pub fn data(&self, name: &str) -> PathBuf {
        self.folder().join("data").join(name)
    }

    /// Cargo at the root, which names itself, so that the same toolchain is used throughout.
    pub fn cargo(&self) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root);
        command
    }

    pub fn log(&self, name: &str) -> PathBuf {
        self.folder().join("logs").join(format!("{name}.log"))
    }

    /// A fresh log for `name`; the one before is kept as `NAME.log.1`.
    pub fn new_log(&self, name: &str) -> Result<File> {
        let path = self.log(name);
        if path.exists() {
            fs::rename(&path, path.with_extension("log.1"))
                .with_context(|| format!("cannot move {}", path.display()))?;
        }
        File::create(&path).with_context(|| format!("cannot create {}", path.display()))
    }

    /// Waits until no other xtask starts or stops parts of this clone; the others wait until the answer is dropped.
    pub fn lock(&self) -> Result<File> {
        let path = self.folder().join("lock");
        let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        if file.try_lock().is_err() {
            println!("another `cargo xtask` starts or stops the stack: waiting for it");
            file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
        }
        Ok(file)
    }

    pub fn read_values(&self, name: &str) -> Result<BTreeMap<String, String>> {
        let path = self.folder().join(name);
        if !path.exists() {
            return Ok(BTreeMap::new());
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let pair = |line: &str| line.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
        let line = |line| pair(line).with_context(|| format!("{}: expected KEY=VALUE, found `{line}`", path.display()));
        text.lines().map(line).collect()
    }

    /// Writes lines `KEY=VALUE` to the file `name` in `.quadrille/`; readers see the old file or the new one whole.
    pub fn write_values(&self, name: &str, values: &BTreeMap<String, String>) -> Result<()> {
        let path = self.folder().join(name);
        let text: String = values.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        let draft = self.folder().join(format!("{name}.new"));
        fs::write(&draft, text)
            .and_then(|()| fs::rename(&draft, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Deletes a file or a folder with all in it; nothing there is fine.
pub fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    };
    removed.with_context(|| format!("cannot delete {}", path.display()))
}
