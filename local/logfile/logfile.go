// Package logfile is a log of bounded size: a file, and a few older ones beside it.
package logfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// File is a log that is written to. When it is full it becomes NAME.1, NAME.1 becomes NAME.2, and so on; the oldest is
// deleted. It is safe for concurrent use. Only its owner may read the files.
type File struct {
	name string
	max  int64 // bytes of a file
	keep int   // older files

	mu   sync.Mutex
	file *os.File
	size int64
}

// Open goes on with the log of that name, in a folder that it makes if need be.
func Open(name string, max int64, keep int) (*File, error) {
	l := &File{name: name, max: max, keep: keep}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the log: %w", err)
	}
	return l, l.open()
}

func (l *File) open() error {
	f, err := os.OpenFile(l.name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("open the log: %w", err), f.Close())
	}
	l.file, l.size = f, info.Size()
	return nil
}

// Write implements io.Writer. What is written at once stays in one file.
func (l *File) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size > 0 && l.size+int64(len(b)) > l.max {
		if err := l.turn(); err != nil {
			return 0, err
		}
	}
	n, err := l.file.Write(b)
	l.size += int64(n)
	return n, err
}

// turn begins a new file. A crash in between leaves a number free, which the next turn fills.
func (l *File) turn() error {
	if err := l.file.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
		return fmt.Errorf("close the log: %w", err)
	}
	for n := l.keep; n > 0; n-- {
		from := l.name
		if n > 1 {
			from = l.older(n - 1)
		}
		if err := os.Rename(from, l.older(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("turn the log: %w", err)
		}
	}
	return l.open()
}

func (l *File) older(n int) string { return fmt.Sprintf("%s.%d", l.name, n) }

// Close closes the log.
func (l *File) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}
