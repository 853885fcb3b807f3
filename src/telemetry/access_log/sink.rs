//! Where lines are written: whole ones, or none.
//!
//! A disk that is full takes part of a line. Its rest is written first once there is room, so that no other
//! line is put behind half of one; what finds no room meanwhile is lost line by line. To a pipe lines go in
//! pieces that the kernel takes whole or not at all, so that a reader that stops, or the end of the process,
//! tears none.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::{
        fd::AsFd,
        unix::fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};

use super::Target;

/// What a pipe takes whole or not at all (POSIX, `PIPE_BUF`, at its least on Linux).
const PIECE: usize = 4096;
/// How long a descriptor that does not block is left alone when it is full.
const PAUSE: Duration = Duration::from_millis(10);

/// See the module.
#[derive(Debug)]
pub(super) struct Sink {
    /// None as long as it is a named pipe that nobody reads.
    out: Option<File>,
    /// Opened anew when it was moved away; none is standard output.
    path: Option<PathBuf>,
    pieces: bool,
    /// What is still to come of a line that was begun.
    begun: Vec<u8>,
    /// Why something could not be written, the last time.
    error: Option<io::Error>,
}

impl Sink {
    pub(super) fn open(target: Target) -> io::Result<Self> {
        let (out, path) = match target {
            // A handle of its own: what the library keeps back of half a line would be written later.
            Target::Stdout => (Some(File::from(io::stdout().as_fd().try_clone_to_owned()?)), None),
            Target::File(path) => match open(&path) {
                Err(error) if is_unread(&error) => (None, Some(path)),
                opened => (Some(opened?), Some(path)),
            },
        };
        let pieces = out.as_ref().is_none_or(is_pipe);
        Ok(Self { out, path, pieces, begun: Vec::new(), error: None })
    }

    /// Why something could not be written since the last time.
    pub(super) const fn take_error(&mut self) -> Option<io::Error> {
        self.error.take()
    }

    /// Writes whole lines. Gives how many were lost.
    pub(super) fn write(&mut self, lines: &[u8]) -> u64 {
        let mut lost = 0;
        if let Some(path) = &self.path
            && self.out.as_ref().is_none_or(|out| is_moved(out, path))
        {
            match open(path) {
                // Of a line that was begun in the old file there is no more.
                Ok(file) => {
                    self.pieces = is_pipe(&file);
                    self.out = Some(file);
                    lost += u64::from(!std::mem::take(&mut self.begun).is_empty());
                }
                Err(error) => {
                    self.error = Some(error);
                    return count(lines);
                }
            }
        }
        let Some(out) = &mut self.out else { return count(lines) };
        if !self.begun.is_empty() {
            let (written, result) = put(out, &self.begun, false);
            self.begun.drain(..written);
            if let Err(error) = result {
                self.error = Some(error);
                return lost + count(lines);
            }
        }
        let (written, result) = put(out, lines, self.pieces);
        match result {
            Ok(()) => return lost,
            Err(error) => self.error = Some(error),
        }
        let rest = &lines[written..];
        if written > 0 && lines[written - 1] != b'\n' {
            let end = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |end| end + 1);
            self.begun.extend_from_slice(&rest[..end]);
            return lost + count(&rest[end..]);
        }
        lost + count(rest)
    }
}

/// Writes it, in pieces of whole lines if they must stay whole. Gives how much of it was written.
fn put(out: &mut impl Write, bytes: &[u8], pieces: bool) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        let rest = &bytes[written..];
        let piece = if pieces { &rest[..piece(rest)] } else { rest };
        match out.write(piece) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(PAUSE),
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

/// As many whole lines as fit, one at least.
fn piece(lines: &[u8]) -> usize {
    let most = lines.len().min(PIECE);
    let end = |part: &[u8]| part.iter().rposition(|byte| *byte == b'\n').map(|end| end + 1);
    let first = || lines.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |end| end + 1);
    end(&lines[..most]).unwrap_or_else(first)
}

fn count(lines: &[u8]) -> u64 {
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// Why a file cannot be written to, as far as a look at it tells that changes nothing.
pub fn obstacle(path: &Path) -> io::Result<()> {
    match std::fs::metadata(path) {
        Ok(data) if data.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(data) if data.is_file() => OpenOptions::new().append(true).open(path).map(drop),
        Ok(_) => Ok(()),
        Err(_) => match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) if !std::fs::metadata(folder)?.is_dir() => Err(io::ErrorKind::NotADirectory.into()),
            Some(_) | None => Ok(()),
        },
    }
}

