package operator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// The socket is run/socket in the data folder. A socket's path has 103 bytes at the most (on macOS; 107 on Linux):
// where the data folder's own is too long, the socket is in a new folder for temporary files, and run/address says
// where. Both folders are open to their owner alone, and so is the socket.
const (
	runDir      = "run"
	socketFile  = "socket"
	addressFile = "address"
	maxSocket   = 103
)

// Listen opens the socket of a data folder that the caller has open, and thereby takes the place of one that a crash
// left. Closing the listener removes it.
func Listen(dir string) (net.Listener, error) {
	l, err := listen(dir)
	if err != nil {
		return nil, fmt.Errorf("open the operator's socket of folder %s: %w", dir, err)
	}
	return l, nil
}

func listen(dir string) (net.Listener, error) {
	run, err := filepath.Abs(filepath.Join(dir, runDir))
	if err != nil {
		return nil, err
	}
	if err := private(run); err != nil {
		return nil, err
	}
	if err := os.Remove(filepath.Join(run, addressFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	name, away := filepath.Join(run, socketFile), ""
	if len(name) > maxSocket {
		if away, err = os.MkdirTemp("", "mailtrail-"); err != nil {
			return nil, err
		}
		name = filepath.Join(away, socketFile)
	}
	l, err := bind(name)
	if err == nil && away != "" {
		// Written when the socket is there: who reads it can use it.
		err = os.WriteFile(filepath.Join(run, addressFile), []byte(name), 0o600)
	}
	if err == nil {
		return &listener{Listener: l, away: away, address: filepath.Join(run, addressFile)}, nil
	}
	if l != nil {
		err = errors.Join(err, l.Close())
	}
	if away != "" {
		err = errors.Join(err, os.RemoveAll(away))
	}
	return nil, err
}

// private makes a folder that its owner alone may open.
func private(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.Chmod(dir, 0o700)
}

func bind(name string) (net.Listener, error) {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", name)
	if err != nil {
		return nil, err
	}
	// Its folder has kept everybody else out until here.
	if err := os.Chmod(name, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// listener removes what belongs to the socket when it is closed.
type listener struct {
	net.Listener
	away    string // the folder for temporary files; "" is none
	address string
}

func (l *listener) Close() error {
	err := l.Listener.Close()
	if l.away != "" {
		err = errors.Join(err, os.RemoveAll(l.away))
		if removed := os.Remove(l.address); !errors.Is(removed, fs.ErrNotExist) {
			err = errors.Join(err, removed)
		}
	}
	return err
}

// dial reaches the socket of a data folder. An error means that nobody answers there.
func dial(ctx context.Context, dir string) (net.Conn, error) {
	name, err := filepath.Abs(filepath.Join(dir, runDir, socketFile))
	if err != nil {
		return nil, err
	}
	away, err := os.ReadFile(filepath.Join(dir, runDir, addressFile))
	switch {
	case err == nil:
		name = strings.TrimSpace(string(away))
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	return new(net.Dialer).DialContext(ctx, "unix", name)
}
