//! A root of the command's own: what is not put into it does not exist for it.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::StatVfsMountFlags;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind_recursive, mount_change, mount_remount, unmount,
};
use rustix::process::{chdir, pivot_root};

use super::{ConfineError, Confinement, DEVICES, Doing as _, SYSTEM_SETTINGS};

/// Holds directories and links, next to nothing.
const ROOT_OPTIONS: &std::ffi::CStr = c"mode=0755,size=4m";

/// Memory that processes share by name.
const SHARED_OPTIONS: &std::ffi::CStr = c"mode=1777,size=64m";

/// What every path has that a command can write to.
const WRITABLE: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);

/// Puts the root together at `place` and moves into it.
pub(super) fn change(confinement: &Confinement, place: &Path) -> Result<(), ConfineError> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).doing(|| "private mounts".to_owned())?;
    mount("tmpfs", place, "tmpfs", WRITABLE, ROOT_OPTIONS).doing(|| "empty root".to_owned())?;
    let root = Root { place };
    root.system(confinement)?;
    root.settings(confinement)?;
    root.devices()?;
    root.processes()?;
    root.temporary(confinement)?;
    for writable in [&confinement.scratch, &confinement.workspace] {
        let target = root.at(writable);
        directory(&target)?;
        root.bind(writable, &target, WRITABLE)?;
    }
    chdir(place).doing(|| "new root".to_owned())?;
    pivot_root(".", ".").doing(|| "change of root".to_owned())?;
    unmount(".", UnmountFlags::DETACH).doing(|| "old root".to_owned())?;
    chdir("/").doing(|| "new root".to_owned())?;
    remount("/", MountFlags::RDONLY | WRITABLE)
}

struct Root<'a> {
    place: &'a Path,
}

impl Root<'_> {
    /// Where a path of the new root lies while it is put together.
    fn at(&self, path: &Path) -> PathBuf {
        self.place.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn bind(&self, source: &Path, target: &Path, flags: MountFlags) -> Result<(), ConfineError> {
        mount_bind_recursive(source, target).doing(|| format!("bind of {}", source.display()))?;
        remount(target, flags)
    }

    fn system(&self, confinement: &Confinement) -> Result<(), ConfineError> {
        let mut bound: Vec<PathBuf> = Vec::new();
        for path in confinement.readable_directories() {
            // `/bin` is often a link to `usr/bin`. An absolute one would lead out of the root while it is put together.
            if let Ok(target) = fs::read_link(&path)
                && path.parent() == Some(Path::new("/"))
            {
                let target = target.strip_prefix("/").unwrap_or(&target).to_path_buf();
                symlink(target, self.at(&path)).doing(|| format!("link {}", path.display()))?;
                continue;
            }
            // A path without links: following one in the new root could lead out of it.
            let real = path.canonicalize().doing(|| format!("{}", path.display()))?;
            if bound.iter().any(|above| real.starts_with(above)) {
                continue;
            }
            self.show(&real, &real)?;
            bound.push(real);
        }
        Ok(())
    }

    /// Shows a file or directory of the host read-only.
    fn show(&self, source: &Path, path: &Path) -> Result<(), ConfineError> {
        let target = self.at(path);
        if source.is_dir() {
            directory(&target)?;
        } else {
            target.parent().map_or(Ok(()), directory)?;
            file(&target, "")?;
        }
        self.bind(source, &target, MountFlags::RDONLY | WRITABLE)
    }

    fn settings(&self, confinement: &Confinement) -> Result<(), ConfineError> {
        directory(&self.at(Path::new("/etc")))?;
        for path in SYSTEM_SETTINGS.map(Path::new) {
            // Often links to where something else keeps them current; what they lead to is what is shown.
            if let Ok(source) = path.canonicalize()
                && !confinement.exposes(&source)
            {
                self.show(&source, path)?;
            }
        }
        // Names for the one user there is: the host's are nobody's business.
        let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let home = confinement.workspace.display();
        let users = format!("user:x:{user}:{group}::{home}:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n");
        file(&self.at(Path::new("/etc/passwd")), &users)?;
        file(&self.at(Path::new("/etc/group")), &format!("user:x:{group}:\nnogroup:x:65534:\n"))
    }

    fn devices(&self) -> Result<(), ConfineError> {
        directory(&self.at(Path::new("/dev")))?;
        for path in DEVICES.map(Path::new).into_iter().filter(|path| path.exists()) {
            let target = self.at(path);
            file(&target, "")?;
            mount_bind_recursive(path, &target).doing(|| format!("bind of {}", path.display()))?;
        }
        for (path, target) in [
            ("/dev/fd", "/proc/self/fd"),
            ("/dev/stdin", "/proc/self/fd/0"),
            ("/dev/stdout", "/proc/self/fd/1"),
            ("/dev/stderr", "/proc/self/fd/2"),
        ] {
            symlink(target, self.at(Path::new(path))).doing(|| format!("link {path}"))?;
        }
        let shared = self.at(Path::new("/dev/shm"));
        directory(&shared)?;
        mount("tmpfs", &shared, "tmpfs", WRITABLE, SHARED_OPTIONS).doing(|| "shared memory".to_owned())
    }

    fn processes(&self) -> Result<(), ConfineError> {
        let target = self.at(Path::new("/proc"));
        directory(&target)?;
        let flags = WRITABLE | MountFlags::NOEXEC;
        mount("proc", &target, "proc", flags, None).doing(|| "list of processes".to_owned())
    }

    fn temporary(&self, confinement: &Confinement) -> Result<(), ConfineError> {
        for path in ["/tmp", "/var", "/run"] {
            directory(&self.at(Path::new(path)))?;
        }
        symlink("/tmp", self.at(Path::new("/var/tmp"))).doing(|| "link /var/tmp".to_owned())?;
        // First this one: a workspace below `/tmp` is then made inside of the scratch directory, and stays visible.
        self.bind(&confinement.scratch, &self.at(Path::new("/tmp")), WRITABLE)
    }
}

/// Changes what a mount allows. What it forbade before it goes on to forbid: that cannot be taken back here.
fn remount(path: impl AsRef<Path>, flags: MountFlags) -> Result<(), ConfineError> {
    let path = path.as_ref();
    let doing = || format!("rights of {}", path.display());
    let before = rustix::fs::statvfs(path).doing(doing)?.f_flag;
    let mut flags = flags | MountFlags::BIND;
    for (had, keeps) in [
        (StatVfsMountFlags::RDONLY, MountFlags::RDONLY),
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
    ] {
        if before.contains(had) {
            flags |= keeps;
        }
    }
    mount_remount(path, flags, "").doing(doing)
}

fn directory(path: &Path) -> Result<(), ConfineError> {
    DirBuilder::new().recursive(true).mode(0o755).create(path).doing(|| format!("directory {}", path.display()))
}

fn file(path: &Path, text: &str) -> Result<(), ConfineError> {
    File::create(path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
        .doing(|| format!("file {}", path.display()))
}
