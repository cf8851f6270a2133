//! Reading evidence changes no byte of it, writable or not.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

use tempfile::TempDir;

use crate::server::{ServeProcess, program};

/// User and group `nobody`.
const NOBODY: &str = "65534";

/// A data folder with two assets after `serve` has ended, and an output folder.
struct Desk {
    folder: TempDir,
    ids: Vec<String>,
}

impl Desk {
    async fn left_by(end: impl FnOnce(ServeProcess)) -> Self {
        let folder = TempDir::new().unwrap();
        let server = ServeProcess::start(&folder.path().join("data"));
        let mut ids = Vec::new();
        for _ in 0..2 {
            ids.push(server.create().await["id"].as_str().unwrap().to_owned());
            server.wait_for(ids.last().unwrap(), "CREATED").await;
        }
        while server.list().await.len() < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        end(server);
        fs::create_dir(folder.path().join("out")).unwrap();
        Self { folder, ids }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The commands that read evidence.
    fn looks(&self, run: impl Fn(&[&str]) -> Output) {
        let out = |name: &str| self.folder.path().join("out").join(name).display().to_string();
        let data = self.data().display().to_string();
        let (export, heads) = (out("export"), out("heads"));
        let looks: [(&[&str], &str); 6] = [
            (&["verify", "--patience", "1"], ": 0 findings"),
            (&["verify", "--patience", "1", "--objects=deep"], ": 0 findings"),
            (&["history", &self.ids[0]], "created"),
            (&["export", "--out", &export], "2 assets"),
            (&["checkpoint", "--out", &heads], "2"),
            (&["replay", "--dry-run"], "nothing was changed"),
        ];
        for (look, says) in looks {
            let told = run(&[look, &["--data", &data]].concat());
            let said = String::from_utf8_lossy(&told.stdout);
            assert!(told.status.success() && said.contains(says), "{look:?}: {told:?}");
        }
        for made in [&export, &heads] {
            let _ = fs::remove_dir_all(made);
            let _ = fs::remove_file(made);
        }
    }
}

/// Everything in a folder: its bytes and its modification time.
fn seen(folder: &Path) -> BTreeMap<PathBuf, (Option<Vec<u8>>, SystemTime)> {
    let (mut seen, mut waiting) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(path) = waiting.pop() {
        let written = path.metadata().unwrap().modified().unwrap();
        let bytes = path.is_file().then(|| fs::read(&path).unwrap());
        if path.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        seen.insert(path, (bytes, written));
    }
    seen
}

fn has_log(data: &Path) -> bool {
    data.join("journal.sqlite-wal").metadata().is_ok_and(|log| log.len() > 0)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_looks_at_a_folder_changes_no_byte_of_it() {
    let crashed = Desk::left_by(ServeProcess::kill).await;
    assert!(has_log(&crashed.data()), "a crash leaves a log");
    let stopped = Desk::left_by(|server| assert!(server.stop())).await;
    for desk in [crashed, stopped] {
        let before = seen(&desk.data());
        desk.looks(|look| program().args(look).output().unwrap());
        let after = seen(&desk.data());
        let changed = after.iter().filter(|(path, it)| before.get(*path) != Some(it));
        let changed: Vec<_> = changed.map(|(path, _)| path).collect();
        assert!(changed.is_empty() && after.len() == before.len(), "{changed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_written_is_looked_at_all_the_same() {
    let crashed = Desk::left_by(ServeProcess::kill).await;
    let stopped = Desk::left_by(|server| assert!(server.stop())).await;
    for desk in [crashed, stopped] {
        for path in seen(&desk.data()).keys() {
            let mode = if path.is_dir() { 0o555 } else { 0o444 };
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        let (root, out) = (desk.folder.path().to_owned(), desk.folder.path().join("out"));
        fs::set_permissions(&root, Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&out, Permissions::from_mode(0o777)).unwrap();
        // Root may write despite the mode.
        let is_root = root.metadata().unwrap().uid() == 0;
        desk.looks(|look| {
            let own = program();
            let mut command = Command::new(own.get_program());
            if is_root {
                command = Command::new("setpriv");
                command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]);
                command.arg(own.get_program());
            }
            command.args(look).env("TMPDIR", &out).output().unwrap()
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn half_an_import_passes_for_a_whole_ledger_at_no_door() {
    let desk = Desk::left_by(|server| assert!(server.stop())).await;
    fs::write(desk.data().join("import.unfinished"), "").unwrap();
    let out = desk.folder.path().join("out/made");
    let (made, data) = (out.display().to_string(), desk.data().display().to_string());
    let doors: [&[&str]; 9] = [
        &["serve", "--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0"],
        &["verify", "--patience", "1"],
        &["verify", "--patience", "1", "--repair"],
        &["history", &desk.ids[0]],
        &["export", "--out", &made],
        &["checkpoint", "--out", &made],
        &["replay"],
        &["replay", "--dry-run"],
        &["replay", "--asset", &desk.ids[0]],
    ];
    for door in doors {
        let told = program().args(door).args(["--data", &data]).output().unwrap();
        let why = String::from_utf8_lossy(&told.stderr);
        let refused = !told.status.success() && why.contains("run the same `import` again first");
        assert!(refused && !out.exists(), "{door:?}: {told:?}");
    }
}
