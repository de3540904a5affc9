//! What the operating system said, with what a user can do about it.

use std::io;
use std::path::Path;

use millstream_core::Error;

/// An error of `doing` something to a file, with a repair where there is one.
pub(crate) fn file_error(doing: &str, path: &Path, error: io::Error) -> Error {
    let hint = hint(path, &error);
    let name = match path.to_str() {
        Some("-") if doing == "read" => "standard input".to_owned(),
        Some("-") => "standard output".to_owned(),
        _ => path.display().to_string(),
    };
    let error = Error::io(format!("cannot {doing} {name}"), error);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn hint(path: &Path, error: &io::Error) -> Option<String> {
    let named = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = named.unwrap_or(Path::new("."));
    Some(match error.kind() {
        io::ErrorKind::NotFound => match named {
            Some(dir) => format!("check the name; is there a directory {}?", dir.display()),
            None => "check the name; it is looked for in the directory that this program was started in".to_owned(),
        },
        io::ErrorKind::PermissionDenied => {
            format!("give this user the right to {} and to its directory {}", path.display(), dir.display())
        }
        io::ErrorKind::ReadOnlyFilesystem => format!("{} is on a read-only file system: choose another", dir.display()),
        io::ErrorKind::IsADirectory => "give the name of a file in that directory".to_owned(),
        io::ErrorKind::NotADirectory => format!("{} is a file, not a directory", dir.display()),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "the disk is full: make room, or write to another disk".to_owned()
        }
        io::ErrorKind::FileTooLarge => "the file system allows no larger file: choose another".to_owned(),
        io::ErrorKind::BrokenPipe => "the program that reads this pipe has ended".to_owned(),
        _ => return None,
    })
}
