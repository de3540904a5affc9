//! The operating system's files.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use millstream_core::Fs;
use millstream_core::env::{ReadFile, WriteFile};

/// The real file system.
pub(crate) struct RealFs;

impl Fs for RealFs {
    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        if path == Path::new("-") {
            let file = rustix::io::dup(rustix::stdio::stdin())?;
            return Ok(Box::new(Reader { file: file.into(), len: None }));
        }
        let file = File::open(path)?;
        let meta = file.metadata()?;
        if meta.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a directory"));
        }
        Ok(Box::new(Reader { file, len: meta.is_file().then_some(meta.len()) }))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        if path == Path::new("-") {
            let file = rustix::io::dup(rustix::stdio::stdout())?;
            return Ok(Box::new(Writer { file: file.into() }));
        }
        Ok(Box::new(Writer { file: File::create(path)? }))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        Ok(Box::new(Writer { file: File::options().append(true).create(true).open(path)? }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        std::fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().into())).collect()
    }

    fn is_special(&self, path: &Path) -> bool {
        std::fs::metadata(path).is_ok_and(|meta| !meta.is_file())
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        Ok(std::fs::metadata(path)?.len())
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        std::fs::canonicalize(path)
    }
}

struct Reader {
    file: File,
    len: Option<u64>,
}

impl ReadFile for Reader {
    fn read(&mut self, into: &mut Vec<u8>, max: usize) -> io::Result<usize> {
        into.reserve_exact(max);
        if into.capacity() - into.len() > max {
            return self.read_cleared(into, max);
        }
        // Reading into the spare room spares clearing a block of a megabyte for every read.
        loop {
            match rustix::io::read(&self.file, rustix::buffer::spare_capacity(into)) {
                Err(rustix::io::Errno::INTR) => {}
                result => return Ok(result?),
            }
        }
    }

    fn seek(&mut self, offset: u64) -> io::Result<()> {
        if self.len.is_none() {
            return Err(io::Error::new(io::ErrorKind::NotSeekable, "a pipe cannot seek"));
        }
        self.file.seek(SeekFrom::Start(offset)).map(drop)
    }

    fn len(&self) -> Option<u64> {
        self.len
    }
}

impl Reader {
    /// For when there is more room than may be filled.
    fn read_cleared(&mut self, into: &mut Vec<u8>, max: usize) -> io::Result<usize> {
        let filled = into.len();
        into.resize(filled + max, 0);
        let result = io::Read::read(&mut self.file, &mut into[filled..]);
        into.truncate(filled + result.as_ref().copied().unwrap_or(0));
        match result {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => self.read_cleared(into, max),
            result => result,
        }
    }
}

struct Writer {
    file: File,
}

impl WriteFile for Writer {
    fn write_all(&mut self, slices: &[&[u8]]) -> io::Result<()> {
        if let [one] = slices {
            return self.file.write_all(one);
        }
        let mut slices: Vec<_> = slices.iter().map(|s| io::IoSlice::new(s)).collect();
        let mut rest = &mut slices[..];
        // Leading empty slices would look like a write of nothing.
        io::IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            match self.file.write_vectored(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => io::IoSlice::advance_slices(&mut rest, n),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn seek(&mut self, offset: u64) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(offset)).map(drop)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