/// The same by opening it, which makes it if it is not there.
pub fn probe(path: &Path) -> io::Result<()> {
    obstacle(path)?;
    match open(path) {
        // Somebody may come to read it.
        Err(error) if is_unread(&error) => Ok(()),
        opened => opened.map(drop),
    }
}

fn open(path: &Path) -> io::Result<File> {
    if std::fs::metadata(path).is_ok_and(|data| data.file_type().is_fifo()) {
        // A named pipe that nobody reads would make who opens it wait, and one that is read by us as well would take
        // lines that nobody ever gets.
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NONBLOCK | OFlags::CLOEXEC;
        return Ok(rustix::fs::open(path, flags, Mode::empty())?.into());
    }
    OpenOptions::new().append(true).create(true).open(path)
}

fn is_pipe(file: &File) -> bool {
    file.metadata().is_ok_and(|data| data.file_type().is_fifo())
}

/// Whether it is a named pipe that nobody reads.
fn is_unread(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::NXIO.raw_os_error())
}

/// Whether the name stands for another file by now, as after a rotation.
fn is_moved(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(own), Ok(named)) => (own.dev(), own.ino()) != (named.dev(), named.ino()),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// Takes so many bytes, then nothing.
    struct Full<'a>(&'a mut Vec<u8>, usize);

    impl Write for Full<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let some = bytes.len().min(self.1 - self.0.len());
            if some == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0.extend_from_slice(&bytes[..some]);
            Ok(some)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_full_says_how_much_it_took() {
        let mut taken = Vec::new();
        let (written, result) = put(&mut Full(&mut taken, 7), b"abcd\nefgh\n", false);
        assert_eq!((written, result.unwrap_err().kind()), (7, io::ErrorKind::StorageFull));
        assert_eq!(taken, b"abcd\nef");
    }

    #[test]
    fn a_pipe_gets_whole_lines_as_long_as_they_fit() {
        let line = [vec![b'x'; 999], vec![b'\n']].concat();
        let lines = line.repeat(10);
        assert_eq!(piece(&lines), 4000);
        assert_eq!(piece(b"short\nand"), 6);
        let long = [vec![b'x'; 5000], vec![b'\n'], vec![b'y'; 10]].concat();
        assert_eq!(piece(&long), 5001);
    }

    #[test]
    fn a_line_that_was_begun_is_ended_before_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut sink = Sink::open(Target::File(path.clone())).unwrap();
        assert_eq!(sink.write(b"one\n"), 0);
        // As a disk that was full leaves it.
        sink.out.as_mut().unwrap().write_all(b"tw").unwrap();
        sink.begun = b"o\n".to_vec();
        assert_eq!(sink.write(b"three\n"), 0);
        let mut text = String::new();
        File::open(&path).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "one\ntwo\nthree\n");
        // In a new file there is nothing to end.
        sink.begun = b"half\n".to_vec();
        std::fs::rename(&path, folder.path().join("log.1")).unwrap();
        assert_eq!(sink.write(b"four\n"), 1);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "four\n");
    }

    #[test]
    fn what_finds_no_room_is_lost_by_the_line() {
        // Every write to it fails.
        let mut sink = Sink::open(Target::File("/dev/full".into())).unwrap();
        assert_eq!(sink.write(b"one\ntwo\n"), 2);
        assert!(sink.begun.is_empty());
        assert_eq!(sink.take_error().unwrap().kind(), io::ErrorKind::StorageFull);
        assert!(sink.take_error().is_none());
    }

    #[test]
    fn a_pipe_that_nobody_reads_loses_lines_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .unwrap();
        assert!(probe(&path).is_ok(), "somebody may come");
        let mut sink = Sink::open(Target::File(path.clone())).unwrap();
        assert_eq!(sink.write(b"one\ntwo\n"), 2);
        assert!(is_unread(&sink.take_error().unwrap()));
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let mut reader: File = rustix::fs::open(&path, flags, Mode::empty()).unwrap().into();
        assert_eq!(sink.write(b"three\n"), 0);
        let mut bytes = [0; 16];
        assert_eq!(reader.read(&mut bytes).unwrap(), 6);
        drop(reader);
        assert_eq!(sink.write(b"four\n"), 1);
        assert_eq!(sink.take_error().unwrap().kind(), io::ErrorKind::BrokenPipe);
    }
}
