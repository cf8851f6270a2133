//! Files and folders that get their name only when complete and on disk.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use tempfile::{Builder, NamedTempFile, TempDir};

/// The suffix of an unfinished file's name.
pub(super) const PARTIAL: &str = ".partial";

/// A file under a temporary name until it is kept. It is removed when dropped; the leftovers of a
/// kill block no later run.
pub struct PartialFile {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
}

impl PartialFile {
    /// Creates a file that only its owner can read. Its path must be free.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        Self::with_mode(path, 0o600)
    }

    /// The same with another mode.
    pub fn with_mode(path: &Path, mode: u32) -> anyhow::Result<Self> {
        ensure_free(path)?;
        let permissions = Permissions::from_mode(mode);
        let (folder, prefix) = place(path)?;
        let mut draft = Builder::new();
        draft.prefix(&prefix).suffix(PARTIAL).permissions(permissions);
        let file = draft.tempfile_in(&folder).with_context(|| cannot(path))?;
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file) })
    }

    /// Makes it durable and gives it its name, which must still be free.
    pub fn keep(self) -> anyhow::Result<()> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error);
        let file = file.with_context(|| cannot(&self.path))?;
        file.as_file().sync_all().with_context(|| cannot(&self.path))?;
        file.persist_noclobber(&self.path).with_context(|| cannot(&self.path))?;
        sync_beside(&self.path).with_context(|| cannot(&self.path))
    }
}

impl Write for PartialFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A folder under a temporary name, like [`PartialFile`].
pub(super) fn folder(path: &Path) -> anyhow::Result<TempDir> {
    ensure_free(path)?;
    let (parent, prefix) = place(path)?;
    let mut draft = Builder::new();
    draft.prefix(&prefix).suffix(PARTIAL).permissions(Permissions::from_mode(0o700));
    draft.tempdir_in(&parent).with_context(|| cannot(path))
}

/// Gives a folder its name. Its files are on disk.
pub(super) fn keep_folder(folder: TempDir, path: &Path) -> anyhow::Result<()> {
    ensure_free(path)?;
    fs::rename(folder.path(), path).with_context(|| cannot(path))?;
    let _ = folder.keep(); // it no longer exists
    sync_beside(path).with_context(|| cannot(path))
}

/// Syncs the folder entry of a file.
pub fn sync_beside(path: &Path) -> io::Result<()> {
    File::open(parent(path))?.sync_all()
}

/// The unfinished outputs of interrupted or running runs at this path.
#[must_use]
pub fn leftovers(path: &Path) -> Vec<PathBuf> {
    let Ok((folder, prefix)) = place(path) else { return Vec::new() };
    let Ok(entries) = fs::read_dir(&folder) else { return Vec::new() };
    let prefix = prefix.as_encoded_bytes();
    let of_ours = |name: &OsString| {
        let name = name.as_encoded_bytes();
        // Earlier releases began their names without a dot.
        let begins = name.starts_with(prefix) || name.starts_with(&prefix[1..]);
        begins && name.ends_with(PARTIAL.as_bytes())
    };
    let names = entries.flatten().map(|entry| entry.file_name()).filter(of_ours);
    let mut found: Vec<_> = names.map(|name| parent(path).join(name)).collect();
    found.sort();
    found
}

/// Refuses a path that exists.
fn ensure_free(path: &Path) -> anyhow::Result<()> {
    let free = path.symlink_metadata().is_err();
    ensure!(free, "--out {}: something is there already; remove it first", path.display());
    Ok(())
}

/// The folder of a path, and the prefix of an unfinished file's name.
fn place(path: &Path) -> anyhow::Result<(PathBuf, OsString)> {
    let name = path.file_name().with_context(|| format!("--out {}: no name", path.display()))?;
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    let folder = parent(path);
    let there = folder.is_dir();
    ensure!(there, "--out {}: there is no folder {}", path.display(), folder.display());
    Ok((folder, prefix))
}

fn parent(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new(".")).to_owned()
}

fn cannot(path: &Path) -> String {
    format!("--out {}: cannot be written", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_has_its_name_once_it_is_whole_and_what_is_left_of_others_is_in_no_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.heads");
        for left in ["a.heads.partial", ".a.heads.x1.partial"] {
            fs::write(folder.path().join(left), "half").unwrap();
        }
        assert_eq!(leftovers(&path).len(), 2);
        std::mem::forget(PartialFile::create(&folder.path().join("c")).unwrap());
        assert_eq!(leftovers(&folder.path().join("c")).len(), 1, "as a kill leaves it");
        fs::remove_file(&leftovers(&folder.path().join("c"))[0]).unwrap();
        let mut draft = PartialFile::create(&path).unwrap();
        draft.write_all(b"whole").unwrap();
        assert!(!path.exists());
        draft.keep().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(PartialFile::create(&path).is_err(), "there is one already");
        drop(PartialFile::create(&folder.path().join("b")).unwrap());
        assert_eq!(names(folder.path()), [".a.heads.x1.partial", "a.heads", "a.heads.partial"]);
    }

    #[test]
    fn what_took_the_name_meanwhile_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let (draft, made) = (PartialFile::create(&path).unwrap(), super::folder(&path).unwrap());
        fs::create_dir(&path).unwrap();
        assert!(draft.keep().is_err() && keep_folder(made, &path).is_err());
        assert_eq!(names(folder.path()), ["a"]);
    }
}
