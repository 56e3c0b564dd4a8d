//! Files in a map: what runs need of a disk, and a way to damage them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::disk::{Disk, File, LockGuard, MapAccess, OpenMode, SharedMap};
use crate::error::{Error, Result};

#[derive(Debug, Default)]
pub struct TestDisk {
    files: Mutex<BTreeMap<PathBuf, Arc<TestFile>>>,
}

#[derive(Debug, Default)]
pub struct TestFile(Mutex<Vec<u8>>);

impl TestDisk {
    pub fn names(&self) -> Vec<PathBuf> {
        self.files.lock().unwrap().keys().cloned().collect()
    }

    pub fn bytes(&self, path: &Path) -> Vec<u8> {
        self.files.lock().unwrap()[path].0.lock().unwrap().clone()
    }

    pub fn put(&self, path: &Path, bytes: Vec<u8>) {
        self.files.lock().unwrap().insert(path.to_owned(), Arc::new(TestFile(Mutex::new(bytes))));
    }
}

impl Disk for TestDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn File>> {
        assert_eq!(mode, OpenMode::Create, "runs are written once and then mapped");
        let file = Arc::new(TestFile::default());
        let replaced = self.files.lock().unwrap().insert(path.to_owned(), file.clone());
        assert!(replaced.is_none(), "{} was there", path.display());
        Ok(file)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        assert!(self.files.lock().unwrap().remove(path).is_some(), "{} is not there", path.display());
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn map(&self, path: &Path) -> Result<Bytes> {
        let missing = || Error::io("map", path, std::io::Error::from(std::io::ErrorKind::NotFound));
        let file = self.files.lock().unwrap().get(path).cloned().ok_or_else(missing)?;
        let bytes = file.0.lock().unwrap().clone();
        Ok(bytes.into())
    }

    fn rename(&self, _: &Path, _: &Path) -> Result<()> {
        unreachable!("history renames nothing")
    }
    fn create_dir(&self, _: &Path) -> Result<()> {
        Ok(())
    }
    fn remove_dir(&self, _: &Path) -> Result<()> {
        Ok(())
    }
    fn list(&self, _: &Path) -> Result<Vec<String>> {
        unreachable!("the registry says what files there are")
    }
    fn exists(&self, path: &Path) -> Result<bool> {
        Ok(self.files.lock().unwrap().contains_key(path))
    }
    fn map_shared(&self, _: &Path, _: MapAccess, _: u64) -> Result<Arc<SharedMap>> {
        unreachable!("runs never change")
    }
    fn try_lock(&self, _: &Path) -> Result<Option<Box<dyn LockGuard>>> {
        unreachable!("the store locks, runs do not")
    }
    fn is_locked(&self, _: &Path) -> Result<bool> {
        unreachable!("the store locks, runs do not")
    }
    fn boot_id(&self) -> [u8; 16] {
        [0; 16]
    }
}

impl File for TestFile {
    fn read_at(&self, _: u64, _: &mut [u8]) -> Result<()> {
        unreachable!("runs are read through mappings")
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut file = self.0.lock().unwrap();
        let start = usize::try_from(offset).unwrap();
        let end = file.len().max(start + bytes.len());
        file.resize(end, 0);
        file[start..start + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
    fn len_bytes(&self) -> Result<u64> {
        Ok(self.0.lock().unwrap().len() as u64)
    }
    fn set_len(&self, _: u64) -> Result<()> {
        unreachable!("runs are written front to back")
    }
    fn allocate(&self, _: u64) -> Result<()> {
        Ok(())
    }
    fn sync(&self) -> Result<()> {
        Ok(())
    }
    fn identity(&self) -> Result<(u64, u64)> {
        Ok((0, 0))
    }
}
