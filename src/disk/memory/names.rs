//! Folders and names of the simulated disk: those that processes see, and those that are durable.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::file::Inode;

/// What a name stands for.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Dir,
    File(Arc<Inode>),
}

pub(super) type Tree = BTreeMap<Arc<Path>, Node>;

/// A change of names that no sync of its folder covered yet.
#[derive(Clone, Debug)]
pub(super) struct NameChange {
    /// The folder whose sync makes it durable.
    pub dir: Arc<Path>,
    pub kind: NameChangeKind,
}

#[derive(Clone, Debug)]
pub(super) enum NameChangeKind {
    Bind {
        name: Arc<Path>,
        node: Node,
    },
    Unbind {
        name: Arc<Path>,
    },
    /// A rename within one folder: both names change, or neither.
    Move {
        from: Arc<Path>,
        to: Arc<Path>,
        node: Node,
    },
}

impl NameChange {
    pub fn apply(&self, tree: &mut Tree) {
        match &self.kind {
            NameChangeKind::Bind { name, node } => {
                tree.insert(Arc::clone(name), node.clone());
            }
            NameChangeKind::Unbind { name } => {
                if let Some(Node::Dir) = tree.remove(name) {
                    // What the folder held went with it, whether or not its own removals were synced.
                    tree.retain(|path, _| !path.starts_with(name));
                }
            }
            NameChangeKind::Move { from, to, node } => {
                tree.remove(from);
                tree.insert(Arc::clone(to), node.clone());
            }
        }
    }

    /// The names whose later changes must not overtake this one.
    pub fn names(&self) -> impl Iterator<Item = &Arc<Path>> {
        let (first, second) = match &self.kind {
            NameChangeKind::Bind { name, .. } | NameChangeKind::Unbind { name } => (name, None),
            NameChangeKind::Move { from, to, .. } => (from, Some(to)),
        };
        std::iter::once(first).chain(second)
    }
}

/// The names processes see, the durable ones, and what lies between.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub live: Tree,
    pub durable: Tree,
    pub pending: Vec<NameChange>,
}

impl Names {
    pub fn find(&self, path: &Path) -> Option<&Node> {
        self.live.get(path)
    }

    /// Whether `path` is a folder; the root and the process's own folder always are.
    pub fn is_dir(&self, path: &Path) -> bool {
        is_root(path) || matches!(self.live.get(path), Some(Node::Dir))
    }

    fn parent(&self, path: &Path) -> Result<Arc<Path>, ErrorKind> {
        let parent = path.parent().ok_or(ErrorKind::InvalidInput)?;
        match self.live.get_key_value(parent) {
            Some((parent, Node::Dir)) => Ok(Arc::clone(parent)),
            Some(_) => Err(ErrorKind::NotADirectory),
            None if is_root(parent) => Ok(Arc::from(parent)),
            None => Err(ErrorKind::NotFound),
        }
    }

    fn change(&mut self, dir: Arc<Path>, kind: NameChangeKind) {
        let change = NameChange { dir, kind };
        change.apply(&mut self.live);
        self.pending.push(change);
    }

    pub fn create(&mut self, path: &Path, node: Node) -> Result<(), ErrorKind> {
        let dir = self.parent(path)?;
        if self.live.contains_key(path) {
            return Err(ErrorKind::AlreadyExists);
        }
        self.change(dir, NameChangeKind::Bind { name: Arc::from(path), node });
        Ok(())
    }

    pub fn rename(&mut self, from: &Path, to: &Path) -> Result<(), ErrorKind> {
        let node = match self.live.get(from) {
            Some(Node::File(inode)) => Node::File(Arc::clone(inode)),
            Some(Node::Dir) => return Err(ErrorKind::IsADirectory),
            None => return Err(ErrorKind::NotFound),
        };
        let (from_dir, to_dir) = (self.parent(from)?, self.parent(to)?);
        if self.is_dir(to) {
            return Err(ErrorKind::IsADirectory);
        }
        if from == to {
            return Ok(());
        }
        let (from, to) = (Arc::from(from), Arc::from(to));
        if from_dir == to_dir {
            self.change(from_dir, NameChangeKind::Move { from, to, node });
        } else {
            // Each folder's half becomes durable with its own sync.
            self.change(to_dir, NameChangeKind::Bind { name: to, node });
            self.change(from_dir, NameChangeKind::Unbind { name: from });
        }
        Ok(())
    }

    pub fn remove(&mut self, path: &Path) -> Result<(), ErrorKind> {
        match self.live.get(path) {
            Some(Node::File(_)) => {}
            Some(Node::Dir) => return Err(ErrorKind::IsADirectory),
            None => return Err(ErrorKind::NotFound),
        }
        let dir = self.parent(path)?;
        self.change(dir, NameChangeKind::Unbind { name: Arc::from(path) });
        Ok(())
    }

    pub fn remove_dir(&mut self, path: &Path) -> Result<(), ErrorKind> {
        match self.live.get(path) {
            Some(Node::Dir) => {}
            Some(Node::File(_)) => return Err(ErrorKind::NotADirectory),
            None => return Err(ErrorKind::NotFound),
        }
        if self.children(path).next().is_some() {
            return Err(ErrorKind::DirectoryNotEmpty);
        }
        let dir = self.parent(path)?;
        self.change(dir, NameChangeKind::Unbind { name: Arc::from(path) });
        Ok(())
    }

    /// The names directly below a folder.
    pub fn children<'a>(&'a self, dir: &'a Path) -> impl Iterator<Item = &'a Path> {
        self.live.keys().map(|path| &**path).filter(move |path| path.parent() == Some(dir))
    }

    pub fn check_dir(&self, path: &Path) -> Result<(), ErrorKind> {
        match self.is_dir(path) {
            true => Ok(()),
            false if self.live.contains_key(path) => Err(ErrorKind::NotADirectory),
            false => Err(ErrorKind::NotFound),
        }
    }

    /// Makes the changes of one folder durable.
    pub fn sync_dir(&mut self, dir: &Path) {
        let mut left = Vec::new();
        for change in std::mem::take(&mut self.pending) {
            if *change.dir != *dir {
                left.push(change);
                continue;
            }
            change.apply(&mut self.durable);
            if let NameChangeKind::Unbind { name } = &change.kind {
                // Changes inside a folder that is gone for good.
                left.retain(|inner: &NameChange| !inner.dir.starts_with(name));
            }
        }
        self.pending = left;
    }
}

fn is_root(path: &Path) -> bool {
    path.as_os_str().is_empty() || path == Path::new("/")
}

/// The one spelling of a path: without `.` and `..`.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal
}
